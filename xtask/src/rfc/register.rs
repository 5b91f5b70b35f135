//! The requirements: `register.tsv` has a line `id`, tab, `level` for each; `scope.toml` names the RFCs.

use std::collections::BTreeMap;
use std::path::Path;

use crate::Result;

/// How much an RFC asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Must,
    Should,
    May,
}

impl Level {
    /// As RFC 2119 writes it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Level::Must => "MUST",
            Level::Should => "SHOULD",
            Level::May => "MAY",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Level::Must, Level::Should, Level::May].into_iter().find(|level| level.word() == word)
    }
}

/// An RFC of the scope.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rfc {
    pub(super) title: String,
    /// Whether nothing may be open.
    pub(super) required: bool,
}

/// What the RFCs of the scope ask for.
#[derive(Debug)]
pub(super) struct Register {
    /// By id: `rfc3501-6.3.1-2` is the second requirement of RFC 3501 §6.3.1.
    pub(super) requirements: BTreeMap<String, Level>,
    /// By number.
    pub(super) scope: BTreeMap<u32, Rfc>,
}

impl Register {
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let text =
            |name: &str| std::fs::read_to_string(folder.join(name)).map_err(|why| format!("{name}: {why}"));
        Ok(Register {
            requirements: requirements(&text("register.tsv")?)?,
            scope: scope(&text("scope.toml")?)?,
        })
    }

    /// The RFC that a requirement belongs to.
    pub(super) fn scope_of(&self, id: &str) -> Option<&Rfc> {
        self.scope.get(&number(id)?)
    }
}

/// The number of the RFC in an id.
pub(super) fn number(id: &str) -> Option<u32> {
    id.strip_prefix("rfc")?.split_once('-')?.0.parse().ok()
}

fn requirements(text: &str) -> Result<BTreeMap<String, Level>> {
    let mut all = BTreeMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
    {
        let wrong = |what: &str| format!("register.tsv:{}: {what}", at.saturating_add(1));
        let (id, level) =
            line.split_once('\t').ok_or_else(|| wrong("an id, a tab and a level are expected"))?;
        number(id).ok_or_else(|| wrong("an id begins with rfc, a number and -"))?;
        let level = Level::of(level).ok_or_else(|| wrong("the level is MUST, SHOULD or MAY"))?;
        if all.insert(id.to_owned(), level).is_some() {
            return Err(wrong("this id was there before"));
        }
    }
    Ok(all)
}

fn scope(text: &str) -> Result<BTreeMap<u32, Rfc>> {
    let table: toml::Table = text.parse().map_err(|why| format!("scope.toml: {why}"))?;
    let mut all = BTreeMap::new();
    for (name, value) in &table {
        let wrong = || format!("scope.toml: {name}: expected rfcN = {{ title = \"…\", required = true }}");
        let number = name.strip_prefix("rfc").and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
        let title = value.get("title").and_then(toml::Value::as_str).ok_or_else(wrong)?.to_owned();
        let required = value.get("required").and_then(toml::Value::as_bool).ok_or_else(wrong)?;
        all.insert(number, Rfc { title, required });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_id_and_a_level() {
        let read = requirements("# x\nrfc1-2.1-1\tMUST\n\nrfc1-2.1-2\tMAY\n").unwrap();
        assert_eq!(read.get("rfc1-2.1-1"), Some(&Level::Must));
        assert_eq!(read.len(), 2);
        for (text, why) in [
            ("rfc1-2-1 MUST", "a tab"),
            ("rfc1-2-1\tWILL", "the level"),
            ("1-2-1\tMUST", "begins with rfc"),
            ("rfc1-2-1\tMUST\nrfc1-2-1\tMUST", "register.tsv:2: this id was there before"),
        ] {
            let error = requirements(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_rfc_has_a_title_and_is_required_or_not() {
        let read = scope("rfc12 = { title = \"T\", required = true }\n").unwrap();
        assert_eq!(read.get(&12), Some(&Rfc { title: "T".into(), required: true }));
        for text in ["rfc12 = {}", "x = { title = \"T\", required = true }", "rfc1 = { title = \"T\" }"] {
            assert!(scope(text).is_err(), "{text}");
        }
    }
}
