//! Optional features of a storage: each a small trait of its own, reached by an accessor of
//! [`Storage`](super::Storage).

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;

use super::{AccountId, MailboxId, Mbox, NewMessage, Result};
use crate::types::{Keyword, ModSeq, SystemFlag, Uid, UidSet, UidValidity};

/// One small space of keys and values for mailboxes and accounts: METADATA (`/private/…`, `/shared/…`), ACL
/// (`acl/<identifier>`), settings of the server. The core gives them meaning.
#[async_trait]
pub trait Attributes: Send + Sync {
    /// The attributes whose key begins with `prefix`, of a mailbox or with `None` of the account itself.
    async fn get(
        &self,
        account: &AccountId,
        mbox: Option<&MailboxId>,
        prefix: &str,
    ) -> Result<Vec<Attribute>>;
    /// Sets all or none, as one change with one mod-sequence, which is given; a value of `None` removes, and
    /// [`Attribute::modseq`] is not looked at. One that sets what is there already is none. Raises [`Event::Tree`](super::Event::Tree), also for the
    /// account that a right is given to.
    async fn set(&self, account: &AccountId, attributes: Vec<Attribute>) -> Result<ModSeq>;
    /// The mailboxes of any account that carry the key (`acl/bob`).
    async fn holders(&self, key: &str) -> Result<Vec<(AccountId, MailboxId)>>;
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The mailbox; `None` for the account itself.
    pub mbox: Option<MailboxId>,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Option<Bytes>,
    /// The mod-sequence of its last change.
    pub modseq: ModSeq,
}

/// Limits and use. Enforcement happens inside `append`, `copy` and [`Import::put`], in one step with the change:
/// [`StorageError::OverQuota`](super::StorageError::OverQuota), and nothing has changed. What makes an account no
/// larger is never refused, a move within it for one; so whoever enforces has a `copy` of its own.
#[async_trait]
pub trait Quota: Send + Sync {
    /// What the account uses and may use.
    async fn usage(&self, account: &AccountId) -> Result<QuotaUse>;
    /// Sets the account's own limits, in the place of those that it had.
    /// [`Denied`](super::StorageError::Denied), and nothing is set, for one above what [`Quota::allow`] has said;
    /// where none is set, that holds.
    async fn set_limit(&self, account: &AccountId, limits: QuotaLimits) -> Result<()>;
    /// What the operator lets an account keep at most; with `None`, every account of which nothing else is said.
    /// Is said anew at each start and each login, so it need not be durable.
    fn allow(&self, account: Option<&AccountId>, most: QuotaLimits);
}

/// What an account may keep; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaLimits {
    /// The most octets.
    pub octets: Option<u64>,
    /// The most messages.
    pub messages: Option<u64>,
}

impl QuotaLimits {
    /// No limits.
    pub const NONE: Self = Self::new(None, None);

    /// Octets and messages.
    pub const fn new(octets: Option<u64>, messages: Option<u64>) -> Self {
        Self { octets, messages }
    }

    /// These, and those of `other` where there is none here.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::new(self.octets.or(other.octets), self.messages.or(other.messages))
    }

    /// The lower of both.
    #[must_use]
    pub fn within(self, most: Self) -> Self {
        let lower = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        Self::new(lower(self.octets, most.octets), lower(self.messages, most.messages))
    }

    /// Whether one of them lies above that of `most`.
    pub fn is_above(self, most: Self) -> bool {
        let is_above =
            |one: Option<u64>, most: Option<u64>| one.zip(most).is_some_and(|(one, most)| one > most);
        is_above(self.octets, most.octets) || is_above(self.messages, most.messages)
    }
}

/// What an account uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaUse {
    /// Octets in all mailboxes.
    pub octets: u64,
    /// Messages in all mailboxes.
    pub messages: u64,
    /// The limits that hold. An account may lie above them: where they were lowered, or by what it began with.
    pub limits: QuotaLimits,
}

impl QuotaUse {
    /// Whether there is room for so much more. For nothing more there always is.
    pub fn has_room(&self, octets: u64, messages: u64) -> bool {
        let fits = |used: u64, more: u64, most: Option<u64>| {
            more == 0 || most.is_none_or(|most| used.saturating_add(more) <= most)
        };
        fits(self.octets, octets, self.limits.octets) && fits(self.messages, messages, self.limits.messages)
    }
}

/// Look-up by object id.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Where copies of these emails lie in the account.
    async fn places(&self, account: &AccountId, emails: &[u64]) -> Result<Vec<(u64, MailboxId, Uid)>>;
}

