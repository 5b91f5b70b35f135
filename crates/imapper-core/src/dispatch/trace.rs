//! Commands as the debug output shows them: secrets masked, literals by their size.

/// What stands in the place of a secret.
const MASK: &str = "\"***\"";

/// A command without the octets of its literals.
pub(super) fn shown(command: &[u8]) -> String {
    let mut shown = String::new();
    let mut rest = command;
    while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
        let (line, tail) = rest.split_at(end);
        shown.push_str(&String::from_utf8_lossy(line));
        let tail = tail.get(2..).unwrap_or_default();
        rest = tail.get(size_at_end(line)..).unwrap_or_default();
    }
    shown.push_str(&String::from_utf8_lossy(rest));
    shown
}

fn size_at_end(line: &[u8]) -> usize {
    let digits = line.strip_suffix(b"}").and_then(|line| {
        let open = line.iter().rposition(|byte| *byte == b'{')?;
        line.get(open + 1..)
    });
    let digits =
        digits.and_then(|digits| std::str::from_utf8(digits.strip_suffix(b"+").unwrap_or(digits)).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// A command whose arguments are secret: its first argument, a name, is shown. One that stands alone is shown
/// only if it looks like a mechanism's name (RFC 4422 §3.1), for the secret may be what stands there.
pub(super) fn masked(command: &[u8]) -> String {
    let shown = shown(command);
    let mut words = shown.splitn(4, ' ');
    let (tag, name, first) = (words.next(), words.next(), words.next());
    let has_more = words.next().is_some();
    let (first, is_hidden) = match first {
        Some(first) if !has_more && !is_mechanism(first) => (None, true),
        first => (first, has_more),
    };
    let mut masked = [tag, name, first].into_iter().flatten().collect::<Vec<_>>().join(" ");
    if is_hidden {
        masked.push(' ');
        masked.push_str(MASK);
    }
    masked
}

fn is_mechanism(word: &str) -> bool {
    let is_mechanism_char = |byte: u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_');
    word.len() <= 20 && word.bytes().all(is_mechanism_char)
}

/// A command that nobody understands, before login: it may be a password in the wrong place. What looks like
/// a tag, and has something behind it, is shown.
pub(super) fn hidden(command: &[u8]) -> String {
    let shown = shown(command);
    let is_tag_char = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    match shown.split_once(' ') {
        Some((tag, rest)) if !rest.is_empty() && tag.bytes().all(is_tag_char) => format!("{tag} {MASK}"),
        _ => MASK.to_owned(),
    }
}

/// A line that is secret as a whole.
pub(super) fn secret() -> &'static str {
    MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_literals_are_not_shown() {
        assert_eq!(masked(b"A2 LOGIN abc def"), "A2 LOGIN abc \"***\"");
        assert_eq!(masked(b"A2 LOGIN {3}\r\nabc {3+}\r\ndef"), "A2 LOGIN {3} \"***\"");
        assert_eq!(masked(b"A2 AUTHENTICATE PLAIN AGFiYwBkZWY="), "A2 AUTHENTICATE PLAIN \"***\"");
        assert_eq!(masked(b"A2 LOGIN \"a b\" def"), "A2 LOGIN \"a \"***\"");
        assert_eq!(masked(b"A2 AUTHENTICATE PLAIN"), "A2 AUTHENTICATE PLAIN");
        assert_eq!(masked(b"A2 AUTHENTICATE AGFiYwBkZWY="), "A2 AUTHENTICATE \"***\"");
        assert_eq!(masked(b"A2 LOGIN \"def\""), "A2 LOGIN \"***\"");
        assert_eq!(masked(b"A2 LOGIN"), "A2 LOGIN");
        assert_eq!(hidden(b"LOGIN abc def"), "LOGIN \"***\"");
        assert_eq!(hidden(b"AGFiYwBkZWY="), "\"***\"");
        assert_eq!(hidden(b"AGFiYwBkZWY= "), "\"***\"");
        assert_eq!(hidden(b"AGFiYwBkZWY= def"), "\"***\"");
        assert_eq!(shown(b"a APPEND x {4}\r\nbody (\\Seen)"), "a APPEND x {4} (\\Seen)");
    }
}
