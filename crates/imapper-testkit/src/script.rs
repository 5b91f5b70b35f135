//! A wire script: its header and its dialogue. The format is told in this crate's README.

use crate::pattern::Pattern;
use crate::session::literal_size;
use std::fmt;

/// A script, read and checked.
#[derive(Debug, Clone)]
pub struct Script {
    /// Folder and file name without its ending: `idle/exists`.
    pub name: String,
    /// What the script shows, in a line.
    pub title: String,
    /// The place in the RFCs: `3501 §6.3.1`.
    pub rfc: String,
    /// The ids of the requirements of the RFCs that the script covers.
    pub requirements: Vec<String>,
    /// What the server must be for this script.
    pub setup: Setup,
    pub(crate) state: State,
    pub(crate) steps: Vec<Step>,
}

/// What a server must be for a script: made by the script's header, read by the [`Server`](crate::Server).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setup {
    /// The mailboxes and messages, as JSON in the format of `imapper --storage`.
    pub fixture: String,
    /// Extensions that must be on (`needs:`).
    pub needs: Vec<String>,
    /// What the storage must be able to hold or do, where not every storage can (`needs-storage:`).
    pub needs_storage: Vec<String>,
    /// Extensions that must be off (`without:`).
    pub without: Vec<String>,
    /// Exactly these extensions (`plugins:`), or every standard one.
    pub plugins: Option<Vec<String>>,
    /// Name and password of each user; `testuser` with `testpass` unless `user:` says otherwise.
    pub users: Vec<(String, String)>,
    /// Name and bearer token of each user that has one (`token:`).
    pub tokens: Vec<(String, String)>,
    /// Values under `[limits]` of the configuration (`limit: append = 1 KiB`).
    pub limits: Vec<(String, String)>,
}

/// A fault in a script's own text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// The script's name.
    pub script: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.imap:{}: {}", self.script, self.line, self.what)
    }
}

impl std::error::Error for ScriptError {}

/// How far a session is brought before its first line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    NotAuthenticated,
    Authenticated,
    /// SELECT or EXAMINE and the mailbox.
    Selected(String),
}

/// A line of the dialogue.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) session: u8,
    /// Of the file, from 1.
    pub(crate) line: usize,
    /// As it stands in the file.
    pub(crate) text: String,
    pub(crate) act: Act,
}

#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// `C:` the parts in turn; each literal that synchronizes waits for `+`.
    Send(Vec<Part>),
    /// `S:`
    Expect(Mark, Pattern),
    /// `X:` the server closes the connection.
    Close,
}

/// What stands between `S:` and the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Must come.
    Must,
    /// `>` must come, after the marked line before.
    Ordered,
    /// `?` may come.
    May,
    /// `-` must not come.
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(Vec<u8>),
    Literal { sync: bool, octets: Vec<u8> },
}

impl Part {
    fn size(&self) -> usize {
        match self {
            Self::Text(octets) | Self::Literal { octets, .. } => octets.len(),
        }
    }
}

