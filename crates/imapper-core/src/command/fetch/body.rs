//! `BODY[section]<partial>` and its older forms RFC822, RFC822.HEADER and RFC822.TEXT (RFC 9051 §6.4.5,
//! RFC 3501 §6.4.5).

use std::ops::Range;

use bytes::Bytes;

use crate::message::section::FieldNames;
use crate::message::{Digest, Located, Section, What};
use crate::registry::slots::{Fetched, Fetching};
use crate::session::Reject;
use crate::storage::{Row, StorageError, Want};
use crate::wire::{Args, Line, Malformed};

/// The most part numbers of a section: no message is parsed deeper (see
/// [`message::Limits`](crate::message::Limits)).
const MAX_LEVELS: usize = 100;

/// Octets of a body, or of some of its parts.
pub(super) struct Octets {
    section: Section,
    partial: Option<Partial>,
    peeks: bool,
    /// Of HEADER.FIELDS and HEADER.FIELDS.NOT.
    names: Option<FieldNames>,
    /// What stands before the value.
    label: Vec<u8>,
}

/// RFC 9051 §9: `"<" number64 "." nz-number64 ">"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Partial {
    origin: u64,
    count: u64,
}

impl Partial {
    /// The part of a range; one that starts behind its end is empty (RFC 9051 §6.4.5).
    fn of(self, whole: &Range<u64>) -> Range<u64> {
        let start = whole.start.saturating_add(self.origin).min(whole.end);
        start..start.saturating_add(self.count).min(whole.end)
    }
}

impl Octets {
    /// Reads `[section]<partial>`. With `peeks`, fetching it does not set `\Seen`.
    pub(super) fn parse(args: &mut Args<'_>, peeks: bool) -> Result<Self, Malformed> {
        let section = section(args)?;
        let partial = if args.eat(b'<') { Some(partial(args)?) } else { None };
        let label = label(&section, partial);
        let names = match &section.what {
            What::HeaderFields(names) | What::HeaderFieldsNot(names) => Some(FieldNames::new(names)),
            _ => None,
        };
        Ok(Self { section, partial, peeks, names, label })
    }

    /// RFC822 and its kin, which say by one word what else a section says.
    pub(super) fn named(word: &str, what: What, peeks: bool) -> Self {
        Self {
            section: Section { part: Vec::new(), what },
            partial: None,
            peeks,
            names: None,
            label: word.into(),
        }
    }

    fn is_whole_message(&self) -> bool {
        self.section.part.is_empty() && self.section.what == What::Whole
    }

    fn locate(&self, message: &Fetching<'_>) -> Located {
        match (message.row, message.digest) {
            (Some(row), _) if self.is_whole_message() => Located::Range(0..row.size),
            (_, Some(digest)) => digest.locate(&self.section),
            _ => Located::Nothing,
        }
    }

    fn put_range(&self, message: &Fetching<'_>, whole: &Range<u64>, line: &mut Line) -> Result<(), Reject> {
        let wanted = self.partial.map_or_else(|| whole.clone(), |partial| partial.of(whole));
        if let Some(header) = message.digest.and_then(|digest| header_at_hand(digest, whole)) {
            put_octets(line, cut(header, self.partial));
        } else if wanted.is_empty() {
            line.raw(b"\"\"");
        } else {
            let body = message.row.and_then(|row| row.body.clone()).ok_or_else(|| no_body(message.row))?;
            line.body(body, wanted);
        }
        Ok(())
    }

    fn put_fields(&self, header: &[u8], line: &mut Line) {
        let not = matches!(self.section.what, What::HeaderFieldsNot(_));
        let fields = self.names.as_ref().map(|names| names.filter(header, not)).unwrap_or_default();
        // RFC 9051 §6.4.5: the substring is taken after subsetting.
        put_octets(line, cut(&fields, self.partial));
    }
}

impl Fetched for Octets {
    fn wants(&self) -> Option<Want> {
        Some(Want { digest: !self.is_whole_message(), body: true })
    }

    fn reads(&self, message: &Fetching<'_>) -> Option<Range<u64>> {
        match self.locate(message) {
            Located::Fields { within } if header_at_hand(message.digest?, &within).is_none() => Some(within),
            _ => None,
        }
    }

