//! What a case works with: a fresh storage, and short words for what is done with it again and again.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use imapper_core::storage::{
    AccountId, Appended, Caps, Changes, FlagChange, FlagOp, MailboxId, MailboxInfo, Mbox, ModSeqs,
    NewMessage, Reach, Result, Row, Snapshot, Staged, Storage, StorageError, Stored, TreeOp, Want,
};
use imapper_core::types::{BodyRef, Flags, InternalDate, Keyword, ModSeq, SystemFlag, Uid, UidSet};

use super::StorageUnderTest;
use crate::case::Subject;
pub(crate) use crate::case::{Outcome, Stop, ensure};

/// When messages of the suite came: in a zone that is not UTC.
pub(crate) const DATE: InternalDate = InternalDate { seconds: 1_379_204_548, offset_minutes: -180 };

impl From<StorageError> for Stop {
    #[track_caller]
    fn from(error: StorageError) -> Self {
        let place = std::panic::Location::caller();
        Self::Broken(format!("a call that must work failed: {error} ({place})"))
    }
}

/// Ends the case unless both are equal; the text says what this is about.
macro_rules! same {
    ($found:expr, $wanted:expr, $($text:tt)+) => {{
        let (found, wanted) = (&$found, &$wanted);
        if *found != *wanted {
            let what = format!($($text)+);
            let told = format!("{what}: found {found:?}, where it must be {wanted:?}");
            return Err($crate::storage::trial::Stop::Broken(told));
        }
    }};
}

/// Ends the case unless the call is refused with that error.
macro_rules! refused {
    ($call:expr, $error:pat, $($text:tt)+) => {{
        match $call {
            Err($error) => {}
            Err(other) => {
                let what = format!($($text)+);
                let told = format!("{what}: refused with {other:?}, where {} is meant", stringify!($error));
                return Err($crate::storage::trial::Stop::Broken(told));
            }
            Ok(_) => {
                let what = format!($($text)+);
                let told = format!("{what}: done, where it must be refused with {}", stringify!($error));
                return Err($crate::storage::trial::Stop::Broken(told));
            }
        }
    }};
}

/// The optional feature, or the case is skipped.
macro_rules! optional {
    ($found:expr) => {
        $found.ok_or($crate::case::Stop::Skipped("the storage does not have the feature"))?
    };
}

pub(crate) use {optional, refused, same};

/// A case's storage. Clones are handed to tasks.
#[derive(Clone)]
pub(crate) struct Trial(Arc<Inner>);

struct Inner {
    /// Away only while it is opened anew.
    subject: Mutex<Option<Box<dyn StorageUnderTest>>>,
    rule: Mutex<&'static str>,
}

impl Subject for Trial {
    fn last_rule(&self) -> &'static str {
        *self.0.rule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trial {
    pub(crate) fn new(subject: Box<dyn StorageUnderTest>) -> Self {
        Self(Arc::new(Inner { subject: Mutex::new(Some(subject)), rule: Mutex::new("") }))
    }

    /// Names the sentence of the contract, and the RFC's place, that is checked from here on.
    pub(crate) fn rule(&self, rule: &'static str) {
        *self.0.rule.lock().unwrap_or_else(PoisonError::into_inner) = rule;
    }

    /// The storage.
    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        let subject = self.0.subject.lock().unwrap_or_else(PoisonError::into_inner);
        // Only a case that goes on while it opens the storage anew would find none; there is no such.
        subject.as_ref().map_or_else(|| Arc::new(crate::Model::new()) as Arc<dyn Storage>, |s| s.storage())
    }

    /// The storage held once more.
    pub(crate) fn beside(&self) -> Option<Arc<dyn Storage>> {
        let subject = self.0.subject.lock().unwrap_or_else(PoisonError::into_inner);
        subject.as_ref().and_then(|subject| subject.beside())
    }

