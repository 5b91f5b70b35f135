//! What one client has been told of its selected mailbox: the only file that counts sequence numbers.
//!
//! A view is the table that the client holds in its head (`told`), beside the [hub](super::hub)'s, which is the
//! mailbox now. [`View::sync`] compares both, and gives what has to be told to make them equal. While a message
//! that was removed must not be told as such, it keeps its place among those told.

use std::sync::Arc;

use super::hub::Hub;
use super::table::{Difference, Entry, Table};
use crate::storage::{FlagOp, Result, Stored};
use crate::types::{ModSeq, Seq, SequenceSet, SystemFlag, Uid, UidSet};

/// Whether the command that runs allows that removals are told (RFC 9051 §7.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removals {
    /// They may be told.
    Tell,
    /// FETCH, STORE or SEARCH by sequence number: they wait, and the numbers stay.
    Hold,
}

/// Something to tell the client. A list of them is right when the client applies one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// A message is gone. The highest come first, so that each number is the one before the list began.
    Expunge {
        /// Its number.
        seq: Seq,
        /// Its UID.
        uid: Uid,
    },
    /// There are so many messages now (RFC 9051 §7.4.1).
    Exists(u32),
    /// So many of them are `\Recent` (RFC 3501 §7.3.2).
    Recent(u32),
    /// A message's flags are now as in [`View::told`].
    Flags {
        /// Its number.
        seq: Seq,
        /// Its UID.
        uid: Uid,
    },
    /// A message's flags are as they were, its mod-sequence is another. Only when
    /// [`View::watch_modseqs`] was asked for.
    ModSeq {
        /// Its number.
        seq: Seq,
        /// Its UID.
        uid: Uid,
    },
}

/// A sequence number for which there is no message: the command is answered BAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no message of that number")]
pub struct BadSeq;

/// One session's view of its selected mailbox.
#[derive(Debug)]
pub struct View {
    hub: Arc<Hub>,
    read_only: bool,
    // What the client has been told, with those that are gone and not yet told as such.
    told: Table,
    // Of `told`, those that are gone, as of the last sync.
    held: UidSet,
    // The highest UID that the client was ever told. Messages only come above it.
    top: Option<Uid>,
    // May name UIDs between, that do not exist.
    recent: UidSet,
    recent_told: u32,
    retell: UidSet,
    watch_modseqs: bool,
}

/// What lies between what was told and what is.
#[derive(Default)]
struct Pending {
    removed: Vec<(Seq, Uid)>,
    // Told entries that stay: those held, and those that the client knows better than the hub.
    kept: Vec<Entry>,
    // Messages below the top, which would shift the numbers of those above.
    hidden: UidSet,
    added: bool,
    flags: UidSet,
    modseqs: UidSet,
}

impl View {
    /// The view of a session that selects the mailbox, or with `read_only` examines it. Selecting takes the
    /// messages that are `\Recent` for itself, examining leaves them to others (RFC 3501 §6.3.2).
    pub async fn open(hub: Arc<Hub>, read_only: bool) -> Result<Self> {
        let mut view = Self {
            told: Table::new(),
            hub,
            read_only,
            held: UidSet::new(),
            top: None,
            recent: UidSet::new(),
            recent_told: 0,
            retell: UidSet::new(),
            watch_modseqs: false,
        };
        view.claim().await?;
        view.told = view.hub.table();
        view.top = view.told.last_uid();
        view.recent_told = view.recent_count();
        Ok(view)
    }

    /// The mailbox that is viewed.
    pub const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Whether the mailbox was examined.
    pub const fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The messages as the client knows them.
    pub const fn told(&self) -> &Table {
        &self.told
    }

    /// How many messages the client knows of.
    pub fn exists(&self) -> u32 {
        self.told.len()
    }

    /// How many of them are `\Recent`.
    pub fn recent_count(&self) -> u32 {
        self.told.count(&self.recent)
    }

    /// Whether a message is `\Recent` in this session.
    pub fn is_recent(&self, uid: Uid) -> bool {
        self.recent.contains(uid)
    }

    /// The first message without `\Seen` (RFC 3501 §7.1, UNSEEN).
    pub fn first_unseen(&self) -> Option<Seq> {
        self.told.iter().find(|(_, entry)| !entry.flags.contains(SystemFlag::Seen)).map(|(seq, _)| seq)
    }

