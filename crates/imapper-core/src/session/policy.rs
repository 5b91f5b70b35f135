//! Neutral knobs that extensions turn: what a session's client has asked for, told without the words of the
//! extension that it asked with.

use std::fmt;

use super::Selected;
use crate::storage::Row;
use crate::types::{ModSeq, Seq, Uid, UidSet};
use crate::wire::{Line, NonSync};

/// What holds in a session beyond the base protocol.
#[derive(Default)]
#[non_exhaustive]
pub struct Policy {
    /// Whether literals may come without waiting (RFC 7888).
    pub non_sync: NonSync,
    /// Whether names and strings go out in UTF-8 (RFC 6855) instead of modified UTF-7.
    pub utf8: bool,
    /// Whether `\Recent` and RECENT are left out (RFC 9051).
    pub no_recent: bool,
    /// The words that ENABLE has turned on in this session, in order.
    pub enabled: Vec<&'static str>,
    /// What stands in a FETCH that nobody asked for beside FLAGS.
    pub told_items: Vec<ToldItem>,
    /// Whether such a FETCH names the UID, also when the command came without UID.
    pub tells_uid: bool,
    /// For a client that follows mod-sequences: how it is told up to which one it knows all that has happened
    /// in the mailbox. Such a client is told of changes that only the mod-sequence shows, too.
    pub known_up_to: Option<KnownUpTo>,
    /// Whether that is to be told when the command is over.
    pub owes_known_up_to: bool,
    /// Whether it is told that a mailbox has been closed because another one is opened.
    pub tells_closed: bool,
    /// How the removal of messages is told; `None` is EXPUNGE by number.
    pub removal: Option<Removal>,
}

/// An item of an unsolicited FETCH: adds `NAME value` for a message, or nothing.
pub type ToldItem = fn(&Told<'_>, &mut Line);

/// The line that tells up to which mod-sequence everything is known.
pub type KnownUpTo = fn(ModSeq) -> Line;

/// How removals are told instead of by EXPUNGE: one line for all of them. `None`: by EXPUNGE all the same, in
/// this mailbox.
pub type Removal = fn(&Selected, &UidSet) -> Option<Line>;

/// A message whose flags are told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Told<'a> {
    /// Its number.
    pub seq: Seq,
    /// Its UID.
    pub uid: Uid,
    /// The mod-sequence of its last change.
    pub modseq: ModSeq,
    /// Its row, where it was read.
    pub row: Option<&'a Row>,
}

impl<'a> Told<'a> {
    /// A message without its row.
    pub const fn new(seq: Seq, uid: Uid, modseq: ModSeq) -> Self {
        Self { seq, uid, modseq, row: None }
    }

    /// The same with its row.
    #[must_use]
    pub const fn with_row(mut self, row: &'a Row) -> Self {
        self.row = Some(row);
        self
    }
}

impl Policy {
    /// Whether ENABLE has turned the word on.
    pub fn is_enabled(&self, word: &str) -> bool {
        self.enabled.contains(&word)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("non_sync", &self.non_sync)
            .field("utf8", &self.utf8)
            .field("no_recent", &self.no_recent)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}
