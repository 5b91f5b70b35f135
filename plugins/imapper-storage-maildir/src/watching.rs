//! Who is told of what is seen in watched folders.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use imapper_core::storage::MailboxId;

use crate::account::Account;
use crate::watch::{Key, Seen, Watcher};

type Owners = Arc<Mutex<HashMap<Key, (Weak<Account>, Option<MailboxId>)>>>;

/// The watched folders of a storage, and whose they are.
pub(crate) struct Watching {
    watcher: Arc<Watcher>,
    owners: Owners,
}

impl Watching {
    pub(crate) fn start() -> Arc<Self> {
        let owners = Owners::default();
        let told = Arc::clone(&owners);
        let watcher = Watcher::start(Box::new(move |keys: &[Key]| {
            let owned: Vec<_> = {
                let owners = told.lock().unwrap_or_else(PoisonError::into_inner);
                keys.iter().filter_map(|key| owners.get(key)).cloned().collect()
            };
            for (account, mailbox) in owned {
                if let Some(account) = account.upgrade() {
                    account.wake(mailbox);
                }
            }
        }));
        Arc::new(Self { watcher, owners })
    }

    /// Watches a folder of an account: that of a mailbox, or one whose mailboxes come and go.
    pub(crate) fn add(&self, folder: &Path, account: Weak<Account>, mailbox: Option<MailboxId>) -> Key {
        let key = self.watcher.add(folder);
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (account, mailbox));
        key
    }

    pub(crate) fn remove(&self, key: Key) {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        self.watcher.remove(key);
    }

    pub(crate) fn drain(&self, key: Key) -> Vec<Seen> {
        self.watcher.drain(key)
    }

    pub(crate) fn drain_all(&self, keys: impl Iterator<Item = Key>) -> Vec<(Key, Seen)> {
        self.watcher.drain_all(keys)
    }
}
