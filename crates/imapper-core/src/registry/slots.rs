//! The slots that an extension fills, and the base protocol too: each a small trait. Their grain is
//! RFC 4466's, labels and values inside of commands, so that two extensions meet on one command without
//! knowing each other.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Context, Registry};
use crate::message::Digest;
use crate::message::search::decode_charset;
use crate::session::{Login, Place, Reject, Rights, Selected};
use crate::storage::{
    Appended, Copied, CopyMode, FlagChange, MailboxId, MailboxInfo, Row, SearchKey as Pushed, Status,
    Storage, Want,
};
use crate::types::{Code, Flags, ModSeq, Seq, Uid, UidSet};
use crate::wire::{Args, Line};

// ---------------------------------------------------------------------------------------------- FETCH

/// A word of FETCH.
pub trait FetchItem: Send + Sync + 'static {
    /// Reads what follows the word.
    fn parse(&self, args: &mut Args<'_>) -> Result<Box<dyn Fetched>, Reject>;
}

/// One item of one FETCH.
#[async_trait]
pub trait Fetched: Send + Sync {
    /// The word before its value, where that is always the same; so that nobody tells the same once more.
    fn name(&self) -> &'static str {
        ""
    }

    /// The command is understood, and nothing is told yet: an item may still refuse.
    fn begin(&self, _cx: &mut Context<'_>, _selected: &mut Selected) -> Result<(), Reject> {
        Ok(())
    }

    /// Which columns of a message's row it is made of; `None` if the table of the view is enough (number,
    /// UID, flags, mod-sequence).
    fn wants(&self) -> Option<Want> {
        None
    }

    /// Looks up what it needs for many messages at once; `rows` is empty if no item wants rows.
    async fn prepare(
        &mut self,
        _cx: &mut Context<'_>,
        _login: &Login,
        _selected: &Selected,
        _rows: &[Row],
    ) -> Result<(), Reject> {
        Ok(())
    }

    /// Octets of the body that must be at hand to render it: headers, never whole bodies, which
    /// [`Line::body`] streams.
    fn reads(&self, _message: &Fetching<'_>) -> Option<Range<u64>> {
        None
    }

    /// Adds `NAME value`; `read` is what [`Fetched::reads`] asked for. Adds nothing where there is nothing;
    /// of a failure nothing stays in the line. Is not asked where it wants a digest and there is none.
    fn render(&self, message: &Fetching<'_>, read: Option<&Bytes>, line: &mut Line) -> Result<(), Reject>;

    /// Whether fetching it sets `\Seen` (RFC 9051 §6.4.5).
    fn sets_seen(&self) -> bool {
        false
    }

    /// Whether it tells the flags, so that they need not be told again.
    fn tells_flags(&self) -> bool {
        false
    }

    /// Whether it tells the UID.
    fn tells_uid(&self) -> bool {
        false
    }
}

/// A message that is being fetched.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Fetching<'a> {
    /// Its number.
    pub seq: Seq,
    /// Its UID.
    pub uid: Uid,
    /// Its flags.
    pub flags: &'a Flags,
    /// Whether it is `\Recent` in this session.
    pub recent: bool,
    /// The mod-sequence of its last change.
    pub modseq: ModSeq,
    /// Its row, if any item wants one.
    pub row: Option<&'a Row>,
    /// Its parse, if any item wants one.
    pub digest: Option<&'a Digest>,
    /// The mailboxes of the account that hold it, this one among them, if a key of SEARCH wants them.
    pub places: &'a [MailboxId],
}

impl<'a> Fetching<'a> {
    /// A message of the view, without its row.
    pub const fn new(seq: Seq, uid: Uid, flags: &'a Flags, recent: bool, modseq: ModSeq) -> Self {
        Self { seq, uid, flags, recent, modseq, row: None, digest: None, places: &[] }
    }
}

/// A modifier of FETCH (RFC 4466 §2.4).
pub trait FetchModifier: Send + Sync + 'static {
    /// Reads what follows the word, which is a space and a value if it has one, and changes the plan.
    fn parse(&self, cx: &mut Context<'_>, args: &mut Args<'_>, plan: &mut FetchPlan) -> Result<(), Reject>;
}

/// What a FETCH is going to do.
#[derive(Default)]
pub struct FetchPlan {
    /// Which messages.
    pub uids: UidSet,
    /// Of UID FETCH, all UIDs that the client has named, whether or not there are such messages.
    pub named: UidSet,
    /// Only those whose mod-sequence is above this one.
    pub changed_since: Option<ModSeq>,
    /// The items, in the order in which they are told.
    pub items: Vec<Box<dyn Fetched>>,
    /// What is done before the first message is told.
    pub before: Vec<Box<dyn BeforeFetch>>,
}

