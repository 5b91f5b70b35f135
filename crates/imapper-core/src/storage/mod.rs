//! What a storage plugin implements: mailboxes and messages by UID, durable.
//!
//! The plugin is the durable truth: it assigns UIDs and mod-sequences, keeps flags, bodies and the log of
//! removed UIDs, and enforces quota. The core is the protocol: sequence numbers, views, MIME, SEARCH, LIST
//! patterns, `\Recent`, pacing. So nothing here knows of sequence numbers, and nothing of the wire.
//!
//! The contract, which `imapper-testkit` checks:
//!
//! - [`Snapshot::uids`] is exactly the mailbox at [`Status::highest_modseq`].
//! - Whoever applies [`Storage::changes`] from any point ends equal to the snapshot; a row may be newer than
//!   [`Changes::to`], never older.
//! - UIDs and mod-sequences become visible in ascending order.
//! - A UID is never used twice under one UIDVALIDITY, a [`MailboxId`] never at all.
//! - The same [`Staged`] body appended twice to the same mailbox gives the same UID.
//! - After `Ok` the change survives a crash.
//! - A lost or doubled [`Event`] changes nothing but latency.
//! - Octets are counted as they go over the wire (CRLF); bodies are 8-bit clean, NUL included.

pub mod error;
pub mod facets;
pub mod fallback;
pub mod mailbox;
pub mod message;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

pub use error::{Result, StorageError};
pub use facets::{
    Attribute, Attributes, Dump, Dumping, Import, Numbers, Objects, Quota, QuotaLimits, QuotaUse, Search,
    SearchHit, SearchKey,
};
pub use mailbox::{AccountId, Event, MailboxId, MailboxInfo, Mbox, Snapshot, Status, TreeOp};
pub use message::{
    Appended, Changes, Copied, CopyMode, FlagChange, FlagOp, KeptDigest, NewMessage, Row, Staged, Stored,
    Want,
};

pub use crate::types::BodyRef;
use crate::types::{ModSeq, Uid, UidSet};

/// The octets of a body, as they come.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;
/// Rows in chunks, in the order of their UIDs.
pub type RowStream = BoxStream<'static, Result<Vec<Row>>>;

/// How far a storage keeps mod-sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModSeqs {
    /// None. The core finds changes by comparing all rows, and offers nothing that needs mod-sequences. What
    /// stands where a mod-sequence is told means nothing and may always be the same; `changes()` tells every
    /// message whatever it is asked since, and an [`Event::Mailbox`] only that something has changed.
    None,
    /// What `changes()` tells of changed messages is exact; the removed ones may be a superset.
    Changes,
    /// The log of removed UIDs is kept too.
    Full,
}

/// From how far away a change raises an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Not at all: the core asks again and again.
    Poll,
    /// From within this process.
    Process,
    /// From every node.
    Cluster,
}

/// What the required methods of a storage mean there. Optional features are the `as_…` accessors instead,
/// so that a plugin can't announce what it does not implement.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Caps {
    /// Whether mod-sequences are kept.
    pub modseq: ModSeqs,
    /// Whose changes raise events.
    pub watch: Reach,
    /// Whether [`CopyMode::Move`] is one step: before or after a crash, never between.
    pub atomic_move: bool,
    /// Whether [`Row::email_id`] and [`Row::thread_id`] are kept and stable.
    pub object_ids: bool,
    /// Whether [`Row::save_date`] is kept.
    pub save_date: bool,
    /// How many keywords a mailbox may have: `None` for no bound, `Some(0)` for no keywords.
    pub keywords: Option<usize>,
    /// The largest message, in octets; `None` for no bound.
    pub max_message: Option<u64>,
}

impl Caps {
    /// The least: no mod-sequences, no events, nothing optional.
    pub const fn least() -> Self {
        Self {
            modseq: ModSeqs::None,
            watch: Reach::Poll,
            atomic_move: false,
            object_ids: false,
            save_date: false,
            keywords: None,
            max_message: None,
        }
    }
}

