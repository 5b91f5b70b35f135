//! What is left when the power fails: runs of changes on a disk that drops and reorders what was not synced, stopped
//! at every operation of the disk. What was acknowledged must be there, and what was not, all of it or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imapper_core::storage::{
    AccountId, CopyMode, FlagChange, FlagOp, MailboxId, NewMessage, Result, Staged, StorageError,
};
use imapper_core::types::{Flags, InternalDate, Keyword, SystemFlag, SystemFlags, Uid, UidSet};
use imapper_testkit::random::{Random, any_seed};
use tokio::runtime::Handle;

use super::tree::Making;
use super::{Account, Arrival, Parts, append, copy, expunge, flags, tree};
use crate::disk::{Disk, SimulatedDisk};
use crate::format::folder::Layout;
use crate::mailbox::file::join;

/// A message: its content, and its flags as words.
type Content = (String, BTreeSet<String>);

/// A mailbox as a client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Box_ {
    validity: usize,
    next: u32,
    modseq: u64,
    messages: BTreeMap<u32, Content>,
}

/// An account as its clients know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    boxes: BTreeMap<String, Box_>,
    subscriptions: BTreeSet<String>,
}

/// A change.
#[derive(Clone, Debug)]
enum Op {
    Append(String, Vec<(String, Flags)>),
    Flags(String, Vec<u32>, FlagOp),
    Copy(String, Vec<u32>, String, CopyMode),
    Expunge(String, Vec<u32>),
    Create(String),
    Rename(String, String),
    Delete(String),
    Subscribe(String, bool),
}

fn open(disk: &SimulatedDisk, layout: Layout) -> Result<Arc<Account>> {
    Account::open(Parts {
        id: AccountId::from("john"),
        personal: true,
        layout,
        disk: Some(Arc::new(disk.clone())),
        index: None,
        base: None,
        watching: None,
        runtime: Handle::current(),
        allowed: Arc::default(),
    })
}

fn set(uids: &[u32]) -> UidSet {
    uids.iter().filter_map(|uid| Uid::new(*uid)).collect()
}

fn words(flags: &Flags) -> BTreeSet<String> {
    flags.names().map(str::to_owned).collect()
}

fn id_of(account: &Account, name: &str) -> Result<MailboxId> {
    account.read().names.get(name).cloned().ok_or(StorageError::NoMailbox)
}

/// Stages a body as `Maildir` does.
fn stage(disk: &SimulatedDisk, body: &str) -> Result<Staged> {
    let token = crate::unique::name();
    let written = disk.create(&format!("tmp/{token}")).and_then(|mut file| {
        file.write(body.as_bytes())?;
        file.sync()
    });
    written.map_err(StorageError::backend)?;
    Ok(Staged { size: body.len() as u64, token: token.into() })
}

async fn run(account: &Arc<Account>, disk: &SimulatedDisk, op: Op) -> Result<()> {
    match op {
        Op::Append(name, messages) => {
            let id = id_of(account, &name)?;
            let mut arrivals = Vec::new();
            for (body, flags) in messages {
                let staged = stage(disk, &body)?;
                let token = String::from_utf8(staged.token.to_vec()).map_err(StorageError::backend)?;
                let date = InternalDate { seconds: 1_000_000_000, offset_minutes: 0 };
                arrivals.push(Arrival { message: NewMessage::new(staged, flags, date), token });
            }
            account.change(move |batch| append::append(batch, &id, &arrivals)).await.map(drop)
        }
        Op::Flags(name, uids, op) => {
            let change = FlagChange { uids: set(&uids), op, unchanged_since: None };
            let id = id_of(account, &name)?;
            account.change(move |batch| flags::set_flags(batch, &id, &change)).await.map(drop)
        }
        Op::Copy(from, uids, to, mode) => {
            let (from, to, uids) = (id_of(account, &from)?, id_of(account, &to)?, set(&uids));
            account.change(move |batch| copy::copy(batch, &from, &uids, &to, mode)).await.map(drop)
        }
        Op::Expunge(name, uids) => {
            let (id, uids) = (id_of(account, &name)?, set(&uids));
            account.change(move |batch| expunge::expunge(batch, &id, &uids, false)).await.map(drop)
        }
        Op::Create(name) => {
            let making = move |batch: &mut super::Batch<'_>| {
                tree::create(batch, Making { name: &name, special_use: Vec::new(), numbers: None })
            };
            account.change(making).await.map(drop)
        }
        Op::Rename(from, to) => {
            let id = id_of(account, &from)?;
            account.change(move |batch| tree::rename(batch, &id, &to)).await.map(drop)
        }
        Op::Delete(name) => {
            let id = id_of(account, &name)?;
            account.change(move |batch| tree::delete(batch, &id)).await.map(drop)
        }
        Op::Subscribe(name, on) => account.change(move |batch| tree::subscribe(batch, &name, on)).await,
    }
}

