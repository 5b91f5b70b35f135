//! Attachments and the names of files, out of a BODYSTRUCTURE (RFC 9051 §7.5.2) as it goes over the wire.

/// A piece of a parenthesised list.
enum Token<'a> {
    Open,
    Close,
    /// A string without its quotes, escaped as it was.
    Text(&'a [u8]),
    /// NIL or a number.
    Word,
}

/// Whether a part is an attachment: its disposition (RFC 2183) says so.
pub(super) fn has_attachment(structure: &[u8]) -> bool {
    // How much of `("attachment" (` or `("attachment" NIL)` stands there. A parameter of that name has a string behind
    // it, and an address with it (RFC 9051 §7.5.2, the envelope of a message in a message) two more.
    let mut found = 0;
    for token in tokens(structure) {
        found = match (found, token) {
            (2, Token::Open) | (3, Token::Close) => return true,
            (1, Token::Text(text)) if text.eq_ignore_ascii_case(b"attachment") => 2,
            (2, Token::Word) => 3,
            (_, Token::Open) => 1,
            _ => 0,
        };
    }
    false
}

/// The names of files: what stands behind the parameters `filename` (RFC 2183) and `name`.
pub(super) fn file_names(structure: &[u8]) -> impl Iterator<Item = String> {
    let mut is_name = false;
    tokens(structure).filter_map(move |token| {
        let Token::Text(text) = token else {
            is_name = false;
            return None;
        };
        if std::mem::take(&mut is_name) {
            let unescaped = String::from_utf8_lossy(text).replace("\\\"", "\"").replace("\\\\", "\\");
            return Some(unescaped);
        }
        is_name = text.eq_ignore_ascii_case(b"filename") || text.eq_ignore_ascii_case(b"name");
        None
    })
}

fn tokens(structure: &[u8]) -> impl Iterator<Item = Token<'_>> {
    let mut rest = structure;
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        let (token, behind) = next(rest)?;
        rest = behind;
        Some(token)
    })
}

fn next(text: &[u8]) -> Option<(Token<'_>, &[u8])> {
    let (first, behind) = text.split_first()?;
    Some(match first {
        b'(' => (Token::Open, behind),
        b')' => (Token::Close, behind),
        b'"' => {
            let mut end = 0;
            loop {
                match behind.get(end)? {
                    b'"' => break,
                    b'\\' => end += 2,
                    _ => end += 1,
                }
            }
            (Token::Text(behind.get(..end)?), behind.get(end + 1..)?)
        }
        b'{' => {
            let end = behind.iter().position(|byte| *byte == b'}')?;
            let size: usize = std::str::from_utf8(behind.get(..end)?).ok()?.parse().ok()?;
            // Behind the brace and CRLF.
            let octets = behind.get(end.checked_add(3)?..)?;
            (Token::Text(octets.get(..size)?), octets.get(size..)?)
        }
        _ => {
            let is_end = |byte: &u8| matches!(byte, b' ' | b'(' | b')' | b'"' | b'{');
            let end = text.iter().position(is_end).unwrap_or(text.len());
            (Token::Word, text.get(end..)?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_disposition_is_one() {
        for (structure, is_one) in [
            (
                r#"("text" "plain" NIL NIL NIL "7BIT" 1 1 NIL ("attachment" ("filename" "a.txt")) NIL NIL)"#,
                true,
            ),
            (r#"(("text" "plain")("a" "pdf" NIL NIL NIL "7BIT" 1 NIL ("ATTACHMENT" NIL)) "mixed")"#, true),
            (r#"("text" "plain" ("attachment" "x") NIL NIL "7BIT" 1 1 NIL ("inline" NIL))"#, false),
            (r#"("attachment" "plain" NIL NIL "attachment" "7BIT" 1)"#, false),
            (r#"("text" "plain" ("x" "(\"attachment\" NIL") NIL NIL "7BIT" 1 1)"#, false),
            ("(\"text\" \"plain\" (\"x\" {18}\r\n(\"attachment\" NIL)) NIL NIL \"7BIT\" 1 1)", false),
            (r#"("message" "rfc822" NIL ("" "" (("attachment" NIL "x" "y")) NIL) ("text" "plain"))"#, false),
            (r#"("message" "rfc822" NIL ("" "" (("x" NIL "attachment" "y")) NIL) ("text" "plain"))"#, false),
            ("", false),
            ("(\"attachment\"", false),
            ("(\"a\\", false),
            ("{9}\r\nx", false),
        ] {
            assert_eq!(has_attachment(structure.as_bytes()), is_one, "{structure}");
        }
    }

    #[test]
    fn names_of_files() {
        let structure = r#"("a" "pdf" ("charset" "x" "NAME" "b \"c\".pdf") NIL NIL "7BIT" 1 NIL
            ("attachment" ("filename" "d.pdf" "size" "1")) NIL NIL)"#;
        let names: Vec<String> = file_names(structure.as_bytes()).collect();
        assert_eq!(names, ["b \"c\".pdf", "d.pdf"]);
    }
}
