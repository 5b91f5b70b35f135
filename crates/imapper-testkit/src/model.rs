//! A storage to compare others with: obviously right, and slow.
//!
//! Everything lies in one value. A change is made to a copy of it, which takes the old one's place only if
//! all went well; so nothing is ever half done. What is asked for is found by looking at all there is.

mod facets;
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use imapper_core::storage::{
    AccountId, Appended, Changes, Copied, CopyMode, Event, FlagChange, KeptDigest, MailboxId, MailboxInfo,
    Mbox, NewMessage, QuotaLimits, Result, Row, Snapshot, Staged, Status, StorageError, Stored, TreeOp, Want,
};
use imapper_core::types::{
    BodyRef, Flags, InternalDate, Keyword, ModSeq, SystemFlag, Uid, UidSet, UidValidity,
};
use tokio::sync::broadcast;

/// The model. Its clones share what they hold.
#[derive(Clone, Debug)]
pub struct Model {
    world: Arc<Mutex<World>>,
    events: broadcast::Sender<(AccountId, Event)>,
}

/// All there is.
#[derive(Clone, Debug, Default)]
struct World {
    accounts: BTreeMap<AccountId, Account>,
    bodies: BTreeMap<u64, Bytes>,
    /// What the operator lets all accounts keep, and single ones.
    most: (QuotaLimits, BTreeMap<AccountId, QuotaLimits>),
    /// The last id that was given to anything.
    last: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Account {
    mailboxes: Vec<Mailbox>,
    subscriptions: BTreeSet<String>,
    attributes: BTreeMap<(Option<MailboxId>, String), (Bytes, ModSeq)>,
    attributes_modseq: ModSeq,
    validity: u32,
    limits: QuotaLimits,
}

#[derive(Clone, Debug, PartialEq)]
struct Mailbox {
    info: MailboxInfo,
    uid_validity: UidValidity,
    uid_next: Uid,
    modseq: ModSeq,
    /// In the order of their UIDs.
    messages: Vec<Message>,
    gone: Vec<(Uid, ModSeq)>,
    /// Up to which mod-sequence it is not known what was removed, and the UIDs that had been given then.
    before: (ModSeq, UidSet),
    tokens: BTreeMap<Bytes, Uid>,
    recent_from: Uid,
}

#[derive(Clone, Debug, PartialEq)]
struct Message {
    uid: Uid,
    modseq: ModSeq,
    flags: Flags,
    internal_date: InternalDate,
    save_date: SystemTime,
    email_id: u64,
    thread_id: u64,
    thread_keys: Vec<u64>,
    digest: Option<KeptDigest>,
    body: u64,
    size: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Model {
    /// An empty one.
    pub fn new() -> Self {
        Self { world: Arc::default(), events: broadcast::channel(1024).0 }
    }

    /// Looks at the account as it is.
    fn look<T>(&self, account: &AccountId, at: impl FnOnce(&Account) -> Result<T>) -> Result<T> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        at(world.account(account))
    }

    /// Changes a copy, and puts it in place if that went well.
    fn change<T>(&self, change: impl FnOnce(&mut World) -> Result<T>) -> Result<T> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let before = world.clone();
        let mut after = before.clone();
        let done = change(&mut after)?;
        after.check_quota(&mut before.clone())?;
        *world = after.clone();
        drop(world);
        for (id, account) in &after.accounts {
            let unused = Account::default();
            self.tell(id, before.accounts.get(id).unwrap_or(&unused), account);
        }
        Ok(done)
    }

    /// Tells what is other than it was.
    fn tell(&self, id: &AccountId, old: &Account, new: &Account) {
        let tree = |account: &Account| -> Vec<MailboxInfo> {
            account.mailboxes.iter().map(|mailbox| mailbox.info.clone()).collect()
        };
        // An error of `send` says that nobody watches.
        if tree(old) != tree(new)
            || old.subscriptions != new.subscriptions
            || old.attributes != new.attributes
        {
            let _ = self.events.send((id.clone(), Event::Tree));
        }
        for mailbox in &new.mailboxes {
            let before = old.mailboxes.iter().find(|other| other.info.id == mailbox.info.id);
            if before.is_some_and(|before| before.modseq != mailbox.modseq) {
                let event = Event::Mailbox { id: mailbox.info.id.clone(), modseq: mailbox.modseq };
                let _ = self.events.send((id.clone(), event));
            }
        }
    }
}

