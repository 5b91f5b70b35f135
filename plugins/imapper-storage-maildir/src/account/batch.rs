//! Planning: changes that are planned together, and what each of them comes to.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use imapper_core::storage::{KeptDigest, MailboxId, QuotaLimits, Result, StorageError};
use imapper_core::types::{ModSeq, Uid, UidSet};

use super::Account;
use super::journal::Record;
use super::settings::Setting;
use super::state::State;
use super::threads::Threads;
use crate::mailbox::Mailbox;
use crate::mailbox::entry::Entry;

/// A change in the queue.
pub(super) type Job = Box<dyn FnMut(&mut Batch<'_>) -> Planned + Send>;
pub(super) type Done = Box<dyn FnOnce(Result<()>) + Send>;
/// What is done once a change is shown; failing is its own affair.
pub(super) type After = Box<dyn FnOnce(&Account) + Send>;

/// What a change makes of the tree.
pub(super) type TreeChange = Box<dyn FnOnce(&mut State) + Send>;

/// What became of planning a change.
pub(super) enum Planned {
    Change(Box<Change>, Done),
    /// It has to wait for another one of this batch.
    Later,
    /// It was answered already.
    Nothing,
}

/// Why a change is not planned.
pub(crate) enum Stop {
    /// It has to wait for another change of this batch.
    Later,
    /// It is refused.
    Refused(StorageError),
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Self {
        Self::Refused(error)
    }
}

/// A change, planned.
#[derive(Default)]
pub(crate) struct Change {
    /// Steps on the disk.
    pub(super) record: Record,
    /// What is written down of mailboxes, and shown then.
    pub(super) entries: Vec<(MailboxId, Vec<Entry>)>,
    /// Lines for lists of UIDs.
    pub(super) lines: Vec<(MailboxId, Vec<(u32, String)>)>,
    /// What is written down of the account.
    pub(super) settings: Vec<Setting>,
    /// What becomes of the tree.
    pub(super) tree: Option<TreeChange>,
    /// What is done before it is answered, though it need not be durable.
    pub(super) beside: Option<After>,
    pub(super) after: Option<After>,
}

/// What a batch has planned so far in a mailbox.
#[derive(Default)]
struct Work {
    uid_next: Option<Uid>,
    modseq: Option<ModSeq>,
    touched: UidSet,
    exclusive: bool,
    used: bool,
}

/// Changes that are planned together.
pub(crate) struct Batch<'a> {
    pub(crate) account: &'a Account,
    pub(crate) now: SystemTime,
    pub(super) threads: &'a mut Threads,
    work: HashMap<MailboxId, Work>,
    /// Octets and messages that are on their way in.
    added: (i128, i128),
    tokens: HashSet<(MailboxId, Vec<u8>)>,
    planned: usize,
    exclusive: bool,
    /// Why nothing can be planned.
    refused: Option<String>,
    /// All mailboxes were opened for this batch.
    all_open: bool,
}

impl<'a> Batch<'a> {
    pub(super) fn new(account: &'a Account, threads: &'a mut Threads) -> Self {
        Self {
            account,
            now: SystemTime::now(),
            threads,
            work: HashMap::new(),
            added: (0, 0),
            tokens: HashSet::new(),
            planned: 0,
            exclusive: false,
            refused: None,
            all_open: false,
        }
    }

    /// Refuses all changes.
    pub(super) fn refuse(&mut self, error: &StorageError) {
        self.refused = Some(error.to_string());
    }

    /// An error, if nothing can be planned.
    pub(super) fn check(&self) -> Result<()> {
        let unavailable = |why: &String| StorageError::Unavailable(why.as_str().into());
        self.refused.as_ref().map_or(Ok(()), |why| Err(unavailable(why)))
    }

    /// Whether nothing is planned yet, so that no change has to wait for another one.
    pub(super) fn is_fresh(&self) -> bool {
        self.work.is_empty() && self.tokens.is_empty() && self.planned == 0 && !self.exclusive
    }

    /// Whether a change is planned that has the batch for itself.
    pub(super) const fn is_alone(&self) -> bool {
        self.exclusive
    }

    /// Notes that a change is planned.
    pub(super) const fn add(&mut self) {
        self.planned = self.planned.saturating_add(1);
    }

    /// Sees to a mailbox being open and as the disk has it now.
    pub(crate) fn open(&mut self, id: &MailboxId) -> Result<()> {
        if self.work.get(id).is_some_and(|work| work.used) {
            return Ok(());
        }
        self.account.refresh(id)
    }

