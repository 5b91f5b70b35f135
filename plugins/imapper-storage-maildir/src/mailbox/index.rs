//! The index: entries in a file that only grows, in frames that are whole or not there. A change is one frame.
//!
//! Layout: `IMAPIDX1`, UIDVALIDITY and four octets of 0; then frames, each of them the length of its content, a
//! CRC-32 of that, and the content: entries as postcard writes them. Integers of the layout are little-endian.
//! What follows the last frame that is whole was cut off by a crash, and nobody was told that it is durable.

use serde::Serialize;
use serde::de::DeserializeOwned;

const MAGIC: [u8; 8] = *b"IMAPIDX1";
/// Octets before the first frame.
pub(crate) const HEAD: u64 = 16;
/// How many entries a frame holds when a file is written anew.
pub(crate) const PER_FRAME: usize = 1000;
/// The largest frame that is believed: a change of a million messages.
const MAX_FRAME: usize = 512 << 20;

/// What the file begins with.
pub(crate) fn head(validity: u32) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&validity.to_le_bytes());
    head.extend_from_slice(&[0; 4]);
    head
}

/// The UIDVALIDITY in the head; `None` if this is no index.
pub(crate) fn validity(bytes: &[u8]) -> Option<u32> {
    let known = bytes.get(..8)? == MAGIC && bytes.get(12..16)? == [0; 4];
    known.then_some(u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?))
}

/// Entries as a frame.
pub(crate) fn frame<E: Serialize>(entries: &[E]) -> Vec<u8> {
    // Writing into memory fails for no type that is written here.
    let content = postcard::to_stdvec(entries).unwrap_or_default();
    let mut frame = Vec::with_capacity(content.len().saturating_add(8));
    frame.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(&content).to_le_bytes());
    frame.extend_from_slice(&content);
    frame
}

/// Frames that are not meant yet: the first of them fails its check, and ends the log for who reads it.
pub(crate) fn closed(frames: &[u8]) -> Vec<u8> {
    let mut closed = frames.to_vec();
    if let Some(check) = closed.get_mut(4) {
        *check ^= 0xff;
    }
    closed
}

/// A whole file of entries.
pub(crate) fn whole<E: Serialize>(validity: u32, entries: &[E]) -> Vec<u8> {
    let mut bytes = head(validity);
    for entries in entries.chunks(PER_FRAME) {
        bytes.extend_from_slice(&frame(entries));
    }
    bytes
}

/// Hands on the entries of each frame that is whole; gives the octets of these frames. They are fewer than
/// `bytes` where something was cut off or is damaged.
pub(crate) fn frames<E: DeserializeOwned>(bytes: &[u8], mut each: impl FnMut(Vec<E>)) -> usize {
    let mut at = 0usize;
    while let Some((entries, len)) = bytes.get(at..).and_then(first) {
        each(entries);
        at = at.saturating_add(len);
    }
    at
}

/// The first frame and its length.
fn first<E: DeserializeOwned>(bytes: &[u8]) -> Option<(Vec<E>, usize)> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?));
    let len = usize::try_from(number(0)?).ok().filter(|len| *len <= MAX_FRAME)?;
    let end = len.checked_add(8)?;
    let content = bytes.get(8..end)?;
    if crc32fast::hash(content) != number(4)? {
        return None;
    }
    Some((postcard::from_bytes(content).ok()?, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::entry::Entry;

    fn entry(uid: u32) -> Entry {
        Entry::Next { uid }
    }

    #[test]
    fn frames_are_read_back_up_to_where_they_were_cut() {
        let mut bytes = whole(7, &[entry(1), entry(2)]);
        let cut = frame(&[entry(3)]);
        bytes.extend_from_slice(&frame(&[entry(3), entry(4)]));
        let good = bytes.len();
        for len in 0..cut.len() {
            let mut torn = bytes.clone();
            torn.extend_from_slice(&cut[..len]);
            assert_eq!(validity(&torn), Some(7));
            let mut found = Vec::new();
            let read = frames(&torn[16..], |entries: Vec<Entry>| found.push(entries));
            assert_eq!((read, found.len()), (good - 16, 2), "{len}");
            assert_eq!(found.concat(), (1..=4).map(entry).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_damaged_frame_ends_the_index() {
        let mut bytes = whole(7, &[entry(1)]);
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert_eq!(frames(&bytes[16..], |_: Vec<Entry>| {}), 0);
        bytes[0] = b'X';
        assert_eq!(validity(&bytes), None);
        assert_eq!(validity(b""), None);
    }
}
