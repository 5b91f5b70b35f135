//! What is kept with a mailbox of the messages that were brought into it.

use std::fmt::Write as _;

use imapper_core::storage::{AccountId, Attribute, MailboxId, Mbox, Numbers, Storage};
use imapper_core::types::{ModSeq, Uid, UidSet};

use super::Asked;

/// The attribute of a mailbox that holds which messages came from files whose lines ended in CRLF, as a set of UIDs.
/// No client sees it: METADATA has `/private` and `/shared` only.
pub(super) const CRLF: &str = "imapper/crlf";

/// The attribute that holds which UIDs of the source have been brought, or are left for it. Others that are or were
/// in use in the mailbox are those of other messages.
const BROUGHT: &str = "imapper/brought";

/// Whether an attribute is one of these.
pub(super) fn is_ours(key: &str) -> bool {
    [CRLF, BROUGHT].contains(&key)
}

/// Both sets of a mailbox.
#[derive(Debug, Default)]
pub(super) struct Kept {
    crlf: UidSet,
    more_crlf: bool,
    brought: UidSet,
    more_brought: bool,
}

impl Kept {
    pub(super) async fn read(storage: &dyn Storage, mbox: &Mbox) -> Asked<Self> {
        let crlf = kept_set(storage, &mbox.account, &mbox.id, CRLF).await?;
        let brought = kept_set(storage, &mbox.account, &mbox.id, BROUGHT).await?;
        Ok(Self { crlf, brought, ..Self::default() })
    }

    /// For a mailbox that was just made with the source's numbers: other new mail gets UIDs above these, so those
    /// below are left for the source. That must be known if the import is interrupted.
    pub(super) async fn made(storage: &dyn Storage, mbox: &Mbox, numbers: Numbers) -> Asked<Self> {
        let mut kept = Self::default();
        if let Some(last) = Uid::new(numbers.uid_next.get() - 1) {
            kept.brought.insert_range(Uid::MIN, last);
        }
        keep_set(storage, mbox, BROUGHT, &kept.brought).await?;
        Ok(kept)
    }

    pub(super) async fn save(&self, storage: &dyn Storage, mbox: &Mbox) -> Asked<()> {
        if self.more_crlf {
            keep_set(storage, mbox, CRLF, &self.crlf).await?;
        }
        if self.more_brought {
            keep_set(storage, mbox, BROUGHT, &self.brought).await?;
        }
        Ok(())
    }

    pub(super) fn note_crlf(&mut self, uid: Uid, crlf: bool) {
        if crlf && !self.crlf.contains(uid) {
            self.crlf.insert(uid);
            self.more_crlf = true;
        }
    }

    /// Notes a UID of the source.
    pub(super) fn note_brought(&mut self, uid: Option<Uid>) {
        if let Some(uid) = uid.filter(|uid| !self.brought.contains(*uid)) {
            self.brought.insert(uid);
            self.more_brought = true;
        }
    }

    /// Whether a UID that is or was in use belongs to a message of the source.
    pub(super) fn was_brought(&self, uid: Uid) -> bool {
        self.brought.contains(uid)
    }
}

/// The set that stands in an attribute.
pub(super) async fn kept_set(
    storage: &dyn Storage,
    account: &AccountId,
    id: &MailboxId,
    key: &str,
) -> Asked<UidSet> {
    let Some(attributes) = storage.as_attributes() else { return Ok(UidSet::new()) };
    let found = attributes.get(account, Some(id), key).await?;
    let value =
        found.into_iter().find(|attribute| attribute.key == key).and_then(|attribute| attribute.value);
    Ok(value.map_or_else(UidSet::new, |text| read_set(&text)))
}

async fn keep_set(storage: &dyn Storage, mbox: &Mbox, key: &str, set: &UidSet) -> Asked<()> {
    let Some(attributes) = storage.as_attributes() else { return Ok(()) };
    let (id, value) = (Some(mbox.id.clone()), Some(write_set(set).into()));
    let attribute = Attribute { mbox: id, key: key.to_owned(), value, modseq: ModSeq::ZERO };
    attributes.set(&mbox.account, vec![attribute]).await.map(|_| ())
}

/// A set as text: `1:5,7`.
fn write_set(set: &UidSet) -> String {
    let mut text = String::new();
    for (first, last) in set.ranges() {
        let comma = if text.is_empty() { "" } else { "," };
        let _ = if first == last {
            write!(text, "{comma}{first}")
        } else {
            write!(text, "{comma}{first}:{last}")
        };
    }
    text
}

/// The set of a text; what makes no sense in it is passed over.
fn read_set(text: &[u8]) -> UidSet {
    let mut set = UidSet::new();
    for part in String::from_utf8_lossy(text).split(',') {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let uid = |text: &str| text.parse().ok().and_then(Uid::new);
        if let (Some(first), Some(last)) = (uid(first), uid(last)) {
            set.insert_range(first, last);
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_comes_back() {
        for text in ["", "7", "1:5,7,9:4294967295"] {
            assert_eq!(write_set(&read_set(text.as_bytes())), text);
        }
        assert_eq!(write_set(&read_set(b"x,0,3,5:x")), "3");
    }
}
