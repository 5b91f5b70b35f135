//! Several sessions on one mailbox, with random commands: what each client reconstructs from untagged
//! responses must be what the storage holds, and nothing that it is told on the way may contradict what it was
//! told before.
//!
//! Checked at each response: numbers are of messages that the client knows; removals are not told during FETCH,
//! STORE and SEARCH by number (RFC 3501 §7.4.1); a number has one UID until its removal is told; UIDs ascend and
//! are never used again; EXISTS does not shrink (§7.3.1); a message is `\Recent` in one session at most (§2.3.2);
//! a UID has the same body for ever. Checked now and then, when all commands are answered: after a NOOP, each
//! client knows exactly what the storage holds.

mod client;
mod command;
mod model;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use imapper_core::storage::{AccountId, Mbox, Storage, Want};

use crate::random::{self, Random};
use client::{Client, Common};
use command::{Chooser, Command, Kind};

pub use model::{Message, Model};

use crate::response::Value;
use crate::server::Connect;

/// Steps between two comparisons with the storage.
const CHECK_EVERY: usize = 100;

/// How a client is told of removals in another way than by EXPUNGE.
pub trait Removals: Send + Sync {
    /// Commands that ask for it, sent after LOGIN, without a tag.
    fn ask(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether an untagged response tells removals, which must not come at any time.
    fn is_removal(&self, words: &[Value]) -> bool;

    /// Takes what the response tells out of the model ([`Model::remove`]); false if it means nothing here.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    fn told(&self, words: &[Value], model: &mut Model) -> Result<bool, String>;
}

/// By EXPUNGE alone (RFC 3501 §7.4.1), which every client understands.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByNumber;

impl Removals for ByNumber {
    fn is_removal(&self, _words: &[Value]) -> bool {
        false
    }

    fn told(&self, _words: &[Value], _model: &mut Model) -> Result<bool, String> {
        Ok(false)
    }
}

/// By VANISHED (RFC 7162 §3.2.10), for which the client asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByUid;

impl Removals for ByUid {
    fn ask(&self) -> Vec<String> {
        vec!["ENABLE QRESYNC".into()]
    }

    fn is_removal(&self, words: &[Value]) -> bool {
        words.first().and_then(Value::atom) == Some("VANISHED")
    }

    fn told(&self, words: &[Value], model: &mut Model) -> Result<bool, String> {
        if !self.is_removal(words) {
            return Ok(false);
        }
        let [_, set] = words else {
            return Err("VANISHED is told as EARLIER, and nobody asked for that".into());
        };
        let set = set.atom().ok_or("VANISHED without UIDs")?;
        for range in set.split(',') {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            let number = |text: &str| text.parse::<u32>().map_err(|_| format!("VANISHED {set}"));
            for uid in number(first)?..=number(last)? {
                model.remove_uid(uid)?;
            }
        }
        Ok(true)
    }
}

/// What is tested: a server, and the storage behind it.
pub struct Site<'a> {
    /// Connects to the server, whose clients may log in without TLS.
    pub connect: &'a dyn Connect,
    /// The storage.
    pub storage: Arc<dyn Storage>,
    /// Whose INBOX it is.
    pub account: AccountId,
    /// The user's name, an atom.
    pub user: String,
    /// The password, an atom.
    pub password: String,
}

/// How it is tested.
#[derive(Clone)]
#[non_exhaustive]
pub struct Plan {
    /// Determines which commands are chosen.
    pub seed: u64,
    /// How often a session does something.
    pub steps: usize,
    /// How each session is told of removals; one entry a session.
    pub sessions: Vec<Arc<dyn Removals>>,
}

