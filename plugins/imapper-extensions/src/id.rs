//! ID (RFC 2971): client and server tell who they are, for people who read statistics and logs.

use async_trait::async_trait;
use imapper_core::registry::{Context, Extension, Flow, InAny, Outcome, Registry, Row, Run};
use imapper_core::wire::{Args, Line, Malformed};

pub(crate) const WORDS: &[&str] = &["ID"];

/// RFC 2971 §3.3: fields, octets of a field's name, octets of its value.
const MAX_FIELDS: usize = 30;
const MAX_NAME: usize = 30;
const MAX_VALUE: usize = 1024;
/// RFC 2971 §7: whoever is not even logged in can't fill the log.
const MAX_LOGGED: usize = 1024;

/// What the server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdFields(Vec<(String, String)>);

/// Fields that RFC 2971 §3.3 does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// More than 30.
    #[error("ID has at most {MAX_FIELDS} fields")]
    TooMany,
    /// The name of a field is longer than 30 octets, or empty.
    #[error("the name of the ID field {0:?} is empty or longer than {MAX_NAME} octets")]
    Name(String),
    /// The value of a field is longer than 1,024 octets.
    #[error("the value of the ID field {0:?} is longer than {MAX_VALUE} octets")]
    Value(String),
    /// A field stands there twice.
    #[error("the ID field {0:?} is there twice")]
    Twice(String),
}

impl IdFields {
    /// Name and value of each field. None at all answers `NIL`.
    pub fn new(fields: Vec<(String, String)>) -> Result<Self, IdError> {
        if fields.len() > MAX_FIELDS {
            return Err(IdError::TooMany);
        }
        for (at, (name, value)) in fields.iter().enumerate() {
            if name.is_empty() || name.len() > MAX_NAME {
                return Err(IdError::Name(name.clone()));
            }
            if value.len() > MAX_VALUE {
                return Err(IdError::Value(name.clone()));
            }
            if fields.iter().take(at).any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                return Err(IdError::Twice(name.clone()));
            }
        }
        Ok(Self(fields))
    }

    /// The name and the version of this server.
    pub fn imapper() -> Self {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self(vec![field("name", "imapper"), field("version", env!("CARGO_PKG_VERSION"))])
    }
}

/// What a client has said of itself; in [`Context::data`] once it has. Nothing may depend on it
/// (RFC 2971 §3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientId {
    /// The fields in the client's order. A value may be `NIL`.
    pub fields: Vec<(String, Option<String>)>,
}

/// What a client may tell of itself; anything more is BAD. By default what RFC 2971 §3.3 allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdLimits {
    /// Fields.
    pub pairs: usize,
    /// Octets of a field's name.
    pub key: usize,
    /// Octets of a field's value.
    pub value: usize,
}

impl Default for IdLimits {
    fn default() -> Self {
        Self { pairs: MAX_FIELDS, key: MAX_NAME, value: MAX_VALUE }
    }
}

/// The command.
#[derive(Clone, Debug)]
pub struct Id {
    fields: IdFields,
    limits: IdLimits,
}

impl Id {
    /// With what the server says of itself.
    pub fn new(fields: IdFields) -> Self {
        Self { fields, limits: IdLimits::default() }
    }