/// Something that a modifier does before the first message is told.
#[async_trait]
pub trait BeforeFetch: Send + Sync {
    /// Does it; may change which messages are told.
    async fn run(
        &self,
        cx: &mut Context<'_>,
        selected: &mut Selected,
        plan: &mut FetchPlan,
    ) -> Result<(), Reject>;
}

// ---------------------------------------------------------------------------------------------- STORE

/// A word of STORE beside FLAGS.
pub trait StoreItem: Send + Sync + 'static {
    /// Reads what follows the word. `sign` is `+`, `-` or nothing.
    fn parse(&self, args: &mut Args<'_>, sign: Option<u8>, silent: bool) -> Result<Box<dyn Storing>, Reject>;
}

/// What such a word does.
#[async_trait]
pub trait Storing: Send + Sync {
    /// Does it; gives the reply's response code.
    async fn run(
        &self,
        cx: &mut Context<'_>,
        login: &Login,
        selected: &mut Selected,
        uids: &UidSet,
    ) -> Result<Option<Code>, Reject>;
}

/// A modifier of STORE (RFC 4466 §2.5).
pub trait StoreModifier: Send + Sync + 'static {
    /// Reads its value and changes what is stored.
    fn parse(&self, cx: &mut Context<'_>, args: &mut Args<'_>, change: &mut FlagChange)
    -> Result<(), Reject>;

    /// The command is understood, and nothing is stored yet.
    fn begin(&self, _cx: &mut Context<'_>) {}
}

// ---------------------------------------------------------------------------------------------- SEARCH

/// A word of SEARCH.
pub trait SearchKey: Send + Sync + 'static {
    /// Reads what follows the word, from the space before it on.
    fn parse(&self, args: &mut Args<'_>, search: &Searching<'_>) -> Result<Box<dyn SearchTest>, Reject>;

    /// The same for a word that stands for several tests, with the operators between them.
    fn terms(&self, args: &mut Args<'_>, search: &Searching<'_>) -> Result<Vec<SearchTerm>, Reject> {
        Ok(vec![SearchTerm::Test(self.parse(args, search)?)])
    }
}

/// Tests and what joins them, each operator before what it stands over.
pub enum SearchTerm {
    /// A test.
    Test(Box<dyn SearchTest>),
    /// The next one is not true.
    Not,
    /// So many that follow are true; at least one.
    All(usize),
    /// One of so many that follow is true; at least one.
    Any(usize),
}

/// What the words of a SEARCH are read with.
#[non_exhaustive]
pub struct Searching<'a> {
    /// The character set of its strings, as the client named it.
    pub charset: &'a str,
    /// The open mailbox.
    pub selected: &'a Selected,
    registry: &'a Registry,
}

impl<'a> Searching<'a> {
    /// With the words of that registry, in that set of characters, on that mailbox.
    pub const fn new(registry: &'a Registry, charset: &'a str, selected: &'a Selected) -> Self {
        Self { charset, selected, registry }
    }

    /// The same for strings in UTF-8: for a key that is made of others.
    #[must_use]
    pub const fn utf8(&self) -> Self {
        Self::new(self.registry, "UTF-8", self.selected)
    }

    /// Takes an `astring`, and decodes it.
    pub fn text(&self, args: &mut Args<'_>) -> Result<String, Reject> {
        let octets = args.astring()?;
        decode_charset(&octets, self.charset).ok_or_else(bad_charset)
    }

    /// Takes a key that begins with a word, but for the operators NOT and OR.
    pub fn key(&self, args: &mut Args<'_>) -> Result<Box<dyn SearchTest>, Reject> {
        self.word(args)?.parse(args, self)
    }

    /// The same for a key that may stand for several tests.
    pub fn terms(&self, args: &mut Args<'_>) -> Result<Vec<SearchTerm>, Reject> {
        self.word(args)?.terms(args, self)
    }

    fn word(&self, args: &mut Args<'_>) -> Result<&'a dyn SearchKey, Reject> {
        let start = *args;
        let key = self.registry.search_keys.get(&args.word()?);
        Ok(&**key.ok_or_else(|| start.malformed("no such search key"))?)
    }
}

/// The set of characters is not known (RFC 3501 §6.4.4).
pub(crate) fn bad_charset() -> Reject {
    Reject::code(Code::bad_charset(&["US-ASCII", "UTF-8"]), "this set of characters is not known")
}

/// What must be known of a message to test it, from cheap to costly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// The table of the view: number, UID, flags, mod-sequence.
    #[default]
    Table,
    /// The row: dates, size.
    Row,
    /// The parse: the date of sending, the structure.
    Digest,
    /// The header, as it stands.
    Header,
    /// The decoded text of the body.
    Body,
    /// The decoded text of the header and of the body.
    Text,
}

