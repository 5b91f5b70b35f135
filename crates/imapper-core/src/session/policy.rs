//! Neutral knobs that extensions turn: what a session's client has asked for, told without the words of the
//! extension that it asked with.

use std::fmt;

use crate::storage::Row;
use crate::types::{Seq, Uid, UidSet};
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
    /// How the removal of messages is told; `None` is EXPUNGE by number.
    pub removal: Option<Removal>,
}

/// An item of an unsolicited FETCH: adds ` NAME value` for a message, or nothing.
pub type ToldItem = fn(&Told<'_>, &mut Line);

/// How removals are told instead of by EXPUNGE: one line for all of them.
pub type Removal = fn(&UidSet) -> Line;

/// A message whose flags are told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Told<'a> {
    /// Its number.
    pub seq: Seq,
    /// Its UID.
    pub uid: Uid,
    /// The mod-sequence of its last change.
    pub modseq: crate::types::ModSeq,
    /// Its row, where it was read.
    pub row: Option<&'a Row>,
}

impl<'a> Told<'a> {
    /// A message without its row.
    pub const fn new(seq: Seq, uid: Uid, modseq: crate::types::ModSeq) -> Self {
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
