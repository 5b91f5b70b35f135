//! `dovecot-uidlist`: the UIDs of the messages in a folder, versions 3 and 1.
//!
//! The file is only appended to, or replaced as a whole, so that a reader needs no lock and sees at worst a
//! last line that is not all there.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use super::filename::FileName;
use super::number;

/// A UID and the base of the message's name.
pub(crate) type Entry = (u32, String);

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UidList {
    /// UIDVALIDITY, if the header has it.
    pub(crate) validity: Option<u32>,
    /// The next UID: that of the header, or what follows the last line.
    pub(crate) next: u32,
    /// The folder's identifier: 32 hexadecimal digits.
    pub(crate) guid: Option<String>,
    /// What else is in the header, as it was.
    pub(crate) other: String,
    /// The messages; UIDs ascend.
    pub(crate) entries: Vec<Entry>,
    /// What else a message's line has (`W130`), as it was, by UID.
    pub(crate) fields: BTreeMap<u32, String>,
    /// Whether the last line was not all there, and is left out.
    pub(crate) torn: bool,
    /// Octets up to the end of the last line that is all there.
    pub(crate) whole: u64,
}

/// The file can't be relied on; the folder needs new UIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(crate) struct Damaged {
    /// From 1 on.
    line: usize,
    reason: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Three,
}

impl UidList {
    /// Reads the file.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Damaged> {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut lines =
            bytes[..whole].split_inclusive(|byte| *byte == b'\n').map(|line| &line[..line.len() - 1]);
        let header = lines.next().and_then(|line| std::str::from_utf8(line).ok());
        let (version, mut list) =
            header.and_then(read_header).ok_or(Damaged { line: 1, reason: "bad header" })?;
        let mut last = 0;
        for (at, line) in lines.enumerate() {
            let damaged = |reason| Damaged { line: at + 2, reason };
            let (uid, fields, base) = read_line(version, line).map_err(damaged)?;
            if uid <= last {
                return Err(damaged("the UID does not ascend"));
            }
            last = uid;
            if let Some(base) = base {
                list.entries.push((uid, base.to_owned()));
                if !fields.is_empty() {
                    list.fields.insert(uid, fields.to_owned());
                }
            }
        }
        for uid in keep_last(&mut list.entries) {
            list.fields.remove(&uid);
        }
        list.next = list.next.max(last + 1);
        list.torn = whole < bytes.len();
        list.whole = whole as u64;
        Ok(list)
    }
}

fn read_header(line: &str) -> Option<(Version, UidList)> {
    if let Some(numbers) = line.strip_prefix("1 ") {
        let mut numbers = numbers.split_ascii_whitespace().map(positive);
        let (validity, next) = (numbers.next()??, numbers.next()??);
        return Some((Version::One, UidList { validity: Some(validity), next, ..UidList::default() }));
    }
    let (mut list, mut next, mut others) = (UidList::default(), None, Vec::new());
    for field in line.strip_prefix("3 ")?.split(' ').filter(|field| !field.is_empty()) {
        if let Some(value) = field.strip_prefix('V') {
            list.validity = Some(positive(value)?);
        } else if let Some(value) = field.strip_prefix('N') {
            next = Some(positive(value)?);
        } else if let Some(value) = field.strip_prefix('G') {
            // Without an identifier the folder gets a new one; that costs no UIDs.
            list.guid = is_guid(value).then(|| value.to_ascii_lowercase());
        } else {
            others.push(field);
        }
    }
    // Without UIDVALIDITY all UIDs are new ones anyway.
    list.next = if list.validity.is_some() { next? } else { next.unwrap_or(1) };
    list.other = others.join(" ");
    Some((Version::Three, list))
}

fn positive(digits: &str) -> Option<u32> {
    number(digits).filter(|number| *number > 0)
}

fn is_guid(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// UID, further fields, and the base of the name; no base if the name is no UTF-8: such a file is no message
/// here, but its UID is taken.
fn read_line(version: Version, line: &[u8]) -> Result<(u32, &str, Option<&str>), &'static str> {
    let space = line.iter().position(|byte| *byte == b' ').ok_or("no name")?;
    let (uid, rest) = (&line[..space], line[space..].trim_ascii_start());
    let uid =
        std::str::from_utf8(uid).ok().and_then(positive).filter(|uid| *uid < u32::MAX).ok_or("bad UID")?;
    let (fields, name) = match version {
        Version::One => (&b""[..], rest),
        Version::Three => split_fields(rest).ok_or("no name")?,
    };
    let fields = std::str::from_utf8(fields).map_err(|_| "bad fields")?;
    // A name from a file must not lead out of the folder; Maildir has no messages with a dot in front.
    if name.is_empty() || matches!(name[0], b':' | b'.') || name.iter().any(|byte| matches!(byte, b'/' | 0)) {
        return Err("bad name");
    }
    Ok((uid, fields, std::str::from_utf8(name).ok().map(|name| FileName::parse(name).base)))
}

