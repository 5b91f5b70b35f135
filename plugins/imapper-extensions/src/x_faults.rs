//! X-FAULTS: a server that fails on demand, for tests of mail clients. Connections break, answers are late, come in
//! single octets, or are NO and BAD. XTOYBIRD and programs that hold a [`Faults`] say when.

use std::collections::BTreeSet;
use std::io;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use imapper_core::registry::slots::BeforeCommand;
use imapper_core::registry::{Context, Extension, Registry};
use imapper_core::session::{Reject, Shape, Shaper};
use imapper_core::types::Code;
use imapper_core::wire::{Args, Malformed};
use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) const WORDS: &[&str] = &["X-FAULTS"];

/// The longest delay.
const LONGEST: Duration = Duration::from_mins(5);
/// How many answers may be due at once.
const MOST: usize = 100;

/// The faults of a server, to be set while it runs. It is the extension too. All clones are the same faults.
///
/// A fault holds for every connection from then on, those that are open among them. Connections that have set one by
/// XTOYBIRD are spared.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    outgoing: watch::Sender<Outgoing>,
    rest: Mutex<Rest>,
}

/// What happens to octets on their way to the clients.
#[derive(Clone, Copy, Debug, Default)]
struct Outgoing {
    cut: Option<Cut>,
    cuts: u64,
    delay: Duration,
    split: bool,
}

/// Where connections break.
#[derive(Clone, Copy, Debug)]
struct Cut {
    number: u64,
    after: u64,
    once: bool,
}

#[derive(Debug, Default)]
struct Rest {
    answers: Vec<Due>,
    spared: BTreeSet<u64>,
}

/// An answer that comes in the place of a command.
#[derive(Debug)]
struct Due {
    uid: bool,
    name: String,
    left: u32,
    answer: Answer,
}

/// Why a fault is not to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// The delay is too long.
    #[error("a delay is at most {} s long", LONGEST.as_secs())]
    Delay,
    /// So many answers are still due.
    #[error("at most {MOST} answers can be due")]
    Answers,
    /// Commands are counted from 1.
    #[error("the first command is number 1")]
    Zero,
    /// This is no answer.
    #[error("NO or BAD is expected, with a text or not: NO [INUSE] try again later")]
    Answer,
}

impl Faults {
    /// Nothing fails any more. Whoever still waits is answered now.
    pub fn clear(&self) {
        self.0.outgoing.send_modify(|set| *set = Outgoing { cuts: set.cuts, ..Outgoing::default() });
        self.rest().answers.clear();
    }

    /// Every connection is lost when so many octets have been sent to it, counted from now on or from its greeting.
    pub fn drop_after(&self, octets: u64) {
        self.cut(octets, false);
    }

    /// The first connection that gets so far is lost, and no other.
    pub fn drop_once_after(&self, octets: u64) {
        self.cut(octets, true);
    }

    fn cut(&self, after: u64, once: bool) {
        self.0.outgoing.send_modify(|set| {
            set.cuts += 1;
            set.cut = Some(Cut { number: set.cuts, after, once });
        });
    }

    /// Whatever is sent waits so long before: the greeting, answers, what is told during IDLE.
    pub fn delay(&self, delay: Duration) -> Result<(), FaultError> {
        if delay > LONGEST {
            return Err(FaultError::Delay);
        }
        self.0.outgoing.send_modify(|set| set.delay = delay);
        Ok(())
    }

    /// Every octet is sent by itself.
    pub fn split(&self) {
        self.0.outgoing.send_modify(|set| set.split = true);
    }

    /// The `nth` such command from now on, whoever sends it, is answered so and not run. `FETCH` is not `UID FETCH`.
    /// The answer is what follows the tag: `NO`, or `BAD [CLIENTBUG] no`.
    pub fn answer(&self, command: &str, nth: u32, answer: &str) -> Result<(), FaultError> {
        self.answer_with(command, nth, answer.parse()?)
    }

    fn answer_with(&self, command: &str, nth: u32, answer: Answer) -> Result<(), FaultError> {
        if nth == 0 {
            return Err(FaultError::Zero);
        }
        let (uid, name) = words(command);
        let answers = &mut self.rest().answers;
        if answers.len() >= MOST {
            return Err(FaultError::Answers);
        }
        answers.push(Due { uid, name, left: nth, answer });
        Ok(())
    }

