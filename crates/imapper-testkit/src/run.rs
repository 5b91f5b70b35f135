//! Plays a script against a server.

use crate::pattern::{Kept, Pattern};
use crate::response::{Response, Value};
use crate::script::{Act, Mark, Part, Script, State, Step};
use crate::server::{Connect, NoServer, Server};
use crate::session::{Received, Session, Transcript};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long a script may take, the server's start included.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// What became of a script that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All went as written.
    Passed,
    /// The server can not be as the script wants it; why.
    Skipped(String),
}

/// What went wrong, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The script's name.
    pub script: String,
    /// The line in the script, from 1; 0 before the first.
    pub line: usize,
    /// That line.
    pub text: String,
    /// What was expected and what came.
    pub what: String,
    /// The place in the RFCs that the script names.
    pub rfc: String,
    /// Everything that was said up to there.
    pub transcript: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}.imap:{}: {}", self.script, self.line, self.what)?;
        writeln!(f, "  line: {}", self.text)?;
        writeln!(f, "  see:  RFC {}", self.rfc)?;
        write!(f, "  {}", self.transcript.replace('\n', "\n  "))
    }
}

impl std::error::Error for Failure {}

/// Plays a script against a server that is started for it, within [`TIME_LIMIT`].
///
/// # Errors
/// The first line of the script that did not go as written.
pub async fn run_script(script: &Script, server: &dyn Server) -> Result<Outcome, Failure> {
    run_script_within(script, server, TIME_LIMIT).await
}

/// As [`run_script`], with a time limit of the caller's.
///
/// # Errors
/// As [`run_script`].
pub async fn run_script_within(
    script: &Script,
    server: &dyn Server,
    limit: Duration,
) -> Result<Outcome, Failure> {
    let deadline = Instant::now() + limit;
    let early = |what: String| Failure {
        script: script.name.clone(),
        line: 0,
        text: script.title.clone(),
        what,
        rfc: script.rfc.clone(),
        transcript: String::new(),
    };
    let started = timeout_at(deadline, server.start(&script.setup)).await;
    let connect = match started.map_err(|_| early("the server did not start in time".into()))? {
        Ok(connect) => connect,
        Err(NoServer::Unsupported(why)) => return Ok(Outcome::Skipped(why)),
        Err(error) => return Err(early(error.to_string())),
    };
    let mut run = Run {
        script,
        connect,
        deadline,
        sessions: BTreeMap::new(),
        pending: BTreeMap::new(),
        kept: Kept::new(),
        log: Transcript::default(),
    };
    match run.play().await {
        Ok(()) => Ok(Outcome::Passed),
        Err(fault) => {
            let step = fault.step.or(script.steps.first());
            let mut failure = early(fault.what);
            failure.line = step.map_or(0, |step| step.line);
            failure.text = step.map_or_else(String::new, |step| step.text.clone());
            failure.transcript = run.log.text();
            Err(failure)
        }
    }
}

struct Fault<'a> {
    step: Option<&'a Step>,
    what: String,
}

/// What ends a group of `S:` lines.
#[derive(Clone, Copy)]
enum End<'a> {
    /// A tagged answer or `+`.
    Answer(&'a Step, &'a Pattern),
    /// `X:`
    Close(&'a Step),
    /// A `C:` line or the end of the script: all lines that must come have come.
    Lines,
}

struct Run<'a> {
    script: &'a Script,
    connect: Box<dyn Connect>,
    deadline: Instant,
    sessions: BTreeMap<u8, Session>,
    pending: BTreeMap<u8, Vec<&'a Step>>,
    kept: Kept,
    log: Transcript,
}

