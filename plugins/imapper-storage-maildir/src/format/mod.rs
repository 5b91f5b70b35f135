//! What the files and names of a Maildir look like, ours and those of Dovecot and Courier: functions without
//! input and output.

pub(crate) mod courier;
pub(crate) mod filename;
pub(crate) mod folder;
pub(crate) mod keywords;
pub(crate) mod subscriptions;
pub(crate) mod uidlist;

use std::str::FromStr;

/// A number of digits alone; `FromStr` would take a sign.
fn number<T: FromStr>(digits: &str) -> Option<T> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// The lines of a file that are UTF-8; the end of the file ends a line too.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &str> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_digits_alone_and_fits() {
        assert_eq!(number::<u32>("4294967295"), Some(u32::MAX));
        for digits in ["", "+1", "-1", " 1", "1 ", "4294967296"] {
            assert_eq!(number::<u32>(digits), None, "{digits:?}");
        }
    }
}
