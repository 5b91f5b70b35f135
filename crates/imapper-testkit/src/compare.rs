//! Compares the words of a pattern with the words of a response.

use crate::pattern::{How, Kept, Term, Test, show, show_term};
use crate::response::{Value, lossy};

/// Where a word stands decides how it is compared.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place {
    /// An atom and a string mean the same here (RFC 3501 §9, astring).
    astring: bool,
    /// Strings compare in any case, as media types do (RFC 2045 §5.1).
    any_case: bool,
}

/// A whole response, or the inside of a response code.
pub(crate) fn data(terms: &[Term], values: &[Value], kept: &mut Kept) -> Result<(), String> {
    let word = |at: usize| values.get(at).and_then(Value::atom).map(str::to_ascii_uppercase);
    let first = word(0).unwrap_or_default();
    if matches!(terms, [Term::Rest]) {
        return Ok(());
    }
    if word(1).as_deref() == Some("FETCH") {
        sequence(terms.get(..2).unwrap_or(terms), &values[..2], Place::default(), kept)?;
        return match (terms.get(2..).unwrap_or_default(), &values[2..]) {
            ([Term::Rest | Term::Any], [_]) => Ok(()),
            ([Term::List { items, .. }], [Value::List { items: got, .. }]) => pairs(items, got, kept),
            _ => Err("FETCH takes one list".into()),
        };
    }
    let name = Place { astring: true, any_case: false };
    match first.as_str() {
        "SEARCH" | "CAPABILITY" | "ENABLED" => {
            head(terms, values, kept)?;
            set(&terms[1..], &values[1..], kept)
        }
        "FLAGS" | "PERMANENTFLAGS" | "BADCHARSET" => {
            head(terms, values, kept)?;
            match (&terms[1..], &values[1..]) {
                ([Term::List { items, .. }], [Value::List { items: got, .. }]) => set(items, got, kept),
                (terms, values) => sequence(terms, values, name, kept),
            }
        }
        "LIST" | "LSUB" => {
            head(terms, values, kept)?;
            match (terms.get(1), values.get(1)) {
                (Some(Term::List { items, .. }), Some(Value::List { items: got, .. })) => {
                    set(items, got, kept)?;
                }
                (Some(term), Some(value)) => one(term, value, name, kept)?,
                _ => return Err("the attributes are missing".into()),
            }
            sequence(&terms[2..], &values[2..], name, kept)
        }
        "STATUS" => {
            head(terms, values, kept)?;
            match (&terms[1..], &values[1..]) {
                ([mailbox, Term::List { items, .. }], [value, Value::List { items: got, .. }]) => {
                    one(mailbox, value, name, kept)?;
                    pairs(items, got, kept)
                }
                (terms, values) => sequence(terms, values, name, kept),
            }
        }
        _ => sequence(terms, values, Place::default(), kept),
    }
}

/// The first word, which says what kind of response it is.
fn head(terms: &[Term], values: &[Value], kept: &mut Kept) -> Result<(), String> {
    match (terms.first(), values.first()) {
        (Some(term), Some(value)) => one(term, value, Place::default(), kept),
        _ => Err("an empty response".into()),
    }
}

/// Words whose order counts.
fn sequence(terms: &[Term], values: &[Value], place: Place, kept: &mut Kept) -> Result<(), String> {
    for (at, term) in terms.iter().enumerate() {
        if matches!(term, Term::Rest) {
            return Ok(());
        }
        let value = values.get(at).ok_or_else(|| format!("{} is missing", show_term(term)))?;
        one(term, value, place, kept)?;
    }
    match values.get(terms.len()) {
        Some(extra) => Err(format!("{} was not asked for", show(extra))),
        None => Ok(()),
    }
}

/// Flags and attributes that servers may add by themselves; they count where the pattern names them.
const FREE: [&str; 5] = ["\\Recent", "\\Marked", "\\Unmarked", "\\HasChildren", "\\HasNoChildren"];

/// Words whose order does not count.
fn set(terms: &[Term], values: &[Value], kept: &mut Kept) -> Result<(), String> {
    let place = Place { astring: true, any_case: false };
    let mut left: Vec<&Value> = values.iter().collect();
    let mut rest = false;
    for term in terms {
        match term {
            Term::Rest => rest = true,
            Term::Not(word) => {
                if values.iter().any(|value| value.atom().is_some_and(|got| got.eq_ignore_ascii_case(word))) {
                    return Err(format!("{word} should be absent"));
                }
            }
            _ => {
                let at = left.iter().position(|value| one(term, value, place, kept).is_ok());
                left.remove(at.ok_or_else(|| format!("{} is missing", show_term(term)))?);
            }
        }
    }
    let free =
        |value: &Value| value.atom().is_some_and(|got| FREE.iter().any(|f| f.eq_ignore_ascii_case(got)));
    match left.into_iter().find(|value| !rest && !free(value)) {
        Some(extra) => Err(format!("{} was not asked for", show(extra))),
        None => Ok(()),
    }
}

