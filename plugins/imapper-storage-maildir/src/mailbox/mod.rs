//! One mailbox in memory: its messages, its counters, its logs. Nothing here locks, waits or touches the disk.

pub(crate) mod cache;
mod changes;
mod courier;
pub(crate) mod entry;
pub(crate) mod file;
pub(crate) mod index;
pub(crate) mod load;
mod log;
pub(crate) mod seen;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use imapper_core::storage::{Row, Snapshot, Status};
use imapper_core::types::{
    Flags, InternalDate, Keyword, ModSeq, SystemFlag, SystemFlags, Uid, UidSet, UidValidity,
};

use crate::format::filename;
use entry::{Entry, FileState, Place, Put};
use log::Log;

/// How many keywords a mailbox may have.
pub(crate) const MAX_KEYWORDS: usize = 1024;
/// How many entries, and ranges, the log of removed UIDs keeps.
const REMOVED_LOG: usize = 10_000;
/// A message that is in no counter: `\Seen`, and not `\Deleted`.
const UNCOUNTED: SystemFlags = SystemFlags::from_bits(SystemFlag::Seen as u8);

/// A message in a mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) modseq: ModSeq,
    pub(crate) flags: Flags,
    /// What identifies it among the files.
    pub(crate) base: Arc<str>,
    pub(crate) place: Place,
    /// What follows the base in its file's name, where that is not what we would write.
    pub(crate) info: Option<Box<str>>,
    /// Octets of the file, and on the wire.
    pub(crate) physical: u64,
    pub(crate) wire: u64,
    pub(crate) date: InternalDate,
    /// Nanoseconds since 1970.
    pub(crate) saved: i64,
    pub(crate) email_id: u64,
    pub(crate) thread_id: u64,
}

/// A mailbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) uid_validity: UidValidity,
    pub(crate) uid_next: Uid,
    modseq: ModSeq,
    messages: BTreeMap<Uid, Message>,
    bases: HashMap<Arc<str>, Uid>,
    /// The keys of `messages`.
    uids: UidSet,
    /// Every UID that a message had here that is no more.
    gone: UidSet,
    /// UIDs that were given before anything was written down, to messages that may have been removed since.
    before: UidSet,
    unseen: u32,
    deleted: u32,
    size: u64,
    deleted_size: u64,
    /// Messages from here on were told to no session as `\Recent`.
    recent_from: Uid,
    recent: u32,
    keywords: BTreeMap<u16, Keyword>,
    numbers: HashMap<Keyword, u16>,
    /// Numbers that stand for several keywords at once, by their words with a space between: for messages with more
    /// than a name of a file has room for.
    groups: BTreeMap<u16, String>,
    changed: Log,
    removed: Log,
    /// How many entries the index has.
    pub(crate) entries: u64,
}

impl Mailbox {
    /// An empty mailbox.
    pub(crate) fn new(uid_validity: UidValidity) -> Self {
        Self {
            uid_validity,
            uid_next: Uid::MIN,
            modseq: ModSeq(1),
            messages: BTreeMap::new(),
            bases: HashMap::new(),
            uids: UidSet::new(),
            gone: UidSet::new(),
            before: UidSet::new(),
            unseen: 0,
            deleted: 0,
            size: 0,
            deleted_size: 0,
            recent_from: Uid::MIN,
            recent: 0,
            keywords: BTreeMap::new(),
            numbers: HashMap::new(),
            groups: BTreeMap::new(),
            changed: Log::default(),
            removed: Log::default(),
            entries: 0,
        }
    }

