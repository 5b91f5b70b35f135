//! The decoded text of a message, piece by piece: memory is bounded by the piece, not by the message.

use std::ops::Range;

use bytes::Bytes;
use encoding_rs::{CoderResult, Decoder, REPLACEMENT, WINDOWS_1252};

use crate::command::parsed::read_range;
use crate::message::search::{decode_charset, decode_header_value, decode_text};
use crate::message::{Digest, Encoding, decode_transfer, fields};
use crate::registry::slots::SearchText;
use crate::session::Reject;
use crate::storage::{BodyRef, Storage};

/// The most octets of a part that are decoded at once.
const PIECE: u64 = 256 * 1024;
/// At least so much is read at once: most messages are no longer, and what comes next is mostly wanted, too.
const AHEAD: u64 = 64 * 1024;

/// The octets of a body, of which one stretch is in memory.
pub(super) struct Window<'a> {
    storage: &'a dyn Storage,
    body: &'a BodyRef,
    size: u64,
    at: u64,
    octets: Bytes,
}

impl<'a> Window<'a> {
    /// Nothing in memory yet.
    pub(super) const fn new(storage: &'a dyn Storage, body: &'a BodyRef, size: u64) -> Self {
        Self { storage, body, size, at: 0, octets: Bytes::new() }
    }

    /// Those octets. The caller bounds the range.
    pub(super) async fn read(&mut self, range: Range<u64>) -> Result<Bytes, Reject> {
        let range = range.start..range.end.clamp(range.start, self.size.max(range.start));
        if let Some(octets) = self.held(&range) {
            return Ok(octets);
        }
        let end = range.end.max(range.start.saturating_add(AHEAD)).min(self.size);
        self.octets = read_range(self.storage, self.body, range.start..end).await?;
        self.at = range.start;
        Ok(self.held(&range).unwrap_or_default())
    }

    fn held(&self, range: &Range<u64>) -> Option<Bytes> {
        let start = usize::try_from(range.start.checked_sub(self.at)?).ok()?;
        let end = usize::try_from(range.end.checked_sub(self.at)?).ok()?;
        (end <= self.octets.len()).then(|| self.octets.slice(start..end))
    }
}

/// The text of a message, from its first octet to its last.
pub(super) struct Pieces<'a> {
    window: Window<'a>,
    sections: std::vec::IntoIter<Section<'a>>,
    part: Option<Part<'a>>,
    // The longest header that is looked into.
    header: u64,
    overlap: usize,
    text: String,
}

/// A stretch of a message that is looked into as a whole.
struct Section<'a> {
    range: Range<u64>,
    what: What<'a>,
}

#[derive(Clone, Copy)]
enum What<'a> {
    /// The header of the message or of a part.
    Fields,
    /// The header of a message in the message, which is in the body.
    Nested,
    /// The text of a part.
    Text(Encoding, Option<&'a str>),
}

impl<'a> Pieces<'a> {
    /// The text that the body says; and with `fields` the header, and those of parts. Pieces of long parts
    /// overlap by so many octets at least. Of a header no more than `header` octets are looked into.
    pub(super) fn new(
        window: Window<'a>,
        digest: &'a Digest,
        fields: bool,
        header: u64,
        overlap: usize,
    ) -> Self {
        let nested: Vec<_> = digest.nested_headers().collect();
        let mut sections = Vec::new();
        if fields {
            sections.push(Section { range: digest.header(), what: What::Fields });
            let parts = digest.part_headers().filter(|range| !nested.contains(range));
            sections.extend(parts.map(|range| Section { range, what: What::Fields }));
        }
        sections.extend(nested.iter().map(|range| Section { range: range.clone(), what: What::Nested }));
        sections.extend(
            digest.text_parts().map(|part| Section {
                range: part.body.clone(),
                what: What::Text(part.encoding, part.charset),
            }),
        );
        sections.retain(|section| !section.range.is_empty());
        // In the order in which they are read.
        sections.sort_by_key(|section| section.range.start);
        Self { window, sections: sections.into_iter(), part: None, header, overlap, text: String::new() }
    }

    /// The next piece.
    pub(super) async fn next(&mut self) -> Result<Option<SearchText<'_>>, Reject> {
        loop {
            if let Some(part) = &mut self.part {
                if part.next(&mut self.window, &mut self.text).await? {
                    return Ok(Some(SearchText::Body(&self.text)));
                }
                self.part = None;
            }
            let Some(Section { range, what }) = self.sections.next() else { return Ok(None) };
            match what {
                What::Text(encoding, charset) => {
                    self.part = Some(Part::new(range, encoding, charset, self.overlap));
                }
                What::Fields | What::Nested => {
                    let end = range.end.min(range.start.saturating_add(self.header));
                    let header = self.window.read(range.start..end).await?;
                    self.text.clear();
                    decode_fields(&header, &mut self.text);
                    let is_fields = matches!(what, What::Fields);
                    let text = self.text.as_str();
                    return Ok(Some(if is_fields {
                        SearchText::Fields(text)
                    } else {
                        SearchText::Body(text)
                    }));
                }
            }
        }
    }
}

/// Header fields as people read them, a line each.
fn decode_fields(header: &[u8], out: &mut String) {
    for field in fields(header) {
        if !field.name.is_empty() {
            out.push_str(&String::from_utf8_lossy(field.name));
            out.push_str(": ");
        }
        out.push_str(&decode_header_value(field.value));
        out.push('\n');
    }
}

