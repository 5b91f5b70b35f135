//! What wire scripts can't show of X-GM-EXT-1: many changes, several sessions at once, rights, other storages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::TryStreamExt as _;
use imapper_core::registry::slots::StorageLayer;
use imapper_core::session::{Access, Place, Rights};
use imapper_core::storage::{
    AccountId, Copied, CopyMode, MailboxId, MailboxInfo, Mbox, Objects, Result, Storage, StorageError, Want,
};
use imapper_core::types::{Uid, UidSet};
use imapper_core::users::Identity;
use imapper_core::{Extension, Registry, Server};
use imapper_storage_memory::{Fixture, Memory};
use imapper_testkit::layer::{Layer, Layered};
use imapper_users_static::Static;

use crate::client::{Client, by_name};

/// A server with X-GM-EXT-1 and what changes mailboxes, and what it holds.
fn serve(fixture: &str, more: Vec<Box<dyn Extension>>) -> (Server, Arc<Memory>) {
    let storage = Arc::new(Memory::from_fixture(Fixture::from_json(fixture).unwrap()));
    let users = Static::builder().plain_password("testuser", "testpass").unwrap().build();
    let extensions = by_name(&["X-GM-EXT-1", "MOVE", "UIDPLUS", "LITERAL+"], true).into_iter().chain(more);
    let server = Server::builder().storage(Arc::<Memory>::clone(&storage)).users(Arc::new(users));
    (server.extensions(extensions).build().unwrap(), storage)
}

fn account() -> AccountId {
    AccountId::from("testuser")
}

/// The emails in each mailbox, with their UIDs.
async fn held(storage: &Memory) -> BTreeMap<String, Vec<(Uid, u64)>> {
    let mut held = BTreeMap::new();
    for mailbox in storage.list(&account()).await.unwrap() {
        let mbox = Mbox { account: account(), id: mailbox.id };
        let rows = storage.rows(&mbox, &UidSet::all(), Want::FLAGS).await.unwrap();
        let rows: Vec<_> = rows.try_concat().await.unwrap();
        held.insert(mailbox.name, rows.iter().map(|row| (row.uid, row.email_id.unwrap())).collect());
    }
    held
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn some<T: Clone>(&mut self, all: &[T]) -> Vec<T> {
        all.iter().filter(|_| self.below(3) == 0).cloned().collect()
    }
}

/// Labels as they are sent and told, and their mailboxes.
const LABELS: [(&str, &str); 5] = [
    ("\\Inbox", "INBOX"),
    ("\\Sent", "Sent"),
    ("Muy-Importante", "Muy-Importante"),
    ("a", "a"),
    ("b/c", "b/c"),
];
const ALL_MAIL: &str = "All Mail";

/// Which emails lie how often in which mailbox, by what was done.
#[derive(Default, PartialEq, Eq, Debug)]
struct Model(BTreeMap<String, BTreeMap<u64, usize>>);

impl Model {
    fn holds(&self, mailbox: &str, email: u64) -> bool {
        self.0.get(mailbox).is_some_and(|emails| emails.contains_key(&email))
    }

    fn add(&mut self, mailbox: &str, email: u64) {
        *self.0.entry(mailbox.to_owned()).or_default().entry(email).or_default() += 1;
    }

    fn take(&mut self, mailbox: &str, email: u64) {
        let emails = self.0.get_mut(mailbox).unwrap();
        let count = emails.get_mut(&email).unwrap();
        *count -= 1;
        if *count == 0 {
            emails.remove(&email);
        }
        self.0.retain(|_, emails| !emails.is_empty());
    }

