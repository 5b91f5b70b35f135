//! What sessions ask of a storage: what one has asked serves all, and nobody asks for who has hung up.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use imapper_core::registry::slots::StorageLayer;
use imapper_core::registry::{Extension, Registry};
use imapper_core::storage::{AccountId, MailboxId};
use imapper_core::storage::{BodyRef, ByteStream, Changes, Mbox, Result, Status, Storage};
use imapper_core::types::{ModSeq, Uid};
use imapper_testkit::layer::{Layer, Layered};
use tokio::sync::Notify;

use crate::client::{Client, by_name, server};

/// How often the storage below was asked.
#[derive(Default)]
struct Asked {
    changes: AtomicUsize,
    claims: AtomicUsize,
    reads: AtomicUsize,
    read: Notify,
}

/// Counts, and takes its time as a database does.
#[derive(Clone)]
struct Counting(Arc<Asked>);

impl Extension for Counting {
    fn name(&self) -> &'static str {
        "X-COUNTING"
    }

    fn install(&self, registry: &mut Registry) {
        registry.storage_layer(self.clone());
    }
}

impl StorageLayer for Counting {
    fn wrap(&self, storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
        Arc::new(Layered(Counted { asked: Arc::clone(&self.0), below: storage }))
    }
}

struct Counted {
    asked: Arc<Asked>,
    below: Arc<dyn Storage>,
}

async fn take_time() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[imapper_core::async_trait]
impl Layer for Counted {
    type Below = dyn Storage;

    fn below(&self) -> &Arc<dyn Storage> {
        &self.below
    }

    async fn changes(&self, mbox: &Mbox, since: ModSeq, limit: usize) -> Result<Changes> {
        self.asked.changes.fetch_add(1, Ordering::SeqCst);
        take_time().await;
        self.below.changes(mbox, since, limit).await
    }

    async fn status(&self, account: &AccountId, ids: &[MailboxId]) -> Result<Vec<Status>> {
        self.asked.claims.fetch_add(1, Ordering::SeqCst);
        take_time().await;
        self.below.status(account, ids).await
    }

    async fn claim_recent(&self, mbox: &Mbox) -> Result<Option<(Uid, Uid)>> {
        self.asked.claims.fetch_add(1, Ordering::SeqCst);
        take_time().await;
        self.below.claim_recent(mbox).await
    }

    async fn read(&self, body: &BodyRef, range: Range<u64>) -> Result<ByteStream> {
        self.asked.reads.fetch_add(1, Ordering::SeqCst);
        self.asked.read.notify_waiters();
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.below.read(body, range).await
    }
}

#[tokio::test]
async fn what_one_session_asks_serves_all_that_listen() {
    let counting = Counting(Arc::default());
    let mut extensions = by_name(&["IDLE", "LITERAL+"], true);
    extensions.push(Box::new(counting.clone()));
    let server = server(extensions);
    let mut listeners = Vec::new();
    for at in 0..20 {
        let mut client = Client::logged_in(&server).await;
        client.ok(if at % 2 == 0 { "a1 SELECT INBOX" } else { "a1 EXAMINE INBOX" }).await;
        client.send("a2 IDLE\r\n").await;
        assert_eq!(client.line().await, "+ idling");
        listeners.push(client);
    }
    let mut writer = Client::logged_in(&server).await;
    let count = || (counting.0.changes.load(Ordering::SeqCst), counting.0.claims.load(Ordering::SeqCst));
    let before = count();
    writer.ok("a1 APPEND INBOX {1+}\r\nx").await;
    for client in &mut listeners {
        while client.line().await != "* 4 EXISTS" {}
        client.line().await;
    }
    let after = count();
    assert!(after.0 - before.0 <= 5, "{before:?} {after:?}");
    // One claims for those that select; those that only look ask once or twice.
    assert!(after.1 - before.1 <= 4, "{before:?} {after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_search_ends_when_the_client_has_hung_up() {
    let counting = Counting(Arc::default());
    let server = server(vec![Box::new(counting.clone())]);
    let mut client = Client::selected(&server).await;
    for at in 0..9 {
        client.ok(&format!("c{at} COPY 1:* INBOX")).await;
    }
    let read = counting.0.read.notified();
    client.send("a1 SEARCH BODY nowhere\r\n").await;
    read.await;
    drop(client);
    // A second passes, in which a client that only sends no more could still be answered.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let reads = counting.0.reads.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(reads < 100, "{reads}");
    assert_eq!(counting.0.reads.load(Ordering::SeqCst), reads);
}
