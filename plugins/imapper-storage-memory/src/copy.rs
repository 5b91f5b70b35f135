//! Adding, copying and moving messages within one account, or between two.

use std::sync::{Arc, RwLockWriteGuard};
use std::time::SystemTime;

use imapper_core::storage::{
    Appended, Copied, CopyMode, MailboxId, Mbox, NewMessage, QuotaLimits, Result, StorageError,
};
use imapper_core::types::{ModSeq, Uid, UidSet};

use crate::account::{Account, Ids, State};
use crate::body::Body;
use crate::mailbox::Message;

/// How many of the keys that tie a message to a conversation are kept.
pub(crate) const MAX_THREAD_KEYS: usize = 128;

impl State {
    /// Adds messages whose bodies have been found, all or none. Those whose token was appended here before
    /// have their UID already.
    pub(crate) fn append(
        &mut self,
        ids: &Ids,
        id: &MailboxId,
        messages: Vec<(NewMessage, Arc<Body>)>,
        most: QuotaLimits,
        now: SystemTime,
    ) -> Result<(Appended, bool)> {
        let mailbox = self.mailbox(id)?;
        if !mailbox.has_room(messages.len()) {
            return Err(StorageError::Limit("the mailbox has no UIDs left"));
        }
        let is_new = |body: &Body| body.appended_as(id).is_none();
        let mut replaced = UidSet::new();
        let (mut octets, mut count) = (0u64, 0usize);
        for (message, body) in messages.iter().filter(|(_, body)| is_new(body)) {
            (octets, count) = (octets.saturating_add(body.size()), count.saturating_add(1));
            if let Some(uid) = message.replaces {
                mailbox.get(uid).ok_or(StorageError::Gone)?;
                replaced.insert(uid);
            }
        }
        for (_, old) in mailbox.select(&replaced) {
            (octets, count) = (octets.saturating_sub(old.body.size()), count.saturating_sub(1));
        }
        self.check_room(most, octets, count)?;
        let mailbox = self.mailbox_mut(id)?;
        mailbox.admit(messages.iter().map(|(message, _)| &message.flags))?;
        let (uid_validity, mut next) = (mailbox.uid_validity, mailbox.uid_next);
        let mut uids = Vec::with_capacity(messages.len());
        let mut new = Vec::with_capacity(messages.len());
        for (message, body) in messages {
            if let Some(uid) = body.appended_as(id) {
                uids.push(uid);
                continue;
            }
            let uid = next;
            next = next.next();
            body.note_appended(id.clone(), uid);
            if let Some(digest) = message.digest {
                body.put_digest(digest);
            }
            let email_id = message.email_id.unwrap_or_else(|| ids.next());
            let keys: Arc<[u64]> = message.thread_keys.into_iter().take(MAX_THREAD_KEYS).collect();
            let thread_id = self.enter(ids, email_id, &keys, id, (uid, body.size()));
            uids.push(uid);
            new.push((
                uid,
                Message {
                    flags: message.flags,
                    modseq: ModSeq::ZERO,
                    internal_date: message.internal_date,
                    save_date: message.save_date.unwrap_or(now),
                    email_id,
                    thread_id,
                    body,
                },
            ));
        }
        let changed = !new.is_empty();
        let mailbox = self.mailbox_mut(id)?;
        mailbox.insert(new);
        if !replaced.is_empty() {
            self.remove(id, &replaced, false, true)?;
        }
        let modseq = self.mailbox(id)?.modseq();
        Ok((Appended { uid_validity, uids, modseq }, changed))
    }

    /// Copies of messages of a mailbox, and what ties them to conversations.
    fn copy_out(&self, id: &MailboxId, uids: &UidSet) -> Result<Vec<Copy>> {
        let copies = self.mailbox(id)?.select(uids).map(|(uid, message)| Copy {
            uid,
            message: message.clone(),
            thread_keys: self.thread_keys(message.email_id),
        });
        Ok(copies.collect())
    }

    /// Puts copies at the end of a mailbox, all or none; gives their UIDs.
    fn copy_in(
        &mut self,
        ids: &Ids,
        id: &MailboxId,
        copies: Vec<Copy>,
        now: SystemTime,
    ) -> Result<Vec<(Uid, Uid)>> {
        let mailbox = self.mailbox_mut(id)?;
        if !mailbox.has_room(copies.len()) {
            return Err(StorageError::Limit("the mailbox has no UIDs left"));
        }
        mailbox.admit(copies.iter().map(|copy| &copy.message.flags))?;
        let mut next = mailbox.uid_next;
        let mut pairs = Vec::with_capacity(copies.len());
        let mut new = Vec::with_capacity(copies.len());
        for Copy { uid: old, mut message, thread_keys } in copies {
            let uid = next;
            next = next.next();
            let place = (uid, message.body.size());
            message.thread_id = self.enter(ids, message.email_id, &thread_keys, id, place);
            message.save_date = now;
            pairs.push((old, uid));
            new.push((uid, message));
        }
        self.mailbox_mut(id)?.insert(new);
        Ok(pairs)
    }
}

struct Copy {
    uid: Uid,
    message: Message,
    thread_keys: Arc<[u64]>,
}

/// One account or two, locked.
enum Locked<'a> {
    One(RwLockWriteGuard<'a, State>),
    Two { from: RwLockWriteGuard<'a, State>, to: RwLockWriteGuard<'a, State> },
}

impl<'a> Locked<'a> {
    /// Two accounts are always locked in the same order.
    fn new(from: &'a Account, to: &'a Account, same: bool, from_first: bool) -> Self {
        if same {
            return Self::One(from.write());
        }
        if from_first {
            let from = from.write();
            return Self::Two { from, to: to.write() };
        }
        let to = to.write();
        Self::Two { from: from.write(), to }
    }

    fn from(&mut self) -> &mut State {
        match self {
            Self::One(state) | Self::Two { from: state, .. } => state,
        }
    }

    fn to(&mut self) -> &mut State {
        match self {
            Self::One(state) | Self::Two { to: state, .. } => state,
        }
    }
}

/// Copies or moves, in one step also between two accounts.
pub(crate) fn copy(
    ids: &Ids,
    accounts: (&Account, &Account),
    from: &Mbox,
    uids: &UidSet,
    to: &Mbox,
    mode: CopyMode,
    most: QuotaLimits,
) -> Result<Copied> {
    let same = from.account == to.account;
    let mut locked = Locked::new(accounts.0, accounts.1, same, from.account < to.account);
    let uid_validity = locked.to().mailbox(&to.id)?.uid_validity;
    let copies = locked.from().copy_out(&from.id, uids)?;
    if !same || mode == CopyMode::Copy {
        let octets = copies.iter().map(|copy| copy.message.body.size()).sum();
        locked.to().check_room(most, octets, copies.len())?;
    }
    let pairs = locked.to().copy_in(ids, &to.id, copies, SystemTime::now())?;
    let to_modseq = locked.to().mailbox(&to.id)?.modseq();
    // Within one mailbox the copies and the removals are one change.
    let from_modseq = match mode {
        CopyMode::Copy => None,
        CopyMode::Move => {
            let moved: UidSet = pairs.iter().map(|(old, _)| *old).collect();
            locked.from().remove(&from.id, &moved, false, from == to)?;
            Some(locked.from().mailbox(&from.id)?.modseq())
        }
    };
    Ok(Copied { uid_validity, pairs, to_modseq, from_modseq })
}
