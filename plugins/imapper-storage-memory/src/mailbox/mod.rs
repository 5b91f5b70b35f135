//! One mailbox: its messages, its counters, its logs. Nothing here locks or waits.

mod changes;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use imapper_core::storage::{
    FlagChange, FlagOp, MailboxId, MailboxInfo, Result, Row, Snapshot, Status, StorageError, Stored, Want,
};
use imapper_core::types::{
    Flags, InternalDate, Keyword, ModSeq, SystemFlag, SystemFlags, Uid, UidSet, UidValidity,
};

use crate::body::Body;
use crate::log::Log;

/// How many keywords a mailbox may have.
pub(crate) const MAX_KEYWORDS: usize = 1024;
/// How many entries, and ranges, the log of removed UIDs keeps.
const REMOVED_LOG: usize = 10_000;

/// A message in a mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) flags: Flags,
    pub(crate) modseq: ModSeq,
    pub(crate) internal_date: InternalDate,
    pub(crate) save_date: SystemTime,
    pub(crate) email_id: u64,
    pub(crate) thread_id: u64,
    pub(crate) body: Arc<Body>,
}

impl Message {
    fn row(&self, uid: Uid, want: Want) -> Row {
        let mut row = Row::new(uid, self.modseq, self.flags.clone(), self.internal_date, self.body.size());
        row.save_date = Some(self.save_date);
        row.email_id = Some(self.email_id);
        row.thread_id = Some(self.thread_id);
        if want.digest {
            row.digest = self.body.digest();
        }
        if want.body {
            row.body = Some(self.body.reference());
        }
        row
    }
}

/// A mailbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) id: MailboxId,
    pub(crate) name: String,
    pub(crate) no_select: bool,
    pub(crate) special_use: Vec<Arc<str>>,
    pub(crate) uid_validity: UidValidity,
    pub(crate) uid_next: Uid,
    pub(crate) new_keywords: bool,
    modseq: ModSeq,
    messages: BTreeMap<Uid, Message>,
    /// The keys of `messages`.
    uids: UidSet,
    /// Every UID that a message had here that is no more.
    gone: UidSet,
    /// UIDs that were given before the mailbox came here, to messages that may have been removed since.
    before: UidSet,
    unseen: u32,
    deleted: u32,
    size: u64,
    deleted_size: u64,
    /// Messages from here on were told to no session as `\Recent`.
    recent_from: Uid,
    recent: u32,
    keywords: HashSet<Keyword>,
    changed: Log,
    removed: Log,
}

impl Mailbox {
    /// An empty mailbox. Its mod-sequence begins at 1, the lowest that RFC 7162 §3.1.1 allows.
    pub(crate) fn new(id: MailboxId, name: String, uid_validity: UidValidity) -> Self {
        Self {
            id,
            name,
            no_select: false,
            special_use: Vec::new(),
            uid_validity,
            uid_next: Uid::MIN,
            new_keywords: true,
            modseq: ModSeq(1),
            messages: BTreeMap::new(),
            uids: UidSet::new(),
            gone: UidSet::new(),
            before: UidSet::new(),
            unseen: 0,
            deleted: 0,
            size: 0,
            deleted_size: 0,
            recent_from: Uid::MIN,
            recent: 0,
            keywords: HashSet::new(),
            changed: Log::default(),
            removed: Log::default(),
        }
    }

    pub(crate) fn info(&self) -> MailboxInfo {
        let mut info = MailboxInfo::new(self.id.clone(), self.name.as_str());
        info.no_select = self.no_select;
        info.special_use.clone_from(&self.special_use);
        info
    }

    pub(crate) const fn modseq(&self) -> ModSeq {
        self.modseq
    }

    pub(crate) fn messages(&self) -> impl Iterator<Item = (Uid, &Message)> {
        self.messages.iter().map(|(uid, message)| (*uid, message))
    }

