//! Removing messages.

use imapper_core::storage::MailboxId;
use imapper_core::types::{ModSeq, SystemFlag, UidSet};

use super::append::keep;
use super::batch::{Batch, Change, Stop};
use super::step::Step;
use crate::mailbox::entry::Entry;
use crate::mailbox::file::join;
use crate::mailbox::ranges_of;

/// Plans the removal of those messages of the set that exist, or only of those of them that are `\Deleted`.
pub(crate) fn expunge(
    batch: &mut Batch<'_>,
    id: &MailboxId,
    uids: &UidSet,
    only_deleted: bool,
) -> Result<(Change, (UidSet, ModSeq)), Stop> {
    batch.open(id)?;
    let account = batch.account;
    let state = account.read();
    let (slot, mailbox) = (state.slot(id)?, state.mailbox(id)?);
    // Those that another change of the batch may make `\Deleted` count, too.
    let all: UidSet = mailbox.select(uids).map(|(uid, _)| uid).collect();
    batch.touch(id, &all)?;
    let doomed: Vec<_> = mailbox
        .select(uids)
        .filter(|(_, message)| !only_deleted || message.flags.contains(SystemFlag::Deleted))
        .collect();
    let mut change = Change::default();
    if doomed.is_empty() {
        return Ok((change, (UidSet::new(), mailbox.modseq())));
    }
    let modseq = batch.next_modseq(id, mailbox);
    let gone: UidSet = doomed.iter().map(|(uid, _)| *uid).collect();
    let octets: i128 = doomed.iter().map(|(_, message)| i128::from(message.wire)).sum();
    let count = i128::try_from(doomed.len()).unwrap_or(i128::MAX);
    change.record.removals = doomed
        .iter()
        .map(|(_, message)| Step::Unlink { path: join(&slot.folder, &mailbox.file(message)) })
        .collect();
    change.entries.push((id.clone(), vec![Entry::Gone { uids: ranges_of(&gone), modseq: modseq.0 }]));
    change.beside = keep(id, Vec::new(), gone.clone());
    drop(state);
    batch.take_room(octets.saturating_neg(), count.saturating_neg())?;
    Ok((change, (gone, modseq)))
}
