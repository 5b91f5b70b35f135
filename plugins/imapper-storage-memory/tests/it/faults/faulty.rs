//! The memory storage, with one fault.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use imapper_core::storage::{
    AccountId, Appended, ByteStream, Changes, Copied, CopyMode, Event, FlagChange, FlagOp, KeptDigest,
    MailboxId, MailboxInfo, Mbox, NewMessage, Result, Row, RowStream, Snapshot, Staged, Status, Storage,
    StorageError, Stored, TreeOp, Want,
};
use imapper_core::types::{BodyRef, Flags, Keyword, ModSeq, SystemFlags, Uid, UidSet};
use imapper_storage_memory::Memory;
use imapper_testkit::layer::Layer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    UidReused,
    ModSeqNotRaised,
    RowOlder,
    CopyHalfDone,
    AppendHalfDone,
    VanishedMissing,
    ChangesCutOff,
    SnapshotStale,
    TokenTwice,
    UnchangedSinceIgnored,
    RangeOffByOne,
    BodyCutAtNul,
    FlagsLostOnCopy,
    MoveOnlyCopies,
    ZoneLost,
    RenameLeavesChild,
    DeleteTakesChildren,
    SubscriptionDropped,
    MailboxIdReused,
    NoEvent,
    OnlyDeletedIgnored,
    RecentTwice,
    KeywordsLowered,
    CountsWrong,
    RowsUnordered,
    SpecialUseLost,
    AccountsMixed,
    EmailIdLost,
    UpdateLost,
}

pub(super) struct Faulty {
    inner: Arc<Memory>,
    fault: Fault,
    kept: Mutex<Kept>,
}

/// What a fault remembers.
#[derive(Default)]
struct Kept {
    /// UIDs that were removed, by mailbox.
    removed: HashMap<MailboxId, Vec<Uid>>,
    /// The UIDs of the last snapshot.
    uids: HashMap<MailboxId, UidSet>,
    /// Tokens that were appended.
    tokens: Vec<Bytes>,
    /// Mod-sequences that are not counted.
    hidden: HashMap<MailboxId, Vec<ModSeq>>,
    /// The first id of each name, and what it stands for now.
    first: HashMap<(AccountId, String), MailboxId>,
    now: HashMap<MailboxId, MailboxId>,
}

impl Faulty {
    pub(super) fn new(fault: Fault) -> Self {
        Self { inner: Arc::new(Memory::new()), fault, kept: Mutex::default() }
    }

    fn account(&self, account: &AccountId) -> AccountId {
        match self.fault {
            Fault::AccountsMixed => AccountId::from(account.as_str().to_ascii_lowercase()),
            _ => account.clone(),
        }
    }

    /// The mailbox that is meant.
    fn id(&self, id: &MailboxId) -> MailboxId {
        self.kept.lock().unwrap().now.get(id).unwrap_or(id).clone()
    }

    fn mbox(&self, mbox: &Mbox) -> Mbox {
        Mbox { account: self.account(&mbox.account), id: self.id(&mbox.id) }
    }

    /// The id under which a mailbox is shown.
    fn shown(&self, mut info: MailboxInfo) -> MailboxInfo {
        let kept = self.kept.lock().unwrap();
        if let Some((shown, _)) = kept.now.iter().find(|(_, now)| **now == info.id) {
            info.id = shown.clone();
        }
        info
    }

    /// A mod-sequence as if some had not been counted.
    fn modseq(&self, mbox: &MailboxId, modseq: ModSeq) -> ModSeq {
        let kept = self.kept.lock().unwrap();
        let hidden = kept.hidden.get(mbox).map(Vec::as_slice).unwrap_or_default();
        ModSeq(modseq.0 - hidden.iter().filter(|other| **other <= modseq).count() as u64)
    }

    fn status(&self, mbox: &MailboxId, mut status: Status) -> Status {
        status.highest_modseq = self.modseq(mbox, status.highest_modseq);
        if self.fault == Fault::CountsWrong && status.messages > 1 {
            status.unseen = status.messages;
        }
        status
    }

