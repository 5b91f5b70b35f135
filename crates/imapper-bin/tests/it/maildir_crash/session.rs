//! A client to whom a lost connection is a result and no failure: the server is killed on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Flags and keywords of a message, without `\Recent`.
pub(super) type Flags = BTreeSet<String>;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Why there is no OK.
#[derive(Debug)]
pub(super) enum Failed {
    /// The connection is gone: the command may have been run, or not.
    Lost(String),
    /// NO or BAD, the whole line.
    Refused(String),
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(why) => write!(f, "connection lost: {why}"),
            Self::Refused(line) => f.write_str(line),
        }
    }
}

type Result<T> = std::result::Result<T, Failed>;

/// A connection of a user.
pub(super) struct Session {
    stream: BufReader<TcpStream>,
    tag: u32,
    /// What is open.
    selected: Option<String>,
}

impl Session {
    pub(super) fn login(address: SocketAddr, user: &str, password: &str) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        let mut session = Self { stream: BufReader::new(socket), tag: 0, selected: None };
        session.line()?;
        session.command(&format!("LOGIN {user} {password}"))?;
        Ok(session)
    }

    /// Sends a command and reads up to its OK.
    pub(super) fn command(&mut self, command: &str) -> Result<Answer> {
        let tag = self.send(command)?;
        self.until(&tag)
    }

    /// The same with a literal at the end.
    pub(super) fn with_literal(&mut self, command: &str, literal: &[u8]) -> Result<Answer> {
        let tag = self.send(&format!("{command} {{{}}}", literal.len()))?;
        loop {
            let line = self.line()?;
            if line.starts_with('+') {
                break;
            }
            if line.starts_with(&format!("{tag} ")) {
                return Err(Failed::Refused(line));
            }
        }
        self.stream.get_mut().write_all(&[literal, b"\r\n"].concat())?;
        self.until(&tag)
    }

    /// Opens a mailbox, unless it is open.
    pub(super) fn select(&mut self, mailbox: &str) -> Result<Option<Answer>> {
        if self.selected.as_deref() == Some(mailbox) {
            return Ok(None);
        }
        self.selected = None;
        let answer = self.command(&format!("SELECT {mailbox} (CONDSTORE)"))?;
        self.selected = Some(mailbox.to_owned());
        Ok(Some(answer))
    }

    /// Closes what is open without removing anything.
    pub(super) fn unselect(&mut self) -> Result<()> {
        match self.selected.take() {
            Some(_) => self.command("UNSELECT").map(drop),
            None => Ok(()),
        }
    }

    /// Sends a command; gives its tag.
    pub(super) fn send(&mut self, command: &str) -> Result<String> {
        self.tag += 1;
        let tag = format!("s{}", self.tag);
        self.stream.get_mut().write_all(format!("{tag} {command}\r\n").as_bytes())?;
        Ok(tag)
    }

    /// Sends a line that is no command, as after IDLE.
    pub(super) fn say(&mut self, line: &str) -> Result<()> {
        Ok(self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes())?)
    }

    /// The next line.
    pub(super) fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(Failed::Lost("the server hung up".to_owned()));
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Reads up to the tagged reply.
    pub(super) fn until(&mut self, tag: &str) -> Result<Answer> {
        let mut answer = Answer::default();
        loop {
            let mut text = self.line()?;
            if let Some(reply) = text.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
                if !reply.starts_with("OK") {
                    return Err(Failed::Refused(text));
                }
                answer.tagged = text;
                return Ok(answer);
            }
            let mut literals = Vec::new();
            while let Some(length) = literal(&text) {
                let mut octets = vec![0; length];
                self.stream.read_exact(&mut octets)?;
                literals.push(octets);
                text = text + " " + &self.line()?;
            }
            answer.untagged.push(Untagged { text, literals });
        }
    }
}

/// The length of the literal that a line announces.
fn literal(line: &str) -> Option<usize> {
    let (_, length) = line.strip_suffix('}')?.rsplit_once('{')?;
    length.parse().ok()
}

/// All that came for a command.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) tagged: String,
    pub(super) untagged: Vec<Untagged>,
}

/// An untagged response.
#[derive(Debug)]
pub(super) struct Untagged {
    /// Its lines, the literals left out.
    pub(super) text: String,
    pub(super) literals: Vec<Vec<u8>>,
}

/// What is told of a message.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) flags: Option<Flags>,
    pub(super) modseq: u64,
    pub(super) literal: Option<Vec<u8>>,
}

