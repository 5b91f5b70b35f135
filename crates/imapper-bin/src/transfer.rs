//! Moving mail in and out: from a [`Source`] to a [`Target`], mailbox by mailbox, message by message. One of the
//! two is the storage that the configuration names, the other a Maildir tree, an mbox file or a JSON fixture.
//!
//! Sources are only read. What a target holds already is passed over, so that a transfer that was interrupted
//! can be run again.

pub(crate) mod form;
mod json;
mod lines;
mod maildir;
mod mbox;
mod name;
mod storage;
mod tally;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use imapper_core::storage::Numbers;
use imapper_core::types::{Flags, InternalDate, Keyword, Uid};

pub(crate) use form::Form;
pub(crate) use json::{JsonTarget, read_json};
pub(crate) use maildir::{MaildirSource, MaildirTarget};
pub(crate) use mbox::{MboxSource, MboxTarget};
pub(crate) use storage::{StorageSource, StorageTarget};
pub(crate) use tally::Tally;

use crate::error::Failure;

/// The largest message that is carried, in octets: each is in memory once.
pub(crate) const LARGEST: u64 = 1024 * 1024 * 1024;

/// The name that every account's first mailbox has (RFC 9051 §5.1).
pub(crate) const INBOX: &str = "INBOX";

/// A mailbox as a source holds it.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// UTF-8, '/' between levels.
    pub(crate) name: String,
    /// Which one of the source's.
    pub(crate) place: usize,
    pub(crate) special_use: Vec<Arc<str>>,
    /// What its UIDs belong to, where its messages have some.
    pub(crate) numbers: Option<Numbers>,
    /// The keywords that its messages may have.
    pub(crate) keywords: Vec<Keyword>,
    /// How many messages there are, where that is known before.
    pub(crate) messages: Option<u64>,
}

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// What it is called when it can't be carried.
    pub(crate) name: String,
    pub(crate) uid: Option<Uid>,
    pub(crate) flags: Flags,
    pub(crate) date: InternalDate,
    /// As it goes over the wire, with CRLF.
    pub(crate) body: Bytes,
    /// Whether its lines ended in CRLF where it came from; else in LF.
    pub(crate) crlf: bool,
}

/// Why a message does not come.
#[derive(Debug)]
pub(crate) enum Broken {
    /// This one can't be read; the others can.
    Message { name: String, why: String },
    /// There is no going on.
    Source(Failure),
}

impl Broken {
    pub(crate) fn message(name: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::Message { name: name.into(), why: why.to_string() }
    }
}

/// Messages as they come: first those that have UIDs, in the order of these.
pub(crate) type Messages<'a> = BoxStream<'a, Result<Message, Broken>>;

/// Where mail comes from.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// Its mailboxes, no name twice.
    async fn folders(&self) -> Result<Vec<Folder>, Failure>;
    /// The names that are subscribed to.
    async fn subscriptions(&self) -> Result<Vec<String>, Failure>;
    /// The messages of a mailbox.
    fn messages<'a>(&'a self, folder: &'a Folder) -> Messages<'a>;
}

/// Where mail goes. What is written, passed over and left out is told to the tally.
#[async_trait]
pub(crate) trait Target: Send {
    /// Begins a mailbox; `false` if it is passed over or left out.
    async fn open(&mut self, folder: &Folder, tally: &mut Tally) -> Result<bool, Failure>;
    /// Takes a message of it.
    async fn put(&mut self, message: Message, tally: &mut Tally) -> Result<(), Failure>;
    /// Ends a mailbox: what was taken is kept from now on.
    async fn close(&mut self, tally: &mut Tally) -> Result<(), Failure>;
    /// Ends a mailbox of which not all has come.
    async fn give_up(&mut self, tally: &mut Tally) -> Result<(), Failure>;
    /// Ends all of it.
    async fn finish(&mut self, subscriptions: Vec<String>, tally: &mut Tally) -> Result<(), Failure>;
}

/// Which mailboxes are carried, and to where.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    All,
    /// Only this one.
    Only(String),
    /// All of them: INBOX becomes this one, the others lie below it.
    Below(String),
}

impl Which {
    /// The name at the target.
    fn name(&self, name: &str) -> Option<String> {
        match self {
            Self::All => Some(name.to_owned()),
            Self::Only(only) => (only == name).then(|| name.to_owned()),
            Self::Below(base) if name == INBOX => Some(base.clone()),
            Self::Below(base) => Some(format!("{base}/{name}")),
        }
    }
}

/// Carries mailboxes from one to the other.
pub(crate) async fn carry(
    source: &dyn Source,
    target: &mut dyn Target,
    which: &Which,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let mut folders = source.folders().await?;
    folders.retain(|folder| which.name(&folder.name).is_some());
    if let (Which::Only(name), true) = (which, folders.is_empty()) {
        return Err(Failure::Running(format!("there is no mailbox {name:?}")));
    }
    // INBOX first, then by name, so that a mailbox comes before those below it.
    folders.sort_by(|one, other| levels(&one.name).cmp(&levels(&other.name)));
    tally.expect(folders.iter().map(|folder| folder.messages).sum());
    for folder in &folders {
        let Some(name) = which.name(&folder.name) else { continue };
        let at_target = Folder { name, ..folder.clone() };
        tally.begin(&at_target.name);
        if at_target.name != INBOX && at_target.name.eq_ignore_ascii_case(INBOX) {
            tally.left_out(&at_target.name, "a mailbox of that name would be INBOX");
            continue;
        }
        if !target.open(&at_target, tally).await? {
            continue;
        }
        let mut messages = source.messages(folder);
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => target.put(message, tally).await?,
                Err(Broken::Message { name, why }) => tally.failed(&name, &why),
                Err(Broken::Source(failure)) => {
                    target.give_up(tally).await?;
                    return Err(failure);
                }
            }
        }
        target.close(tally).await?;
        tally.end();
    }
    let subscriptions = source.subscriptions().await?;
    let subscriptions = subscriptions.iter().filter_map(|name| which.name(name)).collect();
    target.finish(subscriptions, tally).await
}

/// A name that a mailbox can have, with INBOX in its one spelling.
pub(crate) fn check_name(name: &str) -> Result<String, Failure> {
    if name.split('/').any(str::is_empty) || name.chars().any(char::is_control) {
        return Err(Failure::configuration(format!(
            "{name:?} can't be a mailbox's name: levels are parted by one `/`"
        )));
    }
    Ok(if name.eq_ignore_ascii_case(INBOX) { INBOX.to_owned() } else { name.to_owned() })
}

/// In the order of levels, not of signs: `a/b` before `a b`.
fn levels(name: &str) -> (bool, Vec<&str>) {
    (name != INBOX && !name.starts_with("INBOX/"), name.split('/').collect())
}

/// A failure at a path.
pub(crate) fn at(path: &Path, what: impl fmt::Display) -> Failure {
    Failure::Running(format!("{}: {what}", path.display()))
}

#[cfg(test)]
#[cfg(feature = "memory")]
mod tests;
