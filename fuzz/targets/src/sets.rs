//! Sets of messages against models: what a client writes against the definition, number by number; the operations
//! on UIDs against a set of bits.
//!
//! Input: a line with a `sequence-set`, then operations of three octets each.

use imapper_core::types::{SequenceSet, Uid, UidSet};
use imapper_core::wire::Args;

use crate::split_line;

/// See the module.
pub fn run(input: &[u8]) {
    let (text, operations) = split_line(input);
    written(text);
    computed(operations);
}

/// The numbers that are looked at: those that stand in the text, their neighbours, and the ends.
fn written(text: &[u8]) {
    let mut args = Args::new(text, 4);
    let parsed = args.sequence_set().ok().filter(|_| args.is_end());
    let expected = slowly(text);
    assert_eq!(parsed.is_some(), expected.is_some(), "the grammar of sequence-set");
    let (Some(set), Some(ranges)) = (parsed, expected) else { return };
    let named = ranges.iter().flat_map(|&(first, last)| [first, last]).flatten();
    let mut numbers: Vec<u32> = named.collect();
    assert_eq!(set.largest_number(), numbers.iter().max().copied());
    assert_eq!(set.has_star(), ranges.iter().any(|(first, last)| first.is_none() || last.is_none()));
    numbers.truncate(200);
    numbers.extend([1, 2, 7, u32::MAX - 1, u32::MAX]);
    for largest in [None, Some(1), Some(7), Some(u32::MAX)] {
        resolved(&set, &ranges, largest, &numbers);
    }
}

fn resolved(set: &SequenceSet, ranges: &[(Option<u32>, Option<u32>)], largest: Option<u32>, numbers: &[u32]) {
    let uids = set.resolve(largest.and_then(Uid::new));
    sound(&uids);
    let star = largest.unwrap_or(0);
    for number in numbers.iter().flat_map(|n| [n.saturating_sub(1), *n, n.saturating_add(1)]) {
        let Some(uid) = Uid::new(number) else { continue };
        let is_in = ranges.iter().any(|&(a, b)| {
            let (a, b) = (a.unwrap_or(star), b.unwrap_or(star));
            (a.min(b)..=a.max(b)).contains(&number)
        });
        assert_eq!(uids.contains(uid), is_in, "{number} with * = {largest:?}");
    }
}

/// `sequence-set` of RFC 9051 §9, by splitting.
fn slowly(text: &[u8]) -> Option<Vec<(Option<u32>, Option<u32>)>> {
    let text = std::str::from_utf8(text).ok()?;
    let number = |text: &str| match text {
        "*" => Some(None),
        _ if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) => None,
        _ => text.parse::<u32>().ok().filter(|number| *number > 0).map(Some),
    };
    let range = |text: &str| match text.split_once(':') {
        Some((first, last)) => Some((number(first)?, number(last)?)),
        None => number(text).map(|one| (one, one)),
    };
    text.split(',').map(range).collect()
}

/// Elements of the model: 63 UIDs at each end, and all between as one.
const ELEMENTS: u32 = 127;
const MIDDLE: u32 = 63;

/// The UIDs that an element stands for.
fn uids_of(element: u32) -> (u32, u32) {
    let first_above = u32::MAX - MIDDLE + 1;
    match element {
        0..MIDDLE => (element + 1, element + 1),
        MIDDLE => (MIDDLE + 1, first_above - 1),
        _ => (first_above + (element - MIDDLE - 1), first_above + (element - MIDDLE - 1)),
    }
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

/// Two sets, and what they should be.
fn computed(operations: &[u8]) {
    let mut sets = [UidSet::new(), UidSet::new()];
    let mut models = [0u128, 0];
    for operation in operations.chunks_exact(3).take(80) {
        let [what, a, b] = [operation[0], operation[1], operation[2]];
        let (at, other) = (usize::from(what >> 7), usize::from(1 - (what >> 7)));
        let (first, last) = (u32::from(a) % ELEMENTS, u32::from(b) % ELEMENTS);
        let span = (first..=last).fold(0u128, |bits, element| bits | 1 << element);
        let range = || UidSet::range(uid(uids_of(first).0), uid(uids_of(last).1));
        match what % 6 {
            0 if first != MIDDLE => {
                sets[at].insert(uid(uids_of(first).0));
                models[at] |= 1 << first;
            }
            0 | 1 => {
                sets[at].insert_range(uid(uids_of(first).0), uid(uids_of(last).1));
                models[at] |= span;
            }
            2 => {
                sets[at] = sets[at].difference(&range());
                models[at] &= !span;
            }
            3 => {
                sets[at] = sets[at].union(&sets[other]);
                models[at] |= models[other];
            }
            4 => {
                sets[at] = sets[at].intersection(&sets[other].union(&range()));
                models[at] &= models[other] | span;
            }
            _ => {
                sets[at] = sets[at].difference(&sets[other]);
                models[at] &= !models[other];
            }
        }
        compare(&sets[at], models[at]);
    }
}

fn compare(set: &UidSet, model: u128) {
    sound(set);
    let mut len = 0;
    for element in 0..ELEMENTS {
        let (first, last) = uids_of(element);
        let is_in = model >> element & 1 == 1;
        for number in [first, first.midpoint(last), last] {
            assert_eq!(set.contains(uid(number)), is_in, "{number} in {set}");
        }
        len += if is_in { u64::from(last - first) + 1 } else { 0 };
    }
    assert_eq!(set.len(), len);
    let lowest = (model != 0).then(|| uids_of(model.trailing_zeros()).0);
    let highest = (model != 0).then(|| uids_of(model.ilog2()).1);
    assert_eq!((set.first().map(Uid::get), set.last().map(Uid::get)), (lowest, highest));
    if len < 200 {
        assert!(set.iter().is_sorted() && set.iter().collect::<UidSet>() == *set);
    }
}

/// Ranges ascend with something between them, and the written form reads back as the same set.
fn sound(set: &UidSet) {
    let ranges: Vec<_> = set.ranges().map(|(first, last)| (first.get(), last.get())).collect();
    assert!(ranges.iter().all(|(first, last)| first <= last));
    assert!(ranges.windows(2).all(|two| u64::from(two[0].1) + 1 < u64::from(two[1].0)), "{ranges:?}");
    assert_eq!(set.is_empty(), ranges.is_empty());
    if !ranges.is_empty() {
        let text = set.to_string();
        let mut args = Args::new(text.as_bytes(), 4);
        let again = args.sequence_set().unwrap();
        assert!(args.is_end() && again.resolve(None) == *set);
    }
}