    /// Sees to all mailboxes being open, once for a batch. One that can't be opened counts as empty: it must not be the
    /// end of all others.
    pub(crate) fn open_all(&mut self) {
        if std::mem::replace(&mut self.all_open, true) {
            return;
        }
        let ids: Vec<MailboxId> = self.account.read().slots.keys().cloned().collect();
        for id in ids {
            if let Err(error) = self.open(&id) {
                tracing::warn!(%error, account = %self.account.id, mailbox = %id, "a mailbox can't be counted");
            }
        }
    }

    /// Notes that a change concerns messages of a mailbox. Not in the batch in which another one concerns them.
    pub(super) fn touch(&mut self, id: &MailboxId, uids: &UidSet) -> std::result::Result<(), Stop> {
        let work = self.work.entry(id.clone()).or_default();
        if self.exclusive || work.exclusive || !work.touched.intersection(uids).is_empty() {
            return Err(Stop::Later);
        }
        work.touched = work.touched.union(uids);
        work.used = true;
        Ok(())
    }

    /// Notes that a change concerns all of a mailbox.
    pub(super) fn touch_all(&mut self, id: &MailboxId) -> std::result::Result<(), Stop> {
        let work = self.work.entry(id.clone()).or_default();
        if self.exclusive || work.used {
            return Err(Stop::Later);
        }
        (work.used, work.exclusive) = (true, true);
        Ok(())
    }

    /// Notes that a change concerns the whole account: it is alone in its batch.
    pub(super) fn alone(&mut self) -> std::result::Result<(), Stop> {
        if self.planned > 0 || self.exclusive {
            return Err(Stop::Later);
        }
        self.exclusive = true;
        Ok(())
    }

    /// Notes a token. Not in the batch in which it comes a second time.
    pub(super) fn token(&mut self, id: &MailboxId, token: &[u8]) -> std::result::Result<(), Stop> {
        if self.tokens.insert((id.clone(), token.to_vec())) { Ok(()) } else { Err(Stop::Later) }
    }

    /// The mod-sequence of a change of a mailbox.
    pub(super) fn next_modseq(&mut self, id: &MailboxId, mailbox: &Mailbox) -> ModSeq {
        let work = self.work.entry(id.clone()).or_default();
        let modseq = work.modseq.unwrap_or_else(|| mailbox.modseq()).max(mailbox.modseq()).next();
        work.modseq = Some(modseq);
        modseq
    }

    /// UIDs for so many new messages; gives the first.
    pub(super) fn next_uids(&mut self, id: &MailboxId, mailbox: &Mailbox, count: usize) -> Result<Uid> {
        const FULL: StorageError = StorageError::Limit("the mailbox has no UIDs left");
        let work = self.work.entry(id.clone()).or_default();
        let first = work.uid_next.unwrap_or(mailbox.uid_next).max(mailbox.uid_next);
        let count = u32::try_from(count).map_err(|_| FULL)?;
        // The highest is left out, so that UIDNEXT can lie above.
        work.uid_next = Some(first.get().checked_add(count).and_then(Uid::new).ok_or(FULL)?);
        Ok(first)
    }

    /// Takes room for so many octets and messages more, or gives it back.
    pub(super) fn take_room(&mut self, octets: i128, messages: i128) -> Result<()> {
        let limits = self.account.read().settings.limits.within(self.account.most());
        if limits != QuotaLimits::NONE && (octets > 0 || messages > 0) {
            self.open_all();
            let (used, count) = self.account.read().used();
            let fits = |used: u64, on_the_way: i128, more: i128, most: Option<u64>| {
                let sum = i128::from(used).saturating_add(on_the_way).saturating_add(more);
                more <= 0 || most.is_none_or(|most| sum <= i128::from(most))
            };
            if !fits(used, self.added.0, octets, limits.octets)
                || !fits(count, self.added.1, messages, limits.messages)
            {
                return Err(StorageError::OverQuota);
            }
        }
        self.added = (self.added.0.saturating_add(octets), self.added.1.saturating_add(messages));
        Ok(())
    }
}

impl Change {
    /// Digests that the core offers.
    pub(crate) fn keeping(id: &MailboxId, digests: Vec<(Uid, KeptDigest)>) -> Self {
        Self { beside: super::append::keep(id, digests, UidSet::new()), ..Self::default() }
    }

    /// Whether anything is done at all.
    pub(super) fn is_empty(&self) -> bool {
        self.record == Record::default()
            && self.entries.is_empty()
            && self.settings.is_empty()
            && self.tree.is_none()
            && self.beside.is_none()
            && self.after.is_none()
    }

    /// Whether a crash could leave it half done.
    pub(super) fn needs_journal(&self) -> bool {
        self.record.additions.len().saturating_add(self.record.removals.len()) > 1
    }
}
