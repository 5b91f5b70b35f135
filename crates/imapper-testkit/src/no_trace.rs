//! An extension that is off leaves no trace: no capability, no command, no mechanism, nothing that ENABLE turns
//! on, nothing in a dump. Each trace is also looked for where the extension is on, so that the test can fail.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use crate::{BoxFuture, Stream};

/// Whoever waits that long for a line has lost it.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// How far a session is when it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Connected from another machine, without TLS.
    Remote,
    /// Connected from this machine.
    NotAuthenticated,
    /// Logged in.
    Authenticated,
    /// With INBOX selected.
    Selected,
}

/// Two servers that differ in one extension. Both know `testuser` with `testpass`.
pub trait Switched: Send + Sync {
    /// A new connection to the server with the extension, or without; nothing has been read from it yet.
    /// `remote`: the server takes it for one from another machine.
    fn connect(&self, is_on: bool, remote: bool) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;

    /// What the server without the extension holds, as text; `None` if it can't be told.
    fn dump(&self) -> Option<String> {
        None
    }
}

/// A command by which an extension is known.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'a> {
    /// Where it is given.
    pub stage: Stage,
    /// The command, with the tag `x`.
    pub command: &'a str,
    /// What one of the answers begins with when the extension is on.
    pub on: &'a str,
    /// And when it is off.
    pub off: &'a str,
}

/// Looks for traces of an extension in a server without it. `words` are its words on the wire: capabilities
/// (`AUTH=…` for a mechanism), commands, and what ENABLE and responses name.
///
/// # Errors
/// What was found, in words; or that it was not found where the extension is on.
pub async fn no_trace(server: &dyn Switched, words: &[&str], traces: &[Trace<'_>]) -> Result<(), String> {
    let mut is_shown = false;
    for is_on in [true, false] {
        for stage in [Stage::Remote, Stage::NotAuthenticated, Stage::Authenticated, Stage::Selected] {
            let mut client = Client::open(server, is_on, stage).await?;
            let shown = client.run("x CAPABILITY").await?;
            let mut shown = shown.iter().filter_map(|line| line.strip_prefix("* CAPABILITY "));
            let shown = shown.next().ok_or("CAPABILITY tells nothing")?;
            let found = words.iter().find(|word| shown.split(' ').any(|one| one.eq_ignore_ascii_case(word)));
            if is_on {
                is_shown |= found.is_some();
            } else if let Some(word) = found {
                return Err(format!("{word} is told by CAPABILITY ({stage:?}) while it is off"));
            }
        }
    }
    if !is_shown {
        return Err(format!("none of {words:?} is told by CAPABILITY while it is on"));
    }
    for word in words {
        unknown_word(server, word).await?;
    }
    for trace in traces {
        for (is_on, wanted) in [(true, trace.on), (false, trace.off)] {
            let answers = Client::open(server, is_on, trace.stage).await?.run(trace.command).await?;
            if !answers.iter().any(|line| line.starts_with(wanted)) {
                let command = trace.command;
                return Err(format!(
                    "{command:?}, on: {is_on}: no answer begins with {wanted:?}: {answers:?}"
                ));
            }
        }
    }
    let dump = server.dump().unwrap_or_default();
    match words.iter().find(|word| dump.contains(&format!("\"{word}\""))) {
        Some(word) => Err(format!("{word} stands in the dump while it is off")),
        None => Ok(()),
    }
}

/// That the server without the extension knows a word neither as a command, nor as a mechanism, nor for ENABLE.
async fn unknown_word(server: &dyn Switched, word: &str) -> Result<(), String> {
    for stage in [Stage::NotAuthenticated, Stage::Authenticated, Stage::Selected] {
        let mut client = Client::open(server, false, stage).await?;
        let tagged = client.run(&format!("x {word}")).await?.pop().unwrap_or_default();
        if !tagged.starts_with("x BAD") {
            return Err(format!(
                "the command {word} is answered {tagged:?} ({stage:?}), not BAD, while it is off"
            ));
        }
    }
    if let Some(mechanism) = word.strip_prefix("AUTH=") {
        let mut client = Client::open(server, false, Stage::NotAuthenticated).await?;
        let tagged = client.run(&format!("x AUTHENTICATE {mechanism}")).await?.pop().unwrap_or_default();
        if !tagged.starts_with("x NO") {
            return Err(format!("the mechanism {mechanism} is answered {tagged:?}, not NO, while it is off"));
        }
    }
    // ENABLE skips what it does not know (RFC 5161 §3.1); where it is off itself, it is BAD.
    let mut client = Client::open(server, false, Stage::Authenticated).await?;
    let answers = client.run(&format!("x ENABLE {word}")).await?;
    let is_enabled = |line: &&String| line.starts_with("* ENABLED") && line.split(' ').any(|one| one == word);
    match answers.iter().find(is_enabled) {
        Some(line) => Err(format!("ENABLE turns {word} on while it is off: {line:?}")),
        None => Ok(()),
    }
}

/// One session.
struct Client(BufReader<Box<dyn Stream>>);

impl Client {
    async fn open(server: &dyn Switched, is_on: bool, stage: Stage) -> Result<Self, String> {
        let stream =
            server.connect(is_on, stage == Stage::Remote).await.map_err(|error| error.to_string())?;
        let mut client = Self(BufReader::new(stream));
        let greeting = client.line().await?;
        if !greeting.starts_with("* OK") {
            return Err(format!("the greeting is {greeting:?}"));
        }
        if matches!(stage, Stage::Authenticated | Stage::Selected) {
            client.ok("l1 LOGIN testuser testpass").await?;
        }
        if stage == Stage::Selected {
            client.ok("l2 SELECT INBOX").await?;
        }
        Ok(client)
    }

    /// The next line without its CRLF; empty at the end.
    async fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        let read = timeout(TIME_LIMIT, self.0.read_until(b'\n', &mut line)).await;
        read.map_err(|_| "no line came in time".to_owned())?.map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&line).trim_end_matches("\r\n").to_owned())
    }

    /// Sends a command; gives all lines up to the tagged one, a continuation request, or the end.
    async fn run(&mut self, command: &str) -> Result<Vec<String>, String> {
        self.0.write_all(format!("{command}\r\n").as_bytes()).await.map_err(|error| error.to_string())?;
        self.0.flush().await.map_err(|error| error.to_string())?;
        let tag = command.split(' ').next();
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            let is_last = line.is_empty() || line.starts_with('+') || line.split(' ').next() == tag;
            lines.push(line);
            if is_last {
                return Ok(lines);
            }
        }
    }

    async fn ok(&mut self, command: &str) -> Result<(), String> {
        let tagged = self.run(command).await?.pop().unwrap_or_default();
        if tagged.split(' ').nth(1) == Some("OK") { Ok(()) } else { Err(format!("{command}: {tagged}")) }
    }
}
