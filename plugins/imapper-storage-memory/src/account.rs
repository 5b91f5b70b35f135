//! One account: its tree, its subscriptions and attributes, and what ties copies of an email together. One
//! lock an account: a change of several mailboxes is one step, and a rename moves a whole subtree.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use imapper_core::storage::{Event, MailboxId, QuotaUse, Result, StorageError};
use imapper_core::types::{ModSeq, Uid, UidSet, UidValidity};
use tokio::sync::broadcast;

use crate::mailbox::{Mailbox, Message};

/// How many hints a slow watcher may be behind before it is told that it has missed some.
const EVENTS: usize = 64;

/// Where ids come from: never the same twice, also after the program was started anew.
#[derive(Debug)]
pub(crate) struct Ids(AtomicU64);

impl Ids {
    /// Begins at the time in milliseconds, with 22 bits to go on: nothing makes ids faster than that.
    pub(crate) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(AtomicU64::new(u64::try_from(now.as_millis()).unwrap_or_default() << 22))
    }

    pub(crate) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn mailbox(&self) -> MailboxId {
        MailboxId::from(format!("{:x}", self.next()))
    }
}

/// An account.
#[derive(Debug)]
pub(crate) struct Account {
    state: RwLock<State>,
    events: OnceLock<broadcast::Sender<Event>>,
}

impl Account {
    pub(crate) fn new(state: State) -> Self {
        Self { state: RwLock::new(state), events: OnceLock::new() }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a hint to all who watch. Not with the lock held: those that wake up want it.
    pub(crate) fn tell(&self, event: Event) {
        if let Some(events) = self.events.get() {
            // An error says that nobody watches.
            let _ = events.send(event);
        }
    }

    pub(crate) fn watch(&self) -> broadcast::Receiver<Event> {
        self.events.get_or_init(|| broadcast::channel(EVENTS).0).subscribe()
    }
}

/// What an account holds.
#[derive(Debug)]
pub(crate) struct State {
    /// Whether INBOX belongs to it for ever; not so in a shared tree.
    pub(crate) personal: bool,
    pub(crate) names: BTreeMap<String, MailboxId>,
    pub(crate) mailboxes: HashMap<MailboxId, Mailbox>,
    /// The next UIDVALIDITY; `None` when all are used up.
    next_validity: Option<UidValidity>,
    pub(crate) subscriptions: BTreeSet<String>,
    pub(crate) attributes: BTreeMap<(Option<MailboxId>, String), (Bytes, ModSeq)>,
    pub(crate) attributes_modseq: ModSeq,
    /// What all messages come to, and the account's own limits.
    pub(crate) used: QuotaUse,
    emails: HashMap<u64, Email>,
    /// Conversations by what ties messages to them, with the number of emails that bring the key.
    threads: HashMap<u64, (u64, usize)>,
}

/// What is the same in all copies of an email.
#[derive(Debug)]
struct Email {
    thread_id: u64,
    thread_keys: Arc<[u64]>,
    places: Vec<(MailboxId, Uid)>,
}

impl State {
    /// An account without a mailbox.
    pub(crate) fn new(personal: bool, first_validity: UidValidity) -> Self {
        Self {
            personal,
            names: BTreeMap::new(),
            mailboxes: HashMap::new(),
            next_validity: Some(first_validity),
            subscriptions: BTreeSet::new(),
            attributes: BTreeMap::new(),
            attributes_modseq: ModSeq(1),
            used: QuotaUse::default(),
            emails: HashMap::new(),
            threads: HashMap::new(),
        }
    }

    /// A mailbox of any kind.
    pub(crate) fn any(&self, id: &MailboxId) -> Result<&Mailbox> {
        self.mailboxes.get(id).ok_or(StorageError::NoMailbox)
    }

    /// A mailbox that can hold messages.
    pub(crate) fn mailbox(&self, id: &MailboxId) -> Result<&Mailbox> {
        self.any(id).ok().filter(|mailbox| !mailbox.no_select).ok_or(StorageError::NoMailbox)
    }

