//! The parse of a message: parts lie in their parents, what is rendered is well formed, how the octets are cut does
//! not matter, the kept form reads back, and any octets in its place do no harm.
//!
//! Input: a message.

use std::ops::Range;

use imapper_core::Bytes;
use imapper_core::message::{Digest, Limits, Parser, Sent, decode_transfer, fields, parse, search};

use crate::hash;
use crate::response::well_formed;

/// See the module.
pub fn run(message: &[u8]) {
    let digest = parse(message);
    check(message, &digest);
    let seed = hash(message);
    // Octet by octet takes long.
    let small = if message.len() < 400 { [1, 1] } else { [7, 1] };
    for sizes in [small, [2 + seed % 5, 1 + seed / 5 % 40]] {
        assert_eq!(in_pieces(message, Limits::default(), sizes), digest, "in pieces of {sizes:?}");
    }
    let mut few = Limits::default();
    (few.depth, few.parts, few.field, few.header) = (3, 5, 40, 300);
    (few.addresses, few.parameters, few.header_kept) = (2, 3, 60);
    let bounded = in_pieces(message, few, [usize::MAX as u64; 2]);
    check(message, &bounded);
    assert_eq!(in_pieces(message, few, [3, 1]), bounded);
    assert!(bounded.leaves().count() <= 2 * few.parts);
    damaged(&digest, seed);
    if let Some(digest) = Digest::from_bytes(Bytes::copy_from_slice(message)) {
        use_all(&digest);
    }
    values(message);
}

fn in_pieces(message: &[u8], limits: Limits, sizes: [u64; 2]) -> Digest {
    let mut parser = Parser::new(limits);
    let mut rest = message;
    for size in sizes.iter().cycle() {
        let size = usize::try_from(*size).unwrap_or(usize::MAX).min(rest.len());
        let (piece, after) = rest.split_at(size);
        parser.feed(piece);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    parser.finish()
}

pub(crate) fn slice(message: &[u8], range: &Range<u64>) -> Vec<u8> {
    let at = |place: u64| usize::try_from(place).unwrap();
    message[at(range.start)..at(range.end)].to_vec()
}

/// What holds for every message.
pub(crate) fn check(message: &[u8], digest: &Digest) {
    assert_eq!(digest.size(), message.len() as u64);
    assert_eq!(digest.lines(), lines(message));
    assert_eq!((digest.header().start, digest.text().end), (0, digest.size()));
    assert_eq!(digest.header().end, digest.text().start);
    assert_eq!(Digest::from_bytes(digest.to_bytes()).as_ref(), Some(digest));
    if let Some(header) = digest.header_bytes() {
        assert_eq!(header, slice(message, &digest.header()));
    }
    for rendered in [digest.envelope(), digest.body(), digest.bodystructure()] {
        assert!(rendered.starts_with(b"(") && rendered.ends_with(b")"));
        well_formed(rendered);
    }
    // The smallest part, "--a" and a line break, costs a record and two structures.
    let bound = 100 * message.len() + 4096;
    assert!(digest.to_bytes().len() <= bound, "{} octets for {}", digest.to_bytes().len(), message.len());
    parts(message, digest);
    for part in digest.leaves() {
        let body = slice(message, &part.body);
        let _ = decode_transfer(&body, part.encoding);
        search::decode_text(&body, part.encoding, part.charset);
    }
    for range in digest.nested_headers().chain(digest.part_headers()) {
        slice(message, &range);
    }
}

/// Parts lie in their parent, one after the other.
fn parts(message: &[u8], digest: &Digest) {
    let mut open = vec![(Vec::new(), 0..digest.size())];
    // To find a part takes longer the more of them there are.
    let mut left = 100i32;
    while let Some((path, parent)) = open.pop().filter(|_| left > 0) {
        let mut from = parent.start;
        for number in 1.. {
            left -= 1;
            let path = [&path[..], &[number]].concat();
            let Some(part) = digest.part(&path).filter(|_| left > 0) else { break };
            assert!(part.mime_header.start >= from, "{path:?} begins before {from}: {part:?}");
            assert_eq!(part.mime_header.end, part.body.start, "{path:?}");
            assert!(part.body.start <= part.body.end && part.body.end <= parent.end, "{path:?} {part:?}");
            assert_eq!(part.lines, lines(&slice(message, &part.body)), "{path:?}");
            assert_eq!(part.is_message, part.header.is_some() && part.text.is_some());
            if let (Some(header), Some(text)) = (&part.header, &part.text) {
                assert_eq!((header.start, text.end), (part.body.start, part.body.end), "{path:?}");
                assert_eq!(header.end, text.start, "{path:?}");
            }
            from = part.body.end;
            if part.is_message || part.is_multipart {
                open.push((path, part.body));
            }
        }
    }
}

fn lines(octets: &[u8]) -> u64 {
    octets.split_inclusive(|byte| *byte == b'\n').count() as u64
}

/// A kept form with some of its octets changed is refused or does no harm; a shorter one is refused.
fn damaged(digest: &Digest, seed: u64) {
    let whole = digest.to_bytes();
    let place =
        |salt: u64| usize::try_from((seed ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) % whole.len() as u64);
    for salt in 0..4 {
        let mut octets = whole.to_vec();
        octets[place(salt).unwrap()] ^= 1 << (seed >> (8 * salt) & 7);
        if let Some(damaged) = Digest::from_bytes(octets.into()) {
            use_all(&damaged);
        }
        assert_eq!(Digest::from_bytes(whole.slice(..place(salt + 9).unwrap())), None);
    }
}

fn use_all(digest: &Digest) {
    let size = digest.size();
    for path in [&[1][..], &[2], &[1, 1], &[2, 1], &[1, 1, 1], &[u32::MAX], &[]] {
        if let Some(part) = digest.part(path) {
            assert!(part.body.start <= part.body.end && part.body.end <= size);
        }
    }
    for part in digest.leaves() {
        assert!(part.mime_header.start <= part.mime_header.end && part.body.end <= size);
    }
    for range in digest.nested_headers().chain(digest.part_headers()).chain([digest.header(), digest.text()])
    {
        assert!(range.start <= range.end && range.end <= size);
    }
    let _ = (digest.sent(), digest.base_subject(), digest.is_reply(), digest.message_id(), digest.lines());
    let _ = (digest.references().count(), digest.thread_keys(), digest.header_bytes());
    let _ = (digest.envelope(), digest.body(), digest.bodystructure());
}

/// The values of all fields, decoded by each that reads one.
fn values(message: &[u8]) {
    let mut whole = 0;
    for field in fields(message) {
        whole += field.raw.len();
        assert!(field.raw.len() >= field.value.len() + field.name.len());
        search::decode_header_value(field.value);
        let addresses = search::address_text(field.value);
        // Encoded words in some charsets grow; nothing else does.
        assert!(addresses.len() <= 40 * field.raw.len() + 40);
        if let Some(sent) = Sent::parse(field.value) {
            assert!((1..=12).contains(&sent.month) && (1..=31).contains(&sent.day));
            // A zone may be up to 99 hours and 59 minutes away.
            assert!((-62_136_000_000..=253_403_000_000).contains(&sent.unix), "{}", sent.unix);
        }
    }
    assert!(whole <= message.len());
    let needle = search::Needle::new(&String::from_utf8_lossy(&message[..message.len().min(5)]));
    assert!(message.len() > 5 || needle.found_in(&String::from_utf8_lossy(message)));
}