    pub(crate) fn get(&self, uid: Uid) -> Option<&Message> {
        self.messages.get(&uid)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether a message has, or ever had, that UID.
    pub(crate) fn is_taken(&self, uid: Uid) -> bool {
        self.uids.contains(uid) || self.gone.contains(uid)
    }

    pub(crate) fn status(&self) -> Status {
        let mut status = Status::empty(self.uid_validity);
        status.uid_next = self.uid_next;
        status.highest_modseq = self.modseq;
        status.messages = u32::try_from(self.messages.len()).unwrap_or(u32::MAX);
        status.unseen = self.unseen;
        status.deleted = self.deleted;
        status.size = self.size;
        status.deleted_size = self.deleted_size;
        status.first_recent = self.messages.range(self.recent_from..).next().map(|(uid, _)| *uid);
        status.recent = self.recent;
        status
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut keywords: Vec<Keyword> = self.keywords.iter().cloned().collect();
        keywords.sort();
        Snapshot { status: self.status(), uids: self.uids.clone(), keywords, new_keywords: self.new_keywords }
    }

    /// The rows of a range, into `rows` until it holds `most`; where to go on if that cut it short.
    pub(crate) fn rows(
        &self,
        (first, last): (Uid, Uid),
        want: Want,
        most: usize,
        rows: &mut Vec<Row>,
    ) -> Option<Uid> {
        for (uid, message) in self.messages.range(first..=last) {
            if rows.len() >= most {
                return Some(*uid);
            }
            rows.push(message.row(*uid, want));
        }
        None
    }

    /// The messages of a set that exist.
    pub(crate) fn select<'a>(&'a self, uids: &'a UidSet) -> impl Iterator<Item = (Uid, &'a Message)> {
        uids.ranges().flat_map(|(first, last)| self.messages.range(first..=last)).map(|(uid, m)| (*uid, m))
    }

    /// Gives the first UID that is recent and the last, and moves the mark behind that (RFC 3501 §2.3.2).
    pub(crate) fn claim_recent(&mut self) -> Option<(Uid, Uid)> {
        let last = self.messages.keys().next_back().copied();
        let claimed = self.status().first_recent.zip(last);
        self.recent_from = self.uid_next;
        self.recent = 0;
        claimed
    }

