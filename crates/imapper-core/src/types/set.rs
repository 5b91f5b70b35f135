//! Sets of messages: as a client writes them ([`SequenceSet`]), and as storages take them ([`UidSet`]).

use std::fmt;

use super::Uid;

/// UIDs as sorted, disjoint, inclusive ranges. Never expanded: `1:4294967295` is one range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UidSet {
    ranges: Vec<(u32, u32)>,
}

impl UidSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// Every UID.
    pub fn all() -> Self {
        Self::range(Uid::MIN, Uid::MAX)
    }

    /// From `first` to `last`, both inclusive; empty when `last` comes before `first`.
    pub fn range(first: Uid, last: Uid) -> Self {
        let mut set = Self::new();
        set.insert_range(first, last);
        set
    }

    /// The ranges, ascending and inclusive.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = (Uid, Uid)> + ExactSizeIterator + '_ {
        self.ranges.iter().map(|&(first, last)| (uid(first), uid(last)))
    }

    /// Each UID, ascending. Take care: a set may hold four milliards of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Uid> + '_ {
        self.ranges.iter().flat_map(|&(first, last)| (first..=last).map(uid))
    }

    /// Whether the UID is in the set. Logarithmic in the number of ranges.
    pub fn contains(&self, wanted: Uid) -> bool {
        let wanted = wanted.get();
        let at = self.ranges.partition_point(|range| range.1 < wanted);
        self.ranges.get(at).is_some_and(|range| range.0 <= wanted)
    }

    /// Whether the set holds nothing.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many UIDs the set holds.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|range| u64::from(range.1 - range.0) + 1).sum()
    }

    /// The lowest UID.
    pub fn first(&self) -> Option<Uid> {
        self.ranges.first().map(|range| uid(range.0))
    }

    /// The highest UID.
    pub fn last(&self) -> Option<Uid> {
        self.ranges.last().map(|range| uid(range.1))
    }

    /// Adds one UID. Constant time when it is above all others.
    pub fn insert(&mut self, new: Uid) {
        self.insert_range(new, new);
    }

    /// Adds `first` to `last`, both inclusive; nothing when `last` comes before `first`.
    pub fn insert_range(&mut self, first: Uid, last: Uid) {
        let (mut first, mut last) = (first.get(), last.get());
        if first > last {
            return;
        }
        // The ranges that touch the new one are those in start..end.
        let start = match self.ranges.last() {
            Some(end) if end.1 < first.saturating_sub(1) => self.ranges.len(),
            _ => self.ranges.partition_point(|range| range.1.saturating_add(1) < first),
        };
        let mut end = start;
        while let Some(range) = self.ranges.get(end).filter(|range| range.0 <= last.saturating_add(1)) {
            first = first.min(range.0);
            last = last.max(range.1);
            end += 1;
        }
        if end == start + 1 {
            self.ranges[start] = (first, last);
        } else {
            self.ranges.splice(start..end, [(first, last)]);
        }
    }

    /// What is in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        let mut both = Self::new();
        while let (Some(&&x), Some(&&y)) = (a.peek(), b.peek()) {
            let (first, last) = (x.0.max(y.0), x.1.min(y.1));
            if first <= last {
                both.ranges.push((first, last));
            }
            if x.1 < y.1 {
                a.next();
            } else {
                b.next();
            }
        }
        both
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut left = Self::new();
        let mut others = other.ranges.iter().peekable();
        for &(mut first, last) in &self.ranges {
            while others.peek().is_some_and(|range| range.1 < first) {
                others.next();
            }
            let mut rest = true;
            let mut ahead = others.clone();
            while let Some(range) = ahead.next_if(|range| range.0 <= last) {
                if range.0 > first {
                    left.ranges.push((first, range.0 - 1));
                }
                if range.1 >= last {
                    rest = false;
                    break;
                }
                first = range.1 + 1;
            }
            if rest {
                left.ranges.push((first, last));
            }
        }
        left
    }

    /// What is in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut ranges: Vec<_> = self.ranges.iter().chain(&other.ranges).copied().collect();
        ranges.sort_unstable();
        let mut all = Self::new();
        for (first, last) in ranges {
            match all.ranges.last_mut() {
                Some(end) if first <= end.1.saturating_add(1) => end.1 = end.1.max(last),
                _ => all.ranges.push((first, last)),
            }
        }
        all
    }
}

fn uid(number: u32) -> Uid {
    // Ranges are made from UIDs and stay between them, so 0 does not occur.
    Uid::new(number).unwrap_or(Uid::MIN)
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        let mut numbers: Vec<u32> = uids.into_iter().map(Uid::get).collect();
        if !numbers.is_sorted() {
            numbers.sort_unstable();
        }
        let mut set = Self::new();
        for number in numbers {
            match set.ranges.last_mut() {
                Some(end) if number <= end.1.saturating_add(1) => end.1 = end.1.max(number),
                _ => set.ranges.push((number, number)),
            }
        }
        set
    }
}