    /// Closes the storage and opens it again; skips the case where nothing survives that.
    pub(crate) async fn reopen(&self) -> Outcome {
        let subject = self.0.subject.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut subject) = subject else { return Err(Stop::Skipped("the storage is closed")) };
        let survived = subject.reopen().await;
        *self.0.subject.lock().unwrap_or_else(PoisonError::into_inner) = Some(subject);
        if survived { Ok(()) } else { Err(Stop::Skipped("the storage does not outlive its process")) }
    }

    pub(crate) fn caps(&self) -> Caps {
        self.storage().caps()
    }

    /// Goes on only if the storage keeps mod-sequences so far.
    pub(crate) fn needs_modseqs(&self, least: ModSeqs) -> Outcome {
        self.needs(self.caps().modseq >= least, "the storage does not keep mod-sequences so far")
    }

    /// Goes on only on that condition.
    #[expect(clippy::unused_self, reason = "reads as the others do")]
    pub(crate) fn needs(&self, condition: bool, otherwise: &'static str) -> Outcome {
        if condition { Ok(()) } else { Err(Stop::Skipped(otherwise)) }
    }

    /// Goes on only if a mailbox may have so many keywords.
    pub(crate) fn needs_keywords(&self, count: usize) -> Outcome {
        let enough = self.caps().keywords.is_none_or(|most| most >= count);
        self.needs(enough, "a mailbox has too few keywords here")
    }

    pub(crate) async fn inbox(&self) -> Outcome<Mbox> {
        self.inbox_of(&john()).await
    }

    pub(crate) async fn inbox_of(&self, account: &AccountId) -> Outcome<Mbox> {
        match self.find(account, "INBOX").await? {
            Some(info) => Ok(Mbox { account: account.clone(), id: info.id }),
            None => Err(Stop::Broken(format!("the account {account} has no INBOX"))),
        }
    }

    /// The mailbox of that name, if there is one.
    pub(crate) async fn find(&self, account: &AccountId, name: &str) -> Outcome<Option<MailboxInfo>> {
        let list = self.storage().list(account).await?;
        Ok(list.into_iter().find(|info| info.name == name && !info.no_select))
    }

    /// The names of john's mailboxes that can be selected, sorted.
    pub(crate) async fn names(&self) -> Outcome<Vec<String>> {
        let list = self.storage().list(&john()).await?;
        let mut names: Vec<String> =
            list.into_iter().filter(|info| !info.no_select).map(|info| info.name).collect();
        names.sort();
        Ok(names)
    }

    pub(crate) async fn create(&self, name: &str) -> Outcome<Mbox> {
        self.create_in(&john(), name).await
    }

    pub(crate) async fn create_in(&self, account: &AccountId, name: &str) -> Outcome<Mbox> {
        match self.tree(account, create(name)).await? {
            Some(info) => {
                same!(info.name, name, "CREATE gives a mailbox of another name");
                Ok(Mbox { account: account.clone(), id: info.id })
            }
            None => Err(Stop::Broken(format!("CREATE of {name:?} does not give the mailbox that it made"))),
        }
    }

    pub(crate) async fn tree(&self, account: &AccountId, op: TreeOp) -> Result<Option<MailboxInfo>> {
        self.storage().tree(account, op).await
    }

    pub(crate) async fn delete(&self, mbox: &Mbox) -> Result<()> {
        self.tree(&mbox.account, TreeOp::Delete { id: mbox.id.clone() }).await.map(drop)
    }

    pub(crate) async fn rename(&self, mbox: &Mbox, to: &str) -> Result<()> {
        self.tree(&mbox.account, TreeOp::Rename { id: mbox.id.clone(), to: to.to_owned() }).await.map(drop)
    }

    pub(crate) async fn subscribe(&self, name: &str, on: bool) -> Result<()> {
        self.tree(&john(), TreeOp::Subscribe { name: name.to_owned(), on }).await.map(drop)
    }

    pub(crate) async fn subscriptions(&self) -> Outcome<Vec<String>> {
        let mut names = self.storage().subscriptions(&john()).await?;
        names.sort();
        Ok(names)
    }

    pub(crate) async fn stage(&self, account: &AccountId, octets: &[u8]) -> Result<Staged> {
        let body = stream::iter([Ok(Bytes::copy_from_slice(octets))]).boxed();
        self.storage().stage(account, Some(octets.len() as u64), body).await
    }

    /// A message that can be appended.
    pub(crate) async fn message(&self, octets: &[u8], flags: Flags) -> Result<NewMessage> {
        Ok(NewMessage::new(self.stage(&john(), octets).await?, flags, DATE))
    }

    pub(crate) async fn append(&self, mbox: &Mbox, octets: &[u8]) -> Outcome<Uid> {
        self.append_with(mbox, octets, Flags::default()).await
    }

    pub(crate) async fn append_with(&self, mbox: &Mbox, octets: &[u8], flags: Flags) -> Outcome<Uid> {
        let staged = self.stage(&mbox.account, octets).await?;
        let message = NewMessage::new(staged, flags, DATE);
        one(&self.storage().append(mbox, vec![message]).await?)
    }

    /// Appends so many messages, each by a call of its own; gives their UIDs.
    pub(crate) async fn fill(&self, mbox: &Mbox, count: usize) -> Outcome<Vec<Uid>> {
        let mut uids = Vec::new();
        for n in 1..=count {
            uids.push(self.append(mbox, &letter(n)).await?);
        }
        Ok(uids)
    }

    pub(crate) async fn snapshot(&self, mbox: &Mbox) -> Result<Snapshot> {
        self.storage().snapshot(mbox).await
    }

    pub(crate) async fn modseq(&self, mbox: &Mbox) -> Result<ModSeq> {
        Ok(self.snapshot(mbox).await?.status.highest_modseq)
    }

    pub(crate) async fn rows(&self, mbox: &Mbox) -> Result<Vec<Row>> {
        self.rows_of(mbox, &UidSet::all()).await
    }

    pub(crate) async fn rows_of(&self, mbox: &Mbox, uids: &UidSet) -> Result<Vec<Row>> {
        self.storage().rows(mbox, uids, Want::ALL).await?.try_concat().await
    }

    pub(crate) async fn row(&self, mbox: &Mbox, uid: Uid) -> Outcome<Row> {
        let rows = self.rows_of(mbox, &set([uid])).await?;
        rows.into_iter().next().ok_or_else(|| Stop::Broken(format!("rows() does not give the message {uid}")))
    }

    /// A message's body, where it lies.
    pub(crate) async fn body(&self, mbox: &Mbox, uid: Uid) -> Outcome<BodyRef> {
        let body = self.row(mbox, uid).await?.body;
        body.ok_or_else(|| Stop::Broken("rows() does not tell the body that is asked for".to_owned()))
    }

    pub(crate) async fn read(&self, body: &BodyRef, range: Range<u64>) -> Result<Vec<u8>> {
        let pieces: Vec<Bytes> = self.storage().read(body, range).await?.try_collect().await?;
        Ok(pieces.concat())
    }

    /// A message's octets.
    pub(crate) async fn text(&self, mbox: &Mbox, uid: Uid) -> Outcome<Vec<u8>> {
        let body = self.body(mbox, uid).await?;
        Ok(self.read(&body, 0..u64::MAX).await?)
    }

    pub(crate) async fn flag(&self, mbox: &Mbox, uids: UidSet, op: FlagOp) -> Result<Stored> {
        self.storage().set_flags(mbox, FlagChange { uids, op, unchanged_since: None }).await
    }

    pub(crate) async fn expunge(&self, mbox: &Mbox, uids: &UidSet) -> Result<UidSet> {
        Ok(self.storage().expunge(mbox, uids, false).await?.0)
    }

    /// All that has changed since, in one piece: what several answers tell one after the other.
    pub(crate) async fn changes(&self, mbox: &Mbox, since: ModSeq) -> Outcome<Changes> {
        let mut all = self.storage().changes(mbox, since, usize::MAX).await?;
        while all.more {
            let next = self.storage().changes(mbox, all.to, usize::MAX).await?;
            ensure!(next.to > all.to || !next.more, "changes() comes no further than {}", all.to);
            all.changed.extend(next.changed);
            let removed = all.removed.union(&next.removed);
            all = Changes { changed: all.changed, removed, exact: all.exact && next.exact, ..next };
        }
        Ok(all)
    }

    /// How long an event may be on its way.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(if self.caps().watch == Reach::Cluster { 10 } else { 2 })
    }

    /// Waits a little, but not for ever.
    pub(crate) async fn within<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.patience(), future).await.ok()
    }
}

