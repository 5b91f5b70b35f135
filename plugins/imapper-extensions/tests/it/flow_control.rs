//! A client that does not read (RFC 3501 §5.3). What stands between client and server takes 64 KiB.

use std::time::Duration;

use tokio::time::sleep;

use crate::client::{Client, server};

/// Much more than fits between client and server.
const COUNT: usize = 40;
const SIZE: usize = 256 * 1024;

/// A client that has asked for one large message many times, and has read nothing of it.
async fn greedy() -> (Client, Client) {
    let server = server(Vec::new());
    let (mut greedy, mut other) = (Client::selected(&server).await, Client::selected(&server).await);
    assert!(other.run(&format!("b1 APPEND INBOX {{{SIZE}}}")).await.concat().starts_with('+'));
    other.send(&format!("\r\n{}\r\n", "x".repeat(SIZE - 2))).await;
    while !other.line().await.starts_with("b1 OK ") {}
    assert!(greedy.ok("a0 NOOP").await.contains(&"* 4 EXISTS".to_owned()));
    for _ in 0..COUNT {
        greedy.send("a1 FETCH 4 BODY.PEEK[TEXT]\r\n").await;
    }
    (greedy, other)
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_back_nobody_and_loses_nothing() {
    let (mut greedy, mut other) = greedy().await;
    // One thread serves both: if the server were to wait in a write, this would never be answered.
    for _ in 0..10 {
        other.ok("b2 FETCH 1:3 FLAGS").await;
    }
    for _ in 0..COUNT {
        let mut octets = 0;
        loop {
            let line = greedy.line().await;
            if line.starts_with("a1 ") {
                assert!(line.starts_with("a1 OK "), "{line}");
                break;
            }
            octets += line.matches('x').count();
        }
        assert_eq!(octets, SIZE - 2);
    }
    greedy.ok("a2 NOOP").await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_let_go() {
    let (mut greedy, mut other) = greedy().await;
    sleep(Duration::from_mins(6)).await;
    let mut got = 0;
    loop {
        let line = greedy.line().await;
        got += usize::from(line.starts_with("a1 OK "));
        if line.is_empty() && greedy.has_ended().await {
            break;
        }
    }
    assert!(got < COUNT, "all was sent to a client that did not read");
    other.ok("b2 NOOP").await;
}