    fn render(&self, message: &Fetching<'_>, read: Option<&Bytes>, line: &mut Line) -> Result<(), Reject> {
        line.raw(&self.label).sp();
        match self.locate(message) {
            Located::Range(whole) => self.put_range(message, &whole, line)?,
            Located::Fields { within } => {
                let kept = message.digest.and_then(|digest| header_at_hand(digest, &within));
                self.put_fields(kept.or(read.map(AsRef::as_ref)).unwrap_or_default(), line);
            }
            // RFC 9051 §7.5.2: an nstring, so that what is not there differs from what is empty.
            Located::Nothing => {
                line.raw(b"NIL");
            }
        }
        Ok(())
    }

    fn sets_seen(&self) -> bool {
        !self.peeks
    }
}

/// The message's own header, where the digest holds it.
fn header_at_hand<'a>(digest: &'a Digest, range: &Range<u64>) -> Option<&'a [u8]> {
    digest.header_bytes().filter(|header| *range == digest.header() && header.len() as u64 == range.end)
}

fn cut(octets: &[u8], partial: Option<Partial>) -> &[u8] {
    let Some(partial) = partial else { return octets };
    let wanted = partial.of(&(0..octets.len() as u64));
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    octets.get(place(wanted.start)..place(wanted.end)).unwrap_or_default()
}

fn put_octets(line: &mut Line, octets: &[u8]) {
    if octets.is_empty() {
        line.raw(b"\"\"");
    } else {
        line.literal(octets);
    }
}

fn no_body(row: Option<&Row>) -> Reject {
    StorageError::Corrupt(format!("message {:?} has no body", row.map(|row| row.uid.get()))).into()
}

/// RFC 9051 §9: `section`.
fn section(args: &mut Args<'_>) -> Result<Section, Malformed> {
    args.expect(b'[')?;
    let mut part = Vec::new();
    while args.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        if part.len() == MAX_LEVELS {
            return Err(args.malformed("too many part numbers"));
        }
        part.push(nz(args, Args::number)?);
        if args.peek() == Some(b']') {
            args.expect(b']')?;
            return Ok(Section { part, what: What::Whole });
        }
        args.expect(b'.')?;
    }
    let what = if part.is_empty() && args.peek() == Some(b']') { What::Whole } else { text(args, &part)? };
    args.expect(b']')?;
    Ok(Section { part, what })
}

/// RFC 9051 §9: `section-text`, and without a part number `section-msgtext`.
fn text(args: &mut Args<'_>, part: &[u32]) -> Result<What, Malformed> {
    let start = *args;
    let word = args.take_while(|byte| byte.is_ascii_alphabetic() || byte == b'.').to_ascii_uppercase();
    let what = match &*word {
        b"HEADER" => What::Header,
        b"HEADER.FIELDS" => What::HeaderFields(names(args)?),
        b"HEADER.FIELDS.NOT" => What::HeaderFieldsNot(names(args)?),
        b"TEXT" => What::Text,
        b"MIME" if !part.is_empty() => What::Mime,
        b"MIME" => return Err(start.malformed("MIME needs a part number before it")),
        _ => return Err(start.malformed("there is no such section")),
    };
    Ok(what)
}

fn names(args: &mut Args<'_>) -> Result<Vec<Vec<u8>>, Malformed> {
    args.sp()?;
    args.list(|args| args.astring().map(std::borrow::Cow::into_owned))
}

fn partial(args: &mut Args<'_>) -> Result<Partial, Malformed> {
    let origin = args.number64()?;
    args.expect(b'.')?;
    let count = nz(args, Args::number64)?;
    args.expect(b'>')?;
    Ok(Partial { origin, count })
}

/// A number that begins with a digit other than 0.
fn nz<'a, T>(
    args: &mut Args<'a>,
    number: impl FnOnce(&mut Args<'a>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    if args.peek() == Some(b'0') {
        return Err(args.malformed("a number other than 0 is expected"));
    }
    number(args)
}

