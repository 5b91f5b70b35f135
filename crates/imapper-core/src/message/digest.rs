//! [`Digest`]: what the core remembers of a message, as one compact run of bytes.
//!
//! Layout, integers little-endian: `version: u16, magic: [u8; 2], flags: u32, size: u64, lines: u64,
//! lengths: [u32; N], check: u32`, then the N sections one after the other. `check` is a hash of what is
//! before it. Reading one back looks at this head only; every access to a section is checked by itself.

use std::ops::Range;

use bytes::Bytes;

use super::date::Sent;
use super::decode::Encoding;
use super::node::Kind;
use super::thread::{FNV_START, fnv1a};

pub(super) const MAGIC: [u8; 2] = *b"IM";
pub(super) const SECTIONS: usize = 11;
pub(super) const HEAD: usize = 24 + SECTIONS * 4 + 4;
pub(super) const HEADER_KEPT: u32 = 1;
pub(super) const IS_REPLY: u32 = 2;
/// Octets of a node's record: three offsets, lines, size of its subtree, kind, encoding, and where its
/// type, subtype and charset stand in `STRINGS`.
pub(super) const RECORD: usize = 24 + 8 + 4 + 1 + 1 + 4 + 3;

/// The sections, in their order.
#[derive(Clone, Copy)]
enum At {
    Envelope,
    Body,
    BodyStructure,
    Header,
    Nodes,
    Strings,
    Subject,
    MessageId,
    References,
    ThreadKeys,
    Sent,
}

/// What the core remembers of a message; see the [module](super). Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest {
    bytes: Bytes,
    /// Where each section ends.
    ends: [usize; SECTIONS],
}

impl std::fmt::Debug for Digest {
    /// Shows sizes only: a log must not hold what people write.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Digest")
            .field("size", &self.size())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// A part of a message (RFC 3501 §6.4.5). Offsets are octets of the whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part<'a> {
    /// The header of the part: `MIME`. Of a message's part 1 that is its body, the message's header.
    pub mime_header: Range<u64>,
    /// What the part holds, as it is encoded for transfer.
    pub body: Range<u64>,
    /// Lines of the body.
    pub lines: u64,
    /// The header of the message in a message/rfc822 part, with its blank line.
    pub header: Option<Range<u64>>,
    /// The body of the message in a message/rfc822 part.
    pub text: Option<Range<u64>>,
    /// The type in lower case: `text`.
    pub media_type: &'a str,
    /// The subtype in lower case: `plain`.
    pub subtype: &'a str,
    /// The charset as it is written, if it is.
    pub charset: Option<&'a str>,
    /// How the body is encoded for transfer.
    pub encoding: Encoding,
    /// It has parts of its own, and no content.
    pub is_multipart: bool,
    /// It is a message/rfc822 or message/global.
    pub is_message: bool,
}

impl Digest {
    /// The version of the layout and of what the parser makes of a message. It grows with every change
    /// of either; a digest of another version is made anew.
    pub const VERSION: u16 = 1;

    /// Reads a digest back. `None` if it is damaged or of another version. Nothing is copied.
    pub fn from_bytes(bytes: Bytes) -> Option<Digest> {
        let head = bytes.get(..HEAD)?;
        let known = number::<2>(head, 0)? == u64::from(Self::VERSION) && head.get(2..4)? == MAGIC;
        let check = u64::from(check(head.get(..HEAD - 4)?));
        if !known || number::<4>(head, HEAD - 4)? != check {
            return None;
        }
        let mut ends = [0; SECTIONS];
        let mut end = HEAD;
        for (i, slot) in ends.iter_mut().enumerate() {
            end = end.checked_add(usize::try_from(number::<4>(head, 24 + 4 * i)?).ok()?)?;
            *slot = end;
        }
        let digest = Digest { bytes, ends };
        let nodes = digest.section(At::Nodes).len();
        (end == digest.bytes.len() && nodes > 0 && nodes.is_multiple_of(RECORD)).then_some(digest)
    }

    /// The digest as bytes, which a storage plugin keeps beside the message. Nothing is copied.
    pub fn to_bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// Wraps bytes that were made in this process, whose sections end at `ends`.
    pub(super) fn from_parts(bytes: Vec<u8>, ends: [usize; SECTIONS]) -> Digest {
        Digest { bytes: bytes.into(), ends }
    }

    fn section(&self, at: At) -> &[u8] {
        let i = at as usize;
        let start = i.checked_sub(1).map_or(Some(HEAD), |i| self.ends.get(i).copied()).unwrap_or(HEAD);
        self.ends.get(i).and_then(|end| self.bytes.get(start..*end)).unwrap_or_default()
    }

