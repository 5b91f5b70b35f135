//! What has happened in the open mailbox, told: the one writer of unsolicited EXISTS, EXPUNGE, RECENT and FETCH.

use crate::session::view::{Removals, Update};
use crate::session::{Output, Policy, Reject, Selected, policy::Told};
use crate::types::{Uid, UidSet};
use crate::wire::Line;

/// Asks the storage what is new.
pub(super) async fn refresh(selected: &Selected) {
    // A storage that is away for now is no reason to fail a command that has succeeded.
    if let Err(error) = selected.view.hub().refresh().await {
        tracing::warn!(account = %selected.mbox.account, mailbox = %selected.mbox.id, %error, "changes could not be read");
    }
}

/// Tells what the hub knows and the client does not. `uid`: the command that runs came with UID, so that a FETCH names
/// the UID too (RFC 3501 §6.4.8).
pub(super) async fn flush(
    out: &mut Output,
    policy: &mut Policy,
    selected: &mut Selected,
    removals: Removals,
    uid: bool,
) -> Result<(), Reject> {
    let hub = std::sync::Arc::clone(selected.view.hub());
    if hub.is_gone() {
        // RFC 2180 §3.3: whoever has a mailbox open that another session deletes is disconnected.
        return Err(Reject::Bye(None, "the mailbox has been deleted".into()));
    }
    selected.view.watch_modseqs(policy.known_up_to.is_some());
    let owes = std::mem::take(&mut policy.owes_known_up_to);
    let is_ahead = |selected: &Selected| hub.newest() > selected.view.known_up_to();
    if !selected.view.is_behind() && !owes && (policy.known_up_to.is_none() || !is_ahead(selected)) {
        return Ok(());
    }
    if let Err(error) = selected.view.claim().await {
        tracing::warn!(account = %selected.mbox.account, mailbox = %selected.mbox.id, %error, "\\Recent could not be claimed");
    }
    let was_held = !selected.view.held().is_empty();
    tell(out, policy, selected, removals, uid).await?;
    // While a removal is held back, or a message is newer than what the storage could tell of the others, the
    // client must not take mod-sequences that it was told for a sign that it knows everything (RFC 7162 §3.2).
    let is_held = !selected.view.held().is_empty();
    if let Some(known_up_to) = policy.known_up_to
        && (owes || was_held || is_held || is_ahead(selected))
        && hub.has_modseqs()
    {
        out.untagged("", &mut known_up_to(selected.view.known_up_to())).await?;
    }
    Ok(())
}

async fn tell(
    out: &mut Output,
    policy: &Policy,
    selected: &mut Selected,
    removals: Removals,
    uid: bool,
) -> Result<(), Reject> {
    let updates = selected.view.sync(removals);
    let removed: UidSet = updates
        .iter()
        .filter_map(|update| if let Update::Expunge { uid, .. } = update { Some(*uid) } else { None })
        .collect();
    let removal = policy.removal.filter(|_| !removed.is_empty());
    let mut removal = removal.and_then(|removal| removal(selected, &removed));
    if let Some(line) = &mut removal {
        out.untagged("", line).await?;
    }
    for update in updates {
        let line = match update {
            Update::Expunge { .. } if removal.is_some() => continue,
            Update::Expunge { seq, .. } => Some(Line::numbered(seq.get(), "EXPUNGE")),
            Update::Exists(count) => Some(Line::numbered(count, "EXISTS")),
            Update::Recent(_) if policy.no_recent => continue,
            Update::Recent(count) => Some(Line::numbered(count, "RECENT")),
            Update::Flags { uid: message, .. } => fetch(policy, selected, message, uid, true),
            Update::ModSeq { uid: message, .. } => fetch(policy, selected, message, uid, false),
        };
        if let Some(mut line) = line {
            out.untagged("", &mut line).await?;
        }
    }
    Ok(())
}

/// The FETCH of a message that has changed, in its flags or only in what is told beside them.
fn fetch(policy: &Policy, selected: &Selected, message: Uid, uid: bool, flags: bool) -> Option<Line> {
    let (seq, entry) = selected.view.told().find(message)?;
    let mut line = Line::numbered(seq.get(), "FETCH (");
    let head = line.text().len();
    if uid || policy.tells_uid {
        line.word("UID ").number(message.get());
    }
    if flags {
        let recent = !policy.no_recent && selected.view.is_recent(message);
        separate(&mut line, head).word("FLAGS ").flags(&entry.flags, recent);
    }
    for item in &policy.told_items {
        let before = line.text().len();
        let start = separate(&mut line, head).text().len();
        item(&Told::new(seq, message, entry.modseq), &mut line);
        if line.text().len() == start {
            line.truncate(before);
        }
    }
    line.raw(b")");
    Some(line)
}

/// A space, but before the first item.
fn separate(line: &mut Line, head: usize) -> &mut Line {
    if line.text().len() > head { line.sp() } else { line }
}
