//! The content of messages.
//!
//! A file may hold CRLF or bare LF at the end of its lines: what delivers mail into a maildir writes bare LF. On
//! the wire a line ends with CRLF (RFC 5322 section 2.3), so each bare LF becomes CRLF there, and all else is as
//! in the file.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::disk::ReadFile;

/// The most octets of a piece.
const PIECE: u64 = 64 * 1024;

/// How much of a file is converted at once: so much that a piece has room for it if all of it is bare LF.
const CONVERTED: u64 = PIECE / 2;

/// How far apart the points of [`Offsets`] are at first.
const STEP: u64 = 64 * 1024;

/// The most points of [`Offsets`]. When there are more, every other one goes, so that they get further apart.
const MAX_POINTS: usize = 1024;

/// How large a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measure {
    /// Octets in the file.
    pub(crate) physical: u64,
    /// Octets on the wire.
    pub(crate) wire: u64,
}

/// Reads all of a file for its size on the wire.
pub(crate) fn measure(file: &dyn ReadFile) -> io::Result<Measure> {
    let mut buffer = buffer(PIECE);
    let mut measure = Measure { physical: 0, wire: 0 };
    let mut after_cr = false;
    loop {
        let count = file.read_at(&mut buffer, measure.physical)?;
        let Some(&last) = buffer[..count].last() else { return Ok(measure) };
        let bare = bare_line_feeds(&buffer[..count], after_cr).count();
        measure.physical += count as u64;
        measure.wire += (count + bare) as u64;
        after_cr = last == b'\r';
    }
}

/// Where some octets of a file are on the wire, found by those that read it, for those that read it later.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    known: Mutex<Known>,
}

/// What is known of bodies that were read in parts lately.
#[derive(Debug, Default)]
pub(crate) struct RecentOffsets(Mutex<VecDeque<(String, Arc<Offsets>)>>);

/// How many bodies that is.
const RECENT: usize = 32;

impl RecentOffsets {
    /// What is known of a body.
    pub(crate) fn of(&self, base: &str) -> Arc<Offsets> {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, offsets)) = recent.iter().find(|(other, _)| other == base) {
            return Arc::clone(offsets);
        }
        if recent.len() >= RECENT {
            recent.pop_front();
        }
        let offsets = Arc::new(Offsets::default());
        recent.push_back((base.to_owned(), Arc::clone(&offsets)));
        offsets
    }
}

/// The points from the start of the file on, without gaps, one every `step` octets of the file.
#[derive(Debug)]
struct Known {
    step: u64,
    points: Vec<Point>,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Point {
    physical: u64,
    wire: u64,
    /// Whether the octet before is CR, so that LF here is not bare.
    after_cr: bool,
}

impl Default for Known {
    fn default() -> Self {
        Self { step: STEP, points: Vec::new() }
    }
}

impl Offsets {
    /// The last known point that is not after an octet of the wire.
    fn before(&self, wire: u64) -> Point {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let after = known.points.partition_point(|point| point.wire <= wire);
        after.checked_sub(1).and_then(|last| known.points.get(last)).copied().unwrap_or_default()
    }

    fn add(&self, point: Point) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if point.physical != known.step * (known.points.len() as u64 + 1) {
            return;
        }
        known.points.push(point);
        if known.points.len() == MAX_POINTS {
            known.step *= 2;
            let step = known.step;
            known.points.retain(|point| point.physical.is_multiple_of(step));
        }
    }
}

/// Gives the octets of a range of the wire, piece by piece.
pub(crate) struct Reader {
    file: Box<dyn ReadFile>,
    size: Measure,
    range: Range<u64>,
    map: Option<Arc<Offsets>>,
    at: Point,
    opened: bool,
}

impl Reader {
    /// A reader of a body of which the sizes are known. A range that ends after the body ends with it.
    pub(crate) fn new(
        file: Box<dyn ReadFile>,
        physical: u64,
        wire: u64,
        range: Range<u64>,
        map: Option<Arc<Offsets>>,
    ) -> Self {
        let range = range.start..range.end.min(wire);
        Self { file, size: Measure { physical, wire }, range, map, at: Point::default(), opened: false }
    }