    /// Those that the client knows and that were gone at the last [`View::sync`].
    pub const fn held(&self) -> &UidSet {
        &self.held
    }

    /// The number of a message.
    pub fn seq_of(&self, uid: Uid) -> Option<Seq> {
        self.told.find(uid).map(|(seq, _)| seq)
    }

    /// The UID of a number.
    pub fn uid_at(&self, seq: Seq) -> Option<Uid> {
        self.told.get(seq).map(|entry| entry.uid)
    }

    /// The UIDs of a set of sequence numbers. A number above the number of messages is an error, and so is
    /// `*` in an empty mailbox (RFC 9051 §9, seq-number: "should respond with a tagged BAD"). A message that
    /// is gone and not told as such still has its number.
    pub fn resolve_seqs(&self, set: &SequenceSet) -> std::result::Result<UidSet, BadSeq> {
        // A resolved set is a set of numbers, whatever their type says.
        let largest = Uid::new(self.exists()).ok_or(BadSeq)?;
        if set.largest_number().is_some_and(|number| number > largest.get()) {
            return Err(BadSeq);
        }
        let numbers = set.resolve(Some(largest));
        if numbers.first() == Some(Uid::MIN) && numbers.len() == u64::from(self.exists()) {
            return Ok(self.told.uids());
        }
        let mut uids = UidSet::new();
        for (first, last) in numbers.ranges() {
            let (Some(first), Some(last)) = (Seq::new(first.get()), Seq::new(last.get())) else { continue };
            for (_, entry) in self.told.iter_seqs(first, last) {
                uids.insert(entry.uid);
            }
        }
        Ok(uids)
    }

    /// The messages of a set of UIDs. Those that do not exist are passed over (RFC 9051 §6.4.9); `*` is the
    /// last message's.
    pub fn resolve_uids(&self, set: &SequenceSet) -> UidSet {
        let wanted = set.resolve(self.told.last_uid());
        self.told.iter_uids(&wanted).map(|(_, entry)| entry.uid).collect()
    }

    /// Tells differences in the mod-sequence alone, too.
    pub const fn watch_modseqs(&mut self, on: bool) {
        self.watch_modseqs = on;
    }

    /// Whether [`View::sync`] could have something to tell; costs nothing. May be true without need.
    pub fn is_behind(&self) -> bool {
        !self.retell.is_empty() || !self.told.is_same(&self.hub.table())
    }

    /// Makes the messages recent in this session that no session was told of yet. Called before
    /// [`View::sync`]; asks the storage only if there can be such a message.
    pub async fn claim(&mut self) -> Result<()> {
        let last = self.hub.table().last_uid();
        let (storage, mbox) = (Arc::clone(self.hub.storage()), self.hub.mbox().clone());
        if self.read_only {
            if last > self.top {
                let status = storage.status(&mbox.account, std::slice::from_ref(&mbox.id)).await?;
                self.mark_recent(status.first().and_then(|status| status.first_recent));
            }
            return Ok(());
        }
        if !self.hub.is_unclaimed(last) {
            return Ok(());
        }
        let from = storage.claim_recent(&mbox).await?;
        self.hub.note_claimed(last);
        // The claim goes up to the last message that the storage has, which the hub may not know yet.
        let refreshed = if from.is_some() { self.hub.refresh().await } else { Ok(()) };
        self.mark_recent(from);
        refreshed
    }

    fn mark_recent(&mut self, from: Option<Uid>) {
        if let (Some(from), Some(last)) = (from, self.hub.table().last_uid()) {
            self.recent.insert_range(from, last);
        }
    }

    /// What STORE .SILENT does to what the client knows (RFC 9051 §6.4.6): it reckons with its own change, and
    /// is told only what somebody else has changed besides. To be followed by [`Hub::refresh_to`].
    pub fn expect(&mut self, op: &FlagOp, stored: &Stored) {
        let modseq = if self.hub.has_modseqs() { stored.modseq } else { ModSeq::ZERO };
        let changed: UidSet = stored.changed.iter().map(|(uid, _)| *uid).collect();
        let mut entries = Vec::new();
        for (_, entry) in self.told.iter_uids(&changed.union(&stored.unchanged)) {
            let flags = op.apply(&entry.flags);
            let modseq = if changed.contains(entry.uid) { modseq } else { entry.modseq };
            if flags != entry.flags || modseq != entry.modseq {
                entries.push(Entry { uid: entry.uid, modseq, flags });
            }
        }
        self.told.set_all(entries);
    }

