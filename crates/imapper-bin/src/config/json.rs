//! JSON (RFC 8259) to [`Table`]. Our own reader, because a message has to tell the line of a key, which
//! `serde_json` does not keep.

use super::problem::Problem;
use super::value::{Key, Kind, Places, Position, Table, Value};

/// How deep values may nest.
const DEPTH: usize = 128;

/// Reads a JSON document, which must be an object.
pub(crate) fn parse(file: &str, text: &str) -> Result<Table, Problem> {
    let mut reader = Reader { text, places: Places::new(text), at: 0 };
    let document = reader.value(0).and_then(|value| match value.kind {
        Kind::Table(table) => {
            reader.space();
            if reader.at < text.len() { Err("nothing more is expected here") } else { Ok(table) }
        }
        _ => Err("an object is expected: {…}"),
    });
    document.map_err(|what| Problem::at(file, reader.places.of(reader.at), what))
}

type Parsed<T> = Result<T, &'static str>;

struct Reader<'a> {
    text: &'a str,
    places: Places<'a>,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Parsed<Value> {
        if depth > DEPTH {
            return Err("values nest too deep");
        }
        self.space();
        let at = self.places.of(self.at);
        let kind = match self.peek() {
            Some(b'{') => self.object(depth, at)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Kind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ if self.word("true") => Kind::Boolean(true),
            _ if self.word("false") => Kind::Boolean(false),
            _ if self.word("null") => Kind::Null,
            _ => return Err("a value is expected here"),
        };
        Ok(Value { kind, at })
    }

    fn object(&mut self, depth: usize, at: Position) -> Parsed<Kind> {
        let mut table = Table { entries: Vec::new(), at };
        self.at += 1;
        self.space();
        while !self.take(b'}') {
            self.space();
            let key_at = self.places.of(self.at);
            if self.peek() != Some(b'"') {
                return Err("a key in double quotes is expected here");
            }
            let start = self.at;
            let name = self.string()?;
            if table.entries.iter().any(|(key, _)| key.name == name) {
                self.at = start;
                return Err("duplicate key");
            }
            self.space();
            if !self.take(b':') {
                return Err("`:` is expected here");
            }
            let value = self.value(depth + 1)?;
            table.entries.push((Key { name, at: key_at }, value));
            self.separator(b'}', "`,` or `}` is expected here")?;
        }
        Ok(Kind::Table(table))
    }

    fn array(&mut self, depth: usize) -> Parsed<Kind> {
        let mut values = Vec::new();
        self.at += 1;
        self.space();
        while !self.take(b']') {
            values.push(self.value(depth + 1)?);
            self.separator(b']', "`,` or `]` is expected here")?;
        }
        Ok(Kind::Array(values))
    }

    /// A comma that something follows, or the end, which is left for the caller.
    fn separator(&mut self, end: u8, expected: &'static str) -> Parsed<()> {
        self.space();
        let comma = self.take(b',');
        self.space();
        match self.peek() {
            Some(next) if comma != (next == end) => Ok(()),
            _ => Err(expected),
        }
    }

    /// Strings and numbers are delimited here and understood by `serde_json`.
    fn string(&mut self) -> Parsed<String> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'\\') => self.at += 2,
                Some(b'"') => break,
                Some(b'\n') | None => return Err("the string is not closed"),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        let quoted = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(quoted).map_err(|_| "the string before this place is not valid JSON")
    }

    fn number(&mut self) -> Parsed<Kind> {
        let start = self.at;
        while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let digits = self.text.get(start..self.at).unwrap_or_default();
        let number: serde_json::Number =
            serde_json::from_str(digits).map_err(|_| "the number before this place is not valid JSON")?;
        Ok(match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Kind::Integer(integer),
            (None, Some(fraction)) => Kind::Float(fraction),
            (None, None) => return Err("the number before this place is too large"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type() {
        let text = r#"{"a": [1, -2.5, true, null, "x\u00e9\"y"], "b": {"c": {}}, "d": []}"#;
        let read = parse("x.json", text).unwrap();
        let as_json = Value { kind: Kind::Table(read), at: Position::default() }.to_json();
        assert_eq!(as_json, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }

    #[test]
    fn places() {
        let read = parse("x.json", "{\n  \"log\": {\n    \"level\": 7 }}").unwrap();
        let (key, log) = &read.entries[0];
        assert_eq!((key.at.line, key.at.column), (2, 3));
        assert_eq!((log.table().unwrap().entries[0].1.at.line), 3);
    }

    #[test]
    fn errors_tell_their_place() {
        for (text, message) in [
            ("", "x.json:1:1: a value is expected here"),
            ("[]", "x.json:1:3: an object is expected: {…}"),
            ("{\"a\": 1,}", "x.json:1:9: `,` or `}` is expected here"),
            ("{\"a\" 1}", "x.json:1:6: `:` is expected here"),
            ("{\"a\": 1\n \"b\": 2}", "x.json:2:2: `,` or `}` is expected here"),
            ("{\"a\": 1,\n \"a\": 2}", "x.json:2:2: duplicate key"),
            ("{\"a\": \"b", "x.json:1:9: the string is not closed"),
            ("{} x", "x.json:1:4: nothing more is expected here"),
            ("{\"a\": [1 2]}", "x.json:1:10: `,` or `]` is expected here"),
            ("{\"a\": 01}", "x.json:1:9: the number before this place is not valid JSON"),
            ("{\"a\": \"\\", "x.json:1:9: the string is not closed"),
        ] {
            assert_eq!(parse("x.json", text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let text = format!("{{\"a\": {}", "[".repeat(1_000_000));
        assert!(parse("x.json", &text).unwrap_err().to_string().ends_with("values nest too deep"));
    }
}
