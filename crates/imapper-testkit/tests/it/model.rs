//! The suite for storages, played on the model: whole, opened anew, and cut down to what every storage has.

use std::ops::Range;
use std::sync::Arc;

use imapper_core::storage::{
    AccountId, Appended, ByteStream, Caps, FlagChange, MailboxId, MailboxInfo, Mbox, ModSeqs, NewMessage,
    Result, RowStream, Snapshot, Staged, Status, Storage, Stored, TreeOp, Want,
};
use imapper_core::types::{BodyRef, ModSeq, UidSet};
use imapper_testkit::storage::StorageUnderTest;
use imapper_testkit::{BoxFuture, Model};

/// What the model holds outlives the model.
struct Kept(Arc<Model>);

impl StorageUnderTest for Kept {
    fn storage(&self) -> Arc<dyn Storage> {
        Arc::<Model>::clone(&self.0)
    }

    fn reopen(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(async {
            self.0 = Arc::new(Model::clone(&self.0));
            true
        })
    }
}

mod whole {
    use super::*;

    imapper_testkit::storage_conformance!(async || Kept(Arc::new(Model::new())));
}

/// The required methods only, and the defaults of the others.
struct Least(Model, ModSeqs);

#[async_trait::async_trait]
impl Storage for Least {
    fn caps(&self) -> Caps {
        let mut caps = Caps::least();
        caps.modseq = self.1;
        caps
    }

    async fn list(&self, account: &AccountId) -> Result<Vec<MailboxInfo>> {
        self.0.list(account).await
    }

    async fn subscriptions(&self, account: &AccountId) -> Result<Vec<String>> {
        self.0.subscriptions(account).await
    }

    async fn tree(&self, account: &AccountId, op: TreeOp) -> Result<Option<MailboxInfo>> {
        self.0.tree(account, op).await
    }

    async fn status(&self, account: &AccountId, ids: &[MailboxId]) -> Result<Vec<Status>> {
        Ok(self.0.status(account, ids).await?.into_iter().map(never_recent).collect())
    }

    async fn snapshot(&self, mbox: &Mbox) -> Result<Snapshot> {
        let snapshot = self.0.snapshot(mbox).await?;
        Ok(Snapshot { status: never_recent(snapshot.status), ..snapshot })
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
        self.0.set_flags(mbox, change).await
    }

    async fn expunge(&self, mbox: &Mbox, uids: &UidSet, only_deleted: bool) -> Result<(UidSet, ModSeq)> {
        self.0.expunge(mbox, uids, only_deleted).await
    }
}

/// As the default of `claim_recent` has it.
fn never_recent(mut status: Status) -> Status {
    (status.first_recent, status.recent) = (None, 0);
    status
}

mod least {
    use super::*;

    imapper_testkit::storage_conformance!(async || Arc::new(Least(Model::new(), ModSeqs::None)));
}

mod least_with_mod_sequences {
    use super::*;

    imapper_testkit::storage_conformance!(async || Arc::new(Least(Model::new(), ModSeqs::Changes)));
}
