//! Limits of accounts, as clients meet them (RFC 9208).

use std::sync::Arc;

use async_trait::async_trait;
use imapper_core::Server;
use imapper_core::registry::slots::StorageLayer;
use imapper_core::registry::{Extension, Registry};
use imapper_core::server::{BuildError, Builder};
use imapper_core::session::{Access, Namespace, NamespaceKind, Place, Rights};
use imapper_core::storage::{AccountId, MailboxId, Quota, QuotaLimits, Result, Storage};
use imapper_core::users::{AuthError, ConnectionInfo, CredentialKind, Credentials, Identity, Users};
use imapper_storage_memory::{Fixture, Memory};
use imapper_testkit::layer::{Layer, Layered};
use imapper_users_static::Static;

use crate::client::{Client, by_name, server};

const CONNECTIONS: usize = 20;
const EACH: usize = 5;

/// A hundred messages of these sizes come in at once, over twenty connections, in one mailbox or in two. Those
/// that were refused would not have fitted in the end either.
async fn fill(
    limits: &str,
    octets: Option<usize>,
    messages: Option<usize>,
    size: fn(usize) -> usize,
) -> usize {
    let server = server(by_name(&["QUOTA", "QUOTASET", "LITERAL+"], true));
    let mut owner = Client::logged_in(&server).await;
    // What the fixture holds goes first.
    owner.ok("a1 SELECT INBOX").await;
    owner.ok("a2 STORE 1:* +FLAGS (\\Deleted)").await;
    owner.ok("a3 CLOSE").await;
    owner.ok("a4 CREATE other").await;
    owner.ok(&format!("a5 SETQUOTA testuser ({limits})")).await;
    let mut tasks = Vec::new();
    for connection in 0..CONNECTIONS {
        let mut client = Client::logged_in(&server).await;
        tasks.push(tokio::spawn(async move {
            let mut answers = Vec::new();
            for at in 0..EACH {
                let size = size(connection * EACH + at);
                let mailbox = if at % 2 == 0 { "INBOX" } else { "other" };
                let text = "x".repeat(size);
                let command = format!("b{at} APPEND {mailbox} {{{size}+}}\r\n{text}");
                let answer = client.run(&command).await.pop().unwrap();
                let is_in = answer.starts_with(&format!("b{at} OK"));
                assert!(is_in || answer.starts_with(&format!("b{at} NO [OVERQUOTA]")), "{answer}");
                answers.push((size, is_in));
            }
            answers
        }));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.extend(task.await.unwrap());
    }
    let count = answers.iter().filter(|(_, is_in)| *is_in).count();
    let sum: usize = answers.iter().filter(|(_, is_in)| *is_in).map(|(size, _)| size).sum();
    for (size, _) in answers.iter().filter(|(_, is_in)| !is_in) {
        let fits = octets.is_none_or(|most| sum + size <= most) && messages.is_none_or(|most| count < most);
        assert!(!fits, "one of {size} octets was refused, with {sum} octets in {count} messages");
    }
    assert!(octets.is_none_or(|most| sum <= most) && messages.is_none_or(|most| count <= most));
    let used = server.shared().storage.as_quota().unwrap().usage(&AccountId::from("testuser")).await.unwrap();
    assert_eq!((used.octets, used.messages), (sum as u64, count as u64));
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_messages_at_once_fill_it_to_the_last_that_fits() {
    assert_eq!(fill("MESSAGE 37", None, Some(37), |_| 10).await, 37);
    assert_eq!(fill("STORAGE 4", Some(4096), None, |_| 100).await, 40);
    assert_eq!(fill("STORAGE 4 MESSAGE 39", Some(4096), Some(39), |_| 100).await, 39);
    fill("STORAGE 8", Some(8192), None, |at| 1 + at * 37 % 500).await;
    fill("STORAGE 8 MESSAGE 50", Some(8192), Some(50), |at| 1 + at * 37 % 500).await;
    assert_eq!(fill("STORAGE 1024 MESSAGE 1000", None, None, |at| at + 1).await, 100);
}

/// Two users, and mail for everybody that jill owns.
fn shared(memory: &Arc<Memory>) -> Builder {
    let users = Static::builder().plain_password("testuser", "testpass").unwrap().build();
    let mut namespace = Namespace::new(NamespaceKind::Shared, "#team/", '/');
    namespace.accounts = vec![AccountId::from("jill")];
    Server::builder().storage(Arc::<Memory>::clone(memory)).users(Arc::new(users)).namespaces([namespace])
}

fn three() -> Arc<Memory> {
    let fixture = r#"{"INBOX": {"messages": ["1234567890", "1234567890", "1234567890"]}}"#;
    Arc::new(Memory::from_fixture(Fixture::from_json(fixture).unwrap()))
}

#[tokio::test]
async fn what_the_operator_allows_holds_without_any_command_of_quota() {
    let memory = Arc::new(Memory::new());
    let server = shared(&memory).allowance(QuotaLimits::new(Some(15), Some(2)));
    let server = server.extensions(by_name(&["LITERAL+"], true)).build().unwrap();
    let mut client = Client::logged_in(&server).await;
    client.ok("a1 APPEND INBOX {10+}\r\n1234567890").await;
    for (command, answer) in [
        ("a2 APPEND INBOX {6}", "a2 NO [OVERQUOTA]"),
        ("a3 APPEND INBOX {6+}\r\n123456", "a3 NO [OVERQUOTA]"),
        ("a4 APPEND INBOX {5+}\r\n12345", "a4 OK"),
        ("a5 APPEND INBOX {1+}\r\n1", "a5 NO [OVERQUOTA]"),
        ("a6 GETQUOTA testuser", "a6 BAD"),
    ] {
        let last = client.run(command).await.pop().unwrap();
        assert!(last.starts_with(answer), "{command}: {last}");
    }
}

/// RFC 9208 §3: units are of 1,024 octets, and what was told can be set.
#[tokio::test]
async fn a_limit_within_a_unit_can_be_set_as_it_is_told() {
    let server = shared(&Arc::new(Memory::new())).allowance(QuotaLimits::new(Some(1500), None));
    let server = server.extensions(by_name(&["QUOTA", "QUOTASET"], true)).build().unwrap();
    let mut client = Client::logged_in(&server).await;
    for (command, told, answer) in [
        ("a1 GETQUOTA testuser", "(STORAGE 0 2)", "a1 OK"),
        ("a2 SETQUOTA testuser (STORAGE 2)", "(STORAGE 0 2)", "a2 OK"),
        ("a3 SETQUOTA testuser (STORAGE 3)", "(STORAGE 0 2)", "a3 NO [NOPERM]"),
    ] {
        let lines = client.run(command).await;
        assert_eq!(lines[0], format!("* QUOTA testuser {told}"), "{command}");
        assert!(lines[1].starts_with(answer), "{command}: {lines:?}");
    }
    assert!(client.run("a4 APPEND INBOX {1501}").await[0].starts_with("a4 NO [OVERQUOTA]"));
}

#[tokio::test]
async fn the_owner_sets_less_than_the_operator_allows_and_no_more() {
    let memory = Arc::new(Memory::new());
    let server = shared(&memory).allowance(QuotaLimits::new(Some(2048), Some(20)));
    let server = server.extensions(by_name(&["QUOTA", "QUOTASET"], true)).build().unwrap();
    let mut client = Client::logged_in(&server).await;
    for (command, told, answer) in [
        ("a1 SETQUOTA testuser (STORAGE 1)", "(STORAGE 0 1 MESSAGE 0 20)", "a1 OK"),
        ("a2 SETQUOTA testuser (STORAGE 3)", "(STORAGE 0 1 MESSAGE 0 20)", "a2 NO [NOPERM]"),
        ("a3 SETQUOTA testuser (STORAGE 1 MESSAGE 21)", "(STORAGE 0 1 MESSAGE 0 20)", "a3 NO [NOPERM]"),
        ("a4 SETQUOTA testuser (STORAGE 2 MESSAGE 19)", "(STORAGE 0 2 MESSAGE 0 19)", "a4 OK"),
        ("a5 SETQUOTA testuser ()", "(STORAGE 0 2 MESSAGE 0 20)", "a5 OK"),
    ] {
        let lines = client.run(command).await;
        assert_eq!(lines[0], format!("* QUOTA testuser {told}"), "{command}");
        assert!(lines[1].starts_with(answer), "{command}: {lines:?}");
    }
}

#[tokio::test]
async fn what_goes_to_another_account_needs_room_there() {
    let (memory, jill) = (three(), AccountId::from("jill"));
    let server = shared(&memory);
    let server = server.extensions(by_name(&["QUOTA", "MOVE"], true)).build().unwrap();
    // As many as jill's INBOX begins with, and one more.
    memory.allow(Some(&jill), QuotaLimits::new(None, Some(4)));
    memory.allow(Some(&AccountId::from("testuser")), QuotaLimits::new(None, Some(3)));
    let mut client = Client::selected(&server).await;
    for command in ["a1 MOVE 1:2 #team/INBOX", "a2 COPY 1:2 #team/INBOX"] {
        let lines = client.run(command).await;
        assert!(lines.len() == 1 && lines[0].contains("NO [OVERQUOTA]"), "{lines:?}");
    }
    assert_eq!(client.ok("a3 STATUS #team/INBOX (MESSAGES)").await, ["* STATUS #team/INBOX (MESSAGES 3)"]);
    client.ok("a4 MOVE 2 #team/INBOX").await;
    let told = client.ok("a5 GETQUOTAROOT #team/INBOX").await;
    assert_eq!(told, ["* QUOTAROOT #team/INBOX jill", "* QUOTA jill (MESSAGE 4 4)"]);
    let used = memory.usage(&AccountId::from("testuser")).await.unwrap();
    assert_eq!((used.octets, used.messages), (20, 2));
}

/// A storage that enforces nothing.
struct Bare(Arc<dyn Storage>);

impl Layer for Bare {
    type Below = dyn Storage;

    fn below(&self) -> &Arc<dyn Storage> {
        &self.0
    }

    fn as_quota(&self) -> Option<&dyn Quota> {
        None
    }
}

struct Unlimited;

impl Extension for Unlimited {
    fn name(&self) -> &'static str {
        "X-UNLIMITED"
    }

    fn install(&self, registry: &mut Registry) {
        registry.storage_layer(Self);
    }
}

