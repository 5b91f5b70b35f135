//! What an `S:` line asks for: a pattern that is compared with a response by meaning.
//!
//! | in a pattern | matches |
//! | --- | --- |
//! | `word` | that atom, in any case; where RFC 3501 allows either (mailbox names) a string too |
//! | `"text"` | that string, quoted or literal; `\r` and `\n` stand for CR and LF |
//! | `a\|b` | one of several atoms |
//! | `*` | any one word, string or list |
//! | `...` | whatever else there is, at the end of a list or a line |
//! | `!word` | in a set: that this is absent |
//! | `<n>`, `<n:TEST>`, `<:TEST>` | one word, kept under a name; TEST is `number`, `positive` or a glob of `*` and `?` |
//! | `<=n>`, `<!n>`, `<>n>`, `<>=n>` | the word kept as `n`; another one; a greater number; one at least as great |
//!
//! Sets (flags, capabilities, attributes of LIST, numbers of SEARCH) and pairs (items of FETCH and
//! STATUS) have no order. Text after a status is free; a response code that is not named is free too,
//! `[]` asks that there be none.

use crate::compare::{Place, data, one};
use crate::response::{Response, Value, lossy, pattern_values};
use std::collections::BTreeMap;

/// The words that a script has kept so far.
pub(crate) type Kept = BTreeMap<String, Vec<u8>>;

/// A response that is asked for.
#[derive(Debug, Clone)]
pub(crate) enum Pattern {
    /// `+`, whatever follows; or a test of what follows.
    Continue(Option<Term>),
    Status {
        tag: String,
        status: Vec<String>,
        code: Code,
    },
    Data(Vec<Term>),
}

/// What is asked of a response code.
#[derive(Debug, Clone)]
pub(crate) enum Code {
    Free,
    None,
    Words(Vec<Term>),
}

/// What is asked of one word.
#[derive(Debug, Clone)]
pub(crate) enum Term {
    Any,
    Rest,
    Word(String),
    Not(String),
    Text(Vec<u8>),
    Keep { name: String, test: Test },
    Compare { name: String, how: How },
    List { items: Vec<Term>, tight: bool },
}

#[derive(Debug, Clone)]
pub(crate) enum Test {
    Free,
    Number,
    Positive,
    Glob(String),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    Equal,
    Differs,
    Greater,
    AtLeast,
}

impl Pattern {
    /// Reads a pattern; its literals stand in it as on the wire.
    pub(crate) fn parse(input: &[u8]) -> Result<Self, String> {
        if input == b"+" {
            return Ok(Self::Continue(None));
        }
        if let Some(rest) = input.strip_prefix(b"+ ") {
            let test = if rest.starts_with(b"<") { terms(rest)?.into_iter().next() } else { None };
            return Ok(Self::Continue(test));
        }
        let space = input.iter().position(|&b| b == b' ').ok_or("a pattern of a single word")?;
        let (tag, rest) = (lossy(&input[..space]), &input[space + 1..]);
        let end = rest.iter().position(|&b| b == b' ').unwrap_or(rest.len());
        let status: Vec<String> = lossy(&rest[..end]).split('|').map(str::to_ascii_uppercase).collect();
        if status.iter().all(|word| matches!(word.as_str(), "OK" | "NO" | "BAD" | "BYE" | "PREAUTH")) {
            let code = match rest.get(end + 1..).and_then(|text| text.strip_prefix(b"[")) {
                None => Code::Free,
                Some(inner) => {
                    let close = inner.iter().rposition(|&b| b == b']').ok_or("a code that is not closed")?;
                    if close == 0 { Code::None } else { Code::Words(terms(&inner[..close])?) }
                }
            };
            return Ok(Self::Status { tag, status, code });
        }
        if tag != "*" {
            return Err(format!("`{tag}` is neither `*` nor a tag before OK, NO or BAD"));
        }
        terms(rest).map(Self::Data)
    }

    /// Whether this is the answer to a command.
    pub(crate) fn is_tagged(&self) -> bool {
        matches!(self, Self::Status { tag, .. } if tag != "*")
    }

    /// Whether an untagged status may be the answer as well: `a1|* BAD`, for lines without a clear tag.
    pub(crate) fn may_be_untagged(&self) -> bool {
        matches!(self, Self::Status { tag, .. } if tag.ends_with("|*"))
    }

    /// Whether this is `* n EXPUNGE`, whose order counts (RFC 3501 §7.4.1).
    pub(crate) fn is_expunge(&self) -> bool {
        let Self::Data(terms) = self else { return false };
        matches!(terms.get(1), Some(Term::Word(word)) if word.eq_ignore_ascii_case("EXPUNGE"))
    }

