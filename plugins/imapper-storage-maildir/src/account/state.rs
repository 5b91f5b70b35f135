//! What an account holds in memory, behind its lock. Only the thread that runs the account's changes writes it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use imapper_core::storage::{MailboxId, MailboxInfo, Result, StorageError};

use super::settings::Settings;
use crate::mailbox::Mailbox;
use crate::mailbox::cache::Cache;
use crate::mailbox::entry::Place;
use crate::mailbox::load::Known;
use crate::watch::Key;

/// An account's mailboxes and settings.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) names: BTreeMap<String, MailboxId>,
    pub(crate) slots: HashMap<MailboxId, Slot>,
    pub(crate) settings: Settings,
    /// Octets of the settings' file, and its number in the file system.
    pub(crate) settings_known: (u64, u64),
    /// The folders whose names are watched for mailboxes that come and go.
    pub(crate) tree_keys: HashMap<String, Key>,
    /// How often mailboxes may have come or gone, and up to which of these times the folders were looked at.
    pub(crate) tree_changes: u64,
    pub(crate) tree_known: u64,
}

/// A mailbox, opened or not.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: MailboxId,
    pub(crate) name: String,
    /// Its folder, below the account's.
    pub(crate) folder: String,
    /// `None` until somebody asks for more than its name.
    pub(crate) mailbox: Option<Mailbox>,
    pub(crate) known: Known,
    /// What watches `new/` and `cur/`.
    pub(crate) keys: Option<[(Place, Key); 2]>,
    /// The files are not what was thought: open it anew.
    pub(crate) stale: bool,
    /// A batch of changes is under way: its own files change now.
    pub(crate) busy: bool,
    /// Names that were seen and not looked at yet.
    pub(crate) suspects: Arc<Mutex<Suspects>>,
    pub(crate) cache: Arc<Mutex<Cache>>,
}

/// What was seen in a mailbox's folders.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    pub(crate) names: Vec<(Place, String)>,
    /// So much was seen that all has to be looked at.
    pub(crate) all: bool,
    /// They are being looked at: what is in memory is from before.
    pub(crate) looking: bool,
    /// Names of messages that are missing, whose new name may still be told, and since when.
    pub(crate) unsure: HashMap<(Place, String), Instant>,
    /// A look at these is to come.
    pub(crate) waits: bool,
}

impl Slot {
    pub(crate) fn new(id: MailboxId, name: String, folder: String) -> Self {
        Self {
            id,
            name,
            folder,
            mailbox: None,
            known: Known::default(),
            keys: None,
            stale: false,
            busy: false,
            suspects: Arc::default(),
            cache: Arc::default(),
        }
    }
}

impl State {
    /// Notes that mailboxes may have come or gone.
    pub(crate) const fn tree_changes(&mut self) {
        self.tree_changes = self.tree_changes.saturating_add(1);
    }

    /// Whether mailboxes may have come or gone since the folders were looked at.
    pub(crate) const fn tree_is_stale(&self) -> bool {
        self.tree_changes != self.tree_known
    }

    pub(crate) fn slot(&self, id: &MailboxId) -> Result<&Slot> {
        self.slots.get(id).ok_or(StorageError::NoMailbox)
    }

    /// An opened mailbox.
    pub(crate) fn mailbox(&self, id: &MailboxId) -> Result<&Mailbox> {
        self.slot(id)?.mailbox.as_ref().ok_or(StorageError::NoMailbox)
    }

    pub(crate) fn info(&self, slot: &Slot) -> MailboxInfo {
        let mut info = MailboxInfo::new(slot.id.clone(), slot.name.as_str());
        info.special_use = self.settings.uses.get(&slot.id).cloned().unwrap_or_default();
        info
    }

    /// All mailboxes.
    pub(crate) fn list(&self) -> Vec<MailboxInfo> {
        self.names.values().filter_map(|id| self.slots.get(id)).map(|slot| self.info(slot)).collect()
    }

    /// Octets and messages of all mailboxes that are opened.
    pub(crate) fn used(&self) -> (u64, u64) {
        let mailboxes = self.slots.values().filter_map(|slot| slot.mailbox.as_ref());
        mailboxes.fold((0u64, 0u64), |(octets, messages), mailbox| {
            (octets.saturating_add(mailbox.size()), messages.saturating_add(mailbox.len() as u64))
        })
    }
}
