//! Changing flags: files get other names.

use imapper_core::storage::{FlagChange, FlagOp, MailboxId, Stored};
use imapper_core::types::{Flags, Uid, UidSet};

use super::append::check_name;
use super::batch::{Batch, Change, Stop};
use super::keywords::{Learned, Words, learn};
use super::step::Step;
use crate::format::filename;
use crate::mailbox::entry::{Entry, FileState, Place};
use crate::mailbox::file::join;
use crate::mailbox::{Mailbox, Message};

/// Plans a change of flags of those messages of the set that exist.
pub(crate) fn set_flags(
    batch: &mut Batch<'_>,
    id: &MailboxId,
    change: &FlagChange,
) -> Result<(Change, Stored), Stop> {
    batch.open(id)?;
    let account = batch.account;
    let state = account.read();
    let (slot, mailbox) = (state.slot(id)?, state.mailbox(id)?);
    let mut stored = Stored::default();
    let (mut unchanged, mut conflict, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    for (uid, message) in mailbox.select(&change.uids) {
        if change.unchanged_since.is_some_and(|since| message.modseq > since) {
            conflict.push(uid);
            continue;
        }
        let flags = spelled(mailbox, &change.op).apply(&message.flags);
        if flags == message.flags { unchanged.push(uid) } else { changed.push((uid, message, flags)) }
    }
    let all: UidSet = mailbox.select(&change.uids).map(|(uid, _)| uid).collect();
    let learned = match &change.op {
        FlagOp::Remove(_) => Learned::default(),
        op => {
            let flags = changed.iter().map(|(_, _, flags)| flags);
            learn(batch, slot, mailbox, std::iter::once(op.flags()).chain(flags))?
        }
    };
    if learned.entries.is_empty() {
        batch.touch(id, &all)?;
    }
    stored.unchanged = unchanged.into_iter().collect();
    stored.conflict = conflict.into_iter().collect();
    stored.modseq = mailbox.modseq();
    let mut planned = Change::default();
    if changed.is_empty() && learned.entries.is_empty() {
        return Ok((planned, stored));
    }
    let words = Words::new(mailbox, &learned);
    planned.record.additions = learned.steps;
    let mut entries = learned.entries;
    if !changed.is_empty() {
        stored.modseq = batch.next_modseq(id, mailbox);
    }
    for (uid, message, flags) in changed {
        let state = state_for(mailbox, message, &flags, &words);
        check_name(&message.base, &state.info)?;
        let from = join(&slot.folder, &mailbox.file(message));
        let to = join(&slot.folder, &format!("cur/{}{}", message.base, state.info));
        match message.place {
            _ if from == to => {}
            Place::Cur => planned.record.additions.push(Step::Rename { from, to }),
            // Between two folders a rename could lose the file where the power fails: one name more, then one less.
            Place::New => {
                planned.record.additions.push(Step::Link { from: from.clone(), to, date: None });
                planned.record.removals.push(Step::Unlink { path: from });
            }
        }
        entries.push(entry(uid, stored.modseq.0, state));
        stored.changed.push((uid, flags));
    }
    planned.entries.push((id.clone(), entries));
    Ok((planned, stored))
}

fn entry(uid: Uid, modseq: u64, state: FileState) -> Entry {
    Entry::Flags { uid: uid.get(), modseq, state }
}

/// The change with keywords as the mailbox spells them; those that are new stay as they are.
fn spelled(mailbox: &Mailbox, op: &FlagOp) -> FlagOp {
    let spell = |flags: &Flags| {
        if flags.keywords().is_empty() {
            return flags.clone();
        }
        let known = mailbox.spell(flags);
        let new = flags.keywords().iter().filter(|word| mailbox.number(word).is_none());
        Flags::new(flags.system, known.keywords().iter().chain(new).cloned())
    };
    match op {
        FlagOp::Replace(flags) => FlagOp::Replace(spell(flags)),
        FlagOp::Add(flags) => FlagOp::Add(spell(flags)),
        FlagOp::Remove(flags) => FlagOp::Remove(flags.clone()),
    }
}

/// What a message's file says once it has these flags. What other programs have written there stays.
fn state_for(mailbox: &Mailbox, message: &Message, flags: &Flags, words: &Words) -> FileState {
    let before = mailbox.info(message);
    let name = filename::FileName::parse(&before);
    let (_, _, letters) = filename::read_flags(name.letters);
    let (_, extra) = filename::extra_keywords(name.extra);
    let keywords = words.numbers(flags);
    let info = filename::info(flags.system, &keywords, &letters, &extra);
    FileState { place: Place::Cur, system: flags.system.bits(), keywords, info }
}
