//! Modified UTF-7 (RFC 3501 §5.1.3) against a decoder that goes bit by bit, and both ways: a name that decodes is
//! the only form of what it decodes to.

use imapper_core::types::{NameError, decode_modified_utf7, encode_modified_utf7};

/// Input: a name as octets of the wire, and as UTF-8.
pub fn run(input: &[u8]) {
    let decoded = decode_modified_utf7(input);
    assert_eq!(decoded.as_ref().ok(), slowly(input).as_ref(), "{decoded:?}");
    if let Ok(name) = decoded {
        assert_eq!(encode_modified_utf7(&name).as_bytes(), input);
    }
    let name = String::from_utf8_lossy(input);
    let encoded = encode_modified_utf7(&name);
    assert!(encoded.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{encoded:?}");
    let again = decode_modified_utf7(encoded.as_bytes());
    if name.chars().any(char::is_control) {
        assert_eq!(again, Err(NameError::NotAscii));
    } else {
        assert_eq!(again.as_deref(), Ok(&*name));
    }
}

/// The definition, one bit after the other.
fn slowly(name: &[u8]) -> Option<String> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
    let mut text = String::new();
    let mut octets = name.iter();
    let mut side_by_side = false;
    while let Some(&byte) = octets.next() {
        if byte != b'&' {
            text.push(Some(char::from(byte)).filter(|c| matches!(c, ' '..='~'))?);
            side_by_side = false;
            continue;
        }
        let mut bits: Vec<bool> = Vec::new();
        let mut digits = 0;
        loop {
            let digit = *octets.next()?;
            if digit == b'-' {
                break;
            }
            digits += 1;
            let value = DIGITS.iter().position(|known| *known == digit)?;
            bits.extend((0..6).rev().map(|bit| value >> bit & 1 == 1));
        }
        if digits == 0 {
            text.push('&');
            side_by_side = false;
            continue;
        }
        if std::mem::replace(&mut side_by_side, true) {
            return None;
        }
        let units = bits.chunks_exact(16);
        // What is left over fills up the last digit: fewer than six bits, all 0.
        if units.remainder().len() >= 6 || units.remainder().contains(&true) {
            return None;
        }
        let units: Vec<u16> =
            units.map(|unit| unit.iter().fold(0, |all, bit| all << 1 | u16::from(*bit))).collect();
        let inside = String::from_utf16(&units).ok()?;
        if inside.is_empty() || inside.chars().any(|c| matches!(c, ' '..='~') || c.is_control()) {
            return None;
        }
        text.push_str(&inside);
    }
    Some(text)
}
