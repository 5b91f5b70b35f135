//! What the defaulted methods of [`Storage`] do: right on every storage, fast on none.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use super::{
    AccountId, Changes, Copied, CopyMode, Event, MailboxId, Mbox, ModSeqs, NewMessage, Result, Staged,
    Storage, StorageError, Want,
};
use crate::types::{ModSeq, Uid, UidSet};

/// How often [`watch_by_polling`] asks.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Reads every message and appends it; for a move removes the old ones then, so that a crash between the
/// two leaves a message twice rather than nowhere.
pub async fn copy_by_append<S: Storage + ?Sized>(
    storage: &S,
    from: &Mbox,
    uids: &UidSet,
    to: &Mbox,
    mode: CopyMode,
) -> Result<Copied> {
    let rows: Vec<_> = storage.rows(from, uids, Want::ALL).await?.try_concat().await?;
    let mut messages = Vec::with_capacity(rows.len());
    for row in &rows {
        let body = row.body.as_ref().ok_or(StorageError::Gone)?;
        let stream = storage.read(body, 0..row.size).await?;
        let staged = storage.stage(&to.account, Some(row.size), stream).await?;
        let mut message = NewMessage::new(staged, row.flags.clone(), row.internal_date);
        message.digest.clone_from(&row.digest);
        message.email_id = row.email_id;
        messages.push(message);
    }
    let appended = storage.append(to, messages).await?;
    let from_modseq = match mode {
        CopyMode::Copy => None,
        CopyMode::Move => {
            let copied: UidSet = rows.iter().map(|row| row.uid).collect();
            Some(storage.expunge(from, &copied, false).await?.1)
        }
    };
    Ok(Copied {
        uid_validity: appended.uid_validity,
        pairs: rows.iter().map(|row| row.uid).zip(appended.uids).collect(),
        to_modseq: appended.modseq,
        from_modseq,
    })
}

/// Looks at every row. What is not there counts as removed since; without mod-sequences, what is there counts
/// as changed.
pub async fn changes_by_scan<S: Storage + ?Sized>(
    storage: &S,
    mbox: &Mbox,
    since: ModSeq,
    _limit: usize,
) -> Result<Changes> {
    let snapshot = storage.snapshot(mbox).await?;
    let rows: Vec<_> = storage.rows(mbox, &snapshot.uids, Want::FLAGS).await?.try_concat().await?;
    let there: UidSet = rows.iter().map(|row| row.uid).collect();
    let all = since == ModSeq::ZERO || storage.caps().modseq == ModSeqs::None;
    let last = Uid::new(snapshot.status.uid_next.get() - 1);
    let given = last.map_or_else(UidSet::new, |last| UidSet::range(Uid::MIN, last));
    Ok(Changes {
        to: snapshot.status.highest_modseq,
        removed: given.difference(&there),
        changed: rows.into_iter().filter(|row| all || row.modseq > since).collect(),
        exact: false,
        more: false,
        status: snapshot.status,
    })
}

/// Reads the staged body, and stages it for the other account.
pub async fn share_by_reading<S: Storage + ?Sized>(
    storage: &S,
    staged: &Staged,
    from: &AccountId,
    to: &AccountId,
) -> Result<Staged> {
    if from == to {
        return Ok(staged.clone());
    }
    let body = storage.read_staged(staged).await?;
    storage.stage(to, Some(staged.size), body).await
}

/// Asks for the status of the mailboxes, or of all of the account's, at once and then every few seconds, and
/// tells which have moved. At first that is each of them: nobody knows what has happened since the call.
pub fn watch_by_polling<S: Storage + ?Sized>(
    storage: Arc<S>,
    account: AccountId,
    ids: Vec<MailboxId>,
) -> BoxStream<'static, Event> {
    let state = (storage, account, ids, Seen::new(), Duration::ZERO);
    let rounds = stream::unfold(state, |(storage, account, ids, seen, wait)| async move {
        tokio::time::sleep(wait).await;
        let (events, now) = match poll(&*storage, &account, &ids, &seen).await {
            Ok(round) => round,
            // Nothing is known now, so that all must be looked at once the storage is back.
            Err(_) => (vec![Event::Lagged], seen),
        };
        Some((stream::iter(events), (storage, account, ids, now, POLL_INTERVAL)))
    });
    rounds.flatten().boxed()
}

type Seen = Vec<(MailboxId, ModSeq)>;

async fn poll<S: Storage + ?Sized>(
    storage: &S,
    account: &AccountId,
    ids: &[MailboxId],
    seen: &Seen,
) -> Result<(Vec<Event>, Seen)> {
    let ids = if ids.is_empty() {
        storage.list(account).await?.into_iter().filter(|mailbox| !mailbox.no_select).map(|m| m.id).collect()
    } else {
        ids.to_vec()
    };
    let mut events = Vec::new();
    let mut now = Vec::with_capacity(ids.len());
    for (id, status) in ids.iter().zip(storage.status(account, &ids).await?) {
        let modseq = status.highest_modseq;
        let before = seen.iter().find(|(mailbox, _)| mailbox == id).map(|(_, modseq)| *modseq);
        if before != Some(modseq) {
            events.push(Event::Mailbox { id: id.clone(), modseq });
        }
        now.push((id.clone(), modseq));
    }
    // A storage without mod-sequences can't tell what has moved.
    if storage.caps().modseq == ModSeqs::None {
        events = vec![Event::Lagged];
    }
    Ok((events, now))
}
