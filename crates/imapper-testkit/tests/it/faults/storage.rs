//! The model, with one fault.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::ready;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use imapper_core::storage::{
    AccountId, Appended, Attributes, Caps, Changes, Copied, CopyMode, Event, FlagChange, Import, MailboxId,
    MailboxInfo, Mbox, ModSeqs, NewMessage, Objects, Quota, Reach, Result, Search, Snapshot, Storage,
    StorageError, Stored, TreeOp,
};
use imapper_core::types::{Keyword, ModSeq, Uid, UidSet};
use imapper_testkit::layer::{Layer, Layered};
use imapper_testkit::storage::StorageUnderTest;
use imapper_testkit::{BoxFuture, Model};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    UidLate,
    ChangeLate,
    SnapshotTorn,
    NameTwice,
    MailForgotten,
    TokensForgotten,
    EventsDropped,
    EventsOld,
    NoneHeedsSince,
    KeywordsShared,
    KeywordsHidden,
    KeywordsAnyway,
    NodesApart,
    NodesDeaf,
    LimitIgnored,
    LimitAboveTaken,
    OneAllowedForAll,
    CopyHalfFits,
    AttributeModSeqLost,
    AttributesHalfSet,
    PlacesOfOthers,
    UidNextStays,
    GoneUidImported,
    ModSeqBegunAnew,
    SpecialUseAdded,
    SearchLies,
    SearchLoses,
}

#[derive(Clone)]
pub(super) struct Faulty {
    pub(super) model: Arc<Model>,
    pub(super) fault: Fault,
    kept: Arc<Kept>,
    /// Whether this is the second that holds the storage.
    second: bool,
}

/// What a fault remembers.
#[derive(Default)]
struct Kept {
    tokens: Mutex<Vec<Bytes>>,
    reopened: AtomicBool,
    words: Mutex<Vec<Keyword>>,
    shown: Mutex<UidSet>,
}

/// What the suite is given.
pub(super) struct Subject(Faulty);

impl Subject {
    pub(super) fn new(fault: Fault) -> Self {
        Self(Faulty { model: Arc::new(Model::new()), fault, kept: Arc::default(), second: false })
    }
}

impl StorageUnderTest for Subject {
    fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(Layered(self.0.clone()))
    }

    fn reopen(&mut self) -> BoxFuture<'_, bool> {
        self.0.kept.reopened.store(true, Ordering::SeqCst);
        if self.0.fault == Fault::MailForgotten {
            self.0.model = Arc::new(Model::new());
        }
        Box::pin(async { true })
    }

    fn beside(&self) -> Option<Arc<dyn Storage>> {
        let mut other = Faulty { second: true, ..self.0.clone() };
        if other.fault == Fault::NodesApart {
            other.model = Arc::new(Model::new());
        }
        Some(Arc::new(Layered(other)))
    }
}

#[async_trait]
impl Layer for Faulty {
    type Below = Model;

    fn below(&self) -> &Arc<Model> {
        &self.model
    }

    fn caps(&self) -> Caps {
        let mut caps = self.model.caps();
        caps.watch = Reach::Cluster;
        match self.fault {
            Fault::NoneHeedsSince => caps.modseq = ModSeqs::None,
            Fault::KeywordsAnyway => caps.keywords = Some(0),
            _ => {}
        }
        caps
    }

