//! A client's author makes a `TestServer` fail.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use imapper_bin::{Faults, TestServer};
use imapper_core::TlsMode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::Client;

const FIXTURE: &str = r#"{"INBOX": {"messages": ["Subject: hello\r\n\r\nWorld!"]}}"#;

/// What a client that blocks sees of a server that fails.
async fn talk(server: &TestServer, client: impl FnOnce(SocketAddr, &Faults) + Send + 'static) {
    let (address, faults) = (server.address(), server.faults().clone());
    tokio::task::spawn_blocking(move || client(address, &faults)).await.unwrap();
}

/// All that comes by itself.
fn read_all(address: SocketAddr) -> String {
    let mut all = String::new();
    TcpStream::connect(address).unwrap().read_to_string(&mut all).unwrap();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_lost_after_so_many_octets() {
    let server = TestServer::start(FIXTURE).await.unwrap();
    talk(&server, |address, faults| {
        let mut client = Client::connect(address);
        faults.drop_after(10);
        client.send("a LOGIN testuser testpass");
        assert_eq!(client.rest(), "a OK [CAPA");
        assert_eq!(read_all(address), "* OK [CAPA");
        faults.drop_once_after(0);
        assert_eq!(read_all(address), "");
        Client::connect(address);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_late() {
    const DELAY: Duration = Duration::from_millis(300);
    let server = TestServer::start(FIXTURE).await.unwrap();
    talk(&server, |address, faults| {
        let mut client = Client::connect(address);
        faults.delay(DELAY).unwrap();
        let start = Instant::now();
        assert!(client.ask("a NOOP").contains("a OK"));
        assert!(start.elapsed() >= DELAY, "{:?}", start.elapsed());
        faults.clear();
        assert!(client.ask("b NOOP").contains("b OK"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_does_not_wait_for_late_answers() {
    let server = TestServer::start(FIXTURE).await.unwrap();
    let (sent, was_sent) = std::sync::mpsc::channel();
    let (address, faults) = (server.address(), server.faults().clone());
    let start = Instant::now();
    let client = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(address);
        faults.delay(Duration::from_mins(5)).unwrap();
        client.send("a NOOP");
        sent.send(()).unwrap();
        client.rest()
    });
    tokio::task::spawn_blocking(move || was_sent.recv().unwrap()).await.unwrap();
    server.stop().await;
    // It may not have been read when the server was stopped.
    let rest = client.await.unwrap();
    assert!(rest.starts_with("a OK") || rest.starts_with("* BYE"), "{rest}");
    assert!(start.elapsed() < Duration::from_mins(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nth_such_command_is_answered_no_or_bad() {
    let server = TestServer::start(FIXTURE).await.unwrap();
    talk(&server, |address, faults| {
        faults.answer("SELECT", 2, "NO [INUSE] come back later").unwrap();
        faults.answer("UID FETCH", 1, "BAD").unwrap();
        let mut client = Client::connect(address);
        client.ask("a LOGIN testuser testpass");
        assert!(client.ask("b SELECT INBOX").contains("b OK"));
        assert_eq!(client.ask("c SELECT INBOX"), "c NO [INUSE] come back later\r\n");
        // It was not run: the mailbox is still open.
        assert!(client.ask("d FETCH 1 UID").contains("d OK"));
        assert_eq!(client.ask("e UID FETCH 1 UID"), "e BAD told to fail\r\n");
        assert!(client.ask("f SELECT INBOX").contains("f OK"));
    })
    .await;
}

/// Over a pipe: a system's sockets may put octets together for a reader that is slow.
#[tokio::test]
async fn octets_come_one_by_one() {
    const COMMANDS: &[u8] =
        b"a LOGIN testuser testpass\r\nb SELECT INBOX\r\nc FETCH 1 BODY[]\r\nd LOGOUT\r\n";
    let server = TestServer::start(FIXTURE).await.unwrap();
    server.faults().split();
    let (mut near, far) = tokio::io::duplex(1024);
    let core = server.core().clone();
    tokio::spawn(async move { core.serve(far, None, TlsMode::None).await });
    near.write_all(COMMANDS).await.unwrap();
    let (mut all, mut room) = (Vec::new(), [0; 1024]);
    loop {
        match near.read(&mut room).await.unwrap() {
            0 => break,
            read => assert_eq!(read, 1),
        }
        all.push(room[0]);
    }
    let all = String::from_utf8(all).unwrap();
    assert!(all.contains("\r\n\r\nWorld!") && all.contains("d OK"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_wire_and_at_hand_they_are_the_same() {
    let server = TestServer::builder().fixture(FIXTURE).plugins(["XTOYBIRD"]).start().await.unwrap();
    talk(&server, |address, faults| {
        let mut client = Client::connect(address);
        assert!(client.ask("a XTOYBIRD FAULT DROP 0").contains("a OK"));
        assert_eq!(read_all(address), "");
        faults.clear();
        Client::connect(address);
        assert!(client.ask("b NOOP").contains("b OK"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_ask_for_faults_sees_none() {
    let server = TestServer::builder().builtin(imapper_bin::builtin()).plugins(["ID", "X-FAULTS"]).start();
    let server = server.await.unwrap();
    talk(&server, |address, _| {
        let mut client = Client::connect(address);
        assert!(client.ask("a CAPABILITY").contains("* CAPABILITY IMAP4rev1 ID\r\n"));
        assert!(client.ask("b XTOYBIRD FAULT CLEAR").contains("b BAD"));
    })
    .await;
}
