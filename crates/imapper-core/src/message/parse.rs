//! The push parser: the octets of a message in, in pieces of any size, a [`Digest`] out.
//!
//! It walks the message once, line by line where a line matters: all lines of headers, and in bodies
//! those that start with `--` while a multipart is open. It keeps the header it is in, and nothing of
//! bodies, so its memory is bounded by [`Limits`]. Nesting is a stack of its own, never the program's.

use memchr::{memchr, memchr_iter, memmem::Finder};

use super::Limits;
use super::bodystructure::Rendered;
use super::build::build;
use super::content::Content;
use super::digest::Digest;
use super::envelope::Envelope;
use super::header::{fields, is_blank, trim_end};
use super::node::{Kind, Node, Place};

/// Lines are looked at up to here when they may be boundaries.
const CANDIDATE: usize = 2 * Node::BOUNDARY;

/// A multipart whose boundary is looked for.
struct Frame {
    boundary: Vec<u8>,
    /// Its place in `Parser::open`.
    depth: usize,
}

/// Parses one message. See the module.
pub struct Parser {
    limits: Limits,
    now: Place,
    /// The start of the line that is being read; valid in headers and in `candidate` lines.
    line_start: Place,
    /// What has arrived of that line, as far as it matters.
    line: Vec<u8>,
    in_header: bool,
    /// In a body: at the start of a line that may be a boundary.
    candidate: bool,
    /// The header that is being read, as far as the limits allow.
    header: Vec<u8>,
    field_len: usize,
    header_left: usize,
    nodes: Vec<Node>,
    open: Vec<usize>,
    frames: Vec<Frame>,
    /// The limit of parts is reached: the last one takes all that follows.
    full: bool,
    finder: Finder<'static>,
    root_header: Option<Vec<u8>>,
    root_envelope: Envelope,
}

impl std::fmt::Debug for Parser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parser").field("offset", &self.now.offset).finish_non_exhaustive()
    }
}

impl Parser {
    /// A parser for one message.
    pub fn new(limits: Limits) -> Parser {
        let limits = limits.clamped();
        let mut parser = Parser {
            header_left: limits.header,
            limits,
            now: Place::default(),
            line_start: Place::default(),
            line: Vec::new(),
            in_header: true,
            candidate: false,
            header: Vec::new(),
            field_len: 0,
            nodes: Vec::new(),
            open: Vec::new(),
            frames: Vec::new(),
            full: false,
            finder: Finder::new(b"\n--"),
            root_header: None,
            root_envelope: Envelope::default(),
        };
        parser.open_node(true, false);
        parser
    }

