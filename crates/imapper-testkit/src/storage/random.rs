//! Random calls, made of the storage and of the [`Model`] alike: both must give the same answers.

use std::collections::BTreeMap;

use imapper_core::storage::{
    AccountId, CopyMode, FlagChange, FlagOp, MailboxId, Mbox, ModSeqs, NewMessage, QuotaLimits, Result, Row,
    Staged, Storage, StorageError, Stored, TreeOp, Want,
};
use imapper_core::types::{Flags, InternalDate, Keyword, ModSeq, SystemFlags, Uid, UidSet};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::changing::Follower;
use super::trial::{Outcome, Stop, Trial, ensure, same};
use crate::Model;
use crate::random::Random;

/// Each run is this many calls, in an account of its own.
const CALLS: usize = 120;
const RUNS: u64 = 6;
/// How often a failing run is made shorter.
const ATTEMPTS: usize = 200;

/// A call. Mailboxes are meant by their place in the order of their making, messages by theirs in a mailbox,
/// so that one call makes sense when those before it are left out.
#[derive(Clone, Debug)]
enum Call {
    Create(usize),
    Rename(usize, usize),
    Delete(usize),
    Subscribe(usize, bool),
    Append(usize, Vec<(u8, usize)>),
    AppendAgain(usize),
    Replace(usize, usize),
    SetFlags(usize, Vec<usize>, u8, u8, usize, Option<usize>),
    Expunge(usize, Vec<usize>, bool),
    Copy(usize, Vec<usize>, usize, CopyMode),
    ClaimRecent(usize),
    Limit(Option<u64>, Option<u64>),
}

const NAMES: [&str; 6] = ["a", "a/b", "a/b/c", "d", "d/b", "e"];
const WORDS: [&str; 4] = ["", "One", "two", "$Three"];

fn call(random: &mut Random) -> Call {
    let mbox = random.below(8);
    let messages = |random: &mut Random| (0..=random.below(3)).map(|_| random.below(12)).collect();
    match random.below(31) {
        0..=2 => Call::Create(random.below(NAMES.len())),
        3 => Call::Rename(mbox, random.below(NAMES.len())),
        4 => Call::Delete(mbox),
        5 => Call::Subscribe(random.below(NAMES.len()), random.below(3) > 0),
        6..=12 => {
            let one = |random: &mut Random| (random.below(32).to_le_bytes()[0], random.below(WORDS.len()));
            Call::Append(mbox, (0..=random.below(3)).map(|_| one(random)).collect())
        }
        13 => Call::AppendAgain(mbox),
        14 => Call::Replace(mbox, random.below(12)),
        15..=21 => {
            let since = (random.below(3) == 0).then(|| random.below(20));
            let (op, flags) = (random.below(3).to_le_bytes()[0], random.below(32).to_le_bytes()[0]);
            Call::SetFlags(mbox, messages(random), op, flags, random.below(WORDS.len()), since)
        }
        22..=24 => Call::Expunge(mbox, messages(random), random.below(2) == 0),
        25..=28 => {
            let mode = if random.below(2) == 0 { CopyMode::Copy } else { CopyMode::Move };
            Call::Copy(mbox, messages(random), random.below(8), mode)
        }
        29 => Call::ClaimRecent(mbox),
        _ => {
            let limit = |random: &mut Random, most| (random.below(2) == 0).then(|| random.below(most) as u64);
            Call::Limit(limit(random, 300), limit(random, 15))
        }
    }
}

/// One of the two: the model, or what is tested.
struct Side {
    storage: std::sync::Arc<dyn Storage>,
    account: AccountId,
    /// In the order of their making; those that are gone stay in.
    boxes: Vec<Mbox>,
    /// The mod-sequences that a mailbox has had.
    points: BTreeMap<MailboxId, Vec<ModSeq>>,
    last: Option<NewMessage>,
    keywords: bool,
    modseqs: bool,
    recent: bool,
    quota: bool,
}

/// What a call gives, in words that do not depend on the numbers that a storage chose.
type Answer = std::result::Result<String, String>;

impl Side {
    async fn new(storage: std::sync::Arc<dyn Storage>, account: &AccountId) -> Outcome<Self> {
        let list = storage.list(account).await?;
        let boxes =
            list.into_iter().map(|info| Mbox { account: account.clone(), id: info.id }).collect::<Vec<_>>();
        same!(boxes.len(), 1, "mailboxes of an account that was never used");
        Ok(Self {
            storage,
            account: account.clone(),
            boxes,
            points: BTreeMap::new(),
            last: None,
            keywords: true,
            modseqs: true,
            recent: true,
            quota: true,
        })
    }