/// One key of a SEARCH.
#[async_trait]
pub trait SearchTest: Send + Sync {
    /// What it has to know.
    fn cost(&self) -> Cost {
        Cost::Table
    }

    /// Whether it has to know [`Fetching::places`], too; for keys of [`Cost::Row`] and above.
    fn wants_places(&self) -> bool {
        false
    }

    /// Looks up what it needs, once; nothing is tested yet.
    async fn prepare(
        &mut self,
        _cx: &Context<'_>,
        _login: &Login,
        _selected: &Selected,
    ) -> Result<(), Reject> {
        Ok(())
    }

    /// Whether it is true of the message. A key of [`Cost::Body`] or [`Cost::Text`] is asked once for each
    /// piece of the text, and is true if it is true of one of them.
    fn test(&self, message: &Fetching<'_>, text: SearchText<'_>) -> bool;

    /// How many octets of text, in UTF-8, it may have to see at once. Pieces of long parts overlap by as
    /// much.
    fn overlap(&self) -> usize {
        0
    }

    /// The keys are understood, and nothing is looked at yet.
    fn begin(&self, _cx: &mut Context<'_>) {}

    /// Whether it names messages by number, so that no number may change before the answer is complete
    /// (RFC 9051 §7.5.1).
    fn names_numbers(&self) -> bool {
        false
    }

    /// Adds to the end of the answer because this key was used, as ` (NAME value)`, or in the extended form
    /// as ` NAME value`. `found` holds UIDs.
    fn adds(&self, _selected: &Selected, _found: &UidSet, _extended: bool, _line: &mut Line) {}

    /// The key for a storage that has an index; `None` if it must be tested here.
    fn pushed(&self) -> Option<Pushed> {
        None
    }
}

/// What a key of [`Cost::Header`] or above looks into.
#[derive(Clone, Copy, Debug)]
pub enum SearchText<'a> {
    /// Nothing, for keys that cost less.
    Nothing,
    /// The message's header as it stands, for keys of [`Cost::Header`].
    Header(&'a [u8]),
    /// Header fields of the message or of its parts, decoded, a line each; for keys of [`Cost::Text`].
    Fields(&'a str),
    /// A piece of the body: text of a part, or the header of a message in the message; decoded. For keys of
    /// [`Cost::Body`] and [`Cost::Text`].
    Body(&'a str),
}

/// A word of `RETURN (…)` (RFC 4466 §2.6): shapes the answer.
pub trait SearchReturn: Send + Sync + 'static {
    /// Reads what follows the word.
    fn parse(&self, args: &mut Args<'_>) -> Result<Box<dyn SearchShape>, Reject>;
}

/// What such a word does with the result.
#[async_trait]
pub trait SearchShape: Send + Sync {
    /// Adds ` NAME value` to the answer of the extended form. `found` holds UIDs or numbers, as the command
    /// was given.
    async fn shape(
        &self,
        cx: &mut Context<'_>,
        selected: &mut Selected,
        found: &UidSet,
        line: &mut Line,
    ) -> Result<(), Reject>;

    /// Whether it asks for an answer at all. If no word does, none is sent.
    fn answers(&self) -> bool {
        true
    }
}

// ---------------------------------------------------------------------------------------------- mailboxes

/// A word of STATUS.
pub trait StatusItem: Send + Sync + 'static {
    /// It was asked for.
    fn begin(&self, _cx: &mut Context<'_>) {}

    /// Adds the value. Mod-sequences are 0 where the storage keeps none.
    fn render(&self, mailbox: &MailboxInfo, status: &Status, line: &mut Line);
}

/// A parameter of SELECT and EXAMINE (RFC 4466 §2.1).
pub trait SelectParameter: Send + Sync + 'static {
    /// Reads its value.
    fn parse(&self, cx: &mut Context<'_>, args: &mut Args<'_>) -> Result<Box<dyn OnSelect>, Reject>;
}

/// What happens when a mailbox is opened.
#[async_trait]
pub trait OnSelect: Send + Sync {
    /// The mailbox is open; its state has been told, the tagged OK has not.
    async fn opened(&self, cx: &mut Context<'_>, selected: &mut Selected) -> Result<(), Reject>;
}

/// A parameter of CREATE (RFC 4466 §2.2).
pub trait CreateParameter: Send + Sync + 'static {
    /// Reads its value and changes what is made.
    fn parse(&self, cx: &mut Context<'_>, args: &mut Args<'_>, plan: &mut CreatePlan) -> Result<(), Reject>;

    /// The command is understood, and nothing is made yet: whether this can be made there.
    fn check(&self, _place: &Place, _plan: &CreatePlan) -> Result<(), Reject> {
        Ok(())
    }
}

/// A mailbox that is to be made.
#[derive(Clone, Debug, Default)]
pub struct CreatePlan {
    /// What it is for (RFC 6154).
    pub special_use: Vec<Arc<str>>,
    /// The response code where the storage can't make such a mailbox.
    pub refusal: Option<Code>,
}

/// A mailbox, or a name above mailboxes, that LIST is going to tell.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListEntry {
    /// Its name on the wire, in Unicode.
    pub name: String,
    /// What stands between levels.
    pub separator: char,
    /// The mailbox; `None` for a name that is none.
    pub mailbox: Option<crate::storage::Mbox>,
    /// What the storage says of it.
    pub info: Option<MailboxInfo>,
    /// Whether there are names below it.
    pub has_children: bool,
    /// Whether the user is subscribed to it.
    pub subscribed: bool,
    /// Its attributes, in order, with the backslash.
    pub attributes: Vec<String>,
}

impl ListEntry {
    /// An entry without attributes.
    pub const fn new(name: String, separator: char) -> Self {
        Self {
            name,
            separator,
            mailbox: None,
            info: None,
            has_children: false,
            subscribed: false,
            attributes: Vec::new(),
        }
    }
}

/// Adds attributes to each mailbox that LIST and LSUB tell.
pub trait ListAttribute: Send + Sync + 'static {
    /// Looks at an entry, and adds to its attributes.
    fn decorate(&self, entry: &mut ListEntry);