    /// Takes the next octets of the message, in any number.
    pub fn feed(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let used = if self.in_header { self.feed_header(data) } else { self.feed_body(data) };
            data = data.get(used..).unwrap_or_default();
        }
    }

    /// Ends the message.
    pub fn finish(mut self) -> Digest {
        if self.in_header && self.now.offset > self.line_start.offset {
            self.header_line();
        } else if self.candidate {
            self.candidate_line();
        }
        let end = self.now.offset;
        self.close(0, end, self.now);
        let sections = Rendered::of(&self.nodes);
        build(&self.nodes, self.now.offset, self.lines(), sections, self.root_header, &self.root_envelope)
    }

    fn lines(&self) -> u64 {
        let [.., last] = self.now.tail;
        self.now.lf + u64::from(self.now.offset > 0 && last != b'\n')
    }

    /// Counts octets that have been dealt with.
    fn advance(&mut self, bytes: &[u8]) {
        self.now.offset += bytes.len() as u64;
        self.now.lf += memchr_iter(b'\n', bytes).count() as u64;
        for &b in bytes.get(bytes.len().saturating_sub(3)..).unwrap_or_default() {
            let [_, before, last] = self.now.tail;
            self.now.tail = [before, last, b];
        }
    }

    fn begin_line(&mut self) {
        self.line_start = self.now;
        self.line.clear();
    }

    /// Adds octets to the line that is being read; those over `cap` only count.
    fn extend_line(&mut self, bytes: &[u8], cap: usize) {
        let room = cap.saturating_sub(self.line.len());
        self.line.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.advance(bytes);
    }

    fn feed_header(&mut self, data: &[u8]) -> usize {
        let used = memchr(b'\n', data).map(|i| i + 1);
        let cap = self.limits.field.max(CANDIDATE);
        self.extend_line(data.get(..used.unwrap_or(data.len())).unwrap_or_default(), cap);
        if used.is_some() {
            self.header_line();
        }
        used.unwrap_or(data.len())
    }

    /// A line of a header is complete.
    fn header_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if let Some((frame, closes)) = self.boundary(&line) {
            self.cross_boundary(frame, closes);
        } else if is_blank(&line) {
            self.header.extend_from_slice(&line);
            self.end_header();
        } else {
            self.keep_header(&line);
        }
        self.line = line;
        self.begin_line();
    }

    fn keep_header(&mut self, line: &[u8]) {
        if !matches!(line.first(), Some(b' ' | b'\t')) {
            self.field_len = 0;
        }
        let room = self.limits.field.saturating_sub(self.field_len).min(self.header_left);
        let kept = line.get(..room).unwrap_or(line);
        if kept.is_empty() {
            return;
        }
        // A field that was cut does not run into this one.
        if self.header.last().is_some_and(|b| *b != b'\n') {
            self.header.extend_from_slice(b"\r\n");
        }
        self.header.extend_from_slice(kept);
        self.field_len += kept.len();
        self.header_left -= kept.len();
    }

    fn feed_body(&mut self, data: &[u8]) -> usize {
        if self.frames.is_empty() || self.full {
            self.candidate = false;
            self.advance(data);
            return data.len();
        }
        if self.candidate {
            if self.line.len() < 2 {
                let Some(dash) = data.get(..1).filter(|b| *b == b"-") else {
                    self.candidate = false;
                    return 0;
                };
                self.extend_line(dash, CANDIDATE);
                return 1;
            }
            let used = memchr(b'\n', data).map(|i| i + 1);
            self.extend_line(data.get(..used.unwrap_or(data.len())).unwrap_or_default(), CANDIDATE);
            if used.is_some() {
                self.candidate_line();
            }
            return used.unwrap_or(data.len());
        }
        let used = match self.finder.find(data) {
            Some(at) => at + 1,
            None => data.strip_suffix(b"-").filter(|d| d.ends_with(b"\n")).unwrap_or(data).len(),
        };
        let (passed, _) = data.split_at_checked(used).unwrap_or((data, &[]));
        self.advance(passed);
        if passed.ends_with(b"\n") {
            self.begin_line();
            self.candidate = true;
        }
        used
    }

    /// A line of a body that starts with `--` is complete.
    fn candidate_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.candidate = true;
        if let Some((frame, closes)) = self.boundary(&line) {
            self.cross_boundary(frame, closes);
        }
        self.line = line;
        self.begin_line();
    }

    /// Which open multipart a line is a boundary of, the innermost first, and whether it is the last
    /// one (RFC 2046 §5.1.1). White space at its end is padding; anything else makes it text.
    fn boundary(&self, line: &[u8]) -> Option<(usize, bool)> {
        if self.full || self.frames.is_empty() || self.now.offset - self.line_start.offset > CANDIDATE as u64
        {
            return None;
        }
        let text = trim_end(line.strip_prefix(b"--")?);
        self.frames.iter().enumerate().rev().find_map(|(i, frame)| {
            let rest = text.strip_prefix(&*frame.boundary)?;
            match rest {
                b"" => Some((i, false)),
                b"--" => Some((i, true)),
                _ => None,
            }
        })
    }

    /// Ends what is open inside of a multipart, and starts its next part or its epilogue.
    fn cross_boundary(&mut self, frame: usize, closes: bool) {
        let Some(depth) = self.frames.get(frame).map(|f| f.depth) else { return };
        // The line break before a boundary belongs to it.
        let at = self.line_start;
        let [_, before, last] = at.tail;
        let end = match (before, last) {
            (b'\r', b'\n') => at.offset.saturating_sub(2),
            (_, b'\n') => at.offset.saturating_sub(1),
            _ => at.offset,
        };
        self.close(depth + 1, end, at);
        self.frames.truncate(if closes { frame } else { frame + 1 });
        if closes {
            self.in_header = false;
            self.candidate = true;
        } else {
            let parent = self.open.last().and_then(|&i| self.nodes.get(i));
            let in_digest = parent.is_some_and(|p| p.media.1 == b"DIGEST");
            self.open_node(false, in_digest);
        }
    }

    fn open_node(&mut self, is_message: bool, in_digest: bool) {
        if let Some(parent) = self.open.last().and_then(|&i| self.nodes.get_mut(i)) {
            parent.children += 1;
        }
        self.open.push(self.nodes.len());
        self.nodes.push(Node::new(self.now, is_message, in_digest));
        self.full |= self.nodes.len() > self.limits.parts;
        self.in_header = true;
        self.header.clear();
        self.field_len = 0;
        self.begin_line();
    }

    /// The blank line is here: the header is read, and the body starts.
    fn end_header(&mut self) {
        self.in_header = false;
        self.candidate = true;
        if self.read_header() == Kind::Message {
            self.open_node(true, false);
        }
    }

    /// Reads the header of the innermost entity, whose body starts here.
    fn read_header(&mut self) -> Kind {
        let depth = self.open.len();
        let Some((&index, node)) = self.open.last().and_then(|i| Some((i, self.nodes.get_mut(*i)?))) else {
            return Kind::Leaf;
        };
        let mut content = Content::default();
        let mut envelope = Envelope::default();
        for field in fields(&self.header) {
            content.field(&field, &self.limits);
            if node.is_message {
                envelope.field(&field, &self.limits);
            }
        }
        node.in_header = false;
        node.body = self.now.offset;
        node.body_lf = self.now.lf;
        let boundary = node.classify(&content, depth >= self.limits.depth, self.full);
        if let Some(boundary) = boundary {
            self.frames.push(Frame { boundary, depth: depth - 1 });
        }
        if node.is_message {
            node.envelope = Some(envelope.render());
        }
        let kind = node.kind;
        if index == 0 {
            let whole = self.now.offset <= self.limits.header_kept as u64;
            self.root_header = whole.then(|| std::mem::take(&mut self.header));
            self.root_envelope = envelope;
        }
        kind
    }

    /// Closes the open entities from `depth` on. `at` is where the line starts that ends them, `end`
    /// is before its line break. An outer one is never shorter than an inner one.
    fn close(&mut self, depth: usize, end: u64, at: Place) {
        if self.open.len() > depth
            && self.open.last().and_then(|&i| self.nodes.get(i)).is_some_and(|n| n.in_header)
        {
            self.header_ends_early(at);
        }
        let mut limit = at.offset;
        for &index in self.open.get(depth..).unwrap_or_default() {
            if let Some(node) = self.nodes.get_mut(index) {
                node.end = end.max(node.body).min(limit);
                node.body = node.body.min(node.end);
                node.start = node.start.min(node.body);
                node.lines = node.count_lines(end, at);
                limit = node.end;
            }
        }
        while self.open.len() > depth {
            let Some(index) = self.open.pop() else { break };
            self.seal(index);
        }
    }

    /// A header without its blank line: at the end of the message, or cut off by a boundary.
    fn header_ends_early(&mut self, at: Place) {
        let now = std::mem::replace(&mut self.now, at);
        let frames = self.frames.len();
        self.read_header();
        self.frames.truncate(frames);
        self.now = now;
    }

    /// Gives a multipart or a message without any content an empty one, for IMAP's grammar has no
    /// other (RFC 3501 §9, body-type-mpart and body-type-msg), and counts the nodes under it.
    fn seal(&mut self, index: usize) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        if node.kind != Kind::Leaf && node.children == 0 {
            node.children = 1;
            let empty = node.empty_child();
            self.nodes.push(empty);
        }
        let count = self.nodes.len();
        if let Some(node) = self.nodes.get_mut(index) {
            node.subtree = count - index;
        }
    }
}
