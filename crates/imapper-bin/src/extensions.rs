//! Which protocol extensions are on: what `[protocol]` and `--plugin` say, looked up in what there is.

use crate::config::{Problem, Protocol, nearest};

/// An extension that there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    pub(crate) name: &'a str,
    /// Other names, such as the original imapper's: `AUTH-PLAIN`.
    pub(crate) aliases: &'a [&'a str],
    /// What it needs, by name.
    pub(crate) requires: &'a [&'a str],
    /// What it can't stand beside, by name.
    pub(crate) excludes: &'a [&'a str],
    /// Whether it is on where nothing is said.
    pub(crate) standard: bool,
}

impl Known<'_> {
    fn is_called(&self, word: &str) -> bool {
        same(self.name, word) || self.aliases.iter().any(|alias| same(alias, word))
    }
}

/// The same name, in any case; `AUTH-PLAIN` is `AUTH=PLAIN`.
fn same(a: &str, b: &str) -> bool {
    let fold = |c: u8| if c == b'=' { b'-' } else { c.to_ascii_uppercase() };
    a.bytes().map(fold).eq(b.bytes().map(fold))
}

/// What is on, and what there is to say about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Places in the list of what there is, in its order.
    pub(crate) on: Vec<usize>,
    /// For the log: what `disable` turned off besides what it names.
    pub(crate) notes: Vec<String>,
}

/// Chooses among `known`.
pub(crate) fn select(known: &[Known<'_>], protocol: &Protocol) -> Result<Selection, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut look_up = |words: &[String]| -> Vec<usize> {
        let mut found = Vec::new();
        for word in words {
            let hits: Vec<usize> = (0..known.len()).filter(|at| known[*at].is_called(word)).collect();
            if hits.is_empty() {
                problems.push(unknown(word, known));
            }
            found.extend(hits);
        }
        found
    };
    let off = look_up(&protocol.disable);
    let mut on: Vec<usize> = match &protocol.plugins {
        Some(words) => look_up(words),
        None => (0..known.len()).filter(|at| known[*at].standard).collect(),
    };
    on.sort_unstable();
    on.dedup();
    let named = on.clone();
    on.retain(|at| !off.contains(at));
    let mut notes = Vec::new();
    while let Some((at, missing)) = first_missing(known, &on) {
        let (name, is_disabled) = (known[at].name, off.iter().any(|off| same(known[*off].name, missing)));
        // What it needs may itself have gone because something was disabled.
        if is_disabled || protocol.plugins.is_none() || named.iter().any(|at| same(known[*at].name, missing))
        {
            notes.push(format!("{name} is off, because it needs {missing}, which is off"));
        } else {
            problems.push(Problem::new(format!("extension {name} needs {missing}: name it too")));
        }
        on.retain(|other| *other != at);
    }
    for (place, at) in on.iter().enumerate() {
        let before = on.iter().take(place).find(|other| excludes(&known[*at], &known[**other]));
        if let Some(other) = before {
            let (a, b) = (known[*other].name, known[*at].name);
            problems.push(Problem::new(format!("extensions {a} and {b} can't both be on")));
        }
    }
    if problems.is_empty() { Ok(Selection { on, notes }) } else { Err(problems) }
}

fn excludes(a: &Known<'_>, b: &Known<'_>) -> bool {
    a.excludes.iter().any(|name| same(name, b.name)) || b.excludes.iter().any(|name| same(name, a.name))
}

/// One of those that are on without something that it needs.
fn first_missing<'a>(known: &[Known<'a>], on: &[usize]) -> Option<(usize, &'a str)> {
    let is_on = |word: &str| on.iter().any(|at| same(known[*at].name, word));
    on.iter().find_map(|at| known[*at].requires.iter().find(|word| !is_on(word)).map(|word| (*at, *word)))
}

fn unknown(word: &str, known: &[Known<'_>]) -> Problem {
    let mut names: Vec<&str> = known.iter().map(|known| known.name).collect();
    names.sort_unstable();
    let near =
        nearest(word, names.iter().copied()).map_or(String::new(), |near| format!("; did you mean {near}?"));
    Problem::new(format!("unknown protocol extension {word:?}{near} (there are: {})", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn known(
        name: &'static str,
        aliases: &'static [&'static str],
        requires: &'static [&'static str],
    ) -> Known<'static> {
        Known { name, aliases, requires, excludes: &[], standard: true }
    }

    const THERE_ARE: [Known<'static>; 7] = [
        known("AUTH=PLAIN", &[], &[]),
        known("LITERAL+", &["LITERALPLUS"], &[]),
        known("ENABLE", &[], &[]),
        known("CONDSTORE", &[], &["ENABLE"]),
        known("QRESYNC", &[], &["CONDSTORE"]),
        Known { standard: false, ..known("XTOYBIRD", &[], &[]) },
        Known { standard: false, excludes: &["LITERAL+"], ..known("LITERAL-", &[], &[]) },
    ];

    fn names(plugins: Option<&[&str]>, disable: &[&str]) -> Result<(Vec<&'static str>, usize), String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let protocol =
            Protocol { plugins: plugins.map(words), disable: words(disable), ..Protocol::default() };
        select(&THERE_ARE, &protocol)
            .map(|chosen| (chosen.on.iter().map(|at| THERE_ARE[*at].name).collect(), chosen.notes.len()))
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn the_standard_ones_are_on_where_nothing_is_said() {
        let all = vec!["AUTH=PLAIN", "LITERAL+", "ENABLE", "CONDSTORE", "QRESYNC"];
        assert_eq!(names(None, &[]), Ok((all, 0)));
        assert_eq!(names(Some(&[]), &[]), Ok((vec![], 0)));
    }

    #[test]
    fn names_of_capabilities_and_of_the_original_in_any_case() {
        let want = Ok((vec!["AUTH=PLAIN", "LITERAL+", "XTOYBIRD"], 0));
        assert_eq!(names(Some(&["auth-plain", "literalplus", "xtoybird"]), &[]), want);
        assert_eq!(names(Some(&["XTOYBIRD", "AUTH=plain", "Literal+", "LITERALPLUS"]), &[]), want);
    }

    #[test]
    fn an_unknown_name_lists_those_there_are() {
        let said = "unknown protocol extension \"CONDSTOR\"; did you mean CONDSTORE? (there are: AUTH=PLAIN, \
                    CONDSTORE, ENABLE, LITERAL+, LITERAL-, QRESYNC, XTOYBIRD)";
        assert_eq!(names(Some(&["CONDSTOR"]), &[]), Err(said.to_owned()));
        assert!(names(None, &["FOO"]).is_err());
    }

    #[test]
    fn what_is_missing_is_an_error_and_what_is_disabled_takes_others_with_it() {
        assert_eq!(
            names(Some(&["CONDSTORE"]), &[]),
            Err("extension CONDSTORE needs ENABLE: name it too".to_owned())
        );
        assert_eq!(
            names(Some(&["LITERAL+", "LITERAL-"]), &[]),
            Err("extensions LITERAL+ and LITERAL- can't both be on".to_owned())
        );
        assert_eq!(names(None, &["enable"]), Ok((vec!["AUTH=PLAIN", "LITERAL+"], 2)));
        assert_eq!(names(Some(&["ENABLE", "CONDSTORE", "QRESYNC"]), &["CONDSTORE"]), Ok((vec!["ENABLE"], 1)));
    }
}