impl Answer {
    fn lines(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.tagged.as_str()).chain(self.untagged.iter().map(|one| one.text.as_str()))
    }

    /// What stands in a response code behind its name.
    pub(super) fn code(&self, name: &str) -> Option<&str> {
        let start = format!("[{name} ");
        let (_, rest) = self.lines().find_map(|line| line.split_once(&start))?;
        rest.split(']').next()
    }

    /// The number in a response code.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.code(name)?.parse().ok()
    }

    /// The UIDVALIDITY and the UIDs of APPENDUID or COPYUID: those in the destination.
    pub(super) fn assigned(&self) -> Option<(u32, Vec<u32>)> {
        let code = self.code("APPENDUID").or_else(|| self.code("COPYUID"))?;
        let mut parts = code.split(' ');
        let validity = parts.next()?.parse().ok()?;
        Some((validity, ranges(parts.next_back()?).flat_map(|(first, last)| first..=last).collect()))
    }

    /// The FETCH responses, by UID.
    pub(super) fn messages(&self) -> BTreeMap<u32, Fetched> {
        let mut messages = BTreeMap::new();
        for one in self.untagged.iter().filter(|one| one.text.contains(" FETCH (")) {
            let Some(uid) = number_after(&one.text, "UID ") else { continue };
            let flags = one.text.split_once("FLAGS (").and_then(|(_, rest)| rest.split_once(')'));
            let flags = flags.map(|(flags, _)| {
                flags.split_whitespace().filter(|flag| *flag != "\\Recent").map(str::to_owned).collect()
            });
            let modseq = number_after(&one.text, "MODSEQ (").unwrap_or_default();
            let fetched = Fetched { flags, modseq, literal: one.literals.first().cloned() };
            messages.insert(u32::try_from(uid).unwrap(), fetched);
        }
        messages
    }

    /// The UIDs that VANISHED responses name.
    pub(super) fn vanished(&self) -> Vec<(u32, u32)> {
        let sets = self.untagged.iter().filter_map(|one| one.text.strip_prefix("* VANISHED "));
        sets.flat_map(|set| ranges(set.trim_start_matches("(EARLIER) "))).collect()
    }

    /// The names that LIST gives, without those that can't be opened.
    pub(super) fn names(&self) -> Vec<String> {
        let lines = self.untagged.iter().filter_map(|one| one.text.strip_prefix("* LIST ("));
        let open = lines.filter(|line| !line.contains("\\Noselect") && !line.contains("\\NonExistent"));
        let names = open.filter_map(|line| line.split_once(") \"/\" "));
        names.map(|(_, name)| name.trim_matches('"').to_owned()).collect()
    }
}

/// The ranges of a set without `*`.
fn ranges(set: &str) -> impl Iterator<Item = (u32, u32)> {
    set.split(',').filter_map(|part| {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        Some((first.parse().ok()?, last.parse().ok()?))
    })
}

fn number_after(text: &str, word: &str) -> Option<u64> {
    let (_, rest) = text.split_once(word)?;
    rest.split(|sign: char| !sign.is_ascii_digit()).next()?.parse().ok()
}

#[test]
fn what_a_session_hears_is_understood() {
    let untagged = |text: &str, literals: &[&[u8]]| Untagged {
        text: text.to_owned(),
        literals: literals.iter().map(|literal| literal.to_vec()).collect(),
    };
    let answer = Answer {
        tagged: "s1 OK done".to_owned(),
        untagged: vec![
            untagged("* OK [COPYUID 7 1,3 10:11] moved", &[]),
            untagged("* 1 FETCH (UID 9 FLAGS (\\Recent \\Seen k) MODSEQ (5) BODY[] {1} )", &[b"x"]),
            untagged("* VANISHED (EARLIER) 1:3,7", &[]),
            untagged("* LIST (\\HasChildren) \"/\" a", &[]),
            untagged("* LIST (\\NonExistent) \"/\" \"b c\"", &[]),
        ],
    };
    assert_eq!(answer.assigned(), Some((7, vec![10, 11])));
    let messages = answer.messages();
    let nine = &messages[&9];
    assert_eq!(nine.flags, Some(Flags::from(["\\Seen".to_owned(), "k".to_owned()])));
    assert_eq!((nine.modseq, nine.literal.as_deref()), (5, Some(&b"x"[..])));
    assert_eq!(answer.vanished(), [(1, 3), (7, 7)]);
    assert_eq!(answer.names(), ["a"]);
    assert_eq!(literal("* 1 FETCH (BODY[] {12}"), Some(12));
    assert_eq!(literal("* 1 FETCH (FLAGS ())"), None);
}