/// The form of `sequence-set` on the wire, without `*`: `1:3,7`. Nothing for the empty set.
impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, &(first, last)) in self.ranges.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}:{last}")?;
            }
        }
        Ok(())
    }
}

/// A `sequence-set` as a client writes it (RFC 9051 §9): numbers or UIDs, with `*` for the largest one in
/// use. Which of both it means is known only to the command; [`SequenceSet::resolve`] tells the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSet {
    ranges: Vec<(Option<u32>, Option<u32>)>,
}

impl SequenceSet {
    /// From pairs in the order that the client gave; `None` is `*`. Numbers are not 0.
    pub(crate) fn from_pairs(ranges: Vec<(Option<u32>, Option<u32>)>) -> Self {
        Self { ranges }
    }

    /// The set with `*` standing for `largest`, as a [`UidSet`], whose numbers are then what the command
    /// means: UIDs or sequence numbers. A range may be given in either order (RFC 9051 §9, seq-range).
    /// With `largest` = `None` (an empty mailbox) a `*` matches nothing by itself, and a range to it is
    /// open.
    pub fn resolve(&self, largest: Option<Uid>) -> UidSet {
        let star = largest.map_or(0, Uid::get);
        let mut pairs: Vec<(u32, u32)> = self
            .ranges
            .iter()
            .map(|&(a, b)| (a.unwrap_or(star), b.unwrap_or(star)))
            .map(|(a, b)| (a.min(b).max(1), a.max(b)))
            .filter(|&(_, last)| last > 0)
            .collect();
        pairs.sort_unstable();
        let mut set = UidSet::new();
        for (first, last) in pairs {
            match set.ranges.last_mut() {
                Some(end) if first <= end.1.saturating_add(1) => end.1 = end.1.max(last),
                _ => set.ranges.push((first, last)),
            }
        }
        set
    }

    /// Whether `*` stands in the set.
    pub fn has_star(&self) -> bool {
        self.ranges.iter().any(|(a, b)| a.is_none() || b.is_none())
    }

    /// Whether each range begins above the end of the one before it, and none is written backwards; `*` is above
    /// all.
    pub fn is_ascending(&self) -> bool {
        let above = |number: Option<u32>| number.unwrap_or(u32::MAX);
        let ends = self.ranges.iter().map(|&(a, b)| (above(a), above(b)));
        ends.clone().all(|(first, last)| first <= last)
            && ends.clone().zip(ends.skip(1)).all(|((_, last), (next, _))| last < next)
    }

    /// The largest number that is written out.
    pub fn largest_number(&self) -> Option<u32> {
        self.ranges.iter().flat_map(|&(a, b)| [a, b]).flatten().max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn set(numbers: impl IntoIterator<Item = u32>) -> UidSet {
        numbers.into_iter().filter_map(Uid::new).collect()
    }

    #[test]
    fn star_is_the_largest_and_ranges_may_be_reversed() {
        let wanted = SequenceSet::from_pairs(vec![(None, Some(5)), (Some(2), None), (Some(9), Some(7))]);
        assert_eq!(wanted.resolve(Uid::new(3)).to_string(), "2:5,7:9");
        // RFC 9051 §6.4.9: `559:*` holds the last message even when 559 lies above it.
        let above = SequenceSet::from_pairs(vec![(Some(559), None)]);
        assert_eq!(above.resolve(Uid::new(3)).to_string(), "3:559");
        assert_eq!(SequenceSet::from_pairs(vec![(None, None)]).resolve(None), UidSet::new());
    }

    #[test]
    fn the_ends_do_not_overflow() {
        let mut all = UidSet::all();
        all.insert(Uid::MAX);
        assert_eq!(all.to_string(), "1:4294967295");
        assert_eq!(all.len(), u64::from(u32::MAX));
        assert!(all.difference(&UidSet::all()).is_empty());
    }

    proptest! {
        #[test]
        fn sets_behave_as_sets(a: Vec<u8>, b: Vec<u8>) {
            let a: BTreeSet<u32> = a.into_iter().map(|n| u32::from(n) + 1).collect();
            let b: BTreeSet<u32> = b.into_iter().map(|n| u32::from(n) + 1).collect();
            let (x, y) = (set(a.iter().copied()), set(b.iter().copied()));
            prop_assert_eq!(x.union(&y), set(a.union(&b).copied()));
            prop_assert_eq!(x.intersection(&y), set(a.intersection(&b).copied()));
            prop_assert_eq!(x.difference(&y), set(a.difference(&b).copied()));
            let mut one_by_one = UidSet::new();
            for number in a.iter().rev() {
                one_by_one.insert(Uid::new(*number).unwrap());
            }
            prop_assert_eq!(&one_by_one, &x);
            prop_assert_eq!(x.len(), a.len() as u64);
            prop_assert!(b.iter().all(|n| x.contains(Uid::new(*n).unwrap()) == a.contains(n)));
        }
    }
}
