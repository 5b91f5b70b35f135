//! Which UIDs a mod-sequence has touched, so that what is asked for costs what has changed, not what there
//! is.

use std::collections::VecDeque;

use imapper_core::types::{ModSeq, UidSet};

/// UIDs by the mod-sequence that touched them, ascending.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: VecDeque<(ModSeq, UidSet)>,
    /// Everything after this mod-sequence is in the log.
    floor: ModSeq,
    uids: u64,
    ranges: usize,
}

impl Log {
    /// Adds what a change has touched; its mod-sequence is above all others, but while an index is read that was
    /// written anew.
    pub(crate) fn insert(&mut self, modseq: ModSeq, uids: UidSet) {
        let at = self.entries.partition_point(|(other, _)| *other <= modseq);
        self.uids = self.uids.saturating_add(uids.len());
        self.ranges = self.ranges.saturating_add(uids.ranges().len());
        self.entries.insert(at, (modseq, uids));
    }

    /// What has happened since, in order. Complete only when `since` is not below [`Log::floor`].
    pub(crate) fn after(&self, since: ModSeq) -> impl Iterator<Item = &(ModSeq, UidSet)> {
        let first = self.entries.partition_point(|(modseq, _)| *modseq <= since);
        self.entries.range(first..)
    }

    /// The mod-sequence from which on the log is complete.
    pub(crate) const fn floor(&self) -> ModSeq {
        self.floor
    }

    /// Nothing is known of what happened up to there.
    pub(crate) const fn begin_at(&mut self, modseq: ModSeq) {
        self.floor = modseq;
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many UIDs are written down, those that were touched twice counted twice.
    pub(crate) const fn uids(&self) -> u64 {
        self.uids
    }

    /// Forgets the oldest entries until no more than so many entries and ranges are left.
    pub(crate) fn trim(&mut self, most: usize) {
        while self.entries.len() > most || self.ranges > most {
            let Some((modseq, uids)) = self.entries.pop_front() else { return };
            self.floor = modseq;
            self.uids = self.uids.saturating_sub(uids.len());
            self.ranges = self.ranges.saturating_sub(uids.ranges().len());
        }
    }
}

impl FromIterator<(ModSeq, UidSet)> for Log {
    fn from_iter<I: IntoIterator<Item = (ModSeq, UidSet)>>(entries: I) -> Self {
        let mut log = Self::default();
        for (modseq, uids) in entries {
            log.insert(modseq, uids);
        }
        log
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imapper_core::types::Uid;

    fn one(uid: u32) -> UidSet {
        [Uid::new(uid).unwrap()].into_iter().collect()
    }

    #[test]
    fn a_trimmed_log_says_from_where_it_is_complete() {
        let mut log: Log = (1..=5).map(|n| (ModSeq(u64::from(n)), one(n))).collect();
        assert_eq!(log.floor(), ModSeq::ZERO);
        log.trim(2);
        assert_eq!(log.floor(), ModSeq(3));
        assert_eq!(log.after(ModSeq(4)).map(|(modseq, _)| modseq.0).collect::<Vec<_>>(), [5]);
        assert_eq!(log.uids(), 2);
    }

    #[test]
    fn one_entry_with_many_ranges_counts_as_many() {
        let mut log = Log::default();
        log.insert(ModSeq(1), (1..100).map(|n| Uid::new(n * 2).unwrap()).collect());
        log.trim(50);
        assert_eq!((log.floor(), log.after(ModSeq::ZERO).count()), (ModSeq(1), 0));
    }
}
