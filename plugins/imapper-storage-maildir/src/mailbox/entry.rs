//! What is written down of a mailbox beside its messages: one entry a change of one thing. The state in memory is
//! what all entries make of an empty mailbox, so that loading, following another process and publishing a change
//! are the same code.

use serde::{Deserialize, Serialize};

/// Where a message's file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Place {
    /// `new/`: no program has shown it yet, and its name hardly ever has flags.
    New,
    /// `cur/`.
    Cur,
}

impl Place {
    /// The folder's name.
    pub(crate) const fn folder(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Cur => "cur",
        }
    }
}

/// A message as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Put {
    pub(crate) uid: u32,
    pub(crate) modseq: u64,
    /// What identifies it among the files.
    pub(crate) base: String,
    pub(crate) physical: u64,
    pub(crate) wire: u64,
    /// Seconds since 1970, and minutes east of UTC.
    pub(crate) date: (i64, i16),
    /// Nanoseconds since 1970.
    pub(crate) saved: i64,
    pub(crate) email_id: u64,
    pub(crate) thread_id: u64,
    pub(crate) state: FileState,
}

/// What the name of a message's file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileState {
    pub(crate) place: Place,
    /// The system flags, as the core numbers them.
    pub(crate) system: u8,
    /// Numbers of keywords, ascending.
    pub(crate) keywords: Vec<u16>,
    /// What follows the base in the name.
    pub(crate) info: String,
}

/// A change of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// The mailbox goes on from here: what happened before is not known. The UIDs below `next` that no message has
    /// may have been removed at any time; those in `gone` certainly were.
    Begin { modseq: u64, next: u32, gone: Vec<(u32, u32)> },
    /// A message has come.
    Put(Put),
    /// A message's flags or its place are others.
    Flags { uid: u32, modseq: u64, state: FileState },
    /// A message's file lies elsewhere, or has another name, and nothing else is new.
    File { uid: u32, state: FileState },
    /// Messages have gone.
    Gone { uids: Vec<(u32, u32)>, modseq: u64 },
    /// A number stands for a keyword.
    Keyword { number: u16, name: String },
    /// Messages from here on were told to no session as `\Recent`.
    Recent { from: u32 },
    /// No new message gets a lower UID.
    Next { uid: u32 },
}
