//! `[quota]`, and what the static users say beside it.

use imapper_bin::{Configuration, Server, TestServer, builtin};
use imapper_core::Address;
use imapper_core::storage::Quota;
use imapper_storage_memory::Memory;
use imapper_testkit::layer::{Layer, Layered};
use std::sync::Arc;

use crate::client::Client;

fn configuration(users: &str) -> Configuration {
    let hash = bcrypt::hash("s3cret", 4).unwrap();
    Configuration::from_toml(format!(
        r#"
        [[listener]]
        address = "127.0.0.1:0"
        tls = "none"
        [storage]
        plugin = "memory"
        [quota]
        storage = "2 KiB"
        messages = 3
        [users]
        plugin = "static"
        accounts = {{ john = "{hash}", jill = "{hash}" }}
        {users}
        "#
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_accounts_have_limits_and_single_users_have_others() {
    let users = "quota_storage = { jill = \"5 KiB\" }\nquota_messages = { jill = 1 }";
    let server = Server::start(builtin(), configuration(users)).await.unwrap();
    let Some(Address::Tcp(address)) = server.addresses().next() else { panic!("it does not listen") };
    for (user, limits) in [("john", "(STORAGE 0 2 MESSAGE 0 3)"), ("jill", "(STORAGE 0 5 MESSAGE 0 1)")] {
        let mut client = Client::connect(*address);
        assert!(client.ask(&format!("a LOGIN {user} s3cret")).contains("a OK"));
        let answer = client.ask("b GETQUOTAROOT INBOX");
        assert!(answer.contains(&format!("* QUOTA {user} {limits}\r\n")), "{answer}");
        assert!(client.ask("c APPEND INBOX {5121}").starts_with("c NO [OVERQUOTA]"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_single_users_hold_before_they_log_in() {
    let server = Server::start(builtin(), configuration("quota_messages = { jill = 1 }")).await.unwrap();
    let quota = server.core().shared().storage.as_quota().unwrap();
    for (user, messages) in [("john", 3), ("jill", 1)] {
        let usage = quota.usage(&user.into()).await.unwrap();
        assert_eq!(usage.limits.messages, Some(messages), "{user}");
    }
}

#[tokio::test]
async fn limits_of_nobody_are_an_error() {
    for (users, want) in [
        ("quota_storage = { bob = \"5 KiB\" }", "limits are given for `bob`, but there is no such user"),
        ("quota_messages = { john = \"many\" }", "`quota_messages` must be a number, 0 or above"),
    ] {
        let error = Server::start(builtin(), configuration(users)).await.err().unwrap().to_string();
        assert!(error.contains(want), "{error}");
    }
}

/// A storage that enforces nothing.
struct Bare(Arc<Memory>);

impl Layer for Bare {
    type Below = Memory;

    fn below(&self) -> &Arc<Memory> {
        &self.0
    }

    fn as_quota(&self) -> Option<&dyn Quota> {
        None
    }
}

#[tokio::test]
async fn a_storage_that_can_not_enforce_them_is_an_error() {
    let bare = builtin().storage("memory", |_| async { Ok(Layered(Bare(Arc::new(Memory::new())))) });
    let error = Server::start(bare, configuration("")).await.err().unwrap().to_string();
    assert!(error.contains("storage plugin \"memory\" can't enforce [quota]"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_to_throw_away_has_limits_too() {
    let server = TestServer::builder().quota("messages", 0).start().await.unwrap();
    let mut client = Client::connect(server.address());
    client.ask("a LOGIN testuser testpass");
    assert!(client.ask("b APPEND INBOX {1}").starts_with("b NO [OVERQUOTA]"));
    assert!(TestServer::builder().quota("nonsense", 1).start().await.is_err());
}
