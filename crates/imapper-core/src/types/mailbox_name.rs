//! Names of mailboxes on the wire: modified UTF-7 (RFC 3501 §5.1.3).

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};

/// RFC 3501 §5.1.3: base64 with "," for "/", without padding; bits left over must be zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// Why a name is not one in modified UTF-7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// An octet outside of printable US-ASCII.
    #[error("a mailbox name has only printable US-ASCII characters; others are written in modified UTF-7")]
    NotAscii,
    /// A shift `&` whose end `-` is missing or whose inside is no BASE64 of UTF-16.
    #[error("the mailbox name is not valid modified UTF-7")]
    Malformed,
    /// Something that must be written in another way: printable US-ASCII in BASE64, or two shifts side by
    /// side.
    #[error("the mailbox name writes in BASE64 what modified UTF-7 writes directly")]
    NotCanonical,
}

/// The name in Unicode. Refuses what RFC 3501 §5.1.3 forbids, so that a mailbox has one name only.
pub fn decode_modified_utf7(name: &[u8]) -> Result<String, NameError> {
    let mut decoded = String::with_capacity(name.len());
    let mut rest = name;
    let mut after_shift = false;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'&' => {
                let end = rest.iter().position(|&byte| byte == b'-').ok_or(NameError::Malformed)?;
                let (inside, tail) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
                rest = tail;
                if inside.is_empty() {
                    decoded.push('&');
                    after_shift = false;
                } else if after_shift {
                    return Err(NameError::NotCanonical);
                } else {
                    decode_shifted(inside, &mut decoded)?;
                    after_shift = true;
                }
            }
            0x20..=0x7e => {
                decoded.push(char::from(byte));
                after_shift = false;
            }
            _ => return Err(NameError::NotAscii),
        }
    }
    Ok(decoded)
}

fn decode_shifted(inside: &[u8], decoded: &mut String) -> Result<(), NameError> {
    let octets = BASE64.decode(inside).map_err(|_| NameError::Malformed)?;
    if !octets.len().is_multiple_of(2) {
        return Err(NameError::Malformed);
    }
    let units = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    for character in char::decode_utf16(units) {
        match character.map_err(|_| NameError::Malformed)? {
            ' '..='~' => return Err(NameError::NotCanonical),
            // A control character is no part of a name (RFC 9051 §5.1, Net-Unicode).
            control if control.is_control() => return Err(NameError::NotAscii),
            character => decoded.push(character),
        }
    }
    Ok(())
}

/// The name in modified UTF-7.
pub fn encode_modified_utf7(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    let mut shifted: Vec<u8> = Vec::new();
    let mut units = [0; 2];
    for character in name.chars() {
        if let ' '..='~' = character {
            shift(&mut shifted, &mut encoded);
            encoded.push(character);
            if character == '&' {
                encoded.push('-');
            }
        } else {
            shifted.extend(character.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    shift(&mut shifted, &mut encoded);
    encoded
}

fn shift(shifted: &mut Vec<u8>, encoded: &mut String) {
    if !shifted.is_empty() {
        encoded.push('&');
        BASE64.encode_string(&*shifted, encoded);
        encoded.push('-');
        shifted.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_rfc_3501() {
        let name = "~peter/mail/台北/日本語";
        let encoded = "~peter/mail/&U,BTFw-/&ZeVnLIqe-";
        assert_eq!(encode_modified_utf7(name), encoded);
        assert_eq!(decode_modified_utf7(encoded.as_bytes()).as_deref(), Ok(name));
        assert_eq!(decode_modified_utf7(b"a&-b&-").as_deref(), Ok("a&b&"));
    }

    #[test]
    fn what_rfc_3501_forbids_is_refused() {
        for (name, error) in [
            (&b"&Jjo!"[..], NameError::Malformed),
            (b"&Jjo", NameError::Malformed),
            (b"&Jj-", NameError::Malformed),
            (b"&U,BTFw-&ZeVnLIqe-", NameError::NotCanonical),
            (b"&AGE-", NameError::NotCanonical),
            (b"&2D0-", NameError::Malformed),
            (b"&AAA-", NameError::NotAscii),
            (b"caf\xe9", NameError::NotAscii),
            (b"a\tb", NameError::NotAscii),
        ] {
            assert_eq!(decode_modified_utf7(name), Err(error), "{}", String::from_utf8_lossy(name));
        }
    }

    proptest! {
        #[test]
        fn encoding_and_decoding_are_inverse(name in "\\PC*") {
            let encoded = encode_modified_utf7(&name);
            prop_assert!(encoded.is_ascii());
            prop_assert_eq!(decode_modified_utf7(encoded.as_bytes()), Ok(name));
        }

        #[test]
        fn a_name_has_one_form_only(name: Vec<u8>) {
            if let Ok(decoded) = decode_modified_utf7(&name) {
                prop_assert_eq!(encode_modified_utf7(&decoded).into_bytes(), name);
            }
        }
    }
}
