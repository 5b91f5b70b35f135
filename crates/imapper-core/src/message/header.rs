//! A header block (RFC 5322 §2.2) as a list of fields, in one linear pass.

use memchr::memchr;

use super::lex::is_wsp;

/// One field of a header as it stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field's name without white space; empty for a line that is no field.
    pub name: &'a [u8],
    /// What follows the colon: with folding, without the last line break.
    pub value: &'a [u8],
    /// The whole field with its line breaks.
    pub raw: &'a [u8],
}

/// Iterates over the fields of a header block, up to its blank line.
pub fn fields(header: &[u8]) -> Fields<'_> {
    Fields { rest: header }
}

/// See [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let first = line_len(self.rest);
        if first == 0 || is_blank(self.rest.get(..first)?) {
            self.rest = &[];
            return None;
        }
        let mut end = first;
        while matches!(self.rest.get(end), Some(b' ' | b'\t')) {
            end += line_len(self.rest.get(end..)?);
        }
        let (raw, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        let colon = memchr(b':', raw.get(..first)?);
        let name = trim_end(colon.and_then(|i| raw.get(..i)).unwrap_or_default());
        if name.is_empty() || name.iter().any(|&b| is_wsp(b)) {
            return Some(Field { name: &[], value: raw, raw });
        }
        let value = colon.and_then(|i| raw.get(i + 1..)).unwrap_or_default();
        let value = value.strip_suffix(b"\n").unwrap_or(value);
        let value = value.strip_suffix(b"\r").unwrap_or(value);
        Some(Field { name, value, raw })
    }
}

/// The raw values of all fields of this name, in their order; the name's case does not matter.
pub fn header_values<'a>(header: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    fields(header).filter(move |f| f.name.eq_ignore_ascii_case(name.as_bytes())).map(|f| f.value)
}

/// The length of the first line with its LF; 0 at the end.
fn line_len(bytes: &[u8]) -> usize {
    memchr(b'\n', bytes).map_or(bytes.len(), |i| i + 1)
}

/// The line that ends a header.
pub(super) fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// Whether a header block ends with its blank line. One of a message without a body may not.
pub(super) fn has_blank_line(header: &[u8]) -> bool {
    is_blank(header) || header.ends_with(b"\n\r\n") || header.ends_with(b"\n\n")
}

pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b, rest @ ..] = bytes
        && is_wsp(*b)
    {
        bytes = rest;
    }
    trim_end(bytes)
}

pub(super) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b] = bytes
        && is_wsp(*b)
    {
        bytes = rest;
    }
    bytes
}

/// A value as one line, without white space at its ends (RFC 5322 §2.2.3).
///
/// A line break before white space goes, any other CR or LF becomes a space, and NUL goes: IMAP can
/// not carry it in a string (RFC 3501 §9, CHAR8).
pub(super) fn unfold(value: &[u8]) -> Vec<u8> {
    let value = trim(value);
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.iter().copied().peekable();
    while let Some(b) = bytes.next() {
        match b {
            0 => {}
            b'\r' if bytes.peek() == Some(&b'\n') => {}
            b'\r' => out.push(b' '),
            b'\n' => {
                if !matches!(bytes.peek(), Some(b' ' | b'\t')) {
                    out.push(b' ');
                }
            }
            _ => out.push(b),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_folding_and_end_at_the_blank_line() {
        let header = b"A: 1\r\nB : 2\r\n 3\r\nno field\r\nC:\r\n\r\nD: 4\r\n";
        let list: Vec<_> = fields(header).map(|f| (f.name, f.value)).collect();
        assert_eq!(
            list,
            [(&b"A"[..], &b" 1"[..]), (b"B", b" 2\r\n 3"), (b"", b"no field\r\n"), (b"C", b""),]
        );
    }

    #[test]
    fn a_header_without_a_last_line_break_still_has_its_last_field() {
        let list: Vec<_> = fields(b"A: 1\nB: 2").map(|f| f.raw).collect();
        assert_eq!(list, [&b"A: 1\n"[..], b"B: 2"]);
    }

    #[test]
    fn values_are_found_in_any_case() {
        let header = b"to: a\r\nTO: b\r\nTool: c\r\n";
        assert_eq!(header_values(header, "To").collect::<Vec<_>>(), [b" a", b" b"]);
    }

    #[test]
    fn unfolding_keeps_the_white_space_and_drops_nul() {
        assert_eq!(unfold(b" a\r\n b\n\tc\r\n"), b"a b\tc");
        assert_eq!(unfold(b"a\0b\rc\nd"), b"ab c d");
        assert_eq!(unfold(b" \r\n "), b"");
    }
}
