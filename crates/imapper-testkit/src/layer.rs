//! A storage that differs from another one in some of its methods: for faults, delays and counts in tests.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use imapper_core::storage::{
    AccountId, Appended, Attributes, ByteStream, Caps, Changes, Copied, CopyMode, Dumping, Event, FlagChange,
    Import, KeptDigest, MailboxId, MailboxInfo, Mbox, NewMessage, Objects, Quota, Result, RowStream, Search,
    Snapshot, Staged, Status, Storage, Stored, TreeOp, Want,
};
use imapper_core::types::{BodyRef, ModSeq, Uid, UidSet};

/// A storage out of a layer and what is below.
#[derive(Clone, Debug)]
pub struct Layered<L>(pub L);

/// Writes both down once: what a layer hands on, and the storage that is made of it.
macro_rules! layer {
    (
        async { $(fn $method:ident($($given:ident: $type:ty),*) -> $gives:ty;)* }
        facets { $(fn $facet:ident() -> $trait:ident;)* }
    ) => {
        /// What is done in another way than the storage below does it: every method of [`Storage`], handed on
        /// unless it is written anew.
        #[async_trait]
        #[expect(missing_docs, reason = "each is the storage's method of that name")]
        pub trait Layer: Send + Sync + 'static {
            /// The kind of storage below.
            type Below: Storage + ?Sized;

            /// The storage below.
            fn below(&self) -> &Arc<Self::Below>;

            fn caps(&self) -> Caps {
                self.below().caps()
            }
            fn watch(&self, account: AccountId, ids: Vec<MailboxId>) -> BoxStream<'static, Event> {
                Arc::clone(self.below()).watch(account, ids)
            }
            $(
                async fn $method(&self, $($given: $type),*) -> $gives {
                    self.below().$method($($given),*).await
                }
            )*
            $(
                fn $facet(&self) -> Option<&dyn $trait> {
                    self.below().$facet()
                }
            )*
        }

        #[async_trait]
        impl<L: Layer> Storage for Layered<L> {
            fn caps(&self) -> Caps {
                self.0.caps()
            }
            fn watch(self: Arc<Self>, account: AccountId, ids: Vec<MailboxId>) -> BoxStream<'static, Event> {
                self.0.watch(account, ids)
            }
            $(
                async fn $method(&self, $($given: $type),*) -> $gives {
                    self.0.$method($($given),*).await
                }
            )*
            $(
                fn $facet(&self) -> Option<&dyn $trait> {
                    self.0.$facet()
                }
            )*
        }
    };
}

layer! {
    async {
        fn list(account: &AccountId) -> Result<Vec<MailboxInfo>>;
        fn subscriptions(account: &AccountId) -> Result<Vec<String>>;
        fn tree(account: &AccountId, op: TreeOp) -> Result<Option<MailboxInfo>>;
        fn status(account: &AccountId, ids: &[MailboxId]) -> Result<Vec<Status>>;
        fn snapshot(mbox: &Mbox) -> Result<Snapshot>;
        fn rows(mbox: &Mbox, uids: &UidSet, want: Want) -> Result<RowStream>;
        fn read(body: &BodyRef, range: Range<u64>) -> Result<ByteStream>;
        fn stage(account: &AccountId, size: Option<u64>, body: ByteStream) -> Result<Staged>;
        fn append(mbox: &Mbox, messages: Vec<NewMessage>) -> Result<Appended>;
        fn set_flags(mbox: &Mbox, change: FlagChange) -> Result<Stored>;
        fn expunge(mbox: &Mbox, uids: &UidSet, only_deleted: bool) -> Result<(UidSet, ModSeq)>;
        fn share(staged: &Staged, from: &AccountId, to: &AccountId) -> Result<Staged>;
        fn read_staged(staged: &Staged) -> Result<ByteStream>;
        fn copy(from: &Mbox, uids: &UidSet, to: &Mbox, mode: CopyMode) -> Result<Copied>;
        fn changes(mbox: &Mbox, since: ModSeq, limit: usize) -> Result<Changes>;
        fn put_digest(mbox: &Mbox, uid: Uid, digest: KeptDigest) -> Result<()>;
        fn claim_recent(mbox: &Mbox) -> Result<Option<(Uid, Uid)>>;
    }
    facets {
        fn as_attributes() -> Attributes;
        fn as_search() -> Search;
        fn as_quota() -> Quota;
        fn as_objects() -> Objects;
        fn as_import() -> Import;
        fn as_dump() -> Dumping;
    }
}
