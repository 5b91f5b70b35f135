//! What SEARCH compares (RFC 3501 §6.4.4): substrings without regard to case, in decoded text.

use std::borrow::Cow;

use memchr::memmem::Finder;

use super::address::addresses;
pub use super::decode::{charset_supported, decode_charset, decode_header_value, decode_text};
pub use super::header::header_values;
use super::header::unfold;

/// A string to look for, without regard to case (Unicode's simple case folding).
#[derive(Debug, Clone)]
pub struct Needle {
    finder: Finder<'static>,
    ascii: bool,
}

/// The haystack is folded in windows of this size.
const WINDOW: usize = 16 * 1024;

impl Needle {
    /// Prepares a search. The empty string is found in everything.
    pub fn new(text: &str) -> Needle {
        let folded = fold(text);
        Needle { finder: Finder::new(folded.as_bytes()).into_owned(), ascii: folded.is_ascii() }
    }

    /// Whether this stands somewhere in `text`. Linear in its length.
    pub fn found_in(&self, text: &str) -> bool {
        if self.ascii {
            self.found_in_octets(text.as_bytes())
        } else {
            !text.is_ascii() && self.finder.find(fold(text).as_bytes()).is_some()
        }
    }

    /// The same for octets that need no decoding: only the case of ASCII letters is disregarded.
    pub fn found_in_octets(&self, octets: &[u8]) -> bool {
        let len = self.finder.needle().len();
        if len == 0 {
            return true;
        }
        let window = WINDOW.max(len.saturating_mul(4));
        let mut folded = Vec::with_capacity(window.min(octets.len()));
        let mut rest = octets;
        loop {
            let now = rest.get(..window).unwrap_or(rest);
            folded.clear();
            folded.extend(now.iter().map(u8::to_ascii_lowercase));
            if self.finder.find(&folded).is_some() {
                return true;
            }
            // The last octets are looked at again: a hit may lie across the edge.
            match rest.get(window..) {
                Some(more) if !more.is_empty() => rest = rest.get(window - (len - 1)..).unwrap_or_default(),
                _ => return false,
            }
        }
    }
}

fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().map(fold_char).collect()
}

/// Simple case folding, by way of the upper case: long s and final sigma are the letters they stand for.
fn fold_char(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    let single = |mut chars: &mut dyn Iterator<Item = char>| match (chars.next(), (&mut chars).next()) {
        (Some(c), None) => Some(c),
        _ => None,
    };
    let upper = single(&mut c.to_uppercase()).unwrap_or(c);
    single(&mut upper.to_lowercase()).unwrap_or(upper)
}

/// The text of an address field's raw value as SEARCH FROM and its kind see it: `name <user@host>`,
/// decoded, one after the other.
pub fn address_text(value: &[u8]) -> String {
    let mut list = Vec::new();
    addresses(&unfold(value), super::Limits::default().addresses, &mut list);
    let mut out = String::with_capacity(value.len());
    let text = |bytes: &Option<Vec<u8>>| -> String {
        bytes.as_deref().map(decode_header_value).map(Cow::into_owned).unwrap_or_default()
    };
    for address in &list {
        if !out.is_empty() {
            out.push_str(", ");
        }
        match (&address.mailbox, &address.host) {
            (Some(group), None) => out.push_str(&text(&Some(group.clone()))),
            (None, _) => out.push(';'),
            (mailbox, host) => {
                let name = text(&address.name);
                if !name.is_empty() {
                    out.push_str(&name);
                    out.push(' ');
                }
                out.push('<');
                if let Some(route) = &address.route {
                    out.push_str(&String::from_utf8_lossy(route));
                    out.push(':');
                }
                out.push_str(&text(mailbox));
                out.push('@');
                out.push_str(&text(host));
                out.push('>');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter() {
        assert!(Needle::new("WORLD").found_in("Hello, world!"));
        assert!(Needle::new("STRASSE").found_in("hauptstrasse"));
        assert!(Needle::new("ÄÖ").found_in("xäöy"));
        assert!(Needle::new("ΣΟΦΟΣ").found_in("σοφος σοφός σοφος"));
        assert!(Needle::new("ὀδυσσεύς").found_in("ὈΔΥΣΣΕΎΣ"));
        assert!(Needle::new("привет").found_in("ПРИВЕТ"));
        assert!(!Needle::new("worlds").found_in("Hello, world!"));
        assert!(Needle::new("").found_in(""));
        assert!(!Needle::new("a").found_in(""));
    }

    #[test]
    fn a_hit_across_two_windows() {
        for at in [0, 1, WINDOW - 3, WINDOW - 1, WINDOW, 2 * WINDOW - 5, 3 * WINDOW] {
            let text = format!("{}NeeDle{}", "x".repeat(at), "y".repeat(WINDOW));
            assert!(Needle::new("needle").found_in(&text), "{at}");
            assert!(!Needle::new("needles").found_in(&text), "{at}");
        }
        let long = "ab".repeat(WINDOW);
        assert!(Needle::new(&long).found_in(&format!("b{long}")));
        assert!(!Needle::new(&format!("{long}c")).found_in(&long));
    }

    #[test]
    fn addresses_by_name_and_by_address() {
        let text = address_text(b"=?utf-8?q?J=C3=B6rg?= Doe <joe@example.com>,\r\n x@y (The X), g: a@b;");
        assert_eq!(text, "Jörg Doe <joe@example.com>, The X <x@y>, g, <a@b>, ;");
        assert!(Needle::new("jörg d").found_in(&text) && Needle::new("joe@EXAMPLE").found_in(&text));
    }
}
