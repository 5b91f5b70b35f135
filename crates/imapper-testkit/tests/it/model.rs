//! The suite for storages, played on the model: whole, opened anew, and cut down to what every storage has.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use imapper_core::storage::{
    AccountId, Appended, ByteStream, Caps, Event, FlagChange, FlagOp, MailboxId, MailboxInfo, Mbox, ModSeqs,
    NewMessage, Reach, Result, Row, RowStream, Snapshot, Staged, Status, Storage, StorageError, Stored,
    TreeOp, Want,
};
use imapper_core::types::{BodyRef, Flags, InternalDate, ModSeq, UidSet};
use imapper_testkit::layer::{Layer, Layered};
use imapper_testkit::storage::{StorageUnderTest, run_all};
use imapper_testkit::{BoxFuture, Model};

/// What the model holds outlives the model, and may be held by several.
struct Kept(Arc<Model>);

impl StorageUnderTest for Kept {
    fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(Layered(Node(Arc::clone(&self.0))))
    }

    fn reopen(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(async {
            self.0 = Arc::new(Model::clone(&self.0));
            true
        })
    }

    fn beside(&self) -> Option<Arc<dyn Storage>> {
        Some(Arc::new(Layered(Node(Arc::new(Model::clone(&self.0))))))
    }
}

/// One of those that hold it: clones hear of each other's changes.
struct Node(Arc<Model>);

impl Layer for Node {
    type Below = Model;

    fn below(&self) -> &Arc<Model> {
        &self.0
    }

    fn caps(&self) -> Caps {
        let mut caps = self.0.caps();
        caps.watch = Reach::Cluster;
        caps
    }
}

mod whole {
    use super::*;

    imapper_testkit::storage_conformance!(async || Kept(Arc::new(Model::new())));
}

/// The required methods only, and the defaults of the others. So it is no layer, which would hand those on.
struct Least(Model, ModSeqs);

impl Least {
    /// Without mod-sequences they are all the same.
    fn modseq(&self, modseq: ModSeq) -> ModSeq {
        if self.1 == ModSeqs::None { ModSeq(1) } else { modseq }
    }

    /// `\Recent` as the default of `claim_recent` has it.
    fn status(&self, mut status: Status) -> Status {
        status.highest_modseq = self.modseq(status.highest_modseq);
        (status.first_recent, status.recent) = (None, 0);
        status
    }
}

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
        Ok(self.0.status(account, ids).await?.into_iter().map(|status| self.status(status)).collect())
    }

    async fn snapshot(&self, mbox: &Mbox) -> Result<Snapshot> {
        let snapshot = self.0.snapshot(mbox).await?;
        Ok(Snapshot { status: self.status(snapshot.status), ..snapshot })
    }

    async fn rows(&self, mbox: &Mbox, uids: &UidSet, want: Want) -> Result<RowStream> {
        let (rows, flat) = (self.0.rows(mbox, uids, want).await?, self.1 == ModSeqs::None);
        let flatten = move |mut rows: Vec<Row>| {
            rows.iter_mut().filter(|_| flat).for_each(|row| row.modseq = ModSeq(1));
            rows
        };
        Ok(rows.map_ok(flatten).boxed())
    }

    async fn read(&self, body: &BodyRef, range: Range<u64>) -> Result<ByteStream> {
        self.0.read(body, range).await
    }

    async fn stage(&self, account: &AccountId, size: Option<u64>, body: ByteStream) -> Result<Staged> {
        self.0.stage(account, size, body).await
    }

    async fn append(&self, mbox: &Mbox, messages: Vec<NewMessage>) -> Result<Appended> {
        let appended = self.0.append(mbox, messages).await?;
        Ok(Appended { modseq: self.modseq(appended.modseq), ..appended })
    }

    async fn set_flags(&self, mbox: &Mbox, change: FlagChange) -> Result<Stored> {
        let stored = self.0.set_flags(mbox, change).await?;
        Ok(Stored { modseq: self.modseq(stored.modseq), ..stored })
    }

    async fn expunge(&self, mbox: &Mbox, uids: &UidSet, only_deleted: bool) -> Result<(UidSet, ModSeq)> {
        let (gone, modseq) = self.0.expunge(mbox, uids, only_deleted).await?;
        Ok((gone, self.modseq(modseq)))
    }
}

mod least {
    use super::*;

    imapper_testkit::storage_conformance!(async || Arc::new(Least(Model::new(), ModSeqs::None)));
}

mod least_with_mod_sequences {
    use super::*;

    imapper_testkit::storage_conformance!(async || Arc::new(Least(Model::new(), ModSeqs::Changes)));
}

/// Nobody knows what has happened between the call and the first round.
#[tokio::test(start_paused = true)]
async fn who_polls_is_told_of_the_beginning_and_of_what_follows() {
    let john = AccountId::from("john");
    for modseqs in [ModSeqs::None, ModSeqs::Changes] {
        let storage = Arc::new(Least(Model::new(), modseqs));
        let inbox = storage.list(&john).await.unwrap().remove(0).id;
        let mut events = Arc::clone(&storage).watch(john.clone(), Vec::new());
        for _ in 0..2 {
            let body = stream::iter([Ok(Bytes::from_static(b"x"))]).boxed();
            let staged = storage.stage(&john, None, body).await.unwrap();
            let message =
                NewMessage::new(staged, Flags::default(), InternalDate { seconds: 0, offset_minutes: 0 });
            let mbox = Mbox { account: john.clone(), id: inbox.clone() };
            let modseq = storage.append(&mbox, vec![message]).await.unwrap().modseq;
            let wanted = match modseqs {
                ModSeqs::None => Event::Lagged,
                _ => Event::Mailbox { id: inbox.clone(), modseq },
            };
            assert_eq!(events.next().await, Some(wanted));
        }
    }
}

/// One whose mailboxes have no keywords.
struct NoKeywords(Arc<Model>);

const NO_KEYWORDS: StorageError = StorageError::Limit("there are no keywords");

fn has_none(flags: &Flags) -> Result<()> {
    if flags.keywords().is_empty() { Ok(()) } else { Err(NO_KEYWORDS) }
}

#[async_trait::async_trait]
impl Layer for NoKeywords {
    type Below = Model;

    fn below(&self) -> &Arc<Model> {
        &self.0
    }

    fn caps(&self) -> Caps {
        let mut caps = self.0.caps();
        caps.keywords = Some(0);
        caps
    }

    async fn snapshot(&self, mbox: &Mbox) -> Result<Snapshot> {
        Ok(Snapshot { new_keywords: false, ..self.0.snapshot(mbox).await? })
    }

    async fn append(&self, mbox: &Mbox, messages: Vec<NewMessage>) -> Result<Appended> {
        self.0.snapshot(mbox).await?;
        messages.iter().try_for_each(|message| has_none(&message.flags))?;
        self.0.append(mbox, messages).await
    }

    async fn set_flags(&self, mbox: &Mbox, change: FlagChange) -> Result<Stored> {
        if !matches!(change.op, FlagOp::Remove(_)) {
            has_none(change.op.flags())?;
        }
        self.0.set_flags(mbox, change).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_without_keywords_is_one() {
    let failures = run_all(async || Arc::new(Layered(NoKeywords(Arc::new(Model::new()))))).await;
    assert!(failures.is_empty(), "{failures:?}");
}
