//! The lexical tokens of RFC 5322 §3.2: white space, comments, quoted strings, words.
//!
//! Everything here works on an unfolded value (`header::unfold`), runs in one pass and nests by a
//! counter, never by recursion: a comment may be as deep as the field is long.

/// A cursor over one header value.
pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    pos: usize,
}

/// SP or HTAB, and what a lenient reader takes for it.
pub(super) fn is_wsp(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

impl<'a> Lexer<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Lexer { bytes, pos: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    pub(super) fn bump(&mut self) {
        self.pos = self.pos.saturating_add(1).min(self.bytes.len());
    }

    /// Takes `b` if it is next.
    pub(super) fn eat(&mut self, b: u8) -> bool {
        let hit = self.peek() == Some(b);
        if hit {
            self.bump();
        }
        hit
    }

    pub(super) fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.bytes.get(self.pos..).unwrap_or_default();
        let n = rest.iter().position(|&b| !keep(b)).unwrap_or(rest.len());
        self.pos += n;
        rest.get(..n).unwrap_or_default()
    }

    /// Skips white space and comments (CFWS of RFC 5322 §3.2.2).
    pub(super) fn skip_cfws(&mut self) {
        while let Some(b) = self.peek() {
            if is_wsp(b) {
                self.bump();
            } else if b == b'(' {
                self.comment();
            } else {
                break;
            }
        }
    }

    /// Reads a comment whose `(` is next: its text, unescaped, nested parentheses kept. One that is
    /// not closed, or ends in a backslash, reaches to the end of the value.
    pub(super) fn comment(&mut self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut depth = 0usize;
        while let Some(b) = self.peek() {
            self.bump();
            match b {
                b'(' => {
                    if depth > 0 {
                        text.push(b);
                    }
                    depth += 1;
                }
                b')' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        break;
                    }
                    text.push(b);
                }
                b'\\' => self.escaped(&mut text),
                _ => text.push(b),
            }
        }
        text
    }

    /// Reads a quoted string whose `"` is next, unescaped, onto `out`.
    pub(super) fn quoted(&mut self, out: &mut Vec<u8>) {
        self.bump();
        while let Some(b) = self.peek() {
            self.bump();
            match b {
                b'"' => return,
                b'\\' => self.escaped(out),
                _ => out.push(b),
            }
        }
    }

    fn escaped(&mut self, out: &mut Vec<u8>) {
        if let Some(b) = self.peek() {
            out.push(b);
            self.bump();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_nest_and_unescape() {
        let mut lex = Lexer::new(br"(a (b\) c) d) x");
        assert_eq!(lex.comment(), b"a (b) c) d");
        lex.skip_cfws();
        assert_eq!(lex.peek(), Some(b'x'));
    }

    #[test]
    fn a_comment_that_ends_in_a_backslash_ends_with_the_value() {
        let mut lex = Lexer::new(br"(abc\");
        assert_eq!(lex.comment(), b"abc");
        assert_eq!(lex.peek(), None);
        let mut out = Vec::new();
        Lexer::new(br#""abc\"#).quoted(&mut out);
        assert_eq!(out, b"abc");
    }

    #[test]
    fn a_million_open_comments_need_no_stack() {
        let deep = vec![b'('; 1_000_000];
        let mut lex = Lexer::new(&deep);
        lex.skip_cfws();
        assert_eq!(lex.peek(), None);
    }
}