    /// Lets keywords in: makes new ones known, up to the bound. Changes nothing when it fails.
    pub(crate) fn admit<'a>(&mut self, flags: impl Iterator<Item = &'a Flags>) -> Result<()> {
        if !self.new_keywords {
            return Ok(());
        }
        let new: HashSet<Keyword> =
            flags.flat_map(Flags::keywords).filter(|word| !self.keywords.contains(*word)).cloned().collect();
        if new.is_empty() {
            return Ok(());
        }
        if self.keywords.len().saturating_add(new.len()) > MAX_KEYWORDS {
            let used = self.messages.values().flat_map(|message| message.flags.keywords());
            self.keywords = used.cloned().collect();
        }
        if self.keywords.len().saturating_add(new.len()) > MAX_KEYWORDS {
            return Err(StorageError::Limit("too many keywords in this mailbox"));
        }
        self.keywords.extend(new);
        Ok(())
    }

    /// The flags with their keywords as the mailbox spells them, without those that it does not take.
    fn spell(&self, flags: &Flags) -> Flags {
        if flags.keywords().is_empty() {
            return flags.clone();
        }
        Flags::new(flags.system, flags.keywords().iter().filter_map(|word| self.keywords.get(word)).cloned())
    }

    /// The mod-sequence of a change that begins.
    pub(crate) const fn next_modseq(&self) -> ModSeq {
        self.modseq.next()
    }

    /// Whether so many messages more can have UIDs. The highest is left out, so that UIDNEXT can lie above.
    pub(crate) fn has_room(&self, messages: usize) -> bool {
        u32::try_from(messages).is_ok_and(|count| self.uid_next.get().checked_add(count).is_some())
    }

    /// Puts messages in, with their UIDs ascending, as one change. [`Mailbox::admit`] comes first.
    pub(crate) fn insert(&mut self, messages: Vec<(Uid, Message)>) {
        if messages.is_empty() {
            return;
        }
        let modseq = self.next_modseq();
        let uids: UidSet = messages.iter().map(|(uid, _)| *uid).collect();
        for (uid, mut message) in messages {
            message.modseq = modseq;
            self.place(uid, message);
        }
        self.modseq = modseq;
        self.changed.push(modseq, uids);
        self.tidy_log();
    }

    /// Puts messages in with the mod-sequences that they bring; for a mailbox that nobody has seen yet.
    pub(crate) fn load(&mut self, messages: Vec<(Uid, Message)>) {
        for (uid, message) in messages {
            self.modseq = self.modseq.max(message.modseq);
            self.place(uid, message);
        }
        self.rewrite_log();
    }

    /// Goes on from where the mailbox was before it came here: what was removed then is not known.
    pub(crate) fn begin_at(&mut self, modseq: ModSeq) {
        self.modseq = self.modseq.max(modseq);
        self.removed.begin_at(self.modseq);
        let last = Uid::new(self.uid_next.get() - 1);
        self.before = last.map_or_else(UidSet::new, |last| UidSet::range(Uid::MIN, last));
    }

    fn place(&mut self, uid: Uid, mut message: Message) {
        message.flags = self.spell(&message.flags);
        self.count(message.flags.system, SystemFlags::from_bits(SystemFlag::Seen as u8), message.body.size());
        self.size = self.size.saturating_add(message.body.size());
        self.uids.insert(uid);
        self.uid_next = self.uid_next.max(uid.next());
        if uid >= self.recent_from {
            self.recent = self.recent.saturating_add(1);
        }
        self.messages.insert(uid, message);
    }

    /// Moves a message from one state to the other in the counters. One that was `\Seen` and not
    /// `\Deleted` is in no counter, so that this is also the state of one that was not there.
    fn count(&mut self, now: SystemFlags, before: SystemFlags, size: u64) {
        match (before.contains(SystemFlag::Seen), now.contains(SystemFlag::Seen)) {
            (true, false) => self.unseen = self.unseen.saturating_add(1),
            (false, true) => self.unseen = self.unseen.saturating_sub(1),
            _ => {}
        }
        match (before.contains(SystemFlag::Deleted), now.contains(SystemFlag::Deleted)) {
            (true, false) => {
                self.deleted = self.deleted.saturating_sub(1);
                self.deleted_size = self.deleted_size.saturating_sub(size);
            }
            (false, true) => {
                self.deleted = self.deleted.saturating_add(1);
                self.deleted_size = self.deleted_size.saturating_add(size);
            }
            _ => {}
        }
    }

    pub(crate) fn set_flags(&mut self, change: &FlagChange) -> Result<Stored> {
        let op = match &change.op {
            FlagOp::Remove(flags) => FlagOp::Remove(flags.clone()),
            op => {
                self.admit(std::iter::once(op.flags()))?;
                match op {
                    FlagOp::Add(flags) => FlagOp::Add(self.spell(flags)),
                    _ => FlagOp::Replace(self.spell(op.flags())),
                }
            }
        };
        let modseq = self.next_modseq();
        let mut stored = Stored::default();
        let (mut unchanged, mut conflict) = (Vec::new(), Vec::new());
        for (first, last) in change.uids.ranges() {
            let mut counts = Vec::new();
            for (uid, message) in self.messages.range_mut(first..=last) {
                if change.unchanged_since.is_some_and(|since| message.modseq > since) {
                    conflict.push(*uid);
                    continue;
                }
                let flags = op.apply(&message.flags);
                if flags == message.flags {
                    unchanged.push(*uid);
                    continue;
                }
                counts.push((flags.system, message.flags.system, message.body.size()));
                message.flags = flags.clone();
                message.modseq = modseq;
                stored.changed.push((*uid, flags));
            }
            for (now, before, size) in counts {
                self.count(now, before, size);
            }
        }
        stored.unchanged = unchanged.into_iter().collect();
        stored.conflict = conflict.into_iter().collect();
        if !stored.changed.is_empty() {
            self.modseq = modseq;
            self.changed.push(modseq, stored.changed.iter().map(|(uid, _)| *uid).collect());
            self.tidy_log();
        }
        stored.modseq = self.modseq;
        Ok(stored)
    }

    /// Takes messages out, at a mod-sequence that is the current one only if the change began before;
    /// gives what was taken.
    pub(crate) fn remove(
        &mut self,
        uids: &UidSet,
        only_deleted: bool,
        modseq: ModSeq,
    ) -> Vec<(Uid, Message)> {
        let doomed: Vec<Uid> = self
            .select(uids)
            .filter(|(_, message)| !only_deleted || message.flags.contains(SystemFlag::Deleted))
            .map(|(uid, _)| uid)
            .collect();
        let taken: Vec<(Uid, Message)> =
            doomed.into_iter().filter_map(|uid| Some((uid, self.messages.remove(&uid)?))).collect();
        if taken.is_empty() {
            return taken;
        }
        for (uid, message) in &taken {
            if *uid >= self.recent_from {
                self.recent = self.recent.saturating_sub(1);
            }
            let size = message.body.size();
            self.count(SystemFlags::from_bits(SystemFlag::Seen as u8), message.flags.system, size);
            self.size = self.size.saturating_sub(size);
        }
        let gone: UidSet = taken.iter().map(|(uid, _)| *uid).collect();
        self.uids = self.uids.difference(&gone);
        for (first, last) in gone.ranges() {
            self.gone.insert_range(first, last);
        }
        self.modseq = modseq;
        self.removed.push(modseq, gone);
        self.removed.trim(REMOVED_LOG);
        taken
    }
}

#[cfg(test)]
mod tests;
