//! One mailbox in memory: its messages, its counters, its logs. Nothing here locks, waits or touches the disk.

mod apply;
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
use imapper_core::types::{Flags, InternalDate, Keyword, ModSeq, SystemFlags, Uid, UidSet, UidValidity};

use crate::format::filename;
use entry::{Entry, FileState, Place, Put};
use log::Log;

/// How many keywords a mailbox may have.
pub(crate) const MAX_KEYWORDS: usize = 1024;

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

    /// How many entries [`to_entries`](Self::to_entries) gives: an index that is no longer is not made shorter by being
    /// written anew, as that of a small mailbox through which many messages have gone.
    pub(crate) fn needed_entries(&self) -> usize {
        let words = self.keywords.len().saturating_add(self.groups.len());
        self.messages.len().saturating_add(self.removed.len()).saturating_add(words).saturating_add(3)
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
