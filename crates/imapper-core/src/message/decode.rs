//! Transfer encodings (RFC 2045 §6), encoded words (RFC 2047) and charsets, decoded.
//!
//! The only file that knows mail-parser: it has the charsets that the Encoding Standard (`encoding_rs`)
//! leaves out, as UTF-7. The decoders here never fail on damaged input: they give what can be read.

use std::borrow::Cow;

use encoding_rs::{REPLACEMENT, UTF_8, WINDOWS_1252};
use mail_parser::decoders::charsets::map::charset_decoder;

use super::header::unfold;

/// A Content-Transfer-Encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `7bit`, and the default.
    SevenBit,
    /// `8bit`
    EightBit,
    /// `binary`
    Binary,
    /// `quoted-printable`
    QuotedPrintable,
    /// `base64`
    Base64,
    /// Any other: cannot be decoded.
    Unknown,
}

impl Encoding {
    /// The encoding of this name, in any case.
    pub fn from_name(name: &[u8]) -> Encoding {
        match &*name.to_ascii_lowercase() {
            b"7bit" => Encoding::SevenBit,
            b"8bit" => Encoding::EightBit,
            b"binary" => Encoding::Binary,
            b"quoted-printable" => Encoding::QuotedPrintable,
            b"base64" => Encoding::Base64,
            _ => Encoding::Unknown,
        }
    }
}

/// Undoes a transfer encoding. `None` if it is not known (BINARY: `NO [UNKNOWN-CTE]`, RFC 3516 §4.3).
pub fn decode_transfer(body: &[u8], encoding: Encoding) -> Option<Cow<'_, [u8]>> {
    match encoding {
        Encoding::SevenBit | Encoding::EightBit | Encoding::Binary => Some(Cow::Borrowed(body)),
        Encoding::QuotedPrintable => Some(Cow::Owned(quoted_printable(body))),
        Encoding::Base64 => Some(Cow::Owned(base64(body))),
        Encoding::Unknown => None,
    }
}

const fn base64_table() -> [u8; 256] {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [0xff; 256];
    let mut rest: &[u8] = DIGITS;
    let mut value = 0;
    while let [digit, tail @ ..] = rest {
        table[*digit as usize] = value;
        value += 1;
        rest = tail;
    }
    table
}

static BASE64: [u8; 256] = base64_table();

/// Base64, octets outside of the alphabet skipped (RFC 2045 §6.8). A `=` ends a quantum; more may
/// follow, for mailing lists append encoded footers.
fn base64(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0u32, 0u32);
    let flush = |out: &mut Vec<u8>, bits: u32, count: u32| {
        let [_, a, b, _] = (bits << (24 - 6 * count.min(4))).to_be_bytes();
        match count {
            2 => out.push(a),
            3 => out.extend([a, b]),
            _ => {}
        }
    };
    let value = |b: u8| BASE64.get(usize::from(b)).copied().unwrap_or(0xff);
    let mut rest = body;
    while let [first, tail @ ..] = rest {
        // Whole quanta are nearly all there is.
        if let ([a, b, c, d, tail @ ..], 0) = (rest, count) {
            let quantum = [a, b, c, d].map(|b| value(*b));
            if quantum.iter().all(|v| *v < 64) {
                let bits = quantum.iter().fold(0, |bits, v| bits << 6 | u32::from(*v));
                let [_, octets @ ..] = bits.to_be_bytes();
                out.extend(octets);
                rest = tail;
                continue;
            }
        }
        rest = tail;
        if value(*first) < 64 {
            bits = bits << 6 | u32::from(value(*first));
            count += 1;
        }
        if count == 4 {
            let [_, octets @ ..] = bits.to_be_bytes();
            out.extend(octets);
            (bits, count) = (0, 0);
        } else if *first == b'=' {
            flush(&mut out, bits, count);
            (bits, count) = (0, 0);
        }
    }
    flush(&mut out, bits, count);
    out
}

/// Quoted-printable (RFC 2045 §6.7). White space at the end of a line goes; a `=` that is no
/// escape stays.
fn quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |i| i + 1);
        let Some((line, after)) = rest.split_at_checked(end) else { break };
        rest = after;
        let text = super::header::trim_end(line);
        let brk = line
            .get(text.len()..)
            .map_or(0, |tail| tail.iter().take_while(|b| matches!(b, b' ' | b'\t')).count());
        let line_break = line.get(text.len() + brk..).unwrap_or_default();
        let soft = text.last() == Some(&b'=');
        escapes(text.strip_suffix(b"=").unwrap_or(text), &mut out, false);
        if !soft {
            out.extend_from_slice(line_break);
        }
    }
    out
}