    /// Compares; keeps what the pattern names only if all fits.
    ///
    /// # Errors
    /// The first difference, in words.
    pub(crate) fn matches(&self, response: &Response, kept: &mut Kept) -> Result<(), String> {
        let mut scratch = kept.clone();
        match (self, response) {
            (Self::Continue(None), Response::Continue(_)) => {}
            (Self::Continue(Some(term)), Response::Continue(text)) => {
                let value = Value::Atom(text.clone());
                one(term, &value, Place::default(), &mut scratch)?;
            }
            (Self::Status { tag, status, code }, Response::Status { tag: t, status: s, code: c, .. }) => {
                if tag != t && !tag.split('|').any(|tag| tag == t) {
                    return Err(format!("the answer is to `{t}`, not to `{tag}`"));
                }
                if !status.contains(s) {
                    return Err(format!("{s} instead of {}", status.join(" or ")));
                }
                match (code, c) {
                    (Code::Free, _) | (Code::None, None) => {}
                    (Code::None, Some(_)) => return Err("a response code where none should be".into()),
                    (Code::Words(_), None) => return Err("the response code is missing".into()),
                    (Code::Words(terms), Some(values)) => data(terms, values, &mut scratch)?,
                }
            }
            (Self::Data(terms), Response::Data(values)) => data(terms, values, &mut scratch)?,
            _ => return Err("a response of another kind".into()),
        }
        *kept = scratch;
        Ok(())
    }
}

fn terms(input: &[u8]) -> Result<Vec<Term>, String> {
    pattern_values(input)?.into_iter().map(term).collect()
}

fn term(value: Value) -> Result<Term, String> {
    Ok(match value {
        Value::Text(octets) => Term::Text(octets),
        Value::List { items, tight } => {
            Term::List { items: items.into_iter().map(term).collect::<Result<_, _>>()?, tight }
        }
        Value::Atom(word) if word == "*" => Term::Any,
        Value::Atom(word) if word == "..." => Term::Rest,
        Value::Atom(word) => {
            if let Some(inner) = word.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
                return Ok(held(inner));
            }
            match word.strip_prefix('!') {
                Some(absent) => Term::Not(absent.into()),
                None => Term::Word(word),
            }
        }
    })
}

/// The inside of `<…>`.
fn held(inner: &str) -> Term {
    let ways = [(">=", How::AtLeast), (">", How::Greater), ("=", How::Equal), ("!", How::Differs)];
    for (sign, how) in ways {
        if let Some(name) = inner.strip_prefix(sign) {
            return Term::Compare { name: name.into(), how };
        }
    }
    let (name, test) = inner.split_once(':').map_or((inner, None), |(name, test)| (name, Some(test)));
    let test = match test {
        None => Test::Free,
        Some("number") => Test::Number,
        Some("positive") => Test::Positive,
        Some(glob) => Test::Glob(glob.into()),
    };
    Term::Keep { name: name.into(), test }
}

/// A word for a message to people.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::Atom(word) => word.clone(),
        Value::Text(octets) => format!("\"{}\"", lossy(octets).escape_debug()),
        Value::List { items, .. } => format!("({})", items.iter().map(show).collect::<Vec<_>>().join(" ")),
    }
}

