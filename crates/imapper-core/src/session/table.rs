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
        let (mut hint, mut next, mut before) = (0, 0, Uid::MIN);
        let (mut changed, mut grown) = (false, None);
        for entry in entries {
            if entry.uid < before {
                hint = 0;
            }
            before = entry.uid;
            let chunk = self.inner.chunk_of(entry.uid, hint);
            // What goes to the end may go into the chunk that is the last already.
            hint = chunk.min(self.inner.chunks.len().saturating_sub(1));
            let known = self.inner.chunks.get(chunk);
            let place = known.map(|entries| match entries.get(next) {
                // Most often the one after the last.
                Some(known) if known.uid == entry.uid => Ok(next),
                _ => entries.binary_search_by_key(&entry.uid, |known| known.uid),
            });
            next = place.map_or(0, |place| place.map_or(0, |at| at + 1));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SystemFlags;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Model = BTreeMap<Uid, (ModSeq, Flags)>;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    fn entry(number: u32, modseq: u64, bits: u8) -> Entry {
        let flags = Flags::new(SystemFlags::from_bits(bits), []);
        Entry { uid: uid(number), modseq: ModSeq(modseq), flags }
    }

    fn numbered(count: u32) -> Table {
        (1..=count).map(|number| entry(number, 1, 0)).collect()
    }

    fn shared(a: &Table, b: &Table) -> usize {
        a.inner
            .chunks
            .iter()
            .filter(|chunk| b.inner.chunks.iter().any(|other| Arc::ptr_eq(chunk, other)))
            .count()
    }

    fn check(table: &Table, model: &Model) -> Result<(), TestCaseError> {
        prop_assert_eq!(table.len() as usize, model.len());
        prop_assert!(table.inner.chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= CHUNK));
        let mut entries = table.iter();
        for (at, (uid, (modseq, flags))) in model.iter().enumerate() {
            let expected = Entry { uid: *uid, modseq: *modseq, flags: flags.clone() };
            prop_assert_eq!(entries.next(), Some((seq(at), &expected)));
            prop_assert_eq!(table.get(seq(at)), Some(&expected));
            prop_assert_eq!(table.find(*uid), Some((seq(at), &expected)));
        }
        prop_assert_eq!(entries.next(), None);
        prop_assert_eq!(table.get(seq(model.len())), None);
        prop_assert_eq!(table.first_uid(), model.keys().next().copied());
        prop_assert_eq!(table.last_uid(), model.keys().next_back().copied());
        Ok(())
    }

    /// Removed, added, changed and touched UIDs.
    type Found = (Vec<(Seq, Uid)>, Vec<Uid>, Vec<Uid>, Vec<Uid>);

    fn found(old: &Table, new: &Table) -> Found {
        let mut found = Found::default();
        for difference in old.diff(new) {
            match difference {
                Difference::Removed(seq, entry) => found.0.push((seq, entry.uid)),
                Difference::Added(entry) => found.1.push(entry.uid),
                Difference::Changed(_, entry) => found.2.push(entry.uid),
                Difference::Touched(_, entry) => found.3.push(entry.uid),
            }
        }
        found
    }

    fn naive(old: &Model, new: &Model) -> Found {
        let removed = old.keys().enumerate().filter(|(_, uid)| !new.contains_key(uid));
        let both = || new.iter().filter_map(|(uid, new)| Some((*uid, old.get(uid)?, new)));
        (
            removed.map(|(at, uid)| (seq(at), *uid)).collect(),
            new.keys().filter(|uid| !old.contains_key(uid)).copied().collect(),
            both().filter(|(_, old, new)| old.1 != new.1).map(|(uid, ..)| uid).collect(),
            both().filter(|(_, old, new)| old.1 == new.1 && old.0 != new.0).map(|(uid, ..)| uid).collect(),
        )
    }

    #[derive(Clone, Debug)]
    enum Op {
        Put(Vec<(u32, u64, u8)>),
        Append(u16),
        Remove(Vec<(u32, u32)>),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            vec((1..2000_u32, 0..9_u64, 0..4_u8), 0..40).prop_map(Op::Put),
            vec((1..9_u32, 0..9_u64, 0..4_u8), 0..20).prop_map(Op::Put),
            (0..600_u16).prop_map(Op::Append),
            vec((1..2000_u32, 0..90_u32), 0..20).prop_map(Op::Remove),
        ]
    }

    fn apply(op: Op, table: &mut Table, model: &mut Model) {
        match op {
            Op::Put(entries) => {
                for (number, modseq, bits) in &entries {
                    let new = entry(*number, *modseq, *bits);
                    if model.get(&new.uid).is_none_or(|(known, _)| *known <= new.modseq) {
                        model.insert(new.uid, (new.modseq, new.flags));
                    }
                }
                let before = table.clone();
                let mut uids: Vec<u32> = entries.iter().map(|(uid, ..)| *uid).collect();
                uids.sort_unstable();
                let is_twice = uids.windows(2).any(|two| two[0] == two[1]);
                let changed =
                    table.set_all(entries.into_iter().map(|(uid, modseq, bits)| entry(uid, modseq, bits)));
                // An entry that is put twice may be there and back again.
                assert!(changed == (before != *table) || is_twice && changed);
            }
            Op::Append(count) => {
                for _ in 0..count {
                    let new = entry(table.last_uid().map_or(1, |last| last.get() + 1), 1, 0);
                    model.insert(new.uid, (new.modseq, new.flags.clone()));
                    table.push(new);
                }
            }
            Op::Remove(ranges) => {
                let mut uids = UidSet::new();
                for (first, more) in ranges {
                    uids.insert_range(uid(first), uid(first + more));
                }
                let before = model.len();
                model.retain(|uid, _| !uids.contains(*uid));
                assert_eq!(table.remove(&uids) as usize, before - model.len());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_table_behaves_as_a_sorted_map(ops in vec(op(), 1..12), ranges in vec((1..2000_u32, 0..200_u32), 0..9)) {
            let (mut table, mut model) = (Table::new(), Model::new());
            let mut past = vec![(table.clone(), model.clone())];
            for op in ops {
                apply(op, &mut table, &mut model);
                check(&table, &model)?;
                past.push((table.clone(), model.clone()));
            }
            let mut uids = UidSet::new();
            for (first, more) in ranges {
                uids.insert_range(uid(first), uid(first + more));
            }
            let hits: Vec<Uid> = model.keys().filter(|uid| uids.contains(**uid)).copied().collect();
            prop_assert_eq!(table.count(&uids) as usize, hits.len());
            for ((seq, entry), uid) in table.iter_uids(&uids).zip(&hits) {
                prop_assert_eq!(entry.uid, *uid);
                prop_assert_eq!(table.get(seq), Some(entry));
            }
            prop_assert_eq!(table.iter_uids(&uids).count(), hits.len());
            // Older clones have not changed, and differ from the newest as they should.
            for (old_table, old_model) in past {
                check(&old_table, &old_model)?;
                prop_assert_eq!(found(&old_table, &table), naive(&old_model, &model));
                prop_assert_eq!(found(&table, &old_table), naive(&model, &old_model));
                prop_assert_eq!(old_table == table, old_model == model);
            }
        }
    }

    #[test]
    fn a_uid_given_twice_is_there_once() {
        let table: Table =
            [(1, 0), (7, 0), (7, 1), (3, 0), (7, 0)].map(|(uid, at)| entry(uid, at, 0)).into_iter().collect();
        assert_eq!(table.uids().to_string(), "1,3,7");
        assert_eq!((table.len(), table.get(seq(2)).unwrap().modseq), (3, ModSeq(1)));
    }

    #[test]
    fn a_change_copies_one_chunk() {
        let before = numbered(10_000);
        let mut after = before.clone();
        assert!(after.is_same(&before));
        after.set_flags(uid(5_000), entry(1, 0, 1).flags, ModSeq(2));
        assert_eq!(shared(&before, &after), before.inner.chunks.len() - 1);
        after.push(entry(10_001, 3, 0));
        assert_eq!(shared(&before, &after), before.inner.chunks.len() - 2);
        assert_eq!(before.len(), 10_000);
        // What changes nothing copies nothing.
        let again = after.clone();
        after.set_flags(uid(5_000), entry(1, 0, 1).flags, ModSeq(2));
        after.set_flags(uid(5_000), Flags::default(), ModSeq(1));
        after.set_flags(uid(20_000), Flags::default(), ModSeq(9));
        assert_eq!(after.remove(&UidSet::range(uid(10_002), Uid::MAX)), 0);
        assert!(again.is_same(&after));
    }

    #[test]
    fn places_are_found_at_and_after_a_uid() {
        let table: Table = [3, 5, 9].map(|number| entry(number, 1, 0)).into_iter().collect();
        for (number, expected) in [(1, Some(1)), (3, Some(1)), (4, Some(2)), (9, Some(3)), (10, None)] {
            assert_eq!(table.seq_at_or_after(uid(number)).map(Seq::get), expected, "{number}");
        }
        let middle: Vec<u32> = table.iter_seqs(seq(1), Seq::MAX).map(|(_, entry)| entry.uid.get()).collect();
        assert_eq!(middle, [5, 9]);
        assert_eq!(table.uids().to_string(), "3,5,9");
        assert_eq!(table.iter_uids(&UidSet::all()).count(), 3);
        assert_eq!(Table::new().seq_at_or_after(Uid::MIN), None);
        assert_eq!(Table::new().iter_seqs(Seq::MIN, Seq::MAX).count(), 0);
    }

    #[test]
    fn many_removals_leave_few_chunks() {
        let mut table = numbered(10_000);
        let most: UidSet = (1..=10_000).filter(|number| number % 100 != 0).map(uid).collect();
        assert_eq!(table.remove(&most), 9_900);
        assert_eq!(table.len(), 100);
        assert!(table.inner.chunks.len() <= 4, "{}", table.inner.chunks.len());
    }
}
