//! Names of mailboxes and the folders that they have.
//!
//! Folders are named in modified UTF-7 (RFC 3501 §5.1.3), as Dovecot and Courier do. What would mean something
//! else to them or to us, above all the separator of Maildir++, is written in its BASE64 too: "v1.0" is
//! `v1&AC4-0`. RFC 3501 forbids that on the wire, so that no client's name has another's folder.

use imapper_core::storage::{Result, StorageError};

/// The name that every account has (RFC 9051 §5.1).
const INBOX: &str = "INBOX";

/// How many levels a name may have.
const MAX_LEVELS: usize = 32;

/// What file systems allow a name.
const MAX_NAME: usize = 255;

/// Leaves room for the account's folder and a message's name within the 4096 octets of a path.
const MAX_PATH: usize = 3072;

/// The alphabet of modified UTF-7.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// How folders lie in each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// All side by side in the account's folder: `.a.b`.
    MaildirPlusPlus,
    /// In each other: `a/b`.
    Fs,
}

/// The folder of a mailbox, relative to the account's. The name is in UTF-8, with '/' between levels.
pub(crate) fn to_path(layout: Layout, name: &str) -> Result<String> {
    if name == INBOX {
        return Ok(String::new());
    }
    let mut path = String::new();
    for (level, component) in name.split('/').enumerate() {
        // "inbox" would be a second INBOX (RFC 9051 §5.1), which no client could name.
        let second = level == 0 && component != INBOX && component.eq_ignore_ascii_case(INBOX);
        if second || component.is_empty() || component.chars().any(char::is_control) {
            return Err(StorageError::Denied);
        }
        if level == MAX_LEVELS {
            return Err(StorageError::Limit("too many levels in the name"));
        }
        let encoded = encode(layout, component);
        let len = match layout {
            Layout::MaildirPlusPlus => {
                path.push('.');
                path.len() + encoded.len()
            }
            Layout::Fs => {
                path.push_str(if level == 0 { "" } else { "/" });
                encoded.len()
            }
        };
        path.push_str(&encoded);
        if len > MAX_NAME || path.len() > MAX_PATH {
            return Err(StorageError::Limit("the name is too long"));
        }
    }
    Ok(path)
}

/// The mailbox of a folder; none if no name has that folder.
pub(crate) fn from_path(layout: Layout, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(INBOX.to_owned());
    }
    let (rest, separator) = match layout {
        Layout::MaildirPlusPlus => (path.strip_prefix('.')?, '.'),
        Layout::Fs => (path, '/'),
    };
    let components: Vec<String> = rest.split(separator).map(decode).collect::<Option<_>>()?;
    let name = components.join("/");
    // A folder written in another way would be listed, but not found by its name.
    to_path(layout, &name).is_ok_and(|same| same == path).then_some(name)
}

/// The name of a folder that another program has made and that we would call otherwise: in UTF-8, as Dovecot does where
/// it is told to, or by a name that we keep for files.
pub(crate) fn foreign_name(layout: Layout, path: &str) -> Option<String> {
    let (path, separator) = match layout {
        Layout::MaildirPlusPlus => (path.strip_prefix('.')?, '.'),
        Layout::Fs => (path, '/'),
    };
    let mut levels = Vec::new();
    for component in path.split(separator) {
        let level = decode(component).unwrap_or_else(|| component.to_owned());
        if level.is_empty() || level.contains('/') || level.chars().any(char::is_control) {
            return None;
        }
        levels.push(level);
    }
    let is_inbox = levels.first().is_some_and(|first| first.eq_ignore_ascii_case(INBOX));
    (!is_inbox).then(|| levels.join("/"))
}