    /// Whether LSUB tells them too, and not LIST alone.
    fn in_lsub(&self) -> bool {
        true
    }
}

/// A selection option of LIST (RFC 5258 §3.1).
pub trait ListSelection: Send + Sync + 'static {
    /// Whether the entry is told.
    fn selects(&self, entry: &ListEntry) -> bool;
    /// Adds what the option implies to an entry that is told.
    fn decorate(&self, _entry: &mut ListEntry) {}
}

/// A return option of LIST (RFC 5258 §3.2).
pub trait ListReturn: Send + Sync + 'static {
    /// Reads what follows the word.
    fn parse(&self, cx: &mut Context<'_>, args: &mut Args<'_>) -> Result<Box<dyn ListReturning>, Reject>;
}

/// What such an option adds.
#[async_trait]
pub trait ListReturning: Send + Sync {
    /// Adds to the entry's attributes.
    fn decorate(&self, _entry: &mut ListEntry) {}
    /// Sends more about the entry, after its LIST.
    async fn after(&self, _cx: &mut Context<'_>, _login: &Login, _entry: &ListEntry) -> Result<(), Reject> {
        Ok(())
    }
}

// ---------------------------------------------------------------------------------------------- the rest

/// What a command has done, for those who add a response code or a line to its reply.
#[non_exhaustive]
pub enum Done<'a> {
    /// SELECT or EXAMINE: what every client is told of the mailbox has been told; the parameters come then.
    Selected(&'a Selected),
    /// APPEND, to a mailbox on which the user has these rights.
    Appended(&'a Appended, Rights),
    /// COPY or MOVE, to a mailbox on which the user has these rights.
    Copied(&'a Copied, CopyMode, Rights),
    /// EXPUNGE, CLOSE or MOVE: which messages, and the mod-sequence of their removal.
    Expunged(&'a UidSet, ModSeq),
    /// STORE: the change, and what it did; `conflicts` are numbers or UIDs, as the command was given.
    Stored {
        /// Those held back.
        conflicts: &'a UidSet,
        /// The mod-sequence of the change.
        modseq: ModSeq,
    },
}

/// Adds to a command's reply.
#[async_trait]
pub trait OnDone: Send + Sync + 'static {
    /// Looks at what was done; may send lines, and gives the reply's response code if none is there yet.
    async fn done(&self, cx: &mut Context<'_>, done: &Done<'_>) -> Result<Option<Code>, Reject>;
}

/// What a word of ENABLE turns.
pub trait Enabling: Send + Sync + 'static {
    /// Turns it on; `false` if it can't be (then the word is not told as enabled).
    fn enable(&self, cx: &mut Context<'_>) -> bool;
}

/// Is asked before a command is run. What the command holds has been read; a literal that goes by has not.
pub trait BeforeCommand: Send + Sync + 'static {
    /// Why it is not run, whatever it is and in whatever state.
    fn check(&self, cx: &Context<'_>) -> Result<(), Reject>;
}

/// A storage around the storage: limits, metrics, faults.
pub trait StorageLayer: Send + Sync + 'static {
    /// Puts it around.
    fn wrap(&self, storage: Arc<dyn Storage>) -> Arc<dyn Storage>;
}