    /// The next octets, at most 64 KiB and at least one; none at the end of the range.
    ///
    /// A file that is not of the sizes that were said gives [`io::ErrorKind::InvalidData`]: the client was told
    /// how many octets come, so fewer or more would break the connection.
    pub(crate) fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.range.is_empty() {
            return Ok(None);
        }
        if !self.opened {
            if self.file.len()? != self.size.physical || self.size.wire < self.size.physical {
                return Err(wrong_size());
            }
            if let Some(map) = &self.map {
                self.at = map.before(self.range.start);
            }
            self.opened = true;
        }
        let piece = if self.size.physical == self.size.wire { self.straight()? } else { self.converted()? };
        self.range.start += piece.len() as u64;
        Ok(Some(piece))
    }

    /// Octets that are on the wire as in the file.
    fn straight(&self) -> io::Result<Bytes> {
        let mut octets = buffer((self.range.end - self.range.start).min(PIECE));
        self.fill(&mut octets, self.range.start)?;
        Ok(Bytes::from(octets))
    }

    /// Converts until there are octets of the range.
    fn converted(&mut self) -> io::Result<Bytes> {
        loop {
            let from = self.at;
            let wire = self.convert()?;
            if self.at.wire > self.range.start {
                // Both are within the piece, of which the length is an usize.
                let start = usize::try_from(self.range.start - from.wire).map_err(|_| wrong_size())?;
                let end = usize::try_from(self.range.end.min(self.at.wire) - from.wire);
                return Ok(wire.slice(start..end.map_err(|_| wrong_size())?));
            }
        }
    }

    /// The wire octets of the next part of the file, or nothing where that is all before the range.
    fn convert(&mut self) -> io::Result<Bytes> {
        let from = self.at;
        // Parts end at multiples of their length, so that one ends at each point of the map.
        let len =
            (CONVERTED - from.physical % CONVERTED).min(self.size.physical.saturating_sub(from.physical));
        let mut octets = buffer(len);
        self.fill(&mut octets, from.physical)?;
        let Some(&last) = octets.last() else { return Err(wrong_size()) };
        let bare = bare_line_feeds(&octets, from.after_cr).count() as u64;
        let to =
            Point { physical: from.physical + len, wire: from.wire + len + bare, after_cr: last == b'\r' };
        let left = self.size.physical - to.physical;
        if to.wire + left > self.size.wire || (left == 0 && to.wire != self.size.wire) {
            return Err(wrong_size());
        }
        if let Some(map) = &self.map {
            map.add(to);
        }
        self.at = to;
        if to.wire <= self.range.start {
            return Ok(Bytes::new());
        }
        if bare == 0 {
            return Ok(Bytes::from(octets));
        }
        let mut wire = Vec::with_capacity(octets.len() * 2);
        let mut done = 0;
        for bare in bare_line_feeds(&octets, from.after_cr) {
            wire.extend_from_slice(&octets[done..bare]);
            wire.push(b'\r');
            done = bare;
        }
        wire.extend_from_slice(&octets[done..]);
        Ok(Bytes::from(wire))
    }

    fn fill(&self, octets: &mut [u8], offset: u64) -> io::Result<()> {
        if self.file.read_at(octets, offset)? == octets.len() { Ok(()) } else { Err(wrong_size()) }
    }
}

/// Where LF is that has no CR before it.
fn bare_line_feeds(octets: &[u8], after_cr: bool) -> impl Iterator<Item = usize> {
    memchr::memchr_iter(b'\n', octets).filter(move |&at| match at.checked_sub(1) {
        Some(before) => octets[before] != b'\r',
        None => !after_cr,
    })
}

fn buffer(len: u64) -> Vec<u8> {
    // No more than a piece is ever asked for.
    vec![0; usize::try_from(len.min(PIECE)).unwrap_or(0)]
}

