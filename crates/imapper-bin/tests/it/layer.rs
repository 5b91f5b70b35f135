//! Storages for tests: [`Memory`], with some of its methods replaced.

use std::ops::Range;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use imapper_core::async_trait;
use imapper_core::storage::{
    AccountId, Appended, ByteStream, Caps, Changes, Copied, CopyMode, Event, FlagChange, KeptDigest,
    MailboxId, MailboxInfo, Mbox, NewMessage, Result, RowStream, Snapshot, Staged, Status, Storage, Stored,
    TreeOp, Want,
};
use imapper_core::types::{BodyRef, ModSeq, Uid, UidSet};
use imapper_storage_memory::Memory;

/// What is done in another way than [`Memory`] does it.
#[async_trait]
pub(crate) trait Layer: Send + Sync + 'static {
    /// What is below.
    fn memory(&self) -> &Arc<Memory>;

    async fn rows(&self, mbox: &Mbox, uids: &UidSet, want: Want) -> Result<RowStream> {
        self.memory().rows(mbox, uids, want).await
    }
    async fn read(&self, body: &BodyRef, range: Range<u64>) -> Result<ByteStream> {
        self.memory().read(body, range).await
    }
    async fn stage(&self, account: &AccountId, size: Option<u64>, body: ByteStream) -> Result<Staged> {
        self.memory().stage(account, size, body).await
    }
    async fn append(&self, mbox: &Mbox, messages: Vec<NewMessage>) -> Result<Appended> {
        self.memory().append(mbox, messages).await
    }
    async fn changes(&self, mbox: &Mbox, since: ModSeq, limit: usize) -> Result<Changes> {
        self.memory().changes(mbox, since, limit).await
    }
    async fn claim_recent(&self, mbox: &Mbox) -> Result<Option<(Uid, Uid)>> {
        self.memory().claim_recent(mbox).await
    }
}

/// A storage out of a layer.
pub(crate) struct Layered<L>(pub(crate) L);

#[async_trait]
impl<L: Layer> Storage for Layered<L> {
    fn caps(&self) -> Caps {
        self.0.memory().caps()
    }
    async fn list(&self, account: &AccountId) -> Result<Vec<MailboxInfo>> {
        self.0.memory().list(account).await
    }
    async fn subscriptions(&self, account: &AccountId) -> Result<Vec<String>> {
        self.0.memory().subscriptions(account).await
    }
    async fn tree(&self, account: &AccountId, op: TreeOp) -> Result<Option<MailboxInfo>> {
        self.0.memory().tree(account, op).await
    }
    async fn status(&self, account: &AccountId, ids: &[MailboxId]) -> Result<Vec<Status>> {
        self.0.memory().status(account, ids).await
    }
    async fn snapshot(&self, mbox: &Mbox) -> Result<Snapshot> {
        self.0.memory().snapshot(mbox).await
    }
    async fn rows(&self, mbox: &Mbox, uids: &UidSet, want: Want) -> Result<RowStream> {
        self.0.rows(mbox, uids, want).await
    }
    async fn read(&self, body: &BodyRef, range: Range<u64>) -> Result<ByteStream> {
        self.0.read(body, range).await
    }
    async fn stage(&self, account: &AccountId, size: Option<u64>, body: ByteStream) -> Result<Staged> {
        self.0.stage(account, size, body).await
    }
    async fn append(&self, mbox: &Mbox, messages: Vec<NewMessage>) -> Result<Appended> {
        self.0.append(mbox, messages).await
    }
    async fn set_flags(&self, mbox: &Mbox, change: FlagChange) -> Result<Stored> {
        self.0.memory().set_flags(mbox, change).await
    }
    async fn expunge(&self, mbox: &Mbox, uids: &UidSet, only_deleted: bool) -> Result<(UidSet, ModSeq)> {
        self.0.memory().expunge(mbox, uids, only_deleted).await
    }
    async fn copy(&self, from: &Mbox, uids: &UidSet, to: &Mbox, mode: CopyMode) -> Result<Copied> {
        self.0.memory().copy(from, uids, to, mode).await
    }
    async fn changes(&self, mbox: &Mbox, since: ModSeq, limit: usize) -> Result<Changes> {
        self.0.changes(mbox, since, limit).await
    }
    fn watch(self: Arc<Self>, account: AccountId, ids: Vec<MailboxId>) -> BoxStream<'static, Event> {
        Arc::clone(self.0.memory()).watch(account, ids)
    }
    async fn put_digest(&self, mbox: &Mbox, uid: Uid, digest: KeptDigest) -> Result<()> {
        self.0.memory().put_digest(mbox, uid, digest).await
    }
    async fn claim_recent(&self, mbox: &Mbox) -> Result<Option<(Uid, Uid)>> {
        self.0.claim_recent(mbox).await
    }
}
