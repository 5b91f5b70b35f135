//! Reads a table of the configuration key by key: notes what does not fit, and what is not known.

use super::nearest::nearest;
use super::problem::Problems;
use super::schema;
use super::value::{Key, Position, Table, Unfit, Value};

/// A table whose keys the schema lists.
pub(crate) struct Section<'a> {
    name: &'static str,
    table: &'a Table,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// The table of that name; `""` is the top. Tells at once of keys that are not known, or can't be set.
    pub(crate) fn open(name: &'static str, table: &'a Table, problems: &'a Problems) -> Self {
        let allowed = schema::keys(name).iter().filter(|key| key.absent.is_none());
        let allowed: Vec<&str> = allowed.map(|key| key.name).collect();
        for (key, _) in &table.entries {
            match schema::keys(name).iter().find(|known| known.name == key.name) {
                None => problems.add(key.at, unknown(key, name, &allowed)),
                Some(schema::Key { absent: Some(why), .. }) => {
                    problems.add(key.at, format!("`{}` {why}", key.name));
                }
                Some(_) => {}
            }
        }
        Self { name, table, problems }
    }

    /// Where the table stands.
    pub(crate) fn at(&self) -> Position {
        self.table.at
    }

    pub(crate) fn problems(&self) -> &'a Problems {
        self.problems
    }

    /// The value under a key, with what reads it; `None` if absent or, which is told, not fitting.
    pub(crate) fn read<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&'a Value) -> Result<T, Unfit>,
    ) -> Option<T> {
        debug_assert!(
            schema::keys(self.name).iter().any(|known| known.name == key),
            "`{key}` of [{}] is not in the schema",
            self.name
        );
        let value = self.table.get(key)?;
        read(value).map_err(|unfit| self.problems.add(value.at, format!("`{key}` {unfit}"))).ok()
    }

    pub(crate) fn text(&self, key: &'static str) -> Option<String> {
        self.read(key, Value::text).map(str::to_owned)
    }

    pub(crate) fn boolean(&self, key: &'static str) -> Option<bool> {
        self.read(key, Value::boolean)
    }

    /// One of several words.
    pub(crate) fn one_of<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.read(key, |value| choose(value, words))
    }

    /// A list of strings.
    pub(crate) fn texts(&self, key: &'static str) -> Option<Vec<String>> {
        self.read(key, texts)
    }

    /// A list of strings, each with its place.
    pub(crate) fn placed_texts(&self, key: &'static str) -> Option<Vec<(Position, String)>> {
        let values = self.read(key, Value::list)?;
        let mut placed = Vec::new();
        for value in values {
            match value.text() {
                Ok(text) => placed.push((value.at, text.to_owned())),
                Err(unfit) => self.problems.add(value.at, format!("`{key}`: each {unfit}")),
            }
        }
        Some(placed)
    }

    /// Whether the key is there, fitting or not.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Adds a problem at the value of a key.
    pub(crate) fn wrong(&self, key: &str, what: impl std::fmt::Display) {
        let at = self.table.get(key).map_or(self.table.at, |value| value.at);
        self.problems.add(at, format!("`{key}` {what}"));
    }

    /// The tables under a key: `[key]` or several `[[key]]`.
    pub(crate) fn tables(&self, key: &'static str) -> Vec<&'a Table> {
        self.read(key, |value| match value.list() {
            Ok(values) => values.iter().map(Value::table).collect(),
            Err(_) => value.table().map(|table| vec![table]),
        })
        .unwrap_or_default()
    }

    pub(crate) fn table(&self, key: &'static str) -> Option<&'a Table> {
        self.read(key, Value::table)
    }
}

/// One of several words, or the message that names them all.
pub(crate) fn choose<T: Copy>(value: &Value, words: &[(&str, T)]) -> Result<T, Unfit> {
    let found = value.text().ok().and_then(|text| words.iter().find(|(word, _)| *word == text));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        Unfit::wanted(&words.join(" or "), value)
    })
}

/// A list of strings.
pub(crate) fn texts(value: &Value) -> Result<Vec<String>, Unfit> {
    value
        .list()
        .and_then(|values| values.iter().map(|each| each.text().map(str::to_owned)).collect())
        .map_err(|_| Unfit::wanted("a list of strings", value))
}

/// What is said of a key that nobody knows.
pub(crate) fn unknown(key: &Key, section: &str, known: &[&str]) -> String {
    let place = if section.is_empty() { String::new() } else { format!(" in [{section}]") };
    let near = nearest(&key.name, known.iter().copied())
        .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    let allowed = match known {
        [] => "no key is".to_owned(),
        known => known.join(", "),
    };
    format!("unknown key `{}`{place}{near} (allowed: {allowed})", key.name)
}
