//! The responses of FETCH (RFC 9051 §7.5.2).

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::items::put_flags;
use crate::command::parsed::{digest_of, read_range};
use crate::message::Digest;
use crate::registry::slots::{FetchPlan, Fetched, Fetching};
use crate::registry::{Context, Flow, Outcome};
use crate::session::policy::Told;
use crate::session::table::{Entry, Table};
use crate::session::{Reject, Rights, Selected};
use crate::storage::{FlagChange, FlagOp, Row, StorageError, Stored, Want};
use crate::types::{Code, Flags, ModSeq, Seq, SystemFlag, Uid, UidSet};
use crate::wire::Line;

/// How many messages' rows are asked for at once.
const BATCH: usize = 256;
/// A response that has become so long is ended, and what is left of the message's items goes into another
/// one: many large items of one message must not lie in memory together.
const SPLIT: usize = 1024 * 1024;

/// Does what was planned.
pub(super) async fn run(cx: &mut Context<'_>, selected: &mut Selected, mut plan: FetchPlan) -> Outcome {
    for item in &plan.items {
        item.begin(cx, selected);
    }
    let hub = Arc::clone(selected.view.hub());
    if plan.changed_since.is_some() || plan.items.iter().any(|item| is_dynamic(&**item)) {
        hub.refresh().await?;
    }
    if let Some(since) = plan.changed_since {
        plan.uids = changed(selected.view.told(), &hub.table(), &plan.uids, since);
    }
    for before in &plan.before {
        before.run(cx, selected, &mut plan.uids).await?;
    }
    let mut teller = Teller::new(cx, selected, &mut plan.items);
    if teller.tells_flags {
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
    if let Err(error) = told {
        if teller.tells_flags {
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

/// Sends one response after the other.
struct Teller<'p> {
    items: &'p mut [Box<dyn Fetched>],
    want: Option<Want>,
    tells_flags: bool,
    /// UID FETCH tells the UID, asked for or not (RFC 9051 §6.4.9).
    adds_uid: bool,
    sets_seen: bool,
    shows_recent: bool,
    line: Line,
    /// The length of what stands in the line before the first item.
    head: usize,
    /// A message is gone.
    gone: bool,
    /// The first failure that concerned one message alone.
    failed: Option<Reject>,
    /// The mod-sequence of the last flags that were set.
    stored: Option<ModSeq>,
}

impl<'p> Teller<'p> {
    fn new(cx: &Context<'_>, selected: &Selected, items: &'p mut [Box<dyn Fetched>]) -> Self {
        let sets_seen = items.iter().any(|item| item.sets_seen())
            && !selected.read_only
            && selected.rights.contains(Rights::SEEN);
        let wanted = items.iter().filter_map(|item| item.wants()).chain(sets_seen.then_some(Want::FLAGS));
        let want = wanted.reduce(|a, b| Want { digest: a.digest || b.digest, body: a.body || b.body });
        Self {
            want,
            tells_flags: items.iter().any(|item| item.tells_flags()),
            adds_uid: cx.uid && !items.iter().any(|item| item.tells_uid()),
            sets_seen,
            shows_recent: !cx.policy.no_recent,
            items,
            line: Line::new(),
            head: 0,
            gone: false,
            failed: None,
            stored: None,
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
                modseq = current.modseq;
            }
            let recent = self.shows_recent && selected.view.is_recent(entry.uid);
            let message = Fetching::new(seq, entry.uid, &entry.flags, recent, modseq);
            self.open(seq, entry.uid);
            for at in 0..self.items.len() {
                self.put(at, &message, None);
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
        self.prepare(cx, selected, rows).await?;
        for row in rows {
            let Ok(at) = batch.binary_search_by_key(&row.uid, |(_, entry)| entry.uid) else { continue };
            let Some(&(seq, entry)) = batch.get(at) else { continue };
            let flags = seen.changed.binary_search_by_key(&row.uid, |(uid, _)| *uid);
            let flags = flags.ok().and_then(|at| seen.changed.get(at)).map(|(_, flags)| flags);
            let mut message = Fetching::new(seq, row.uid, &entry.flags, false, row.modseq);
            message.recent = self.shows_recent && selected.view.is_recent(row.uid);
            message.row = Some(row);
            if self.tells_flags {
                message.modseq = entry.modseq;
            }
            let Some(flags) = flags else {
                self.message(cx, selected, &message, false).await?;
                continue;
            };
            (message.flags, message.modseq) = (flags, seen.modseq);
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
            item.prepare(cx, selected, rows).await?;
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
        self.open(message.seq, message.uid);
        for at in 0..self.items.len() {
            let Some(item) = self.items.get(at) else { continue };
            if digest.is_none() && item.wants().is_some_and(|want| want.digest) {
                continue;
            }
            let read = match self.read(cx, at, message).await {
                Ok(read) => read,
                Err(error) => {
                    self.fail(error);
                    continue;
                }
            };
            if self.line.text().len() > SPLIT {
                self.close(cx).await?;
                self.open(message.seq, message.uid);
            }
            self.put(at, message, read.as_ref());
        }
        if is_changed {
            self.put_change(cx, message);
        }
        self.close(cx).await
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

    /// Reads what an item needs of the body. Of a header that is longer than any that is parsed, the part
    /// that would be.
    async fn read(
        &self,
        cx: &mut Context<'_>,
        at: usize,
        message: &Fetching<'_>,
    ) -> Result<Option<Bytes>, Reject> {
        let Some(mut range) = self.items.get(at).and_then(|item| item.reads(message)) else {
            return Ok(None);
        };
        let most = u64::try_from(cx.shared.limits.message.header).unwrap_or(u64::MAX);
        range.end = range.end.min(range.start.saturating_add(most));
        let body = message.row.and_then(|row| row.body.as_ref());
        let body =
            body.ok_or_else(|| StorageError::Corrupt(format!("message {} has no body", message.uid)))?;
        read_range(&**cx.storage(), body, range).await.map(Some)
    }

    /// Adds the flags that have just changed, and what is told beside flags that nobody asked for.
    fn put_change(&mut self, cx: &Context<'_>, message: &Fetching<'_>) {
        if !self.tells_flags {
            self.separate();
            put_flags(message, &mut self.line);
        }
        let mut told = Told::new(message.seq, message.uid, message.modseq);
        told.row = message.row;
        for item in &cx.policy.told_items {
            let before = self.line.text().len();
            item(&told, &mut self.line);
            let added = self.line.text().get(before..).unwrap_or_default();
            let word = added.split(|byte| *byte == b' ').find(|word| !word.is_empty()).unwrap_or_default();
            let is_told = self.items.iter().any(|item| item.name().as_bytes() == word);
            if is_told || (self.adds_uid && word == b"UID") {
                self.line.truncate(before);
            }
        }
    }

    /// Begins a response.
    fn open(&mut self, seq: Seq, uid: Uid) {
        self.line.clear();
        self.line.raw(b"* ").number(seq.get()).raw(b" FETCH (");
        self.head = self.line.text().len();
        if self.adds_uid {
            self.line.raw(b"UID ").number(uid.get());
        }
    }

    /// A space, but before the first item.
    fn separate(&mut self) {
        if self.line.text().len() > self.head {
            self.line.sp();
        }
    }

    fn put(&mut self, at: usize, message: &Fetching<'_>, read: Option<&Bytes>) {
        let before = self.line.text().len();
        self.separate();
        let start = self.line.text().len();
        let Some(item) = self.items.get(at) else { return };
        let result = item.render(message, read, &mut self.line);
        if result.is_err() || self.line.text().len() == start {
            self.line.truncate(before);
        }
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Sends the response, unless there is nothing in it.
    async fn close(&mut self, cx: &mut Context<'_>) -> Result<(), Reject> {
        if self.line.text().len() > self.head {
            self.line.raw(b")");
            cx.send(&mut self.line).await?;
        }
        Ok(())
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
