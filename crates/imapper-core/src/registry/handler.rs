//! A command: its row in the table, and what runs it.

use std::sync::Arc;

use async_trait::async_trait;

use super::Context;
use crate::session::{Login, Reject, Reply, Selected, State};
use crate::storage::Storage;
use crate::users::ConnectionInfo;
use crate::wire::Args;

/// How a command goes on.
pub enum Flow {
    /// It is done: tagged OK.
    Done(Reply),
    /// It takes over the lines that come, until it gives them back.
    Wait(Box<dyn Waiting>),
    /// Tagged OK, then another transport.
    Upgrade(Upgrade, Reply),
    /// Tagged OK, then the end of the connection.
    Close(Reply),
}

impl Flow {
    /// Done, with nothing to say.
    pub const fn done() -> Self {
        Self::Done(Reply::completed())
    }
}

/// What a command's success is; failures are [`Reject`].
pub type Outcome = Result<Flow, Reject>;

/// Another transport below the protocol.
pub enum Upgrade {
    /// TLS from here on. What was read before is thrown away.
    Tls,
    /// A transport of an extension's around the one that is there.
    Wrap(Arc<dyn Wrap>),
}

/// A transport around another one (RFC 4978).
pub trait Wrap: Send + Sync {
    /// Puts it around the two directions.
    fn wrap(&self, reader: Reader, writer: Writer) -> (Reader, Writer);
}

/// The direction from the client.
pub type Reader = Box<dyn tokio::io::AsyncRead + Send + Sync + Unpin>;
/// The direction to the client.
pub type Writer = Box<dyn tokio::io::AsyncWrite + Send + Sync + Unpin>;

/// Whoever takes the input over: gets whole lines, without their CRLF, until it gives them back (IDLE,
/// AUTHENTICATE).
#[async_trait]
pub trait Waiting: Send {
    /// A line has come. `None` waits for another.
    async fn line(&mut self, cx: &mut Context<'_>, line: &[u8]) -> Result<Option<Flow>, Reject>;

    /// The longest line that may come, in octets.
    fn max_line(&self) -> usize {
        8192
    }

    /// Whether what happens in the mailbox meanwhile is told at once (RFC 2177 §3).
    fn tells_changes(&self) -> bool {
        false
    }

    /// Whether its lines are secret, and shown masked in the debug output.
    fn is_secret(&self) -> bool {
        false
    }
}

/// A command that runs in every state.
#[async_trait]
pub trait InAny: Send + Sync + 'static {
    /// Runs it.
    async fn run(&self, cx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome;
}

/// A command that runs in every state, and looks at which it is.
#[async_trait]
pub trait InAnyState: Send + Sync + 'static {
    /// Runs it.
    async fn run(&self, cx: &mut Context<'_>, state: &mut State, args: &mut Args<'_>) -> Outcome;
}

/// A command that runs before login.
#[async_trait]
pub trait InNotAuthenticated: Send + Sync + 'static {
    /// Runs it.
    async fn run(&self, cx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome;
}

/// A command that runs after login, with or without an open mailbox.
#[async_trait]
pub trait InAuthenticated: Send + Sync + 'static {
    /// Runs it.
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome;
}

/// A command that runs on an open mailbox.
#[async_trait]
pub trait InSelected: Send + Sync + 'static {
    /// Runs it.
    async fn run(
        &self,
        cx: &mut Context<'_>,
        login: &Login,
        selected: &mut Selected,
        args: &mut Args<'_>,
    ) -> Outcome;
}

/// Where a command may run, and what it is given there.
#[derive(Clone)]
pub enum Run {
    /// In every state.
    Any(Arc<dyn InAny>),
    /// In every state, which it is given.
    AnyState(Arc<dyn InAnyState>),
    /// Before login.
    NotAuthenticated(Arc<dyn InNotAuthenticated>),
    /// After login.
    Authenticated(Arc<dyn InAuthenticated>),
    /// On an open mailbox.
    Selected(Arc<dyn InSelected>),
}

