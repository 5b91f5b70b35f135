//! The server to throw away: what its builder says holds.

use imapper_bin::TestServer;

use crate::client::Client;

/// The answers to commands of a client that blocks.
async fn answers(server: &TestServer, commands: &'static [&'static str]) -> Vec<String> {
    let address = server.address();
    let talk = move || {
        let mut client = Client::connect(address);
        commands.iter().map(|command| client.ask(command)).collect()
    };
    tokio::task::spawn_blocking(talk).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_said_is_the_throw_away_user_and_all_standard_extensions() {
    let server = TestServer::builder().start().await.unwrap();
    let seen =
        answers(&server, &["a LOGIN testuser testpass", "b CAPABILITY", "c STATUS INBOX (MESSAGES)"]).await;
    assert!(seen[0].contains("a OK"), "{seen:?}");
    assert!(seen[1].contains(" IDLE") && seen[1].contains(" UIDPLUS"), "{seen:?}");
    assert!(seen[2].contains("(MESSAGES 0)"), "{seen:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fixture_plugins_users_and_limits_are_chosen() {
    let server = TestServer::builder()
        .fixture(r#"{"INBOX": {"messages": ["Subject: hello\r\n\r\nWorld!"]}}"#)
        .plugins(["ID"])
        .user("jill", "s3cret")
        .user("john", "other")
        .limit("mailbox_name", 5)
        .start()
        .await
        .unwrap();
    let seen = answers(
        &server,
        &[
            "a LOGIN testuser testpass",
            "b LOGIN jill s3cret",
            "c CAPABILITY",
            "d STATUS INBOX (MESSAGES)",
            "e CREATE abcdef",
        ],
    )
    .await;
    assert!(seen[0].contains("a NO"), "{seen:?}");
    assert!(seen[1].contains("b OK"), "{seen:?}");
    assert!(seen[2].contains("* CAPABILITY IMAP4rev1 ID\r\n"), "{seen:?}");
    assert!(seen[3].contains("(MESSAGES 1)"), "{seen:?}");
    assert!(seen[4].contains("e NO [LIMIT]"), "{seen:?}");
    let disabled = TestServer::builder().disable(["IDLE"]).start().await.unwrap();
    let seen = answers(&disabled, &["a CAPABILITY"]).await;
    assert!(!seen[0].contains(" IDLE") && seen[0].contains(" ID "), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_xtoybird_writes_down_another_server_begins_with() {
    const DUMP: &[&str] = &["a XTOYBIRD STORAGE"];
    const CHANGE: &[&str] = &["a LOGIN testuser testpass", "b CREATE New", "c SELECT INBOX", "d COPY 1 New"];
    let dump = |answers: Vec<String>| {
        let (_, rest) = answers[0].split_once("* XTOYBIRD [XJSONDUMP] {").unwrap();
        let (size, rest) = rest.split_once("}\r\n").unwrap();
        rest[..size.parse().unwrap()].to_owned()
    };
    let fixture =
        r##"{"INBOX": {"messages": ["Subject: hello\r\n\r\nWorld!"]}, "#news.": {"type": "shared"}}"##;
    let server = TestServer::builder().fixture(fixture).plugins(["XTOYBIRD"]).start().await.unwrap();
    assert!(answers(&server, CHANGE).await[3].contains("d OK"));
    let first = dump(answers(&server, DUMP).await);
    assert!(first.contains("World!") && first.contains("\"New\""), "{first}");
    let again = TestServer::builder().fixture(&first).plugins(["XTOYBIRD"]).start().await.unwrap();
    assert_eq!(dump(answers(&again, DUMP).await), first);
}

#[tokio::test]
async fn what_a_configuration_would_not_take_is_an_error() {
    assert!(TestServer::builder().fixture("{").start().await.is_err());
    assert!(TestServer::builder().fixture(r#"{"INBOX": {"mesages": []}}"#).start().await.is_err());
    assert!(TestServer::builder().plugins(["NONSENSE"]).start().await.is_err());
    assert!(TestServer::builder().limit("nonsense", 1).start().await.is_err());
}