    /// The same, to be changed.
    pub(crate) fn mailbox_mut(&mut self, id: &MailboxId) -> Result<&mut Mailbox> {
        self.mailboxes.get_mut(id).filter(|mailbox| !mailbox.no_select).ok_or(StorageError::NoMailbox)
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&Mailbox> {
        self.names.get(name).and_then(|id| self.mailboxes.get(id))
    }

    /// A UIDVALIDITY that no mailbox of the account ever had.
    pub(crate) fn new_validity(&mut self) -> Result<UidValidity> {
        let validity = self.next_validity.ok_or(StorageError::Limit("UIDVALIDITY is used up"))?;
        self.next_validity = validity.checked_add(1);
        Ok(validity)
    }

    /// Notes a UIDVALIDITY that comes from elsewhere, so that it is not given again.
    pub(crate) fn use_validity(&mut self, validity: UidValidity) {
        if self.next_validity.is_some_and(|next| next <= validity) {
            self.next_validity = validity.checked_add(1);
        }
    }

    /// Adds a mailbox whose name is free.
    pub(crate) fn add(&mut self, mailbox: Mailbox) {
        self.names.insert(mailbox.name.clone(), mailbox.id.clone());
        self.mailboxes.insert(mailbox.id.clone(), mailbox);
    }

    /// Takes a mailbox out, with all that refers to it but the subscriptions (RFC 3501 §6.3.6).
    pub(crate) fn take(&mut self, id: &MailboxId) -> Option<Mailbox> {
        let mailbox = self.mailboxes.remove(id)?;
        self.names.remove(&mailbox.name);
        self.attributes.retain(|(owner, _), _| owner.as_ref() != Some(id));
        for (uid, message) in mailbox.messages() {
            self.leave(message, id, uid);
        }
        Some(mailbox)
    }

    /// Notes a place of an email, and the octets that it takes there; gives its conversation. An email that is here already has one (RFC 8474
    /// §5.2: the same for all copies, never changed); a new one joins the first that one of its keys
    /// leads to.
    pub(crate) fn enter(
        &mut self,
        ids: &Ids,
        email: u64,
        keys: &Arc<[u64]>,
        mailbox: &MailboxId,
        (uid, size): (Uid, u64),
    ) -> u64 {
        self.used.octets = self.used.octets.saturating_add(size);
        self.used.messages = self.used.messages.saturating_add(1);
        let place = (mailbox.clone(), uid);
        if let Some(known) = self.emails.get_mut(&email) {
            known.places.push(place);
            return known.thread_id;
        }
        let thread_id = keys
            .iter()
            .find_map(|key| self.threads.get(key))
            .map_or_else(|| ids.next(), |(thread, _)| *thread);
        for key in keys.iter() {
            let entry = self.threads.entry(*key).or_insert((thread_id, 0));
            entry.1 = entry.1.saturating_add(1);
        }
        self.emails.insert(email, Email { thread_id, thread_keys: Arc::clone(keys), places: vec![place] });
        thread_id
    }

    /// Notes that a message has left its place.
    fn leave(&mut self, message: &Message, mailbox: &MailboxId, uid: Uid) {
        self.used.octets = self.used.octets.saturating_sub(message.body.size());
        self.used.messages = self.used.messages.saturating_sub(1);
        let email = message.email_id;
        let Some(known) = self.emails.get_mut(&email) else { return };
        if let Some(at) = known.places.iter().position(|(id, at)| id == mailbox && *at == uid) {
            known.places.swap_remove(at);
        }
        if !known.places.is_empty() {
            return;
        }
        let Some(gone) = self.emails.remove(&email) else { return };
        for key in gone.thread_keys.iter() {
            if let Some(entry) = self.threads.get_mut(key) {
                entry.1 = entry.1.saturating_sub(1);
                if entry.1 == 0 {
                    self.threads.remove(key);
                }
            }
        }
    }

    /// Where copies of an email lie.
    pub(crate) fn places(&self, email: u64) -> &[(MailboxId, Uid)] {
        self.emails.get(&email).map(|known| known.places.as_slice()).unwrap_or_default()
    }

    pub(crate) fn thread_keys(&self, email: u64) -> Arc<[u64]> {
        self.emails.get(&email).map(|known| Arc::clone(&known.thread_keys)).unwrap_or_default()
    }

    /// Takes messages out of a mailbox: as a change of its own, or as part of the one that the same call has
    /// just made there.
    pub(crate) fn remove(
        &mut self,
        id: &MailboxId,
        uids: &UidSet,
        only_deleted: bool,
        joined: bool,
    ) -> Result<Vec<(Uid, Message)>> {
        let mailbox = self.mailbox_mut(id)?;
        let modseq = if joined { mailbox.modseq() } else { mailbox.next_modseq() };
        let taken = mailbox.remove(uids, only_deleted, modseq);
        for (uid, message) in &taken {
            self.leave(message, id, *uid);
        }
        Ok(taken)
    }
}
