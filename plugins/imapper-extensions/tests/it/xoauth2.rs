//! What wire scripts can't show of XOAUTH2: where it is announced, other machines, what is logged.

use std::sync::{Arc, Mutex};

use imapper_core::Server;
use imapper_core::limits::Limits;
use imapper_core::server::Builder;
use imapper_storage_memory::Memory;
use imapper_users_static::Static;

use crate::client::{Client, LOCAL, REMOTE, by_name, server};

/// `user=testuser^Aauth=Bearer testtoken^A^A`
const RIGHT: &str = "dXNlcj10ZXN0dXNlcgFhdXRoPUJlYXJlciB0ZXN0dG9rZW4BAQ==";
/// `user=testuser^Aauth=Bearer wr0ng^A^A`
const WRONG: &str = "dXNlcj10ZXN0dXNlcgFhdXRoPUJlYXJlciB3cjBuZwEB";

fn with_token(names: &[&str]) -> Builder {
    let users = Static::builder().token("testuser", "testtoken").unwrap().build();
    let builder = Server::builder().storage(Arc::new(Memory::new())).users(Arc::new(users));
    builder.extensions(by_name(names, true))
}

#[tokio::test]
async fn without_tokens_it_is_not_there() {
    let mut client = Client::greeted(&server(by_name(&["AUTH=XOAUTH2", "SASL-IR"], true)), LOCAL).await;
    assert!(!client.capabilities().await.contains(&"AUTH=XOAUTH2".to_owned()));
    let answer = client.run(&format!("a1 AUTHENTICATE XOAUTH2 {RIGHT}")).await;
    assert_eq!(answer, ["a1 NO there is no such mechanism"]);
}

#[tokio::test]
async fn without_tls_a_token_is_held_back_as_a_password_is() {
    let server = with_token(&["AUTH=XOAUTH2", "SASL-IR", "LOGINDISABLED"]).build().unwrap();
    let mut client = Client::greeted(&server, REMOTE).await;
    assert!(!client.capabilities().await.contains(&"AUTH=XOAUTH2".to_owned()));
    let answer = client.run(&format!("a1 AUTHENTICATE XOAUTH2 {RIGHT}")).await.concat();
    assert!(answer.starts_with("a1 NO [PRIVACYREQUIRED]"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_after_the_challenge_has_guessed_too() {
    let mut limits = Limits::default();
    limits.failed_logins_per_minute = 2;
    let server = with_token(&["AUTH=XOAUTH2", "SASL-IR"]).limits(limits).build().unwrap();
    for _ in 0..2 {
        let mut client = Client::greeted(&server, REMOTE).await;
        let answer = client.run(&format!("a1 AUTHENTICATE XOAUTH2 {WRONG}")).await.concat();
        assert!(answer.starts_with("+ ey"), "{answer}");
    }
    let mut client = Client::greeted(&server, REMOTE).await;
    let answer = client.run(&format!("a1 AUTHENTICATE XOAUTH2 {RIGHT}")).await.concat();
    assert!(answer.starts_with("+ ey"), "{answer}");
}

#[tokio::test]
async fn the_traffic_shows_no_token() {
    let shown = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&shown);
    let traffic = move |_, _, line: &str| kept.lock().unwrap().push_str(line);
    let server = with_token(&["AUTH=XOAUTH2", "SASL-IR"]).traffic(Arc::new(traffic)).build().unwrap();
    let mut client = Client::greeted(&server, LOCAL).await;
    assert!(client.run(&format!("a1 AUTHENTICATE XOAUTH2 {WRONG}")).await.concat().starts_with('+'));
    client.send("\r\n").await;
    assert!(client.line().await.starts_with("a1 NO"));
    assert_eq!(client.run("a2 AUTHENTICATE XOAUTH2").await, ["+ "]);
    client.send(&format!("{RIGHT}\r\n")).await;
    assert!(client.line().await.starts_with("a2 OK"));
    let shown = shown.lock().unwrap();
    assert!(shown.contains("AUTHENTICATE XOAUTH2"));
    for secret in ["testtoken", "wr0ng", RIGHT, WRONG] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