/// `=41` to `A`; in encoded words `_` is a space (RFC 2047 §4.2).
fn escapes(text: &[u8], out: &mut Vec<u8>, in_word: bool) {
    let hex = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let put = |out: &mut Vec<u8>, plain: &[u8]| {
        if in_word {
            out.extend(plain.iter().map(|&b| if b == b'_' { b' ' } else { b }));
        } else {
            out.extend_from_slice(plain);
        }
    };
    let mut rest = text;
    while let Some((plain, escape)) = memchr::memchr(b'=', rest).and_then(|at| rest.split_at_checked(at)) {
        put(out, plain);
        rest = match escape {
            [_, high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                tail
            }
            [equals, tail @ ..] => {
                out.push(*equals);
                tail
            }
            [] => escape,
        };
    }
    put(out, rest);
}

/// Whether [`decode_charset`] knows this name (SEARCH CHARSET, RFC 3501 §6.4.4).
pub fn charset_supported(label: &str) -> bool {
    standard(label).is_some() || charset_decoder(label.as_bytes()).is_some()
}

fn standard(label: &str) -> Option<&'static encoding_rs::Encoding> {
    encoding_rs::Encoding::for_label(label.as_bytes()).filter(|e| *e != REPLACEMENT)
}

/// The text that these octets are in a charset; what is malformed becomes U+FFFD. `None` if the
/// charset is not known.
pub fn decode_charset(bytes: &[u8], label: &str) -> Option<String> {
    let label = label.trim();
    if label.eq_ignore_ascii_case("us-ascii") || label.eq_ignore_ascii_case("ascii") {
        return Some(guess(bytes).into_owned());
    }
    if let Some(encoding) = standard(label) {
        return Some(encoding.decode_without_bom_handling(bytes).0.into_owned());
    }
    charset_decoder(label.as_bytes()).map(|decode| decode(bytes))
}

/// Octets of no known charset: UTF-8, or else windows-1252, which takes anything.
fn guess(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match UTF_8.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) => text,
        None => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// The text of a body part: transfer encoding and charset undone. What is not known is taken as it is.
pub fn decode_text(body: &[u8], encoding: Encoding, charset: Option<&str>) -> String {
    let octets = decode_transfer(body, encoding).unwrap_or(Cow::Borrowed(body));
    charset.and_then(|c| decode_charset(&octets, c)).unwrap_or_else(|| guess(&octets).into_owned())
}

/// The text of a header field's raw value: unfolded, encoded words decoded (RFC 2047), octets
/// above 127 as UTF-8 (RFC 6532), else windows-1252.
pub fn decode_header_value(value: &[u8]) -> Cow<'_, str> {
    let plain = |b: &u8| matches!(b, b' '..=b'~' | b'\t');
    let value = super::header::trim(value);
    if value.iter().all(plain)
        && memchr::memmem::find(value, b"=?").is_none()
        && let Ok(text) = std::str::from_utf8(value)
    {
        return Cow::Borrowed(text);
    }
    Cow::Owned(decode_words(&unfold(value)))
}

/// Decodes the encoded words of an unfolded value. White space between two of them goes, and
/// neighbours of one charset are decoded as one: a character may be cut between them.
fn decode_words(value: &[u8]) -> String {
    let mut out = String::with_capacity(value.len());
    let mut pending: Option<(&[u8], Vec<u8>)> = None;
    let flush = |out: &mut String, pending: &mut Option<(&[u8], Vec<u8>)>| {
        if let Some((charset, bytes)) = pending.take() {
            let label = String::from_utf8_lossy(charset);
            out.push_str(&decode_charset(&bytes, &label).unwrap_or_else(|| guess(&bytes).into_owned()));
        }
    };
    let mut rest = value;
    while let Some(at) = memchr::memmem::find(rest, b"=?") {
        let Some((before, from)) = rest.split_at_checked(at) else { break };
        let Some((charset, bytes, after)) = encoded_word(from) else {
            let Some((text, after)) = rest.split_at_checked(at + 2) else { break };
            flush(&mut out, &mut pending);
            out.push_str(&guess(text));
            rest = after;
            continue;
        };
        if !super::header::trim(before).is_empty() || pending.is_none() {
            flush(&mut out, &mut pending);
            out.push_str(&guess(before));
        }
        match &mut pending {
            Some((same, octets)) if same.eq_ignore_ascii_case(charset) => octets.extend(bytes),
            _ => {
                flush(&mut out, &mut pending);
                pending = Some((charset, bytes));
            }
        }
        rest = after;
    }
    flush(&mut out, &mut pending);
    out.push_str(&guess(rest));
    out
}

/// An encoded word is at most 75 octets (RFC 2047 §2). Senders make longer ones, and this bound
/// keeps text full of `=?` linear.
const WORD: usize = 4096;

