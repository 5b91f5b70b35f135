//! As much of Rust's grammar as the rules need: tokens without comments, which of them are tests, and
//! the paths that a file names. A full parser would be a heavy dependency for a light question.

use super::lexer::{Kind, Token, tokens};

/// What a file of Rust says.
pub(super) struct Source {
    /// In the order of the text; no comments, no documentation.
    pub(super) tokens: Vec<Token>,
    /// How many lines the file has.
    pub(super) lines: usize,
    /// How many of these belong to items marked `#[cfg(test)]`.
    pub(super) test_lines: usize,
}

/// A path that a file names, such as `crate::wire::line` or one branch of a `use` with braces.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) path: Vec<String>,
    /// The name after `as`.
    pub(super) alias: Option<String>,
    pub(super) line: usize,
}

impl Source {
    pub(super) fn read(text: &str) -> Source {
        let mut source = Source { tokens: tokens(text), lines: text.lines().count(), test_lines: 0 };
        source.mark_tests();
        source
    }

    pub(super) fn mark_all_as_test(&mut self) {
        for token in &mut self.tokens {
            token.test = true;
        }
        self.test_lines = self.lines;
    }

    /// What the file says outside of its tests.
    pub(super) fn shipped(&self) -> impl Iterator<Item = &Token> {
        self.tokens.iter().filter(|token| !token.test)
    }

    /// Whether this name or sign stands there; the character `'{'` is not the bracket.
    pub(super) fn is(&self, at: usize, text: &str) -> bool {
        let is = |token: &Token| matches!(token.kind, Kind::Ident | Kind::Sign) && token.text == text;
        self.tokens.get(at).is_some_and(is)
    }

