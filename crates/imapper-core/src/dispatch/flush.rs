//! What has happened in the open mailbox, told: the one writer of unsolicited EXISTS, EXPUNGE, RECENT and FETCH.

use crate::session::view::{Removals, Update};
use crate::session::{Output, Policy, Reject, Selected, policy::Told};
use crate::types::UidSet;
use crate::wire::Line;

/// Asks the storage what is new and tells it. `uid`: the command that runs came with UID, so that a FETCH names
/// the UID too (RFC 3501 §6.4.8).
pub(super) async fn flush(
    out: &mut Output,
    policy: &Policy,
    selected: &mut Selected,
    removals: Removals,
    uid: bool,
) -> Result<(), Reject> {
    let hub = std::sync::Arc::clone(selected.view.hub());
    // A storage that is away for now is no reason to fail a command that has succeeded.
    if let Err(error) = hub.refresh().await {
        tracing::warn!(account = %selected.mbox.account, mailbox = %selected.mbox.id, %error, "changes could not be read");
    }
    if hub.is_gone() {
        // RFC 2180 §3.3: whoever has a mailbox open that another session deletes is disconnected.
        return Err(Reject::Bye(None, "the mailbox has been deleted".into()));
    }
    if !selected.view.is_behind() {
        return Ok(());
    }
    if let Err(error) = selected.view.claim().await {
        tracing::warn!(account = %selected.mbox.account, mailbox = %selected.mbox.id, %error, "\\Recent could not be claimed");
    }
    tell(out, policy, selected, removals, uid).await
}

async fn tell(
    out: &mut Output,
    policy: &Policy,
    selected: &mut Selected,
    removals: Removals,
    uid: bool,
) -> Result<(), Reject> {
    let updates = selected.view.sync(removals);
    if let Some(removal) = policy.removal {
        let removed: UidSet = updates
            .iter()
            .filter_map(|update| if let Update::Expunge { uid, .. } = update { Some(*uid) } else { None })
            .collect();
        if !removed.is_empty() {
            out.untagged("", &mut removal(&removed)).await?;
        }
    }
    for update in updates {
        let mut line = match update {
            Update::Expunge { .. } if policy.removal.is_some() => continue,
            Update::Expunge { seq, .. } => Line::numbered(seq.get(), "EXPUNGE"),
            Update::Exists(count) => Line::numbered(count, "EXISTS"),
            Update::Recent(_) if policy.no_recent => continue,
            Update::Recent(count) => Line::numbered(count, "RECENT"),
            Update::Flags { uid: message, .. } | Update::ModSeq { uid: message, .. } => {
                let Some((seq, entry)) = selected.view.told().find(message) else { continue };
                let mut line = Line::numbered(seq.get(), "FETCH (");
                if uid {
                    line.word("UID ").number(message.get()).sp();
                }
                let recent = !policy.no_recent && selected.view.is_recent(message);
                line.word("FLAGS ").flags(&entry.flags, recent);
                for item in &policy.told_items {
                    item(&Told::new(seq, message, entry.modseq), &mut line);
                }
                line.raw(b")");
                line
            }
        };
        out.untagged("", &mut line).await?;
    }
    Ok(())
}