/// One level of a name, as its folder is named.
pub(super) fn encode(layout: Layout, component: &str) -> String {
    let is_taken = layout == Layout::Fs && is_taken(component);
    let mut encoded = String::with_capacity(component.len());
    let mut shifted = Vec::new();
    let mut units = [0; 2];
    for (at, character) in component.char_indices() {
        let is_separator = layout == Layout::MaildirPlusPlus && character == '.';
        if is_separator || (is_taken && at == 0) || !matches!(character, ' '..='~') {
            shifted.extend(character.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
            continue;
        }
        shift(&mut shifted, &mut encoded);
        encoded.push(character);
        if character == '&' {
            encoded.push('-');
        }
    }
    shift(&mut shifted, &mut encoded);
    encoded
}

/// Whether a folder of that name beside messages would be hidden, mean something to a shell, or be taken for a
/// file or folder of Maildir, Dovecot, Courier or ourselves.
fn is_taken(component: &str) -> bool {
    let of_courier = ["courierimapuiddb", "courierimapsubscribed", "courierimapkeywords"];
    matches!(component, "cur" | "new" | "tmp" | "maildirfolder")
        || of_courier.contains(&component)
        || [".", "~", "dovecot-", "dovecot.", "imapper.", "subscriptions"]
            .iter()
            .any(|prefix| component.starts_with(prefix))
}

fn shift(shifted: &mut Vec<u8>, encoded: &mut String) {
    if shifted.is_empty() {
        return;
    }
    encoded.push('&');
    for octets in shifted.chunks(3) {
        let group = octets.iter().fold(0, |group, octet| group << 8 | usize::from(*octet));
        let group = group << (8 * (3 - octets.len()));
        encoded.extend((0..=octets.len()).map(|at| char::from(BASE64[group >> (18 - 6 * at) & 63])));
    }
    encoded.push('-');
    shifted.clear();
}

/// One level of a name from its folder's; takes BASE64 of any character. None if it is no modified UTF-7.
pub(super) fn decode(component: &str) -> Option<String> {
    let mut decoded = String::with_capacity(component.len());
    let mut rest = component;
    while let Some((plain, shifted)) = rest.split_once('&') {
        let (inside, tail) = shifted.split_once('-')?;
        decoded.push_str(plain);
        if inside.is_empty() {
            decoded.push('&');
        } else {
            decoded.push_str(&unshift(inside)?);
        }
        rest = tail;
    }
    decoded.push_str(rest);
    // Within what was shifted any character may stand; outside only US-ASCII.
    component.bytes().all(|byte| matches!(byte, b' '..=b'~')).then_some(decoded)
}

fn unshift(inside: &str) -> Option<String> {
    let (mut units, mut group, mut bits) = (Vec::new(), 0_u32, 0);
    for byte in inside.bytes() {
        let digit = BASE64.iter().position(|digit| *digit == byte)?;
        group = group << 6 | u32::try_from(digit).ok()?;
        bits += 6;
        if bits >= 16 {
            bits -= 16;
            units.push(u16::try_from(group >> bits).ok()?);
            group &= (1 << bits) - 1;
        }
    }
    (bits < 6 && group == 0).then(|| String::from_utf16(&units).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use imapper_core::types::{decode_modified_utf7, encode_modified_utf7};
    use proptest::prelude::*;

    const BOTH: [Layout; 2] = [Layout::MaildirPlusPlus, Layout::Fs];

    fn both_ways(layout: Layout, name: &str, path: &str) {
        assert_eq!(to_path(layout, name).ok().as_deref(), Some(path), "{name}");
        assert_eq!(from_path(layout, path).as_deref(), Some(name), "{path}");
    }

    #[test]
    fn folders_of_maildirplusplus_lie_side_by_side() {
        for (name, path) in [
            ("INBOX", ""),
            ("a/b", ".a.b"),
            ("INBOX/x", ".INBOX.x"),
            ("a/INBOX", ".a.INBOX"),
            ("v1.0/é.", ".v1&AC4-0.&AOkALg-"),
            ("A&B", ".A&-B"),
            ("..", ".&AC4ALg-"),
            ("cur", ".cur"),
            ("台北/日本語", ".&U,BTFw-.&ZeVnLIqe-"),
            ("😀", ".&2D3eAA-"),
        ] {
            both_ways(Layout::MaildirPlusPlus, name, path);
        }
    }

    #[test]
    fn folders_of_fs_lie_in_each_other_and_spare_the_names_of_files() {
        for (name, path) in [
            ("INBOX", ""),
            ("a/b.c", "a/b.c"),
            ("INBOX/x", "INBOX/x"),
            ("..", "&AC4-."),
            ("a/../b", "a/&AC4-./b"),
            ("~root", "&AH4-root"),
            ("a/cur", "a/&AGM-ur"),
            ("current", "current"),
            ("dovecot-uidlist", "&AGQ-ovecot-uidlist"),
            ("imapper.index", "&AGk-mapper.index"),
            ("imapper", "imapper"),
        ] {
            both_ways(Layout::Fs, name, path);
        }
    }

    #[test]
    fn names_that_no_folder_can_have_are_refused() {
        for layout in BOTH {
            for name in ["", "/a", "a/", "a//b", "a\nb", "a\0", "\u{85}", "inbox", "Inbox/x"] {
                assert!(matches!(to_path(layout, name), Err(StorageError::Denied)), "{name:?}");
            }
        }
    }

    #[test]
    fn long_and_deep_names_are_refused() {
        let is_limit = |layout, name: &str| matches!(to_path(layout, name), Err(StorageError::Limit(_)));
        for layout in BOTH {
            assert!(!is_limit(layout, &vec!["a"; 32].join("/")));
            assert!(is_limit(layout, &vec!["a"; 33].join("/")));
            assert!(is_limit(layout, &"a".repeat(256)));
            assert!(is_limit(layout, &"é".repeat(100)));
        }
        assert!(!is_limit(Layout::Fs, &"a".repeat(255)));
        assert!(!is_limit(Layout::MaildirPlusPlus, &"a".repeat(254)));
        assert!(is_limit(Layout::MaildirPlusPlus, &"a".repeat(255)));
        assert!(!is_limit(Layout::Fs, &vec!["a".repeat(255); 12].join("/")));
        assert!(is_limit(Layout::Fs, &vec!["a".repeat(255); 13].join("/")));
    }

    #[test]
    fn folders_that_no_name_has_are_no_mailboxes() {
        for path in [
            "a",
            "..",
            ".",
            ".a.",
            ".a..b",
            ".INBOX",
            ".inbox.x",
            ".&",
            ".&AC8-",
            ".&AGE-",
            ".&AOk",
            ".&2D0-",
            ".é",
            ".a/b",
            ".&AOl-",
            ".&AOkA-",
            ".&AC4-&AOk-",
            ".a\n",
        ] {
            assert_eq!(from_path(Layout::MaildirPlusPlus, path), None, "{path}");
        }
        for path in ["cur", "a/new", ".a", "..", "a/..", "/a", "a/", "INBOX", "dovecot-uidlist", "&AGMAdQ-r"]
        {
            assert_eq!(from_path(Layout::Fs, path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_the_name_of_its_folder(name in "([a-c.&~é台😀 -]{1,6}|cur|dovecot|INBOX|\\PC{1,6}|/){1,5}") {
            for layout in BOTH {
                if let Ok(path) = to_path(layout, &name) {
                    prop_assert_eq!(from_path(layout, &path), Some(name.clone()));
                    prop_assert!(path.split('/').all(|part| !["..", "."].contains(&part)));
                    prop_assert_eq!(path.is_empty(), name == INBOX);
                }
            }
        }

        #[test]
        fn a_folder_is_the_folder_of_its_name(path in "\\.?([a-cA&+,é./-]{1,4}|&(AC4|AOk|2D3eAA|AGM)-|\\PC){0,5}") {
            for layout in BOTH {
                if let Some(name) = from_path(layout, &path) {
                    prop_assert_eq!(to_path(layout, &name).ok(), Some(path.clone()));
                }
            }
        }

        #[test]
        fn what_needs_no_care_is_plain_modified_utf_7(name in "[^./~dic\\p{Cc}][^./\\p{Cc}]{0,9}") {
            prop_assume!(!matches!(&*name, "new" | "tmp" | "subscriptions" | "maildirfolder"));
            for layout in BOTH {
                prop_assert_eq!(encode(layout, &name), encode_modified_utf7(&name));
            }
        }

        #[test]
        fn all_modified_utf_7_is_read(name in "([a-c -]{1,3}|&-|&(AOk|U,BTFw|2D3eAA)-|&[A-Za-z]{1,6}-?){0,4}") {
            if let Ok(decoded) = decode_modified_utf7(name.as_bytes()) {
                prop_assert_eq!(decode(&name), Some(decoded));
            }
        }
    }
}