    fn mbox(&self, at: usize) -> Mbox {
        self.boxes.get(at % self.boxes.len().max(1)).cloned().unwrap_or_else(super::trial::missing)
    }

    async fn uids(&self, mbox: &Mbox) -> Vec<Uid> {
        let snapshot = self.storage.snapshot(mbox).await;
        snapshot.map(|snapshot| snapshot.uids.iter().collect()).unwrap_or_default()
    }

    async fn chosen(&self, mbox: &Mbox, places: &[usize]) -> UidSet {
        let uids = self.uids(mbox).await;
        places.iter().filter_map(|place| uids.get(*place)).copied().collect()
    }

    async fn message(&self, flags: u8, word: usize) -> Result<NewMessage> {
        let words = WORDS.get(word).filter(|word| self.keywords && !word.is_empty());
        let flags = Flags::new(SystemFlags::from_bits(flags), words.map(|word| Keyword::new(word)));
        let text = format!("Subject: {}\r\n\r\n{word}\r\n", flags.system.bits());
        let octets = Bytes::from(text.into_bytes());
        let staged: Staged =
            self.storage.stage(&self.account, None, stream::iter([Ok(octets)]).boxed()).await?;
        let offset_minutes = i16::try_from(word).unwrap_or_default() * 15;
        let date = InternalDate { seconds: 1_000_000 + i64::from(offset_minutes), offset_minutes };
        Ok(NewMessage::new(staged, flags, date))
    }

    async fn make(&mut self, call: &Call) -> Answer {
        let answer = self.try_make(call).await;
        for mbox in &self.boxes {
            if let Ok(snapshot) = self.storage.snapshot(mbox).await {
                self.points.entry(mbox.id.clone()).or_default().push(snapshot.status.highest_modseq);
            }
        }
        // The variant's name; what it carries is for people.
        answer.map_err(|error| format!("{error:?}").split('(').next().unwrap_or_default().to_owned())
    }

    async fn try_make(&mut self, call: &Call) -> Result<String> {
        let name = |at: &usize| NAMES.get(*at).copied().unwrap_or("a").to_owned();
        match call {
            Call::Create(at) => {
                let op = TreeOp::Create { name: name(at), special_use: Vec::new() };
                let made = self.storage.tree(&self.account, op).await?;
                let made = made.ok_or(StorageError::Unsupported)?;
                self.boxes.push(Mbox { account: self.account.clone(), id: made.id });
                Ok(made.name)
            }
            // What becomes of INBOX is the core's.
            Call::Rename(at, to) if at % self.boxes.len().max(1) != 0 => {
                let (from, to) = (self.mbox(*at), name(to));
                let old = self.storage.list(&self.account).await?.into_iter().find(|info| info.id == from.id);
                // Nor does it move a mailbox below itself.
                if old.is_some_and(|old| to.starts_with(&format!("{}/", old.name))) {
                    return Ok(String::new());
                }
                let op = TreeOp::Rename { id: from.id, to };
                Ok(format!("{:?}", self.storage.tree(&self.account, op).await?.map(|info| info.name)))
            }
            Call::Delete(at) if at % self.boxes.len().max(1) != 0 => {
                self.storage.tree(&self.account, TreeOp::Delete { id: self.mbox(*at).id }).await?;
                Ok(String::new())
            }
            Call::Rename(..) | Call::Delete(..) => Ok(String::new()),
            Call::Subscribe(at, on) => {
                self.storage.tree(&self.account, TreeOp::Subscribe { name: name(at), on: *on }).await?;
                Ok(String::new())
            }
            Call::Limit(octets, messages) => {
                if let Some(quota) = self.storage.as_quota().filter(|_| self.quota) {
                    quota.set_limit(&self.account, QuotaLimits::new(*octets, *messages)).await?;
                }
                Ok(String::new())
            }
            Call::ClaimRecent(at) => {
                let mbox = self.mbox(*at);
                let uids = self.uids(&mbox).await;
                if !self.recent {
                    return Ok(String::new());
                }
                let claimed = self.storage.claim_recent(&mbox).await?;
                let place = |wanted| uids.iter().position(|uid| *uid == wanted);
                Ok(format!("{:?}", claimed.map(|(first, last)| (place(first), place(last)))))
            }
            _ => self.change(call).await,
        }
    }

