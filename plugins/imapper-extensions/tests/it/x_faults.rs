//! Faults on demand, over pipes: what comes, when, and in what pieces.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use imapper_core::{Extension, Server, TlsMode};
use imapper_extensions::Faults;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::client::{Client, LOCAL, by_name, certificate, server};

/// A server that may fail, and what says when.
fn faulty() -> (Server, Faults) {
    let faults = Faults::default();
    let mut extensions = by_name(&["XTOYBIRD", "IDLE", "LITERAL+"], true);
    extensions.push(Box::new(faults.clone()) as Box<dyn Extension>);
    (server(extensions), faults)
}

/// What is read in one go, each time, up to the tagged reply.
async fn pieces(stream: &mut DuplexStream, command: &str) -> Vec<Vec<u8>> {
    stream.write_all(format!("x {command}\r\n").as_bytes()).await.unwrap();
    let (mut pieces, mut all, mut room) = (Vec::new(), Vec::new(), [0; 1024]);
    while !String::from_utf8_lossy(&all).contains("x OK ") || !all.ends_with(b"\r\n") {
        let read = stream.read(&mut room).await.unwrap();
        assert!(read > 0, "it ended: {}", String::from_utf8_lossy(&all));
        pieces.push(room[..read].to_vec());
        all.extend_from_slice(&room[..read]);
    }
    pieces
}

#[tokio::test]
async fn split_sends_each_octet_of_answers_and_bodies_by_itself() {
    let (server, faults) = faulty();
    let mut stream = Client::selected(&server).await.into_stream();
    let whole = pieces(&mut stream, "FETCH 1 (UID BODY.PEEK[])").await;
    assert!(whole.len() < 5, "{whole:?}");
    faults.split();
    let split = pieces(&mut stream, "FETCH 1 (UID BODY.PEEK[])").await;
    assert!(split.iter().all(|piece| piece.len() == 1), "{split:?}");
    assert_eq!(split.concat(), whole.concat());
    faults.clear();
    assert!(pieces(&mut stream, "NOOP").await.len() < 5);
}

#[tokio::test]
async fn drop_sends_so_many_octets_and_not_one_more() {
    let (server, faults) = faulty();
    let mut open = Client::selected(&server).await;
    for count in [0, 1, 10, 24] {
        faults.drop_after(count);
        // One that is open already, and a new one.
        let mut old = open.into_stream();
        old.write_all(b"a2 FETCH 1 (BODY.PEEK[])\r\na3 NOOP\r\n").await.unwrap();
        let new = Client::connect(&server, LOCAL);
        for mut stream in [old, new.into_stream()] {
            let mut got = Vec::new();
            stream.read_to_end(&mut got).await.unwrap();
            assert_eq!(got.len() as u64, count, "{}", String::from_utf8_lossy(&got));
            assert!(got.starts_with(b"* ") || count < 2);
        }
        faults.clear();
        open = Client::selected(&server).await;
    }
}

#[tokio::test]
async fn drop_is_in_the_midst_of_a_streamed_body_too_and_once_is_once() {
    const SIZE: usize = 300_000;
    let (server, faults) = faulty();
    let mut client = Client::selected(&server).await;
    client.ok(&format!("a1 APPEND INBOX {{{SIZE}+}}\r\n{}", "x".repeat(SIZE))).await;
    faults.drop_once_after(200_000);
    let mut stream = client.into_stream();
    stream.write_all(b"a2 FETCH 4 BODY.PEEK[]\r\n").await.unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert_eq!(got.len(), 200_000);
    let mut again = Client::selected(&server).await;
    let whole: usize = again.ok("a2 FETCH 4 BODY.PEEK[]").await.iter().map(String::len).sum();
    assert!(whole > SIZE);
}