    /// Does what a client has asked for, and spares it from now on.
    pub(crate) fn set(&self, cx: &Context<'_>, fault: Fault) -> Result<(), Reject> {
        let limit = |error: FaultError| Reject::code(Code::LIMIT, error.to_string());
        match fault {
            Fault::Clear => self.clear(),
            Fault::Cut(octets, once) => self.cut(octets, once),
            Fault::Delay(delay) => self.delay(delay).map_err(limit)?,
            Fault::Split => self.split(),
            Fault::Answer(command, nth, answer) => {
                let (has_uid, name) = words(&command);
                if !cx.shared.registry.row(&name).is_some_and(|row| row.uid.fits(has_uid)) {
                    return Err(Reject::code(Code::CANNOT, "there is no such command"));
                }
                self.answer_with(&command, nth, answer).map_err(limit)?;
            }
        }
        self.rest().spared.insert(cx.connection.id);
        tracing::info!(connection = cx.connection.id, "told how to fail");
        Ok(())
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.0.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spares(&self, connection: u64) -> bool {
        self.rest().spared.contains(&connection)
    }

    /// Whether a connection that is at the cut breaks there.
    fn breaks(&self, cut: Cut) -> bool {
        let is_it = |set: &mut Outgoing| {
            let is_it = set.cut.is_some_and(|other| other.number == cut.number);
            if is_it {
                set.cut = None;
            }
            is_it
        };
        !cut.once || self.0.outgoing.send_if_modified(is_it)
    }
}

impl Extension for Faults {
    fn name(&self) -> &'static str {
        "X-FAULTS"
    }

    fn install(&self, registry: &mut Registry) {
        registry.shape(self.clone());
        registry.before_command(self.clone());
        registry.keep(self.clone());
    }
}

impl BeforeCommand for Faults {
    fn check(&self, cx: &Context<'_>) -> Result<(), Reject> {
        let mut rest = self.rest();
        if rest.answers.is_empty() || rest.spared.contains(&cx.connection.id) {
            return Ok(());
        }
        let mut now = None;
        rest.answers.retain_mut(|due| {
            if due.uid == cx.uid && due.name == cx.name {
                due.left = due.left.saturating_sub(1);
            }
            if due.left > 0 {
                return true;
            }
            // A command has one answer: what is due as well, is due for the next.
            let waits = now.is_some();
            now.get_or_insert_with(|| due.answer.clone());
            due.left = 1;
            waits
        });
        let Some(answer) = now else { return Ok(()) };
        tracing::info!(connection = cx.connection.id, command = cx.name, ?answer, "fails as told");
        Err(answer.into())
    }
}

impl Shape for Faults {
    fn connection(&self, connection: u64) -> Box<dyn Shaper> {
        let outgoing = self.0.outgoing.subscribe();
        Box::new(Failing { faults: self.clone(), connection, outgoing, cut: 0, sent: 0 })
    }
}

/// A connection that fails.
struct Failing {
    faults: Faults,
    connection: u64,
    outgoing: watch::Receiver<Outgoing>,
    /// The number of the cut that `sent` counts for.
    cut: u64,
    sent: u64,
}

impl Failing {
    /// What happens to this connection now.
    fn outgoing(&mut self) -> Outgoing {
        let set = *self.outgoing.borrow_and_update();
        if self.faults.spares(self.connection) { Outgoing::default() } else { set }
    }

    /// Waits as long as it is told to; no longer when it is told something else meanwhile.
    async fn wait(&mut self) {
        let start = Instant::now();
        loop {
            let delay = self.outgoing().delay;
            if delay.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(start + delay) => return,
                _ = self.outgoing.changed() => {}
            }
        }
    }

    /// How many octets there are to the cut; an error if it is here.
    fn room(&mut self, set: Outgoing) -> io::Result<u64> {
        let Some(cut) = set.cut else { return Ok(u64::MAX) };
        if self.cut != cut.number {
            (self.cut, self.sent) = (cut.number, 0);
        }
        match cut.after.saturating_sub(self.sent) {
            0 if self.faults.breaks(cut) => {
                tracing::info!(connection = self.connection, after = cut.after, "lost as told");
                Err(io::Error::new(io::ErrorKind::ConnectionReset, "lost as told"))
            }
            0 => Ok(u64::MAX),
            room => Ok(room),
        }
    }
}

#[async_trait]
impl Shaper for Failing {
    async fn next(&mut self, ready: usize, is_first: bool) -> io::Result<usize> {
        if is_first {
            self.wait().await;
        }
        let set = self.outgoing();
        let room = self.room(set)?;
        if set.split {
            // Whoever reads gets the octet before the next one is there, where that can be.
            tokio::task::yield_now().await;
            return Ok(1);
        }
        Ok(usize::try_from(room).map_or(ready, |room| room.min(ready)))
    }

    fn gone(&mut self, octets: usize) -> io::Result<()> {
        let set = self.outgoing();
        self.sent = self.sent.saturating_add(octets as u64);
        self.room(set).map(drop)
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        self.faults.rest().spared.remove(&self.connection);
    }
}

/// What XTOYBIRD is told.
pub(crate) enum Fault {
    Clear,
    Cut(u64, bool),
    Delay(Duration),
    Split,
    Answer(String, u32, Answer),
}