    fn store(&mut self, sign: &str, emails: &BTreeSet<u64>, named: &[&str]) {
        for &email in emails {
            let labels = LABELS.iter().map(|(_, mailbox)| *mailbox);
            let leaves: Vec<&str> = match sign {
                "+" => Vec::new(),
                "-" => named.to_vec(),
                _ => labels.filter(|mailbox| !named.contains(mailbox)).collect(),
            };
            if sign != "-" {
                for mailbox in named.iter().filter(|mailbox| !self.holds(mailbox, email)).collect::<Vec<_>>()
                {
                    self.add(mailbox, email);
                }
            }
            for mailbox in leaves {
                if let Some(emails) = self.0.get_mut(mailbox) {
                    emails.remove(&email);
                }
            }
            self.0.retain(|_, emails| !emails.is_empty());
            if !self.0.values().any(|emails| emails.contains_key(&email)) {
                self.add(ALL_MAIL, email);
            }
        }
    }

    /// The labels in the order in which they are told.
    fn labels(&self, email: u64) -> String {
        let labels = LABELS.iter().filter(|(_, mailbox)| self.holds(mailbox, email));
        labels.map(|(label, _)| *label).collect::<Vec<_>>().join(" ")
    }

    fn emails(&self) -> BTreeSet<u64> {
        self.0.values().flat_map(BTreeMap::keys).copied().collect()
    }
}

impl From<&BTreeMap<String, Vec<(Uid, u64)>>> for Model {
    fn from(held: &BTreeMap<String, Vec<(Uid, u64)>>) -> Self {
        let mut model = Self::default();
        for (mailbox, emails) in held {
            for (_, email) in emails {
                model.add(mailbox, *email);
            }
        }
        model
    }
}

#[tokio::test]
async fn labels_are_the_mailboxes_that_hold_an_email_and_none_is_lost() {
    let fixture = r#"{"INBOX": {"messages": ["1", "2", "3", "4", "5", "6", "7", "8"]},
        "": {"folders": {"Sent": {"special-use": "\\Sent"}, "a": {}, "b": {"folders": {"c": {}}},
        "Muy-Importante": {}, "All Mail": {"special-use": "\\All"}}}}"#;
    let (server, storage) = serve(fixture, Vec::new());
    let mut client = Client::logged_in(&server).await;
    let mut random = Random(7);
    let mut model = Model::from(&held(&storage).await);
    let names: Vec<&str> = LABELS.iter().map(|(_, mailbox)| *mailbox).chain([ALL_MAIL]).collect();
    for step in 0..2_000 {
        if model.emails().len() < 6 {
            client.ok("p APPEND INBOX {1+}\r\nx").await;
            model = Model::from(&held(&storage).await);
        }
        let before = held(&storage).await;
        let here = names[random.below(names.len())];
        client.ok(&format!("s SELECT \"{here}\"")).await;
        let chosen = random.some(&before[here]);
        if chosen.is_empty() {
            continue;
        }
        let set: UidSet = chosen.iter().map(|(uid, _)| *uid).collect();
        let emails: BTreeSet<u64> = chosen.iter().map(|(_, email)| *email).collect();
        let target = names[random.below(names.len())];
        let command = match random.below(8) {
            0 => {
                for (_, email) in &chosen {
                    model.add(target, *email);
                }
                format!("UID COPY {set} \"{target}\"")
            }
            1 => {
                for (_, email) in &chosen {
                    model.add(target, *email);
                    model.take(here, *email);
                }
                format!("UID MOVE {set} \"{target}\"")
            }
            2 => {
                client.ok(&format!("d UID STORE {set} +FLAGS.SILENT (\\Deleted)")).await;
                for (_, email) in &chosen {
                    model.take(here, *email);
                }
                format!("UID EXPUNGE {set}")
            }
            _ => {
                let labels = random.some(&LABELS);
                let sign = ["+", "-", ""][random.below(3)];
                let silent = ["", ".SILENT"][random.below(2)];
                let words: Vec<&str> = labels.iter().map(|(label, _)| *label).collect();
                model.store(sign, &emails, &labels.iter().map(|(_, mailbox)| *mailbox).collect::<Vec<_>>());
                format!("UID STORE {set} {sign}X-GM-LABELS{silent} ({})", words.join(" "))
            }
        };
        let answer = client.ok(&format!("c {command}")).await;
        let now = held(&storage).await;
        assert_eq!(Model::from(&now), model, "step {step}: {command} in {here}, where there was {before:?}");
        if command.contains("X-GM-LABELS (") {
            for (uid, email) in &chosen {
                let told = format!("FETCH (UID {uid} X-GM-LABELS ({}))", model.labels(*email));
                assert!(
                    answer.iter().any(|line| line.ends_with(&told)),
                    "step {step}: {command}: {answer:?}"
                );
            }
        }
        let told = client.ok("f UID FETCH 1:* X-GM-LABELS").await;
        assert_eq!(told.len(), now[here].len(), "step {step}");
        for (line, (uid, email)) in told.iter().zip(&now[here]) {
            let labels = format!("FETCH (UID {uid} X-GM-LABELS ({}))", model.labels(*email));
            assert!(line.ends_with(&labels), "step {step}: {line}, not {labels}");
        }
    }
}

