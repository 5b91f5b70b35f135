//! What wire scripts can't show of SPECIAL-USE: what the configuration says, and a storage that can't keep it.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use imapper_core::registry::slots::StorageLayer;
use imapper_core::registry::{Extension, Registry};
use imapper_core::storage::{
    AccountId, Appended, BodyRef, ByteStream, Caps, FlagChange, MailboxId, MailboxInfo, Mbox, NewMessage,
    Result, RowStream, Snapshot, Staged, Status, Storage, StorageError, Stored, TreeOp, Want,
};
use imapper_core::types::{ModSeq, UidSet};
use imapper_extensions::{Options, SpecialUses, find};

use crate::client::{Client, by_name, server};

fn allowing(uses: &[&str]) -> Vec<Box<dyn Extension>> {
    let uses: Vec<String> = uses.iter().map(|name| (*name).to_owned()).collect();
    let options = Options::new(true).special_use(SpecialUses::new(&uses).unwrap());
    ["SPECIAL-USE", "CREATE-SPECIAL-USE"].map(|name| find(name).unwrap().extension(&options)).into()
}

async fn listed(client: &mut Client) -> Vec<String> {
    client.ok("l LIST \"\" %").await
}

#[tokio::test]
async fn only_what_is_allowed_can_be_set() {
    let mut client = Client::logged_in(&server(allowing(&["\\Sent", "\\trash"]))).await;
    client.ok("a1 CREATE out (USE (\\sent \\TRASH))").await;
    for (command, text) in [
        ("a2 CREATE all (USE (\\All))", "a2 NO [USEATTR] \\All can't be set here"),
        ("a2 CREATE all (USE (\\Sent \\x-y))", "a2 NO [USEATTR] \\x-y can't be set here"),
    ] {
        assert_eq!(client.run(command).await, [text]);
    }
    assert_eq!(listed(&mut client).await, ["* LIST () \"/\" INBOX", "* LIST (\\Sent \\Trash) \"/\" out"]);

    let mut client = Client::logged_in(&server(allowing(&[]))).await;
    assert!(client.run("a1 CREATE out (USE (\\Sent))").await.concat().starts_with("a1 NO [USEATTR]"));
    client.ok("a2 CREATE out (USE ())").await;
}

#[tokio::test]
async fn very_many_uses_are_refused_at_once() {
    let mut client = Client::logged_in(&server(by_name(&["CREATE-SPECIAL-USE"], true))).await;
    let uses: Vec<String> = (0..9000).map(|at| format!("\\{at}")).collect();
    let answer = client.run(&format!("a1 CREATE x (USE (\\Sent {}))", uses.join(" "))).await;
    assert_eq!(answer, ["a1 NO [USEATTR] \\0 can't be set here"]);
}

/// Keeps no special uses.
struct Useless;

impl Extension for Useless {
    fn name(&self) -> &'static str {
        "X-USELESS"
    }

    fn install(&self, registry: &mut Registry) {
        registry.storage_layer(Self);
    }
}

impl StorageLayer for Useless {
    fn wrap(&self, storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
        Arc::new(Plain(storage))
    }
}

/// The tree of a storage, without special uses.
struct Plain(Arc<dyn Storage>);

#[async_trait]
impl Storage for Plain {
    fn caps(&self) -> Caps {
        self.0.caps()
    }
    async fn list(&self, account: &AccountId) -> Result<Vec<MailboxInfo>> {
        self.0.list(account).await
    }
    async fn subscriptions(&self, account: &AccountId) -> Result<Vec<String>> {
        self.0.subscriptions(account).await
    }
    async fn tree(&self, account: &AccountId, op: TreeOp) -> Result<Option<MailboxInfo>> {
        match op {
            TreeOp::Create { special_use, .. } if !special_use.is_empty() => Err(StorageError::Unsupported),
            op => self.0.tree(account, op).await,
        }
    }
    async fn status(&self, account: &AccountId, ids: &[MailboxId]) -> Result<Vec<Status>> {
        self.0.status(account, ids).await
    }
    async fn snapshot(&self, mbox: &Mbox) -> Result<Snapshot> {
        self.0.snapshot(mbox).await
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

#[tokio::test]
async fn a_storage_that_keeps_no_uses_is_useattr_too() {
    let mut extensions = by_name(&["SPECIAL-USE", "CREATE-SPECIAL-USE"], true);
    extensions.push(Box::new(Useless));
    let mut client = Client::logged_in(&server(extensions)).await;
    assert!(client.run("a1 CREATE out (USE (\\Sent))").await.concat().starts_with("a1 NO [USEATTR]"));
    assert_eq!(listed(&mut client).await, ["* LIST () \"/\" INBOX"]);
    client.ok("a2 CREATE out (USE ())").await;
    client.ok("a3 CREATE in").await;
}
