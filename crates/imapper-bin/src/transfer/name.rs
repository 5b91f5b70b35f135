//! Names of mailboxes as names of files and folders: modified UTF-7 (RFC 3501 §5.1.3) level by level, as Dovecot and
//! Courier have them. A dot, which Maildir++ puts between levels, is written as `&AC4-`.

use imapper_core::types::{decode_modified_utf7, encode_modified_utf7};

/// A dot in modified UTF-7. The RFC wants it written directly, so nobody else has it.
const DOT: &str = "&AC4-";

/// The longest name of a file.
const LONGEST: usize = 255;

/// The name of a level as a file's; `None` if it can't be one.
pub(crate) fn to_file(level: &str) -> Option<String> {
    if level.is_empty() || level.chars().any(char::is_control) || level.contains('/') {
        return None;
    }
    let file = encode_modified_utf7(level).replace('.', DOT);
    (file.len() <= LONGEST).then_some(file)
}

/// The name of the level that a file's name stands for. What is no modified UTF-7 is taken as it is.
pub(crate) fn from_file(file: &str) -> String {
    let pieces: Option<Vec<String>> =
        file.split(DOT).map(|piece| decode_modified_utf7(piece.as_bytes()).ok()).collect();
    match pieces.map(|pieces| pieces.join(".")) {
        Some(level) if !level.contains('/') => level,
        _ => file.to_owned(),
    }
}

/// The folder of a Maildir++ tree: `a/b` is `.a.b`.
pub(crate) fn to_maildir(name: &str) -> Option<String> {
    let levels: Option<Vec<String>> = name.split('/').map(to_file).collect();
    let folder = format!(".{}", levels?.join("."));
    (folder.len() <= LONGEST).then_some(folder)
}

/// The mailbox of a Maildir++ folder, or of a name in its subscriptions: levels are parted by dots.
pub(crate) fn from_maildir(folder: &str) -> Option<String> {
    let folder = folder.strip_prefix('.').unwrap_or(folder);
    let levels: Vec<String> = folder.split('.').map(from_file).collect();
    (!levels.iter().any(String::is_empty)).then(|| levels.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_those_of_dovecot() {
        for (name, folder) in
            [("Sent", ".Sent"), ("a/b c", ".a.b c"), ("Entwürfe/x", ".Entw&APw-rfe.x"), ("A&B", ".A&-B")]
        {
            assert_eq!(to_maildir(name).as_deref(), Some(folder));
            assert_eq!(from_maildir(folder).as_deref(), Some(name));
        }
        assert_eq!(from_maildir(".Entwürfe").as_deref(), Some("Entwürfe"), "raw UTF-8 is taken as it is");
        assert_eq!(from_maildir(".a&AC8-b").as_deref(), Some("a&AC8-b"), "no slash comes in");
        for odd in ["", "/", "a//b", "a/", "\0", "a\nb"] {
            assert_eq!(to_maildir(odd), None, "{odd:?}");
        }
        assert_eq!(from_maildir(".a..b"), None);
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in "[a-z.&ü台 ~-]{1,6}(/[a-z.&ü台 ~-]{1,6}){0,2}") {
            let folder = to_maildir(&name).unwrap();
            prop_assert!(!folder[1..].starts_with('.') && !folder.contains('/'));
            prop_assert_eq!(from_maildir(&folder), Some(name));
        }
    }
}