fn wrong_size() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the file of a message is not of the size it had")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;

    /// A file in memory that counts the octets that are read.
    #[derive(Clone)]
    struct Octets(Arc<Vec<u8>>, Arc<AtomicU64>);

    impl Octets {
        fn new(octets: Vec<u8>) -> Self {
            Self(Arc::new(octets), Arc::default())
        }

        fn reader(&self, size: Measure, range: Range<u64>, map: Option<&Arc<Offsets>>) -> Reader {
            Reader::new(Box::new(self.clone()), size.physical, size.wire, range, map.cloned())
        }

        fn measure(&self) -> Measure {
            measure(self).unwrap()
        }
    }

    impl ReadFile for Octets {
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.len() as u64)
        }

        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let rest = &self.0[self.0.len().min(usize::try_from(offset).unwrap())..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            self.1.fetch_add(count as u64, Ordering::Relaxed);
            Ok(count)
        }
    }

    fn all(mut reader: Reader) -> io::Result<Vec<u8>> {
        let mut octets = Vec::new();
        while let Some(piece) = reader.next()? {
            assert!(!piece.is_empty() && piece.len() as u64 <= PIECE);
            octets.extend_from_slice(&piece);
        }
        assert_eq!(reader.next()?, None);
        Ok(octets)
    }

    /// What must be on the wire, octet by octet.
    fn naive(octets: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        for &octet in octets {
            if octet == b'\n' && !wire.ends_with(b"\r") {
                wire.push(b'\r');
            }
            wire.push(octet);
        }
        wire
    }

    fn cut(wire: &[u8], range: &Range<u64>) -> Vec<u8> {
        let at = |offset: u64| usize::try_from(offset).unwrap().min(wire.len());
        wire[at(range.start)..at(range.end).max(at(range.start))].to_vec()
    }

    /// A long text of lines of changing length, with both ends of lines.
    fn long(len: usize, seed: usize) -> Vec<u8> {
        let mut octets = Vec::new();
        let mut line = seed;
        while octets.len() < len {
            line = line.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            octets.resize(octets.len() + (line >> 33) % 90, b'x');
            octets.extend_from_slice([&b"\n"[..], b"\r\n", b"\n\n", b"\r\r\n"][(line >> 40) % 4]);
        }
        octets.truncate(len);
        octets
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_range_of_any_octets_is_as_a_naive_conversion_has_it(
            octets in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], 0..600),
            ranges in proptest::collection::vec((0..900_u64, 0..900_u64), 1..6),
        ) {
            let wire = naive(&octets);
            let file = Octets::new(octets);
            let size = file.measure();
            prop_assert_eq!((size.physical, size.wire), (file.0.len() as u64, wire.len() as u64));
            let map = Arc::new(Offsets::default());
            for (start, end) in ranges {
                let range = start..end;
                prop_assert_eq!(all(file.reader(size, range.clone(), Some(&map)))?, cut(&wire, &range));
                prop_assert_eq!(all(file.reader(size, range.clone(), None))?, cut(&wire, &range));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_range_of_a_long_text_is_as_a_naive_conversion_has_it(
            len in 1..400_000_usize,
            seed in any::<usize>(),
            ranges in proptest::collection::vec((0..500_000_u64, 0..200_000_u64), 1..6),
        ) {
            let octets = long(len, seed);
            let wire = naive(&octets);
            let file = Octets::new(octets);
            let size = file.measure();
            prop_assert_eq!((size.physical, size.wire), (file.0.len() as u64, wire.len() as u64));
            let map = Arc::new(Offsets::default());
            for (start, len) in ranges {
                let range = start..start + len;
                prop_assert_eq!(all(file.reader(size, range.clone(), Some(&map)))?, cut(&wire, &range));
            }
            prop_assert_eq!(all(file.reader(size, 0..u64::MAX, Some(&map)))?, wire);
        }
    }

    #[test]
    fn the_ends_of_lines_at_the_edges_of_parts_are_seen() {
        for edge in [CONVERTED, PIECE, 2 * PIECE] {
            for around in ["\r\n", "x\n", "\n\n", "\r\r"] {
                let mut octets = vec![b'x'; usize::try_from(edge).unwrap() - 1];
                octets.extend_from_slice(around.as_bytes());
                octets.extend_from_slice(b"\ntail\n");
                let wire = naive(&octets);
                let file = Octets::new(octets);
                let size = file.measure();
                assert_eq!(size.wire, wire.len() as u64);
                let map = Arc::new(Offsets::default());
                assert!(all(file.reader(size, 0..u64::MAX, Some(&map))).unwrap() == wire);
                for start in edge - 2..edge + 4 {
                    let range = start..start + 3;
                    let given = all(file.reader(size, range.clone(), Some(&map))).unwrap();
                    assert_eq!(given, cut(&wire, &range));
                }
            }
        }
    }

    #[test]
    fn a_later_partial_read_starts_near_its_range() {
        let file = Octets::new(long(1_000_000, 1));
        let size = file.measure();
        let map = Arc::new(Offsets::default());
        let end = size.wire - 10..size.wire;
        let first = all(file.reader(size, end.clone(), Some(&map))).unwrap();
        file.1.store(0, Ordering::Relaxed);
        assert_eq!(all(file.reader(size, end, Some(&map))).unwrap(), first);
        assert!(file.1.load(Ordering::Relaxed) <= STEP);
    }

    #[test]
    fn a_file_with_crlf_is_read_at_the_offset() {
        let file = Octets::new(b"line\r\n".repeat(100_000));
        let size = file.measure();
        assert_eq!(size.physical, size.wire);
        file.1.store(0, Ordering::Relaxed);
        assert_eq!(all(file.reader(size, 599_996..u64::MAX, None)).unwrap(), b"ne\r\n"[..].to_vec());
        assert_eq!(file.1.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn the_points_of_a_huge_file_stay_few() {
        let map = Offsets::default();
        for part in 1..=40_000 {
            map.add(Point { physical: part * CONVERTED, wire: part * CONVERTED + part, after_cr: false });
        }
        let known = map.known.lock().unwrap();
        assert!(known.points.len() < MAX_POINTS && known.points.len() > MAX_POINTS / 4);
        for (number, point) in known.points.iter().enumerate() {
            assert_eq!(point.physical, known.step * (number as u64 + 1));
        }
    }

    #[test]
    fn a_file_that_is_not_of_its_size_gives_an_error_and_never_other_octets() {
        let text = b"a\nb\r\nc\n".to_vec();
        let file = Octets::new(text);
        let size = file.measure();
        assert_eq!((size.physical, size.wire), (7, 9));
        for (physical, wire) in
            [(6, 9), (8, 9), (6, 6), (8, 8), (7, 8), (7, 10), (7, 6), (0, 9), (7, u64::MAX)]
        {
            let mut reader = file.reader(Measure { physical, wire }, 0..u64::MAX, None);
            for _ in 0..2 {
                let error = reader.next().unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{physical} {wire}");
            }
        }
    }

    #[test]
    fn a_file_that_is_longer_on_the_wire_than_was_said_gives_nothing() {
        let file = Octets::new(b"\n".repeat(100_000));
        let mut reader = file.reader(Measure { physical: 100_000, wire: 100_001 }, 0..u64::MAX, None);
        assert_eq!(reader.next().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
