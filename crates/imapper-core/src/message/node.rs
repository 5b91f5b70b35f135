//! The tree of a message's entities, and what each is by its header.

use super::content::Content;
use super::decode::Encoding;
use super::envelope::Envelope;
use super::header::trim_end;
use super::structure::Structure;

/// What a node of the tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Leaf,
    Multipart,
    /// A message/rfc822 or message/global; its one child is the message in it.
    Message,
}

/// An entity: a message, or a part of one. Nodes stand in the order of their headers.
pub(super) struct Node {
    pub(super) start: u64,
    /// Where the body starts; the header, with its blank line, is what is before.
    pub(super) body: u64,
    pub(super) end: u64,
    pub(super) lines: u64,
    /// How many nodes this one and those under it are.
    pub(super) subtree: usize,
    pub(super) kind: Kind,
    pub(super) encoding: Encoding,
    /// Type and subtype in upper case.
    pub(super) media: (Vec<u8>, Vec<u8>),
    pub(super) charset: Option<Vec<u8>>,
    pub(super) structure: Structure,
    /// Rendered, for an entity that is a message.
    pub(super) envelope: Option<Vec<u8>>,
    /// It is a whole message, not a part.
    pub(super) is_message: bool,
    pub(super) in_digest: bool,
    pub(super) in_header: bool,
    pub(super) children: usize,
    /// Line feeds before the body.
    pub(super) body_lf: u64,
}

/// How far the parser is.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) offset: u64,
    /// Line feeds so far.
    pub(super) lf: u64,
    /// The last three octets, the newest last.
    pub(super) tail: [u8; 3],
}

impl Node {
    /// A boundary longer than this is none: RFC 2046 §5.1.1 allows 70 octets.
    pub(super) const BOUNDARY: usize = 1000;

    /// An entity whose header starts here.
    pub(super) fn new(at: Place, is_message: bool, in_digest: bool) -> Node {
        Node {
            start: at.offset,
            body: at.offset,
            end: at.offset,
            lines: 0,
            subtree: 1,
            kind: Kind::Leaf,
            encoding: Encoding::SevenBit,
            media: (Vec::new(), Vec::new()),
            charset: None,
            structure: Structure::default(),
            envelope: None,
            is_message,
            in_digest,
            in_header: true,
            children: 0,
            body_lf: at.lf,
        }
    }

    /// Decides what an entity is. Answers the boundary if it is a multipart.
    pub(super) fn classify(&mut self, content: &Content, too_deep: bool, takes_all: bool) -> Option<Vec<u8>> {
        let mut content_lost = false;
        let mut boundary = None;
        let default = || {
            let media: (&[u8], &[u8]) =
                if self.in_digest { (b"MESSAGE", b"RFC822") } else { (b"TEXT", b"PLAIN") };
            (media.0.to_vec(), media.1.to_vec())
        };
        self.media = content.media.clone().unwrap_or_else(default);
        self.encoding = content.encoding();
        match (&*self.media.0, &*self.media.1) {
            (kind, _) if takes_all || too_deep && matches!(kind, b"MULTIPART" | b"MESSAGE") => {
                self.media = (b"APPLICATION".to_vec(), b"OCTET-STREAM".to_vec());
                content_lost = true;
            }
            (b"MULTIPART", _) => {
                boundary = content.param("BOUNDARY").map(|b| trim_end(&b).to_vec());
                boundary = boundary.filter(|b| !b.is_empty() && b.len() <= Self::BOUNDARY);
                if boundary.is_some() {
                    self.kind = Kind::Multipart;
                } else {
                    // Not a valid Content-Type, thus text/plain (RFC 2045 §5.2): people can read it.
                    self.media = (b"TEXT".to_vec(), b"PLAIN".to_vec());
                    content_lost = true;
                }
            }
            (b"MESSAGE", b"RFC822" | b"GLOBAL") => self.kind = Kind::Message,
            _ => {}
        }
        self.charset = content.param("CHARSET").filter(|_| !content_lost);
        self.structure = Structure::render(self.kind == Kind::Multipart, &self.media, content, content_lost);
        boundary
    }

    /// Lines of the body, a last one without a line break included.
    pub(super) fn count_lines(&self, end: u64, at: Place) -> u64 {
        if self.body >= self.end {
            return 0;
        }
        let [first, before, last] = at.tail;
        let (lf, last) = match (at.offset.saturating_sub(end), before, last) {
            (0, _, last) => (at.lf, last),
            (1, before, _) => (at.lf.saturating_sub(1), before),
            _ => (at.lf.saturating_sub(1), first),
        };
        lf.saturating_sub(self.body_lf) + u64::from(last != b'\n')
    }

    /// What stands in a multipart or a message that has no content.
    pub(super) fn empty_child(&self) -> Node {
        let at = Place { offset: self.end, ..Place::default() };
        let mut child = Node::new(at, self.kind == Kind::Message, false);
        child.in_header = false;
        child.envelope = child.is_message.then(|| Envelope::default().render());
        child.classify(&Content::default(), false, false);
        child
    }
}
