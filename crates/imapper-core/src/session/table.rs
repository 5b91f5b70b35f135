//! The messages of a mailbox at one moment: UIDs, mod-sequences and flags in the order of UIDs.
//!
//! A mailbox's [hub](super::hub) and all sessions on it hold the same table, so it is persistent: chunks of
//! entries behind `Arc`s. A clone costs nothing, a change copies the chunks that it touches (and the list of
//! chunks), and comparing two tables skips what they share.

mod diff;

use std::sync::Arc;

use crate::types::{Flags, ModSeq, Seq, Uid, UidSet};

pub use diff::{Diff, Difference};

/// The most entries of a chunk. Small enough that a change of one flag copies little, large enough that the
/// list of chunks of a mailbox with 100,000 messages is short.
const CHUNK: usize = 256;

/// A message as a table knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its UID.
    pub uid: Uid,
    /// The mod-sequence of its last change.
    pub modseq: ModSeq,
    /// Its flags.
    pub flags: Flags,
}

/// Entries in ascending order of UIDs; a [`Seq`] is a place in it, from 1.
#[derive(Clone, Debug, Default)]
pub struct Table {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug, Default)]
struct Inner {
    // None of them is empty.
    chunks: Vec<Arc<Vec<Entry>>>,
    // How many entries lie before each chunk.
    starts: Vec<u32>,
    len: u32,
}

impl Table {
    /// A table without messages.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages there are.
    pub fn len(&self) -> u32 {
        self.inner.len
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.inner.len == 0
    }

    /// Whether both are the same table in memory, and so equal. Tables that are equal may yet be two.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The entry at a place.
    pub fn get(&self, seq: Seq) -> Option<&Entry> {
        let index = seq.get() - 1;
        let chunk = self.inner.starts.partition_point(|start| *start <= index).checked_sub(1)?;
        let within = index - self.inner.starts.get(chunk)?;
        self.inner.chunks.get(chunk)?.get(within as usize)
    }

    /// The entry of a UID, and its place.
    pub fn find(&self, uid: Uid) -> Option<(Seq, &Entry)> {
        let chunk = self.inner.chunk_of(uid, 0);
        let entries = self.inner.chunks.get(chunk)?;
        let at = entries.binary_search_by_key(&uid, |entry| entry.uid).ok()?;
        Some((seq(self.inner.start(chunk) + at), entries.get(at)?))
    }

    /// The place of the first message whose UID is not below this one.
    pub fn seq_at_or_after(&self, uid: Uid) -> Option<Seq> {
        let below = self.below(uid);
        (below < self.len() as usize).then(|| seq(below))
    }

    /// The lowest UID.
    pub fn first_uid(&self) -> Option<Uid> {
        Some(self.inner.chunks.first()?.first()?.uid)
    }

    /// The highest UID.
    pub fn last_uid(&self) -> Option<Uid> {
        Some(self.inner.chunks.last()?.last()?.uid)
    }