impl Plan {
    /// So many sessions that are told of removals by EXPUNGE. The seed is that of `IMAPPER_SEED`, or any; there
    /// are 10,000 steps with `IMAPPER_LONG`, and 1,500 without.
    ///
    /// # Panics
    /// If `IMAPPER_SEED` is no number.
    pub fn new(sessions: usize) -> Self {
        let seed = std::env::var("IMAPPER_SEED").ok().map(|seed| seed.parse::<u64>());
        assert!(!matches!(seed, Some(Err(_))), "IMAPPER_SEED is a number");
        let seed = seed.and_then(Result::ok).unwrap_or_else(random::any_seed);
        let steps = if std::env::var_os("IMAPPER_LONG").is_some() { 10_000 } else { 1_500 };
        let sessions = (0..sessions).map(|_| Arc::new(ByNumber) as Arc<dyn Removals>).collect();
        Self { seed, steps, sessions }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The seed that did it.
    pub seed: u64,
    /// Steps.
    pub steps: usize,
    /// Responses that were checked.
    pub responses: u64,
    /// Comparisons of a client with the storage.
    pub comparisons: u64,
}

/// What is wrong, and how it came to it.
#[derive(Debug)]
pub struct Fault {
    /// The seed: `IMAPPER_SEED` sets it.
    pub seed: u64,
    /// The step at which it was noticed.
    pub step: usize,
    /// In words.
    pub what: String,
    /// The end of what was said by whom.
    pub transcript: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, step, what, transcript } = self;
        write!(f, "{transcript}\n\n{what}\nat step {step}; again with IMAPPER_SEED={seed}")
    }
}

impl std::error::Error for Fault {}

/// Lets the sessions of the plan work on the INBOX of the account, and compares.
///
/// # Errors
/// The first thing that is wrong.
pub async fn run(site: &Site<'_>, plan: &Plan) -> Result<Summary, Fault> {
    let mut run = Run {
        site,
        random: Random::new(plan.seed),
        clients: Vec::new(),
        common: Common::default(),
        appended: 0,
        comparisons: 0,
        step: 0,
    };
    match run.play(plan).await {
        Ok(()) => Ok(Summary {
            seed: plan.seed,
            steps: plan.steps,
            responses: run.common.responses,
            comparisons: run.comparisons,
        }),
        Err(what) => Err(Fault { seed: plan.seed, step: run.step, what, transcript: run.common.tail() }),
    }
}

struct Run<'a> {
    site: &'a Site<'a>,
    random: Random,
    clients: Vec<Client>,
    common: Common,
    appended: u64,
    comparisons: u64,
    step: usize,
}

const INBOX: &str = "INBOX";
const OTHER: &str = "Other";

