//! The core knows no extension: no word that a file of imapper-extensions registers stands in a string
//! or in the name of a type there. `storage/` is left out: its facets are what extensions build on.
//!
//! A file of imapper-extensions lists its words of the wire as `const WORDS: &[&str] = &["IDLE", …]`,
//! its capability may stand in `const NAME: &str` too.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::lexer::{Kind, Token};
use super::rust::Source;
use super::tree::{CORE, Tree};

const EXTENSIONS: &str = "plugins/imapper-extensions/src/";
/// A shorter word would find names that have nothing to do with it.
const SHORTEST_TYPE: usize = 3;
/// Words that the core has names for too: a literal of any kind (RFC 9051 §4.3), namespaces of mailboxes
/// (RFC 9051 §5.1.2), when TLS begins on a connection. Types may have these names; strings may not.
const COMMON_TYPES: [&str; 4] = ["LITERAL+", "LITERAL-", "NAMESPACE", "STARTTLS"];
/// Words that are something else in MIME, in the core's folder where they are: `Content-ID`.
const COMMON_TEXTS: [(&str, &str); 1] = [("ID", "message/")];

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let words = registered(tree, findings);
    let storage = [format!("{CORE}storage/"), format!("{CORE}storage.rs")];
    let in_storage = |path: &str| storage.iter().any(|place| path.starts_with(place));
    let core = || tree.rust().filter(|(path, _)| path.starts_with(CORE));
    // A type of the storage traits may be used where a session or a command talks to the storage.
    let of_storage: BTreeSet<&str> = core()
        .filter(|(path, _)| in_storage(path))
        .flat_map(|(_, source)| source.shipped().filter(|token| is_type(token)))
        .map(|token| token.text.as_str())
        .collect();
    for (path, source) in core().filter(|(path, _)| !in_storage(path)) {
        for token in source.shipped() {
            let found = match token.kind {
                Kind::Text => {
                    words.iter().find(|(word, _)| says(&token.text, word) && !is_common_text(word, path))
                }
                _ if is_type(token) && !of_storage.contains(token.text.as_str()) => words
                    .iter()
                    .filter(|(word, _)| word.len() >= SHORTEST_TYPE && !COMMON_TYPES.contains(&word.as_str()))
                    .find(|(word, _)| plain(&token.text) == plain(word)),
                _ => None,
            };
            if let Some((word, owner)) = found {
                let message =
                    format!("{word} is a word of an extension ({owner}): the core does not know it");
                findings.push(Finding::error(path, token.line, message));
            }
        }
    }
}

/// The words with the file that registers each. A file with an extension but no words is a finding:
/// its words would go unseen.
fn registered(tree: &Tree, findings: &mut Vec<Finding>) -> BTreeMap<String, String> {
    let mut words = BTreeMap::new();
    for (path, source) in tree.rust().filter(|(path, _)| path.starts_with(EXTENSIONS)) {
        let own: Vec<&str> =
            constants(source, "WORDS").into_iter().chain(constants(source, "NAME")).collect();
        let shipped: Vec<&Token> = source.shipped().collect();
        let extension = shipped
            .windows(3)
            .find(|three| three.iter().map(|one| &one.text).eq(["impl", "Extension", "for"]));
        if let (Some([first, ..]), true) = (extension, own.is_empty()) {
            let message = "this extension lists none of its words: const WORDS: &[&str] = &[…]";
            findings.push(Finding::error(path, first.line, message));
        }
        words.extend(own.into_iter().map(|word| (word.to_owned(), path.to_owned())));
    }
    words
}

/// The strings of `const NAME … = … ;`.
fn constants<'a>(source: &'a Source, name: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    for at in 0..source.tokens.len() {
        if source.is(at, "const") && source.ident(at.saturating_add(1)) == Some(name) {
            let rest = source.tokens.get(at..).unwrap_or_default().iter().filter(|token| !token.test);
            // The type may hold a `;` too, as in `[&str; 2]`: what counts is behind the `=`.
            let value = rest.skip_while(|token| token.text != "=");
            let value = value.take_while(|token| token.kind == Kind::Text || token.text != ";");
            found.extend(value.filter(|token| token.kind == Kind::Text).map(|token| token.text.as_str()));
        }
    }
    found
}

/// Whether a string is the word, or has it in capitals as one of its own: prose is no hit.
fn says(text: &str, word: &str) -> bool {
    let parts = |sign: char| sign.is_whitespace() || matches!(sign, '(' | ')' | '[' | ']' | '"' | '*');
    text.trim().eq_ignore_ascii_case(word)
        || text.split(parts).any(|part| part == word || part.strip_suffix('=') == Some(word))
}

fn is_common_text(word: &str, path: &str) -> bool {
    let place = path.strip_prefix(CORE).unwrap_or_default();
    COMMON_TEXTS.iter().any(|(common, folder)| *common == word && place.starts_with(folder))
}

fn is_type(token: &Token) -> bool {
    token.kind == Kind::Ident && token.text.starts_with(char::is_uppercase)
}

/// Without punctuation and case: `Uidplus` and `UidPlus` both are UIDPLUS.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|sign| sign.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_alone_or_in_capitals_among_others() {
        for text in ["IDLE", "idle", " IDLE\r\n", "* CAPABILITY IMAP4rev1 IDLE", "+ (IDLE)"] {
            assert!(says(text, "IDLE"), "{text}");
        }
        for text in ["IDLER", "the client is idle", "", "IDLE-TIME"] {
            assert!(!says(text, "IDLE"), "{text}");
        }
    }

    #[test]
    fn words_are_read_from_the_constants() {
        let text = "pub(crate) const WORDS: &[&str] = &[\"LITERAL+\", \"LITERAL-\"];\nconst NAME: &str = \"IDLE\";\n\
            const PAIR: [&str; 2] = [\"x\", \"y\"];";
        let source = Source::read(text);
        assert_eq!(constants(&source, "WORDS"), ["LITERAL+", "LITERAL-"]);
        assert_eq!(constants(&source, "NAME"), ["IDLE"]);
    }
}