/// `=?charset*language?Q?text?=` at the front: charset, decoded octets, and what follows.
fn encoded_word(from: &[u8]) -> Option<(&[u8], Vec<u8>, &[u8])> {
    let window = from.get(2..from.len().min(WORD))?;
    let mut parts = window.splitn(3, |&b| b == b'?');
    let charset = parts.next().filter(|c| !c.is_empty() && c.len() < 60)?;
    let kind = parts.next()?;
    let body = parts.next()?;
    let end = memchr::memchr(b'?', body).filter(|&i| body.get(i + 1) == Some(&b'='))?;
    let text = body.get(..end)?;
    let bytes = match kind {
        b"q" | b"Q" => {
            let mut out = Vec::with_capacity(text.len());
            escapes(text, &mut out, true);
            out
        }
        b"b" | b"B" => base64(text),
        _ => return None,
    };
    let charset = charset.split(|&b| b == b'*').next()?;
    let length = 2 + (window.len() - body.len()) + end + 2;
    Some((charset, bytes, from.get(length..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &str, encoding: Encoding) -> String {
        String::from_utf8(decode_transfer(body.as_bytes(), encoding).unwrap().into_owned()).unwrap()
    }

    #[test]
    fn base64_is_lenient() {
        assert_eq!(decode("SGVsbG8=\r\n", Encoding::Base64), "Hello");
        assert_eq!(decode("SGVs\r\nbG 8", Encoding::Base64), "Hello");
        assert_eq!(decode("SGk=IQ==\r\nSGk", Encoding::Base64), "Hi!Hi");
        assert_eq!(decode("=====!", Encoding::Base64), "");
        assert_eq!(decode("S-GVsbG8sIH-dvcmxkIQ", Encoding::Base64), "Hello, world!");
    }

    #[test]
    fn quoted_printable_as_in_rfc_2045() {
        assert_eq!(
            decode(
                "Now's the time =\r\nfor all folk to come=\r\n to the aid of their country.  \r\n",
                Encoding::QuotedPrintable
            ),
            "Now's the time for all folk to come to the aid of their country.\r\n"
        );
        assert_eq!(decode("a=3Db=3d =zz= \n=C3=A9", Encoding::QuotedPrintable), "a=b= =zzé");
        assert_eq!(decode("a=", Encoding::QuotedPrintable), "a");
    }

    #[test]
    fn unknown_encodings_are_not_decoded() {
        assert_eq!(decode_transfer(b"x", Encoding::from_name(b"x-uuencode")), None);
        assert_eq!(Encoding::from_name(b"Quoted-Printable"), Encoding::QuotedPrintable);
    }

    /// RFC 2047 §8.
    #[test]
    fn encoded_words_of_rfc_2047() {
        for (raw, text) in [
            ("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"),
            ("=?ISO-8859-1?Q?Andr=E9?= Pirard", "André Pirard"),
            (
                "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
                "If you can read this you understand the example.",
            ),
            ("=?ISO-8859-1?Q?a?=", "a"),
            ("=?ISO-8859-1?Q?a?= b", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab"),
            ("=?ISO-8859-1?Q?a_b?=", "a b"),
            ("=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"),
            ("=?utf-8*en?B?w6k=?=", "é"),
            ("=?utf-8?q?=5F_=zz=4?=", "_ =zz=4"),
        ] {
            assert_eq!(decode_header_value(raw.as_bytes()), text, "{raw}");
        }
    }

    #[test]
    fn a_character_cut_between_two_words_is_whole() {
        assert_eq!(decode_header_value(b"=?utf-8?Q?=C3?= =?UTF-8?Q?=A9?="), "é");
    }

    #[test]
    fn what_is_no_encoded_word_stays() {
        for raw in ["=?", "=?x", "=?utf-8?X?a?=", "=?utf-8?Q?a", "a =? b ?= c", "=??Q?a?="] {
            assert_eq!(decode_header_value(raw.as_bytes()), raw);
        }
        assert_eq!(decode_header_value(b"caf\xc3\xa9"), "café");
        assert_eq!(decode_header_value(b"caf\xe9"), "café");
        assert_eq!(decode_header_value(b" a\r\n b "), "a b");
        decode_header_value(&b"=?".repeat(500_000));
    }

    #[test]
    fn charsets() {
        assert_eq!(decode_charset(b"\xe4", "iso-8859-1").unwrap(), "ä");
        assert_eq!(decode_charset(b"\xa4", "ISO-8859-15").unwrap(), "€");
        assert_eq!(decode_charset(b"Hi Mom -+Jjo--!", "utf-7").unwrap(), "Hi Mom -☺-!");
        assert!(charset_supported("KOI8-R") && charset_supported("utf-8") && charset_supported("US-ASCII"));
        assert!(!charset_supported("x-nonsense") && !charset_supported(""));
        assert_eq!(decode_charset(b"x", "x-nonsense"), None);
        assert_eq!(decode_text(b"=E4", Encoding::QuotedPrintable, Some("latin1")), "ä");
        assert_eq!(decode_text(b"\xc3\xa4", Encoding::EightBit, None), "ä");
        assert_eq!(decode_text(b"\xe4", Encoding::EightBit, Some("us-ascii")), "ä");
    }
}