    /// All entries with their places.
    pub fn iter(&self) -> impl Iterator<Item = (Seq, &Entry)> + '_ {
        self.slice(0, self.len() as usize)
    }

    /// The entries from one place to another, both inclusive, with their places.
    pub fn iter_seqs(&self, first: Seq, last: Seq) -> impl Iterator<Item = (Seq, &Entry)> + '_ {
        self.slice(first.get() as usize - 1, last.get().min(self.len()) as usize)
    }

    /// The entries of those UIDs of the set that exist, with their places. Costs by the ranges of the set and
    /// by what is found, not by the size of the mailbox.
    pub fn iter_uids<'a>(&'a self, uids: &'a UidSet) -> impl Iterator<Item = (Seq, &'a Entry)> + 'a {
        uids.ranges().flat_map(|(first, last)| self.slice(self.below(first), self.up_to(last)))
    }

    /// How many UIDs of the set exist. Logarithmic for each range of the set.
    pub fn count(&self, uids: &UidSet) -> u32 {
        uids.ranges().map(|(first, last)| narrow(self.up_to(last) - self.below(first))).sum()
    }

    /// The UIDs.
    pub fn uids(&self) -> UidSet {
        self.iter().map(|(_, entry)| entry.uid).collect()
    }

    /// What is in `self` and in `newer` not the same, in the order of UIDs. Costs little where both share
    /// their chunks.
    pub fn diff<'a>(&'a self, newer: &'a Self) -> Diff<'a> {
        Diff::new(&self.inner.chunks, &newer.inner.chunks)
    }

    /// Adds a message at the end, or where its UID belongs; an entry of that UID is replaced unless it is
    /// newer.
    pub fn push(&mut self, entry: Entry) {
        self.set_all([entry]);
    }

    /// Gives a message other flags, if there is one of that UID and it is not newer already.
    pub fn set_flags(&mut self, uid: Uid, flags: Flags, modseq: ModSeq) {
        if self.find(uid).is_some() {
            self.set_all([Entry { uid, modseq, flags }]);
        }
    }

    /// Puts entries in: a new UID is inserted where it belongs, a known one replaced unless the table has a
    /// newer entry of it. Tells whether anything is another now. Fast when the entries ascend, right in any
    /// order.
    pub fn set_all(&mut self, entries: impl IntoIterator<Item = Entry>) -> bool {
        let (mut hint, mut before, mut changed, mut grown) = (0, Uid::MIN, false, None);
        for entry in entries {
            if entry.uid < before {
                hint = 0;
            }
            before = entry.uid;
            let chunk = self.inner.chunk_of(entry.uid, hint);
            hint = chunk;
            let known = self.inner.chunks.get(chunk);
            let place = known.map(|entries| entries.binary_search_by_key(&entry.uid, |known| known.uid));
            match (known, place) {
                (Some(entries), Some(Ok(at))) => {
                    if entries.get(at).is_none_or(|known| known.modseq > entry.modseq || *known == entry) {
                        continue;
                    }
                    Arc::make_mut(&mut self.inner).replace(chunk, at, entry);
                }
                (_, place) => {
                    let at = place.and_then(Result::err);
                    let from = Arc::make_mut(&mut self.inner).insert(chunk, at, entry);
                    grown = Some(grown.map_or(from, |first: usize| first.min(from)));
                }
            }
            changed = true;
        }
        if let Some(from) = grown {
            Arc::make_mut(&mut self.inner).count_from(from);
        }
        changed
    }

    /// Takes out those UIDs of the set that exist, and tells how many they were.
    pub fn remove(&mut self, uids: &UidSet) -> u32 {
        let touched = self.inner.chunks_with(uids);
        let Some(&first) = touched.first() else { return 0 };
        let before = self.len();
        let inner = Arc::make_mut(&mut self.inner);
        for chunk in touched {
            if let Some(chunk) = inner.chunks.get_mut(chunk) {
                let kept = chunk.iter().filter(|entry| !uids.contains(entry.uid)).cloned().collect();
                *chunk = Arc::new(kept);
            }
        }
        inner.tidy_from(first);
        before - self.len()
    }

    /// How many entries lie below a UID.
    fn below(&self, uid: Uid) -> usize {
        let chunk = self.inner.chunk_of(uid, 0);
        let within = self.inner.chunks.get(chunk).map_or(0, |c| c.partition_point(|entry| entry.uid < uid));
        self.inner.start(chunk) + within
    }

    /// How many entries do not lie above a UID.
    fn up_to(&self, uid: Uid) -> usize {
        if uid == Uid::MAX { self.len() as usize } else { self.below(uid.next()) }
    }

    /// The entries from an index to before another.
    fn slice(&self, from: usize, to: usize) -> impl Iterator<Item = (Seq, &Entry)> + '_ {
        let chunk = self.inner.starts.partition_point(|start| *start as usize <= from).saturating_sub(1);
        let within = from - self.inner.start(chunk).min(from);
        let chunks = self.inner.chunks.get(chunk..).unwrap_or_default();
        let entries = chunks.iter().flat_map(|chunk| chunk.iter()).skip(within);
        entries.take(to.saturating_sub(from)).enumerate().map(move |(at, entry)| (seq(from + at), entry))
    }
}

/// Equal if they hold equal entries, however these lie in chunks.
impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || (self.len() == other.len() && self.diff(other).next().is_none())
    }
}

