//! A command's way: row → state → run → flush → tagged reply.

mod code;
mod flush;
mod trace;

use std::io;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::command::capability;
use crate::registry::{Context, Flow, Outcome, Row, Run, Shared, Ticket, Updates, Upgrade, Waiting};
use crate::session::view::Removals;
use crate::session::{Data, Output, Policy, Reject, Reply, State, Upload};
use crate::types::Code;
use crate::users::ConnectionInfo;
use crate::wire::{Args, FrameLimits};

/// One client's session: takes commands, and sends what comes of them. Knows no socket.
pub struct Session {
    shared: Arc<Shared>,
    connection: ConnectionInfo,
    state: State,
    policy: Policy,
    data: Data,
    out: Output,
    ticket: Ticket,
    waiting: Option<Takeover>,
    bad_commands: u32,
    leaving: CancellationToken,
}

/// A command that has taken the input over.
struct Takeover {
    tag: String,
    row: Row,
    uid: bool,
    waiting: Box<dyn Waiting>,
    changes: Option<watch::Receiver<u64>>,
}

/// What the connection does next.
pub enum Next {
    /// Takes more.
    Go,
    /// Puts another transport below, and then goes on.
    Upgrade(Upgrade),
    /// Ends.
    Close,
}

/// A command up to its arguments.
struct Head<'a> {
    tag: &'a str,
    name: String,
    uid: bool,
    args: Args<'a>,
}

impl Session {
    /// The session of a connection that has just been made.
    pub fn new(shared: Arc<Shared>, connection: ConnectionInfo, out: Output, ticket: Ticket) -> Self {
        let policy = shared.registry.new_policy();
        Self {
            shared,
            connection,
            state: State::default(),
            policy,
            data: Data::default(),
            out,
            ticket,
            waiting: None,
            bad_commands: 0,
            leaving: CancellationToken::new(),
        }
    }

    /// To be cancelled when the client sends no more: what takes long is not done for it then.
    pub fn leaving(&self) -> CancellationToken {
        self.leaving.clone()
    }

    /// Says that the server is there.
    pub async fn greet(&mut self) -> io::Result<()> {
        let code = capability::code(&self.shared, &self.connection, false);
        self.out.status("", "OK", Some(&code), "imapper ready").await
    }

    /// Ends the conversation from this side.
    pub async fn bye(&mut self, code: Option<&Code>, text: &str) -> io::Result<()> {
        self.out.status("", "BYE", code, text).await
    }

    /// The way to the client.
    pub const fn out(&mut self) -> &mut Output {
        &mut self.out
    }

    /// The bounds.
    pub fn limits(&self) -> &crate::limits::Limits {
        &self.shared.limits
    }