    /// What changes messages.
    async fn change(&mut self, call: &Call) -> Result<String> {
        match call {
            Call::Append(at, all) => {
                let mut messages = Vec::new();
                for (flags, word) in all {
                    messages.push(self.message(*flags, *word).await?);
                }
                self.last = messages.first().cloned();
                let appended = self.storage.append(&self.mbox(*at), messages).await?;
                Ok(format!("{}", appended.uids.len()))
            }
            Call::AppendAgain(at) => {
                let Some(last) = self.last.take() else { return Ok(String::new()) };
                let mbox = self.mbox(*at);
                let appended = self.storage.append(&mbox, vec![last]).await?;
                let uids = self.uids(&mbox).await;
                let place = |uid: &Uid| uids.iter().position(|other| other == uid);
                Ok(format!("{:?}", appended.uids.iter().map(place).collect::<Vec<_>>()))
            }
            Call::Replace(at, place) => {
                let mbox = self.mbox(*at);
                let mut message = self.message(1, 0).await?;
                message.replaces = self.uids(&mbox).await.get(*place).copied();
                Ok(format!("{}", self.storage.append(&mbox, vec![message]).await?.uids.len()))
            }
            Call::SetFlags(at, places, op, flags, word, since) => {
                let mbox = self.mbox(*at);
                let uids = self.chosen(&mbox, places).await;
                let words = WORDS.get(*word).filter(|word| self.keywords && !word.is_empty());
                let flags = Flags::new(SystemFlags::from_bits(*flags), words.map(|word| Keyword::new(word)));
                let op = match op {
                    0 => FlagOp::Replace(flags),
                    1 => FlagOp::Add(flags),
                    _ => FlagOp::Remove(flags),
                };
                let points = self.points.get(&mbox.id);
                let since = since.filter(|_| self.modseqs);
                let point = |back: usize| points.and_then(|points| points.iter().rev().nth(back)).copied();
                let unchanged_since = since.map(|back| point(back).unwrap_or_default());
                let all = self.uids(&mbox).await;
                let stored = self.storage.set_flags(&mbox, FlagChange { uids, op, unchanged_since }).await?;
                Ok(told(&stored, &all))
            }
            Call::Expunge(at, places, only_deleted) => {
                let mbox = self.mbox(*at);
                let (all, uids) = (self.uids(&mbox).await, self.chosen(&mbox, places).await);
                Ok(format!(
                    "{:?}",
                    at_places(&self.storage.expunge(&mbox, &uids, *only_deleted).await?.0, &all)
                ))
            }
            Call::Copy(from, places, to, mode) => {
                let (from, to) = (self.mbox(*from), self.mbox(*to));
                let (all, uids) = (self.uids(&from).await, self.chosen(&from, places).await);
                let copied = self.storage.copy(&from, &uids, &to, *mode).await?;
                let old: UidSet = copied.pairs.iter().map(|(old, _)| *old).collect();
                Ok(format!("{:?}", at_places(&old, &all)))
            }
            _ => Ok(String::new()),
        }
    }

    /// All that the account holds, in words.
    async fn state(&self) -> Outcome<String> {
        let mut told = String::new();
        let mut list = self.storage.list(&self.account).await?;
        list.sort_by(|a, b| a.name.cmp(&b.name));
        for info in list.iter().filter(|info| !info.no_select) {
            let mbox = Mbox { account: self.account.clone(), id: info.id.clone() };
            let place = self.boxes.iter().position(|other| *other == mbox);
            let status = self.storage.snapshot(&mbox).await?.status;
            let counts = (status.messages, status.unseen, status.deleted, status.size, status.deleted_size);
            let recent = self.recent.then_some(status.recent);
            told.extend([format!(
                "\n{} (made as number {place:?}): {counts:?} recent {recent:?}",
                info.name
            )]);
            let rows: Vec<Row> =
                self.storage.rows(&mbox, &UidSet::all(), Want::ALL).await?.try_concat().await?;
            for row in rows {
                let words: Vec<String> =
                    row.flags.keywords().iter().map(|word| word.as_str().to_ascii_lowercase()).collect();
                let Some(body) = row.body else { continue };
                let text: Vec<Bytes> = self.storage.read(&body, 0..u64::MAX).await?.try_collect().await?;
                let text = String::from_utf8_lossy(&text.concat()).replace("\r\n", "|");
                told.extend([format!(
                    "\n  {} {words:?} {} {text}",
                    row.flags.system.bits(),
                    row.internal_date
                )]);
            }
        }
        if let Some(quota) = self.storage.as_quota().filter(|_| self.quota) {
            told.extend([format!("\n{:?}", quota.usage(&self.account).await?)]);
        }
        let mut subscriptions = self.storage.subscriptions(&self.account).await?;
        subscriptions.sort();
        Ok(format!("{told}\nsubscribed: {subscriptions:?}"))
    }
}

