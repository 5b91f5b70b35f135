//! Taking an mbox apart: its messages, without the lines between them.

use std::io::{self, BufRead, Read as _};

use imapper_core::types::InternalDate;

use super::date;

/// How much of a line is looked at at once. The line before a message is shorter.
const PIECE: u64 = 64 * 1024;

/// The messages of an mbox.
pub(super) struct Pieces<R> {
    reader: R,
    /// Whether the line before a message has been read, and its date.
    next: Next,
    limit: usize,
}

enum Next {
    /// Nothing has been read yet.
    Begin,
    Message(Option<InternalDate>),
    End,
}

/// A message as it stands in the file, with what quoting added taken off.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) date: Option<InternalDate>,
    /// `None`: it is larger than the limit.
    pub(super) text: Option<Vec<u8>>,
}

impl<R: BufRead> Pieces<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader, next: Next::Begin, limit }
    }

    /// The next message, `None` at the end. What does not begin with `From ` is no mbox.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece>> {
        if matches!(self.next, Next::Begin) {
            self.next = self.begin()?;
        }
        let Next::Message(date) = std::mem::replace(&mut self.next, Next::End) else { return Ok(None) };
        let mut text = Vec::new();
        let mut is_too_large = false;
        let (mut at_start, mut after_blank) = (true, false);
        let mut line = Vec::new();
        loop {
            line.clear();
            if self.reader.by_ref().take(PIECE).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if at_start && after_blank && line.starts_with(b"From ") {
                // A line of the text that only looks like one has no date.
                if let Some(date) = date::read(&line) {
                    self.next = Next::Message(Some(date));
                    break;
                }
            }
            after_blank = at_start && is_blank(&line);
            let quoted = at_start && is_quoted(&line);
            at_start = line.ends_with(b"\n");
            is_too_large |= text.len() + line.len() > self.limit;
            if !is_too_large {
                text.extend_from_slice(if quoted { line.get(1..).unwrap_or_default() } else { &line });
            }
        }
        if after_blank {
            // The empty line behind each message is none of its own.
            text.pop_if(|last| *last == b'\n');
            text.pop_if(|last| *last == b'\r');
        }
        Ok(Some(Piece { date, text: (!is_too_large).then_some(text) }))
    }

    /// Reads the first line.
    fn begin(&mut self) -> io::Result<Next> {
        let mut line = Vec::new();
        // Some files begin with empty lines.
        while self.reader.by_ref().take(PIECE).read_until(b'\n', &mut line)? > 0 {
            if line.starts_with(b"From ") {
                return Ok(Next::Message(date::read(&line)));
            }
            if !is_blank(&line) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "this is no mbox: it does not begin with `From `",
                ));
            }
            line.clear();
        }
        Ok(Next::End)
    }
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// `>From `, `>>From ` and so on.
fn is_quoted(line: &[u8]) -> bool {
    let bare = line.iter().position(|octet| *octet != b'>').unwrap_or_default();
    bare > 0 && line.get(bare..).is_some_and(|rest| rest.starts_with(b"From "))
}

/// The text with a `>` before each line that would be taken for one between messages, or for one that has
/// been quoted.
pub(super) fn quote(text: &[u8], out: &mut Vec<u8>) {
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b"From ") || is_quoted(line) {
            out.push(b'>');
        }
        out.extend_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(mbox: &str) -> Vec<String> {
        let mut pieces = Pieces::new(mbox.as_bytes(), 1000);
        let mut texts = Vec::new();
        while let Some(piece) = pieces.next().unwrap() {
            texts.push(String::from_utf8(piece.text.unwrap()).unwrap());
        }
        texts
    }

    const FROM: &str = "From x Thu Jan  1 00:00:00 1970\n";

    #[test]
    fn messages_stand_between_from_lines_behind_an_empty_line() {
        assert_eq!(texts(""), [""; 0]);
        assert_eq!(texts(&format!("{FROM}a: b\n\nc\n\n{FROM}d: e\n\nf\n\n")), ["a: b\n\nc\n", "d: e\n\nf\n"]);
        assert_eq!(texts(&format!("\n{FROM}a: b\n\nno end")), ["a: b\n\nno end"]);
        assert_eq!(
            texts(&format!("{FROM}a: b\n\nc\n{FROM}d\n")),
            [format!("a: b\n\nc\n{FROM}d\n")],
            "no empty line"
        );
        assert_eq!(texts(&format!("{FROM}a\n\nFrom here on\n\n")), ["a\n\nFrom here on\n"], "no date");
        assert_eq!(texts(&format!("{FROM}a\r\n\r\nb\r\n\r\n{FROM}c")), ["a\r\n\r\nb\r\n", "c"]);
        assert_eq!(texts(&format!("{FROM}\n{FROM}\n")), ["", ""]);
        assert_eq!(texts("From nowhere\nx"), ["x"], "the first line needs no date");
    }

    #[test]
    fn quoting_is_taken_off_once() {
        let text = format!("{FROM}>From a\n>>From b\n>Fro m\n >From c\n> From d\n");
        assert_eq!(texts(&text), ["From a\n>From b\n>Fro m\n >From c\n> From d\n"]);
        let mut quoted = Vec::new();
        quote(b"From a\n>From b\nx From c\nFrom ", &mut quoted);
        assert_eq!(quoted, b">From a\n>>From b\nx From c\n>From ");
    }

    #[test]
    fn what_is_too_large_is_passed_over_and_what_is_no_mbox_refused() {
        let text = format!("{FROM}{}\n\n{FROM}b\n", "a".repeat(2000));
        let mut pieces = Pieces::new(text.as_bytes(), 1000);
        assert_eq!(pieces.next().unwrap().unwrap().text, None);
        assert_eq!(pieces.next().unwrap().unwrap().text.unwrap(), b"b\n");
        assert_eq!(pieces.next().unwrap(), None);
        assert!(Pieces::new(&b"Subject: x\n"[..], 1000).next().is_err());
    }

    #[test]
    fn a_line_longer_than_is_looked_at_at_once_stays_whole() {
        let long = format!("{}From x\n", "a".repeat(64 * 1024));
        let text = format!("{FROM}{long}");
        let mut pieces = Pieces::new(text.as_bytes(), 1_000_000);
        assert_eq!(pieces.next().unwrap().unwrap().text.unwrap(), long.as_bytes());
    }
}
