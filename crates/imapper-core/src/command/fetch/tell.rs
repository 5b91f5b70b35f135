//! The run of FETCH: asks the storage for many messages at once, and sends one response after the other.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::response::Response;
use crate::command::parsed::{digest_of, read_range};
use crate::command::turn::Turn;
use crate::message::Digest;
use crate::registry::slots::{FetchPlan, Fetched, Fetching};
use crate::registry::{Context, Flow, Outcome};
use crate::session::table::{Entry, Table};
use crate::session::{Login, Reject, Rights, Selected};
use crate::storage::{FlagChange, FlagOp, Row, StorageError, Stored, Want};
use crate::types::{Code, Flags, ModSeq, Seq, SystemFlag, UidSet};

/// How many messages' rows are asked for at once.
const BATCH: usize = 256;

/// Does what was planned.
pub(super) async fn run(
    cx: &mut Context<'_>,
    login: &Login,
    selected: &mut Selected,
    mut plan: FetchPlan,
) -> Outcome {
    for item in &plan.items {
        item.begin(cx, selected)?;
    }
    let hub = Arc::clone(selected.view.hub());
    if plan.changed_since.is_some() || plan.items.iter().any(|item| is_dynamic(&**item)) {
        hub.refresh().await?;
    }
    if let Some(since) = plan.changed_since {
        plan.uids = changed(selected.view.told(), &hub.table(), &plan.uids, since);
    }
    for before in std::mem::take(&mut plan.before) {
        before.run(cx, selected, &mut plan).await?;
    }
    let mut teller = Teller::new(cx, login, selected, &mut plan.items);
    if teller.response.tells_flags() {
        selected.view.catch_up(&plan.uids);
    }
    let told = match teller.want {
        None => teller.tell_from_table(cx, selected, &plan.uids).await,
        Some(want) => teller.tell_from_rows(cx, selected, &plan.uids, want).await,
    };
    let refreshed = match teller.stored {
        Some(modseq) => hub.refresh_to(modseq).await,
        None => Ok(()),
    };
    if refreshed.is_err() {
        // Mod-sequences have been told beyond what the client knows of.
        cx.policy.owes_known_up_to = cx.policy.known_up_to.is_some();
    }
    if let Err(error) = told {
        if teller.response.tells_flags() {
            // Not all that was caught up with has been told.
            selected.view.retell(&plan.uids);
        }
        return Err(error);
    }
    refreshed?;
    match teller.failed {
        Some(error) => Err(error),
        // RFC 2180 §4.1.2; RFC 9051 §6.4.9: "a non-existent unique identifier is ignored".
        None if teller.gone && !cx.uid => {
            Err(Reject::code(Code::EXPUNGEISSUED, "some of the messages no longer exist"))
        }
        None => Ok(Flow::done()),
    }
}

/// Whether the item tells what changes.
fn is_dynamic(item: &dyn Fetched) -> bool {
    item.tells_flags() || (item.wants().is_none() && !item.tells_uid())
}

/// Those of the messages that have changed since, and those that are gone.
fn changed(told: &Table, now: &Table, uids: &UidSet, since: ModSeq) -> UidSet {
    let kept = told.iter_uids(uids).map(|(_, entry)| entry.uid);
    kept.filter(|uid| now.find(*uid).is_none_or(|(_, entry)| entry.modseq > since)).collect()
}

/// What is known while messages are told.
struct Teller<'p> {
    login: &'p Login,
    items: &'p mut [Box<dyn Fetched>],
    response: Response,
    want: Option<Want>,
    sets_seen: bool,
    shows_recent: bool,
    /// A message is gone.
    gone: bool,
    /// The first failure that concerned one message alone.
    failed: Option<Reject>,
    /// The mod-sequence of the last flags that were set.
    stored: Option<ModSeq>,
    turn: Turn,
}

impl<'p> Teller<'p> {
    fn new(
        cx: &Context<'_>,
        login: &'p Login,
        selected: &Selected,
        items: &'p mut [Box<dyn Fetched>],
    ) -> Self {
        let sets_seen = items.iter().any(|item| item.sets_seen())
            && !selected.read_only
            && selected.rights.contains(Rights::SEEN);
        let wanted = items.iter().filter_map(|item| item.wants()).chain(sets_seen.then_some(Want::FLAGS));
        let want = wanted.reduce(|a, b| Want { digest: a.digest || b.digest, body: a.body || b.body });
        Self {
            login,
            response: Response::new(items, cx.uid),
            items,
            want,
            sets_seen,
            shows_recent: !cx.policy.no_recent,
            gone: false,
            failed: None,
            stored: None,
            turn: Turn::new(),
        }
    }