    pub(crate) const fn modseq(&self) -> ModSeq {
        self.modseq
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Octets of all messages.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn get(&self, uid: Uid) -> Option<&Message> {
        self.messages.get(&uid)
    }

    pub(crate) fn by_base(&self, base: &str) -> Option<(Uid, &Message)> {
        let uid = *self.bases.get(base)?;
        Some((uid, self.messages.get(&uid)?))
    }

    pub(crate) fn messages(&self) -> impl Iterator<Item = (Uid, &Message)> {
        self.messages.iter().map(|(uid, message)| (*uid, message))
    }

    /// The messages of a set that exist.
    pub(crate) fn select<'a>(&'a self, uids: &'a UidSet) -> impl Iterator<Item = (Uid, &'a Message)> {
        uids.ranges().flat_map(|(first, last)| self.messages.range(first..=last)).map(|(uid, m)| (*uid, m))
    }

    /// Whether a message has, or ever had, that UID.
    pub(crate) fn is_taken(&self, uid: Uid) -> bool {
        self.uids.contains(uid) || self.gone.contains(uid)
    }

    /// The highest UID in use.
    pub(crate) fn last(&self) -> Option<Uid> {
        self.messages.keys().next_back().copied()
    }

    /// The first UID that is recent, and the last (RFC 3501 §2.3.2).
    pub(crate) fn recent(&self) -> Option<(Uid, Uid)> {
        self.messages.range(self.recent_from..).next().map(|(uid, _)| *uid).zip(self.last())
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
        status.first_recent = self.recent().map(|(first, _)| first);
        status.recent = self.recent;
        status
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut keywords: Vec<Keyword> = self.keywords.values().cloned().collect();
        keywords.sort();
        Snapshot { status: self.status(), uids: self.uids.clone(), keywords, new_keywords: true }
    }

    /// The messages of a range, up to so many; where to go on if that cut it short.
    pub(crate) fn range(
        &self,
        (first, last): (Uid, Uid),
        most: usize,
    ) -> (Vec<(Uid, &Message)>, Option<Uid>) {
        let mut found = Vec::new();
        for (uid, message) in self.messages.range(first..=last) {
            if found.len() >= most {
                return (found, Some(*uid));
            }
            found.push((*uid, message));
        }
        (found, None)
    }

    /// The words that a number stands for.
    pub(crate) fn words(&self, number: u16) -> Option<&str> {
        self.keywords
            .get(&number)
            .map(Keyword::as_str)
            .or_else(|| self.groups.get(&number).map(String::as_str))
    }

    /// All numbers, with their words, ascending.
    pub(crate) fn all_words(&self) -> Vec<(u16, String)> {
        let mut all: Vec<(u16, String)> =
            self.keywords.iter().map(|(number, word)| (*number, word.as_str().to_owned())).collect();
        all.extend(self.groups.iter().map(|(number, words)| (*number, words.clone())));
        all.sort_unstable();
        all
    }

    /// The number of a keyword.
    pub(crate) fn number(&self, keyword: &Keyword) -> Option<u16> {
        self.numbers.get(keyword).copied()
    }

    /// The name of a message's file, below the mailbox's folder.
    pub(crate) fn file(&self, message: &Message) -> String {
        let folder = message.place.folder();
        let info = self.info(message);
        format!("{folder}/{}{info}", message.base)
    }

    /// What follows the base in a message's file name.
    pub(crate) fn info(&self, message: &Message) -> String {
        match &message.info {
            Some(info) => info.to_string(),
            None => self.info_of(&message.flags, "", ""),
        }
    }

    /// What we write behind the base for these flags. In `new/` there is nothing.
    pub(crate) fn info_of(&self, flags: &Flags, letters: &str, extra: &str) -> String {
        filename::info(flags.system, &self.numbers_of(flags), letters, extra)
    }