    fn flags(&self, flags: &Flags) -> Flags {
        match self.fault {
            Fault::KeywordsLowered => Flags::new(
                flags.system,
                flags.keywords().iter().map(|word| Keyword::new(&word.as_str().to_ascii_lowercase())),
            ),
            _ => flags.clone(),
        }
    }

    fn row(&self, mbox: &MailboxId, mut row: Row) -> Row {
        row.modseq = self.modseq(mbox, row.modseq);
        row.flags = self.flags(&row.flags);
        match self.fault {
            Fault::ZoneLost => row.internal_date.offset_minutes = 0,
            Fault::EmailIdLost => row.email_id = Some(u64::from(row.uid.get()) << 32 | row.size),
            _ => {}
        }
        row
    }

    async fn before_tree(&self, account: &AccountId, op: &mut TreeOp) -> Result<Vec<MailboxInfo>> {
        let list = self.inner.list(account).await?;
        match op {
            TreeOp::Create { special_use, .. } if self.fault == Fault::SpecialUseLost => special_use.clear(),
            TreeOp::Delete { id } | TreeOp::Rename { id, .. } => *id = self.id(id),
            _ => {}
        }
        Ok(list)
    }

    async fn after_tree(&self, account: &AccountId, op: &TreeOp, before: &[MailboxInfo]) -> Result<()> {
        let inner = &self.inner;
        let (TreeOp::Rename { id, .. } | TreeOp::Delete { id }) = op else { return Ok(()) };
        let Some(old) = before.iter().find(|info| info.id == *id) else { return Ok(()) };
        let child = before.iter().find(|info| info.name.starts_with(&format!("{}/", old.name)));
        match (self.fault, op, child) {
            (Fault::RenameLeavesChild, TreeOp::Rename { .. }, Some(child)) => {
                let back = TreeOp::Rename { id: child.id.clone(), to: child.name.clone() };
                inner.tree(account, back).await?;
            }
            (Fault::DeleteTakesChildren, TreeOp::Delete { .. }, Some(child)) => {
                inner.tree(account, TreeOp::Delete { id: child.id.clone() }).await?;
            }
            (Fault::SubscriptionDropped, TreeOp::Delete { .. }, _) => {
                inner.tree(account, TreeOp::Subscribe { name: old.name.clone(), on: false }).await?;
            }
            _ => {}
        }
        Ok(())
    }
}

#[async_trait]
impl Layer for Faulty {
    type Below = Memory;

    fn below(&self) -> &Arc<Memory> {
        &self.inner
    }

    async fn list(&self, account: &AccountId) -> Result<Vec<MailboxInfo>> {
        let list = self.inner.list(&self.account(account)).await?;
        Ok(list.into_iter().map(|info| self.shown(info)).collect())
    }

    async fn subscriptions(&self, account: &AccountId) -> Result<Vec<String>> {
        self.inner.subscriptions(&self.account(account)).await
    }

    async fn tree(&self, account: &AccountId, mut op: TreeOp) -> Result<Option<MailboxInfo>> {
        let account = self.account(account);
        let before = self.before_tree(&account, &mut op).await?;
        let made = self.inner.tree(&account, op.clone()).await?;
        self.after_tree(&account, &op, &before).await?;
        if let (Fault::MailboxIdReused, TreeOp::Create { name, .. }, Some(made)) = (self.fault, &op, &made) {
            let mut kept = self.kept.lock().unwrap();
            let first = kept.first.entry((account, name.clone())).or_insert_with(|| made.id.clone()).clone();
            kept.now.insert(first, made.id.clone());
        }
        Ok(made.map(|info| self.shown(info)))
    }

    async fn status(&self, account: &AccountId, ids: &[MailboxId]) -> Result<Vec<Status>> {
        let ids: Vec<MailboxId> = ids.iter().map(|id| self.id(id)).collect();
        let all = self.inner.status(&self.account(account), &ids).await?;
        Ok(ids.iter().zip(all).map(|(id, status)| self.status(id, status)).collect())
    }