impl<'a> Run<'a> {
    async fn play(&mut self) -> Result<(), Fault<'a>> {
        for step in &self.script.steps {
            let fault = |what| Fault { step: Some(step), what };
            match &step.act {
                Act::Send(parts) => {
                    self.settle_lines().await?;
                    let (session, kept, log) = self.session(step.session).await.map_err(fault)?;
                    session.send(parts, kept, log).await.map_err(fault)?;
                }
                Act::Expect(_, pattern) if pattern.is_tagged() || matches!(pattern, Pattern::Continue(_)) => {
                    self.settle(step.session, End::Answer(step, pattern)).await?;
                }
                Act::Expect(..) => self.pending.entry(step.session).or_default().push(step),
                Act::Close => self.settle(step.session, End::Close(step)).await?,
            }
        }
        self.settle_lines().await
    }

    async fn settle_lines(&mut self) -> Result<(), Fault<'a>> {
        let sessions: Vec<u8> = self.pending.keys().copied().collect();
        for session in sessions {
            self.settle(session, End::Lines).await?;
        }
        Ok(())
    }

    /// The session, connected and brought into the script's state.
    async fn session(&mut self, number: u8) -> Result<(&mut Session, &Kept, &mut Transcript), String> {
        if !self.sessions.contains_key(&number) {
            let stream = timeout_at(self.deadline, self.connect.connect()).await;
            let stream = stream
                .map_err(|_| "no connection in time")?
                .map_err(|why| format!("no connection: {why}"))?;
            let mut session = Session::new(number, stream, self.deadline);
            if !self.script.reads_greeting(number) {
                match session.next(&mut self.log).await?.map(|greeting| greeting.response) {
                    Some(Response::Status { tag, status, .. }) if tag == "*" && status == "OK" => {}
                    other => {
                        return Err(format!(
                            "the greeting should be `* OK` (RFC 3501 §7.1.1), not {other:?}"
                        ));
                    }
                }
            }
            let mut commands = Vec::new();
            if self.script.state != State::NotAuthenticated {
                let (user, password) = &self.script.setup.users[0];
                commands.push(("state-1", format!("state-1 LOGIN \"{user}\" \"{password}\"")));
            }
            if let State::Selected(command) = &self.script.state {
                commands.push(("state-2", format!("state-2 {command}")));
            }
            for (tag, command) in commands {
                session.send(&[Part::Text(command.into_bytes())], &self.kept, &mut self.log).await?;
                loop {
                    let received =
                        session.next(&mut self.log).await?.ok_or("the server closed the connection")?;
                    match received.response {
                        Response::Status { tag: t, status, .. } if t == tag && status == "OK" => break,
                        Response::Status { tag: t, .. } if t == tag => return Err(received.shown),
                        _ => {}
                    }
                }
            }
            self.sessions.insert(number, session);
        }
        let session = self.sessions.get_mut(&number).ok_or("no session")?;
        Ok((session, &self.kept, &mut self.log))
    }

    /// Reads up to the end of a group and compares.
    async fn settle(&mut self, number: u8, end: End<'a>) -> Result<(), Fault<'a>> {
        let lines = self.pending.remove(&number).unwrap_or_default();
        let at = match end {
            End::Answer(step, _) | End::Close(step) => Some(step),
            End::Lines => {
                lines.iter().copied().find(|line| mark(line) == Some(Mark::Must)).or(lines.first().copied())
            }
        };
        let fault = |what| Fault { step: at, what };
        self.session(number).await.map_err(fault)?;
        let mut received: Vec<Received> = Vec::new();
        loop {
            if matches!(end, End::Lines)
                && assign(&lines, &received, &mut self.kept.clone()).missing.is_none()
            {
                break;
            }
            let (session, _, log) = self.session(number).await.map_err(fault)?;
            let next = session.next(log).await.map_err(fault)?;
            let Some(next) = next else {
                if matches!(end, End::Close(_)) {
                    break;
                }
                return Err(fault("the server closed the connection".into()));
            };
            let ends = next.response.tag().is_some()
                || matches!(next.response, Response::Continue(_))
                || matches!(end, End::Answer(_, pattern) if pattern.may_be_untagged()
                    && pattern.matches(&next.response, &mut self.kept.clone()).is_ok());
            if !ends {
                received.push(next);
                continue;
            }
            let End::Answer(_, pattern) = end else {
                return Err(fault(format!("came too early: {}", next.shown)));
            };
            // The lines before the answer first: they may keep what the answer compares with.
            self.compare(&lines, &received, at)?;
            return pattern
                .matches(&next.response, &mut self.kept)
                .map_err(|why| fault(format!("{why}; came: {}", next.shown)));
        }
        self.compare(&lines, &received, at)
    }

    fn compare(
        &mut self,
        lines: &[&'a Step],
        received: &[Received],
        at: Option<&'a Step>,
    ) -> Result<(), Fault<'a>> {
        let found = assign(lines, received, &mut self.kept);
        if let Some((step, what)) = found.missing.or(found.forbidden) {
            return Err(Fault { step: Some(step), what });
        }
        let selecting = received.iter().any(|other| code(&other.response) == Some("UIDVALIDITY"));
        let extra = received
            .iter()
            .zip(found.used)
            .find(|(extra, used)| !used && !tolerated(&extra.response, selecting));
        match extra {
            Some((extra, _)) => {
                let step = at.or(lines.last().copied());
                Err(Fault { step, what: format!("came without being asked for: {}", extra.shown) })
            }
            None => Ok(()),
        }
    }
}

