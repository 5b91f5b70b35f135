//! Names of message files: what identifies the message, and behind `:2,` its flags, a letter each.
//!
//! Keywords 0 to 25 are the letters `a` to `z`, as in Dovecot. The storage `maildir` writes further ones behind a
//! comma, as `k` and numbers of base 36: Dovecot keeps what stands there.

use imapper_core::types::{Flags, Keyword, SystemFlag, SystemFlags};

const LETTERS: [(char, SystemFlag); 5] = [
    ('D', SystemFlag::Draft),
    ('F', SystemFlag::Flagged),
    ('R', SystemFlag::Answered),
    ('S', SystemFlag::Seen),
    ('T', SystemFlag::Deleted),
];

/// How many keywords have a letter.
const WITH_LETTER: usize = 26;

/// What identifies the message, and what tells its flags.
pub(super) fn split(file: &str) -> (&str, &str) {
    match file.rsplit_once(":2,") {
        Some(parts) => parts,
        None => (file.split(':').next().unwrap_or(file), ""),
    }
}

/// The flags. A letter without a keyword means nothing.
pub(super) fn read(info: &str, keywords: &[Option<Keyword>]) -> Flags {
    let mut parts = info.split(',');
    let letters = parts.next().unwrap_or_default();
    let mut numbers: Vec<usize> =
        letters.bytes().filter(u8::is_ascii_lowercase).map(|letter| usize::from(letter - b'a')).collect();
    for part in parts.filter_map(|part| part.strip_prefix('k')) {
        numbers.extend(part.split('.').filter_map(|number| usize::from_str_radix(number, 36).ok()));
    }
    let system = LETTERS.into_iter().filter(|(letter, _)| letters.contains(*letter));
    let system = system.fold(SystemFlags::NONE, |all, (_, flag)| all | flag.into());
    Flags::new(system, numbers.into_iter().filter_map(|number| keywords.get(number).cloned().flatten()))
}

/// What stands behind the name: `:2,FSa`.
pub(super) fn write(flags: &Flags, keywords: &[Option<Keyword>]) -> String {
    let mut info = String::from(":2,");
    info.extend(LETTERS.into_iter().filter(|(_, flag)| flags.contains(*flag)).map(|(letter, _)| letter));
    let number = |keyword: &Keyword| keywords.iter().position(|known| known.as_ref() == Some(keyword));
    let mut numbers: Vec<usize> = flags.keywords().iter().filter_map(number).collect();
    numbers.sort_unstable();
    let (letters, further): (Vec<usize>, Vec<usize>) =
        numbers.into_iter().partition(|number| *number < WITH_LETTER);
    info.extend(
        letters
            .into_iter()
            .filter_map(|number| u8::try_from(number).ok())
            .map(|number| char::from(b'a' + number)),
    );
    if !further.is_empty() {
        let further: Vec<String> = further.into_iter().map(base_36).collect();
        info.push_str(",k");
        info.push_str(&further.join("."));
    }
    info
}

fn base_36(mut number: usize) -> String {
    let mut digits = Vec::new();
    loop {
        digits.extend(char::from_digit(u32::try_from(number % 36).unwrap_or_default(), 36));
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keywords(count: usize) -> Vec<Option<Keyword>> {
        (0..count).map(|number| (number != 3).then(|| Keyword::new(&format!("k{number}")))).collect()
    }

    #[test]
    fn names_of_others_are_understood() {
        for (file, parts) in [
            ("1.a.host,S=3:2,FS", ("1.a.host,S=3", "FS")),
            ("1.a.host", ("1.a.host", "")),
            ("1.a.host:1,x", ("1.a.host", "")),
            ("1:2,a:2,S", ("1:2,a", "S")),
        ] {
            assert_eq!(split(file), parts);
        }
        let flags = read("PSTadz,x,k1z.q", &keywords(80));
        assert_eq!(flags.names().collect::<Vec<_>>(), ["\\Deleted", "\\Seen", "k0", "k25", "k26", "k71"]);
    }

    proptest! {
        #[test]
        fn flags_come_back(bits: u8, numbers in prop::collection::vec(0usize..80, 0..6)) {
            let all = keywords(80);
            let flags = Flags::new(SystemFlags::from_bits(bits), numbers.iter().filter_map(|number| all[*number].clone()));
            let info = write(&flags, &all);
            prop_assert_eq!(read(info.strip_prefix(":2,").unwrap(), &all), flags);
        }
    }
}