impl Fault {
    /// What follows `FAULT`.
    pub(crate) fn parse(args: &mut Args<'_>) -> Result<Self, Malformed> {
        args.sp()?;
        let start = *args;
        Ok(match args.word()?.as_str() {
            "CLEAR" => Self::Clear,
            "DROP" => {
                args.sp()?;
                let octets = args.number64()?;
                Self::Cut(octets, args.eat_word(" ONCE"))
            }
            "DELAY" => {
                args.sp()?;
                Self::Delay(Duration::from_millis(args.number64()?))
            }
            "SPLIT" => Self::Split,
            "ANSWER" => {
                args.sp()?;
                let command = String::from_utf8_lossy(&args.astring()?).into_owned();
                args.sp()?;
                let nth = args.nz_number()?;
                args.sp()?;
                let start = *args;
                let answer = String::from_utf8_lossy(&args.astring()?).parse();
                let answer = answer.map_err(|error: FaultError| start.malformed(error.to_string()))?;
                Self::Answer(command, nth, answer)
            }
            _ => return Err(start.malformed("there is no such fault")),
        })
    }
}

/// Whether UID stands before a command, and its name.
fn words(command: &str) -> (bool, String) {
    let command = command.to_ascii_uppercase();
    match command.strip_prefix("UID ") {
        Some(name) => (true, name.to_owned()),
        None => (false, command),
    }
}

/// NO or BAD, and what is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    is_bad: bool,
    /// `resp-text` (RFC 9051 §9): a response code in brackets may stand before the text.
    text: String,
}

impl FromStr for Answer {
    type Err = FaultError;

    fn from_str(answer: &str) -> Result<Self, FaultError> {
        let (status, text) = answer.split_once(' ').unwrap_or((answer, "told to fail"));
        let is_bad = status.eq_ignore_ascii_case("BAD");
        let rest = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("] ").filter(|(code, _)| !code.is_empty()).map(|(_, rest)| rest),
            None => Some(text),
        };
        let is_said = rest.is_some_and(|rest| !rest.is_empty())
            && text.bytes().all(|octet| matches!(octet, b' '..=b'~'));
        if !is_said || !(is_bad || status.eq_ignore_ascii_case("NO")) {
            return Err(FaultError::Answer);
        }
        Ok(Self { is_bad, text: text.to_owned() })
    }
}

impl From<Answer> for Reject {
    fn from(Answer { is_bad, text }: Answer) -> Self {
        if is_bad { Self::bad(text) } else { Self::no(text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_may_follow_a_tag() {
        let read = |text: &str| text.parse::<Answer>();
        for (text, is_bad, said) in [
            ("NO", false, "told to fail"),
            ("bad", true, "told to fail"),
            ("NO not now", false, "not now"),
            ("BAD [CLIENTBUG] no", true, "[CLIENTBUG] no"),
            ("No [BADCHARSET (UTF-8)] other", false, "[BADCHARSET (UTF-8)] other"),
        ] {
            assert_eq!(read(text), Ok(Answer { is_bad, text: said.to_owned() }), "{text}");
        }
        for text in [
            "",
            "OK",
            "OK done",
            "BYE",
            "NO ",
            "NO [INUSE]",
            "NO [INUSE] ",
            "NO [] x",
            "NO [x",
            "NO a\r\nb",
            "NO ü",
            " NO",
        ] {
            assert_eq!(read(text), Err(FaultError::Answer), "{text:?}");
        }
    }

    #[test]
    fn faults_are_read_as_they_are_documented() {
        let read = |text: &str| {
            let mut args = Args::new(text.as_bytes(), 0);
            Fault::parse(&mut args).is_ok_and(|_| args.end().is_ok())
        };
        for text in [
            " CLEAR",
            " drop 0",
            " DROP 9223372036854775807",
            " DROP 1000 once",
            " DELAY 1",
            " Split",
            " ANSWER SELECT 1 NO",
            " ANSWER \"uid fetch\" 4294967295 \"BAD [X] y\"",
            " ANSWER {6}\r\nSELECT 2 {4}\r\nNO x",
        ] {
            assert!(read(text), "{text:?}");
        }
        for text in [
            "",
            " ",
            " X",
            " CLEAR ALL",
            " DROP",
            " DROP x",
            " DROP -1",
            " DROP 1 TWICE",
            " DROP 9223372036854775808",
            " DELAY",
            " DELAY 1s",
            " SPLIT 2",
            " ANSWER",
            " ANSWER SELECT",
            " ANSWER SELECT NO",
            " ANSWER SELECT 0 NO",
            " ANSWER SELECT 1",
            " ANSWER SELECT 1 OK",
            " ANSWER SELECT 1 NO x",
            " ANSWER SELECT 4294967296 NO",
        ] {
            assert!(!read(text), "{text:?}");
        }
    }

    #[test]
    fn delays_and_answers_have_bounds() {
        let faults = Faults::default();
        assert_eq!(faults.delay(LONGEST), Ok(()));
        assert_eq!(faults.delay(LONGEST + Duration::from_millis(1)), Err(FaultError::Delay));
        assert_eq!(faults.answer("NOOP", 0, "NO"), Err(FaultError::Zero));
        for _ in 0..MOST {
            assert_eq!(faults.answer("NOOP", 1, "NO"), Ok(()));
        }
        assert_eq!(faults.answer("NOOP", 1, "NO"), Err(FaultError::Answers));
        faults.clear();
        assert_eq!(faults.answer("NOOP", 1, "NO"), Ok(()));
    }
}