impl Run<'_> {
    async fn play(&mut self, plan: &Plan) -> Result<(), String> {
        for (number, removals) in plan.sessions.iter().enumerate() {
            let client = self.enter(number, removals).await?;
            self.clients.push(client);
        }
        for step in 1..=plan.steps {
            self.step = step;
            let chosen = self.random.below(self.clients.len());
            self.act(chosen).await?;
            if step.is_multiple_of(CHECK_EVERY) {
                self.compare().await?;
            }
        }
        self.compare().await
    }

    async fn enter(&mut self, number: usize, removals: &Arc<dyn Removals>) -> Result<Client, String> {
        let stream = self.site.connect.connect().await.map_err(|error| error.to_string())?;
        let mut client = Client::new(number, stream, Arc::clone(removals));
        let common = &mut self.common;
        client.next(common).await?;
        let plain = |text: String| Command::new(text, Kind::Plain);
        client.ask(plain(format!("LOGIN {} {}", self.site.user, self.site.password)), common).await?;
        client.ask(plain("CAPABILITY".into()), common).await?;
        for text in removals.ask() {
            client.ask(plain(text), common).await?;
        }
        if number == 0 {
            client.ask(plain(format!("CREATE {OTHER}")), common).await?;
            for count in 0..3 {
                let mut append = plain(format!("APPEND {OTHER} "));
                append.literal = Some(format!("Subject: other {count}\r\n\r\nHello.\r\n"));
                client.ask(append, common).await?;
            }
        }
        client.ask(Command::select(INBOX, false), common).await?;
        Ok(client)
    }

    /// One session does something; or it goes on with what it was doing, and then does something.
    async fn act(&mut self, chosen: usize) -> Result<(), String> {
        let (random, common) = (&mut self.random, &mut self.common);
        let Some(client) = self.clients.get_mut(chosen) else { return Ok(()) };
        if client.is_idle && random.percent(50) {
            return client.listen(common).await;
        }
        client.finish(common).await?;
        let Some(model) = &client.model else {
            return client.ask(Command::select(INBOX, false), common).await;
        };
        self.appended += 1;
        let mut chooser = Chooser {
            random: &mut *random,
            model,
            can: client.can,
            mailbox: INBOX,
            other: OTHER,
            serial: self.appended,
        };
        let commands = chooser.choose();
        client.send(commands, common).await?;
        match random.below(3) {
            // Others go on while this one's commands run.
            0 => Ok(()),
            1 => client.listen(common).await,
            _ if client.is_idle => Ok(()),
            _ => client.finish(common).await,
        }
    }

    /// When nothing is under way, each client must know after a NOOP what the storage holds.
    async fn compare(&mut self) -> Result<(), String> {
        for client in &mut self.clients {
            client.finish(&mut self.common).await?;
        }
        for number in 0..self.clients.len() {
            let Some(client) = self.clients.get_mut(number) else { continue };
            let common = &mut self.common;
            if client.model.is_none() {
                client.ask(Command::select(INBOX, false), common).await?;
            }
            client.ask(Command::new("NOOP", Kind::Plain), common).await?;
            let at = |what: String| format!("session {number}: {what}");
            let truth = truth(self.site).await?;
            compare(client.model.as_ref(), &truth).map_err(at)?;
            // What it was never told, it asks for.
            if let Some(fetch) = client.model.as_ref().and_then(Command::fetch_unknown) {
                client.ask(fetch, common).await?;
                compare(client.model.as_ref(), &truth).map_err(at)?;
                if client.model.as_ref().is_some_and(|model| !model.unknown().is_empty()) {
                    return Err(at("FETCH (UID FLAGS) has not told all".into()));
                }
            }
            self.comparisons += 1;
        }
        Ok(())
    }
}

/// UIDs and flags as the storage holds them.
async fn truth(site: &Site<'_>) -> Result<BTreeMap<u32, model::Flags>, String> {
    let failed = |error: imapper_core::storage::StorageError| format!("the storage: {error}");
    let list = site.storage.list(&site.account).await.map_err(failed)?;
    let inbox = list.into_iter().find(|info| info.name == INBOX).ok_or("the storage has no INBOX")?;
    let mbox = Mbox { account: site.account.clone(), id: inbox.id };
    let snapshot = site.storage.snapshot(&mbox).await.map_err(failed)?;
    let rows = site.storage.rows(&mbox, &snapshot.uids, Want::FLAGS).await.map_err(failed)?;
    let rows: Vec<_> = rows.try_concat().await.map_err(failed)?;
    let truth: BTreeMap<_, _> = rows
        .iter()
        .map(|row| (row.uid.get(), row.flags.names().map(str::to_ascii_lowercase).collect()))
        .collect();
    if truth.len() as u64 == snapshot.uids.len() {
        Ok(truth)
    } else {
        Err("the storage's rows and its snapshot differ".into())
    }
}

fn compare(model: Option<&Model>, truth: &BTreeMap<u32, model::Flags>) -> Result<(), String> {
    let model = model.ok_or("no mailbox is open")?;
    if model.messages.len() != truth.len() {
        let (known, there) = (model.messages.len(), truth.len());
        return Err(format!("the client knows of {known} messages, the storage has {there}"));
    }
    for (number, (message, (uid, flags))) in (1..).zip(model.messages.iter().zip(truth)) {
        if message.uid.is_some_and(|known| known != *uid) {
            return Err(format!(
                "number {number} is UID {:?} to the client, UID {uid} in the storage",
                message.uid
            ));
        }
        if message.flags.as_ref().is_some_and(|known| known != flags) {
            let known = &message.flags;
            return Err(format!("UID {uid} has the flags {known:?} to the client, {flags:?} in the storage"));
        }
    }
    Ok(())
}
