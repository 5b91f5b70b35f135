//! The MIME fields of an entity: Content-Type (RFC 2045 §5), its parameters (RFC 2231), transfer
//! encoding, disposition (RFC 2183), language (RFC 3282), location, MD5.

use super::Limits;
use super::decode::Encoding;
use super::header::{Field, unfold};
use super::lex::{Lexer, is_wsp};

/// A list of attributes and values, names in upper case.
pub(super) type Params = Vec<(Vec<u8>, Vec<u8>)>;

/// What the MIME header of an entity says. Absent fields are `None`.
#[derive(Default)]
pub(super) struct Content {
    /// Upper-case type and subtype, and parameters; `None` without a Content-Type field.
    pub(super) media: Option<(Vec<u8>, Vec<u8>)>,
    pub(super) params: Params,
    pub(super) encoding: Option<Vec<u8>>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) description: Option<Vec<u8>>,
    pub(super) md5: Option<Vec<u8>>,
    pub(super) disposition: Option<(Vec<u8>, Params)>,
    pub(super) language: Vec<Vec<u8>>,
    pub(super) location: Option<Vec<u8>>,
}

impl Content {
    /// Takes up one field of the header, if it is of interest. The first of each name counts.
    pub(super) fn field(&mut self, field: &Field, limits: &Limits) {
        let Some((prefix, rest)) = field.name.split_at_checked(8) else { return };
        if !prefix.eq_ignore_ascii_case(b"content-") {
            return;
        }
        let value = || Some(unfold(field.value)).filter(|v| !v.is_empty());
        match &*rest.to_ascii_lowercase() {
            b"type" if self.media.is_none() => {
                let value = unfold(field.value);
                let mut lex = Lexer::new(&value);
                self.media = Some(media_type(&mut lex));
                self.params = parameters(&mut lex, limits.parameters);
            }
            b"transfer-encoding" if self.encoding.is_none() => {
                self.encoding = value().and_then(|v| first_token(&v));
            }
            b"id" if self.id.is_none() => self.id = value(),
            b"description" if self.description.is_none() => self.description = value(),
            b"md5" if self.md5.is_none() => self.md5 = value(),
            b"location" if self.location.is_none() => self.location = value(),
            b"disposition" if self.disposition.is_none() => {
                let value = unfold(field.value);
                let mut lex = Lexer::new(&value);
                let kind = token(&mut lex);
                if !kind.is_empty() {
                    self.disposition = Some((kind, parameters(&mut lex, limits.parameters)));
                }
            }
            b"language" if self.language.is_empty() => {
                self.language = languages(&unfold(field.value), limits.parameters);
            }
            _ => {}
        }
    }

    /// A parameter's value, its RFC 2231 form decoded to octets. `name` is upper case.
    pub(super) fn param(&self, name: &str) -> Option<Vec<u8>> {
        let exact = self.params.iter().find(|(n, _)| n == name.as_bytes());
        if let Some((_, value)) = exact {
            return Some(value.clone());
        }
        let extended = |n: &[u8]| n.strip_suffix(b"*") == Some(name.as_bytes());
        self.params.iter().find(|(n, _)| extended(n)).map(|(_, value)| percent_decoded(value))
    }

    /// How the body is encoded for transfer; 7bit unless said.
    pub(super) fn encoding(&self) -> Encoding {
        self.encoding.as_deref().map_or(Encoding::SevenBit, Encoding::from_name)
    }
}

/// `type/subtype` in upper case. What is no valid type is text/plain (RFC 2045 §5.2).
fn media_type(lex: &mut Lexer) -> (Vec<u8>, Vec<u8>) {
    let kind = token(lex);
    lex.skip_cfws();
    let subtype = if lex.eat(b'/') { token(lex) } else { Vec::new() };
    let default: &[u8] = match &*kind {
        _ if !kind.is_empty() && !subtype.is_empty() => return (kind, subtype),
        b"APPLICATION" | b"IMAGE" | b"AUDIO" | b"VIDEO" => b"OCTET-STREAM",
        b"MULTIPART" => b"MIXED",
        b"MESSAGE" => b"RFC822",
        _ => return (b"TEXT".to_vec(), b"PLAIN".to_vec()),
    };
    match &*kind {
        b"MULTIPART" | b"MESSAGE" => (kind, default.to_vec()),
        _ => (b"APPLICATION".to_vec(), default.to_vec()),
    }
}

/// A token of RFC 2045 §5.1 in upper case, white space and comments before it skipped.
fn token(lex: &mut Lexer) -> Vec<u8> {
    lex.skip_cfws();
    lex.take_while(|b| b > b' ' && b != 0x7f && !b"()<>@,;:\\\"/[]?=".contains(&b)).to_ascii_uppercase()
}

