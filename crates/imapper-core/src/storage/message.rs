//! Messages: rows, bodies, and what changes them.

use std::time::SystemTime;

use bytes::Bytes;

use super::Status;
use crate::types::{BodyRef, Flags, InternalDate, ModSeq, Uid, UidSet, UidValidity};

/// The core's parse of a message (envelope, structure, places of parts, headers that are asked for often).
/// Opaque to the plugin, which keeps it beside the row and gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptDigest {
    /// The form of `bytes`. One that the core does not know is parsed anew.
    pub version: u16,
    /// The parse.
    pub bytes: Bytes,
}

/// Which costly columns [`Storage::rows`](super::Storage::rows) has to fill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// [`Row::digest`].
    pub digest: bool,
    /// [`Row::body`].
    pub body: bool,
}

impl Want {
    /// Neither.
    pub const FLAGS: Self = Self { digest: false, body: false };
    /// Both.
    pub const ALL: Self = Self { digest: true, body: true };
}

/// A message.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Row {
    /// Its UID.
    pub uid: Uid,
    /// The mod-sequence of its last change.
    pub modseq: ModSeq,
    /// Its flags.
    pub flags: Flags,
    /// When it came.
    pub internal_date: InternalDate,
    /// When it came into this mailbox (RFC 8514), if that is kept.
    pub save_date: Option<SystemTime>,
    /// Its size in octets.
    pub size: u64,
    /// The same in all copies (RFC 8474 §5.1), if that is kept.
    pub email_id: Option<u64>,
    /// The same in a conversation (RFC 8474 §5.2), if that is kept.
    pub thread_id: Option<u64>,
    /// `None`: the core parses the body and offers the result to `put_digest`.
    pub digest: Option<KeptDigest>,
    /// Where the body lies, if it was asked for.
    pub body: Option<BodyRef>,
}

impl Row {
    /// A row with nothing optional.
    pub const fn new(uid: Uid, modseq: ModSeq, flags: Flags, internal_date: InternalDate, size: u64) -> Self {
        Self {
            uid,
            modseq,
            flags,
            internal_date,
            save_date: None,
            size,
            email_id: None,
            thread_id: None,
            digest: None,
            body: None,
        }
    }
}

/// What has happened in a mailbox since a mod-sequence.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Where to go on next time.
    pub to: ModSeq,
    /// The state of the mailbox at `to`.
    pub status: Status,
    /// New and re-flagged messages. A row may be newer than `to`, never older: applying it overwrites.
    pub changed: Vec<Row>,
    /// Removed since; may name more that no longer exist unless `exact`, never one that does.
    pub removed: UidSet,
    /// Whether `removed` names just those removed since.
    pub exact: bool,
    /// The limit was reached: ask again from `to`.
    pub more: bool,
}

/// How flags change.
#[derive(Clone, Debug)]
pub enum FlagOp {
    /// These and no others.
    Replace(Flags),
    /// These too.
    Add(Flags),
    /// Not these.
    Remove(Flags),
}

impl FlagOp {
    /// What becomes of a message's flags.
    pub fn apply(&self, flags: &Flags) -> Flags {
        match self {
            Self::Replace(new) => new.clone(),
            Self::Add(more) => flags.with(more),
            Self::Remove(less) => flags.without(less),
        }
    }

    /// The flags that it names.
    pub const fn flags(&self) -> &Flags {
        match self {
            Self::Replace(flags) | Self::Add(flags) | Self::Remove(flags) => flags,
        }
    }
}

/// A change of flags.
#[derive(Clone, Debug)]
pub struct FlagChange {
    /// Which messages; those that do not exist are passed over.
    pub uids: UidSet,
    /// How.
    pub op: FlagOp,
    /// Only messages whose mod-sequence is not above this one (RFC 7162 §3.1.3).
    pub unchanged_since: Option<ModSeq>,
}

/// What a change of flags has done.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The messages whose flags are others now, with all their flags, in the order of UIDs; all carry
    /// `modseq`.
    pub changed: Vec<(Uid, Flags)>,
    /// Those whose flags were so already.
    pub unchanged: UidSet,
    /// Those held back by `unchanged_since`.
    pub conflict: UidSet,
    /// The mod-sequence of the change; the mailbox's current one when nothing changed.
    pub modseq: ModSeq,
}

/// A body that is durable, and that nothing refers to yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// Names it; the same token appended to the same mailbox again gives the same UID.
    pub token: Bytes,
    /// Its size in octets.
    pub size: u64,
}

/// A message to be added.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewMessage {
    /// Its body.
    pub staged: Staged,
    /// Its flags.
    pub flags: Flags,
    /// When it came.
    pub internal_date: InternalDate,
    /// When it came into this mailbox; `None` is now.
    pub save_date: Option<SystemTime>,
    /// The core's parse of it.
    pub digest: Option<KeptDigest>,
    /// The id that it has elsewhere already; `None` makes a new one.
    pub email_id: Option<u64>,
    /// Hashes of what ties a message to a conversation: its Message-ID, its References, its base subject.
    pub thread_keys: Vec<u64>,
    /// A message that goes in the same step (RFC 8508).
    pub replaces: Option<Uid>,
}

impl NewMessage {
    /// A message with nothing optional.
    pub const fn new(staged: Staged, flags: Flags, internal_date: InternalDate) -> Self {
        Self {
            staged,
            flags,
            internal_date,
            save_date: None,
            digest: None,
            email_id: None,
            thread_keys: Vec::new(),
            replaces: None,
        }
    }
}

/// What adding has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The new UIDs, in the order of the messages.
    pub uids: Vec<Uid>,
    /// The mod-sequence of the change.
    pub modseq: ModSeq,
}

/// Whether the messages stay where they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyMode {
    /// They stay.
    Copy,
    /// They go (RFC 6851).
    Move,
}

/// What copying has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The target's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// Old and new UID of each message, ascending.
    pub pairs: Vec<(Uid, Uid)>,
    /// The mod-sequence of the change in the target.
    pub to_modseq: ModSeq,
    /// That in the source, for a move.
    pub from_modseq: Option<ModSeq>,
}