/// What a client finds. UIDVALIDITY, which follows the clock, is told as the place in `seen`: the same in each run.
async fn look(account: &Arc<Account>, disk: &SimulatedDisk, seen: &mut Vec<u32>) -> Result<Known> {
    account.fresh_all().await?;
    let state = account.read();
    let mut known = Known::default();
    for (name, id) in &state.names {
        let (slot, mailbox) = (state.slot(id)?, state.mailbox(id)?);
        let status = mailbox.status();
        let mut messages = BTreeMap::new();
        for (uid, message) in mailbox.messages() {
            let octets =
                disk.read(&join(&slot.folder, &mailbox.file(message))).map_err(StorageError::backend)?;
            let text = String::from_utf8(octets).map_err(StorageError::backend)?;
            messages.insert(uid.get(), (text, words(&message.flags)));
        }
        let validity = status.uid_validity.get();
        let place = seen.iter().position(|known| *known == validity).unwrap_or_else(|| {
            seen.push(validity);
            seen.len().saturating_sub(1)
        });
        let (validity, next, modseq) = (place, status.uid_next.get(), status.highest_modseq.0);
        known.boxes.insert(name.clone(), Box_ { validity, next, modseq, messages });
    }
    let (names, _) = account.read_subscriptions().map_err(StorageError::backend)?;
    known.subscriptions = names.into_iter().collect();
    Ok(known)
}

const NAMES: [&str; 5] = ["INBOX", "a", "a/b", "c", "c/d e"];

/// A change that makes sense where the account is like that.
fn draw(random: &mut Random, known: &Known, number: usize) -> Op {
    let names: Vec<&String> = known.boxes.keys().collect();
    let name = random.pick(&names).map_or("INBOX", |name| name.as_str()).to_owned();
    let other = random.pick(&names).map_or("INBOX", |name| name.as_str()).to_owned();
    let new = (*random.pick(&NAMES).unwrap_or(&"a")).to_owned();
    let uids: Vec<u32> =
        known.boxes.get(&name).map(|b| b.messages.keys().copied().collect()).unwrap_or_default();
    let some: Vec<u32> =
        if random.percent(50) { uids.clone() } else { random.pick(&uids).copied().into_iter().collect() };
    let keyword = Keyword::new(random.pick(&["one", "two", "three"]).unwrap_or(&"one"));
    let flags = match random.below(4) {
        0 => Flags::default(),
        1 => Flags::new(SystemFlag::Seen.into(), []),
        2 => Flags::new(SystemFlag::Deleted.into(), [keyword]),
        _ => Flags::new(SystemFlags::NONE, [keyword]),
    };
    match random.below(20) {
        0..=5 => {
            let count = random.below(3).saturating_add(1);
            let body = |n| (format!("Subject: {number}.{n}\r\n\r\nx\r\n"), flags.clone());
            Op::Append(name, (0..count).map(body).collect())
        }
        6..=8 if random.percent(50) => Op::Flags(name, some, FlagOp::Add(flags)),
        6..=8 => Op::Flags(name, some, FlagOp::Replace(flags)),
        9 | 10 => Op::Copy(name, some, other, CopyMode::Copy),
        11..=13 => Op::Copy(name, some, other, CopyMode::Move),
        14 | 15 => Op::Expunge(name, some),
        16 => Op::Create(new),
        17 => Op::Rename(name, new),
        18 => Op::Delete(name),
        _ => Op::Subscribe(new, random.percent(60)),
    }
}

/// Whether a state is another one but for what a client is not told of before an OK: numbers of messages that are
/// new, and counters that may only be higher.
fn is_like(found: &Known, wanted: &Known, before: &Known) -> std::result::Result<(), String> {
    if found.subscriptions != wanted.subscriptions {
        return Err(format!("subscriptions {:?}, not {:?}", found.subscriptions, wanted.subscriptions));
    }
    let names = |known: &Known| known.boxes.keys().cloned().collect::<Vec<_>>();
    if names(found) != names(wanted) {
        return Err(format!("mailboxes {:?}, not {:?}", names(found), names(wanted)));
    }
    for (name, want) in &wanted.boxes {
        let Some(found) = found.boxes.get(name) else { continue };
        // A mailbox that was being made has a UIDVALIDITY of its own.
        let old = before.boxes.values().find(|old| old.validity == want.validity);
        if old.is_some() && found.validity != want.validity {
            return Err(format!("{name}: UIDVALIDITY {}, not {}", found.validity, want.validity));
        }
        let next = old.map_or(1, |old| old.next);
        let split = |b: &Box_| {
            let (old, new): (Vec<_>, Vec<_>) =
                b.messages.clone().into_iter().partition(|(uid, _)| *uid < next);
            let mut new: Vec<Content> = new.into_iter().map(|(_, content)| content).collect();
            new.sort();
            (old, new)
        };
        if split(found) != split(want) {
            return Err(format!("{name}: {:?}, not {:?}", found.messages, want.messages));
        }
    }
    Ok(())
}