/// The name begins after the first colon that begins a word.
fn split_fields(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    if let Some(name) = rest.strip_prefix(b":") {
        return Some((b"", name));
    }
    let at = rest.windows(2).position(|pair| pair == b" :")?;
    Some((rest[..at].trim_ascii_end(), &rest[at + 2..]))
}

/// Of the entries of one message only the last holds, as with Dovecot: it was expunged, and its file came back.
/// Tells the UIDs that went.
pub(super) fn keep_last(entries: &mut Vec<Entry>) -> Vec<u32> {
    let mut seen = HashSet::with_capacity(entries.len());
    let gone: Vec<u32> =
        entries.iter().rev().filter(|(_, base)| !seen.insert(&**base)).map(|(uid, _)| *uid).collect();
    if !gone.is_empty() {
        let gone: HashSet<u32> = gone.iter().copied().collect();
        entries.retain(|(uid, _)| !gone.contains(uid));
    }
    gone
}

/// The first line of the file, version 3.
pub(crate) fn header(validity: Option<u32>, next: u32, guid: Option<&str>, other: &str) -> String {
    let validity = validity.map_or_else(String::new, |validity| format!(" V{validity}"));
    let guid = guid.map_or_else(String::new, |guid| format!(" G{guid}"));
    let space = if other.is_empty() { "" } else { " " };
    format!("3{validity} N{next}{guid}{space}{other}\n")
}

/// A message's line.
pub(crate) fn line(uid: u32, base: &str) -> String {
    format!("{uid} :{base}\n")
}