    async fn snapshot(&self, mbox: &Mbox) -> Result<Snapshot> {
        let mbox = self.mbox(mbox);
        let mut snapshot = self.inner.snapshot(&mbox).await?;
        snapshot.status = self.status(&mbox.id, snapshot.status);
        if self.fault == Fault::SnapshotStale {
            let new = snapshot.uids.clone();
            let last = self.kept.lock().unwrap().uids.insert(mbox.id, new);
            snapshot.uids = last.unwrap_or(snapshot.uids);
        }
        Ok(snapshot)
    }

    async fn rows(&self, mbox: &Mbox, uids: &UidSet, want: Want) -> Result<RowStream> {
        let mbox = self.mbox(mbox);
        let rows: Vec<Row> = self.inner.rows(&mbox, uids, want).await?.try_concat().await?;
        let mut rows: Vec<Row> = rows.into_iter().map(|row| self.row(&mbox.id, row)).collect();
        if self.fault == Fault::RowsUnordered {
            rows.reverse();
        }
        Ok(stream::iter([Ok(rows)]).boxed())
    }

    async fn read(&self, body: &BodyRef, range: Range<u64>) -> Result<ByteStream> {
        let range = match self.fault {
            Fault::RangeOffByOne if range.start > 0 => range.start..range.end.saturating_add(1),
            _ => range,
        };
        let octets: Vec<Bytes> = self.inner.read(body, range).await?.try_collect().await?;
        let mut octets = octets.concat();
        if self.fault == Fault::BodyCutAtNul {
            octets.truncate(octets.iter().position(|octet| *octet == 0).unwrap_or(octets.len()));
        }
        Ok(stream::iter([Ok(Bytes::from(octets))]).boxed())
    }

    async fn stage(&self, account: &AccountId, size: Option<u64>, body: ByteStream) -> Result<Staged> {
        self.inner.stage(&self.account(account), size, body).await
    }

    async fn append(&self, mbox: &Mbox, mut messages: Vec<NewMessage>) -> Result<Appended> {
        let mbox = self.mbox(mbox);
        for message in messages.iter_mut().filter(|_| self.fault == Fault::TokenTwice) {
            let known = self.kept.lock().unwrap().tokens.contains(&message.staged.token);
            if known {
                let body = self.inner.read_staged(&message.staged).await?;
                message.staged = self.inner.stage(&mbox.account, None, body).await?;
            }
            self.kept.lock().unwrap().tokens.push(message.staged.token.clone());
        }
        let tried = messages.first().cloned().into_iter().collect();
        let mut appended = match self.inner.append(&mbox, messages).await {
            Err(StorageError::Gone) if self.fault == Fault::AppendHalfDone => {
                self.inner.append(&mbox, tried).await?;
                return Err(StorageError::Gone);
            }
            appended => appended?,
        };
        appended.modseq = self.modseq(&mbox.id, appended.modseq);
        if let (Fault::UidReused, [uid]) = (self.fault, appended.uids.as_mut_slice()) {
            let mut kept = self.kept.lock().unwrap();
            *uid = kept.removed.get_mut(&mbox.id).and_then(Vec::pop).unwrap_or(*uid);
        }
        Ok(appended)
    }

    async fn set_flags(&self, mbox: &Mbox, mut change: FlagChange) -> Result<Stored> {
        let mbox = self.mbox(mbox);
        if self.fault == Fault::UnchangedSinceIgnored {
            change.unchanged_since = None;
        }
        if self.fault == Fault::UpdateLost {
            // Reads, lets others write, and writes what it has read.
            let rows: Vec<Row> =
                self.inner.rows(&mbox, &change.uids, Want::FLAGS).await?.try_concat().await?;
            tokio::task::yield_now().await;
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            if let [row] = rows.as_slice() {
                change.op = FlagOp::Replace(change.op.apply(&row.flags));
            }
        }
        let mut stored = self.inner.set_flags(&mbox, change).await?;
        if self.fault == Fault::ModSeqNotRaised && !stored.changed.is_empty() {
            self.kept.lock().unwrap().hidden.entry(mbox.id.clone()).or_default().push(stored.modseq);
        }
        stored.modseq = self.modseq(&mbox.id, stored.modseq);
        for (_, flags) in &mut stored.changed {
            *flags = self.flags(flags);
        }
        Ok(stored)
    }