/// The item as the response names it (RFC 9051 §7.5.2): of a partial one the origin alone.
fn label(section: &Section, partial: Option<Partial>) -> Vec<u8> {
    let mut line = Line::new();
    line.raw(b"BODY[");
    for (at, number) in section.part.iter().enumerate() {
        line.raw(if at == 0 { b"" } else { b"." }).number(*number);
    }
    let (word, names): (&str, &[Vec<u8>]) = match &section.what {
        What::Whole => ("", &[]),
        What::Header => ("HEADER", &[]),
        What::HeaderFields(names) => ("HEADER.FIELDS", names),
        What::HeaderFieldsNot(names) => ("HEADER.FIELDS.NOT", names),
        What::Text => ("TEXT", &[]),
        What::Mime => ("MIME", &[]),
    };
    if !section.part.is_empty() && !word.is_empty() {
        line.raw(b".");
    }
    line.word(word);
    for (at, name) in names.iter().enumerate() {
        line.raw(if at == 0 { b" (" } else { b" " }).astring(name);
    }
    line.raw(if names.is_empty() { b"]" } else { b")]" });
    if let Some(partial) = partial {
        line.raw(b"<").number(partial.origin).raw(b">");
    }
    line.text().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(Octets, String), Malformed> {
        let mut args = Args::new(text.as_bytes(), 32);
        let item = Octets::parse(&mut args, true)?;
        args.end()?;
        let label = String::from_utf8(item.label.clone()).unwrap();
        Ok((item, label))
    }

    #[test]
    fn sections_are_echoed_in_their_own_form() {
        for (given, told) in [
            ("[]", "BODY[]"),
            ("[]<0.1>", "BODY[]<0>"),
            ("[text]<10.4294967295>", "BODY[TEXT]<10>"),
            ("[1]", "BODY[1]"),
            ("[4294967295]", "BODY[4294967295]"),
            ("[1.2.header]<007.5>", "BODY[1.2.HEADER]<7>"),
            ("[1.mime]", "BODY[1.MIME]"),
            ("[Header.Fields (Date \"From\")]", "BODY[HEADER.FIELDS (Date From)]"),
            ("[3.HEADER.FIELDS.NOT ({4}\r\nDate)]<1.2>", "BODY[3.HEADER.FIELDS.NOT (Date)]<1>"),
            ("[HEADER.FIELDS (\"a b\" \"\")]", "BODY[HEADER.FIELDS (\"a b\" \"\")]"),
        ] {
            assert_eq!(parsed(given).map(|(_, label)| label).as_deref(), Ok(told), "{given}");
        }
    }

    #[test]
    fn what_is_no_section_is_malformed() {
        let (deep, deeper) = (vec!["1"; 100].join("."), vec!["1"; 101].join("."));
        assert!(parsed(&format!("[{deep}]")).is_ok() && parsed(&format!("[{deeper}]")).is_err());
        for text in [
            "",
            "[",
            "]",
            "[ ]",
            "[0]",
            "[01]",
            "[1.0]",
            "[4294967296]",
            "[1.]",
            "[.1]",
            "[1..2]",
            "[1 ]",
            "[MIME]",
            "[FOO]",
            "[1.FOO]",
            "[HEADER.1]",
            "[TEXT.MIME]",
            "[HEADER.]",
            "[-1]",
            "[1.*]",
            "[HEADER.FIELDS]",
            "[HEADER.FIELDS ]",
            "[HEADER.FIELDS ()]",
            "[HEADER.FIELDS Date]",
            "[HEADER.FIELDS (Date]",
            "[HEADER.FIELDS  (Date)]",
            "[HEADER.FIELDS (Date ())]",
            "[HEADER.FIELDS (Date )]",
            "[HEADER (Date)]",
            "[]<>",
            "[]<0>",
            "[]<0.0>",
            "[]<0.01>",
            "[]<.1>",
            "[]<1.>",
            "[]<0.1",
            "[]<-1.1>",
            "[]<0.9223372036854775808>",
            "[]<0.1>x",
            "[]x",
            "[] <0.1>",
            "[]<0.1><0.1>",
        ] {
            assert!(parsed(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_partial_is_cut_at_the_end() {
        let of = |origin, count, whole: Range<u64>| Partial { origin, count }.of(&whole);
        assert_eq!(of(0, 2048, 0..1500), 0..1500);
        assert_eq!(of(4, 10, 100..120), 104..114);
        assert_eq!(of(4, 10, 100..110), 104..110);
        assert!(of(10, 1, 100..110).is_empty());
        assert!(of(11, 1, 100..110).is_empty());
        assert!(of(u64::MAX, u64::MAX, 100..110).is_empty());
        assert_eq!(of(1, u64::MAX, 100..110), 101..110);
        assert_eq!(cut(b"abcdef", Some(Partial { origin: 2, count: 3 })), b"cde");
        assert_eq!(cut(b"abcdef", Some(Partial { origin: 6, count: 3 })), b"");
    }
}