    fn flag(&self, flag: u32) -> bool {
        number::<4>(&self.bytes, 4).unwrap_or(0) & u64::from(flag) != 0
    }

    /// ENVELOPE, ready for the wire.
    pub fn envelope(&self) -> &[u8] {
        self.section(At::Envelope)
    }

    /// BODY without extension data, ready for the wire.
    pub fn body(&self) -> &[u8] {
        self.section(At::Body)
    }

    /// BODYSTRUCTURE, ready for the wire.
    pub fn bodystructure(&self) -> &[u8] {
        self.section(At::BodyStructure)
    }

    /// Octets of the message: RFC822.SIZE.
    pub fn size(&self) -> u64 {
        number::<8>(&self.bytes, 8).unwrap_or(0)
    }

    /// Lines of the message, a last one without a line break included.
    pub fn lines(&self) -> u64 {
        number::<8>(&self.bytes, 16).unwrap_or(0)
    }

    /// Where the header is, with its blank line.
    pub fn header(&self) -> Range<u64> {
        self.node(0).map(|n| n.header()).unwrap_or_default()
    }

    /// Where the body is.
    pub fn text(&self) -> Range<u64> {
        self.node(0).map(|n| n.body()).unwrap_or_default()
    }

    /// The header as it stands in the message, with its blank line, if it was kept: up to
    /// [`Limits::header_kept`](super::Limits::header_kept) octets are.
    pub fn header_bytes(&self) -> Option<&[u8]> {
        self.flag(HEADER_KEPT).then(|| self.section(At::Header))
    }

