//! The one builder of responses: whatever goes to the client is encoded here, so that no content of a
//! message or a name can be taken for protocol.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::ops::Range;

use crate::types::{BodyRef, Flags, mailbox_name};

/// The longest string that is sent in quotes; longer ones are literals, which clients read without
/// scanning.
const QUOTED_MAX: usize = 1000;

/// Octets of a stored body that stand in a response and are read only while it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Where in the line's text they belong.
    pub at: usize,
    /// Which body.
    pub body: BodyRef,
    /// Which octets of it. The literal's size before them says as many.
    pub range: Range<u64>,
}

/// A response on its way out: text, and places where octets of stored bodies come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    text: Vec<u8>,
    bodies: Vec<Body>,
}

impl Line {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { text: Vec::new(), bodies: Vec::new() }
    }

    /// An untagged response: `* ` and the text so far.
    pub fn untagged(text: &str) -> Self {
        let mut line = Self::new();
        line.raw(b"* ").raw(text.as_bytes());
        line
    }

    /// An untagged response that begins with a number: `* 3 EXISTS`.
    pub fn numbered(number: impl Into<u64>, word: &str) -> Self {
        let mut line = Self::new();
        line.raw(b"* ").number(number).sp().raw(word.as_bytes());
        line
    }

    /// The text so far, without its CRLF.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The bodies that come in.
    pub fn bodies(&self) -> &[Body] {
        &self.bodies
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Empties the line, keeping its memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.bodies.clear();
    }

    /// Takes back what was added since the text had that length.
    pub fn truncate(&mut self, len: usize) {
        self.text.truncate(len);
        self.bodies.retain(|body| body.at <= len);
    }

    /// Adds octets as they are. For words of the protocol, never for content.
    pub fn raw(&mut self, octets: &[u8]) -> &mut Self {
        self.text.extend_from_slice(octets);
        self
    }

    /// Adds a word of the protocol.
    pub fn word(&mut self, word: &str) -> &mut Self {
        self.raw(word.as_bytes())
    }

    /// Adds a space.
    pub fn sp(&mut self) -> &mut Self {
        self.text.push(b' ');
        self
    }

    /// Adds a number.
    pub fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        put_number(&mut self.text, number.into());
        self
    }

    /// Adds what can be shown as words of the protocol (a set, a code).
    pub fn show(&mut self, shown: impl Display) -> &mut Self {
        // Writing to memory does not fail.
        let _ = write!(self.text, "{shown}");
        self
    }

    /// Adds a `string`: quoted where that is possible, else a literal.
    pub fn string(&mut self, octets: impl AsRef<[u8]>) -> &mut Self {
        put_string(&mut self.text, octets.as_ref());
        self
    }

    /// Adds an `nstring`: `NIL` for nothing.
    pub fn nstring(&mut self, octets: Option<&[u8]>) -> &mut Self {
        put_nstring(&mut self.text, octets);
        self
    }

    /// Adds an `astring`: an atom where that is possible.
    pub fn astring(&mut self, octets: impl AsRef<[u8]>) -> &mut Self {
        let octets = octets.as_ref();
        let is_atom = !octets.is_empty()
            && !octets.eq_ignore_ascii_case(b"NIL")
            && octets.iter().all(|&byte| super::args::is_astring_char(byte));
        if is_atom { self.raw(octets) } else { self.string(octets) }
    }

    /// Adds a name of a mailbox, in modified UTF-7.
    pub fn mailbox(&mut self, name: &str) -> &mut Self {
        self.astring(mailbox_name::encode_modified_utf7(name))
    }

    /// Adds a `flag-list`, with `\Recent` where this session is the one that is told.
    pub fn flags(&mut self, flags: &Flags, recent: bool) -> &mut Self {
        self.text.push(b'(');
        let mut first = true;
        for name in flags.names().chain(recent.then_some("\\Recent")) {
            if !first {
                self.text.push(b' ');
            }
            first = false;
            self.text.extend_from_slice(name.as_bytes());
        }
        self.text.push(b')');
        self
    }

    /// Adds words with spaces between, in parentheses.
    pub fn list<W: AsRef<[u8]>>(&mut self, words: impl IntoIterator<Item = W>) -> &mut Self {
        self.text.push(b'(');
        for (at, word) in words.into_iter().enumerate() {
            if at > 0 {
                self.text.push(b' ');
            }
            self.text.extend_from_slice(word.as_ref());
        }
        self.text.push(b')');
        self
    }

    /// Adds a literal whose octets are read from a stored body while the line is written.
    pub fn body(&mut self, body: BodyRef, range: Range<u64>) -> &mut Self {
        let size = range.end.saturating_sub(range.start);
        self.text.push(b'{');
        put_number(&mut self.text, size);
        self.text.extend_from_slice(b"}\r\n");
        if size > 0 {
            self.bodies.push(Body { at: self.text.len(), body, range });
        }
        self
    }

    /// Adds a literal of octets at hand.
    pub fn literal(&mut self, octets: &[u8]) -> &mut Self {
        put_literal(&mut self.text, octets);
        self
    }
}