/// A storage that is slow, counts, fails or lacks something.
#[derive(Clone, Default)]
struct Odd {
    is_slow: bool,
    without: Option<Without>,
    /// The copy that fails.
    fails: Option<usize>,
    asked: Arc<Asked>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Ids,
    LookUp,
}

#[derive(Default)]
struct Asked {
    lists: AtomicUsize,
    places: AtomicUsize,
    copies: AtomicUsize,
}

struct OddStorage {
    odd: Odd,
    below: Arc<dyn Storage>,
}

impl Extension for Odd {
    fn name(&self) -> &'static str {
        "X-ODD"
    }

    fn install(&self, registry: &mut Registry) {
        registry.storage_layer(self.clone());
    }
}

impl StorageLayer for Odd {
    fn wrap(&self, storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
        Arc::new(Layered(OddStorage { odd: self.clone(), below: storage }))
    }
}

#[imapper_core::async_trait]
impl Layer for OddStorage {
    type Below = dyn Storage;

    fn below(&self) -> &Arc<dyn Storage> {
        &self.below
    }

    fn caps(&self) -> imapper_core::storage::Caps {
        let mut caps = self.below.caps();
        caps.object_ids = self.odd.without != Some(Without::Ids);
        caps
    }

    async fn list(&self, account: &AccountId) -> Result<Vec<MailboxInfo>> {
        self.odd.asked.lists.fetch_add(1, Ordering::SeqCst);
        self.below.list(account).await
    }

    async fn copy(&self, from: &Mbox, uids: &UidSet, to: &Mbox, mode: CopyMode) -> Result<Copied> {
        if Some(self.odd.asked.copies.fetch_add(1, Ordering::SeqCst)) == self.odd.fails {
            return Err(StorageError::OverQuota);
        }
        self.below.copy(from, uids, to, mode).await
    }

    fn as_objects(&self) -> Option<&dyn Objects> {
        (self.odd.without != Some(Without::LookUp)).then_some(self as &dyn Objects)
    }
}