#[tokio::test(start_paused = true)]
async fn delay_is_that_of_each_answer_and_of_nobody_else() {
    let (server, faults) = faulty();
    let mut control = Client::logged_in(&server).await;
    control.ok("c1 XTOYBIRD FAULT DELAY 15000").await;
    let before = Instant::now();
    let mut client = Client::greeted(&server, LOCAL).await;
    client.ok("a1 LOGIN testuser testpass").await;
    client.ok("a2 SELECT INBOX").await;
    assert_eq!(before.elapsed().as_secs(), 45);
    faults.delay(Duration::from_secs(5)).unwrap();
    let before = Instant::now();
    // What comes together waits together.
    client.send("a3 NOOP\r\na4 NOOP\r\n").await;
    let other = Client::selected(&server);
    let answers = async {
        client.line().await;
        client.line().await
    };
    let (last, other) = tokio::join!(answers, other);
    assert!(last.starts_with("a4 OK"), "{last}");
    assert_eq!(before.elapsed().as_secs(), 15, "the greeting, LOGIN and SELECT of the other");
    drop(other);
    // What waits is let go at once.
    faults.delay(Duration::from_mins(5)).unwrap();
    client.send("a5 NOOP\r\n").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = Instant::now();
    control.ok("c2 XTOYBIRD FAULT CLEAR").await;
    assert!(client.line().await.starts_with("a5 OK"));
    assert!(before.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn delay_is_once_before_a_large_body_and_before_what_idle_tells() {
    let (server, faults) = faulty();
    let (mut idle, mut other) = (Client::selected(&server).await, Client::selected(&server).await);
    idle.send("a1 IDLE\r\n").await;
    assert_eq!(idle.line().await, "+ idling");
    faults.delay(Duration::from_secs(7)).unwrap();
    let before = Instant::now();
    other.ok(&format!("b1 APPEND INBOX {{500000+}}\r\n{}", "x".repeat(500_000))).await;
    assert_eq!(idle.line().await, "* 4 EXISTS");
    assert_eq!(before.elapsed().as_secs(), 7);
    let before = Instant::now();
    other.ok("b2 FETCH 4 BODY.PEEK[]").await;
    assert_eq!(before.elapsed().as_secs(), 7);
}

#[tokio::test]
async fn the_nth_such_command_is_answered_as_told_and_not_run() {
    let (server, faults) = faulty();
    let (mut first, mut second) = (Client::selected(&server).await, Client::selected(&server).await);
    faults.answer("APPEND", 2, "NO [OVERQUOTA] no room").unwrap();
    faults.answer("APPEND", 3, "bad").unwrap();
    faults.answer("uid store", 1, "BAD [CLIENTBUG] not so").unwrap();
    first.ok("a1 APPEND INBOX {1+}\r\nx").await;
    // The literal of the second one goes by unread, with what looks like a command in it.
    let refused = second.run("b1 APPEND INBOX {16+}\r\nb1 OK x\r\nb2 NOOP").await;
    assert_eq!(refused, ["* 4 EXISTS", "* 0 RECENT", "b1 NO [OVERQUOTA] no room"]);
    // One that is still held back is never asked for.
    assert_eq!(first.run("a2 APPEND INBOX {1}").await, ["a2 BAD told to fail"]);
    first.ok("a3 STORE 1 +FLAGS (\\Flagged)").await;
    assert_eq!(first.run("a4 UID STORE 2 +FLAGS (\\Flagged)").await, ["a4 BAD [CLIENTBUG] not so"]);
    assert_eq!(first.ok("a5 STATUS INBOX (MESSAGES)").await, ["* STATUS INBOX (MESSAGES 4)"]);
    assert_eq!(first.ok("a6 SEARCH FLAGGED").await, ["* SEARCH 1"]);
    // They are used up.
    first.ok("a7 APPEND INBOX {1+}\r\nx").await;
    second.ok("b3 UID STORE 2 +FLAGS (\\Flagged)").await;
}

#[tokio::test]
async fn who_sets_faults_is_spared_and_so_are_they_that_come_later_when_it_is_over() {
    let (server, _) = faulty();
    let mut control = Client::selected(&server).await;
    for fault in ["DROP 0", "SPLIT", "DELAY 60000", "ANSWER NOOP 1 NO", "ANSWER NOOP 1 \"NO x\""] {
        control.ok(&format!("a1 XTOYBIRD FAULT {fault}")).await;
    }
    control.ok("a2 NOOP").await;
    control.ok("a3 XTOYBIRD FAULT DELAY 0").await;
    assert!(Client::connect(&server, LOCAL).has_ended().await);
    control.ok("a4 XTOYBIRD FAULT CLEAR").await;
    Client::selected(&server).await.ok("b1 NOOP").await;
}

/// Notes the size of each record of TLS that comes.
struct Records {
    stream: DuplexStream,
    sizes: Arc<std::sync::Mutex<Vec<usize>>>,
    head: Vec<u8>,
    left: usize,
}

impl AsyncRead for Records {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        for octet in &buf.filled()[before..] {
            if self.left > 0 {
                self.left -= 1;
                continue;
            }
            self.head.push(*octet);
            if let [_, _, _, high, low] = self.head[..] {
                self.left = usize::from(u16::from_be_bytes([high, low]));
                self.sizes.lock().unwrap().push(self.left);
                self.head.clear();
            }
        }
        read
    }
}

impl AsyncWrite for Records {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn inside_of_tls_octets_are_split_and_counted_and_the_end_is_none_of_tls() {
    for starttls in [false, true] {
        let (server_config, client_config) = certificate();
        let faults = Faults::default();
        let users = imapper_users_static::Static::builder().build();
        let server = Server::builder()
            .storage(Arc::new(imapper_storage_memory::Memory::new()))
            .users(Arc::new(users))
            .extension(faults.clone())
            .extensions(by_name(&["STARTTLS"], true))
            .tls(Arc::new(server_config))
            .build()
            .unwrap();
        let stream = if starttls {
            let mut client = Client::greeted(&server, LOCAL).await;
            client.ok("s STARTTLS").await;
            client.into_stream()
        } else {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            tokio::spawn(async move { server.serve(theirs, LOCAL, TlsMode::Implicit).await });
            ours
        };
        let sizes = Arc::<std::sync::Mutex<Vec<usize>>>::default();
        let records = Records { stream, sizes: Arc::clone(&sizes), head: Vec::new(), left: 0 };
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(client_config)).connect(name, records).await.unwrap();
        let mut client = Client::over(stream);
        if !starttls {
            assert!(client.line().await.starts_with("* OK"));
        }
        client.ok("a1 NOOP").await;
        sizes.lock().unwrap().clear();
        faults.split();
        faults.drop_after(30);
        // 22 octets, and 8 of the next answer.
        client.ok("a2 NOOP").await;
        client.send("a3 NOOP\r\n").await;
        let mut rest = Vec::new();
        let error = client.rest(&mut rest).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "a close_notify came");
        assert_eq!(rest, b"a3 OK NO");
        let sizes = sizes.lock().unwrap();
        // TLS 1.3: the octet, its type, and a tag of 16 octets.
        assert_eq!(*sizes, vec![1 + 1 + 16; 30]);
    }
}
