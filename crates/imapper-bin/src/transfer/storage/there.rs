//! What a mailbox holds already, and whether a message is among it.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use imapper_core::storage::{Mbox, Storage, StorageError, Want};
use imapper_core::types::{Uid, UidSet};

use super::{Asked, body};
use crate::transfer::Message;

/// When a message came, in seconds, and its size: what two of the same have in common.
type Key = (i64, u64);

/// The messages of a mailbox before anything is added.
#[derive(Debug, Default)]
pub(super) struct There {
    by_uid: HashMap<Uid, Key>,
    /// Those that have not been met in the source yet.
    by_key: HashMap<Key, BTreeSet<Uid>>,
    /// Of keys that many have, who has octets of that hash. Made when it is first asked for.
    by_octets: HashMap<Key, HashMap<u64, BTreeSet<Uid>>>,
    hasher: RandomState,
}

/// Whether a message is there under its UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// No.
    New,
    /// Yes.
    Same,
    /// Its UID is another message's.
    Other,
}

impl There {
    pub(super) async fn read(storage: &dyn Storage, mbox: &Mbox) -> Asked<Self> {
        let mut there = Self::default();
        let mut rows = storage.rows(mbox, &UidSet::all(), Want::FLAGS).await?;
        while let Some(chunk) = rows.try_next().await? {
            for row in chunk {
                let key = (row.internal_date.seconds, row.size);
                there.by_uid.insert(row.uid, key);
                there.by_key.entry(key).or_default().insert(row.uid);
            }
        }
        Ok(there)
    }

    /// Whether a message is there under its UID. The octets decide: another server may have given the same UIDVALIDITY.
    pub(super) async fn by_uid(
        &mut self,
        storage: &dyn Storage,
        mbox: &Mbox,
        uid: Uid,
        message: &Message,
    ) -> Asked<Met> {
        let Some(&key) = self.by_uid.get(&uid) else { return Ok(Met::New) };
        if key.1 != message.body.len() as u64 || !holds(storage, mbox, uid, message).await? {
            return Ok(Met::Other);
        }
        if let Some(uids) = self.by_key.get_mut(&key) {
            uids.remove(&uid);
        }
        Ok(Met::Same)
    }

    /// The UID under which a message is there, whichever it is: date, size and octets are the same. One that is there is met once, so
    /// that of two that are the same two are there in the end.
    pub(super) async fn by_content(
        &mut self,
        storage: &dyn Storage,
        mbox: &Mbox,
        message: &Message,
    ) -> Asked<Option<Uid>> {
        let key = (message.date.seconds, message.body.len() as u64);
        for uid in self.candidates(storage, mbox, key, &message.body).await? {
            let is_left = |uids: &BTreeSet<Uid>| uids.contains(&uid);
            if self.by_key.get(&key).is_some_and(is_left) && holds(storage, mbox, uid, message).await? {
                if let Some(uids) = self.by_key.get_mut(&key) {
                    uids.remove(&uid);
                }
                return Ok(Some(uid));
            }
        }
        Ok(None)
    }

    /// Which messages may have those octets. Where many came in the same second and are of the same size, their
    /// hashes tell, so that each is read once and not for each message of the source.
    async fn candidates(
        &mut self,
        storage: &dyn Storage,
        mbox: &Mbox,
        key: Key,
        octets: &[u8],
    ) -> Asked<Vec<Uid>> {
        let Some(uids) = self.by_key.get(&key) else { return Ok(Vec::new()) };
        if uids.len() < 2 {
            return Ok(uids.iter().copied().collect());
        }
        if !self.by_octets.contains_key(&key) {
            let mut hashes: HashMap<u64, BTreeSet<Uid>> = HashMap::new();
            for uid in uids {
                if let Some(octets) = octets_of(storage, mbox, *uid).await? {
                    hashes.entry(self.hasher.hash_one(&octets[..])).or_default().insert(*uid);
                }
            }
            self.by_octets.insert(key, hashes);
        }
        let hash = self.hasher.hash_one(octets);
        let found = self.by_octets.get_mut(&key).and_then(|hashes| hashes.get_mut(&hash));
        let Some(found) = found else { return Ok(Vec::new()) };
        // Those that have been met meanwhile are asked for no more.
        found.retain(|uid| uids.contains(uid));
        Ok(found.iter().copied().collect())
    }
}

/// Whether a message in the mailbox has these octets.
async fn holds(storage: &dyn Storage, mbox: &Mbox, uid: Uid, message: &Message) -> Asked<bool> {
    Ok(octets_of(storage, mbox, uid).await?.is_some_and(|octets| octets == message.body))
}

/// The octets of a message; `None` if it has gone.
async fn octets_of(storage: &dyn Storage, mbox: &Mbox, uid: Uid) -> Asked<Option<Bytes>> {
    let want = Want { digest: false, body: true };
    let mut rows = storage.rows(mbox, &UidSet::range(uid, uid), want).await?;
    while let Some(chunk) = rows.try_next().await? {
        for row in chunk {
            match body(storage, &row).await {
                Ok(octets) => return Ok(Some(octets)),
                Err(StorageError::Gone) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(None)
}
