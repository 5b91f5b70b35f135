//! Text of Rust → tokens. Comments are left out; strings are unescaped as far as the rules care.

/// What kind of token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Ident,
    /// A string or byte string; its text is the content.
    Text,
    /// A bracket, `::` or another sign.
    Sign,
    /// A number, a character or a lifetime.
    Other,
}

/// One token.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// Counted from 1.
    pub(super) line: usize,
    /// The line of the last character.
    pub(super) end_line: usize,
    /// Whether it belongs to an item marked `#[cfg(test)]`.
    pub(super) test: bool,
}

/// Splits a text into its tokens. What Rust would refuse gives tokens of some kind, never an error.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, line: 1 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank();
        let line = lexer.line;
        let Some((kind, text)) = lexer.token() else { return tokens };
        tokens.push(Token { kind, text, line, end_line: lexer.line, test: false });
    }
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
}

impl Lexer {
    fn peek(&self, more: usize) -> Option<char> {
        self.chars.get(self.at.saturating_add(more)).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek(0)?;
        self.at = self.at.saturating_add(1);
        self.line = self.line.saturating_add(usize::from(next == '\n'));
        Some(next)
    }

    fn take_while(&mut self, mut wanted: impl FnMut(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(next) = self.peek(0).filter(|next| wanted(*next)) {
            taken.push(next);
            self.next();
        }
        taken
    }

    /// White space and comments; a block comment may hold others.
    fn skip_blank(&mut self) {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(blank), _) if blank.is_whitespace() => {
                    self.next();
                }
                (Some('/'), Some('/')) => {
                    self.take_while(|next| next != '\n');
                }
                (Some('/'), Some('*')) => self.skip_block_comment(),
                _ => return,
            }
        }
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.next(), self.peek(0)) {
                (Some('/'), Some('*')) => {
                    self.next();
                    depth = depth.saturating_add(1);
                }
                (Some('*'), Some('/')) => {
                    self.next();
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return;
                    }
                }
                (None, _) => return,
                _ => {}
            }
        }
    }

    fn token(&mut self) -> Option<(Kind, String)> {
        let first = self.peek(0)?;
        if is_ident(first) && !first.is_ascii_digit() {
            return Some(self.word());
        }
        if first.is_ascii_digit() {
            return Some((Kind::Other, self.take_while(is_ident)));
        }
        self.next();
        Some(match first {
            '"' => (Kind::Text, self.string()),
            '\'' => (Kind::Other, self.quote()),
            ':' if self.peek(0) == Some(':') => {
                self.next();
                (Kind::Sign, "::".to_owned())
            }
            sign => (Kind::Sign, sign.to_string()),
        })
    }

    /// A name, or the prefix of a string: `b"…"`, `r#"…"#`, `r#name`, `b'x'`.
    fn word(&mut self) -> (Kind, String) {
        let word = self.take_while(is_ident);
        let behind = self.chars.get(self.at..).unwrap_or_default();
        let hashes = behind.iter().take_while(|sign| **sign == '#').count();
        match (word.as_str(), self.peek(0)) {
            ("b" | "c", Some('"')) => {
                self.next();
                (Kind::Text, self.string())
            }
            ("b", Some('\'')) => {
                self.next();
                (Kind::Other, self.quote())
            }
            ("r" | "br" | "cr", Some('"' | '#')) if self.peek(hashes) == Some('"') => {
                (Kind::Text, self.raw_string(hashes))
            }
            ("r", Some('#')) => {
                self.next();
                (Kind::Ident, self.take_while(is_ident))
            }
            _ => (Kind::Ident, word),
        }
    }

    /// From behind the opening quote.
    fn string(&mut self) -> String {
        let mut text = String::new();
        while let Some(next) = self.next() {
            match next {
                '"' => break,
                '\\' => match self.next() {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some('\n') => {
                        self.take_while(char::is_whitespace);
                    }
                    Some(other) => text.push(other),
                    None => break,
                },
                other => text.push(other),
            }
        }
        text
    }

    fn raw_string(&mut self, hashes: usize) -> String {
        for _ in 0..=hashes {
            self.next();
        }
        let mut text = String::new();
        while let Some(next) = self.next() {
            if next == '"' && (0..hashes).all(|more| self.peek(more) == Some('#')) {
                for _ in 0..hashes {
                    self.next();
                }
                break;
            }
            text.push(next);
        }
        text
    }

    /// A character or a lifetime, from behind the quote.
    fn quote(&mut self) -> String {
        if self.peek(0) == Some('\\') {
            self.next();
            let mut text: String = self.next().into_iter().collect();
            text.push_str(&self.take_while(|next| next != '\''));
            self.next();
            return text;
        }
        if self.peek(1) == Some('\'') {
            let text = self.next().into_iter().collect();
            self.next();
            return text;
        }
        self.take_while(is_ident)
    }
}

fn is_ident(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        tokens(text).into_iter().filter(|token| token.kind == Kind::Text).map(|token| token.text).collect()
    }

    fn all(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn strings_of_every_form_give_their_content() {
        assert_eq!(
            texts(r##"f("a", b"b", r"c\", br#"d"e"#, c"f", "g\"h")"##),
            ["a", "b", "c\\", "d\"e", "f", "g\"h"]
        );
        assert_eq!(texts("\"* OK\\r\\n\" \"one \\\n   two\""), ["* OK\r\n", "one two"]);
    }

    #[test]
    fn comments_say_nothing() {
        assert_eq!(all("a // \"b\"\n/* c /* d */ e */ f /// g"), ["a", "f"]);
    }

    #[test]
    fn a_quote_opens_no_string() {
        assert_eq!(texts(r#"fn f<'a>(x: &'a str) { m('"', b'"', '\'', '\u{22}', "s") }"#), ["s"]);
    }

    #[test]
    fn paths_are_one_sign_and_raw_names_plain_names() {
        assert_eq!(all("crate::r#move:x"), ["crate", "::", "move", ":", "x"]);
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let tokens = tokens("\"a\nb\" /* c\nd */ e");
        assert_eq!(
            tokens.iter().map(|token| (token.line, token.end_line)).collect::<Vec<_>>(),
            [(1, 2), (3, 3)]
        );
    }
}