    fn are(&self, at: usize, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(more, text)| self.is(at.saturating_add(more), text))
    }

    pub(super) fn ident(&self, at: usize) -> Option<&str> {
        self.tokens.get(at).filter(|token| token.kind == Kind::Ident).map(|token| token.text.as_str())
    }

    /// The names of `#[cfg(test)] mod name;`.
    pub(super) fn test_modules(&self) -> impl Iterator<Item = &str> {
        (0..self.tokens.len())
            .filter(|at| self.is(*at, "mod") && self.tokens.get(*at).is_some_and(|token| token.test))
            .filter(|at| self.is(at.saturating_add(2), ";"))
            .filter_map(|at| self.ident(at.saturating_add(1)))
    }

    fn mark_tests(&mut self) {
        if (0..self.tokens.len()).any(|at| self.are(at, &["#", "!", "[", "cfg", "(", "test", ")"])) {
            self.mark_all_as_test();
            return;
        }
        let mut at = 0;
        while at < self.tokens.len() {
            let begin = at;
            at = at.saturating_add(1);
            let marked = self.are(begin, &["#", "[", "cfg", "(", "test", ")", "]"])
                || self.are(begin, &["#", "[", "cfg", "(", "all", "(", "test"]);
            if marked {
                let end = self.end_of_item(begin);
                let item = self.tokens.get_mut(begin..=end).unwrap_or_default();
                for token in item.iter_mut() {
                    token.test = true;
                }
                if let (Some(first), Some(last)) = (item.first(), item.last()) {
                    self.test_lines = self.test_lines.saturating_add(1 + last.end_line - first.line);
                }
                at = end.saturating_add(1);
            }
        }
    }

    /// The last token of the item that starts here with an attribute: its `;`, or the `}` of its body.
    fn end_of_item(&self, begin: usize) -> usize {
        let mut depth = 0_usize;
        for at in begin..self.tokens.len() {
            if self.is(at, "(") || self.is(at, "[") || self.is(at, "{") {
                depth = depth.saturating_add(1);
            } else if self.is(at, ")") || self.is(at, "]") || self.is(at, "}") {
                depth = depth.saturating_sub(1);
                if depth == 0 && self.is(at, "}") {
                    return at;
                }
            } else if depth == 0 && self.is(at, ";") {
                return at;
            }
        }
        self.tokens.len().saturating_sub(1)
    }

    /// The token that closes the bracket which opens here.
    pub(super) fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for at in open..self.tokens.len() {
            if self.is(at, "(") || self.is(at, "[") || self.is(at, "{") {
                depth = depth.saturating_add(1);
            } else if self.is(at, ")") || self.is(at, "]") || self.is(at, "}") {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
        }
        self.tokens.len()
    }

    /// Every path outside of tests that starts with `head`, without it; `self` and `super` are resolved
    /// for a file that is the module `own`. `use head::{a, b::{c, d}}` gives three.
    pub(super) fn paths(&self, head: &str, own: &[String]) -> Vec<Named> {
        let mut found = Vec::new();
        let mut inside: Vec<(String, usize)> = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            inside.retain(|(_, end)| at < *end);
            if self.is(at, "mod") && self.is(at.saturating_add(2), "{") {
                let name = self.ident(at.saturating_add(1)).unwrap_or_default();
                inside.push((name.to_owned(), self.closing(at.saturating_add(2))));
            }
            let next = at.saturating_add(1);
            let begins = self.ident(at) == Some(head) && self.is(next, "::");
            let goes_on = at.checked_sub(1).is_some_and(|before| self.is(before, "::"));
            if begins && !goes_on && self.tokens.get(at).is_some_and(|token| !token.test) {
                let mut base = Vec::new();
                if matches!(head, "self" | "super") {
                    base.extend_from_slice(own);
                    base.extend(inside.iter().map(|(name, _)| name.clone()));
                }
                if head == "super" {
                    base.pop();
                }
                at = self.branches(next.saturating_add(1), base, &mut found);
            } else {
                at = next;
            }
        }
        found
    }

    /// Follows one path, or the branches of a `use`, from behind a `::`; returns where it ends.
    fn branches(&self, mut at: usize, base: Vec<String>, found: &mut Vec<Named>) -> usize {
        // What is open: the path that holds before each brace.
        let mut open: Vec<Vec<String>> = Vec::new();
        let mut path = base;
        loop {
            let line = self.tokens.get(at).map_or(0, |token| token.line);
            let mut leaf = false;
            match self.ident(at) {
                Some("super") => {
                    path.pop();
                    at = at.saturating_add(1);
                }
                Some(name) => {
                    if name != "self" {
                        path.push(name.to_owned());
                    }
                    at = at.saturating_add(1);
                    leaf = !self.is(at, "::");
                }
                None if self.is(at, "{") => {
                    open.push(path.clone());
                    at = at.saturating_add(1);
                    continue;
                }
                None => {
                    leaf = true;
                    at = at.saturating_add(usize::from(self.is(at, "*")));
                }
            }
            if !leaf {
                at = at.saturating_add(usize::from(self.is(at, "::")));
                continue;
            }
            let alias =
                self.is(at, "as").then(|| self.ident(at.saturating_add(1))).flatten().map(str::to_owned);
            at = at.saturating_add(if alias.is_some() { 2 } else { 0 });
            found.push(Named { path: path.clone(), alias, line });
            while let Some(before) = open.last() {
                path.clone_from(before);
                let comma = self.is(at, ",");
                at = at.saturating_add(usize::from(comma));
                if comma && !self.is(at, "}") {
                    break;
                }
                at = at.saturating_add(usize::from(self.is(at, "}")));
                open.pop();
            }
            if open.is_empty() {
                return at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str, head: &str, own: &[&str]) -> Vec<String> {
        let own: Vec<String> = own.iter().map(|part| (*part).to_owned()).collect();
        Source::read(text).paths(head, &own).into_iter().map(|named| named.path.join("::")).collect()
    }

    #[test]
    fn a_use_with_braces_names_every_branch() {
        let text = "use crate::{net, wire::{self, line::Line as L, frame::*}, types::Uid};\nfn f() { crate::a::b() }";
        assert_eq!(
            paths(text, "crate", &[]),
            ["net", "wire", "wire::line::Line", "wire::frame", "types::Uid", "a::b"]
        );
        let named = Source::read(text).paths("crate", &[]);
        assert_eq!(named.get(2).and_then(|one| one.alias.as_deref()), Some("L"));
        assert_eq!(named.last().map(|one| one.line), Some(2));
    }

    #[test]
    fn the_end_of_a_nested_group_is_followed_by_what_comes_next() {
        assert_eq!(
            paths("use crate::{a::{b, c,}, d}; use crate::e;", "crate", &[]),
            ["a::b", "a::c", "d", "e"]
        );
    }

    #[test]
    fn super_goes_up_from_the_module_that_says_it() {
        assert_eq!(
            paths("use super::super::wire::Line;", "super", &["command", "fetch", "items"]),
            ["command::wire::Line"]
        );
        assert_eq!(paths("mod inner { use super::x; }", "super", &["command"]), ["command::x"]);
        assert_eq!(paths("pub(super) fn f() {}", "super", &["command"]), Vec::<String>::new());
    }

    #[test]
    fn tests_name_nothing() {
        assert_eq!(paths("#[cfg(test)]\nmod tests { use crate::net; }", "crate", &[]), Vec::<String>::new());
        assert_eq!(paths("#[cfg(test)] use crate::net;\nuse crate::wire;", "crate", &[]), ["wire"]);
        assert_eq!(paths("#[cfg(any(test, feature = \"x\"))] use crate::net;", "crate", &[]), ["net"]);
    }

    #[test]
    fn lines_of_tests_are_counted_from_the_attribute_to_the_brace() {
        let source = Source::read("fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n");
        assert_eq!((source.lines, source.test_lines), (6, 4));
        assert_eq!(source.shipped().filter(|token| token.text == "fn").count(), 1);
    }

    #[test]
    fn a_bracket_in_quotes_is_no_bracket() {
        let source = Source::read("#[cfg(test)]\nfn a() { b(\"{\", '{', b'(', '\\'') }\nfn shipped() {}");
        assert_eq!(source.shipped().filter(|token| token.text == "shipped").count(), 1);
        assert_eq!(source.test_lines, 2);
    }

    #[test]
    fn a_test_module_in_another_file_is_named() {
        let source = Source::read("#[cfg(test)]\nmod tests;\nmod shipped;");
        assert_eq!(source.test_modules().collect::<Vec<_>>(), ["tests"]);
    }
}
