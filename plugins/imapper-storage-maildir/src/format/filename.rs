//! Names of message files: `base:2,LETTERS[,extra]`.
//!
//! The letters are those of Maildir, and `a` to `z` for the keywords 0 to 25 of `dovecot-keywords`. Dovecot
//! keeps what is behind a comma as it is, so that keywords from 26 on have their place there.

use std::collections::BTreeSet;

use imapper_core::types::{SystemFlag, SystemFlags};

use super::number;

/// How many keywords have a letter.
const LETTERS: u16 = 26;

/// How keywords without a letter are numbered in a name.
const RADIX: u32 = 36;

const SYSTEM: [(char, SystemFlag); 5] = [
    ('D', SystemFlag::Draft),
    ('F', SystemFlag::Flagged),
    ('R', SystemFlag::Answered),
    ('S', SystemFlag::Seen),
    ('T', SystemFlag::Deleted),
];

/// The parts of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileName<'a> {
    /// What identifies the message, whatever its flags are.
    pub(crate) base: &'a str,
    /// The flags, a letter each.
    pub(crate) letters: &'a str,
    /// What is behind the comma after the letters.
    pub(crate) extra: &'a str,
}

impl<'a> FileName<'a> {
    /// Splits a name. Information of another version than 2 tells no flags.
    pub(crate) fn parse(name: &'a str) -> Self {
        // Dovecot compares names up to the first colon, and takes the flags from the last.
        let base = name.split_once(':').map_or(name, |(base, _)| base);
        let info = name.rsplit_once(":2,").map_or("", |(_, info)| info);
        let (letters, extra) = info.split_once(',').unwrap_or((info, ""));
        Self { base, letters, extra }
    }
}

/// A field of the base that is a number: `S`, octets of the file, or `W`, octets with CRLF at line ends.
pub(crate) fn field(base: &str, key: char) -> Option<u64> {
    let mut fields = base.split(',').skip(1);
    number(fields.find_map(|field| field.strip_prefix(key)?.strip_prefix('='))?)
}

/// What the letters say: system flags, numbers of keywords in ascending order, and the letters that mean
/// nothing to us (`P`, passed on) as they were.
pub(crate) fn read_flags(letters: &str) -> (SystemFlags, Vec<u8>, String) {
    let (mut system, mut keywords, mut others) = (SystemFlags::NONE, BTreeSet::new(), String::new());
    for letter in letters.chars() {
        match (system_flag(letter), keyword(letter)) {
            (Some(flag), _) => system = system | flag.into(),
            (_, Some(number)) => {
                keywords.insert(number);
            }
            _ => others.push(letter),
        }
    }
    (system, keywords.into_iter().collect(), others)
}

fn system_flag(letter: char) -> Option<SystemFlag> {
    SYSTEM.into_iter().find_map(|(known, flag)| (known == letter).then_some(flag))
}

fn keyword(letter: char) -> Option<u8> {
    letter.is_ascii_lowercase().then(|| u8::try_from(letter).ok()?.checked_sub(b'a')).flatten()
}

/// What the extra part says: numbers of keywords from 26 on in ascending order, and all that is not ours as it
/// was.
pub(crate) fn extra_keywords(extra: &str) -> (Vec<u16>, String) {
    let mut keywords = BTreeSet::new();
    let mut others = Vec::new();
    for part in extra.split(',') {
        match part.strip_prefix('k').and_then(read_numbers) {
            Some(numbers) => keywords.extend(numbers),
            None => others.push(part),
        }
    }
    (keywords.into_iter().collect(), others.join(","))
}

/// Only what [`info`] would write is ours, so that all else stays as it is.
fn read_numbers(text: &str) -> Option<Vec<u16>> {
    text.split('.')
        .map(|digits| {
            let number = u16::from_str_radix(digits, RADIX).ok()?;
            (number >= LETTERS && base36(number) == digits).then_some(number)
        })
        .collect()
}

fn base36(mut number: u16) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit(u32::from(number) % RADIX, RADIX));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}