/// The account that most cases use.
pub(crate) fn john() -> AccountId {
    AccountId::from("john")
}

/// A mailbox that john does not have.
pub(crate) fn missing() -> Mbox {
    Mbox { account: john(), id: MailboxId::from("0-none") }
}

pub(crate) fn create(name: &str) -> TreeOp {
    TreeOp::Create { name: name.to_owned(), special_use: Vec::new() }
}

pub(crate) fn set(uids: impl IntoIterator<Item = Uid>) -> UidSet {
    uids.into_iter().collect()
}

/// The only UID of an answer.
pub(crate) fn one(appended: &Appended) -> Outcome<Uid> {
    match appended.uids.as_slice() {
        [uid] => Ok(*uid),
        uids => Err(Stop::Broken(format!("append() of one message gives the UIDs {uids:?}"))),
    }
}

/// That many UIDs, as an array.
pub(crate) fn array<const N: usize>(uids: Vec<Uid>) -> Outcome<[Uid; N]> {
    uids.try_into().map_err(|uids: Vec<Uid>| Stop::Broken(format!("{} UIDs for {N} messages", uids.len())))
}

/// The message of that number: a header and a line.
pub(crate) fn letter(number: usize) -> Vec<u8> {
    format!("Subject: letter {number}\r\n\r\nnumber {number}\r\n").into_bytes()
}

pub(crate) fn system(flag: SystemFlag) -> Flags {
    Flags::new(flag.into(), [])
}

pub(crate) fn keyword(word: &str) -> Flags {
    Flags::new(imapper_core::types::SystemFlags::NONE, [Keyword::new(word)])
}

/// What tells one state of a message from another.
pub(crate) fn state(row: &Row) -> (Uid, ModSeq, Flags, InternalDate, u64) {
    (row.uid, row.modseq, row.flags.clone(), row.internal_date, row.size)
}
