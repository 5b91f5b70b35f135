//! What Courier leaves in a folder: `courierimapuiddb`, and `:list` in `courierimapkeywords`.

use std::collections::BTreeSet;

use super::filename::FileName;
use super::keywords::is_keyword;
use super::uidlist::{Entry, keep_last};
use super::{lines, number};

/// UIDVALIDITY, the next UID, and the messages of a `courierimapuiddb`. Lines that say nothing usable are left
/// out, those whose UID does not ascend too.
pub(crate) fn parse(bytes: &[u8]) -> Option<(u32, u32, Vec<Entry>)> {
    let mut lines = lines(bytes);
    let (validity, next) = read_header(lines.next()?)?;
    let mut entries: Vec<Entry> = Vec::new();
    let mut last = 0;
    for (uid, base) in lines.filter_map(read_line) {
        if uid > last {
            last = uid;
            entries.push((uid, base.to_owned()));
        }
    }
    keep_last(&mut entries);
    Some((validity, next.max(last + 1), entries))
}

/// Courier itself writes `1 …`, other programs `/1 …` or `/2 …`.
fn read_header(line: &str) -> Option<(u32, u32)> {
    let mut words = line.strip_prefix('/').unwrap_or(line).split(' ');
    if !matches!(words.next()?, "1" | "2") {
        return None;
    }
    let (validity, next) = (number(words.next()?)?, number(words.next()?)?);
    (validity > 0).then_some((validity, next))
}

fn read_line(line: &str) -> Option<(u32, &str)> {
    let (uid, name) = line.split_once(' ')?;
    let uid = number(uid).filter(|uid| *uid < u32::MAX)?;
    let base = base(name)?;
    Some((uid, base))
}

fn base(name: &str) -> Option<&str> {
    let base = FileName::parse(name).base;
    // A name from a file must not lead out of the folder.
    (!base.is_empty() && !base.starts_with('.') && !base.contains(['/', '\0'])).then_some(base)
}

/// The keywords of a folder and, by message, their places among them.
pub(crate) fn parse_keywords(bytes: &[u8]) -> (Vec<String>, Vec<(String, Vec<u16>)>) {
    let mut lines = lines(bytes);
    // The places that the file means, by those in what is told: names that no client can be told are left out.
    let mut places = Vec::new();
    let mut names = Vec::new();
    for name in lines.by_ref().take_while(|line| !line.is_empty()) {
        let place = is_keyword(name).then(|| u16::try_from(names.len()).ok()).flatten();
        if place.is_some() {
            names.push(name.to_owned());
        }
        places.push(place);
    }
    let place = |digits: &str| places.get(number::<usize>(digits)?).copied().flatten();
    let messages = lines.filter_map(|line| {
        let (name, numbers) = line.split_once(':')?;
        let keywords: BTreeSet<u16> = numbers.split(' ').filter_map(place).collect();
        (!keywords.is_empty()).then_some((base(name)?.to_owned(), keywords.into_iter().collect()))
    });
    let messages = messages.collect();
    (names, messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn uids_are_read_under_each_header() {
        for header in ["1 7 10", "/1 7 10", "/2 7 10", "/2 7 10 more"] {
            let file = format!("{header}\n3 1.host\n9 2.host:2,S\n");
            let entries = vec![(3, "1.host".to_owned()), (9, "2.host".to_owned())];
            assert_eq!(parse(file.as_bytes()), Some((7, 10, entries)), "{header}");
        }
        for header in ["", "3 7 10", "/1 0 10", "/1 7", "/1 x 10", "7 10"] {
            assert_eq!(parse(format!("{header}\n3 1.host\n").as_bytes()), None, "{header}");
        }
    }

    #[test]
    fn bad_lines_are_left_out_and_no_uid_is_given_twice() {
        let file = b"/1 7 3\n5 a\n4 b\nx c\n6 ../d\n7 \n8 .e\n4294967295 f\n9 \xff\n10 a\n11 g\n11 h\n";
        assert_eq!(parse(file), Some((7, 12, vec![(10, "a".to_owned()), (11, "g".to_owned())])));
    }

    #[test]
    fn keywords_are_read_by_message() {
        let (names, messages) =
            parse_keywords(b"$Junk\nno keyword\nwork\n\n1.host:0 2\n2.host:2\n3.host:1 9\nx\n");
        assert_eq!(names, ["$Junk", "work"]);
        assert_eq!(messages, [("1.host".to_owned(), vec![0, 1]), ("2.host".to_owned(), vec![1])]);
        assert_eq!(parse_keywords(b""), (Vec::new(), Vec::new()));
    }

    proptest! {
        #[test]
        fn uids_ascend_below_the_next(lines in "1 7 [0-9]\n([0-9]{1,2} [a-c]{1,2}\n){0,9}") {
            let (_, next, entries) = parse(lines.as_bytes()).unwrap();
            prop_assert!(entries.is_sorted_by(|a, b| a.0 < b.0));
            prop_assert!(entries.iter().all(|(uid, _)| *uid < next));
        }

        #[test]
        fn places_are_those_of_names(bytes in "([a-c) ]{1,2}\n){0,4}\n([a-c]:[0-5]( [0-5]){0,3}\n){0,4}") {
            let (names, messages) = parse_keywords(bytes.as_bytes());
            for (_, places) in messages {
                prop_assert!(places.iter().all(|place| usize::from(*place) < names.len()));
            }
        }
    }
}