pub(crate) fn show_term(term: &Term) -> String {
    match term {
        Term::Any => "*".into(),
        Term::Rest => "...".into(),
        Term::Word(word) => word.clone(),
        Term::Not(word) => format!("!{word}"),
        Term::Text(octets) => format!("\"{}\"", lossy(octets).escape_debug()),
        Term::Keep { name, test: Test::Free } => format!("<{name}>"),
        Term::Keep { name, test: Test::Glob(glob) } => format!("<{name}:{glob}>"),
        Term::Keep { name, test: Test::Number } => format!("<{name}:number>"),
        Term::Keep { name, test: Test::Positive } => format!("<{name}:positive>"),
        Term::Compare { name, how: How::Equal } => format!("<={name}>"),
        Term::Compare { name, how: How::Differs } => format!("<!{name}>"),
        Term::Compare { name, how: How::Greater } => format!("<>{name}>"),
        Term::Compare { name, how: How::AtLeast } => format!("<>={name}>"),
        Term::List { items, .. } => {
            format!("({})", items.iter().map(show_term).collect::<Vec<_>>().join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(pattern: &str, response: &str) -> Result<Kept, String> {
        let mut kept = Kept::from([("five".to_owned(), b"5".to_vec())]);
        let response = Response::parse(response.as_bytes()).unwrap();
        Pattern::parse(pattern.as_bytes()).unwrap().matches(&response, &mut kept)?;
        Ok(kept)
    }

    #[test]
    fn responses_that_mean_what_is_asked_for() {
        let same = [
            ("a1 OK", "a1 OK [READ-WRITE] Done"),
            ("a1 NO|BAD", "a1 BAD Done"),
            ("a1 OK [read-write]", "a1 OK [READ-WRITE] Done"),
            ("a1 OK []", "a1 OK Done"),
            ("* OK [PERMANENTFLAGS (\\* \\Seen ...)]", "* OK [PERMANENTFLAGS (\\Seen \\Draft \\*)] x"),
            ("* FLAGS (\\Seen \\Draft)", "* FLAGS (\\Draft \\Seen)"),
            ("* 1 FETCH (UID 5 FLAGS (\\Seen))", "* 1 FETCH (FLAGS (\\Recent \\Seen) UID 5)"),
            ("* 1 FETCH (FLAGS ())", "* 1 FETCH (FLAGS (\\Recent))"),
            ("* 1 FETCH (BODY[TEXT] \"a\\r\\n\")", "* 1 FETCH (BODY[TEXT] {3}\r\na\r\n)"),
            (
                "* 1 FETCH (BODY[HEADER.FIELDS (TO \"CC\")] \"\")",
                "* 1 FETCH (BODY[HEADER.FIELDS (\"To\" Cc)] {0}\r\n)",
            ),
            ("* 1 FETCH (UID 5 ...)", "* 1 FETCH (FLAGS () UID 5)"),
            ("* 1 FETCH (UID <=five>)", "* 1 FETCH (UID 5)"),
            ("* 1 FETCH (UID <>five>)", "* 1 FETCH (UID 10)"),
            ("* 1 FETCH (UID <>=five>)", "* 1 FETCH (UID 5)"),
            ("* 1 FETCH (BODY (\"text\" \"PLAIN\" NIL))", "* 1 FETCH (BODY (\"TEXT\" \"plain\" NIL))"),
            ("* SEARCH 3 1 2", "* SEARCH 1 2 3"),
            ("* SEARCH", "* SEARCH"),
            ("* LIST () \"/\" inbox", "* LIST (\\HasNoChildren \\Marked) \"/\" \"INBOX\""),
            ("* LIST (\\Noselect|\\NonExistent) \"/\" \"a\"", "* LIST (\\NonExistent) \"/\" a"),
            ("* STATUS INBOX (UIDNEXT <n:positive> MESSAGES 3)", "* STATUS \"INBOX\" (MESSAGES 3 UIDNEXT 4)"),
            ("* CAPABILITY IMAP4rev1 ... !IDLE", "* CAPABILITY X IMAP4rev1"),
            (
                "* 1 FETCH (INTERNALDATE <:*-Sep-2013 21:??:28 -0300>)",
                "* 1 FETCH (INTERNALDATE \"14-Sep-2013 21:22:28 -0300\")",
            ),
            ("+ go on", "+ "),
            ("+ <challenge:>", "+ "),
        ];
        for (pattern, response) in same {
            assert_eq!(compare(pattern, response).map(|_| ()), Ok(()), "{pattern} / {response}");
        }
        assert_eq!(compare("* OK [UIDNEXT <n>]", "* OK [UIDNEXT 7] x").unwrap()["n"], b"7");
    }

    #[test]
    fn responses_that_do_not() {
        let other = [
            ("a1 OK", "a2 OK x"),
            ("a1 OK", "a1 NO x"),
            ("a1 OK []", "a1 OK [APPENDUID 1 2] x"),
            ("a1 OK [READ-WRITE]", "a1 OK x"),
            ("a1 OK [READ-WRITE]", "a1 OK [READ-ONLY] x"),
            ("* FLAGS (\\Seen)", "* FLAGS (\\Seen \\Draft)"),
            ("* 1 FETCH (FLAGS (\\Seen))", "* 1 FETCH (FLAGS ())"),
            ("* 1 FETCH (FLAGS (\\Recent))", "* 1 FETCH (FLAGS ())"),
            ("* 1 FETCH (FLAGS (!\\Recent ...))", "* 1 FETCH (FLAGS (\\Recent))"),
            ("* 1 FETCH (UID 5)", "* 1 FETCH (UID 5 FLAGS ())"),
            ("* 1 FETCH (UID 5)", "* 2 FETCH (UID 5)"),
            ("* 1 FETCH (!FLAGS ...)", "* 1 FETCH (FLAGS ())"),
            ("* 1 FETCH (BODY[1] \"a\")", "* 1 FETCH (BODY[1]<0> \"a\")"),
            ("* 1 FETCH (BODY[1] \"a\")", "* 1 FETCH (BODY[1] \"A\")"),
            ("* 1 FETCH (BODY[1] \"a\")", "* 1 FETCH (BODY[1] a)"),
            ("* 1 FETCH (ENVELOPE (NIL \"NIL\"))", "* 1 FETCH (ENVELOPE (\"NIL\" NIL))"),
            ("* 1 FETCH (BODY ((\"A\")(\"B\") \"C\"))", "* 1 FETCH (BODY ((\"A\") (\"B\") \"C\"))"),
            ("* 1 FETCH (UID <>five>)", "* 1 FETCH (UID 5)"),
            ("* 1 FETCH (UID <!five>)", "* 1 FETCH (UID 5)"),
            ("* SEARCH 1 2", "* SEARCH 1 2 3"),
            ("* SEARCH 1 2", "* SEARCH 1"),
            ("* LIST (\\HasChildren) \"/\" a", "* LIST () \"/\" a"),
            ("* LIST () \"/\" \"a\"", "* LIST () \"/\" A"),
            ("* STATUS INBOX (MESSAGES 3)", "* STATUS INBOX (MESSAGES 3 UNSEEN 1)"),
            ("* CAPABILITY IDLE ...", "* CAPABILITY IMAP4rev1"),
            ("+", "* OK x"),
        ];
        for (pattern, response) in other {
            assert!(compare(pattern, response).is_err(), "{pattern} / {response}");
        }
    }
}
