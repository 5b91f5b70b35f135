//! `subscriptions` of Dovecot, in both of its versions, and `courierimapsubscribed` of Courier.
//!
//! Dovecot writes folders' names, modified UTF-7. Version 1 has one a line, its levels separated as those of
//! folders are; version 2 has a header and separates levels by TAB.

use std::borrow::Cow;

use super::folder::{self, Layout};
use super::lines;

const HEADER_2: &str = "V\t2\n\n";

/// How a file of Dovecot is written. A file that there is keeps its version; Dovecot begins with version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Names as they are.
    One,
    /// After a header, levels separated by TAB.
    Two,
}

/// The version of a file.
pub(crate) fn version(bytes: &[u8]) -> Version {
    if bytes.starts_with(HEADER_2.as_bytes()) { Version::Two } else { Version::One }
}

/// The names in a file of Dovecot, in UTF-8 with '/' between levels. `separator` is that of folders: '.' in
/// Maildir++, '/' otherwise. A level that is no modified UTF-7 stands as it is; lines that can be no name are
/// left out.
pub(crate) fn parse(bytes: &[u8], separator: char) -> Vec<String> {
    match version(bytes) {
        Version::One => lines(bytes).filter_map(|line| name(line.split(separator).map(Cow::from))).collect(),
        Version::Two => lines(bytes.get(HEADER_2.len()..).unwrap_or_default())
            .filter_map(|line| name(line.split('\t').map(unescape)))
            .collect(),
    }
}

/// The names in Courier's file. Courier has all mailboxes below INBOX; here they stand beside it.
pub(crate) fn parse_courier(bytes: &[u8]) -> Vec<String> {
    lines(bytes)
        .filter_map(|line| match line.strip_prefix("INBOX.") {
            Some(below) => name(below.split('.').map(Cow::from)),
            None => (line == "INBOX").then(|| line.to_owned()),
        })
        .collect()
}

fn name<'a>(components: impl Iterator<Item = Cow<'a, str>>) -> Option<String> {
    let is_level = |text: &str| !text.is_empty() && !text.contains(|c: char| c == '/' || c.is_control());
    let mut name = String::new();
    for (level, component) in components.enumerate() {
        if level > 0 {
            name.push('/');
        }
        match folder::decode(&component).filter(|decoded| is_level(decoded)) {
            // RFC 9051 §5.1: the case of INBOX does not matter.
            Some(inbox) if level == 0 && inbox.eq_ignore_ascii_case("INBOX") => name.push_str("INBOX"),
            Some(decoded) => name.push_str(&decoded),
            None if is_level(&component) => name.push_str(&component),
            None => return None,
        }
    }
    Some(name)
}

/// Takes the escapes of Dovecot off a level.
fn unescape(component: &str) -> Cow<'_, str> {
    let mut parts = component.split('\u{1}');
    let first = parts.next().unwrap_or_default();
    if first.len() == component.len() {
        return Cow::from(component);
    }
    let mut plain = first.to_owned();
    for part in parts {
        let mut rest = part.chars();
        plain.extend(rest.next().map(|escaped| match escaped {
            '0' => '\0',
            '1' => '\u{1}',
            't' => '\t',
            'r' => '\r',
            'n' => '\n',
            other => other,
        }));
        plain.push_str(rest.as_str());
    }
    Cow::from(plain)
}

/// A file of Dovecot with these names.
pub(crate) fn print(
    names: impl IntoIterator<Item = impl AsRef<str>>,
    separator: char,
    version: Version,
) -> String {
    let layout = if separator == '.' { Layout::MaildirPlusPlus } else { Layout::Fs };
    let (mut text, between) = match version {
        Version::One => (String::new(), separator),
        Version::Two => (HEADER_2.to_owned(), '\t'),
    };
    for name in names {
        for (level, component) in name.as_ref().split('/').enumerate() {
            if level > 0 {
                text.push(between);
            }
            // Modified UTF-7 leaves nothing to escape.
            text.push_str(&folder::encode(layout, component));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const WAYS: [(char, Version); 4] =
        [('.', Version::One), ('.', Version::Two), ('/', Version::One), ('/', Version::Two)];

    #[test]
    fn version_1_has_names_in_the_separator_of_folders() {
        assert_eq!(parse(b"INBOX\na.b\nGr&APYA3w-e\n", '.'), ["INBOX", "a/b", "Größe"]);
        assert_eq!(parse(b"a/b\nv1.0\nlast", '/'), ["a/b", "v1.0", "last"]);
    }

    #[test]
    fn version_2_has_levels_separated_by_tab() {
        assert_eq!(parse(b"V\t2\n\ninbox\na\tb\tGr&APYA3w-e\nv1.0\n", '.'), ["INBOX", "a/b/Größe", "v1.0"]);
        assert_eq!(print(["a/b", "v1.0"], '.', Version::Two), "V\t2\n\na\tb\nv1&AC4-0\n");
        assert_eq!(print(["a/b", "v1.0"], '/', Version::One), "a/b\nv1.0\n");
    }

    #[test]
    fn escapes_of_version_2_are_taken_off() {
        assert_eq!(unescape("a\u{1}tb\u{1}1t\u{1}n\u{1}r\u{1}0\u{1}xc\u{1}"), "a\tb\u{1}t\n\r\0xc");
        assert_eq!(unescape("plain"), "plain");
        // With a TAB inside it is no name of a mailbox here.
        assert_eq!(parse(b"V\t2\n\na\x01tb\nc\x01x\n", '/'), ["cx"]);
    }

    #[test]
    fn what_is_no_modified_utf_7_stands_as_it_is() {
        assert_eq!(parse("a&b.c\nGröße\n&AC8-\n".as_bytes(), '.'), ["a&b/c", "Größe", "&AC8-"]);
    }

    #[test]
    fn lines_that_are_no_name_are_left_out() {
        assert_eq!(parse(b"\na..b\n.a\na/b\n\xff\na\x02\nok\r\nok\n", '.'), ["ok"]);
    }

    #[test]
    fn names_of_courier_stand_below_inbox() {
        assert_eq!(
            parse_courier(b"INBOX\nINBOX.Sent\nINBOX.a.b\nINBOX.\nshared.x\nINBOX.&APY-\n"),
            ["INBOX", "Sent", "a/b", "ö"]
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            names in vec("(INBOX|cur|[a-c.&~é台 -]{1,4})(/([a-c.&~é台 -]{1,4}|\\PC{1,3})){0,3}", 0..6),
        ) {
            let names: Vec<String> = names
                .into_iter()
                .filter(|name| folder::to_path(Layout::MaildirPlusPlus, name).is_ok())
                .collect();
            for (separator, version) in WAYS {
                let text = print(&names, separator, version);
                prop_assert_eq!(super::version(text.as_bytes()), version);
                prop_assert_eq!(parse(text.as_bytes(), separator), names.clone());
            }
        }

        #[test]
        fn no_line_gives_a_name_without_levels(bytes in "(V\t2\n\n)?([a-c.&/\t\n\u{1}-]|&AC4-|&AAA-){0,12}") {
            for separator in ['.', '/'] {
                for name in parse(bytes.as_bytes(), separator) {
                    prop_assert!(!name.split('/').any(str::is_empty) && !name.contains(char::is_control));
                }
            }
        }
    }
}