    async fn expunge(&self, mbox: &Mbox, uids: &UidSet, only_deleted: bool) -> Result<(UidSet, ModSeq)> {
        let mbox = self.mbox(mbox);
        let only_deleted = only_deleted && self.fault != Fault::OnlyDeletedIgnored;
        let (removed, modseq) = self.inner.expunge(&mbox, uids, only_deleted).await?;
        self.kept.lock().unwrap().removed.entry(mbox.id.clone()).or_default().extend(removed.iter());
        Ok((removed, self.modseq(&mbox.id, modseq)))
    }

    async fn copy(&self, from: &Mbox, uids: &UidSet, to: &Mbox, mode: CopyMode) -> Result<Copied> {
        let (from, to) = (self.mbox(from), self.mbox(to));
        let real = if self.fault == Fault::MoveOnlyCopies { CopyMode::Copy } else { mode };
        let mut copied = match self.inner.copy(&from, uids, &to, real).await {
            Err(error) if self.fault == Fault::CopyHalfDone => {
                let first = self.inner.snapshot(&from).await?.uids.intersection(uids).first();
                self.inner.copy(&from, &first.into_iter().collect(), &to, real).await?;
                return Err(error);
            }
            copied => copied?,
        };
        if self.fault == Fault::FlagsLostOnCopy {
            let uids = copied.pairs.iter().map(|(_, new)| *new).collect();
            let op = FlagOp::Replace(Flags::new(SystemFlags::NONE, []));
            self.inner.set_flags(&to, FlagChange { uids, op, unchanged_since: None }).await?;
        }
        copied.to_modseq = self.modseq(&to.id, copied.to_modseq);
        copied.from_modseq = copied.from_modseq.map(|modseq| self.modseq(&from.id, modseq));
        if mode == CopyMode::Move && real == CopyMode::Copy {
            copied.from_modseq = Some(self.inner.snapshot(&from).await?.status.highest_modseq);
        }
        Ok(copied)
    }

    async fn changes(&self, mbox: &Mbox, since: ModSeq, limit: usize) -> Result<Changes> {
        let mbox = self.mbox(mbox);
        // The last one that is shown as `since`.
        let highest = self.inner.snapshot(&mbox).await?.status.highest_modseq.0;
        let real = (since.0..=highest.max(since.0)).rev().map(ModSeq);
        let real = real.into_iter().find(|real| self.modseq(&mbox.id, *real) <= since).unwrap_or(since);
        let mut changes = self.inner.changes(&mbox, real, limit).await?;
        changes.to = self.modseq(&mbox.id, changes.to);
        changes.status = self.status(&mbox.id, changes.status);
        changes.changed = changes.changed.into_iter().map(|row| self.row(&mbox.id, row)).collect();
        match self.fault {
            Fault::RowOlder => changes.changed.iter_mut().for_each(|row| row.modseq = since),
            Fault::VanishedMissing => changes.removed = UidSet::new(),
            Fault::ChangesCutOff => changes.more = false,
            _ => {}
        }
        Ok(changes)
    }

    fn watch(&self, account: AccountId, ids: Vec<MailboxId>) -> BoxStream<'static, Event> {
        if self.fault == Fault::NoEvent {
            return stream::pending().boxed();
        }
        let ids = ids.iter().map(|id| self.id(id)).collect();
        Arc::clone(&self.inner).watch(self.account(&account), ids)
    }

    async fn put_digest(&self, mbox: &Mbox, uid: Uid, digest: KeptDigest) -> Result<()> {
        self.inner.put_digest(&self.mbox(mbox), uid, digest).await
    }

    async fn claim_recent(&self, mbox: &Mbox) -> Result<Option<(Uid, Uid)>> {
        let mbox = self.mbox(mbox);
        if self.fault == Fault::RecentTwice {
            let snapshot = self.inner.snapshot(&mbox).await?;
            return Ok(snapshot.status.first_recent.zip(snapshot.uids.last()));
        }
        self.inner.claim_recent(&mbox).await
    }
}
