//! Adding messages whose bodies lie in `tmp/`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use imapper_core::storage::{Appended, KeptDigest, MailboxId, NewMessage, StorageError};
use imapper_core::types::{Uid, UidSet};

use super::batch::{After, Batch, Change, Stop};
use super::keywords::{Words, learn};
use super::step::Step;
use super::{Account, Slot};
use crate::mailbox::entry::{Entry, Place, Put};
use crate::mailbox::file::{hash, join};
use crate::mailbox::{Mailbox, nanos, ranges_of};

/// A message that is to be added.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) message: NewMessage,
    /// The body's name in `tmp/` of the account's folder, which is its token.
    pub(crate) token: String,
}

impl Arrival {
    pub(super) fn email_id(&self) -> u64 {
        self.message.email_id.unwrap_or_else(|| hash(self.token.as_bytes()))
    }

    /// What identifies the message: the same for the same token, so that it is added once.
    pub(crate) fn base(&self) -> String {
        base(&self.token, self.email_id(), self.message.staged.size, self.message.staged.size)
    }

    /// Where the body lies.
    pub(super) fn path(&self) -> String {
        format!("tmp/{}", self.token)
    }
}

/// A base that holds what outlives the index: the email's id and the sizes.
pub(super) fn base(unique: &str, email_id: u64, physical: u64, wire: u64) -> String {
    format!("{unique}.I{email_id:016x},S={physical},W={wire}")
}

/// The longest name that file systems take.
const MAX_NAME: usize = 255;

/// A name is short enough.
pub(super) fn check_name(base: &str, info: &str) -> Result<(), StorageError> {
    if base.len().saturating_add(info.len()) > MAX_NAME {
        return Err(StorageError::Limit("too many keywords for one message"));
    }
    Ok(())
}

/// Plans the adding of messages, all or none. Those whose token was added here before have their UID already.
pub(crate) fn append(
    batch: &mut Batch<'_>,
    id: &MailboxId,
    arrivals: &[Arrival],
) -> Result<(Change, Appended), Stop> {
    batch.open(id)?;
    // A token that comes twice is one message.
    let mut tokens = HashSet::new();
    let distinct: Vec<&Arrival> = arrivals.iter().filter(|one| tokens.insert(one.token.as_str())).collect();
    for arrival in &distinct {
        batch.token(id, arrival.token.as_bytes())?;
    }
    let account = batch.account;
    let state = account.read();
    let (slot, mailbox) = (state.slot(id)?, state.mailbox(id)?);
    let is_new = |arrival: &&&Arrival| mailbox.by_base(&arrival.base()).is_none();
    let new: Vec<&Arrival> = distinct.iter().filter(is_new).copied().collect();
    let replaced = replaced(mailbox, &new)?;
    let learned = learn(batch, slot, mailbox, new.iter().map(|arrival| &arrival.message.flags))?;
    if learned.entries.is_empty() {
        batch.touch(id, &replaced)?;
    }
    let going = mailbox.select(&replaced);
    let (octets, count) = going.fold((0i128, 0i128), |(octets, count), (_, message)| {
        (octets.saturating_sub(i128::from(message.wire)), count.saturating_sub(1))
    });
    let coming: i128 = new.iter().map(|arrival| i128::from(arrival.message.staged.size)).sum();
    let count = count.saturating_add(i128::try_from(new.len()).unwrap_or(i128::MAX));
    // `take_room` may open other mailboxes, so that the lock must not be held.
    let (validity, folder) = (mailbox.uid_validity, slot.folder.clone());
    drop(state);
    batch.take_room(octets.saturating_add(coming), count)?;
    let state = account.read();
    let mailbox = state.mailbox(id)?;
    let mut change = Change::default();
    let words = Words::new(mailbox, &learned);
    change.record.additions = learned.steps;
    let mut entries = learned.entries;
    let mut uids = Vec::with_capacity(arrivals.len());
    let mut digests = Vec::new();
    if new.is_empty() {
        uids.extend(arrivals.iter().filter_map(|arrival| Some(mailbox.by_base(&arrival.base())?.0)));
        return Ok((Change::default(), Appended { uid_validity: validity, uids, modseq: mailbox.modseq() }));
    }
    let modseq = batch.next_modseq(id, mailbox);
    let mut next = batch.next_uids(id, mailbox, new.len())?;
    let mut lines = Vec::with_capacity(new.len());
    let mut given: HashMap<&str, Uid> = HashMap::new();
    for arrival in arrivals {
        if let Some((uid, _)) = mailbox.by_base(&arrival.base()) {
            uids.push(uid);
            continue;
        }
        if let Some(uid) = given.get(arrival.token.as_str()) {
            uids.push(*uid);
            continue;
        }
        let uid = next;
        given.insert(arrival.token.as_str(), uid);
        next = next.next();
        uids.push(uid);
        let put = put(batch, arrival, &words, uid, modseq.0);
        check_name(&put.base, &put.state.info)?;
        let to = join(&folder, &format!("cur/{}{}", put.base, put.state.info));
        change.record.additions.push(link(account, arrival, to)?);
        lines.push((uid.get(), put.base.clone()));
        digests.extend(arrival.message.digest.clone().map(|digest| (uid, digest)));
        entries.push(Entry::Put(put));
    }
    if !replaced.is_empty() {
        let files = mailbox.select(&replaced).map(|(_, message)| join(&folder, &mailbox.file(message)));
        change.record.removals = files.map(|path| Step::Unlink { path }).collect();
        entries.push(Entry::Gone { uids: ranges_of(&replaced), modseq: modseq.0 });
    }
    change.entries.push((id.clone(), entries));
    change.lines.push((id.clone(), lines));
    change.beside = keep(id, digests, replaced);
    Ok((change, Appended { uid_validity: validity, uids, modseq }))
}

