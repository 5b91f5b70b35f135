//! What the examples show.

use imapper_core::Extension;

use crate::client::{Client, LOCAL, server};
use crate::silent::Silent;
use crate::wrapped_list::WrappedList;
use crate::xauth::Xauth;
use crate::xecho::Xecho;
use crate::xnote::Xnote;
use crate::xsum::Xsum;

async fn client(extension: impl Extension + 'static) -> Client {
    Client::greeted(&server(vec![Box::new(extension)]), LOCAL).await
}

#[tokio::test]
async fn xsum_adds_up_its_arguments() {
    let mut client = client(Xsum).await;
    assert!(client.capabilities().await.contains(&"XSUM".to_owned()));
    assert_eq!(client.run("a1 XSUM 1 2 3 4 5").await, ["* XSUM 15", "a1 OK XSUM completed"]);
    assert_eq!(client.run("a2 xsum").await, ["* XSUM 0", "a2 OK XSUM completed"]);
    for command in ["a3 XSUM x", "a3 XSUM 1  2", "a3 XSUM -1", "a3 XSUM 99999999999999999999"] {
        assert!(client.run(command).await.concat().starts_with("a3 BAD "), "{command}");
    }
    let too_large = format!("a4 XSUM{}", " 9223372036854775807".repeat(3));
    assert_eq!(client.run(&too_large).await, ["a4 BAD the sum is too large"]);
    client.ok("a5 LOGIN testuser testpass").await;
    assert_eq!(client.ok("a6 XSUM 40 2").await, ["* XSUM 42"]);
}

#[tokio::test]
async fn xauth_is_shown_until_somebody_has_logged_in() {
    let mut client = client(Xauth).await;
    assert!(client.capabilities().await.contains(&"XAUTH".to_owned()));
    client.ok("a1 LOGIN testuser testpass").await;
    assert!(!client.capabilities().await.contains(&"XAUTH".to_owned()));
}

#[tokio::test]
async fn a_wrapped_list_still_lists() {
    let mut client = client(WrappedList).await;
    assert!(client.run("a1 LIST \"\" %").await.concat().starts_with("a1 BAD "));
    client.ok("a2 LOGIN testuser testpass").await;
    for count in 1..=2 {
        let lines = client.ok("a3 LIST \"\" %").await;
        assert_eq!(lines[0], format!("* OK this server has been asked {count} times for a LIST"));
        assert_eq!(lines[1..], ["* LIST () \"/\" INBOX"]);
    }
}

#[tokio::test]
async fn nothing_untagged_comes_through_the_filter() {
    let mut client = Client::connect(&server(vec![Box::new(Silent)]), LOCAL);
    assert_eq!(client.run("a1 CAPABILITY").await, ["a1 OK CAPABILITY completed"]);
    client.ok("a2 LOGIN testuser testpass").await;
    let select = client.run("a3 SELECT INBOX").await;
    assert!(select.len() == 1 && select[0].starts_with("a3 OK "), "{select:?}");
}

#[tokio::test]
async fn xecho_has_the_input_until_a_dot() {
    let mut client = client(Xecho).await;
    assert_eq!(client.run("a1 XECHO").await, ["+ go on"]);
    client.send("hello, \"world\"\r\na2 NOOP\r\n").await;
    assert_eq!(client.line().await, r#"* XECHO "hello, \"world\"""#);
    assert_eq!(client.line().await, "* XECHO \"a2 NOOP\"");
    client.send("\r\n").await;
    assert_eq!(client.line().await, "* XECHO \"\"");
    client.send(".\r\na3 NOOP\r\n").await;
    assert_eq!(client.line().await, "a1 OK XECHO completed");
    assert_eq!(client.line().await, "a3 OK NOOP completed");
}

#[tokio::test]
async fn xnote_adds_a_message_that_every_session_sees() {
    let server = server(vec![Box::new(Xnote)]);
    let (mut client, mut other) = (Client::selected(&server).await, Client::selected(&server).await);
    let lines = client.ok("a1 XNOTE \"buy milk\"").await;
    assert!(lines.contains(&"* 4 EXISTS".to_owned()), "{lines:?}");
    let lines = other.ok("b1 NOOP").await;
    assert!(lines.contains(&"* 4 EXISTS".to_owned()), "{lines:?}");
    let lines = other.ok("b2 FETCH 4 (RFC822.SIZE ENVELOPE)").await.concat();
    assert!(lines.contains("RFC822.SIZE 21") && lines.contains("\"buy milk\""), "{lines}");
    assert!(client.run("a2 XNOTE \"a\tb\"").await.concat().starts_with("a2 NO [CANNOT]"));
    assert!(client.run("a3 XNOTE").await.concat().starts_with("a3 BAD "));
}