    async fn tree(&self, account: &AccountId, op: TreeOp) -> Result<Option<MailboxInfo>> {
        let TreeOp::Create { name, .. } = &op else { return self.model.tree(account, op).await };
        if self.fault != Fault::NameTwice {
            return self.model.tree(account, op).await;
        }
        // Looks, lets others make it, and takes what there is for its own.
        let name = name.clone();
        let find = async || -> Result<Option<MailboxInfo>> {
            Ok(self.model.list(account).await?.into_iter().find(|info| info.name == name))
        };
        if find().await?.is_some() {
            return Err(StorageError::Exists);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        match self.model.tree(account, op).await {
            Err(StorageError::Exists) => find().await,
            made => made,
        }
    }

    async fn snapshot(&self, mbox: &Mbox) -> Result<Snapshot> {
        let mut snapshot = self.model.snapshot(mbox).await?;
        match self.fault {
            // Every other one is seen after the next.
            Fault::UidLate => {
                let mut shown = self.kept.shown.lock().unwrap();
                let is_seen = |uid: &Uid| uid.get().is_multiple_of(2) || shown.contains(uid.next());
                snapshot.uids = snapshot.uids.iter().filter(is_seen).collect();
                *shown = snapshot.uids.clone();
            }
            Fault::SnapshotTorn => {
                tokio::time::sleep(Duration::from_millis(2)).await;
                snapshot.uids = self.model.snapshot(mbox).await?.uids;
            }
            Fault::NoneHeedsSince => snapshot.status.highest_modseq = ModSeq(1),
            Fault::KeywordsShared => snapshot.keywords.clone_from(&self.kept.words.lock().unwrap()),
            Fault::KeywordsHidden => snapshot.keywords.clear(),
            Fault::UidNextStays => snapshot.status.uid_next = snapshot.status.uid_next.min(TEN),
            _ => {}
        }
        Ok(snapshot)
    }

    async fn append(&self, mbox: &Mbox, messages: Vec<NewMessage>) -> Result<Appended> {
        let tokens = || messages.iter().map(|message| message.staged.token.clone());
        match self.fault {
            // Long enough for others to look.
            Fault::SnapshotTorn | Fault::UidLate => tokio::time::sleep(Duration::from_millis(1)).await,
            Fault::TokensForgotten => {
                let mut known = self.kept.tokens.lock().unwrap();
                if self.kept.reopened.load(Ordering::SeqCst) && tokens().any(|token| known.contains(&token)) {
                    return Err(StorageError::Gone);
                }
                known.extend(tokens());
            }
            _ => {}
        }
        self.model.append(mbox, messages).await
    }

    async fn set_flags(&self, mbox: &Mbox, change: FlagChange) -> Result<Stored> {
        self.kept.words.lock().unwrap().extend(change.op.flags().keywords().iter().cloned());
        self.model.set_flags(mbox, change).await
    }

    async fn copy(&self, from: &Mbox, uids: &UidSet, to: &Mbox, mode: CopyMode) -> Result<Copied> {
        match self.model.copy(from, uids, to, mode).await {
            Err(StorageError::OverQuota) if self.fault == Fault::CopyHalfFits => {
                let first = self.model.snapshot(from).await?.uids.intersection(uids).first();
                self.model.copy(from, &first.into_iter().collect(), to, mode).await?;
                Err(StorageError::OverQuota)
            }
            copied => copied,
        }
    }

    async fn changes(&self, mbox: &Mbox, since: ModSeq, limit: usize) -> Result<Changes> {
        if self.fault == Fault::NoneHeedsSince {
            let mut changes = self.model.changes(mbox, ModSeq::ZERO, usize::MAX).await?;
            changes.to = ModSeq(1);
            changes.status.highest_modseq = ModSeq(1);
            changes.changed.retain(|_| since < ModSeq(1));
            return Ok(changes);
        }
        let mut changes = self.model.changes(mbox, since, limit).await?;
        if self.fault == Fault::ChangeLate {
            changes.changed.retain(|row| !row.uid.get().is_multiple_of(4));
        }
        Ok(changes)
    }

    fn watch(&self, account: AccountId, ids: Vec<MailboxId>) -> BoxStream<'static, Event> {
        if self.fault == Fault::NodesDeaf && self.second {
            return stream::pending().boxed();
        }
        let (fault, mut told) = (self.fault, HashMap::<MailboxId, usize>::new());
        let events = Arc::clone(&self.model).watch(account, ids).map(move |event| match event {
            Event::Mailbox { id, modseq } if fault == Fault::EventsOld => {
                Event::Mailbox { id, modseq: ModSeq(modseq.0 - 1) }
            }
            event => event,
        });
        // A queue that is full takes no more, and nobody is told.
        let is_kept = move |event: &Event| match event {
            Event::Mailbox { id, .. } if fault == Fault::EventsDropped => {
                let count = told.entry(id.clone()).or_default();
                *count += 1;
                *count <= 16
            }
            _ => true,
        };
        let mut is_kept = is_kept;
        events.filter(move |event| ready(is_kept(event))).boxed()
    }

    fn as_attributes(&self) -> Option<&dyn Attributes> {
        Some(self)
    }

    fn as_search(&self) -> Option<&dyn Search> {
        Some(self)
    }

    fn as_quota(&self) -> Option<&dyn Quota> {
        Some(self)
    }

    fn as_objects(&self) -> Option<&dyn Objects> {
        Some(self)
    }

    fn as_import(&self) -> Option<&dyn Import> {
        Some(self)
    }
}

/// Where the case of the import begins.
const TEN: Uid = match Uid::new(10) {
    Some(ten) => ten,
    None => Uid::MIN,
};
