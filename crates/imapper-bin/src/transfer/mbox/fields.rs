//! What header fields of an mbox tell of a message: flags, UID, the mailbox's numbers.

use std::fmt::Write as _;

use imapper_core::storage::Numbers;
use imapper_core::types::{Flags, InternalDate, Keyword, ModSeq, SystemFlag, SystemFlags, Uid, UidValidity};

use crate::transfer::lines;
use crate::transfer::maildir::is_keyword;

/// Written here, and the last of what is written here.
const OURS: &str = "X-Imapper";

/// The fields that may stand before it.
const KNOWN: [&str; 6] = ["X-IMAPbase", "X-UID", "Status", "X-Status", "X-Keywords", OURS];

/// No mailbox has had so many messages. Who would have its UIDs run out could write such a field into a message.
const LAST: u32 = 1 << 31;

/// How much of a header is looked at.
const HEADER: usize = 256 * 1024;

/// What fields tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) uid: Option<Uid>,
    pub(super) flags: Flags,
    /// Of our own only: the date of others is that of the line before.
    pub(super) date: Option<InternalDate>,
    /// UIDVALIDITY, the last UID.
    pub(super) base: Option<(UidValidity, u32)>,
    /// UW IMAP's first message, which is none.
    pub(super) is_internal: bool,
    /// No line feed stood at the end.
    cut: bool,
    /// Lines stand as they are on the wire.
    raw: bool,
}

impl Fields {
    /// The fields, and the message without those that are no part of it, as it goes over the wire.
    pub(super) fn read(text: Vec<u8>) -> (Self, bytes::Bytes) {
        let mut fields = Self::default();
        let Some(end) = fields.read_ours(&text) else {
            fields = Self::default();
            for (name, value) in header(&text) {
                fields.take(name, &value);
            }
            return (fields, lines::to_wire(text).0);
        };
        let mut rest = text.get(end..).unwrap_or_default().to_vec();
        if fields.cut {
            rest.pop_if(|last| *last == b'\n');
        }
        let wire = if fields.raw { rest.into() } else { lines::to_wire(rest).0 };
        (fields, wire)
    }

    /// Where the fields end that were written here; `None` if there are none.
    fn read_ours(&mut self, text: &[u8]) -> Option<usize> {
        let mut end = 0;
        for line in text.split_inclusive(|octet| *octet == b'\n').take(KNOWN.len()) {
            end += line.len();
            let (name, value) = split(line)?;
            KNOWN.iter().find(|known| **known == name)?;
            self.take(name, value);
            if name == OURS {
                let mut words = value.split(';').map(str::trim);
                self.date = Some(InternalDate::parse(words.next()?.as_bytes())?);
                for word in words {
                    self.cut |= word == "end=cut";
                    self.raw |= word == "lines=raw";
                }
                return Some(end);
            }
        }
        None
    }

    fn take(&mut self, name: &str, value: &str) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("Status") || is("X-Status") {
            let letters = value.chars().filter_map(|letter| match letter {
                'R' => Some(SystemFlag::Seen),
                'A' => Some(SystemFlag::Answered),
                'F' => Some(SystemFlag::Flagged),
                'D' => Some(SystemFlag::Deleted),
                'T' => Some(SystemFlag::Draft),
                _ => None, // O, old, for one
            });
            let system = letters.fold(SystemFlags::NONE, |all, flag| all | flag.into());
            self.flags = self.flags.with(&Flags::new(system, []));
        } else if is("X-Keywords") {
            let words = value.split_ascii_whitespace().filter(|word| is_keyword(word)).map(Keyword::new);
            self.flags = self.flags.with(&Flags::new(SystemFlags::NONE, words));
        } else if is("X-UID") {
            self.uid = value.trim().parse().ok().and_then(Uid::new);
        } else if is("X-IMAPbase") || is("X-IMAP") {
            let mut words = value.split_ascii_whitespace();
            let validity = words.next().and_then(|word| word.parse().ok());
            let last = words.next().and_then(|word| word.parse().ok());
            self.base = validity.zip(last);
            self.is_internal = is("X-IMAP");
        }
    }

    /// What the mailbox's UIDs belong to.
    pub(super) fn numbers(&self) -> Option<Numbers> {
        let (uid_validity, last) = self.base.filter(|(_, last)| *last < LAST)?;
        let uid_next = Uid::new(last.saturating_add(1))?;
        Some(Numbers { uid_validity, uid_next, highest_modseq: ModSeq::ZERO })
    }
}