impl Eq for Table {}

impl FromIterator<Entry> for Table {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut table = Self::new();
        table.set_all(entries);
        table
    }
}

impl Inner {
    /// The first chunk that ends at or after a UID, searched from a chunk on that does not lie behind it;
    /// the number of chunks if there is none.
    fn chunk_of(&self, uid: Uid, from: usize) -> usize {
        let ends_before = |chunk: &Arc<Vec<Entry>>| chunk.last().is_none_or(|entry| entry.uid < uid);
        let rest = self.chunks.get(from..).unwrap_or_default();
        if rest.first().is_some_and(|chunk| !ends_before(chunk)) {
            return from;
        }
        from + rest.partition_point(ends_before)
    }

    /// How many entries lie before a chunk.
    fn start(&self, chunk: usize) -> usize {
        self.starts.get(chunk).map_or(self.len, |start| *start) as usize
    }

    fn replace(&mut self, chunk: usize, at: usize, entry: Entry) {
        if let Some(known) = self.chunks.get_mut(chunk).and_then(|chunk| Arc::make_mut(chunk).get_mut(at)) {
            *known = entry;
        }
    }

    /// Puts an entry into a chunk, or with `None` at the end; gives the first chunk whose start may be
    /// another now. The caller counts.
    fn insert(&mut self, chunk: usize, at: Option<usize>, entry: Entry) -> usize {
        let last = self.chunks.len().saturating_sub(1);
        match (at, self.chunks.get_mut(chunk.min(last))) {
            (Some(at), Some(entries)) => {
                let entries = Arc::make_mut(entries);
                entries.insert(at, entry);
                if entries.len() > CHUNK {
                    let half = entries.split_off(CHUNK / 2);
                    self.chunks.insert(chunk + 1, Arc::new(half));
                }
                chunk
            }
            (None, Some(entries)) if entries.len() < CHUNK => {
                Arc::make_mut(entries).push(entry);
                last
            }
            _ => {
                self.chunks.push(Arc::new(vec![entry]));
                last
            }
        }
    }

    /// The chunks that hold UIDs of the set.
    fn chunks_with(&self, uids: &UidSet) -> Vec<usize> {
        let mut touched: Vec<usize> = Vec::new();
        let mut chunk = 0;
        for (first, last) in uids.ranges() {
            chunk = self.chunk_of(first, chunk);
            while let Some(entries) = self.chunks.get(chunk) {
                let at = entries.partition_point(|entry| entry.uid < first);
                let hit = entries.get(at).is_some_and(|entry| entry.uid <= last);
                if hit && touched.last() != Some(&chunk) {
                    touched.push(chunk);
                }
                if entries.last().is_some_and(|entry| entry.uid >= last) {
                    break;
                }
                chunk += 1;
            }
        }
        touched
    }

    /// Drops chunks that have become empty, joins small ones, and counts anew.
    fn tidy_from(&mut self, first: usize) {
        let first = first.saturating_sub(1);
        for chunk in self.chunks.split_off(first) {
            match self.chunks.get_mut(first..).and_then(<[_]>::last_mut) {
                _ if chunk.is_empty() => {}
                Some(before) if before.len() + chunk.len() <= CHUNK / 4 => {
                    Arc::make_mut(before).extend(chunk.iter().cloned());
                }
                _ => self.chunks.push(chunk),
            }
        }
        self.count_from(first);
    }

    fn count_from(&mut self, chunk: usize) {
        self.starts.truncate(chunk);
        let mut count = match self.starts.last() {
            Some(start) => *start as usize + self.chunks.get(self.starts.len() - 1).map_or(0, |c| c.len()),
            None => 0,
        };
        for entries in self.chunks.get(self.starts.len()..).unwrap_or_default() {
            self.starts.push(narrow(count));
            count += entries.len();
        }
        self.len = narrow(count);
    }
}

/// The place of an index.
fn seq(index: usize) -> Seq {
    Seq::new(narrow(index.saturating_add(1))).unwrap_or(Seq::MIN)
}

/// A count as a `u32`: no table has more entries than there are UIDs.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