/// The messages that the new ones replace.
fn replaced(mailbox: &Mailbox, new: &[&Arrival]) -> Result<UidSet, StorageError> {
    let mut replaced = UidSet::new();
    for uid in new.iter().filter_map(|arrival| arrival.message.replaces) {
        mailbox.get(uid).ok_or(StorageError::Gone)?;
        replaced.insert(uid);
    }
    Ok(replaced)
}

/// A new message as it is written down.
pub(super) fn put(batch: &mut Batch<'_>, arrival: &Arrival, words: &Words, uid: Uid, modseq: u64) -> Put {
    let NewMessage { flags, internal_date, save_date, thread_keys, staged, .. } = &arrival.message;
    let email_id = arrival.email_id();
    let keywords = words.numbers(flags);
    let info = crate::format::filename::info(flags.system, &keywords, "", "");
    let thread_id = batch.threads.enter(&*batch.account.index, email_id, thread_keys);
    Put {
        uid: uid.get(),
        modseq,
        base: arrival.base(),
        physical: staged.size,
        wire: staged.size,
        date: (internal_date.seconds, internal_date.offset_minutes),
        saved: nanos(save_date.unwrap_or(batch.now)),
        email_id,
        thread_id,
        state: crate::mailbox::entry::FileState {
            place: Place::Cur,
            system: flags.system.bits(),
            keywords,
            info,
        },
    }
}

/// The step that puts a body in its place, with its internal date as the file's time, where other programs read it.
pub(super) fn link(account: &Account, arrival: &Arrival, to: String) -> Result<Step, StorageError> {
    let from = arrival.path();
    match account.disk.stat(&from) {
        Ok(_) => Ok(Step::Link { from, to, date: Some(arrival.message.internal_date.seconds) }),
        // The staged body was swept, or is another account's.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(StorageError::Gone),
        Err(error) => Err(crate::disk::failure(&error)),
    }
}

/// Keeps the digests of new messages, and forgets those of removed ones.
pub(super) fn keep(id: &MailboxId, digests: Vec<(Uid, KeptDigest)>, gone: UidSet) -> Option<After> {
    if digests.is_empty() && gone.is_empty() {
        return None;
    }
    let id = id.clone();
    Some(Box::new(move |account: &Account| account.keep_digests(&id, &digests, &gone)))
}

impl Account {
    pub(super) fn keep_digests(&self, id: &MailboxId, digests: &[(Uid, KeptDigest)], gone: &UidSet) {
        let found = self.of_slot(id, |slot, home| {
            let base = |uid| Some(Arc::clone(&slot.mailbox.as_ref()?.get(uid)?.base));
            let digests = digests.iter().filter_map(|(uid, digest)| Some((*uid, base(*uid)?, digest)));
            (Arc::clone(&slot.cache), home.cache_path(), digests.collect::<Vec<_>>())
        });
        let Ok((cache, path, digests)) = found else { return };
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.add(&*self.index, &path, &digests);
        cache.forget(&*self.index, &path, gone.iter());
    }

    /// Something of a slot, with where it lies.
    pub(crate) fn of_slot<T>(
        &self,
        id: &MailboxId,
        get: impl FnOnce(&Slot, &crate::home::Home<'_>) -> T,
    ) -> std::io::Result<T> {
        let state = self.read();
        let slot = state.slots.get(id).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))?;
        Ok(get(slot, &self.home(&slot.folder, id.as_str())))
    }
}