/// The file, version 3.
pub(crate) fn print(list: &UidList) -> String {
    let mut text = header(list.validity, list.next, list.guid.as_deref(), &list.other);
    for (uid, base) in &list.entries {
        // Writing to a string does not fail.
        let _ = match list.fields.get(uid) {
            None => writeln!(text, "{uid} :{base}"),
            Some(fields) => writeln!(text, "{uid} {fields} :{base}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_map;
    use proptest::option;
    use proptest::prelude::*;

    const GUID: &str = "3085f01b7f11094c501100008c4a11c1";

    fn entries(list: &UidList) -> Vec<(u32, &str)> {
        list.entries.iter().map(|(uid, base)| (*uid, &**base)).collect()
    }

    #[test]
    fn a_file_of_dovecot_is_read() {
        let file = format!(
            "3 V1275660208 N25022 G{GUID} Xmore\n25006 :1.kurkku,S=1355,W=1394:2,\n25017 W2481 P1 :2.kurkku:2,F\n"
        );
        let list = UidList::parse(file.as_bytes()).unwrap();
        assert_eq!(
            (list.validity, list.next, list.guid.as_deref()),
            (Some(1_275_660_208), 25022, Some(GUID))
        );
        assert_eq!(entries(&list), [(25006, "1.kurkku,S=1355,W=1394"), (25017, "2.kurkku")]);
        assert_eq!(list.fields, [(25017, "W2481 P1".to_owned())].into());
        assert_eq!((&*list.other, list.torn, list.whole), ("Xmore", false, file.len() as u64));
        let printed = file.replace(":2,F", "").replace(":2,", "");
        assert_eq!(print(&list), printed);
    }

    #[test]
    fn a_file_of_version_1_is_read() {
        let list = UidList::parse(b"1 7 10\n3 1.host\n9 2.host:2,S\n").unwrap();
        assert_eq!((list.validity, list.next, &list.guid), (Some(7), 10, &None));
        assert_eq!(entries(&list), [(3, "1.host"), (9, "2.host")]);
    }

    #[test]
    fn the_next_uid_follows_the_last_line() {
        assert_eq!(UidList::parse(b"3 V7 N5\n5 :a\n8 :b\n").unwrap().next, 9);
        assert_eq!(UidList::parse(b"3 V7 N5\n4 :a\n").unwrap().next, 5);
        assert_eq!(UidList::parse(b"3 V7 N1\n4294967294 :a\n").unwrap().next, u32::MAX);
    }

    #[test]
    fn a_torn_line_is_left_out() {
        let list = UidList::parse(b"3 V7 N5\n5 :a\n6 :b").unwrap();
        assert_eq!((entries(&list), list.next, list.torn, list.whole), (vec![(5, "a")], 6, true, 13));
    }

    #[test]
    fn the_last_entry_of_a_message_holds() {
        let list = UidList::parse(b"3 V7 N9\n5 W1 :a\n6 :b\n7 W2 :a:2,S\n").unwrap();
        assert_eq!(entries(&list), [(6, "b"), (7, "a")]);
        assert_eq!(list.fields, [(7, "W2".to_owned())].into());
    }

    #[test]
    fn a_name_that_is_no_utf_8_only_takes_its_uid() {
        let list = UidList::parse(b"3 V7 N5\n5 :a\n6 :\xff\n").unwrap();
        assert_eq!((entries(&list), list.next), (vec![(5, "a")], 7));
    }

    #[test]
    fn a_header_without_uidvalidity_or_with_a_bad_identifier_is_read() {
        let list = UidList::parse(format!("3 G{GUID}\n4 :a\n").as_bytes()).unwrap();
        assert_eq!((list.validity, list.next, list.guid.as_deref()), (None, 5, Some(GUID)));
        assert_eq!(UidList::parse(b"3 V7 N5 Gxyz\n").unwrap().guid, None);
    }

    #[test]
    fn damage_is_told_with_its_line() {
        for header in [
            "",
            "3 V7 N5",
            "\n",
            "2 V7 N5\n",
            "4 V7 N5\n",
            "3 V7\n",
            "3 V0 N5\n",
            "3 V7 N0\n",
            "3 Vx N5\n",
            "3 V7 N4294967296\n",
            "1 7\n",
            "1 0 5\n",
            "3\n",
            "V7 N5\n",
            "3 V7 N5 X\u{0}",
        ] {
            assert_eq!(
                UidList::parse(header.as_bytes()).map_err(|damaged| damaged.line),
                Err(1),
                "{header:?}"
            );
        }
        for line in [
            "",
            "5",
            "5 ",
            "5 a",
            "x :a",
            "0 :a",
            "3 :a",
            "4 :a",
            "+5 :a",
            "4294967295 :a",
            "5 :",
            "5 :a/b",
            "5 :.",
            "5 :..",
            "5 :\0",
            "5 ::2,S",
            "5 W1:a",
            ":a",
            " 5 :a",
        ] {
            let file = format!("3 V7 N5\n4 :ok\n{line}\n6 :ok2\n");
            assert_eq!(UidList::parse(file.as_bytes()).map_err(|damaged| damaged.line), Err(3), "{line:?}");
        }
    }

    prop_compose! {
        fn lists()(
            validity in 1..=u32::MAX,
            next in 1..=u32::MAX,
            guid in option::of("[0-9a-f]{32}"),
            other in "([A-FH-MO-UW-Z][a-z0-9]{0,3}( [A-FH-MO-UW-Z][a-z0-9]{0,3})?)?",
            lines in btree_map(1..u32::MAX, (option::of("W[0-9]{1,3}( P[a-z]{1,2})?"), "[0-9a-zA-Z_,= -]{0,8}"), 0..20),
        ) -> UidList {
            let last = lines.keys().next_back().copied().unwrap_or_default();
            let entries = lines.iter().map(|(uid, (_, tail))| (*uid, format!("{uid}.{tail}"))).collect();
            let fields = lines.into_iter().filter_map(|(uid, (fields, _))| Some((uid, fields?))).collect();
            let next = next.max(last + 1);
            UidList { validity: Some(validity), next, guid, other, entries, fields, torn: false, whole: 0 }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(mut list in lists()) {
            let text = print(&list);
            list.whole = text.len() as u64;
            prop_assert_eq!(UidList::parse(text.as_bytes()), Ok(list));
        }

        #[test]
        fn a_file_cut_anywhere_has_the_lines_before_the_cut(list in lists(), cut: prop::sample::Index) {
            let text = print(&list);
            let cut = cut.index(text.len() + 1);
            let lines = text[..cut].matches('\n').count();
            match UidList::parse(&text.as_bytes()[..cut]) {
                Err(damaged) => prop_assert_eq!((lines, damaged.line), (0, 1)),
                Ok(read) => {
                    prop_assert_eq!(&read.entries, &list.entries[..lines - 1]);
                    let whole = usize::try_from(read.whole).unwrap();
                    prop_assert_eq!(text[..whole].matches('\n').count(), lines);
                    prop_assert_eq!(read.torn, whole < cut);
                }
            }
        }

        #[test]
        fn a_rewrite_changes_nothing(
            text in "(3 V7 N5|3 N3 Xa  Yb|1 7 5)\n([1-9][0-9]? +(W1 +)?:[a-c]{1,2}(:2,S)?\n|[a-c0-9: ]{0,5}\n?){0,4}",
        ) {
            if let Ok(mut list) = UidList::parse(text.as_bytes()) {
                prop_assert!(list.entries.is_sorted_by(|a, b| a.0 < b.0));
                prop_assert!(list.entries.iter().all(|(uid, _)| *uid < list.next));
                let printed = print(&list);
                (list.torn, list.whole) = (false, printed.len() as u64);
                prop_assert_eq!(UidList::parse(printed.as_bytes()), Ok(list));
            }
        }
    }
}
