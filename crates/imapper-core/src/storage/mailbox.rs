//! Mailboxes: who owns them, how they are named, in which state they are.

use std::fmt;
use std::sync::Arc;

use crate::types::{Keyword, ModSeq, Uid, UidSet, UidValidity};

/// The owner of a tree of mailboxes. Not always the user that has logged in: a shared tree has an account
/// of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub Arc<str>);

/// A mailbox, whatever its name: stays when it is renamed, never used again (RFC 8474 §4.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxId(pub Arc<str>);

macro_rules! id {
    ($name:ident) => {
        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
id!(AccountId);
id!(MailboxId);

/// A mailbox and its owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mbox {
    /// The owner.
    pub account: AccountId,
    /// The mailbox.
    pub id: MailboxId,
}

/// A mailbox in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxInfo {
    /// The mailbox.
    pub id: MailboxId,
    /// Its name: UTF-8, '/' between levels. The account's inbox is `INBOX`.
    pub name: String,
    /// A name that holds no messages and can't be selected (`\Noselect`).
    pub no_select: bool,
    /// What it is for (RFC 6154), with the backslash: `\Sent`. A list, in the order of its making.
    pub special_use: Vec<Arc<str>>,
}

impl MailboxInfo {
    /// An ordinary mailbox.
    pub fn new(id: MailboxId, name: impl Into<String>) -> Self {
        Self { id, name: name.into(), no_select: false, special_use: Vec::new() }
    }
}

/// The state of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// RFC 9051 §2.3.1.1.
    pub uid_validity: UidValidity,
    /// Above every UID in use.
    pub uid_next: Uid,
    /// The mod-sequence of the last change.
    pub highest_modseq: ModSeq,
    /// How many messages there are.
    pub messages: u32,
    /// How many of them are not `\Seen`.
    pub unseen: u32,
    /// How many of them are `\Deleted`.
    pub deleted: u32,
    /// The sum of their sizes, in octets.
    pub size: u64,
    /// The sum of the sizes of those that are `\Deleted`, in octets.
    pub deleted_size: u64,
    /// The first UID that no session was told as `\Recent`; reading it claims nothing. `None`: no message
    /// is.
    pub first_recent: Option<Uid>,
    /// How many messages lie at or above [`Status::first_recent`].
    pub recent: u32,
}

impl Status {
    /// The state of a mailbox that was just made.
    pub const fn empty(uid_validity: UidValidity) -> Self {
        Self {
            uid_validity,
            uid_next: Uid::MIN,
            highest_modseq: ModSeq::ZERO,
            messages: 0,
            unseen: 0,
            deleted: 0,
            size: 0,
            deleted_size: 0,
            first_recent: None,
            recent: 0,
        }
    }
}

/// A mailbox at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Its state.
    pub status: Status,
    /// Exactly the messages at [`Status::highest_modseq`].
    pub uids: UidSet,
    /// The keywords that occur or may be set.
    pub keywords: Vec<Keyword>,
    /// Whether clients may make new ones.
    pub new_keywords: bool,
}

/// A change of the tree.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TreeOp {
    /// Makes a mailbox. Levels above it that are missing stay missing: the core asks for each.
    /// [`StorageError::Exists`](super::StorageError::Exists) if the name is taken by one that can be selected.
    Create {
        /// Its name.
        name: String,
        /// What it is for. [`StorageError::Unsupported`](super::StorageError::Unsupported), and no mailbox is
        /// made, if that can't be kept.
        special_use: Vec<Arc<str>>,
    },
    /// Gives a mailbox another name; those below it move along, all in one step.
    Rename {
        /// Which.
        id: MailboxId,
        /// The new name.
        to: String,
    },
    /// Removes a mailbox and its messages. Those below it stay.
    Delete {
        /// Which.
        id: MailboxId,
    },
    /// Adds a name to the account's subscriptions, or takes it off. It need not exist.
    Subscribe {
        /// The name; opaque to the storage.
        name: String,
        /// Adds or takes off.
        on: bool,
    },
}

/// A hint, never the truth: whoever gets one asks [`Storage::changes`](super::Storage::changes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A mailbox has moved to that mod-sequence.
    Mailbox {
        /// Which.
        id: MailboxId,
        /// How far.
        modseq: ModSeq,
    },
    /// Mailboxes, subscriptions or attributes have changed. Without a mod-sequence: the tree has no log, so
    /// that whoever hears of this looks at all of it. Attributes carry their own.
    Tree,
    /// Something may have been missed: look at everything anew.
    Lagged,
}
