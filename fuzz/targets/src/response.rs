//! The shape of what goes to a client: lines, parentheses, strings, literals. A reader of its own, so that the
//! encoder is not checked by the parser beside it.

/// Takes one response, up to its CRLF; panics if it is not whole.
pub fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let whole = *rest;
    let mut end = 0;
    loop {
        let found = whole[end..].windows(2).position(|two| two == b"\r\n");
        let text = &whole[end..end + found.expect("a response ends with CRLF")];
        end += text.len() + 2;
        match literal(text) {
            Some(size) => end += size,
            None => break,
        }
        assert!(end <= whole.len(), "a literal is longer than what follows");
    }
    *rest = &whole[end..];
    &whole[..end - 2]
}

/// The size of the literal that the text announces at its end.
fn literal(text: &[u8]) -> Option<usize> {
    let inside = text.strip_suffix(b"}")?;
    let open = inside.iter().rposition(|byte| *byte == b'{')?;
    let digits = std::str::from_utf8(&inside[open + 1..]).ok()?;
    if digits.starts_with('+') { None } else { digits.parse().ok() }
}

/// All responses: each is untagged, tagged, or a continuation request, and data is well formed.
pub fn all(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    while !rest.is_empty() {
        let line = line(&mut rest);
        assert!(!line.is_empty(), "an empty response");
        check(line);
        lines.push(line);
    }
    lines
}

fn check(line: &[u8]) {
    if line == b"+" || line.starts_with(b"+ ") {
        return;
    }
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let (tag, word) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let shown = line.escape_ascii();
    let is_status = matches!(word, b"OK" | b"NO" | b"BAD" | b"BYE" | b"PREAUTH");
    if is_status {
        // One line of free text.
        assert!(line.iter().all(|byte| matches!(byte, b' '..=b'~')), "{shown}");
    }
    if tag != b"*" {
        assert!(matches!(word, b"OK" | b"NO" | b"BAD"), "{shown}");
        assert!(
            tag.iter().all(|byte| matches!(byte, b'!'..=b'~') && !b"(){%*\"\\+".contains(byte)),
            "{shown}"
        );
    } else if !is_status {
        well_formed(&line[2..]);
    }
}

/// Parentheses match, strings end, literals are as long as they say, and nothing stands there that is no atom.
pub fn well_formed(text: &[u8]) {
    let shown = text.escape_ascii();
    let (mut rest, mut depth) = (text, 0usize);
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1).unwrap_or_else(|| panic!("too many ) in {shown}")),
            b'"' => rest = behind_quoted(rest).unwrap_or_else(|| panic!("no end of a string in {shown}")),
            b'{' => {
                let head = rest.windows(2).position(|two| two == b"\r\n").expect("a literal has a head");
                let size = literal(&[b"{", &rest[..head]].concat()).expect("a literal has a size");
                rest = &rest[head + 2 + size..];
            }
            _ => assert!(matches!(first, b' '..=b'~'), "{shown}"),
        }
    }
    assert_eq!(depth, 0, "{shown}");
}

fn behind_quoted(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        rest = match rest {
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'"' | b'\\', tail @ ..] => tail,
            [b'\\', ..] | [] => return None,
            [byte, tail @ ..] if !matches!(byte, 0 | b'\r' | b'\n' | 0x80..) => tail,
            _ => return None,
        };
    }
}