/// Names with values, as in FETCH and STATUS; the order of the pairs does not count.
fn pairs(terms: &[Term], values: &[Value], kept: &mut Kept) -> Result<(), String> {
    let mut left: Vec<(&Value, Option<&Value>)> =
        values.chunks(2).map(|pair| (&pair[0], pair.get(1))).collect();
    let mut at = 0;
    while let Some(term) = terms.get(at) {
        if matches!(term, Term::Rest) {
            return Ok(());
        }
        if let Term::Not(word) = term {
            if left.iter().any(|(name, _)| name.atom().is_some_and(|got| item(got) == item(word))) {
                return Err(format!("{word} should be absent"));
            }
            at += 1;
            continue;
        }
        let Term::Word(name) = term else { return Err("the name of an item must be a word".into()) };
        let place = left.iter().position(|(got, _)| got.atom().is_some_and(|got| item(got) == item(name)));
        let (_, value) = left.remove(place.ok_or_else(|| format!("{name} is missing"))?);
        let (Some(want), Some(value)) = (terms.get(at + 1), value) else {
            return Err(format!("{name} has no value"));
        };
        let result = match (item(name).as_str(), want, value) {
            ("FLAGS", Term::List { items, .. }, Value::List { items: got, .. }) => set(items, got, kept),
            ("BODY" | "BODYSTRUCTURE", ..) => {
                one(want, value, Place { any_case: true, astring: false }, kept)
            }
            _ => one(want, value, Place::default(), kept),
        };
        result.map_err(|why| format!("{name}: {why}"))?;
        at += 2;
    }
    match left.first() {
        Some((extra, _)) => Err(format!("{} was not asked for", show(extra))),
        None => Ok(()),
    }
}

/// The name of a data item without what is free: case, and quotes around names of header fields.
fn item(name: &str) -> String {
    name.replace('"', "").to_ascii_uppercase()
}

/// One word.
pub(crate) fn one(term: &Term, value: &Value, place: Place, kept: &mut Kept) -> Result<(), String> {
    let differs = || Err(format!("{} instead of {}", show(value), show_term(term)));
    let same = match (term, value) {
        (Term::Any, _) => true,
        (Term::List { items, tight }, Value::List { items: got, tight: t }) => {
            if tight != t {
                let space = if *t { "no space" } else { "a space" };
                return Err(format!("{space} between two lists, before {}", show(value)));
            }
            let flags = |item: &Term| matches!(item, Term::Word(word) if word.starts_with('\\'));
            return if items.iter().any(flags) {
                set(items, got, kept)
            } else {
                sequence(items, got, place, kept)
            };
        }
        (Term::Word(word), Value::Atom(got)) => either(word, got),
        (Term::Word(word), Value::Text(got)) if place.astring => either(word, &lossy(got)),
        (Term::Text(text), Value::Text(got)) => {
            if place.any_case {
                text.eq_ignore_ascii_case(got)
            } else {
                text == got
            }
        }
        (Term::Text(text), Value::Atom(got)) => place.astring && text == got.as_bytes(),
        (Term::Keep { name, test }, value) => {
            let Some(octets) = value.octets() else { return differs() };
            let fits = fits(test, octets);
            if fits && !name.is_empty() {
                kept.insert(name.clone(), octets.to_vec());
            }
            fits
        }
        (Term::Compare { name, how }, value) => {
            let Some(octets) = value.octets() else { return differs() };
            let Some(old) = kept.get(name) else { return Err(format!("nothing was kept as `{name}`")) };
            match how {
                How::Equal => old == octets,
                How::Differs => old != octets,
                How::Greater => number(octets).is_some() && number(octets) > number(old),
                How::AtLeast => number(octets).is_some() && number(octets) >= number(old),
            }
        }
        _ => false,
    };
    if same { Ok(()) } else { differs() }
}

fn either(words: &str, got: &str) -> bool {
    words.eq_ignore_ascii_case(got)
        || words.contains('|') && words.split('|').any(|word| word.eq_ignore_ascii_case(got))
}

fn number(octets: &[u8]) -> Option<u64> {
    std::str::from_utf8(octets).ok()?.parse().ok()
}

fn fits(test: &Test, octets: &[u8]) -> bool {
    match test {
        Test::Free => true,
        Test::Number => number(octets).is_some(),
        Test::Positive => number(octets).is_some_and(|number| number > 0),
        Test::Glob(glob) => glob_fits(glob.as_bytes(), octets),
    }
}

/// `*` is any run of octets, `?` any one.
fn glob_fits(glob: &[u8], octets: &[u8]) -> bool {
    let (mut g, mut o, mut star) = (0, 0, None);
    while o < octets.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, o));
                g += 1;
            }
            Some(&byte) if byte == b'?' || byte == octets[o] => {
                g += 1;
                o += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    g = at + 1;
                    o = from + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (glob, text, fits) in [
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "a1b2b3c", true),
        ] {
            assert_eq!(glob_fits(glob.as_bytes(), text.as_bytes()), fits, "{glob} {text}");
        }
    }
}
