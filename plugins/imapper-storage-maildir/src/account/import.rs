//! Moving in from another server: UIDVALIDITY and UIDs stay.

use imapper_core::storage::{MailboxId, Numbers, StorageError};
use imapper_core::types::{Uid, UidSet};

use super::append::{Arrival, check_name, keep, link, put};
use super::batch::{Batch, Change, Stop};
use super::keywords::{Words, learn_in};
use super::step::Step;
use super::tree::{self, Making};
use crate::format::uidlist::{self, UidList};
use crate::home::LIST;
use crate::mailbox::entry::Entry;
use crate::mailbox::file::join;

/// Plans a mailbox that goes on from the numbers that it had. An INBOX that came into being by itself and is empty
/// gives way, as it can't be deleted before.
pub(crate) fn create(
    batch: &mut Batch<'_>,
    name: &str,
    numbers: Numbers,
) -> Result<(Change, MailboxId), Stop> {
    let old = batch.account.read().names.get(name).cloned();
    let Some(inbox) = old.filter(|_| name == tree::INBOX) else {
        let making = Making { name, special_use: Vec::new(), numbers: Some(numbers) };
        let (change, info) = tree::create(batch, making)?;
        return Ok((change, info.id));
    };
    batch.alone()?;
    batch.open(&inbox)?;
    let is_empty = batch.account.read().mailbox(&inbox)?.len() == 0;
    if !is_empty {
        return Err(StorageError::Exists.into());
    }
    tree::renumber(batch, &inbox, numbers)
}

/// Plans the adding of messages with their UIDs, all or none.
pub(crate) fn put_all(
    batch: &mut Batch<'_>,
    id: &MailboxId,
    arrivals: &[(Uid, Arrival)],
) -> Result<(Change, ()), Stop> {
    batch.open(id)?;
    batch.alone()?;
    let account = batch.account;
    let octets: i128 = arrivals.iter().map(|(_, arrival)| i128::from(arrival.message.staged.size)).sum();
    check(&account.read(), id, arrivals)?;
    batch.take_room(octets, i128::try_from(arrivals.len()).unwrap_or(i128::MAX))?;
    let state = account.read();
    let (slot, mailbox) = (state.slot(id)?, state.mailbox(id)?);
    let learned = learn_in(None, slot, mailbox, arrivals.iter().map(|(_, arrival)| &arrival.message.flags))?;
    let words = Words::new(mailbox, &learned);
    let mut change = Change::default();
    change.record.additions = learned.steps;
    let mut entries = learned.entries;
    let modseq = batch.next_modseq(id, mailbox).0;
    let mut lines = Vec::with_capacity(arrivals.len());
    let mut digests = Vec::new();
    for (uid, arrival) in arrivals {
        let put = put(batch, arrival, &words, *uid, modseq);
        check_name(&put.base, &put.state.info)?;
        let to = join(&slot.folder, &format!("cur/{}{}", put.base, put.state.info));
        change.record.additions.push(link(account, arrival, to)?);
        lines.push((uid.get(), put.base.clone()));
        digests.extend(arrival.message.digest.clone().map(|digest| (*uid, digest)));
        entries.push(Entry::Put(put));
    }
    if lines.first().is_some_and(|(uid, _)| *uid > slot.known.list_last) {
        change.lines.push((id.clone(), lines));
    } else {
        // The list has to ascend: it is written anew, and the mailbox opened anew then.
        change.record.additions.push(list_with(account, slot, lines)?);
        let stale = id.clone();
        change.tree = Some(Box::new(move |state| {
            if let Some(slot) = state.slots.get_mut(&stale) {
                slot.stale = true;
            }
        }));
    }
    change.entries.push((id.clone(), entries));
    change.beside = keep(id, digests, UidSet::new());
    Ok((change, ()))
}

fn check(state: &super::State, id: &MailboxId, arrivals: &[(Uid, Arrival)]) -> Result<(), StorageError> {
    let mailbox = state.mailbox(id)?;
    let mut uids = UidSet::new();
    for (uid, _) in arrivals {
        if *uid == Uid::MAX {
            return Err(StorageError::Limit("no UID lies above the highest"));
        }
        if mailbox.is_taken(*uid) || uids.contains(*uid) {
            return Err(StorageError::Exists);
        }
        uids.insert(*uid);
    }
    Ok(())
}

/// The list of UIDs with some more, in order.
fn list_with(
    account: &super::Account,
    slot: &super::Slot,
    lines: Vec<(u32, String)>,
) -> Result<Step, StorageError> {
    let path = join(&slot.folder, LIST);
    let bytes = account.disk.read(&path).map_err(StorageError::backend)?;
    let mut list =
        UidList::parse(&bytes).map_err(|_| StorageError::Corrupt(format!("{path} can't be read")))?;
    list.entries.extend(lines);
    list.entries.sort_unstable();
    list.entries.dedup_by_key(|(uid, _)| *uid);
    Ok(Step::Write { path, octets: uidlist::print(&list).into_bytes() })
}
