//! Who may do what to a mailbox. The storage knows no identity: the core asks here, in one place.

use std::ops::{BitAnd, BitOr};

use async_trait::async_trait;

use super::{NamespaceKind, Place};
use crate::storage::{MailboxId, Result, Storage};
use crate::users::Identity;

/// A set of rights (the letters are those of RFC 4314 §2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(u16);

impl Rights {
    /// None.
    pub const NONE: Self = Self(0);
    /// `l`: is shown by LIST.
    pub const LOOKUP: Self = Self(1);
    /// `r`: SELECT, FETCH, SEARCH, COPY from it.
    pub const READ: Self = Self(1 << 1);
    /// `s`: keep `\Seen`.
    pub const SEEN: Self = Self(1 << 2);
    /// `w`: change flags other than `\Seen` and `\Deleted`.
    pub const WRITE: Self = Self(1 << 3);
    /// `i`: add messages.
    pub const INSERT: Self = Self(1 << 4);
    /// `p`: send to it.
    pub const POST: Self = Self(1 << 5);
    /// `k`: make mailboxes below it.
    pub const CREATE: Self = Self(1 << 6);
    /// `x`: delete or rename it.
    pub const DELETE_MAILBOX: Self = Self(1 << 7);
    /// `t`: change `\Deleted`.
    pub const DELETE: Self = Self(1 << 8);
    /// `e`: expunge.
    pub const EXPUNGE: Self = Self(1 << 9);
    /// `a`: give rights to others.
    pub const ADMINISTER: Self = Self(1 << 10);
    /// All that concerns messages, and nothing that concerns the tree: what everybody may do in a shared
    /// mailbox.
    pub const MESSAGES: Self = Self(0b011_0011_1111);
    /// Those that change messages. Whoever has none of them gets a mailbox read-only (RFC 4314 §5.2; each flag is
    /// shared).
    pub const CHANGES: Self = Self(0b011_0001_1100);
    /// All of them.
    pub const ALL: Self = Self((1 << 11) - 1);

    /// Whether all of `needed` are in the set.
    pub const fn contains(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// Whether any of `some` is in the set.
    pub const fn intersects(self, some: Self) -> bool {
        self.0 & some.0 != 0
    }
}

impl BitOr for Rights {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Rights {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// Answers what an identity may do to a mailbox. One slot: an extension may put another answer in its place.
#[async_trait]
pub trait Access: Send + Sync + 'static {
    /// The rights of `identity` at `place`; `id` is the mailbox there, or the nearest one above it, if there
    /// is any.
    async fn rights(
        &self,
        storage: &dyn Storage,
        identity: &Identity,
        place: &Place,
        id: Option<&MailboxId>,
    ) -> Result<Rights>;
}

/// The answer without access control lists: owners may do all; with the messages of shared trees everybody may
/// do all, and with those of other users only where their mailboxes are open.
pub struct Owners;

#[async_trait]
impl Access for Owners {
    async fn rights(
        &self,
        _storage: &dyn Storage,
        identity: &Identity,
        place: &Place,
        _id: Option<&MailboxId>,
    ) -> Result<Rights> {
        Ok(match place.kind {
            _ if identity.anonymous && !place.open_to_anonymous => Rights::NONE,
            _ if place.account == identity.account => Rights::ALL,
            NamespaceKind::Shared => Rights::MESSAGES,
            NamespaceKind::OtherUsers if place.open => Rights::MESSAGES,
            _ => Rights::NONE,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_look_is_no_change() {
        let changes = [Rights::SEEN, Rights::WRITE, Rights::INSERT, Rights::DELETE, Rights::EXPUNGE];
        assert_eq!(changes.into_iter().reduce(|all, right| all | right), Some(Rights::CHANGES));
    }

    #[test]
    fn messages_are_not_the_tree() {
        for right in [Rights::CREATE, Rights::DELETE_MAILBOX, Rights::ADMINISTER] {
            assert!(!Rights::MESSAGES.contains(right) && Rights::ALL.contains(right));
        }
        for right in [
            Rights::LOOKUP,
            Rights::READ,
            Rights::SEEN,
            Rights::WRITE,
            Rights::INSERT,
            Rights::DELETE,
            Rights::EXPUNGE,
        ] {
            assert!(Rights::MESSAGES.contains(right));
        }
    }
}
