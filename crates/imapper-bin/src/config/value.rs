//! What a configuration file holds, whichever its syntax, with the place of each key and value.

use std::fmt;

/// A place in a file, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Where the lines of a text begin, so that a place is found without counting from the top each time.
pub(crate) struct Places<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Places<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// The place of the octet at `offset`.
    pub(crate) fn of(&self, offset: usize) -> Position {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        Position { line, column: 1 + self.text.get(start..offset).unwrap_or_default().chars().count() }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) kind: Kind,
    pub(crate) at: Position,
}

/// The types that TOML and JSON share.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    /// A string; TOML's dates are taken as strings too.
    String(String),
    Array(Vec<Value>),
    Table(Table),
}

impl Kind {
    /// The type, as a message names it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a fraction",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// A key of a table and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) at: Position,
}

/// A table in the order of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<(Key, Value)>,
    pub(crate) at: Position,
}

impl Table {
    /// The value under a key. `null` is as good as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.entries
            .iter()
            .find(|(key, value)| key.name == name && !matches!(value.kind, Kind::Null))
            .map(|(_, value)| value)
    }

    /// Puts a value in the place of what stands under that key, if anything does.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        self.entries.retain(|(key, _)| key.name != name);
        self.entries.push((Key { name: name.to_owned(), at: value.at }, value));
    }
}

/// Why a value is not what a key wants.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfit(pub(crate) String);

impl Unfit {
    pub(crate) fn wanted(what: &str, found: &Value) -> Self {
        let found = match &found.kind {
            Kind::String(text) => format!("{text:?}"),
            Kind::Integer(number) => number.to_string(),
            Kind::Float(number) => number.to_string(),
            Kind::Boolean(truth) => truth.to_string(),
            other => other.name().to_owned(),
        };
        Self(format!("must be {what}, not {found}"))
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value {
    pub(crate) fn text(&self) -> Result<&str, Unfit> {
        match &self.kind {
            Kind::String(text) => Ok(text),
            _ => Err(Unfit::wanted("a string", self)),
        }
    }

    pub(crate) fn boolean(&self) -> Result<bool, Unfit> {
        match &self.kind {
            Kind::Boolean(truth) => Ok(*truth),
            _ => Err(Unfit::wanted("true or false", self)),
        }
    }

    pub(crate) fn integer(&self) -> Result<i64, Unfit> {
        match &self.kind {
            Kind::Integer(number) => Ok(*number),
            _ => Err(Unfit::wanted("an integer", self)),
        }
    }

    /// A number of things: 0 and above.
    pub(crate) fn count(&self) -> Result<u64, Unfit> {
        self.integer()
            .ok()
            .and_then(|number| u64::try_from(number).ok())
            .ok_or_else(|| Unfit::wanted("a number, 0 or above", self))
    }

    /// A number of octets: `"64 KiB"`, or an integer.
    pub(crate) fn size(&self) -> Result<u64, Unfit> {
        match &self.kind {
            Kind::Integer(number) => u64::try_from(*number).ok(),
            Kind::String(text) => super::units::size(text),
            _ => None,
        }
        .ok_or_else(|| Unfit::wanted("a size, such as \"64 KiB\", \"50 MiB\" or 8192 (octets)", self))
    }

    /// A time: `"30 min"`.
    pub(crate) fn duration(&self) -> Result<std::time::Duration, Unfit> {
        self.text().ok().and_then(super::units::duration).ok_or_else(|| {
            Unfit::wanted("a time with its unit (ms, s, min, h, d), such as \"60 s\" or \"30 min\"", self)
        })
    }

    pub(crate) fn list(&self) -> Result<&[Value], Unfit> {
        match &self.kind {
            Kind::Array(values) => Ok(values),
            _ => Err(Unfit::wanted("a list", self)),
        }
    }

    pub(crate) fn table(&self) -> Result<&Table, Unfit> {
        match &self.kind {
            Kind::Table(table) => Ok(table),
            _ => Err(Unfit::wanted("a table", self)),
        }
    }

    /// The same as JSON.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.kind {
            Kind::Null => serde_json::Value::Null,
            Kind::Boolean(truth) => (*truth).into(),
            Kind::Integer(number) => (*number).into(),
            Kind::Float(number) => (*number).into(),
            Kind::String(text) => text.as_str().into(),
            Kind::Array(values) => values.iter().map(Self::to_json).collect(),
            Kind::Table(table) => {
                let entries = table.entries.iter();
                entries.map(|(key, value)| (key.name.clone(), value.to_json())).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let of = |text, offset| {
            let Position { line, column } = Places::new(text).of(offset);
            (line, column)
        };
        assert_eq!(of("a = 1", 0), (1, 1));
        assert_eq!(of("ä = 1\nbc", 5), (1, 5));
        assert_eq!(of("a = 1\nbc", 7), (2, 2));
        assert_eq!(of("a\n", 2), (2, 1));
        assert_eq!(of("a", 99), (1, 2));
    }
}
