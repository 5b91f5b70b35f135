//! The files beside the messages: UIDs, keywords, subscriptions.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use imapper_core::storage::Numbers;
use imapper_core::types::{Keyword, ModSeq, Uid, UidValidity};

use super::flags;
use crate::transfer::{INBOX, name};

pub(super) const UIDLIST: &str = "dovecot-uidlist";
pub(super) const COURIER_UIDS: &str = "courierimapuiddb";
pub(super) const KEYWORDS: &str = "dovecot-keywords";
pub(super) const SUBSCRIPTIONS: &str = "subscriptions";
pub(super) const COURIER_SUBSCRIPTIONS: &str = "courierimapsubscribed";

/// UIDs of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UidList {
    pub(super) validity: UidValidity,
    pub(super) next: u32,
    /// By UID, the name up to the flags.
    pub(super) files: BTreeMap<u32, String>,
}

impl UidList {
    pub(super) const fn new(validity: UidValidity) -> Self {
        Self { validity, next: 1, files: BTreeMap::new() }
    }

    /// Reads `dovecot-uidlist` of version 3 or 1, or `courierimapuiddb`, which is as version 1. A line that makes no
    /// sense is passed over, as is one whose UID does not ascend: its file has no UID then. `None` without a header.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        let mut lines = text.split_inclusive('\n');
        let mut header = lines.next()?.split_ascii_whitespace();
        let is_third = header.next()?.trim_start_matches('/') == "3";
        let (mut validity, mut next) = (None, None);
        for (at, word) in header.enumerate() {
            if is_third {
                match word.split_at_checked(1) {
                    Some(("V", number)) => validity = number.parse().ok(),
                    Some(("N", number)) => next = number.parse().ok(),
                    _ => {}
                }
            } else {
                match at {
                    0 => validity = word.parse().ok(),
                    1 => next = word.parse().ok(),
                    _ => {}
                }
            }
        }
        let mut list = Self { next: next.unwrap_or(1), ..Self::new(validity?) };
        let mut last = 0;
        // A last line without its end was not written to its end.
        for line in lines.filter_map(|line| line.strip_suffix('\n')) {
            let Some((uid, rest)) = line.split_once(' ') else { continue };
            let file = if is_third { rest.split_once(':').map(|(_, file)| file) } else { Some(rest) };
            let (Ok(uid), Some(file)) = (uid.parse::<u32>(), file) else { continue };
            if uid > last && !file.is_empty() {
                last = uid;
                list.files.insert(uid, flags::split(file).0.to_owned());
            }
        }
        list.next = list.next.max(last.saturating_add(1));
        Some(list)
    }

    /// `dovecot-uidlist` of version 3.
    pub(super) fn write(&self) -> String {
        let mut text = format!("3 V{} N{}\n", self.validity, self.next);
        for (uid, file) in &self.files {
            let _ = writeln!(text, "{uid} :{file}");
        }
        text
    }

    pub(super) fn numbers(&self) -> Option<Numbers> {
        let uid_next = Uid::new(self.next)?;
        Some(Numbers { uid_validity: self.validity, uid_next, highest_modseq: ModSeq::ZERO })
    }

    /// UIDs by names. Of a name that stands there twice, the later UID counts, as in Dovecot.
    pub(super) fn by_file(&self) -> HashMap<&str, Uid> {
        self.files.iter().filter_map(|(uid, file)| Some((file.as_str(), Uid::new(*uid)?))).collect()
    }
}

/// Whether a word can be a keyword: an atom (RFC 9051 §9, flag-keyword).
pub(crate) fn is_keyword(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet))
}

/// `dovecot-keywords`: by number.
pub(super) fn read_keywords(text: &[u8]) -> Vec<Option<Keyword>> {
    let text = String::from_utf8_lossy(text);
    let mut keywords = Vec::new();
    for line in text.lines() {
        let Some((number, word)) = line.split_once(' ') else { continue };
        let Some(number) = number.parse::<usize>().ok().filter(|number| *number < 10_000) else { continue };
        if is_keyword(word) {
            if keywords.len() <= number {
                keywords.resize(number + 1, None);
            }
            if let Some(place) = keywords.get_mut(number) {
                *place = Some(Keyword::new(word));
            }
        }
    }
    keywords
}