impl StorageLayer for Unlimited {
    fn wrap(&self, storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
        Arc::new(Layered(Bare(storage)))
    }
}

#[tokio::test]
async fn a_storage_that_enforces_nothing_has_nothing_announced() {
    let extensions = || {
        let mut extensions = by_name(&["QUOTA", "QUOTASET", "LITERAL+"], true);
        extensions.push(Box::new(Unlimited) as Box<dyn Extension>);
        extensions
    };
    let mut client = Client::logged_in(&server(extensions())).await;
    let words = client.capabilities().await;
    assert!(!words.iter().any(|word| word.starts_with("QUOTA")), "{words:?}");
    for command in ["a1 GETQUOTA testuser", "a2 GETQUOTAROOT INBOX", "a3 SETQUOTA testuser ()"] {
        assert!(client.run(command).await.concat().contains(" BAD "), "{command}");
    }
    client.ok("a4 APPEND INBOX {1+}\r\nx").await;
    let limited =
        shared(&three()).allowance(QuotaLimits::new(None, Some(9))).extensions(extensions()).build();
    assert!(matches!(limited, Err(BuildError::NoQuota)));
}

/// Gives everybody these rights, everywhere.
struct Grant(Rights);

#[async_trait]
impl Access for Grant {
    async fn rights(
        &self,
        _: &dyn Storage,
        _: &Identity,
        _: &Place,
        _: Option<&MailboxId>,
    ) -> Result<Rights> {
        Ok(self.0)
    }
}

