//! Server responses as the kit reads them: bytes → words, lists and status lines.
//!
//! The kit has a parser of its own, so that a fault shared by the server's writer and the server's
//! reader cannot hide here. It is strict about what RFC 3501 §9 is strict about: one space between
//! words, none inside parentheses, a text after a status.

/// How deep lists may nest before a response counts as broken. BODYSTRUCTURE of a message at the
/// usual limit of 100 levels of MIME stays below.
const MAX_DEPTH: usize = 512;

/// A word of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An atom, a number, a flag or the name of a data item with its section.
    Atom(String),
    /// A quoted string or a literal: its octets. Both mean the same (RFC 3501 §4.3).
    Text(Vec<u8>),
    /// A parenthesized list.
    List {
        /// What stands in it.
        items: Vec<Value>,
        /// True when it follows another list without a space, as addresses and body parts do.
        tight: bool,
    },
}

impl Value {
    /// The octets of an atom or a string, `None` for a list.
    pub fn octets(&self) -> Option<&[u8]> {
        match self {
            Self::Atom(word) => Some(word.as_bytes()),
            Self::Text(octets) => Some(octets),
            Self::List { .. } => None,
        }
    }

    /// The atom, `None` for a string or a list.
    pub fn atom(&self) -> Option<&str> {
        if let Self::Atom(word) = self { Some(word) } else { None }
    }
}

/// A response of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// A command continuation request: what stands after `+ ` (RFC 3501 §7.5).
    Continue(String),
    /// OK, NO, BAD, PREAUTH or BYE (RFC 3501 §7.1).
    Status {
        /// The command's tag, or `*`.
        tag: String,
        /// The status in capitals.
        status: String,
        /// The words of the response code.
        code: Option<Vec<Value>>,
        /// The text for people.
        text: String,
    },
    /// Any other untagged response (RFC 3501 §7.2 to §7.4).
    Data(Vec<Value>),
}

impl Response {
    /// The tag of a completion, `None` for all else.
    pub fn tag(&self) -> Option<&str> {
        match self {
            Self::Status { tag, .. } if tag != "*" => Some(tag),
            _ => None,
        }
    }

    /// Reads a whole response, literals included, without its last CRLF.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(input: &[u8]) -> Result<Self, String> {
        if input == b"+" {
            return Err("`+` must be followed by a space (RFC 3501 §7.5)".into());
        }
        if let Some(text) = input.strip_prefix(b"+ ") {
            return Ok(Self::Continue(lossy(text)));
        }
        let space = input.iter().position(|&b| b == b' ').ok_or("a response of a single word")?;
        let (tag, rest) = (lossy(&input[..space]), &input[space + 1..]);
        let end = rest.iter().position(|&b| b == b' ').unwrap_or(rest.len());
        let status = lossy(&rest[..end]).to_ascii_uppercase();
        if matches!(status.as_str(), "OK" | "NO" | "BAD" | "BYE" | "PREAUTH") {
            let text = rest.get(end + 1..).unwrap_or_default();
            return Self::status(tag, status, text);
        }
        if tag != "*" {
            return Err(format!("a tagged response that is neither OK, NO nor BAD: {status}"));
        }
        values(rest).map(Self::Data)
    }

    fn status(tag: String, status: String, text: &[u8]) -> Result<Self, String> {
        let (code, text) = match text.strip_prefix(b"[") {
            None => (None, text),
            Some(inner) => {
                let end = closing(inner).ok_or("a response code that is not closed")?;
                let after = &inner[end + 1..];
                let text = after.strip_prefix(b" ").ok_or("no space after a response code")?;
                (Some(values(&inner[..end])?), text)
            }
        };
        if text.is_empty() {
            return Err(format!("{status} without a text (RFC 3501 §9, resp-text)"));
        }
        Ok(Self::Status { tag, status, code, text: lossy(text) })
    }
}