fn first_token(value: &[u8]) -> Option<Vec<u8>> {
    let mut lex = Lexer::new(value);
    lex.skip_cfws();
    let mut word = lex.take_while(|b| !is_wsp(b) && !b";(\"".contains(&b)).to_ascii_uppercase();
    if word.is_empty() && lex.peek() == Some(b'"') {
        lex.quoted(&mut word);
        word.make_ascii_uppercase();
    }
    (!word.is_empty()).then_some(word)
}

/// `*(";" attribute "=" value)`, continuations of RFC 2231 §3 joined, `limit` parameters at most.
fn parameters(lex: &mut Lexer, limit: usize) -> Params {
    let mut list = Params::new();
    while list.len() < limit {
        lex.skip_cfws();
        while lex.peek().is_some_and(|b| b != b';') {
            if lex.peek() == Some(b'"') {
                lex.quoted(&mut Vec::new());
            } else {
                lex.bump();
            }
        }
        if !lex.eat(b';') {
            break;
        }
        lex.skip_cfws();
        let name = lex.take_while(|b| !is_wsp(b) && !b";=(\"".contains(&b)).to_ascii_uppercase();
        lex.skip_cfws();
        if name.is_empty() || !lex.eat(b'=') {
            continue;
        }
        lex.skip_cfws();
        let mut value = Vec::new();
        if lex.peek() == Some(b'"') {
            lex.quoted(&mut value);
        } else {
            // Wider than a token: senders leave quotes away around what needs them.
            value.extend_from_slice(lex.take_while(|b| !is_wsp(b) && b != b';' && b != b'('));
        }
        list.push((name, value));
    }
    join_continuations(list)
}

/// Joins `name*0`, `name*1` … to one parameter (RFC 2231 §3), where the first of them stood.
///
/// If one of the pieces is in the extended form, the joined one is `name*` in that form (§4): IMAP
/// clients decode this, and none needs to know of continuations.
fn join_continuations(list: Params) -> Params {
    if !list.iter().any(|(n, _)| n.contains(&b'*')) {
        return list;
    }
    let mut out = Params::with_capacity(list.len());
    for (i, (name, value)) in list.iter().enumerate() {
        let Some((base, number, _)) = piece(name) else {
            out.push((name.clone(), value.clone()));
            continue;
        };
        let is_first = |(n, _): &(Vec<u8>, Vec<u8>)| piece(n).is_some_and(|p| p.0 == base && p.1 == 0);
        if number == 0 {
            // Once: else a long value could be repeated with every `name*0`.
            if !list.iter().take(i).any(is_first) {
                out.push(joined(base, &list));
            }
        } else if !list.iter().any(is_first) {
            out.push((name.clone(), value.clone()));
        }
    }
    out
}

fn joined(base: &[u8], list: &Params) -> (Vec<u8>, Vec<u8>) {
    let mut pieces: Vec<_> = list
        .iter()
        .filter_map(|(n, value)| piece(n).filter(|p| p.0 == base).map(|p| (p.1, p.2, value)))
        .collect();
    pieces.sort_by_key(|p| p.0);
    pieces.dedup_by_key(|p| p.0);
    let count = pieces.iter().zip(0u32..).take_while(|(p, i)| p.0 == *i).count();
    pieces.truncate(count);
    let extended = pieces.iter().any(|p| p.1);
    let mut value = Vec::new();
    for (number, is_extended, text) in pieces {
        if number == 0 && extended && !is_extended {
            value.extend_from_slice(b"''");
        }
        if is_extended || !extended {
            value.extend_from_slice(text);
        } else {
            for &b in text {
                percent_encode(&mut value, b);
            }
        }
    }
    let mut name = base.to_vec();
    if extended {
        name.push(b'*');
    }
    (name, value)
}

/// `NAME*12` or `NAME*12*` as base, number, and whether it is extended. An absurdly long name is none.
fn piece(name: &[u8]) -> Option<(&[u8], u32, bool)> {
    if name.len() > 256 {
        return None;
    }
    let (name, extended) = name.strip_suffix(b"*").map_or((name, false), |n| (n, true));
    let star = name.iter().rposition(|&b| b == b'*')?;
    let digits = std::str::from_utf8(name.get(star + 1..)?).ok()?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((name.get(..star)?, digits.parse().ok()?, extended))
}

fn percent_encode(out: &mut Vec<u8>, b: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if b > b' ' && b < 0x7f && !b"*'%()<>@,;:\\\"/[]?=".contains(&b) {
        out.push(b);
    } else {
        let digit = |n: u8| HEX.get(usize::from(n)).copied().unwrap_or(b'0');
        out.extend([b'%', digit(b >> 4), digit(b & 15)]);
    }
}

