//! `dovecot-keywords`: which keyword a letter in the names of a folder's messages means.
//!
//! Dovecot gives 26 keywords a number; we go on from there, and it skips those lines.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use super::{lines, number};

/// How many numbers are letters in the names of files.
pub(crate) const LETTERS: u16 = 26;

/// The keywords by number, ascending. Lines that say nothing usable are left out; of two for one number or one
/// keyword the first holds.
pub(crate) fn parse(bytes: &[u8]) -> Vec<(u16, String)> {
    let mut keywords = BTreeMap::new();
    let mut names = HashSet::new();
    for (number, name) in lines(bytes).filter_map(read_line) {
        // RFC 9051 §2.3.2: the case of a keyword does not matter.
        if !keywords.contains_key(&number) && names.insert(name.to_ascii_lowercase()) {
            keywords.insert(number, name.to_owned());
        }
    }
    keywords.into_iter().collect()
}

fn read_line(line: &str) -> Option<(u16, &str)> {
    let (digits, name) = line.split_once(' ')?;
    let number = number(digits)?;
    // Above Dovecot's letters a number may stand for several keywords.
    let is_whole = is_keyword(name) || (number >= LETTERS && name.split(' ').all(is_keyword));
    is_whole.then_some((number, name))
}

/// RFC 9051 §9, flag-keyword: whether the name is an atom, and can be said to a client.
pub(super) fn is_keyword(name: &str) -> bool {
    let is_special = |byte| matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']');
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !is_special(byte))
}

/// The file.
pub(crate) fn print(keywords: &[(u16, String)]) -> String {
    keywords.iter().fold(String::new(), |mut text, (number, name)| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{number} {name}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_map;
    use proptest::prelude::*;

    #[test]
    fn keywords_are_read_by_number() {
        let keywords = parse(b"1 $NonJunk\n0 $Junk\n26 later");
        assert_eq!(keywords, [(0, "$Junk".into()), (1, "$NonJunk".into()), (26, "later".into())]);
    }

    #[test]
    fn bad_lines_are_left_out() {
        let file =
            b"0 a\n\nx b\n1\n2 \n+3 c\n4 two words\n5 a]\n6 \xff\n7 A\n0 other\n65536 d\n 8 e\n9 f\r\n10 g";
        assert_eq!(parse(file), [(0, "a".into()), (10, "g".into())]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(keywords in btree_map(any::<u16>(), "[$a-z]{1,3}", 0..40)) {
            let mut names = HashSet::new();
            let keywords: Vec<_> =
                keywords.into_iter().filter(|(_, name)| names.insert(name.clone())).collect();
            prop_assert_eq!(parse(print(&keywords).as_bytes()), keywords);
        }

        #[test]
        fn all_that_is_read_can_be_said_to_a_client(bytes in "([0-9]{1,2} \\PC{0,4}\n){0,8}") {
            for (_, name) in parse(bytes.as_bytes()) {
                prop_assert!(name.bytes().all(|byte| byte > b' ' && byte < 0x7f && byte != b')'));
            }
        }
    }
}
