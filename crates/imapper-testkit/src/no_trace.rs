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
    /// In no session: `on` stands in the dump of the server with the extension, and not in the other's.
    Dump,
}

/// Two servers that differ in one extension, each with a storage of its own. Both know `testuser` with `testpass`.
pub trait Switched: Send + Sync {
    /// A new connection to the server with the extension, or without; nothing has been read from it yet.
    /// `remote`: the server takes it for one from another machine.
    fn connect(&self, is_on: bool, remote: bool) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;

    /// What that server holds, as text; empty where that can't be told.
    ///
    /// # Errors
    /// Why it can't be told now.
    fn dump(&self, _is_on: bool) -> Result<String, String> {
        Ok(String::new())
    }

    /// Words that nothing shows while the extension is on; each is a gap.
    fn unannounced(&self) -> &[&str] {
        &[]
    }
}

/// A command by which an extension is known.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'a> {
    /// Where it is given.
    pub stage: Stage,
    /// The command, with the tag `x`.
    pub command: &'a str,
    /// What one of the answers begins with when the extension is on, and none when it is off.
    pub on: &'a str,
    /// And when it is off.
    pub off: &'a str,
}

/// Looks for traces of an extension in a server without it. `words` are its words on the wire: capabilities
/// (`AUTH=…` for a mechanism), commands, and what ENABLE and responses name. Each is shown where the extension is
/// on: by CAPABILITY, by ENABLE, or by a trace that names it.
///
/// # Errors
/// What was found, in words; or that it was not found where the extension is on.
pub async fn no_trace(server: &dyn Switched, words: &[&str], traces: &[Trace<'_>]) -> Result<(), String> {
    let mut missing = words.to_vec();
    for is_on in [true, false] {
        for stage in [Stage::Remote, Stage::NotAuthenticated, Stage::Authenticated, Stage::Selected] {
            let told = capabilities(server, is_on, stage).await?;
            let is_told = |word: &&str| told.split(' ').any(|one| one.eq_ignore_ascii_case(word));
            if is_on {
                missing.retain(|word| !is_told(word));
            } else if let Some(word) = words.iter().find(|word| is_told(word)) {
                return Err(format!("{word} is told by CAPABILITY ({stage:?}) while it is off"));
            }
        }
    }
    for word in words {
        if is_enabled(server, true, word).await?.is_some() {
            missing.retain(|other| other != word);
        }
        unknown_word(server, word).await?;
    }
    for trace in traces {
        follow(server, trace).await?;
        let shown = format!("{} {}", trace.command, trace.on).to_ascii_uppercase();
        missing.retain(|word| !shown.contains(&word.to_ascii_uppercase()));
    }
    let gaps = server.unannounced();
    if let Some(word) = gaps.iter().find(|word| words.contains(word) && !missing.contains(word)) {
        return Err(format!("{word} is listed as a gap, but is shown"));
    }
    missing.retain(|word| !gaps.contains(word));
    if !missing.is_empty() {
        return Err(format!("nothing shows {missing:?} while it is on"));
    }
    let dump = server.dump(false)?.to_ascii_uppercase();
    match words.iter().find(|word| dump.contains(&format!("\"{}\"", word.to_ascii_uppercase()))) {
        Some(word) => Err(format!("{word} stands in the dump while it is off")),
        None => Ok(()),
    }
}

/// What CAPABILITY tells there.
async fn capabilities(server: &dyn Switched, is_on: bool, stage: Stage) -> Result<String, String> {
    let answers = Client::open(server, is_on, stage).await?.run("x CAPABILITY").await?;
    let told = answers.iter().find_map(|line| line.strip_prefix("* CAPABILITY "));
    Ok(told.ok_or("CAPABILITY tells nothing")?.to_owned())
}

/// That the trace is there with the extension, and not without.
async fn follow(server: &dyn Switched, trace: &Trace<'_>) -> Result<(), String> {
    let Trace { command, on, off, .. } = trace;
    if trace.stage == Stage::Dump {
        return match (server.dump(true)?.contains(on), server.dump(false)?.contains(on)) {
            (true, false) => Ok(()),
            (false, _) => Err(format!("{on:?} does not stand in the dump while it is on")),
            (true, true) => Err(format!("{on:?} stands in the dump while it is off")),
        };
    }
    for (is_on, wanted) in [(true, on), (false, off)] {
        let answers = Client::open(server, is_on, trace.stage).await?.run(command).await?;
        let begins = |what: &str| answers.iter().any(|line| line.starts_with(what));
        if !begins(wanted) {
            return Err(format!("{command:?}, on: {is_on}: no answer begins with {wanted:?}: {answers:?}"));
        }
        if !is_on && begins(on) {
            return Err(format!("{command:?}, on: {is_on}: an answer begins with {on:?}: {answers:?}"));
        }
    }
    Ok(())
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
    match is_enabled(server, false, word).await? {
        Some(line) => Err(format!("ENABLE turns {word} on while it is off: {line:?}")),
        None => Ok(()),
    }
}

/// How ENABLE tells that it turns the word on. It skips what it does not know (RFC 5161 §3.1); where it is off
/// itself, it is BAD.
async fn is_enabled(server: &dyn Switched, is_on: bool, word: &str) -> Result<Option<String>, String> {
    let mut client = Client::open(server, is_on, Stage::Authenticated).await?;
    let answers = client.run(&format!("x ENABLE {word}")).await?;
    let names = |line: &String| line.split(' ').skip(2).any(|one| one.eq_ignore_ascii_case(word));
    Ok(answers.into_iter().find(|line| line.starts_with("* ENABLED ") && names(line)))
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