fn mark(step: &Step) -> Option<Mark> {
    if let Act::Expect(mark, _) = step.act { Some(mark) } else { None }
}

/// Which responses the lines of a group have found.
struct Assigned<'a> {
    used: Vec<bool>,
    /// The first line that found none, and what came instead.
    missing: Option<(&'a Step, String)>,
    /// The first line that found what must not come.
    forbidden: Option<(&'a Step, String)>,
}

/// Gives each line the first response that fits it and no line before it.
fn assign<'a>(lines: &[&'a Step], received: &[Received], kept: &mut Kept) -> Assigned<'a> {
    let mut found = Assigned { used: vec![false; received.len()], missing: None, forbidden: None };
    // EXPUNGE responses have an order of their own, since each renumbers (RFC 3501 §7.4.1).
    let (mut after_marked, mut after_expunge) = (0, 0);
    for &step in lines {
        let Act::Expect(mark, pattern) = &step.act else { continue };
        if *mark == Mark::Never {
            let hit = received.iter().find(|one| pattern.matches(&one.response, &mut kept.clone()).is_ok());
            if let (Some(hit), None) = (hit, &found.forbidden) {
                found.forbidden = Some((step, format!("came and must not: {}", hit.shown)));
            }
            continue;
        }
        let from = match mark {
            Mark::Ordered => after_marked,
            _ if pattern.is_expunge() => after_expunge,
            _ => 0,
        };
        let mut near = None;
        let place = (from..received.len()).find(|&at| {
            if found.used[at] {
                return false;
            }
            let result = pattern.matches(&received[at].response, kept);
            if let Err(why) = &result
                && near.is_none()
                && alike(pattern, &received[at].response)
            {
                near = Some(format!("{why}; came: {}", received[at].shown));
            }
            result.is_ok()
        });
        match place {
            Some(at) => {
                found.used[at] = true;
                if *mark == Mark::Ordered {
                    after_marked = at + 1;
                }
                if pattern.is_expunge() {
                    after_expunge = at + 1;
                }
            }
            None if *mark != Mark::May && found.missing.is_none() => {
                let what = near.unwrap_or_else(|| "this did not come, nor anything like it".into());
                found.missing = Some((step, what));
            }
            None => {}
        }
    }
    found
}

/// Whether a response is of the kind that a pattern asks for: then its difference is worth telling.
fn alike(pattern: &Pattern, response: &Response) -> bool {
    use crate::pattern::Term;
    match (pattern, response) {
        (Pattern::Status { .. }, Response::Status { .. }) => true,
        (Pattern::Data(terms), Response::Data(values)) => {
            terms.iter().zip(values).take(2).any(|pair| match pair {
                (Term::Word(want), Value::Atom(got)) => {
                    got.parse::<u32>().is_err() && want.eq_ignore_ascii_case(got)
                }
                _ => false,
            })
        }
        _ => false,
    }
}

fn code(response: &Response) -> Option<&str> {
    let Response::Status { code: Some(words), .. } = response else { return None };
    words.first().and_then(Value::atom)
}

/// What a server may always say without being asked: `* OK`, CAPABILITY, FLAGS and RECENT; while a
/// mailbox is being selected EXISTS too.
fn tolerated(response: &Response, selecting: bool) -> bool {
    match response {
        Response::Status { tag, status, .. } => tag == "*" && status == "OK",
        Response::Data(values) => {
            let word =
                |at: usize| values.get(at).and_then(Value::atom).unwrap_or_default().to_ascii_uppercase();
            matches!(word(0).as_str(), "CAPABILITY" | "FLAGS")
                || word(1) == "RECENT"
                || (selecting && word(1) == "EXISTS")
        }
        Response::Continue(_) => false,
    }
}