/// A field of one line.
fn split(line: &[u8]) -> Option<(&str, &str)> {
    let line = line.strip_suffix(b"\n")?;
    let (name, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
    Some((name, value.trim()))
}

/// The fields of a header, unfolded. Those that are no text are passed over.
fn header(text: &[u8]) -> Vec<(&str, String)> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    let text = text.get(..HEADER).unwrap_or(text);
    for line in text.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let Ok(line) = std::str::from_utf8(line) else { continue };
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name, value.trim().to_owned()));
        }
    }
    fields
}

/// The fields of a message, and the message, quoted, with the empty line behind it.
pub(super) fn write(message: &crate::transfer::Message, base: Option<&str>, out: &mut Vec<u8>) {
    let mut fields = base.map(|base| format!("X-IMAPbase: {base}\n")).unwrap_or_default();
    if let Some(uid) = message.uid {
        let _ = writeln!(fields, "X-UID: {uid}");
    }
    let has = |flag, letter| if message.flags.contains(flag) { letter } else { "" };
    let _ = writeln!(fields, "Status: {}O", has(SystemFlag::Seen, "R"));
    let letters = [
        has(SystemFlag::Answered, "A"),
        has(SystemFlag::Flagged, "F"),
        has(SystemFlag::Draft, "T"),
        has(SystemFlag::Deleted, "D"),
    ];
    let _ = writeln!(fields, "X-Status: {}", letters.concat());
    let keywords: Vec<&str> = message.flags.keywords().iter().map(Keyword::as_str).collect();
    if !keywords.is_empty() {
        let _ = writeln!(fields, "X-Keywords: {}", keywords.join(" "));
    }
    let _ = write!(fields, "{OURS}: {}", message.date);
    let is_raw = !lines::comes_back(&message.body);
    let text = if is_raw { message.body.to_vec() } else { lines::to_lf(&message.body) };
    let is_cut = !text.ends_with(b"\n");
    if is_cut {
        fields.push_str("; end=cut");
    }
    if is_raw {
        fields.push_str("; lines=raw");
    }
    fields.push('\n');
    out.extend_from_slice(fields.as_bytes());
    super::lines::quote(&text, out);
    out.extend_from_slice(if is_cut { b"\n\n" } else { b"\n" });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_others_are_read_and_stay() {
        let text = "X-IMAPbase: 1234 0000000017 a b\nX-UID: 5\nstatus: RO\nX-Status: AFDT\nX-Keywords: a b\n  (c) d\nSubject: x\n\nStatus: O\n";
        let (fields, wire) = Fields::read(text.as_bytes().to_vec());
        assert_eq!(wire, text.replace('\n', "\r\n"));
        assert_eq!(fields.uid.map(Uid::get), Some(5));
        assert_eq!(
            fields.flags.names().collect::<Vec<_>>(),
            ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft", "a", "b", "d"]
        );
        let numbers = fields.numbers().unwrap();
        assert_eq!((numbers.uid_validity.get(), numbers.uid_next.get()), (1234, 18));
        assert!(!fields.is_internal && fields.date.is_none());
        assert_eq!(
            Fields::read(b"X-IMAPbase: 1 4294967000\n\n".to_vec()).0.numbers(),
            None,
            "nobody has so many"
        );
        assert!(Fields::read(b"X-IMAP: 1 2\n\nx".to_vec()).0.is_internal);
        assert!(Fields::read(b"\xff: y\nX-UID: 7\n\n".to_vec()).0.uid.is_some());
    }

    #[test]
    fn fields_that_the_sender_wrote_are_not_taken_for_ours() {
        let message = "Status: O\r\nX-Imapper: 14-Sep-2013 21:22:28 -0300\r\nX-UID: 99\r\n\r\nhello\r\n";
        let sent = crate::transfer::Message {
            name: String::new(),
            uid: Uid::new(7),
            flags: SystemFlag::Seen.into(),
            date: InternalDate { seconds: 60, offset_minutes: 90 },
            body: message.into(),
            crlf: false,
        };
        let mut text = Vec::new();
        write(&sent, Some("1 7"), &mut text);
        text.pop();
        let (fields, wire) = Fields::read(text);
        assert_eq!(wire, message);
        assert_eq!((fields.uid, fields.date, fields.flags), (sent.uid, Some(sent.date), sent.flags));
    }
}