impl Script {
    /// Reads a script. `name` is for messages; `fixtures` finds the text of a fixture by its name.
    ///
    /// # Errors
    /// The first line that is not in the script's format.
    pub fn parse(
        name: &str,
        text: &str,
        fixtures: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ScriptError> {
        let mut reader = Reader { lines: text.lines().collect(), at: 0 };
        let fail = |line, what| ScriptError { script: name.to_owned(), line, what };
        let mut script = Self {
            name: name.to_owned(),
            title: String::new(),
            rfc: String::new(),
            requirements: Vec::new(),
            setup: Setup { fixture: "{\"INBOX\": {}, \"\": {}}".into(), ..Setup::default() },
            state: State::NotAuthenticated,
            steps: Vec::new(),
        };
        while let Some(line) = reader.next() {
            let at = reader.at;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some((speaker, rest)) = speaker(line) {
                let step = reader.step(speaker, rest, at, line).map_err(|what| fail(at, what))?;
                script.steps.push(step);
            } else if script.steps.is_empty() {
                script.header(line, &mut reader, &fixtures).map_err(|what| fail(at, what))?;
            } else {
                return Err(fail(at, format!("neither `C:`, `S:` nor `X:`: {line}")));
            }
        }
        script.check().map_err(|what| fail(reader.at, what))?;
        if let Some(line) = script.short_literal() {
            return Err(fail(line, "the `C:` lines that follow are too short for this literal".into()));
        }
        Ok(script)
    }

    fn header(
        &mut self,
        line: &str,
        reader: &mut Reader<'_>,
        fixtures: impl Fn(&str) -> Option<String>,
    ) -> Result<(), String> {
        let (key, value) = line.split_once(':').ok_or("a header line needs a `:`")?;
        let value = value.trim();
        match key.trim() {
            "title" => value.clone_into(&mut self.title),
            "rfc" => value.clone_into(&mut self.rfc),
            "req" => self.requirements.extend(words(value)),
            "needs" => self.setup.needs.extend(words(value)),
            "needs-storage" => self.setup.needs_storage.extend(words(value)),
            "without" => self.setup.without.extend(words(value)),
            "plugins" => {
                let list = self.setup.plugins.get_or_insert_default();
                list.extend(words(value).into_iter().filter(|word| word != "none"));
            }
            "user" => {
                let (user, password) = value.split_once(' ').ok_or("`user: NAME PASSWORD`")?;
                self.setup.users.push((user.into(), password.trim().into()));
            }
            "token" => {
                let (user, token) = value.split_once(' ').ok_or("`token: NAME TOKEN`")?;
                self.setup.tokens.push((user.into(), token.trim().into()));
            }
            "limit" => {
                let (key, value) = value.split_once('=').ok_or("`limit: KEY = VALUE`")?;
                self.setup.limits.push((key.trim().into(), value.trim().into()));
            }
            "state" => self.state = state(value)?,
            "fixture" => match value.strip_prefix("<<") {
                Some(end) => self.setup.fixture = reader.until(end)?,
                None => self.setup.fixture = fixtures(value).ok_or_else(|| format!("no fixture {value}"))?,
            },
            other => return Err(format!("unknown header `{other}`")),
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), String> {
        if self.setup.users.is_empty() {
            self.setup.users.push(("testuser".into(), "testpass".into()));
        }
        if self.title.is_empty() || self.rfc.is_empty() {
            return Err("`title:` and `rfc:` are needed".into());
        }
        if self.steps.is_empty() {
            return Err("a script without a dialogue".into());
        }
        let first_expects = |session: u8| {
            let first = self.steps.iter().find(|step| step.session == session);
            first.is_some_and(|step| matches!(step.act, Act::Expect(..)))
        };
        if self.state != State::NotAuthenticated && (1..=9).any(first_expects) {
            return Err("a script that reads the greeting can not have `state:`".into());
        }
        Ok(())
    }

    /// The line of a literal written by hand whose octets do not follow. A literal that is never sent,
    /// because the server is to refuse it, is none.
    fn short_literal(&self) -> Option<usize> {
        for (at, step) in self.steps.iter().enumerate() {
            let Act::Send(parts) = &step.act else { continue };
            let Some(Part::Text(text)) = parts.last() else { continue };
            let Some(size) = literal_size(text) else { continue };
            let mut followed = 0;
            for next in self.steps[at + 1..].iter().filter(|next| next.session == step.session) {
                match &next.act {
                    Act::Send(parts) => followed += parts.iter().map(Part::size).sum::<usize>() + 2,
                    Act::Expect(_, Pattern::Continue(_)) => {}
                    Act::Expect(..) | Act::Close => break,
                }
            }
            if followed > 0 && followed < size {
                return Some(step.line);
            }
        }
        None
    }

    /// The folder that the script lies in: the feature.
    pub fn folder(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// Whether the script reads the greeting of this session by itself.
    pub(crate) fn reads_greeting(&self, session: u8) -> bool {
        let first = self.steps.iter().find(|step| step.session == session);
        first.is_some_and(|step| matches!(step.act, Act::Expect(..)))
    }
}

fn words(value: &str) -> Vec<String> {
    value.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn state(value: &str) -> Result<State, String> {
    match value.split_once(' ') {
        None if value == "none" => Ok(State::NotAuthenticated),
        None if value == "authenticated" => Ok(State::Authenticated),
        Some(("selected", mailbox)) => Ok(State::Selected(format!("SELECT {mailbox}"))),
        Some(("examined", mailbox)) => Ok(State::Selected(format!("EXAMINE {mailbox}"))),
        _ => Err(format!(
            "state `{value}` is neither none, authenticated, selected MAILBOX nor examined MAILBOX"
        )),
    }
}

/// Who speaks, in which session, and what follows the colon.
fn speaker(line: &str) -> Option<((char, u8), &str)> {
    let (head, rest) = line.split_once(':')?;
    let mut chars = head.chars();
    let who = chars.next().filter(|who| matches!(who, 'C' | 'S' | 'X'))?;
    let session = match chars.as_str() {
        "" => 1,
        digit => digit.parse().ok().filter(|session| (1..=9).contains(session))?,
    };
    Some(((who, session), rest))
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.at).copied();
        self.at += usize::from(line.is_some());
        line
    }

    /// The lines up to one that is `end`.
    fn until(&mut self, end: &str) -> Result<String, String> {
        let mut text = String::new();
        while let Some(line) = self.next() {
            if line.trim() == end.trim() {
                return Ok(text);
            }
            text.push_str(line);
            text.push('\n');
        }
        Err(format!("no line `{}` ends the block", end.trim()))
    }

    fn step(
        &mut self,
        (who, session): (char, u8),
        rest: &str,
        line: usize,
        text: &str,
    ) -> Result<Step, String> {
        let act = match who {
            'C' => Act::Send(self.parts(rest.strip_prefix(' ').unwrap_or(rest))?),
            'X' => Act::Close,
            _ => {
                let (mark, rest) = match rest.as_bytes().first() {
                    Some(b'>') => (Mark::Ordered, &rest[1..]),
                    Some(b'?') => (Mark::May, &rest[1..]),
                    Some(b'-') => (Mark::Never, &rest[1..]),
                    _ => (Mark::Must, rest),
                };
                let mut pattern = Vec::new();
                for part in self.parts(rest.trim_start())? {
                    match part {
                        Part::Text(octets) => pattern.extend(octets),
                        Part::Literal { octets, .. } => {
                            pattern.extend(format!("{{{}}}\r\n", octets.len()).into_bytes());
                            pattern.extend(octets);
                        }
                    }
                }
                let pattern = Pattern::parse(pattern.trim_ascii_end())?;
                let ends = pattern.is_tagged() || matches!(pattern, Pattern::Continue(_));
                if ends && mark != Mark::Must {
                    return Err("an answer that ends a group takes no mark".into());
                }
                Act::Expect(mark, pattern)
            }
        };
        Ok(Step { session, line, text: text.to_owned(), act })
    }

    /// The text of a line with its `{{{` blocks `}}}` taken out.
    fn parts(&mut self, first: &str) -> Result<Vec<Part>, String> {
        let mut parts = Vec::new();
        let mut line = first;
        while let Some((before, inside)) = line.split_once("{{{") {
            parts.push(Part::Text(before.as_bytes().to_vec()));
            let (sync, mut inside) = match inside.strip_prefix('+') {
                Some(rest) => (false, rest),
                None => (true, inside),
            };
            let mut octets = Vec::new();
            if inside.is_empty() {
                inside = self.next().ok_or("a `{{{` that is not closed")?;
            }
            loop {
                if let Some((last, rest)) = inside.split_once("}}}") {
                    octets.extend(last.as_bytes());
                    line = rest;
                    break;
                }
                octets.extend(inside.as_bytes());
                octets.extend(b"\r\n");
                inside = self.next().ok_or("a `{{{` that is not closed")?;
            }
            parts.push(Part::Literal { sync, octets });
        }
        parts.push(Part::Text(line.as_bytes().to_vec()));
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Script, ScriptError> {
        Script::parse("a/b", text, |name| (name == "x.json").then(|| "{}".to_owned()))
    }

    #[test]
    fn a_whole_script() {
        let script = parse(concat!(
            "# about\ntitle: T\nrfc: 3501 §6.3.1\nreq: r1, r2\nneeds: IDLE ID\nneeds-storage: dump\nwithout: X\nplugins: none\n",
            "user: bob secret\ntoken: bob t0ken\nlimit: append = 1 KiB\nfixture: <<EOF\n{\"a\":\n1}\nEOF\n\n",
            "C: a1 APPEND x {{{\nSubject: y\n\nz}}} {{{+lit}}}\nS2:? * OK <n>\nX: closes\n",
        ))
        .unwrap();
        assert_eq!(
            (script.folder(), script.rfc.as_str(), script.requirements.len()),
            ("a", "3501 §6.3.1", 2)
        );
        let setup = Setup {
            fixture: "{\"a\":\n1}\n".into(),
            needs: vec!["IDLE".into(), "ID".into()],
            needs_storage: vec!["dump".into()],
            without: vec!["X".into()],
            plugins: Some(vec![]),
            users: vec![("bob".into(), "secret".into())],
            tokens: vec![("bob".into(), "t0ken".into())],
            limits: vec![("append".into(), "1 KiB".into())],
        };
        assert_eq!(script.setup, setup);
        let Act::Send(parts) = &script.steps[0].act else { panic!("no C line") };
        let text = |text: &str| Part::Text(text.into());
        let literal = |sync, octets: &str| Part::Literal { sync, octets: octets.into() };
        let want = [
            text("a1 APPEND x "),
            literal(true, "Subject: y\r\n\r\nz"),
            text(" "),
            literal(false, "lit"),
            text(""),
        ];
        assert_eq!(parts[..], want);
        assert_eq!((script.steps[1].session, script.steps[1].line), (2, 21));
        assert!(matches!(script.steps[1].act, Act::Expect(Mark::May, _)));
        assert!(matches!(script.steps[2].act, Act::Close));
    }

    #[test]
    fn a_block_whose_end_stands_alone_ends_in_crlf() {
        let script = parse("title: T\nrfc: 1\nC: a {{{\nx\n\n}}}\n").unwrap();
        let Act::Send(parts) = &script.steps[0].act else { panic!("no C line") };
        assert_eq!(parts[1], Part::Literal { sync: true, octets: "x\r\n\r\n".into() });
    }

    #[test]
    fn faults_name_their_line() {
        for (text, line) in [
            ("title: T\nnonsense: x\n", 2),
            ("title: T\nrfc: 1\nfixture: y.json\n", 3),
            ("title: T\nrfc: 1\nC: x\nhello\n", 4),
            ("title: T\nrfc: 1\nS: * OK (\n", 3),
            ("title: T\nrfc: 1\nS: * FLAGS (\n", 3),
            ("title: T\nrfc: 1\nS:? a1 OK\n", 3),
            ("title: T\nrfc: 1\nC: {{{\nx\n", 3),
            ("title: T\nC: x\n", 2),
            ("title: T\nrfc: 1\nstate: authenticated\nS: * OK\n", 4),
            ("title: T\nrfc: 1\nstate: odd\n", 3),
            ("title: T\nrfc: 1\nC: a LOGIN {9}\nS: +\nC: short\nS: a OK\n", 3),
        ] {
            match parse(text) {
                Err(error) => assert_eq!(error.line, line, "{error}"),
                Ok(_) if text.contains("* OK (") => {}
                Ok(_) => panic!("{text} passed"),
            }
        }
    }
}