impl World {
    fn id(&mut self) -> u64 {
        self.last = self.last.saturating_add(1);
        self.last
    }

    fn account(&mut self, id: &AccountId) -> &mut Account {
        if !self.accounts.contains_key(id) {
            self.accounts.insert(id.clone(), Account::default());
            let inbox = self.new_mailbox(id, "INBOX", Vec::new());
            self.accounts.entry(id.clone()).or_default().mailboxes.push(inbox);
        }
        self.accounts.entry(id.clone()).or_default()
    }

    fn mailbox(&mut self, mbox: &Mbox) -> Result<&mut Mailbox> {
        self.account(&mbox.account).find_mut(&mbox.id)
    }

    fn new_mailbox(&mut self, account: &AccountId, name: &str, special_use: Vec<Arc<str>>) -> Mailbox {
        let mut info = MailboxInfo::new(MailboxId::from(format!("m{}", self.id())), name);
        info.special_use = special_use;
        let account = self.accounts.entry(account.clone()).or_default();
        account.validity = account.validity.saturating_add(1);
        Mailbox {
            info,
            uid_validity: NonZeroU32::new(account.validity).unwrap_or(NonZeroU32::MIN),
            uid_next: Uid::MIN,
            modseq: ModSeq(1),
            messages: Vec::new(),
            gone: Vec::new(),
            before: (ModSeq::ZERO, UidSet::new()),
            tokens: BTreeMap::new(),
            recent_from: Uid::MIN,
        }
    }

    /// The key of a body and its octets.
    fn body(&self, name: &[u8]) -> Result<(u64, Bytes)> {
        let key = u64::from_be_bytes(name.try_into().map_err(|_| StorageError::Gone)?);
        Ok((key, self.bodies.get(&key).ok_or(StorageError::Gone)?.clone()))
    }

    fn tree(&mut self, id: &AccountId, op: TreeOp) -> Result<Option<MailboxInfo>> {
        let names: Vec<String> =
            self.account(id).mailboxes.iter().map(|mailbox| mailbox.info.name.clone()).collect();
        match op {
            TreeOp::Create { name, special_use } => {
                if names.contains(&name) {
                    return Err(StorageError::Exists);
                }
                let made = self.new_mailbox(id, &name, special_use);
                let info = made.info.clone();
                self.account(id).mailboxes.push(made);
                Ok(Some(info))
            }
            TreeOp::Rename { id: mailbox, to } => {
                let account = self.account(id);
                let from = account.find(&mailbox)?.info.name.clone();
                let new_name = |name: &str| {
                    let rest = name.strip_prefix(&from)?;
                    (rest.is_empty() || rest.starts_with('/')).then(|| format!("{to}{rest}"))
                };
                let stay: Vec<&String> = names.iter().filter(|name| new_name(name).is_none()).collect();
                if from != to && names.iter().filter_map(|name| new_name(name)).any(|n| stay.contains(&&n)) {
                    return Err(StorageError::Exists);
                }
                for mailbox in &mut account.mailboxes {
                    if let Some(name) = new_name(&mailbox.info.name) {
                        mailbox.info.name = name;
                    }
                }
                Ok(Some(account.find(&mailbox)?.info.clone()))
            }
            TreeOp::Delete { id: mailbox } => {
                let account = self.account(id);
                let info = account.find(&mailbox)?.info.clone();
                if info.name == "INBOX" {
                    return Err(StorageError::Denied);
                }
                account.mailboxes.retain(|other| other.info.id != mailbox);
                account.attributes.retain(|(owner, _), _| owner.as_ref() != Some(&mailbox));
                Ok(Some(info))
            }
            TreeOp::Subscribe { name, on } => {
                let subscriptions = &mut self.account(id).subscriptions;
                let _ = if on { subscriptions.insert(name) } else { subscriptions.remove(&name) };
                Ok(None)
            }
            _ => Err(StorageError::Unsupported),
        }
    }