    /// Messages of which no row is needed: out of memory.
    async fn tell_from_table(
        &mut self,
        cx: &mut Context<'_>,
        selected: &Selected,
        uids: &UidSet,
    ) -> Result<(), Reject> {
        self.prepare(cx, selected, &[]).await?;
        let (told, now) = (selected.view.told(), selected.view.hub().table());
        let is_same = told.is_same(&now);
        for (seq, entry) in told.iter_uids(uids) {
            let mut modseq = entry.modseq;
            if !is_same {
                let Some((_, current)) = now.find(entry.uid) else {
                    self.gone = true;
                    continue;
                };
                // Flags go with the mod-sequence at which they were so.
                if !self.response.tells_flags() {
                    modseq = current.modseq;
                }
            }
            let recent = self.shows_recent && selected.view.is_recent(entry.uid);
            let message = Fetching::new(seq, entry.uid, &entry.flags, recent, modseq);
            self.response.open(seq, entry.uid);
            for item in &*self.items {
                if let Err(error) = self.response.put(&**item, &message, None) {
                    self.failed.get_or_insert(error);
                }
            }
            self.close(cx).await?;
        }
        Ok(())
    }

    /// Messages whose rows are read, a batch at a time.
    async fn tell_from_rows(
        &mut self,
        cx: &mut Context<'_>,
        selected: &mut Selected,
        uids: &UidSet,
        want: Want,
    ) -> Result<(), Reject> {
        let told = selected.view.told().clone();
        let mut entries = told.iter_uids(uids);
        loop {
            let batch: Vec<(Seq, &Entry)> = entries.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let set = batch.iter().map(|(_, entry)| entry.uid).collect();
            let storage = Arc::clone(cx.storage());
            let mut rows = storage.rows(&selected.mbox, &set, want).await?;
            let mut found = 0;
            while let Some(chunk) = rows.try_next().await? {
                found += chunk.len();
                self.chunk(cx, selected, &batch, &chunk).await?;
            }
            self.gone |= found < batch.len();
        }
    }

    async fn chunk(
        &mut self,
        cx: &mut Context<'_>,
        selected: &mut Selected,
        batch: &[(Seq, &Entry)],
        rows: &[Row],
    ) -> Result<(), Reject> {
        let seen = self.set_seen(cx, selected, rows).await;
        let has_modseqs = selected.view.hub().has_modseqs();
        self.prepare(cx, selected, rows).await?;
        for row in rows {
            let Ok(at) = batch.binary_search_by_key(&row.uid, |(_, entry)| entry.uid) else { continue };
            let Some(&(seq, entry)) = batch.get(at) else { continue };
            let flags = seen.changed.binary_search_by_key(&row.uid, |(uid, _)| *uid);
            let flags = flags.ok().and_then(|at| seen.changed.get(at)).map(|(_, flags)| flags);
            // Whatever the storage counts where it keeps no mod-sequences is none.
            let told = |modseq| if has_modseqs { modseq } else { ModSeq::ZERO };
            let mut message = Fetching::new(seq, row.uid, &entry.flags, false, told(row.modseq));
            message.recent = self.shows_recent && selected.view.is_recent(row.uid);
            message.row = Some(row);
            if self.response.tells_flags() {
                message.modseq = entry.modseq;
            }
            let Some(flags) = flags else {
                self.message(cx, selected, &message, false).await?;
                continue;
            };
            (message.flags, message.modseq) = (flags, told(seen.modseq));
            self.message(cx, selected, &message, true).await?;
            selected.view.told_flags_included(Entry {
                uid: row.uid,
                modseq: seen.modseq,
                flags: flags.clone(),
            });
        }
        Ok(())
    }

    async fn prepare(
        &mut self,
        cx: &mut Context<'_>,
        selected: &Selected,
        rows: &[Row],
    ) -> Result<(), Reject> {
        for item in &mut *self.items {
            item.prepare(cx, self.login, selected, rows).await?;
        }
        Ok(())
    }