pub(super) fn write_keywords(keywords: &[Option<Keyword>]) -> String {
    let mut text = String::new();
    for (number, keyword) in keywords.iter().enumerate() {
        if let Some(keyword) = keyword {
            let _ = writeln!(text, "{number} {}", keyword.as_str());
        }
    }
    text
}

/// `subscriptions` of Dovecot, in both versions.
pub(super) fn read_subscriptions(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let is_second = text.starts_with("V\t2");
    let names = text.lines().skip(usize::from(is_second)).filter(|line| !line.is_empty());
    let read = |line: &str| {
        if is_second {
            return Some(line.split('\t').map(unescape).collect::<Vec<_>>().join("/"));
        }
        // A server with another layout parts levels by `/`.
        let line = line.replace('/', ".");
        name::from_maildir(&line)
    };
    names.filter_map(read).map(|name| as_inbox(&name)).collect()
}

/// `courierimapsubscribed`: `INBOX.Folder`.
pub(super) fn read_courier_subscriptions(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let names = text.lines().map(|line| line.strip_prefix("INBOX.").unwrap_or(line));
    names.filter_map(name::from_maildir).map(|name| as_inbox(&name)).collect()
}

fn as_inbox(name: &str) -> String {
    if name.eq_ignore_ascii_case(INBOX) { INBOX.to_owned() } else { name.to_owned() }
}

/// Dovecot's escapes of what parts words: octet 1 and a sign.
fn unescape(word: &str) -> String {
    let mut signs = word.chars();
    let mut plain = String::new();
    while let Some(sign) = signs.next() {
        plain.extend(match (sign, if sign == '\u{1}' { signs.next() } else { None }) {
            (_, Some('t')) => Some('\t'),
            (_, Some('r')) => Some('\r'),
            (_, Some('n')) => Some('\n'),
            (_, Some('0')) => Some('\0'),
            (_, Some('1')) => Some('\u{1}'),
            (sign, None) => Some(sign),
            (_, other) => other,
        });
    }
    plain
}

/// `subscriptions` of version 1.
pub(super) fn write_subscriptions(names: &[String]) -> String {
    let mut text = String::new();
    for name in names {
        let line = if name == INBOX {
            Some(name.clone())
        } else {
            name::to_maildir(name).map(|folder| folder[1..].to_owned())
        };
        if let Some(line) = line {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_of_dovecot_and_courier() {
        let list = UidList::read(
            b"3 V1275660208 N25022 G3085f01b\n3 W9 S8 :1.a,S=3:2,S\n5 :2.b\nrubbish\n5 :3.c\n9 :torn",
        )
        .unwrap();
        assert_eq!((list.validity.get(), list.next), (1_275_660_208, 25_022));
        let files: Vec<_> = list.files.iter().map(|(uid, file)| (*uid, file.as_str())).collect();
        assert_eq!(files, [(3, "1.a,S=3"), (5, "2.b")]);
        assert_eq!(UidList::read(list.write().as_bytes()), Some(list));
        let list = UidList::read(b"/1 77 3\n1 1.a\n7 2.b\n").unwrap();
        assert_eq!((list.validity.get(), list.next, list.files.len()), (77, 8, 2));
        for rubbish in [&b""[..], b"3\n", b"3 V0 N1\n", b"x\n1 a\n"] {
            assert_eq!(UidList::read(rubbish), None);
        }
    }

    #[test]
    fn keywords_stand_at_their_numbers() {
        let keywords = read_keywords(b"0 $Forwarded\n2 b\nrubbish\n99999999 x\n1 (\n");
        assert_eq!(keywords, [Some(Keyword::new("$Forwarded")), None, Some(Keyword::new("b"))]);
        assert_eq!(read_keywords(write_keywords(&keywords).as_bytes()), keywords);
    }

    #[test]
    fn subscriptions_of_all_kinds() {
        assert_eq!(
            read_subscriptions(b"inbox\nA.B\nEntw&APw-rfe\nA/C\n"),
            ["INBOX", "A/B", "Entwürfe", "A/C"]
        );
        assert_eq!(read_subscriptions(b"V\t2\n\nINBOX\nA\tB.c\nd\x01te\n"), ["INBOX", "A/B.c", "d\te"]);
        assert_eq!(read_courier_subscriptions(b"INBOX\nINBOX.A.B\n"), ["INBOX", "A/B"]);
        let names = ["INBOX".to_owned(), "A/B.c".to_owned()];
        assert_eq!(read_subscriptions(write_subscriptions(&names).as_bytes()), names);
    }
}