    fn append(&mut self, mbox: &Mbox, messages: Vec<NewMessage>) -> Result<Appended> {
        let modseq = self.mailbox(mbox)?.modseq.next();
        let mut uids = Vec::new();
        for message in messages {
            let token = message.staged.token.clone();
            let known = self.mailbox(mbox)?.tokens.get(&token).copied();
            if let Some(uid) = known {
                uids.push(uid);
                continue;
            }
            if let Some(old) = message.replaces {
                self.mailbox(mbox)?.remove(old, modseq)?;
            }
            let uid = self.mailbox(mbox)?.uid_next;
            self.put(mbox, uid, modseq, message)?;
            self.mailbox(mbox)?.tokens.insert(token, uid);
            uids.push(uid);
        }
        let mailbox = self.mailbox(mbox)?;
        Ok(Appended { uid_validity: mailbox.uid_validity, uids, modseq: mailbox.modseq })
    }

    /// Puts a message at its place.
    fn put(&mut self, mbox: &Mbox, uid: Uid, modseq: ModSeq, message: NewMessage) -> Result<()> {
        let (body, octets) = self.body(&message.staged.token)?;
        let email_id = message.email_id.unwrap_or_else(|| self.id());
        let new_thread = self.id();
        let account = self.account(&mbox.account);
        let all = || account.mailboxes.iter().flat_map(|mailbox| &mailbox.messages);
        let copy = all().find(|other| other.email_id == email_id);
        let relative = || all().find(|o| message.thread_keys.iter().any(|key| o.thread_keys.contains(key)));
        let thread_id = copy.or_else(relative).map_or(new_thread, |other| other.thread_id);
        let mailbox = account.find_mut(&mbox.id)?;
        mailbox.uid_next = mailbox.uid_next.max(uid.next());
        mailbox.modseq = modseq;
        mailbox.messages.push(Message {
            uid,
            modseq,
            flags: message.flags,
            internal_date: message.internal_date,
            save_date: message.save_date.unwrap_or_else(SystemTime::now),
            email_id,
            thread_id,
            thread_keys: message.thread_keys,
            digest: message.digest,
            body,
            size: octets.len() as u64,
        });
        mailbox.messages.sort_by_key(|message| message.uid);
        Ok(())
    }

    fn copy(&mut self, from: &Mbox, uids: &UidSet, to: &Mbox, mode: CopyMode) -> Result<Copied> {
        let source = self.mailbox(from)?;
        let messages: Vec<Message> =
            source.messages.iter().filter(|message| uids.contains(message.uid)).cloned().collect();
        let modseq = self.mailbox(to)?.modseq.next();
        let mut pairs = Vec::new();
        for message in &messages {
            let staged = Staged { token: key(message.body), size: message.size };
            let mut copy = NewMessage::new(staged, message.flags.clone(), message.internal_date);
            copy.digest.clone_from(&message.digest);
            copy.email_id = Some(message.email_id);
            copy.thread_keys.clone_from(&message.thread_keys);
            let uid = self.mailbox(to)?.uid_next;
            self.put(to, uid, modseq, copy)?;
            pairs.push((message.uid, uid));
        }
        if mode == CopyMode::Move {
            // Within one mailbox both are one change.
            let modseq = if from == to { modseq } else { self.mailbox(from)?.modseq.next() };
            for message in &messages {
                self.mailbox(from)?.remove(message.uid, modseq)?;
            }
        }
        let from_modseq = self.mailbox(from)?.modseq;
        let target = self.mailbox(to)?;
        Ok(Copied {
            uid_validity: target.uid_validity,
            pairs,
            to_modseq: target.modseq,
            from_modseq: (mode == CopyMode::Move).then_some(from_modseq),
        })
    }
}

impl Account {
    fn find(&self, id: &MailboxId) -> Result<&Mailbox> {
        self.mailboxes.iter().find(|mailbox| mailbox.info.id == *id).ok_or(StorageError::NoMailbox)
    }

    fn find_mut(&mut self, id: &MailboxId) -> Result<&mut Mailbox> {
        self.mailboxes.iter_mut().find(|mailbox| mailbox.info.id == *id).ok_or(StorageError::NoMailbox)
    }
}

impl Mailbox {
    /// Goes on from where the mailbox was before it came here.
    fn begin_at(&mut self, modseq: ModSeq) {
        self.modseq = self.modseq.max(modseq);
        let last = Uid::new(self.uid_next.get() - 1);
        self.before = (self.modseq, last.map_or_else(UidSet::new, |last| UidSet::range(Uid::MIN, last)));
    }