#[tokio::test]
async fn rights_that_are_needed() {
    for (rights, asked, set) in [
        (Rights::LOOKUP | Rights::INSERT, "NO [NOPERM]", "NO [NOPERM]"),
        (Rights::INSERT, "NO [NONEXISTENT]", "NO [NOPERM]"),
        (Rights::READ, "OK", "NO [NOPERM]"),
        (Rights::READ | Rights::ADMINISTER, "OK", "OK"),
    ] {
        let server = shared(&three()).extensions(by_name(&["QUOTA", "QUOTASET"], true));
        let mut client = Client::logged_in(&server.access(Arc::new(Grant(rights))).build().unwrap()).await;
        for (command, answer) in [
            ("a1 GETQUOTAROOT #team/INBOX", asked),
            ("a1 GETQUOTAROOT INBOX", asked),
            ("a1 GETQUOTA testuser", "OK"),
            ("a1 GETQUOTA jill", if asked == "OK" { "OK" } else { "NO [NONEXISTENT]" }),
            ("a1 SETQUOTA testuser ()", set),
            ("a1 SETQUOTA jill ()", if asked == "OK" { "NO [NOPERM]" } else { "NO [NONEXISTENT]" }),
        ] {
            let last = client.run(command).await.pop().unwrap();
            assert!(last.starts_with(&format!("a1 {answer}")), "{rights:?} {command}: {last}");
        }
    }
}

