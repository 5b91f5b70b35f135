//! Messages that come in, or do not: literals that go by instead of being held in memory.

use std::sync::Arc;
use std::time::Duration;

use imapper_core::Server;
use imapper_core::limits::Limits;
use imapper_extensions::find;
use imapper_storage_memory::Memory;
use imapper_users_static::Static;
use tokio::time::sleep;

use crate::client::{Client, LOCAL, by_name, server};

#[tokio::test(start_paused = true)]
async fn a_message_before_login_does_not_put_off_the_end() {
    let mut client = Client::greeted(&server(by_name(&["LITERAL+"], true)), LOCAL).await;
    client.send("a1 APPEND INBOX {100+}\r\n").await;
    for _ in 0..5 {
        client.send("x").await;
        sleep(Duration::from_secs(11)).await;
    }
    assert!(client.line().await.starts_with("a1 BAD "));
    sleep(Duration::from_secs(6)).await;
    assert!(client.has_ended().await, "a minute is over, and nobody has logged in");
}

#[tokio::test]
async fn octets_of_a_literal_too_many_are_no_commands() {
    let mut limits = Limits::default();
    limits.literal_count = 1;
    let users = Static::builder().plain_password("testuser", "testpass").unwrap().build();
    let builder = Server::builder().storage(Arc::new(Memory::new())).users(Arc::new(users)).limits(limits);
    let literals = find("LITERAL+").unwrap().extension(&imapper_extensions::Options::new(true));
    let server = builder.extensions([literals]).build().unwrap();
    let mut client = Client::logged_in(&server).await;
    client.send("a1 APPEND INBOX {1+}\r\nx {22+}\r\nrest\r\na2 CREATE Trap\r\n\r\na3 NOOP\r\n").await;
    let mut lines = Vec::new();
    loop {
        let line = client.line().await;
        if line.is_empty() || line.starts_with("a3") {
            break;
        }
        lines.push(line);
    }
    assert!(!lines.iter().any(|line| line.starts_with("a2")), "{lines:?}");
}