    fn remove(&mut self, uid: Uid, modseq: ModSeq) -> Result<()> {
        let at = self.messages.iter().position(|message| message.uid == uid).ok_or(StorageError::Gone)?;
        self.messages.remove(at);
        self.gone.push((uid, modseq));
        self.modseq = modseq;
        Ok(())
    }

    fn count(&self, test: impl Fn(&&Message) -> bool) -> u32 {
        u32::try_from(self.messages.iter().filter(test).count()).unwrap_or(u32::MAX)
    }

    fn status(&self) -> Status {
        let mut status = Status::empty(self.uid_validity);
        status.uid_next = self.uid_next;
        status.highest_modseq = self.modseq;
        status.messages = self.count(|_| true);
        status.unseen = self.count(|message| !message.flags.contains(SystemFlag::Seen));
        status.deleted = self.count(|message| message.flags.contains(SystemFlag::Deleted));
        status.size = self.messages.iter().map(|message| message.size).sum();
        let deleted = self.messages.iter().filter(|message| message.flags.contains(SystemFlag::Deleted));
        status.deleted_size = deleted.map(|message| message.size).sum();
        status.recent = self.count(|message| message.uid >= self.recent_from);
        status.first_recent =
            self.messages.iter().map(|message| message.uid).find(|uid| *uid >= self.recent_from);
        status
    }

    fn snapshot(&self) -> Snapshot {
        let keywords: BTreeSet<Keyword> =
            self.messages.iter().flat_map(|message| message.flags.keywords()).cloned().collect();
        Snapshot {
            status: self.status(),
            uids: self.messages.iter().map(|message| message.uid).collect(),
            keywords: keywords.into_iter().collect(),
            new_keywords: true,
        }
    }

    fn set_flags(&mut self, change: &FlagChange) -> Stored {
        let modseq = self.modseq.next();
        let mut stored = Stored::default();
        for message in self.messages.iter_mut().filter(|message| change.uids.contains(message.uid)) {
            let flags = change.op.apply(&message.flags);
            if change.unchanged_since.is_some_and(|since| message.modseq > since) {
                stored.conflict.insert(message.uid);
            } else if flags == message.flags {
                stored.unchanged.insert(message.uid);
            } else {
                stored.changed.push((message.uid, flags.clone()));
                (message.flags, message.modseq) = (flags, modseq);
            }
        }
        if !stored.changed.is_empty() {
            self.modseq = modseq;
        }
        stored.modseq = self.modseq;
        stored
    }

    fn changes(&self, since: ModSeq, limit: usize) -> Changes {
        // Each change's number once, in order: as many of them are told as the limit wants.
        let messages = self.messages.iter().map(|message| message.modseq);
        let mut steps: Vec<ModSeq> = messages.chain(self.gone.iter().map(|(_, modseq)| *modseq)).collect();
        steps.retain(|modseq| *modseq > since);
        steps.sort_unstable();
        let to = steps.get(limit.max(1).saturating_sub(1)).copied().unwrap_or(self.modseq);
        let told = |modseq: ModSeq| modseq > since && modseq <= to;
        let changed = self.messages.iter().filter(|message| told(message.modseq));
        let mut removed: UidSet =
            self.gone.iter().filter(|(_, modseq)| told(*modseq)).map(|(uid, _)| *uid).collect();
        let (known_from, before) = &self.before;
        if since < *known_from {
            let there = self.messages.iter().map(|message| message.uid).collect();
            removed = removed.union(&before.difference(&there));
        }
        let mut status = self.status();
        status.highest_modseq = to;
        Changes {
            to,
            status,
            changed: changed.map(|message| message.row(Want::FLAGS)).collect(),
            removed,
            exact: since >= *known_from,
            more: to < self.modseq,
        }
    }
}

impl Message {
    fn row(&self, want: Want) -> Row {
        let mut row = Row::new(self.uid, self.modseq, self.flags.clone(), self.internal_date, self.size);
        row.save_date = Some(self.save_date);
        row.email_id = Some(self.email_id);
        row.thread_id = Some(self.thread_id);
        row.digest = self.digest.clone().filter(|_| want.digest);
        row.body = want.body.then(|| BodyRef(key(self.body)));
        row
    }
}

fn key(body: u64) -> Bytes {
    Bytes::copy_from_slice(&body.to_be_bytes())
}