impl Run {
    /// In every state.
    pub fn any(run: impl InAny) -> Self {
        Self::Any(Arc::new(run))
    }

    /// In every state, which it is given.
    pub fn any_state(run: impl InAnyState) -> Self {
        Self::AnyState(Arc::new(run))
    }

    /// Before login.
    pub fn not_authenticated(run: impl InNotAuthenticated) -> Self {
        Self::NotAuthenticated(Arc::new(run))
    }

    /// After login.
    pub fn authenticated(run: impl InAuthenticated) -> Self {
        Self::Authenticated(Arc::new(run))
    }

    /// On an open mailbox.
    pub fn selected(run: impl InSelected) -> Self {
        Self::Selected(Arc::new(run))
    }
}

/// Whether a command may come with UID before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UidForm {
    /// It may not.
    #[default]
    No,
    /// It may, or not.
    Also,
    /// Only so.
    Only,
}

impl UidForm {
    /// Whether the command may come so.
    pub const fn fits(self, has_uid: bool) -> bool {
        match self {
            Self::No => !has_uid,
            Self::Also => true,
            Self::Only => has_uid,
        }
    }
}

/// What is told of the mailbox before a command's tagged reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Updates {
    /// Everything.
    #[default]
    All,
    /// Everything but removals, unless the command came with UID (RFC 9051 §7.5.1: no EXPUNGE during FETCH,
    /// STORE and SEARCH).
    HoldRemovals,
    /// Nothing.
    Nothing,
}

/// A command's row in the table.
#[derive(Clone)]
pub struct Row {
    /// Its word, in upper case.
    pub name: &'static str,
    /// Where it runs, and what.
    pub run: Run,
    /// Whether UID may stand before it.
    pub uid: UidForm,
    /// What is told before its reply.
    pub updates: Updates,
    /// Whether a literal goes by instead of being held in memory: asked with the text between the command's
    /// name and that literal.
    pub streams: Option<fn(&[u8]) -> bool>,
    /// Whether its arguments are secret: shown masked in the debug output.
    pub is_secret: bool,
}

impl Row {
    /// A row with defaults: no UID form, everything is told, literals are held.
    pub const fn new(name: &'static str, run: Run) -> Self {
        Self { name, run, uid: UidForm::No, updates: Updates::All, streams: None, is_secret: false }
    }

    /// With that UID form.
    #[must_use]
    pub const fn uid(mut self, uid: UidForm) -> Self {
        self.uid = uid;
        self
    }

    /// With these updates.
    #[must_use]
    pub const fn updates(mut self, updates: Updates) -> Self {
        self.updates = updates;
        self
    }

    /// With a literal that goes by.
    #[must_use]
    pub const fn streams(mut self, which: fn(&[u8]) -> bool) -> Self {
        self.streams = Some(which);
        self
    }

    /// With secret arguments.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }
}

/// Whether a capability is shown to a connection in that state.
pub type Availability = Arc<dyn Fn(&Moment<'_>) -> bool + Send + Sync>;

/// What an [`Availability`] may look at.
#[non_exhaustive]
pub struct Moment<'a> {
    /// The connection.
    pub connection: &'a ConnectionInfo,
    /// The storage, for what needs one of its optional features.
    pub storage: &'a dyn Storage,
    /// Whether somebody has logged in.
    pub is_authenticated: bool,
    /// Whether a mailbox is open.
    pub is_selected: bool,
    /// Whether a password may be sent in clear: TLS is on, or nothing holds it back.
    pub plaintext_allowed: bool,
}

impl<'a> Moment<'a> {
    /// A moment on that connection.
    pub const fn new(
        connection: &'a ConnectionInfo,
        storage: &'a dyn Storage,
        is_authenticated: bool,
        is_selected: bool,
        plaintext_allowed: bool,
    ) -> Self {
        Self { connection, storage, is_authenticated, is_selected, plaintext_allowed }
    }
}
