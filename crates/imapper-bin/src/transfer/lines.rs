//! Ends of lines: CRLF on the wire, LF in most files.

use bytes::Bytes;

/// The message as it goes over the wire: a line feed by itself becomes CRLF. With whether all lines ended in CRLF
/// before. One with both kinds can't come out again as it was: it counts as LF.
pub(crate) fn to_wire(text: Vec<u8>) -> (Bytes, bool) {
    let bare = bare_feeds(&text);
    if bare == 0 {
        let crlf = text.contains(&b'\n');
        return (text.into(), crlf);
    }
    let mut wire = Vec::with_capacity(text.len() + bare);
    let mut before = 0;
    for octet in text {
        if octet == b'\n' && before != b'\r' {
            wire.push(b'\r');
        }
        wire.push(octet);
        before = octet;
    }
    (wire.into(), false)
}

/// The message with LF for CRLF.
pub(crate) fn to_lf(wire: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(wire.len());
    let mut octets = wire.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        if octet != b'\r' || octets.peek() != Some(&b'\n') {
            text.push(octet);
        }
    }
    text
}

/// Whether [`to_wire`] makes of [`to_lf`] what it was.
pub(crate) fn comes_back(wire: &[u8]) -> bool {
    // A bare LF would become CRLF; of CR CR LF one CR would be lost.
    bare_feeds(wire) == 0 && !wire.windows(3).any(|three| three == b"\r\r\n")
}

/// How many line feeds there are without a carriage return before them.
fn bare_feeds(text: &[u8]) -> usize {
    let feeds = text.iter().enumerate().filter(|(_, octet)| **octet == b'\n');
    feeds.filter(|(at, _)| at.checked_sub(1).and_then(|before| text.get(before)) != Some(&b'\r')).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn line_feeds_become_crlf_and_the_kind_is_told() {
        for (text, wire, crlf) in [
            (&b"a\nb\n"[..], &b"a\r\nb\r\n"[..], false),
            (b"a\r\nb\r\n", b"a\r\nb\r\n", true),
            (b"a\r\nb\n", b"a\r\nb\r\n", false),
            (b"a\rb\0\xff", b"a\rb\0\xff", false),
            (b"\n", b"\r\n", false),
            (b"", b"", false),
        ] {
            let (found, is_crlf) = to_wire(text.to_vec());
            assert_eq!((&found[..], is_crlf), (wire, crlf), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_file_with_one_kind_of_line_end_comes_back(pieces in prop::collection::vec("[a\r>\u{e9}]{0,3}", 0..6), crlf: bool) {
            let end = if crlf { "\r\n" } else { "\n" };
            let text: Vec<u8> = pieces.iter().map(|piece| piece.trim_end_matches('\r')).collect::<Vec<_>>().join(end).into_bytes();
            let (wire, was_crlf) = to_wire(text.clone());
            let again = if was_crlf { wire.to_vec() } else { to_lf(&wire) };
            prop_assert_eq!(again, text);
        }

        #[test]
        fn what_is_said_to_come_back_does(wire in "[a\r\n]{0,12}") {
            let (again, _) = to_wire(to_lf(wire.as_bytes()));
            prop_assert_eq!(again == wire.as_bytes(), comes_back(wire.as_bytes()));
        }
    }
}