/// Moving in from another server: UIDVALIDITY and UIDs stay, so that clients download nothing again.
#[async_trait]
pub trait Import: Send + Sync {
    /// Makes a mailbox that goes on from the numbers that it had.
    async fn create(&self, account: &AccountId, name: &str, numbers: Numbers) -> Result<MailboxId>;
    /// Adds messages with their UIDs, all or none, and raises UIDNEXT above them.
    /// [`Exists`](super::StorageError::Exists) if a UID is taken or was, by a message that is gone.
    async fn put(&self, mbox: &Mbox, messages: Vec<(Uid, NewMessage)>) -> Result<()>;
    /// Says what a mailbox is for (RFC 6154), in the place of what was said before.
    /// [`Unsupported`](super::StorageError::Unsupported) if that can't be kept.
    async fn set_special_use(&self, _mbox: &Mbox, _uses: Vec<Arc<str>>) -> Result<()> {
        Err(super::StorageError::Unsupported)
    }
}

/// From where a mailbox goes on that comes from another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Stays, so that UIDs mean the same messages.
    pub uid_validity: UidValidity,
    /// No new message gets a lower UID.
    pub uid_next: Uid,
    /// The highest mod-sequence that clients may have seen: all that are given here lie above. What was removed up
    /// to there is not known, so a client that comes from before then is told of every UID that is not there. 0 if
    /// the other server kept none.
    pub highest_modseq: ModSeq,
}

/// Writing down what is held: for tests of clients, whose mail is a file that they can read.
#[async_trait]
pub trait Dumping: Send + Sync {
    /// What a user sees, as JSON from which the storage can begin again. With `None` what there is where nobody
    /// has logged in: what a new user would see; or what the one user sees that there has been; or, of several,
    /// each one's by the account's name.
    async fn write(&self, account: Option<&AccountId>, what: Dump) -> Result<String>;
}

/// What a dump holds beyond the base protocol. By default nothing: who does not speak of mod-sequences, labels
/// or special uses finds no trace of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// The mod-sequence of each message.
    pub modseq: bool,
    /// A message that lies in several mailboxes of the user stands in one of them only, with the others as
    /// its labels. The flags and UIDs that it has in those are lost.
    pub labels: bool,
    /// What mailboxes are for (RFC 6154).
    pub special_use: bool,
}

/// Push-down of SEARCH: the plugin answers what it can, the core tests what is left.
#[async_trait]
pub trait Search: Send + Sync {
    /// Which messages of `within` the key is true of.
    async fn search(&self, mbox: &Mbox, key: &SearchKey, within: &UidSet) -> Result<SearchHit>;
}

/// What a storage found.
#[derive(Clone, Debug, Default)]
pub struct SearchHit {
    /// True of these.
    pub yes: UidSet,
    /// Perhaps of these.
    pub maybe: UidSet,
    /// What the core must test on them; `None` is the whole key.
    pub residual: Option<SearchKey>,
}

/// What a storage may be asked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SearchKey {
    /// Every message.
    All,
    /// All of these are true.
    And(Vec<Self>),
    /// One of these is true.
    Or(Vec<Self>),
    /// This is not true.
    Not(Box<Self>),
    /// A system flag is set.
    Flag(SystemFlag),
    /// A keyword is set.
    Keyword(Keyword),
    /// The mod-sequence is not below this one.
    ModSeq(ModSeq),
    /// More octets than this.
    Larger(u64),
    /// Fewer octets than this.
    Smaller(u64),
    /// Came at or after this moment.
    InternalSince(SystemTime),
    /// A header field holds the text.
    Header(Arc<str>, Arc<str>),
    /// The body holds the text.
    Body(Arc<str>),
    /// Header or body hold the text.
    Text(Arc<str>),
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn limits(octets: u64, messages: u64) -> QuotaLimits {
        QuotaLimits::new(Some(octets), Some(messages))
    }

    #[test]
    fn of_two_limits_the_lower_holds() {
        let some = QuotaLimits::new(Some(10), None);
        assert_eq!(limits(20, 5).within(some), limits(10, 5));
        assert_eq!(QuotaLimits::NONE.within(some), some);
        assert_eq!(some.or(limits(20, 5)), limits(10, 5));
        for (own, is_above) in [(limits(10, 99), false), (limits(11, 1), true), (QuotaLimits::NONE, false)] {
            assert_eq!(own.is_above(some), is_above, "{own:?}");
        }
    }

    #[test]
    fn room_is_for_what_makes_it_no_larger_than_the_limit_or_no_larger() {
        let used = QuotaUse { octets: 8, messages: 2, limits: limits(10, 3) };
        for (octets, messages, has_room) in
            [(2, 1, true), (3, 1, false), (2, 2, false), (u64::MAX, 1, false), (0, 0, true)]
        {
            assert_eq!(used.has_room(octets, messages), has_room, "{octets} {messages}");
        }
        let above = QuotaUse { limits: limits(5, 1), ..used };
        assert!(above.has_room(0, 0) && !above.has_room(1, 0) && !above.has_room(0, 1));
        assert!(QuotaUse::default().has_room(u64::MAX, u64::MAX));
    }
}