/// Where the `]` stands that ends a response code or a section; quoted strings are skipped.
fn closing(input: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in input.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b']' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Octets as text for people.
pub(crate) fn lossy(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// Splits a line into words.
///
/// # Errors
/// What is wrong with it, in words.
pub fn values(input: &[u8]) -> Result<Vec<Value>, String> {
    Words { input, at: 0, pattern: false }.all()
}

/// As [`values`], for the right side of an `S:` line: `<…>` is one word whatever stands in it, and
/// `\r` and `\n` may stand in a quoted string.
pub(crate) fn pattern_values(input: &[u8]) -> Result<Vec<Value>, String> {
    Words { input, at: 0, pattern: true }.all()
}

/// What came before, which decides whether a space must, may or must not follow.
#[derive(Clone, Copy, PartialEq)]
enum Before {
    Start,
    Space,
    Word,
    List,
}

struct Words<'a> {
    input: &'a [u8],
    at: usize,
    pattern: bool,
}

impl Words<'_> {
    fn all(mut self) -> Result<Vec<Value>, String> {
        let mut open: Vec<(Vec<Value>, bool)> = Vec::new();
        let mut items = Vec::new();
        let mut before = Before::Start;
        while let Some(&byte) = self.input.get(self.at) {
            match byte {
                b' ' => {
                    if matches!(before, Before::Start | Before::Space) {
                        return Err(self.fault("a space too many"));
                    }
                    before = Before::Space;
                    self.at += 1;
                }
                b'(' => {
                    if before == Before::Word {
                        return Err(self.fault("no space before `(`"));
                    }
                    if open.len() >= MAX_DEPTH {
                        return Err(self.fault("too many nested lists"));
                    }
                    open.push((std::mem::take(&mut items), before == Before::List));
                    before = Before::Start;
                    self.at += 1;
                }
                b')' => {
                    if before == Before::Space {
                        return Err(self.fault("a space before `)`"));
                    }
                    let (outer, tight) = open.pop().ok_or_else(|| self.fault("a `)` too many"))?;
                    let list = Value::List { items: std::mem::replace(&mut items, outer), tight };
                    items.push(list);
                    before = Before::List;
                    self.at += 1;
                }
                _ => {
                    if matches!(before, Before::Word | Before::List) {
                        return Err(self.fault("no space between two words"));
                    }
                    items.push(self.word(byte)?);
                    before = Before::Word;
                }
            }
        }
        if !open.is_empty() {
            return Err(self.fault("a `(` that is not closed"));
        }
        if before == Before::Space {
            return Err(self.fault("a space at the end"));
        }
        Ok(items)
    }

    fn word(&mut self, first: u8) -> Result<Value, String> {
        match first {
            b'"' => self.quoted(),
            b'{' => self.literal(),
            b'~' if self.input.get(self.at + 1) == Some(&b'{') => {
                self.at += 1;
                self.literal()
            }
            b'<' if self.pattern => {
                let rest = &self.input[self.at..];
                // `<>name>` and `<>=name>` hold a `>` of their own.
                let skip = if rest.get(1) == Some(&b'>') { 2 } else { 1 };
                let end = rest.iter().skip(skip).position(|&b| b == b'>').map(|end| end + skip);
                let end = end.ok_or_else(|| self.fault("a `<` that is not closed"))?;
                self.at += end + 1;
                Ok(Value::Atom(lossy(&rest[..=end])))
            }
            _ => Ok(self.atom()),
        }
    }

    fn quoted(&mut self) -> Result<Value, String> {
        let mut octets = Vec::new();
        let mut at = self.at + 1;
        while let Some(&byte) = self.input.get(at) {
            match byte {
                b'"' => {
                    self.at = at + 1;
                    return Ok(Value::Text(octets));
                }
                b'\\' => {
                    at += 1;
                    octets.push(match self.input.get(at) {
                        Some(&escaped @ (b'"' | b'\\')) => escaped,
                        Some(b'r') if self.pattern => b'\r',
                        Some(b'n') if self.pattern => b'\n',
                        _ => return Err(self.fault("a quoted string with a wrong escape")),
                    });
                }
                b'\r' | b'\n' | 0 => return Err(self.fault("CR, LF or NUL in a quoted string")),
                _ => octets.push(byte),
            }
            at += 1;
        }
        Err(self.fault("a quoted string that is not closed"))
    }

    fn literal(&mut self) -> Result<Value, String> {
        let rest = &self.input[self.at..];
        let size = rest.iter().position(|&b| b == b'}').and_then(|end| {
            let size: usize = std::str::from_utf8(&rest[1..end]).ok()?.parse().ok()?;
            (rest.get(end + 1..end + 3) == Some(b"\r\n")).then_some((end + 3, size))
        });
        let (start, size) = size.ok_or_else(|| self.fault("a literal without its size"))?;
        let octets = start.checked_add(size).and_then(|end| rest.get(start..end));
        let octets = octets.ok_or_else(|| self.fault("a literal that is cut off"))?.to_vec();
        self.at += start + size;
        Ok(Value::Text(octets))
    }

    fn atom(&mut self) -> Value {
        let start = self.at;
        while let Some(&byte) = self.input.get(self.at) {
            match byte {
                b' ' | b'(' | b')' | b'"' => break,
                // A section, spaces and parentheses included: BODY[HEADER.FIELDS (From)]<0>
                b'[' => {
                    let end = closing(&self.input[self.at + 1..]);
                    self.at += end.map_or(1, |end| end + 2);
                }
                _ => self.at += 1,
            }
        }
        Value::Atom(lossy(&self.input[start..self.at]))
    }

    fn fault(&self, what: &str) -> String {
        let from = self.at.saturating_sub(20);
        let to = self.input.len().min(self.at + 20);
        format!("{what} at octet {}, near `{}`", self.at, lossy(&self.input[from..to]).escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(word: &str) -> Value {
        Value::Atom(word.into())
    }
    fn text(octets: &str) -> Value {
        Value::Text(octets.into())
    }
    fn list(items: Vec<Value>) -> Value {
        Value::List { items, tight: false }
    }

    #[test]
    fn words_lists_and_strings_are_told_apart() {
        let got = values(b"1 FETCH (FLAGS (\\Seen) BODY[TEXT] {3}\r\na\r\n X \"q\\\"\")").unwrap();
        let items = vec![
            atom("FLAGS"),
            list(vec![atom("\\Seen")]),
            atom("BODY[TEXT]"),
            text("a\r\n"),
            atom("X"),
            text("q\""),
        ];
        assert_eq!(got, [atom("1"), atom("FETCH"), list(items)]);
    }

    #[test]
    fn a_section_is_one_word_with_its_spaces() {
        let got = values(b"BODY[HEADER.FIELDS (\"a]b\" To)]<4> NIL").unwrap();
        assert_eq!(got, [atom("BODY[HEADER.FIELDS (\"a]b\" To)]<4>"), atom("NIL")]);
        assert_eq!(values(b"a[b").unwrap(), [atom("a[b")], "a mailbox name may hold a lone bracket");
    }

    #[test]
    fn lists_without_a_space_between_are_marked() {
        let Ok(Value::List { items, .. }) = values(b"((a)(b) (c))").map(|mut found| found.remove(0)) else {
            panic!("no list")
        };
        let tight: Vec<bool> =
            items.iter().map(|item| matches!(item, Value::List { tight: true, .. })).collect();
        assert_eq!(tight, [false, true, false]);
    }

    #[test]
    fn sloppy_spacing_and_broken_strings_are_refused() {
        let wrong: [&[u8]; 14] = [
            b"a  b",
            b" a",
            b"a ",
            b"( a)",
            b"(a )",
            b"(a",
            b"a)",
            b"a(b)",
            b"\"a",
            b"\"a\\b\"",
            b"{3}\r\nab",
            b"{x}\r\n",
            b"\"a\"\"b\"",
            b"(a)b",
        ];
        for wrong in wrong {
            assert!(values(wrong).is_err(), "{} passed", lossy(wrong));
        }
        assert!(values(&b"(".repeat(100_000)).is_err(), "nesting is bounded");
    }

    #[test]
    fn statuses_have_codes_and_texts() {
        let got = Response::parse(b"a1 NO [BADCHARSET (\"x]\" UTF-8)] sorry").unwrap();
        let code = vec![atom("BADCHARSET"), list(vec![text("x]"), atom("UTF-8")])];
        let want = Response::Status {
            tag: "a1".into(),
            status: "NO".into(),
            code: Some(code),
            text: "sorry".into(),
        };
        assert_eq!(got, want);
        assert_eq!(got.tag(), Some("a1"));
        assert!(Response::parse(b"a1 OK").is_err());
        assert!(Response::parse(b"a1 OK [ALERT]").is_err());
        assert!(Response::parse(b"a1 FETCH x").is_err());
        assert!(Response::parse(b"+").is_err());
        assert_eq!(Response::parse(b"+ ").unwrap(), Response::Continue(String::new()));
    }
}
