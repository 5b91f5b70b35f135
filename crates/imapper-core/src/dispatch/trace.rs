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

/// A command whose arguments are secret: its first argument, a name, is shown.
pub(super) fn masked(command: &[u8]) -> String {
    let shown = shown(command);
    let mut words = shown.splitn(4, ' ');
    let (tag, name, first) = (words.next(), words.next(), words.next());
    let mut masked = [tag, name, first].into_iter().flatten().collect::<Vec<_>>().join(" ");
    if words.next().is_some() {
        masked.push(' ');
        masked.push_str(MASK);
    }
    masked
}

/// A command that nobody understands, before login: it may be a password in the wrong place.
pub(super) fn hidden(command: &[u8]) -> String {
    let shown = shown(command);
    format!("{} {MASK}", shown.split(' ').next().unwrap_or_default())
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
        assert_eq!(hidden(b"LOGIN abc def"), "LOGIN \"***\"");
        assert_eq!(shown(b"a APPEND x {4}\r\nbody (\\Seen)"), "a APPEND x {4} (\\Seen)");
    }
}