/// Everybody is nobody in particular.
struct Anonymous;

#[async_trait]
impl Users for Anonymous {
    fn kinds(&self) -> &[CredentialKind] {
        &[CredentialKind::Password]
    }

    async fn authenticate(
        &self,
        _: &Credentials,
        _: &ConnectionInfo,
    ) -> std::result::Result<Identity, AuthError> {
        let mut identity = Identity::new("anonymous");
        identity.anonymous = true;
        Ok(identity)
    }
}

#[tokio::test]
async fn anonymous_users_are_told_nothing() {
    let mut namespace = Namespace::new(NamespaceKind::Shared, "#team/", '/');
    namespace.accounts = vec![AccountId::from("jill")];
    namespace.anonymous = true;
    let server = Server::builder().storage(three()).users(Arc::new(Anonymous)).namespaces([namespace]);
    let server = server.extensions(by_name(&["QUOTA", "QUOTASET"], true)).build().unwrap();
    let mut client = Client::logged_in(&server).await;
    client.ok("a1 STATUS #team/INBOX (MESSAGES)").await;
    for command in [
        "a1 GETQUOTA jill",
        "a1 GETQUOTA anonymous",
        "a1 GETQUOTAROOT #team/INBOX",
        "a1 SETQUOTA anonymous (STORAGE 0)",
    ] {
        let lines = client.run(command).await;
        assert!(lines.len() == 1 && lines[0].starts_with("a1 NO [NOPERM]"), "{command}: {lines:?}");
    }
}

#[tokio::test]
async fn accounts_that_nobody_has_do_not_come_into_being() {
    let memory = three();
    let others = Namespace::new(NamespaceKind::OtherUsers, "user/", '/');
    let server = shared(&memory).namespaces([others]);
    let server = server.extensions(by_name(&["QUOTA", "QUOTASET"], true)).build().unwrap();
    let mut client = Client::logged_in(&server).await;
    for command in ["a1 GETQUOTA nobody", "a1 SETQUOTA nobody ()", "a1 GETQUOTAROOT user/nobody"] {
        assert!(client.run(command).await.concat().starts_with("a1 NO [NONEXISTENT]"), "{command}");
    }
    let dump = memory.dump_all(imapper_storage_memory::Dump::default()).unwrap();
    assert!(dump.get("testuser").is_none() && dump.get("nobody").is_none(), "{dump}");
}
