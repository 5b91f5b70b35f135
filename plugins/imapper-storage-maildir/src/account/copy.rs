//! Copying and moving messages within an account: files get one more name each, and for a move lose the old one.

use std::sync::{Arc, PoisonError};

use imapper_core::storage::{Copied, CopyMode, MailboxId};
use imapper_core::types::{Flags, ModSeq, Uid, UidSet};

use super::Account;
use super::append::{base, check_name};
use super::batch::{After, Batch, Change, Stop};
use super::keywords::{Learned, Words, learn};
use super::step::Step;
use crate::format::filename;
use crate::mailbox::entry::{Entry, FileState, Place, Put};
use crate::mailbox::file::join;
use crate::mailbox::{Message, nanos, ranges_of};

/// Plans a copy or a move of those messages of the set that exist.
pub(crate) fn copy(
    batch: &mut Batch<'_>,
    from: &MailboxId,
    uids: &UidSet,
    to: &MailboxId,
    mode: CopyMode,
) -> Result<(Change, Copied), Stop> {
    batch.open(from)?;
    batch.open(to)?;
    let account = batch.account;
    let messages = sources(account, from, uids)?;
    let moved: UidSet = messages.iter().map(|(uid, ..)| *uid).collect();
    // Whoever copies what another change of the batch concerns waits, too.
    batch.touch(from, &moved)?;
    if mode == CopyMode::Copy {
        let octets: i128 = messages.iter().map(|(_, message, _)| i128::from(message.wire)).sum();
        batch.take_room(octets, i128::try_from(messages.len()).unwrap_or(i128::MAX))?;
    }
    let state = account.read();
    let (slot, target) = (state.slot(to)?, state.mailbox(to)?);
    let source = state.mailbox(from)?;
    let mut copied = Copied {
        uid_validity: target.uid_validity,
        pairs: Vec::new(),
        to_modseq: target.modseq(),
        from_modseq: (mode == CopyMode::Move).then(|| source.modseq()),
    };
    let mut change = Change::default();
    if messages.is_empty() {
        return Ok((change, copied));
    }
    let learned =
        learn_apart(batch, slot, target, from == to, messages.iter().map(|(_, message, _)| &message.flags))?;
    let words = Words::new(target, &learned);
    change.record.additions = learned.steps;
    let mut entries = learned.entries;
    copied.to_modseq = batch.next_modseq(to, target);
    let mut next = batch.next_uids(to, target, messages.len())?;
    let mut lines = Vec::with_capacity(messages.len());
    for (uid, message, path) in &messages {
        let keeps = mode == CopyMode::Move && from != to && target.by_base(&message.base).is_none();
        let put = put(message, next, copied.to_modseq, keeps, &words, nanos(batch.now));
        check_name(&put.base, &put.state.info)?;
        let to = join(&slot.folder, &format!("cur/{}{}", put.base, put.state.info));
        change.record.additions.push(Step::Link { from: path.clone(), to, date: None });
        if mode == CopyMode::Move {
            change.record.removals.push(Step::Unlink { path: path.clone() });
        }
        lines.push((next.get(), put.base.clone()));
        entries.push(Entry::Put(put));
        copied.pairs.push((*uid, next));
        next = next.next();
    }
    change.lines.push((to.clone(), lines));
    if mode == CopyMode::Move {
        // Within one mailbox the copies and the removals are one change.
        let modseq = if from == to { copied.to_modseq } else { batch.next_modseq(from, source) };
        copied.from_modseq = Some(modseq);
        let gone = Entry::Gone { uids: ranges_of(&moved), modseq: modseq.0 };
        if from == to {
            entries.push(gone);
        } else {
            change.entries.push((from.clone(), vec![gone]));
        }
    }
    change.entries.push((to.clone(), entries));
    change.beside = Some(copy_digests(from, to, &messages, copied.pairs.clone(), mode));
    Ok((change, copied))
}

/// The messages of the set that exist, and where their files lie.
fn sources(account: &Account, from: &MailboxId, uids: &UidSet) -> Result<Vec<(Uid, Message, String)>, Stop> {
    let state = account.read();
    let (slot, source) = (state.slot(from)?, state.mailbox(from)?);
    let found = source.select(uids);
    let found = found.map(|(uid, message)| (uid, message.clone(), join(&slot.folder, &source.file(message))));
    Ok(found.collect())
}

/// A message in the target. What is moved keeps its base if it can, so that who reads it finds it.
fn put(message: &Message, uid: Uid, modseq: ModSeq, keeps: bool, words: &Words, saved: i64) -> Put {
    let base = if keeps {
        message.base.to_string()
    } else {
        base(&crate::unique::name(), message.email_id, message.physical, message.wire)
    };
    let keywords = words.numbers(&message.flags);
    let info = filename::info(message.flags.system, &keywords, "", "");
    Put {
        uid: uid.get(),
        modseq: modseq.0,
        base,
        physical: message.physical,
        wire: message.wire,
        date: (message.date.seconds, message.date.offset_minutes),
        saved,
        email_id: message.email_id,
        thread_id: message.thread_id,
        state: FileState { place: Place::Cur, system: message.flags.system.bits(), keywords, info },
    }
}

/// Lets the keywords into the target. Where that is the source, it knows them all.
fn learn_apart<'a>(
    batch: &mut Batch<'_>,
    slot: &super::Slot,
    target: &crate::mailbox::Mailbox,
    same: bool,
    flags: impl Iterator<Item = &'a Flags>,
) -> Result<Learned, Stop> {
    if same {
        return Ok(Learned::default());
    }
    let learned = learn(batch, slot, target, flags)?;
    if learned.entries.is_empty() {
        batch.touch(&slot.id, &UidSet::new())?;
    }
    Ok(learned)
}

/// Digests go along.
fn copy_digests(
    from: &MailboxId,
    to: &MailboxId,
    messages: &[(Uid, Message, String)],
    pairs: Vec<(Uid, Uid)>,
    mode: CopyMode,
) -> After {
    let (from, to) = (from.clone(), to.clone());
    let old: Vec<(Uid, Arc<str>)> =
        messages.iter().map(|(uid, message, _)| (*uid, Arc::clone(&message.base))).collect();
    Box::new(move |account: &Account| {
        let found = account.of_slot(&from, |slot, home| (Arc::clone(&slot.cache), home.cache_path()));
        let Ok((cache, path)) = found else { return };
        let mut digests = {
            let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.read(&*account.index, &path, &old)
        };
        let copied: Vec<_> =
            pairs.iter().filter_map(|(old, new)| Some((*new, digests.remove(old)?))).collect();
        account.keep_digests(&to, &copied, &UidSet::new());
        if mode == CopyMode::Move {
            account.keep_digests(&from, &[], &old.into_iter().map(|(uid, _)| uid).collect());
        }
    })
}