/// What follows the base in a name. The keywords ascend.
pub(crate) fn info(system: SystemFlags, keywords: &[u16], other_letters: &str, other_extra: &str) -> String {
    // Maildir wants the letters in the order of ASCII.
    let mut letters: BTreeSet<char> = other_letters
        .chars()
        .filter(|letter| !matches!(letter, ',' | ':' | '/' | 'a'..='z') && system_flag(*letter).is_none())
        .collect();
    letters.extend(SYSTEM.iter().filter(|(_, flag)| system.contains(*flag)).map(|(letter, _)| letter));
    let (lettered, numbered) = keywords.split_at(keywords.partition_point(|number| *number < LETTERS));
    letters.extend(lettered.iter().filter_map(|number| Some(char::from(b'a' + u8::try_from(*number).ok()?))));

    let mut info: String = ":2,".chars().chain(letters).collect();
    for (at, number) in numbered.iter().enumerate() {
        info.push_str(if at == 0 { ",k" } else { "." });
        info.push_str(&base36(*number));
    }
    if !other_extra.is_empty() {
        info.push(',');
        info.push_str(other_extra);
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    fn parts(name: &str) -> (&str, &str, &str) {
        let FileName { base, letters, extra } = FileName::parse(name);
        (base, letters, extra)
    }

    #[test]
    fn a_name_is_split_as_dovecot_splits_it() {
        assert_eq!(parts("1.M2P3.host,S=4,W=5:2,FSab"), ("1.M2P3.host,S=4,W=5", "FSab", ""));
        assert_eq!(parts("1.M2P3.host"), ("1.M2P3.host", "", ""));
        assert_eq!(parts("1.host:2,"), ("1.host", "", ""));
        assert_eq!(parts("1.host:2,S,k1c.1d,x=1"), ("1.host", "S", "k1c.1d,x=1"));
        assert_eq!(parts("1.host:1,S"), ("1.host", "", ""));
        assert_eq!(parts("1.host:2,S:2,F"), ("1.host", "F", ""));
        assert_eq!(parts(":2,S"), ("", "S", ""));
    }

    #[test]
    fn a_field_of_the_base_is_a_number_or_nothing() {
        assert_eq!(field("1.host,S=123,W=130", 'S'), Some(123));
        assert_eq!(field("1.host,S=123,W=130", 'W'), Some(130));
        for base in ["S=1", "1.host,S=", "1.host,S=+1", "1.host,S=1x", "1.host,S=18446744073709551616", "1.W"]
        {
            assert_eq!(field(base, 'S'), None, "{base}");
        }
    }

    #[test]
    fn letters_are_flags_keywords_or_kept() {
        let all = SystemFlags::ALL;
        assert_eq!(read_flags("DFPRSTabz"), (all, vec![0, 1, 25], "P".to_owned()));
        assert_eq!(read_flags("bSaSb"), (SystemFlag::Seen.into(), vec![0, 1], String::new()));
        assert_eq!(info(all, &[0, 25], "P", ""), ":2,DFPRSTaz");
        assert_eq!(info(SystemFlags::NONE, &[], "", ""), ":2,");
    }

    #[test]
    fn keywords_without_a_letter_stand_behind_the_comma() {
        assert_eq!(info(SystemFlag::Seen.into(), &[1, 26, 1300], "", "x"), ":2,Sb,kq.104,x");
        assert_eq!(extra_keywords("a,kq.104,,kr"), (vec![26, 27, 1300], "a,".to_owned()));
    }

    #[test]
    fn what_only_looks_like_our_part_is_kept() {
        for extra in ["k", "k1", "kq.", "kQ", "k0q", "k+q", "kzzzz", "k-", "q"] {
            assert_eq!(extra_keywords(extra), (Vec::new(), extra.to_owned()));
        }
    }

    #[test]
    fn letters_that_would_break_a_name_are_not_written() {
        assert_eq!(info(SystemFlags::NONE, &[], "a,S:/P", ""), ":2,P");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            bits in 0u8..32,
            keywords in btree_set(prop_oneof![0u16..60, any::<u16>()], 0..8),
            letters in btree_set("[A-CEG-QU-Z0-9]", 0..4),
            extra in "([a-jl-z][a-z0-9=]{0,5}(,[a-jl-z0-9=]{0,5}){0,3})?",
        ) {
            let system = SystemFlags::from_bits(bits);
            let keywords: Vec<u16> = keywords.into_iter().collect();
            let letters: String = letters.into_iter().collect();
            let name = format!("1.host{}", info(system, &keywords, &letters, &extra));
            let parsed = FileName::parse(&name);
            prop_assert_eq!(parsed.base, "1.host");
            let (read_system, lettered, read_letters) = read_flags(parsed.letters);
            let (numbered, read_extra) = extra_keywords(parsed.extra);
            let read: Vec<u16> = lettered.into_iter().map(u16::from).chain(numbered).collect();
            prop_assert_eq!((read_system, read, read_letters, read_extra), (system, keywords, letters, extra));
        }

        #[test]
        fn writing_what_was_read_changes_nothing_more(name in "[a-zA-Z0-9:,./k]{0,30}") {
            let again = |name: &str| {
                let FileName { base, letters, extra } = FileName::parse(name);
                let (system, lettered, others) = read_flags(letters);
                let (numbered, rest) = extra_keywords(extra);
                let keywords: Vec<u16> = lettered.into_iter().map(u16::from).chain(numbered).collect();
                format!("{base}{}", info(system, &keywords, &others, &rest))
            };
            let once = again(&name);
            prop_assert_eq!(again(&once), once);
        }
    }
}