/// `charset'language'%41…` as octets, its charset and language left out.
fn percent_decoded(value: &[u8]) -> Vec<u8> {
    let text = value.splitn(3, |&b| b == b'\'').nth(2).unwrap_or(value);
    let hex = |b: Option<&u8>| b.and_then(|&b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut i = 0;
    while let Some(&b) = text.get(i) {
        if let (b'%', Some(high), Some(low)) = (b, hex(text.get(i + 1)), hex(text.get(i + 2))) {
            out.push(high << 4 | low);
            i += 3;
        } else {
            out.push(b);
            i += 1;
        }
    }
    out
}

/// `Content-Language: en, de (comment)`.
fn languages(value: &[u8], limit: usize) -> Vec<Vec<u8>> {
    let mut lex = Lexer::new(value);
    let mut list = Vec::new();
    while list.len() < limit {
        lex.skip_cfws();
        let tag = lex.take_while(|b| !is_wsp(b) && b != b',' && b != b'(');
        if !tag.is_empty() {
            list.push(tag.to_vec());
        } else if !lex.eat(b',') {
            break;
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::super::header::fields;
    use super::*;

    fn content(header: &str) -> Content {
        let mut content = Content::default();
        for field in fields(header.as_bytes()) {
            content.field(&field, &Limits::default());
        }
        content
    }

    fn params(value: &str) -> Vec<String> {
        let content = content(&format!("Content-Type: text/plain{value}\r\n"));
        let show = |(n, v): &(Vec<u8>, Vec<u8>)| {
            format!("{}={}", String::from_utf8_lossy(n), String::from_utf8_lossy(v))
        };
        content.params.iter().map(show).collect()
    }

    fn media(value: &str) -> String {
        let (kind, subtype) = content(&format!("Content-type:{value}\r\n")).media.unwrap();
        format!("{}/{}", String::from_utf8(kind).unwrap(), String::from_utf8(subtype).unwrap())
    }

    #[test]
    fn comments_quotes_and_folding_of_rfc_2045() {
        assert_eq!(params("; charset=us-ascii (Plain text)"), ["CHARSET=us-ascii"]);
        assert_eq!(params("; charset=\"us-ascii\""), ["CHARSET=us-ascii"]);
        assert_eq!(params(" ( a ; b ) ;\r\n\tName = \"a\\\"b;c\" ;x=y;"), ["NAME=a\"b;c", "X=y"]);
        assert_eq!(params("; boundary=----=_Part/1:2?="), ["BOUNDARY=----=_Part/1:2?="]);
        assert_eq!(params("; junk; =x; a=; b=1"), ["A=", "B=1"]);
    }

    #[test]
    fn a_type_that_is_none_is_text_plain() {
        assert_eq!(media(" Text / (c) HTML"), "TEXT/HTML");
        assert_eq!(media(""), "TEXT/PLAIN");
        assert_eq!(media(" text"), "TEXT/PLAIN");
        assert_eq!(media(" foo"), "TEXT/PLAIN");
        assert_eq!(media(" image"), "APPLICATION/OCTET-STREAM");
        assert_eq!(media(" message; x=y"), "MESSAGE/RFC822");
    }

    /// RFC 2231 §3, §4 and §4.1.
    #[test]
    fn continuations_are_joined() {
        assert_eq!(
            params("; URL*0=\"ftp://\";\r\n URL*1=\"cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar\""),
            ["URL=ftp://cs.utk.edu/pub/moore/bulk-mailer/bulk-mailer.tar"]
        );
        assert_eq!(
            params("; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A"),
            ["TITLE*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A"]
        );
        assert_eq!(
            params(
                "; title*0*=us-ascii'en'This%20is%20even%20more%20\r\n ;title*1*=%2A%2A%2Afun%2A%2A%2A%20\r\n ;title*2=\"isn't it!\""
            ),
            ["TITLE*=us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it!"]
        );
    }

    #[test]
    fn odd_continuations_do_no_harm() {
        assert_eq!(params("; a*1=x; b*0=1; b*2=3; b*0=4; c*=; d*x=1"), ["A*1=x", "B=1", "C*=", "D*X=1"]);
        assert_eq!(params("; a*99999999999=x; a*0=y"), ["A*99999999999=x", "A=y"]);
    }

    #[test]
    fn parameters_are_limited() {
        assert_eq!(params(&"; a=b".repeat(5_000)).len(), 128);
        let many = (0..5_000).map(|i| format!("; a*{i}=x")).collect::<Vec<_>>().concat();
        assert_eq!(params(&many), [format!("A={}", "x".repeat(128))]);
    }

    #[test]
    fn other_fields() {
        let c = content(
            "Content-Language: en, de-CH (x)\r\nContent-Disposition: Attachment; filename=a\r\n\
             Content-Transfer-Encoding: (c) Base64\r\nContent-ID: <1@x>\r\nContent-Location:\r\n",
        );
        assert_eq!(c.language, [&b"en"[..], b"de-CH"]);
        assert_eq!(
            c.disposition,
            Some((b"ATTACHMENT".to_vec(), vec![(b"FILENAME".to_vec(), b"a".to_vec())]))
        );
        assert_eq!(c.encoding(), Encoding::Base64);
        assert_eq!(c.location, None);
        let c = content("Content-Type: text/plain; charset*=us-ascii''utf%2D8\r\n");
        assert_eq!(c.param("CHARSET").unwrap(), b"utf-8");
    }
}