/// A part that is being decoded.
struct Part<'a> {
    rest: Range<u64>,
    encoding: Encoding,
    charset: Option<&'a str>,
    // What is left of the piece before, because it can be decoded only with what follows.
    pending: Vec<u8>,
    decode: Option<Charset<'a>>,
    overlap: usize,
}

/// How the octets of a long part become text.
enum Charset<'a> {
    Standard(Box<Decoder>),
    /// One that is decoded piece by piece.
    Other(&'a str),
    /// UTF-8, or else windows-1252; with the octets of a character that is cut.
    Guess(Vec<u8>),
}

impl<'a> Part<'a> {
    const fn new(rest: Range<u64>, encoding: Encoding, charset: Option<&'a str>, overlap: usize) -> Self {
        Self { rest, encoding, charset, pending: Vec::new(), decode: None, overlap }
    }

    /// Puts the next piece in the place of the one before; `false` if there is none.
    async fn next(&mut self, window: &mut Window<'_>, text: &mut String) -> Result<bool, Reject> {
        if self.rest.is_empty() {
            return Ok(false);
        }
        let end = self.rest.end.min(self.rest.start.saturating_add(PIECE));
        let octets = window.read(self.rest.start..end).await?;
        let is_last = end == self.rest.end;
        self.rest.start = end;
        let is_first = self.decode.is_none();
        if is_first && is_last {
            // The usual case: the whole part is one piece.
            *text = decode_text(&octets, self.encoding, self.charset);
            return Ok(true);
        }
        let mut keep = if is_first { text.len() } else { text.len().saturating_sub(self.overlap) };
        while !text.is_char_boundary(keep) {
            keep -= 1;
        }
        text.drain(..keep);
        self.append(&octets, is_last, text);
        Ok(true)
    }

    fn append(&mut self, octets: &[u8], is_last: bool, text: &mut String) {
        match self.encoding {
            // What is no digit means nothing, and must not pile up between two of them.
            Encoding::Base64 => self.pending.extend(octets.iter().filter(|byte| is_digit_or_end(**byte))),
            _ => self.pending.extend_from_slice(octets),
        }
        let cut = if is_last { self.pending.len() } else { safe_cut(&self.pending, self.encoding) };
        let rest = self.pending.split_off(cut);
        let piece = std::mem::replace(&mut self.pending, rest);
        let decoded = decode_transfer(&piece, self.encoding);
        let charset = self.decode.get_or_insert_with(|| Charset::new(self.charset));
        charset.append(decoded.as_deref().unwrap_or(&piece), is_last, text);
    }
}

const fn is_digit_or_end(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// How much of a stretch can be decoded without what follows.
fn safe_cut(octets: &[u8], encoding: Encoding) -> usize {
    match encoding {
        // Whole quanta of four digits; a "=" begins them anew.
        Encoding::Base64 => {
            let (mut digits, mut cut) = (0u32, 0);
            for (at, &byte) in octets.iter().enumerate() {
                digits = if byte == b'=' { 0 } else { (digits + 1) % 4 };
                if digits == 0 {
                    cut = at + 1;
                }
            }
            cut
        }
        // Whole lines; in one that is too long, at least no escape is cut.
        Encoding::QuotedPrintable => {
            let tail = octets.len().saturating_sub(2);
            let escape = || memchr::memchr(b'=', octets.get(tail..)?);
            let line = memchr::memrchr(b'\n', octets).map(|at| at + 1);
            line.or_else(|| escape().map(|at| tail + at)).unwrap_or(octets.len())
        }
        _ => octets.len(),
    }
}

impl<'a> Charset<'a> {
    fn new(label: Option<&'a str>) -> Self {
        let Some(label) = label.map(str::trim) else { return Self::Guess(Vec::new()) };
        if label.eq_ignore_ascii_case("us-ascii") || label.eq_ignore_ascii_case("ascii") {
            return Self::Guess(Vec::new());
        }
        match encoding_rs::Encoding::for_label(label.as_bytes()).filter(|known| *known != REPLACEMENT) {
            Some(known) => Self::Standard(Box::new(known.new_decoder_without_bom_handling())),
            None if decode_charset(b"", label).is_some() => Self::Other(label),
            None => Self::Guess(Vec::new()),
        }
    }

    fn append(&mut self, mut octets: &[u8], is_last: bool, text: &mut String) {
        match self {
            Self::Standard(decoder) => {
                // The loop ends: there is always room for one more character.
                loop {
                    text.reserve(
                        decoder.max_utf8_buffer_length(octets.len()).unwrap_or(octets.len()).max(16),
                    );
                    let (result, read, _) = decoder.decode_to_string(octets, text, is_last);
                    octets = octets.get(read..).unwrap_or_default();
                    if result == CoderResult::InputEmpty {
                        break;
                    }
                }
            }
            Self::Other(label) => text.push_str(&decode_charset(octets, label).unwrap_or_default()),
            Self::Guess(cut) => {
                cut.extend_from_slice(octets);
                match std::str::from_utf8(cut) {
                    Ok(whole) => {
                        text.push_str(whole);
                        cut.clear();
                    }
                    // Only the last character lacks its end.
                    Err(error) if error.error_len().is_none() && !is_last => {
                        let rest = cut.split_off(error.valid_up_to());
                        text.push_str(&String::from_utf8_lossy(cut));
                        *cut = rest;
                    }
                    Err(_) => {
                        text.push_str(&WINDOWS_1252.decode_without_bom_handling(cut).0);
                        cut.clear();
                    }
                }
            }
        }
    }
}
