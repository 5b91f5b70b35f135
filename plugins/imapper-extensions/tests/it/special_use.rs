//! What wire scripts can't show of SPECIAL-USE: what the configuration says, and a storage that can't keep it.

use std::sync::Arc;

use async_trait::async_trait;
use imapper_core::registry::slots::StorageLayer;
use imapper_core::registry::{Extension, Registry};
use imapper_core::storage::{AccountId, MailboxInfo, Result, Storage, StorageError, TreeOp};
use imapper_extensions::{Options, SpecialUses, find};
use imapper_testkit::layer::{Layer, Layered};

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
        Arc::new(Layered(Plain(storage)))
    }
}

/// A storage that keeps no special uses.
struct Plain(Arc<dyn Storage>);

#[async_trait]
impl Layer for Plain {
    type Below = dyn Storage;

    fn below(&self) -> &Arc<dyn Storage> {
        &self.0
    }

    async fn tree(&self, account: &AccountId, op: TreeOp) -> Result<Option<MailboxInfo>> {
        match op {
            TreeOp::Create { special_use, .. } if !special_use.is_empty() => Err(StorageError::Unsupported),
            op => self.0.tree(account, op).await,
        }
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