/// Nothing that was told goes back, and no UID has another content.
fn goes_on(found: &Known, told: &[Known]) -> std::result::Result<(), String> {
    for known in told {
        for old in known.boxes.values() {
            let Some((name, found)) = found.boxes.iter().find(|(_, found)| found.validity == old.validity)
            else {
                continue;
            };
            if found.next < old.next || found.modseq < old.modseq {
                let (now, then) = ((found.next, found.modseq), (old.next, old.modseq));
                return Err(format!("{name}: UIDNEXT and HIGHESTMODSEQ are {now:?} after {then:?}"));
            }
            for (uid, (content, _)) in &old.messages {
                if found.messages.get(uid).is_some_and(|(found, _)| found != content) {
                    return Err(format!("{name}: UID {uid} is another message"));
                }
            }
        }
    }
    Ok(())
}

/// A run of changes that is stopped after so many operations of the disk, `None` for not at all; gives how many there
/// were, and what every state was that a client was told of.
struct Played {
    disk: SimulatedDisk,
    told: Vec<Known>,
    /// The change that was under way.
    open: Option<Op>,
    acknowledged: bool,
    began: u64,
    validities: Vec<u32>,
}

async fn play(seed: u64, layout: Layout, stop: Option<u64>) -> Played {
    let mut random = Random::new(seed);
    let disk = SimulatedDisk::new();
    let mut played = Played {
        disk: disk.clone(),
        told: vec![Known::default()],
        open: None,
        acknowledged: false,
        began: 0,
        validities: Vec::new(),
    };
    let account = open(&disk, layout).unwrap();
    let first = look(&account, &disk, &mut played.validities).await.unwrap();
    played.told.push(first);
    played.began = disk.count();
    if let Some(stop) = stop {
        disk.stop_after(stop);
    }
    for number in 0..STEPS {
        let op = draw(&mut random, played.told.last().unwrap(), number);
        match run(&account, &disk, op.clone()).await {
            Err(StorageError::Backend(_) | StorageError::Unavailable(_) | StorageError::Indeterminate(_))
                if stop.is_some() =>
            {
                played.open = Some(op);
                return played;
            }
            Ok(()) | Err(StorageError::Exists | StorageError::Denied | StorageError::NoMailbox) => {}
            Err(error) => panic!("seed {seed}: {op:?} failed: {error}"),
        }
        let Ok(known) = look(&account, &disk, &mut played.validities).await else {
            // It was acknowledged, and is not told only because nothing can be read any more.
            played.open = Some(op);
            played.acknowledged = true;
            return played;
        };
        played.told.push(known);
    }
    played
}

const STEPS: usize = 12;

/// Plays a run, cuts the power after each operation, and looks at what is left.
async fn cut_everywhere(seed: u64, layout: Layout) {
    let whole = play(seed, layout, None).await;
    let count = whole.disk.count();
    let mut random = Random::new(seed ^ 0x5a5a);
    for stop in whole.began..count {
        let played = play(seed, layout, Some(stop)).await;
        let lost_index = random.percent(25);
        let left = played.disk.crash(&mut |choices| random.below(choices));
        let place =
            format!("seed {seed}, {layout:?}, stopped after {stop} of {count}, index lost: {lost_index}");
        if lost_index {
            forget_index(&left);
        }
        let account = open(&left, layout).unwrap_or_else(|error| panic!("{place}: {error}"));
        let mut validities = played.validities.clone();
        let found =
            look(&account, &left, &mut validities).await.unwrap_or_else(|error| panic!("{place}: {error}"));
        let told = played.told.last().unwrap();
        let before = is_like(&found, told, told);
        let after = match &played.open {
            // What a whole run has found after the change that was under way.
            Some(_) => whole.told.get(played.told.len()).map(|after| is_like(&found, after, told)),
            None => None,
        };
        let before = if played.acknowledged { Err("acknowledged".to_owned()) } else { before };
        if let Err(why) = &before
            && !matches!(after, Some(Ok(())))
        {
            panic!("{place}, in {:?}: as before: {why}; as after: {after:?}", played.open);
        }
        if let Err(why) = goes_on(&found, &played.told) {
            panic!("{place}, in {:?}: {why}", played.open);
        }
    }
}

/// Removes what may be removed at any time.
fn forget_index(disk: &SimulatedDisk) {
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for (name, kind) in disk.list(&folder).unwrap() {
            let path = join(&folder, &name);
            if kind == crate::disk::Kind::Folder {
                folders.push(path);
            } else if ["imapper.index", "imapper.account", "imapper.cache"].contains(&name.as_str()) {
                disk.unlink(&path).unwrap();
                disk.sync_folder(&folder).unwrap();
            }
        }
    }
}

/// `IMAPPER_LONG=1` plays 100 runs a layout.
#[tokio::test]
async fn what_was_acknowledged_is_there_when_the_power_fails() {
    let runs = if std::env::var_os("IMAPPER_LONG").is_some() { 100 } else { 4 };
    let first = any_seed();
    for seed in (0..runs).map(|n| first.wrapping_add(n)) {
        cut_everywhere(seed, Layout::MaildirPlusPlus).await;
        cut_everywhere(seed, Layout::Fs).await;
    }
}