    /// The flags of these are told at the next [`View::sync`], changed or not, unless they are gone: what
    /// STORE without .SILENT answers.
    pub fn retell(&mut self, uids: &UidSet) {
        self.retell = self.retell.union(uids);
    }

    /// A response with these flags has gone out.
    pub fn told_flags_included(&mut self, entry: Entry) {
        if self.told.find(entry.uid).is_some() {
            let modseq = if self.hub.has_modseqs() { entry.modseq } else { ModSeq::ZERO };
            self.told.set_all([Entry { modseq, ..entry }]);
        }
    }

    /// Takes over the flags that these messages have now, without telling: for FETCH, which tells the flags
    /// itself, out of [`View::told`].
    pub fn catch_up(&mut self, uids: &UidSet) {
        let now = self.hub.table();
        if self.told.is_same(&now) {
            return;
        }
        let mut entries = Vec::new();
        for difference in self.told.diff(&now) {
            if let Difference::Changed(_, new) | Difference::Touched(_, new) = difference
                && uids.contains(new.uid)
            {
                entries.push(new.clone());
            }
        }
        self.told.set_all(entries);
    }

    /// What has to be told, so that the client knows the mailbox as the hub does; counts it as told. What is
    /// held back is told by a later call.
    pub fn sync(&mut self, removals: Removals) -> Vec<Update> {
        let now = self.hub.table();
        let mut updates = Vec::new();
        let mut pending = Pending::default();
        if !self.told.is_same(&now) {
            pending = self.pending(&now, removals);
            let mut next = now;
            next.remove(&pending.hidden);
            next.set_all(pending.kept);
            self.told = next;
            self.top = self.top.max(self.told.last_uid());
        }
        let removed: UidSet = pending.removed.iter().map(|(_, uid)| *uid).collect();
        self.held = match removals {
            Removals::Tell => {
                self.recent = self.recent.difference(&removed);
                updates.extend(pending.removed.iter().rev().map(|&(seq, uid)| Update::Expunge { seq, uid }));
                UidSet::new()
            }
            Removals::Hold => removed,
        };
        if pending.added {
            updates.push(Update::Exists(self.exists()));
        }
        let recent = self.recent_count();
        if pending.added || recent != self.recent_told {
            updates.push(Update::Recent(recent));
            self.recent_told = recent;
        }
        let retell = std::mem::take(&mut self.retell).difference(&self.held);
        let flags = pending.flags.union(&retell);
        updates.extend(self.told.iter_uids(&flags).map(|(seq, entry)| Update::Flags { seq, uid: entry.uid }));
        let modseqs = pending.modseqs.difference(&flags);
        updates
            .extend(self.told.iter_uids(&modseqs).map(|(seq, entry)| Update::ModSeq { seq, uid: entry.uid }));
        updates
    }

    fn pending(&self, now: &Table, removals: Removals) -> Pending {
        let mut pending = Pending::default();
        for difference in self.told.diff(now) {
            match difference {
                Difference::Removed(seq, entry) => {
                    pending.removed.push((seq, entry.uid));
                    if removals == Removals::Hold {
                        pending.kept.push(entry.clone());
                    }
                }
                // UIDs become visible in ascending order. Where a storage breaks that, a message in the middle
                // stays hidden until the mailbox is selected again: the client could not number it.
                Difference::Added(entry) if Some(entry.uid) <= self.top => pending.hidden.insert(entry.uid),
                Difference::Added(_) => pending.added = true,
                // Told from a newer row than the hub has: it will come.
                Difference::Changed(old, new) | Difference::Touched(old, new) if old.modseq > new.modseq => {
                    pending.kept.push(old.clone());
                }
                Difference::Changed(_, new) => pending.flags.insert(new.uid),
                Difference::Touched(_, new) if self.watch_modseqs => pending.modseqs.insert(new.uid),
                Difference::Touched(..) => {}
            }
        }
        pending
    }
}