    /// Sets `\Seen` on those that lack it, in one step (RFC 9051 §6.4.5). What is fetched does not depend on
    /// that, so a failure is told at the end.
    async fn set_seen(&mut self, cx: &mut Context<'_>, selected: &Selected, rows: &[Row]) -> Stored {
        if !self.sets_seen {
            return Stored::default();
        }
        let unseen = rows.iter().filter(|row| !row.flags.contains(SystemFlag::Seen));
        let uids: UidSet = unseen.map(|row| row.uid).collect();
        if uids.is_empty() {
            return Stored::default();
        }
        let op = FlagOp::Add(Flags::from(SystemFlag::Seen));
        let change = FlagChange { uids, op, unchanged_since: None };
        let (storage, mbox) = (Arc::clone(cx.storage()), selected.mbox.clone());
        match cx.finish(async move { storage.set_flags(&mbox, change).await }).await {
            Ok(stored) => {
                self.stored = Some(stored.modseq);
                stored
            }
            // A storage that can only be read is as good as EXAMINE.
            Err(StorageError::Denied | StorageError::Unsupported) => Stored::default(),
            Err(error) => {
                self.fail(error.into());
                Stored::default()
            }
        }
    }

    /// One message with its row.
    async fn message(
        &mut self,
        cx: &mut Context<'_>,
        selected: &Selected,
        message: &Fetching<'_>,
        is_changed: bool,
    ) -> Result<(), Reject> {
        let digest = self.digest(cx, selected, message).await;
        let message = &Fetching { digest: digest.as_ref(), ..*message };
        self.response.open(message.seq, message.uid);
        for at in 0..self.items.len() {
            if self.response.is_long() {
                self.close(cx).await?;
                self.response.open(message.seq, message.uid);
            }
            self.turn.pause().await;
            let Some(item) = self.items.get(at) else { continue };
            if digest.is_none() && item.wants().is_some_and(|want| want.digest) {
                continue;
            }
            let put = match read(cx, &**item, message).await {
                Ok(read) => self.response.put(&**item, message, read.as_ref()),
                Err(error) => Err(error),
            };
            if let Err(error) = put {
                self.fail(error);
            }
        }
        if is_changed {
            self.response.put_change(message, cx.policy, self.items);
        }
        self.close(cx).await
    }

    /// Sends the response, unless there is nothing in it.
    async fn close(&mut self, cx: &mut Context<'_>) -> Result<(), Reject> {
        let Some(line) = self.response.close() else { return Ok(()) };
        match cx.send(line).await.map_err(Reject::from) {
            // Its body has gone: the others are told all the same.
            Err(error @ Reject::Storage(_)) => {
                self.fail(error);
                Ok(())
            }
            sent => sent,
        }
    }

    async fn digest(
        &mut self,
        cx: &mut Context<'_>,
        selected: &Selected,
        message: &Fetching<'_>,
    ) -> Option<Digest> {
        let row = message.row.filter(|_| self.want.is_some_and(|want| want.digest))?;
        match digest_of(cx.shared, &selected.mbox, row).await {
            Ok(digest) => Some(digest),
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// Notes a failure that concerns one message alone: the others are told all the same.
    fn fail(&mut self, error: Reject) {
        match error {
            Reject::Storage(StorageError::Gone) => self.gone = true,
            error if self.failed.is_none() => self.failed = Some(error),
            // The first one is logged where it is told.
            error => tracing::debug!(%error, "another message could not be fetched"),
        }
    }
}

/// Reads what an item needs of the body. Of a header that is longer than any that is parsed, the part that
/// would be.
async fn read(
    cx: &mut Context<'_>,
    item: &dyn Fetched,
    message: &Fetching<'_>,
) -> Result<Option<Bytes>, Reject> {
    let Some(mut range) = item.reads(message) else { return Ok(None) };
    let most = u64::try_from(cx.shared.limits.message.header).unwrap_or(u64::MAX);
    range.end = range.end.min(range.start.saturating_add(most));
    let body = message.row.and_then(|row| row.body.as_ref());
    let body = body.ok_or_else(|| StorageError::Corrupt(format!("message {} has no body", message.uid)))?;
    read_range(&**cx.storage(), body, range).await.map(Some)
}