    /// With other bounds on what a client says.
    #[must_use]
    pub const fn limits(mut self, limits: IdLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl Extension for Id {
    fn name(&self) -> &'static str {
        "ID"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("ID");
        registry.command(Row::new("ID", Run::any(self.clone())));
    }
}

#[async_trait]
impl InAny for Id {
    async fn run(&self, cx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
        let client = parse(args, &self.limits)?;
        if !client.fields.is_empty() {
            tracing::debug!(connection = cx.connection.id, client = logged(&client), "client tells its ID");
        }
        cx.data.insert(client);
        cx.send(&mut answer(&self.fields)).await?;
        Ok(Flow::done())
    }
}

fn parse(args: &mut Args<'_>, limits: &IdLimits) -> Result<ClientId, Malformed> {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let mut client = ClientId::default();
    args.sp()?;
    if args.eat_word("NIL") {
        args.end()?;
        return Ok(client);
    }
    args.expect(b'(')?;
    while !args.eat(b')') {
        if !client.fields.is_empty() {
            args.sp()?;
        }
        if client.fields.len() >= limits.pairs {
            return Err(args.malformed("there are too many fields"));
        }
        let name = args.string()?;
        args.sp()?;
        let value = args.nstring()?;
        if name.len() > limits.key || value.as_ref().is_some_and(|value| value.len() > limits.value) {
            return Err(args.malformed("the name of the field or its value is too long"));
        }
        client.fields.push((text(&name), value.map(|value| text(&value))));
    }
    args.end()?;
    Ok(client)
}

/// One line, with everything escaped that could be taken for another one, and cut.
fn logged(client: &ClientId) -> String {
    let mut line = String::new();
    for (name, value) in &client.fields {
        let escaped = name.escape_debug().chain("=".chars());
        let escaped = escaped.chain(value.as_deref().unwrap_or("NIL").escape_debug()).chain(" ".chars());
        line.extend(escaped.take(MAX_LOGGED.saturating_sub(line.len())));
    }
    line.truncate(line.trim_end().len());
    line
}

fn answer(fields: &IdFields) -> Line {
    let mut line = Line::untagged("ID ");
    if fields.0.is_empty() {
        line.word("NIL");
        return line;
    }
    for (at, (name, value)) in fields.0.iter().enumerate() {
        line.word(if at == 0 { "(" } else { " " }).string(name).sp().string(value);
    }
    line.word(")");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<(String, Option<String>)>> {
        read_within(text, &IdLimits::default())
    }

    fn read_within(text: &str, limits: &IdLimits) -> Option<Vec<(String, Option<String>)>> {
        parse(&mut Args::new(text.as_bytes(), 0), limits).ok().map(|client| client.fields)
    }

    fn field(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn what_clients_send() {
        let some = |value: &str| Some(value.to_owned());
        assert_eq!(read(" NIL").unwrap(), []);
        assert_eq!(read(" nil").unwrap(), []);
        assert_eq!(read(" ()").unwrap(), []);
        let fields = read(" (\"name\" \"a \\\"b\\\"\" {2}\r\nos NIL \"version\" {1}\r\n7)").unwrap();
        let want = [("name", some("a \"b\"")), ("os", None), ("version", some("7"))];
        assert_eq!(fields, want.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn what_is_no_list() {
        for text in [
            "",
            " ",
            " x",
            " \"name\" \"x\"",
            " (",
            " (\"name\")",
            " (\"name\" \"x\"",
            " (\"name\" \"x\" )",
            " (\"name\" \"x\"\"os\" \"y\")",
            " (name \"x\")",
            " (\"name\" x)",
            " (NIL \"x\")",
            " (\"name\" (\"x\"))",
            " (\"name\" \"x\") y",
            " NIL y",
            " NILS",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_limits_of_the_rfc() {
        let fields = |count: usize| format!(" ({})", vec!["\"k\" \"v\""; count].join(" "));
        assert_eq!(read(&fields(30)).unwrap().len(), 30);
        assert_eq!(read(&fields(31)), None);
        let one =
            |name: usize, value: usize| format!(" (\"{}\" \"{}\")", "n".repeat(name), "v".repeat(value));
        assert!(read(&one(30, 1024)).is_some());
        assert_eq!(read(&one(31, 1)), None);
        assert_eq!(read(&one(1, 1025)), None);
    }

    #[test]
    fn limits_of_ones_own() {
        let limits = IdLimits { pairs: 2, key: 3, value: 4 };
        let is_read = |text: &str| read_within(text, &limits).is_some();
        assert!(is_read(" (\"abc\" \"1234\" \"b\" NIL)"));
        assert!(!is_read(" (\"a\" NIL \"b\" NIL \"c\" NIL)"));
        assert!(!is_read(" (\"abcd\" NIL)"));
        assert!(!is_read(" (\"a\" \"12345\")"));
        let none = IdLimits { pairs: 0, ..limits };
        assert_eq!(read_within(" ()", &none), Some(Vec::new()));
        assert_eq!(read_within(" (\"a\" NIL)", &none), None);
        let more = IdLimits { pairs: 31, key: 31, value: 1025 };
        let text = format!(" (\"{}\" \"{}\"{})", "n".repeat(31), "v".repeat(1025), " \"k\" NIL".repeat(30));
        assert_eq!(read_within(&text, &more).unwrap().len(), 31);
    }

    #[test]
    fn what_the_server_says() {
        assert_eq!(answer(&IdFields::default()).text(), b"* ID NIL");
        let fields = IdFields::new(vec![field("name", "a \"b\""), field("vendor", "")]).unwrap();
        assert_eq!(answer(&fields).text(), b"* ID (\"name\" \"a \\\"b\\\"\" \"vendor\" \"\")");
        let own = String::from_utf8(answer(&IdFields::imapper()).text().to_vec()).unwrap();
        assert!(own.starts_with("* ID (\"name\" \"imapper\" \"version\" \""), "{own}");
    }

    #[test]
    fn what_the_server_may_not_say() {
        let new = |name: &str, value: &str| IdFields::new(vec![field(name, value)]);
        assert_eq!(new("", "x"), Err(IdError::Name(String::new())));
        assert_eq!(new(&"n".repeat(31), "x"), Err(IdError::Name("n".repeat(31))));
        assert_eq!(new("n", &"v".repeat(1025)), Err(IdError::Value("n".to_owned())));
        assert!(new(&"n".repeat(30), &"v".repeat(1024)).is_ok());
        let twice = vec![field("name", "x"), field("NAME", "y")];
        assert_eq!(IdFields::new(twice), Err(IdError::Twice("NAME".to_owned())));
        let many = (0..31).map(|at| field(&at.to_string(), "")).collect();
        assert_eq!(IdFields::new(many), Err(IdError::TooMany));
    }

    #[test]
    fn the_log_gets_one_short_line() {
        let client =
            ClientId { fields: vec![("a\r\nb".to_owned(), None), ("c".to_owned(), Some("é".repeat(2000)))] };
        let line = logged(&client);
        assert!(line.starts_with("a\\r\\nb=NIL c=é"), "{line}");
        assert!(line.chars().count() <= MAX_LOGGED && !line.contains(char::is_control), "{line}");
    }
}