/// Adds a number in decimal digits.
pub fn put_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Adds a `string` (RFC 9051 §4.3): quoted when it is short and printable US-ASCII, else a literal.
pub fn put_string(out: &mut Vec<u8>, octets: &[u8]) {
    if octets.len() > QUOTED_MAX || !octets.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e)) {
        return put_literal(out, octets);
    }
    out.push(b'"');
    for &byte in octets {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Adds an `nstring`.
pub fn put_nstring(out: &mut Vec<u8>, octets: Option<&[u8]>) {
    match octets {
        Some(octets) => put_string(out, octets),
        None => out.extend_from_slice(b"NIL"),
    }
}

fn put_literal(out: &mut Vec<u8>, octets: &[u8]) {
    // Writing to memory does not fail.
    let _ = write!(out, "{{{}}}\r\n", octets.len());
    out.extend_from_slice(octets);
}

/// The text of a free-form `resp-text`: one line of printable characters, whatever it is made of.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' '..='~' => clean.push(character),
            _ => {
                let _ = write!(clean, "{}", character.escape_default());
            }
        }
    }
    out.extend_from_slice(clean.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Keyword, SystemFlag};

    fn shown(build: impl FnOnce(&mut Line) -> &mut Line) -> String {
        let mut line = Line::new();
        build(&mut line);
        String::from_utf8(line.text().to_vec()).unwrap()
    }

    #[test]
    fn strings_are_quoted_or_literals() {
        assert_eq!(shown(|line| line.string("a \"b\" \\c")), r#""a \"b\" \\c""#);
        assert_eq!(shown(|line| line.string("a\r\nA1 OK")), "{8}\r\na\r\nA1 OK");
        assert_eq!(shown(|line| line.string("ü")), "{2}\r\nü");
        assert_eq!(shown(|line| line.nstring(None)), "NIL");
        assert!(shown(|line| line.string(vec![b'x'; 1001])).starts_with("{1001}\r\nx"));
    }

    #[test]
    fn an_astring_is_an_atom_only_where_it_can_be() {
        assert_eq!(shown(|line| line.astring("INBOX")), "INBOX");
        assert_eq!(shown(|line| line.astring("a]b")), "a]b");
        assert_eq!(shown(|line| line.astring("nil")), "\"nil\"");
        assert_eq!(shown(|line| line.astring("")), "\"\"");
        assert_eq!(shown(|line| line.astring("a%b")), "\"a%b\"");
        assert_eq!(shown(|line| line.mailbox("Entwürfe")), "Entw&APw-rfe");
    }

    #[test]
    fn numbers_flags_and_lists() {
        assert_eq!(shown(|line| line.number(0u32).sp().number(u64::MAX)), "0 18446744073709551615");
        let flags = Flags::new(SystemFlag::Seen.into(), [Keyword::new("$Forwarded")]);
        assert_eq!(shown(|line| line.flags(&flags, true)), r"(\Seen $Forwarded \Recent)");
        assert_eq!(shown(|line| line.list(["A", "B"])), "(A B)");
    }

    #[test]
    fn a_body_comes_in_later() {
        let mut line = Line::numbered(1u32, "FETCH (BODY[] ");
        line.body(BodyRef(bytes::Bytes::from_static(b"id")), 10..14).raw(b")");
        assert_eq!(line.text(), b"* 1 FETCH (BODY[] {4}\r\n)");
        assert_eq!(line.bodies()[0].at, line.text().len() - 1);
        assert_eq!(line.bodies()[0].range, 10..14);
    }

    #[test]
    fn free_text_stays_one_line() {
        let mut out = Vec::new();
        put_text(&mut out, "no\r\nA1 OK ü");
        assert_eq!(out, br"no\r\nA1 OK \u{fc}");
    }
}