#[imapper_core::async_trait]
impl Objects for OddStorage {
    async fn places(&self, account: &AccountId, emails: &[u64]) -> Result<Vec<(u64, MailboxId, Uid)>> {
        self.odd.asked.places.fetch_add(1, Ordering::SeqCst);
        let places = self.below.as_objects().unwrap().places(account, emails).await;
        if self.odd.is_slow {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        places
    }
}

#[tokio::test]
async fn a_storage_is_asked_once_for_many_messages() {
    let messages: Vec<String> =
        (0..600).map(|_| r#"{"raw": "x", "labels": ["a", "b"]}"#.to_owned()).collect();
    let fixture = format!(r#"{{"INBOX": {{"messages": [{}]}}}}"#, messages.join(","));
    let odd = Odd::default();
    let (server, _) = serve(&fixture, vec![Box::new(odd.clone())]);
    let mut client = Client::selected(&server).await;
    let asked = || {
        let count = |counter: &AtomicUsize| counter.swap(0, Ordering::SeqCst);
        (count(&odd.asked.lists), count(&odd.asked.places))
    };
    asked();
    let told = client.ok("a1 FETCH 1:* (X-GM-LABELS X-GM-MSGID)").await;
    assert!(told.len() == 600 && told[599].contains("X-GM-LABELS (\\Inbox a b)"), "{}", told[599]);
    // Batches are of 256.
    assert_eq!(asked(), (1, 3));
    let keys = "X-GM-LABELS a NOT X-GM-LABELS c ".repeat(10);
    let found = client.ok(&format!("a2 SEARCH {keys}X-GM-RAW \"label:b -in:c\"")).await;
    assert_eq!(found[0].split(' ').count(), 602);
    assert_eq!(asked(), (22, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sessions_that_take_the_last_two_labels_do_not_lose_a_message() {
    let odd = Odd { is_slow: true, ..Odd::default() };
    let fixture = r#"{"INBOX": {"messages": [{"raw": "x", "labels": ["a"]}]}}"#;
    let (server, storage) = serve(fixture, vec![Box::new(odd)]);
    let (mut one, mut other) = (Client::logged_in(&server).await, Client::logged_in(&server).await);
    let email = held(&storage).await["INBOX"][0].1;
    for round in 0..20 {
        one.ok("s SELECT INBOX").await;
        other.ok("s SELECT a").await;
        tokio::join!(
            one.ok("a UID STORE 1:* -X-GM-LABELS (\\Inbox)"),
            other.ok("a UID STORE 1:* -X-GM-LABELS (a)")
        );
        let now = held(&storage).await;
        let holders: Vec<&str> = now
            .iter()
            .filter(|(_, emails)| emails.iter().any(|(_, held)| *held == email))
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(holders, [ALL_MAIL], "round {round}");
        one.ok("s SELECT \"All Mail\"").await;
        one.ok("b UID STORE 1:* X-GM-LABELS (\\Inbox a)").await;
        one.ok("c STORE 1:* +FLAGS.SILENT (\\Deleted)").await;
        one.ok("d EXPUNGE").await;
    }
}

#[tokio::test]
async fn where_messages_have_no_ids_it_is_not_there() {
    for without in [Without::Ids, Without::LookUp] {
        let odd = Odd { without: Some(without), ..Odd::default() };
        let (server, storage) = serve(r#"{"INBOX": {"messages": ["x"]}}"#, vec![Box::new(odd)]);
        let mut client = Client::selected(&server).await;
        assert!(!client.capabilities().await.iter().any(|word| word == "X-GM-EXT-1"));
        for command in [
            "a1 FETCH 1 X-GM-MSGID",
            "a1 FETCH 1 X-GM-THRID",
            "a1 FETCH 1 (FLAGS X-GM-LABELS)",
            "a1 STORE 1 +X-GM-LABELS (a)",
            "a1 SEARCH X-GM-MSGID 1",
            "a1 SEARCH X-GM-THRID 1",
            "a1 SEARCH X-GM-LABELS a",
            "a1 SEARCH X-GM-RAW in:a",
        ] {
            let answer = client.run(command).await;
            assert!(answer.len() == 1 && answer[0].starts_with("a1 NO [CANNOT]"), "{command}: {answer:?}");
        }
        assert_eq!(client.ok("a2 SEARCH X-GM-RAW is:unread").await, ["* SEARCH 1"]);
        assert_eq!(held(&storage).await.len(), 1);
    }
}

#[tokio::test]
async fn a_copy_that_fails_takes_the_others_back_and_removes_nothing() {
    let odd = Odd { fails: Some(1), ..Odd::default() };
    let fixture = r#"{"INBOX": {"messages": ["x"]}, "": {"folders": {"a": {}, "b": {}}}}"#;
    let (server, storage) = serve(fixture, vec![Box::new(odd)]);
    let before = Model::from(&held(&storage).await);
    let mut client = Client::selected(&server).await;
    let answer = client.run("a1 STORE 1 X-GM-LABELS (a b)").await.concat();
    assert!(answer.starts_with("a1 NO [OVERQUOTA]"), "{answer}");
    assert_eq!(Model::from(&held(&storage).await), before);
    assert_eq!(client.ok("a2 FETCH 1 X-GM-LABELS").await, ["* 1 FETCH (X-GM-LABELS (\\Inbox))"]);
}

#[tokio::test]
async fn very_many_labels_are_refused_before_any_is_made() {
    let (server, storage) = serve(r#"{"INBOX": {"messages": ["x"]}}"#, Vec::new());
    let mut client = Client::selected(&server).await;
    let labels: Vec<String> = (0..1025).map(|at| format!("l{at}")).collect();
    let answer = client.run(&format!("a1 STORE 1 +X-GM-LABELS ({})", labels.join(" "))).await.concat();
    assert!(answer.starts_with("a1 NO [LIMIT]"), "{answer}");
    assert_eq!(held(&storage).await.len(), 1);
}

/// Rights by the name of the mailbox.
struct ByName;

impl Extension for ByName {
    fn name(&self) -> &'static str {
        "X-BY-NAME"
    }

    fn install(&self, registry: &mut Registry) {
        registry.access(Self);
    }
}

#[imapper_core::async_trait]
impl Access for ByName {
    async fn rights(
        &self,
        _storage: &dyn Storage,
        _identity: &Identity,
        place: &Place,
        _id: Option<&MailboxId>,
    ) -> Result<Rights> {
        Ok(match &*place.name {
            "looked at" => Rights::LOOKUP | Rights::READ,
            "put into" => Rights::LOOKUP | Rights::INSERT,
            "hidden" => Rights::NONE,
            "new" => Rights::MESSAGES,
            _ => Rights::ALL,
        })
    }
}

#[tokio::test]
async fn a_label_takes_the_rights_that_its_mailbox_takes() {
    let fixture = r#"{"INBOX": {"messages": [{"raw": "x", "labels": ["looked at", "hidden", "mine"]}]},
        "": {"folders": {"put into": {}, "looked at too": {}}}}"#;
    let (server, storage) = serve(fixture, vec![Box::new(ByName)]);
    let mut client = Client::selected(&server).await;
    let shown = ["* 1 FETCH (X-GM-LABELS (\\Inbox \"looked at\" mine))"];
    assert_eq!(client.ok("a1 FETCH 1 X-GM-LABELS").await, shown);
    let before = Model::from(&held(&storage).await);
    for command in [
        "a2 STORE 1 -X-GM-LABELS (\"looked at\")",
        "a2 STORE 1 -X-GM-LABELS (hidden mine)",
        "a2 STORE 1 X-GM-LABELS (mine)",
        "a2 STORE 1 +X-GM-LABELS (new)",
        "a2 STORE 1 X-GM-LABELS (\"looked at\" new)",
    ] {
        let answer = client.run(command).await.concat();
        assert!(answer.starts_with("a2 NO [NOPERM]"), "{command}: {answer}");
    }
    assert_eq!(Model::from(&held(&storage).await), before);
    assert_eq!(client.ok("a3 SEARCH OR X-GM-LABELS hidden X-GM-RAW in:hidden").await, ["* SEARCH"]);
    assert_eq!(client.ok("a4 STORE 1 +X-GM-LABELS (\"put into\")").await, shown);
    assert_eq!(held(&storage).await["put into"].len(), 1);
    // What nobody sees is no label, and stays.
    client.ok("a5 STORE 1 X-GM-LABELS (\"looked at\")").await;
    let held = held(&storage).await;
    let count = |name: &str| held[name].len();
    assert_eq!((count("hidden"), count("put into"), count("looked at"), count("mine")), (1, 1, 1, 0));
    assert!(!held.contains_key(ALL_MAIL));
}
