//! What entries make of a mailbox.

use std::collections::BTreeMap;
use std::sync::Arc;

use imapper_core::types::{Flags, InternalDate, Keyword, ModSeq, SystemFlag, SystemFlags, Uid, UidSet};

use super::entry::{Entry, FileState, Place, Put};
use super::{Mailbox, Message, set_of};

/// How many entries, and ranges, the log of removed UIDs keeps.
const REMOVED_LOG: usize = 10_000;
/// A message that is in no counter: `\Seen`, and not `\Deleted`.
const UNCOUNTED: SystemFlags = SystemFlags::from_bits(SystemFlag::Seen as u8);

impl Mailbox {
    /// Makes a change that is written down part of the state. The entries of one call are one change for
    /// [`changes`](Mailbox::changes).
    pub(crate) fn apply(&mut self, entries: &[Entry]) {
        self.entries = self.entries.saturating_add(entries.len() as u64);
        let mut touched: BTreeMap<ModSeq, Vec<Uid>> = BTreeMap::new();
        for entry in entries {
            match entry {
                Entry::Begin { modseq, next, gone } => self.begin(ModSeq(*modseq), *next, gone),
                Entry::Put(put) => {
                    if let Some(uid) = self.put(put) {
                        touched.entry(ModSeq(put.modseq)).or_default().push(uid);
                    }
                }
                Entry::Flags { uid, modseq, state } => {
                    if let Some(uid) = self.set_state(*uid, Some(ModSeq(*modseq)), state) {
                        touched.entry(ModSeq(*modseq)).or_default().push(uid);
                    }
                }
                Entry::File { uid, state } => drop(self.set_state(*uid, None, state)),
                Entry::Gone { uids, modseq } => self.remove(&set_of(uids), ModSeq(*modseq)),
                Entry::Keyword { number, name } => self.learn(*number, name),
                Entry::Recent { from } => self.set_recent(*from),
                Entry::Next { uid } => self.raise_next(*uid),
            }
        }
        for (modseq, uids) in touched {
            self.changed.insert(modseq, uids.into_iter().collect());
        }
        self.tidy_log();
    }

    fn begin(&mut self, modseq: ModSeq, next: u32, gone: &[(u32, u32)]) {
        self.modseq = self.modseq.max(modseq);
        self.raise_next(next);
        self.removed.begin_at(self.modseq);
        self.gone = self.gone.union(&set_of(gone));
        if let Some(last) = Uid::new(next.saturating_sub(1)) {
            self.before = UidSet::range(Uid::MIN, last);
        }
    }

    fn put(&mut self, put: &Put) -> Option<Uid> {
        let uid = Uid::new(put.uid)?;
        if self.messages.contains_key(&uid) {
            self.take(uid);
        }
        let flags = self.flags_of(&put.state);
        let base: Arc<str> = put.base.as_str().into();
        let message = Message {
            modseq: ModSeq(put.modseq),
            info: self.unusual(&put.state, &flags),
            flags,
            base: Arc::clone(&base),
            place: put.state.place,
            physical: put.physical,
            wire: put.wire,
            date: InternalDate { seconds: put.date.0, offset_minutes: put.date.1 },
            saved: put.saved,
            email_id: put.email_id,
            thread_id: put.thread_id,
        };
        self.count(message.flags.system, UNCOUNTED, message.wire);
        self.size = self.size.saturating_add(message.wire);
        self.uids.insert(uid);
        self.raise_next(uid.next().get());
        if uid >= self.recent_from {
            self.recent = self.recent.saturating_add(1);
        }
        self.modseq = self.modseq.max(message.modseq);
        self.bases.insert(base, uid);
        self.messages.insert(uid, message);
        Some(uid)
    }

    /// The info, if it is not what we would write: most are, and cost nothing then.
    fn unusual(&self, state: &FileState, flags: &Flags) -> Option<Box<str>> {
        let usual = state.place == Place::Cur && state.info == self.info_of(flags, "", "");
        (!usual).then(|| state.info.as_str().into())
    }

    fn set_state(&mut self, uid: u32, modseq: Option<ModSeq>, state: &FileState) -> Option<Uid> {
        let uid = Uid::new(uid)?;
        let flags = self.flags_of(state);
        let info = self.unusual(state, &flags);
        let message = self.messages.get_mut(&uid)?;
        let (before, size) = (message.flags.system, message.wire);
        message.info = info;
        message.place = state.place;
        message.flags = flags;
        let now = message.flags.system;
        if let Some(modseq) = modseq {
            message.modseq = modseq;
            self.modseq = self.modseq.max(modseq);
        }
        self.count(now, before, size);
        Some(uid)
    }

    fn remove(&mut self, uids: &UidSet, modseq: ModSeq) {
        let doomed: Vec<Uid> = self.select(uids).map(|(uid, _)| uid).collect();
        for uid in doomed {
            self.take(uid);
        }
        self.uids = self.uids.difference(uids);
        for (first, last) in uids.ranges() {
            self.gone.insert_range(first, last);
        }
        self.modseq = self.modseq.max(modseq);
        self.removed.insert(modseq, uids.clone());
        self.removed.trim(REMOVED_LOG);
    }

    fn take(&mut self, uid: Uid) {
        let Some(message) = self.messages.remove(&uid) else { return };
        self.bases.remove(&message.base);
        if uid >= self.recent_from {
            self.recent = self.recent.saturating_sub(1);
        }
        self.count(UNCOUNTED, message.flags.system, message.wire);
        self.size = self.size.saturating_sub(message.wire);
    }

    fn learn(&mut self, number: u16, name: &str) {
        if name.contains(' ') {
            self.groups.insert(number, name.to_owned());
            return;
        }
        self.groups.remove(&number);
        let keyword = Keyword::new(name);
        if let Some(old) = self.keywords.insert(number, keyword.clone()) {
            self.numbers.remove(&old);
        }
        self.numbers.insert(keyword, number);
    }

    fn set_recent(&mut self, from: u32) {
        self.recent_from = Uid::new(from).unwrap_or(Uid::MIN);
        let recent = self.messages.range(self.recent_from..).count();
        self.recent = u32::try_from(recent).unwrap_or(u32::MAX);
    }

    fn raise_next(&mut self, next: u32) {
        self.uid_next = self.uid_next.max(Uid::new(next).unwrap_or(Uid::MIN));
    }

    /// Moves a message from one state to the other in the counters.
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
}