/// A place where mail is kept. Ten methods are required; the others have defaults that are right
/// everywhere, and are overridden for speed or atomicity.
///
/// Each call that changes something is one atomic, durable step with one new mod-sequence a mailbox; a call
/// that changes nothing takes none. Calls may be dropped half-way only before their first await: the core
/// runs every mutation to its end even when the client hangs up.
#[async_trait]
pub trait Storage: Send + Sync + 'static {
    /// What this storage can do. Does not change while the server runs.
    fn caps(&self) -> Caps;

    // The tree of mailboxes. Names are UTF-8 with '/' between levels; the core converts.

    /// All mailboxes of the account, in any order. An account that was never used has its INBOX.
    async fn list(&self, account: &AccountId) -> Result<Vec<MailboxInfo>>;

    /// The names that the account is subscribed to (RFC 9051 §6.3.7), whether or not they exist. They may
    /// lie in other accounts; they are opaque here.
    async fn subscriptions(&self, account: &AccountId) -> Result<Vec<String>>;

    /// Changes the tree; gives the mailbox that was made or changed, where there is one.
    async fn tree(&self, account: &AccountId, op: TreeOp) -> Result<Option<MailboxInfo>>;

    /// The state of several mailboxes, in the order of `ids`. [`StorageError::NoMailbox`] if one is gone.
    async fn status(&self, account: &AccountId, ids: &[MailboxId]) -> Result<Vec<Status>>;

    // Reading.

    /// The state of a mailbox and exactly the UIDs in it.
    async fn snapshot(&self, mbox: &Mbox) -> Result<Snapshot>;

    /// The rows of those messages of `uids` that exist, in the order of UIDs.
    async fn rows(&self, mbox: &Mbox, uids: &UidSet, want: Want) -> Result<RowStream>;

    /// The octets of a body in `range`, cut at the body's end. Reads no more than it must.
    async fn read(&self, body: &BodyRef, range: Range<u64>) -> Result<ByteStream>;

    // Writing.

    /// Takes in a body and makes it durable before anything refers to it. A staged body that nothing
    /// refers to is reclaimed. `size` is what the client announced, if it did.
    async fn stage(&self, account: &AccountId, size: Option<u64>, body: ByteStream) -> Result<Staged>;

    /// Adds messages, all or none, in one step.
    async fn append(&self, mbox: &Mbox, messages: Vec<NewMessage>) -> Result<Appended>;

    /// Changes flags of those messages of the set that exist.
    async fn set_flags(&self, mbox: &Mbox, change: FlagChange) -> Result<Stored>;

    /// Removes those messages of the set that exist, or only those of them that are `\Deleted` at that
    /// moment; tells which, and the mod-sequence of the removal (the mailbox's current one when none was).
    async fn expunge(&self, mbox: &Mbox, uids: &UidSet, only_deleted: bool) -> Result<(UidSet, ModSeq)>;

    // Defaulted.

    /// Carries a staged body over to another account, so that a message for many recipients is taken in
    /// once.
    async fn share(&self, staged: &Staged, from: &AccountId, to: &AccountId) -> Result<Staged> {
        fallback::share_by_reading(self, staged, from, to).await
    }

    /// Reads a staged body that is not appended yet, for [`Storage::share`]'s default.
    async fn read_staged(&self, _staged: &Staged) -> Result<ByteStream> {
        Err(StorageError::Unsupported)
    }

    /// Copies or moves messages to the end of another mailbox, all or none, in the order of UIDs; flags,
    /// internal dates and object ids are kept. The default reads and appends, and for a move removes then.
    async fn copy(&self, from: &Mbox, uids: &UidSet, to: &Mbox, mode: CopyMode) -> Result<Copied> {
        fallback::copy_by_append(self, from, uids, to, mode).await
    }

    /// What has changed since a mod-sequence, at most about `limit` messages at once. The default compares
    /// rows.
    async fn changes(&self, mbox: &Mbox, since: ModSeq, limit: usize) -> Result<Changes> {
        fallback::changes_by_scan(self, mbox, since, limit).await
    }

    /// Hints that something has changed in the listed mailboxes, or with an empty list anywhere in the
    /// account. Ends only when the storage does. The default asks for the status every few seconds.
    fn watch(self: Arc<Self>, account: AccountId, ids: Vec<MailboxId>) -> BoxStream<'static, Event> {
        fallback::watch_by_polling(self, account, ids)
    }

    /// Offers the core's parse of a message whose row came without one. May be ignored.
    async fn put_digest(&self, _mbox: &Mbox, _uid: Uid, _digest: KeptDigest) -> Result<()> {
        Ok(())
    }

    /// `\Recent` (RFC 3501 §2.3.2): gives the first UID that no session was told as recent and that of the last
    /// message, and moves the mark behind that, in one step: two sessions never get the same message. `None`: no
    /// message is.
    async fn claim_recent(&self, _mbox: &Mbox) -> Result<Option<(Uid, Uid)>> {
        Ok(None)
    }

    // Optional features: an accessor that answers `Some` is the announcement.

    /// Attributes of mailboxes and accounts, if they are kept.
    fn as_attributes(&self) -> Option<&dyn Attributes> {
        None
    }

    /// Push-down of SEARCH, if there is an index.
    fn as_search(&self) -> Option<&dyn Search> {
        None
    }

    /// Quota, if it is enforced.
    fn as_quota(&self) -> Option<&dyn Quota> {
        None
    }

    /// Look-up by object id, if there is one.
    fn as_objects(&self) -> Option<&dyn Objects> {
        None
    }

    /// Adding mail that keeps its old UIDs, if that can be done.
    fn as_import(&self) -> Option<&dyn Import> {
        None
    }

    /// Writing down what is held, if that can be done.
    fn as_dump(&self) -> Option<&dyn Dumping> {
        None
    }
}
