//! CONDSTORE and QRESYNC over a storage that keeps no mod-sequences (RFC 7162 §3.1.2.2).

use std::sync::Arc;

use imapper_core::registry::slots::StorageLayer;
use imapper_core::registry::{Extension, Registry};
use imapper_core::storage::{Caps, Changes, Mbox, ModSeqs, Result, Snapshot, Storage, fallback};
use imapper_core::types::ModSeq;
use imapper_testkit::layer::{Layer, Layered};

use crate::client::{Client, by_name, server};

/// Takes the mod-sequences away from the storage below.
struct Without;

impl Extension for Without {
    fn name(&self) -> &'static str {
        "X-WITHOUT"
    }

    fn install(&self, registry: &mut Registry) {
        registry.storage_layer(Self);
    }
}

impl StorageLayer for Without {
    fn wrap(&self, storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
        Arc::new(Layered(NoModSeqs(storage)))
    }
}

struct NoModSeqs(Arc<dyn Storage>);

#[imapper_core::async_trait]
impl Layer for NoModSeqs {
    type Below = dyn Storage;

    fn below(&self) -> &Arc<dyn Storage> {
        &self.0
    }

    fn caps(&self) -> Caps {
        let mut caps = self.0.caps();
        caps.modseq = ModSeqs::None;
        caps
    }

    async fn snapshot(&self, mbox: &Mbox) -> Result<Snapshot> {
        let mut snapshot = self.0.snapshot(mbox).await?;
        snapshot.status.highest_modseq = ModSeq::ZERO;
        Ok(snapshot)
    }

    async fn changes(&self, mbox: &Mbox, _since: ModSeq, limit: usize) -> Result<Changes> {
        let mut changes = fallback::changes_by_scan(&*self.0, mbox, ModSeq::ZERO, limit).await?;
        (changes.to, changes.status.highest_modseq) = (ModSeq::ZERO, ModSeq::ZERO);
        Ok(changes)
    }
}

async fn client(select: &str) -> Client {
    let mut extensions = by_name(&["CONDSTORE", "ENABLE", "QRESYNC", "IDLE"], true);
    extensions.push(Box::new(Without));
    let mut client = Client::logged_in(&server(extensions)).await;
    client.ok("b1 ENABLE QRESYNC").await;
    let lines = client.ok(&format!("b2 {select}")).await;
    let is_told = |word: &str| lines.iter().any(|line| line.contains(word));
    assert!(is_told("* OK [NOMODSEQ] ") && !is_told("HIGHESTMODSEQ") && !is_told("VANISHED"), "{lines:?}");
    client
}

#[tokio::test]
async fn a_storage_without_mod_sequences_says_so_and_refuses_what_needs_them() {
    let mut client = client("SELECT INBOX (CONDSTORE)").await;
    for command in [
        "a1 FETCH 1 (MODSEQ)",
        "a1 FETCH 1 (FLAGS) (CHANGEDSINCE 1)",
        "a1 UID FETCH 1 (FLAGS) (CHANGEDSINCE 1 VANISHED)",
        "a1 STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Seen)",
        "a1 SEARCH MODSEQ 1",
    ] {
        let answer = client.run(command).await;
        assert!(answer.len() == 1 && answer[0].starts_with("a1 BAD "), "{command}: {answer:?}");
    }
    let status = client.ok("a2 STATUS INBOX (HIGHESTMODSEQ MESSAGES)").await;
    assert_eq!(status, ["* STATUS INBOX (HIGHESTMODSEQ 0 MESSAGES 3)"]);
    // What does without them goes on as ever.
    assert_eq!(client.ok("a3 STORE 1 +FLAGS (\\Seen)").await, ["* 1 FETCH (UID 1 FLAGS (\\Seen \\Recent))"]);
    assert_eq!(client.ok("a4 STORE 1 +FLAGS.SILENT (\\Draft)").await, [""; 0]);
    let seen = client.ok("a5 FETCH 3 BODY[TEXT]").await;
    assert_eq!(seen, ["* 3 FETCH (BODY[TEXT] {1}", "x UID 3 FLAGS (\\Seen \\Recent))"]);
}

#[tokio::test]
async fn removals_are_told_by_number_where_there_are_no_mod_sequences() {
    let mut client = client("SELECT INBOX (QRESYNC (1 1 1:3 (1:3 1:3)))").await;
    assert_eq!(client.ok("a1 EXPUNGE").await, ["* 2 EXPUNGE", "* 2 RECENT"]);
    let answer = client.run("a2 EXPUNGE").await;
    assert!(answer.len() == 1 && !answer[0].contains('['), "{answer:?}");
}