    /// The part of these numbers, or `None`; also for no numbers at all.
    pub fn part(&self, numbers: &[u32]) -> Option<Part<'_>> {
        let mut index = 0;
        let mut in_message = true;
        let mut node = self.node(0)?;
        if numbers.is_empty() {
            return None;
        }
        for &number in numbers {
            if !in_message {
                match node.kind {
                    Kind::Leaf => return None,
                    Kind::Message => (index, node) = (index + 1, self.node(index + 1)?),
                    Kind::Multipart => {}
                }
            }
            if node.kind == Kind::Multipart {
                (index, node) = self.child(index, &node, number)?;
            } else if number != 1 {
                return None;
            }
            in_message = false;
        }
        Some(self.describe(index, &node))
    }

    /// The `number`th child of a multipart.
    fn child(&self, parent: usize, node: &NodeView, number: u32) -> Option<(usize, NodeView)> {
        let end = parent.checked_add(node.subtree)?;
        let mut index = parent + 1;
        for _ in 1..number {
            if index >= end {
                return None;
            }
            index = index.checked_add(self.node(index)?.subtree.max(1))?;
        }
        (number > 0 && index < end).then(|| Some((index, self.node(index)?)))?
    }

    /// The parts that are text, those of messages in the message included, in their order.
    pub fn text_parts(&self) -> impl Iterator<Item = Part<'_>> {
        self.leaves().filter(|p| p.media_type == "text")
    }

    /// All parts that have no parts of their own, in their order.
    pub fn leaves(&self) -> impl Iterator<Item = Part<'_>> {
        self.nodes().filter(|(_, n)| n.kind == Kind::Leaf).map(|(i, n)| self.describe(i, &n))
    }

    /// Where the headers of messages in the message are (for SEARCH TEXT).
    pub fn nested_headers(&self) -> impl Iterator<Item = Range<u64>> {
        self.nodes()
            .filter(|(_, n)| n.kind == Kind::Message)
            .filter_map(|(i, _)| Some(self.node(i + 1)?.header()))
    }

    /// Where the headers of parts are (for SEARCH TEXT, which may look into them).
    pub fn part_headers(&self) -> impl Iterator<Item = Range<u64>> {
        self.nodes().skip(1).map(|(_, n)| n.header())
    }

    /// What the Date field says; `None` without a valid one.
    pub fn sent(&self) -> Option<Sent> {
        let bytes = self.section(At::Sent);
        let small = |at| u8::try_from(number::<1>(bytes, at)?).ok();
        Some(Sent {
            year: u16::try_from(number::<2>(bytes, 0)?).ok()?,
            month: small(2)?,
            day: small(3)?,
            unix: number::<8>(bytes, 4)?.cast_signed(),
        })
    }

    /// The subject without the artifacts of replies and forwards, decoded (RFC 5256 §2.1); at most 4 KiB.
    pub fn base_subject(&self) -> &str {
        std::str::from_utf8(self.section(At::Subject)).unwrap_or_default()
    }

    /// Whether the subject says that this is a reply or a forward (RFC 5256 §3, step 5).
    pub fn is_reply(&self) -> bool {
        self.flag(IS_REPLY)
    }

    /// The id of the message, without its angle brackets.
    pub fn message_id(&self) -> Option<&[u8]> {
        Some(self.section(At::MessageId)).filter(|id| !id.is_empty())
    }

    /// The ids of the messages that this one follows, the oldest first: those of References, or else the
    /// first one of In-Reply-To (RFC 5256 §3).
    pub fn references(&self) -> impl Iterator<Item = &[u8]> {
        self.section(At::References).split(|&b| b == b'\n').filter(|id| !id.is_empty())
    }

    /// Two messages that have a key in common are of one thread. A key joins an id (of Message-ID,
    /// References, In-Reply-To) with the base subject; it never changes from one version to the next.
    pub fn thread_keys(&self) -> Vec<u64> {
        self.section(At::ThreadKeys).chunks_exact(8).filter_map(|k| number::<8>(k, 0)).collect()
    }

    /// Start, body and end of all entities, to compare with the reference.
    #[cfg(test)]
    pub(super) fn shape(&self) -> super::reference::Shape {
        self.nodes().map(|(_, n)| (n.start, n.body, n.end)).collect()
    }

    fn nodes(&self) -> impl Iterator<Item = (usize, NodeView)> {
        (0..).map_while(|i| Some((i, self.node(i)?)))
    }

    fn node(&self, index: usize) -> Option<NodeView> {
        let start = index.checked_mul(RECORD)?;
        let record = self.section(At::Nodes).get(start..start.checked_add(RECORD)?)?;
        let small = |at| record.get(at).copied().unwrap_or(0);
        let size = self.size();
        let end = number::<8>(record, 16)?.min(size);
        let body = number::<8>(record, 8)?.min(end);
        Some(NodeView {
            start: number::<8>(record, 0)?.min(body),
            body,
            end,
            lines: number::<8>(record, 24)?,
            subtree: usize::try_from(number::<4>(record, 32)?).ok()?,
            kind: [Kind::Leaf, Kind::Multipart, Kind::Message].get(usize::from(small(36))).copied()?,
            encoding: ENCODINGS.get(usize::from(small(37))).copied()?,
            strings: usize::try_from(number::<4>(record, 38)?).ok()?,
            lengths: [small(42), small(43), small(44)],
        })
    }

    fn describe(&self, index: usize, node: &NodeView) -> Part<'_> {
        let inner = (node.kind == Kind::Message).then(|| self.node(index + 1)).flatten();
        let [kind, subtype, charset] = node.lengths.map(usize::from);
        let strings = self.section(At::Strings);
        let text = |skip: usize, len: usize| {
            let start = node.strings.checked_add(skip)?;
            std::str::from_utf8(strings.get(start..start.checked_add(len)?)?).ok()
        };
        Part {
            mime_header: node.header(),
            body: node.body(),
            lines: node.lines,
            header: inner.as_ref().map(NodeView::header),
            text: inner.as_ref().map(NodeView::body),
            media_type: text(0, kind).unwrap_or_default(),
            subtype: text(kind, subtype).unwrap_or_default(),
            charset: text(kind + subtype, charset).filter(|c| !c.is_empty()),
            encoding: node.encoding,
            is_multipart: node.kind == Kind::Multipart,
            is_message: node.kind == Kind::Message,
        }
    }
}

pub(super) const ENCODINGS: [Encoding; 6] = [
    Encoding::SevenBit,
    Encoding::EightBit,
    Encoding::Binary,
    Encoding::QuotedPrintable,
    Encoding::Base64,
    Encoding::Unknown,
];

/// A node as it is read back.
struct NodeView {
    start: u64,
    body: u64,
    end: u64,
    lines: u64,
    subtree: usize,
    kind: Kind,
    encoding: Encoding,
    strings: usize,
    lengths: [u8; 3],
}

impl NodeView {
    fn header(&self) -> Range<u64> {
        self.start..self.body
    }

    fn body(&self) -> Range<u64> {
        self.body..self.end
    }
}

/// A little-endian number of `N` octets.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let mut wide = [0; 8];
    wide.get_mut(..N)?.copy_from_slice(bytes.get(at..at.checked_add(N)?)?);
    Some(u64::from_le_bytes(wide))
}

/// A hash of a digest's head.
pub(super) fn check(head: &[u8]) -> u32 {
    let hash = fnv1a(FNV_START, head);
    u32::try_from((hash ^ (hash >> 32)) & u64::from(u32::MAX)).unwrap_or(0)
}