    /// The connection that it is on.
    pub const fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }

    /// Whether somebody has logged in.
    pub const fn is_authenticated(&self) -> bool {
        self.state.login().is_some()
    }

    /// What may come now.
    pub fn frame_limits(&self) -> FrameLimits {
        if self.is_authenticated() {
            self.shared.limits.frame(self.policy.non_sync)
        } else {
            self.shared.limits.frame_before_login(self.policy.non_sync)
        }
    }

    /// TLS is on now.
    pub const fn secured(&mut self) {
        self.connection.tls = true;
        self.connection.can_start_tls = false;
    }

    /// The longest line that may come, if a command has taken the input over.
    pub fn max_line(&self) -> Option<usize> {
        self.waiting.as_ref().map(|takeover| takeover.waiting.max_line())
    }

    /// Waits until there may be something to tell at once; for ever, if nothing is told at once.
    pub async fn changed(&mut self) {
        let changes = self.waiting.as_mut().and_then(|takeover| takeover.changes.as_mut());
        let Some(changes) = changes else { return std::future::pending().await };
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Tells what has happened, to a client that waits for it. The storage is not asked: what woke this session
    /// has come from there, and has woken all that look at the mailbox.
    pub async fn tell(&mut self) -> Next {
        let Some(selected) = self.state.selected_mut() else { return Next::Go };
        match flush::flush(&mut self.out, &mut self.policy, selected, Removals::Tell, false).await {
            Ok(()) => Next::Go,
            Err(reject) => self.reject("*", "", reject).await,
        }
    }

    /// Whether the literal that `text` ends with goes by instead of being held in memory.
    pub fn streams(&self, text: &[u8]) -> bool {
        let Ok(head) = self.head(text) else { return false };
        let streams = self.shared.registry.row(&head.name).and_then(|row| row.streams);
        streams.is_some_and(|streams| streams(head.args.rest()))
    }

    fn head<'a>(&self, text: &'a [u8]) -> Result<Head<'a>, (Option<&'a str>, Reject)> {
        let limits = &self.shared.limits;
        let depth = if self.is_authenticated() { limits.nesting } else { limits.nesting_before_login };
        let mut args = Args::new(text, depth);
        let tag = args.tag().map_err(|error| (None, error.into()))?;
        let tag = std::str::from_utf8(tag).map_err(|_| (None, Reject::bad("tag expected")))?;
        // Before login a line of one word may be a password that came too early: it is not sent back as a tag.
        let answered = (self.is_authenticated() || !args.rest().is_empty()).then_some(tag);
        let mut name = || {
            args.sp()?;
            args.word()
        };
        let mut word = name().map_err(|error| (answered, error.into()))?;
        let uid = word == "UID";
        if uid {
            word = name().map_err(|error| (Some(tag), error.into()))?;
        }
        Ok(Head { tag, name: word, uid, args })
    }

    /// Runs a command. `upload` is the literal at its end that goes by.
    pub async fn command(&mut self, text: &[u8], upload: Option<&mut Upload>) -> Next {
        let head = match self.head(text) {
            Ok(head) => head,
            Err((tag, reject)) => {
                self.trace_command(text, None);
                return self.reject(tag.unwrap_or("*"), "", reject).await;
            }
        };
        let row = self.shared.registry.row(&head.name).cloned();
        self.trace_command(text, row.as_ref());
        let Some(row) = row else {
            return self.reject(head.tag, "", Reject::bad("there is no such command")).await;
        };
        if !row.uid.fits(head.uid) {
            let text = if head.uid {
                "this command has no form with UID"
            } else {
                "this command needs UID before it"
            };
            return self.reject(head.tag, row.name, Reject::bad(text)).await;
        }
        // RFC 9051 §7.5.1: UID FETCH and the like are not FETCH.
        let mut removals = match row.updates {
            Updates::HoldRemovals if !head.uid => Removals::Hold,
            _ => Removals::Tell,
        };
        let outcome = self.run(&row, &head, upload, &mut removals).await;
        self.conclude(head.tag, &row, head.uid, removals, outcome).await
    }

    /// Runs a row's handler with what its state holds, and enters the state that comes of it.
    async fn run(
        &mut self,
        row: &Row,
        head: &Head<'_>,
        upload: Option<&mut Upload>,
        removals: &mut Removals,
    ) -> Outcome {
        let mut args = head.args;
        let (is_authenticated, is_selected) = (self.is_authenticated(), self.state.selected().is_some());
        let mut cx = Context {
            shared: &self.shared,
            connection: &self.connection,
            policy: &mut self.policy,
            data: &mut self.data,
            out: &mut self.out,
            leaving: &self.leaving,
            upload,
            tag: head.tag,
            name: row.name,
            uid: head.uid,
            is_authenticated,
            is_selected,
            removals: *removals,
            ticket: &mut self.ticket,
            next: None,
            removed: None,
        };
        for before in &self.shared.registry.before {
            before.check(&cx)?;
        }
        let outcome = match (&row.run, &mut self.state) {
            (Run::Any(run), _) => run.run(&mut cx, &mut args).await,
            (Run::AnyState(run), state) => run.run(&mut cx, state, &mut args).await,
            (Run::NotAuthenticated(run), State::NotAuthenticated) => run.run(&mut cx, &mut args).await,
            (Run::Authenticated(run), State::Authenticated(login) | State::Selected(login, _)) => {
                run.run(&mut cx, login, &mut args).await
            }
            (Run::Selected(run), State::Selected(login, selected)) => {
                run.run(&mut cx, login, selected, &mut args).await
            }
            (_, state) => {
                let text = format!("{} can't be used in the {} state", row.name, state.name());
                Err(Reject::bad(text))
            }
        };
        *removals = cx.removals;
        let (next, removed) = (cx.next, cx.removed);
        self.enter(next, removed);
        outcome
    }

    fn enter(&mut self, next: Option<State>, removed: Option<crate::storage::Mbox>) {
        if let Some(next) = next {
            self.state = next;
        }
        let is_open = |removed| self.state.selected().is_some_and(|selected| selected.mbox == removed);
        if removed.is_some_and(is_open)
            && let State::Selected(login, _) = std::mem::take(&mut self.state)
        {
            self.state = State::Authenticated(login);
        }
    }

    /// A line for whoever has taken the input over.
    pub async fn line(&mut self, line: &[u8]) -> Next {
        let Some(mut takeover) = self.waiting.take() else { return Next::Go };
        if self.out.is_traced() {
            let shown = String::from_utf8_lossy(line);
            self.out
                .trace('R', if takeover.waiting.is_secret() { trace::secret() } else { &shown }.as_bytes());
        }
        let (is_authenticated, is_selected) = (self.is_authenticated(), self.state.selected().is_some());
        let mut cx = Context {
            shared: &self.shared,
            connection: &self.connection,
            policy: &mut self.policy,
            data: &mut self.data,
            out: &mut self.out,
            leaving: &self.leaving,
            upload: None,
            tag: &takeover.tag,
            name: takeover.row.name,
            uid: takeover.uid,
            is_authenticated,
            is_selected,
            removals: Removals::Tell,
            ticket: &mut self.ticket,
            next: None,
            removed: None,
        };
        let outcome = takeover.waiting.line(&mut cx, line).await;
        let (next, removed) = (cx.next, cx.removed);
        self.enter(next, removed);
        let outcome = match outcome {
            Ok(None) => {
                self.waiting = Some(takeover);
                return Next::Go;
            }
            Ok(Some(flow)) => Ok(flow),
            Err(reject) => Err(reject),
        };
        self.conclude(&takeover.tag, &takeover.row, takeover.uid, Removals::Tell, outcome).await
    }

    /// A literal was too large, and will not come.
    pub async fn refused(&mut self, text: &[u8]) -> Next {
        let head = self.head(text);
        let row = head.as_ref().ok().and_then(|head| self.shared.registry.row(&head.name));
        self.trace_command(text, row);
        let tag = head.map_or_else(|(tag, _)| tag, |head| Some(head.tag));
        let text = "the literal is too large";
        match self.out.tagged("", tag.unwrap_or("*"), "BAD", Some(&Code::TOOBIG), text).await {
            Ok(()) => self.count_bad().await,
            Err(_) => Next::Close,
        }
    }

    /// Sends what is told of the mailbox, and the tagged reply.
    async fn conclude(
        &mut self,
        tag: &str,
        row: &Row,
        uid: bool,
        removals: Removals,
        outcome: Outcome,
    ) -> Next {
        let flow = match outcome {
            Ok(flow) => flow,
            Err(reject @ (Reject::Bad(_) | Reject::Bye(..) | Reject::Gone(_))) => {
                return self.reject(tag, row.name, reject).await;
            }
            Err(reject) => {
                let flushed = self.flush(row, uid, removals).await;
                let next = self.reject(tag, row.name, reject).await;
                return self.go_on(row, flushed, next).await;
            }
        };
        self.bad_commands = 0;
        if let Flow::Wait(waiting) = flow {
            return self.take_over(tag, row, uid, waiting).await;
        }
        let flushed = self.flush(row, uid, removals).await;
        let (reply, next) = match flow {
            Flow::Done(reply) => (reply, Next::Go),
            Flow::Upgrade(upgrade, reply) => (reply, Next::Upgrade(upgrade)),
            Flow::Close(reply) => (reply, Next::Close),
            Flow::Wait(_) => (Reply::completed(), Next::Go),
        };
        let completed = format!("{}{} completed", if uid { "UID " } else { "" }, row.name);
        let text = if reply.text.is_empty() { completed.as_str() } else { &reply.text };
        match self.out.tagged(row.name, tag, "OK", reply.code.as_ref(), text).await {
            Ok(()) => self.go_on(row, flushed, next).await,
            Err(_) => Next::Close,
        }
    }

    /// The mailbox may have gone while the command was done. The client learns first what became of the
    /// command, or it would do it again.
    async fn go_on(&mut self, row: &Row, flushed: Result<(), Reject>, next: Next) -> Next {
        match flushed {
            Err(worse) if !matches!(next, Next::Close) => self.reject("*", row.name, worse).await,
            _ => next,
        }
    }

    async fn take_over(&mut self, tag: &str, row: &Row, uid: bool, waiting: Box<dyn Waiting>) -> Next {
        let tells = waiting.tells_changes();
        // From here on nothing is missed: first the hint is asked for, then what is there already is told.
        let changes = self.state.selected().filter(|_| tells).map(|selected| selected.view.hub().subscribe());
        self.waiting = Some(Takeover { tag: tag.to_owned(), row: row.clone(), uid, waiting, changes });
        if !tells {
            return Next::Go;
        }
        if let Some(selected) = self.state.selected() {
            flush::refresh(selected).await;
        }
        self.tell().await
    }

    async fn flush(&mut self, row: &Row, uid: bool, removals: Removals) -> Result<(), Reject> {
        if row.updates == Updates::Nothing {
            return Ok(());
        }
        let Some(selected) = self.state.selected_mut() else { return Ok(()) };
        flush::refresh(selected).await;
        flush::flush(&mut self.out, &mut self.policy, selected, removals, uid).await
    }

    /// Answers a command that was not done.
    async fn reject(&mut self, tag: &str, name: &str, reject: Reject) -> Next {
        let is_bad = matches!(reject, Reject::Bad(_));
        let Some(answer) = code::answer(reject, self.connection.id, name) else { return Next::Close };
        let tag = if answer.closes { "*" } else { tag };
        let sent = if tag == "*" {
            self.out.status(name, answer.status, answer.code.as_ref(), &answer.text).await
        } else {
            self.out.tagged(name, tag, answer.status, answer.code.as_ref(), &answer.text).await
        };
        if sent.is_err() || answer.closes {
            return Next::Close;
        }
        if self.ticket.failed_logins >= self.shared.limits.failed_logins && !self.is_authenticated() {
            let _ = self.bye(None, "too many failed logins").await;
            return Next::Close;
        }
        if is_bad {
            return self.count_bad().await;
        }
        self.bad_commands = 0;
        Next::Go
    }

    /// Whoever sends nothing but nonsense is cut off.
    async fn count_bad(&mut self) -> Next {
        self.bad_commands += 1;
        let limits = &self.shared.limits;
        let most =
            if self.is_authenticated() { limits.bad_commands } else { limits.bad_commands_before_login };
        if self.bad_commands <= most {
            return Next::Go;
        }
        let _ = self.bye(None, "too many bad commands").await;
        Next::Close
    }

    fn trace_command(&self, text: &[u8], row: Option<&Row>) {
        if !self.out.is_traced() {
            return;
        }
        let shown = match row {
            Some(row) if row.is_secret => trace::masked(text),
            None if !self.is_authenticated() => trace::hidden(text),
            _ => trace::shown(text),
        };
        self.out.trace('R', shown.as_bytes());
    }
}
