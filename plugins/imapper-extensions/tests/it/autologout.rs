//! When a client has been silent for too long (RFC 3501 §5.4). The clock of these tests stands still but for the waits.

use std::time::Duration;

use tokio::time::sleep;

use crate::client::{Client, by_name, server};

/// The RFC grants half an hour at least: this is a second less, and a second more.
const NEARLY: Duration = Duration::from_secs(30 * 60 - 1);
const OVER: Duration = Duration::from_secs(30 * 60 + 1);

/// Sees that the connection ends now, with a word.
async fn ends(client: &mut Client) {
    let bye = client.line().await;
    assert!(bye.starts_with("* BYE "), "{bye}");
    assert_eq!(client.line().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_client_has_half_an_hour_and_is_told_when_it_is_over() {
    let mut client = Client::selected(&server(Vec::new())).await;
    sleep(NEARLY).await;
    client.ok("a1 NOOP").await;
    sleep(OVER).await;
    ends(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn any_command_begins_the_time_anew() {
    let mut client = Client::selected(&server(Vec::new())).await;
    for (command, status) in [
        ("a1 NOOP", "a1 OK "),
        ("a2 FETCH 1 FLAGS", "a2 OK "),
        ("a3 CAPABILITY", "a3 OK "),
        ("a4 SELECT Missing", "a4 NO "),
        ("a5 XUNKNOWN", "a5 BAD "),
    ] {
        sleep(NEARLY).await;
        let answer = client.run(command).await.pop().unwrap();
        assert!(answer.starts_with(status), "{answer}");
    }
    sleep(OVER).await;
    ends(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn idle_lasts_as_long() {
    let mut client = Client::selected(&server(by_name(&["IDLE"], true))).await;
    assert_eq!(client.run("a1 IDLE").await, ["+ idling"]);
    sleep(NEARLY).await;
    client.send("DONE\r\n").await;
    assert!(client.line().await.starts_with("a1 OK "));
    assert_eq!(client.run("a2 IDLE").await, ["+ idling"]);
    sleep(OVER).await;
    ends(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_is_not_silent() {
    const LINES: usize = 40;
    let mut client = Client::selected(&server(Vec::new())).await;
    // More than fits between client and server, so that FETCH lasts as long as the client reads.
    let message = format!("\r\n{}", format!("{}\r\n", "x".repeat(10 * 1024)).repeat(LINES));
    assert!(client.run(&format!("a1 APPEND INBOX {{{}}}", message.len())).await.concat().starts_with('+'));
    client.send(&message).await;
    client.send("\r\n").await;
    while !client.line().await.starts_with("a1 OK ") {}
    client.send("a2 FETCH 4 BODY.PEEK[TEXT]\r\n").await;
    for _ in 0..LINES {
        assert!(!client.line().await.is_empty());
        sleep(Duration::from_mins(1)).await;
    }
    while !client.line().await.starts_with("a2 OK ") {}
    client.ok("a3 NOOP").await;
}
