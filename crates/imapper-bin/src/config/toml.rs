//! TOML to [`Table`].

use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::value::{Key, Kind, Places, Position, Table, Value};

/// Reads a TOML document. The parser bounds how deep values nest.
pub(crate) fn parse(file: &str, text: &str) -> Result<Table, Problem> {
    let places = Places::new(text);
    let document = DeTable::parse(text).map_err(|error| {
        let at = error.span().map(|span| places.of(span.start));
        Problem::at(file, at.unwrap_or_default(), error.message().replace('\n', ", "))
    })?;
    Ok(table(&places, document.get_ref(), Position { line: 1, column: 1 }))
}

fn table(places: &Places<'_>, found: &DeTable<'_>, at: Position) -> Table {
    let mut entries: Vec<(usize, Key, Value)> = Vec::new();
    for (key, value) in found {
        let start = key.span().start;
        let name = Key { name: key.get_ref().to_string(), at: places.of(start) };
        entries.push((start, name, self::value(places, value.get_ref(), places.of(value.span().start))));
    }
    entries.sort_by_key(|(start, ..)| *start);
    Table { entries: entries.into_iter().map(|(_, key, value)| (key, value)).collect(), at }
}

fn value(places: &Places<'_>, found: &DeValue<'_>, at: Position) -> Value {
    let kind = match found {
        DeValue::String(string) => Kind::String(string.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Kind::Integer(number),
            // Told by the key that gets it, with the digits.
            Err(_) => Kind::String(number.to_string()),
        },
        DeValue::Float(number) => Kind::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(truth) => Kind::Boolean(*truth),
        DeValue::Datetime(date) => Kind::String(date.to_string()),
        DeValue::Array(values) => Kind::Array(
            values.iter().map(|each| value(places, each.get_ref(), places.of(each.span().start))).collect(),
        ),
        DeValue::Table(found) => Kind::Table(table(places, found, at)),
    };
    Value { kind, at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_know_their_place() {
        let read = parse("x.toml", "port = 143\n\n[log]\n  level = \"info\"\n").unwrap();
        assert_eq!(read.get("port").unwrap().integer(), Ok(143));
        let (key, log) = &read.entries[1];
        assert_eq!((key.name.as_str(), key.at.line), ("log", 3));
        let (key, level) = &log.table().unwrap().entries[0];
        assert_eq!((key.at.line, key.at.column), (4, 3));
        assert_eq!((level.at.line, level.at.column), (4, 11));
        assert_eq!(level.text(), Ok("info"));
    }

    #[test]
    fn an_error_of_syntax_tells_its_place() {
        let problem = parse("x.toml", "a = 1\nb = [1,\n").unwrap_err().to_string();
        assert!(problem.starts_with("x.toml:2:") || problem.starts_with("x.toml:3:"), "{problem}");
        let problem = parse("x.toml", "a = 1\na = 2\n").unwrap_err().to_string();
        assert!(problem.starts_with("x.toml:2:1: duplicate key"), "{problem}");
    }

    #[test]
    fn deep_nesting_is_refused_and_no_overflow() {
        assert!(parse("x.toml", &format!("a = {}", "[".repeat(100_000))).is_err());
    }
}