/// The messages of a set, by their places.
fn at_places(uids: &UidSet, all: &[Uid]) -> Vec<Option<usize>> {
    uids.iter().map(|uid| all.iter().position(|other| *other == uid)).collect()
}

fn told(stored: &Stored, all: &[Uid]) -> String {
    let changed: Vec<_> = stored
        .changed
        .iter()
        .map(|(uid, flags)| {
            let words: Vec<String> =
                flags.keywords().iter().map(|word| word.as_str().to_ascii_lowercase()).collect();
            (all.iter().position(|other| other == uid), flags.system.bits(), words)
        })
        .collect();
    let (unchanged, conflict) = (at_places(&stored.unchanged, all), at_places(&stored.conflict, all));
    format!("changed {changed:?}, unchanged {unchanged:?}, held back {conflict:?}")
}

/// Makes the calls in a new account of both.
async fn run(t: &Trial, account: &str, calls: &[Call]) -> Outcome {
    let account = AccountId::from(account);
    let mut model = Side::new(std::sync::Arc::new(Model::new()), &account).await?;
    let mut side = Side::new(t.storage(), &account).await?;
    let caps = t.caps();
    let inbox = side.mbox(0);
    let probe = t.append(&inbox, b"x").await?;
    let recent = t.snapshot(&inbox).await?.status.first_recent.is_some();
    t.expunge(&inbox, &super::trial::set([probe])).await?;
    let has_quota = t.storage().as_quota().is_some();
    for side in [&mut model, &mut side] {
        side.keywords = caps.keywords.is_none_or(|most| most >= 8);
        side.modseqs = caps.modseq > ModSeqs::None;
        side.recent = recent;
        side.quota = has_quota;
    }
    let mut follower = Follower::default();
    for call in calls {
        let (wanted, found) = (model.make(call).await, side.make(call).await);
        same!(found, wanted, "{call:?}");
        same!(side.state().await?, model.state().await?, "what the account holds after {call:?}");
        follower.follow(t, &inbox, 3).await?;
        follower.compare(t, &inbox).await?;
    }
    Ok(())
}

/// Leaves out what the failure does not need; gives the calls and what went wrong then.
async fn shorten(t: &Trial, seed: u64, calls: Vec<Call>, what: String) -> (Vec<Call>, String) {
    let (mut calls, mut what, mut attempt) = (calls, what, 0);
    let mut piece = calls.len() / 2;
    while piece > 0 {
        let mut at = 0;
        while at < calls.len() && attempt < ATTEMPTS {
            let shorter: Vec<Call> =
                calls.iter().take(at).chain(calls.iter().skip(at + piece)).cloned().collect();
            attempt += 1;
            match run(t, &format!("short-{seed}-{attempt}"), &shorter).await {
                Err(Stop::Broken(still)) => (calls, what) = (shorter, still),
                _ => at += piece,
            }
        }
        piece /= 2;
    }
    (calls, what)
}

pub(crate) async fn random_calls_have_the_answers_of_the_model(t: &Trial) -> Outcome {
    t.rule("Each method as it is described: random calls, compared with a simple model");
    for seed in 0..RUNS {
        let mut random = Random::new(seed);
        let calls: Vec<Call> = (0..CALLS).map(|_| call(&mut random)).collect();
        if let Err(Stop::Broken(what)) = run(t, &format!("random-{seed}"), &calls).await {
            let (calls, what) = shorten(t, seed, calls, what).await;
            let list: Vec<String> = calls.iter().map(|call| format!("{call:?}")).collect();
            ensure!(false, "{what}\n  after these calls:\n    {}", list.join("\n    "));
        }
    }
    Ok(())
}