    /// The numbers of the flags' keywords, ascending.
    pub(crate) fn numbers_of(&self, flags: &Flags) -> Vec<u16> {
        let mut numbers: Vec<u16> = flags.keywords().iter().filter_map(|word| self.number(word)).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The flags with their keywords as the mailbox spells them, without those that it does not know.
    pub(crate) fn spell(&self, flags: &Flags) -> Flags {
        if flags.keywords().is_empty() {
            return flags.clone();
        }
        let known = flags.keywords().iter().filter_map(|word| self.keywords.get(self.numbers.get(word)?));
        Flags::new(flags.system, known.cloned())
    }

    /// What a file's name says, as it is written down.
    pub(crate) fn state_of(&self, place: Place, flags: &Flags, info: String) -> FileState {
        FileState { place, system: flags.system.bits(), keywords: self.numbers_of(flags), info }
    }

    /// The flags that a state stands for.
    pub(crate) fn flags_of(&self, state: &FileState) -> Flags {
        let words =
            state.keywords.iter().filter_map(|number| self.words(*number)).flat_map(|words| words.split(' '));
        let words = words.map(|word| {
            let number = self.numbers.get(&Keyword::new(word));
            number.and_then(|number| self.keywords.get(number)).cloned().unwrap_or_else(|| Keyword::new(word))
        });
        Flags::new(SystemFlags::from_bits(state.system), words)
    }

    /// A row without the columns that cost more.
    pub(crate) fn row(uid: Uid, message: &Message) -> Row {
        let mut row = Row::new(uid, message.modseq, message.flags.clone(), message.date, message.wire);
        row.save_date = Some(time_of(message.saved));
        row.email_id = Some(message.email_id);
        row.thread_id = Some(message.thread_id);
        row
    }

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

    /// All that is known, as few entries as can be: what a new index begins with.
    pub(crate) fn to_entries(&self) -> Vec<Entry> {
        let before = self.before.last().map_or(1, |last| last.next().get());
        let mut entries =
            vec![Entry::Begin { modseq: self.removed.floor().0, next: before, gone: ranges_of(&self.gone) }];
        entries.push(Entry::Next { uid: self.uid_next.get() });
        entries.extend(self.all_words().into_iter().map(|(number, name)| Entry::Keyword { number, name }));
        let mut messages: Vec<_> = self.messages.iter().collect();
        messages.sort_by_key(|(_, message)| message.modseq);
        entries.extend(messages.into_iter().map(|(uid, message)| Entry::Put(self.to_put(*uid, message))));
        let removed = self.removed.after(self.removed.floor());
        entries.extend(removed.map(|(modseq, uids)| Entry::Gone { uids: ranges_of(uids), modseq: modseq.0 }));
        entries.push(Entry::Recent { from: self.recent_from.get() });
        entries
    }

    /// A message as it is written down.
    pub(crate) fn to_put(&self, uid: Uid, message: &Message) -> Put {
        Put {
            uid: uid.get(),
            modseq: message.modseq.0,
            base: message.base.to_string(),
            physical: message.physical,
            wire: message.wire,
            date: (message.date.seconds, message.date.offset_minutes),
            saved: message.saved,
            email_id: message.email_id,
            thread_id: message.thread_id,
            state: self.state_of(message.place, &message.flags, self.info(message)),
        }
    }
}

/// A set of UIDs as pairs of integers, as it is written down.
pub(crate) fn ranges_of(uids: &UidSet) -> Vec<(u32, u32)> {
    uids.ranges().map(|(first, last)| (first.get(), last.get())).collect()
}

/// The set that pairs of integers stand for.
pub(crate) fn set_of(ranges: &[(u32, u32)]) -> UidSet {
    let mut uids = UidSet::new();
    for (first, last) in ranges {
        if let Some((first, last)) =
            Uid::new(*first).zip(Uid::new(*last)).filter(|(first, last)| first <= last)
        {
            uids.insert_range(first, last);
        }
    }
    uids
}

/// Nanoseconds since 1970 of a moment.
pub(crate) fn nanos(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The moment of so many nanoseconds since 1970.
fn time_of(nanos: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(u64::try_from(nanos).unwrap_or_default())
}

/// Above every mod-sequence that was given before: microseconds since 1970, and nobody makes a change in each of them.
pub(crate) fn later_modseq() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(1).max(1)
}

/// A UIDVALIDITY for a mailbox that comes without: seconds since 1970.
pub(crate) fn validity_now() -> UidValidity {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}
