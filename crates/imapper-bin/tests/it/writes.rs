//! How many writes answers take: each is a system call, and without care a packet.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use imapper_core::TlsMode;
use imapper_core::limits::Limits;
use imapper_core::storage::Storage;
use imapper_storage_memory::{Fixture, Memory};
use tokio::io::{AsyncRead, AsyncWrite, BufReader, DuplexStream, ReadBuf};

use crate::inside::{Inside, PipeClient};

/// A pipe that counts what is written to it.
struct Counted {
    pipe: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.pipe).poll_write(cx, octets);
        if written.is_ready() {
            self.writes.fetch_add(1, Ordering::SeqCst);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

/// A client with the mailbox open, and the writes of its server so far.
async fn counted(messages: usize) -> (PipeClient, Arc<AtomicUsize>) {
    counted_within(messages, Limits::default()).await
}

async fn counted_within(messages: usize, limits: Limits) -> (PipeClient, Arc<AtomicUsize>) {
    let message = r#"{"raw": "Subject: x\r\n\r\nx"}"#;
    let fixture = format!(r#"{{"INBOX": {{"messages": [{}]}}}}"#, vec![message; messages].join(","));
    let storage: Arc<dyn Storage> = Arc::new(Memory::from_fixture(Fixture::from_json(&fixture).unwrap()));
    let server = Inside::with(storage, Vec::new(), limits).0;
    let (ours, pipe) = tokio::io::duplex(1024 * 1024);
    let writes = Arc::new(AtomicUsize::new(0));
    let theirs = Counted { pipe, writes: Arc::clone(&writes) };
    tokio::spawn(async move { server.serve(theirs, None, TlsMode::None).await });
    let mut client = PipeClient(BufReader::new(ours));
    client.line().await;
    assert!(client.ask("a LOGIN john s3cret").await.contains("a OK"));
    assert!(client.ask("b SELECT INBOX").await.contains("b OK"));
    writes.store(0, Ordering::SeqCst);
    (client, writes)
}

#[tokio::test]
async fn an_answer_of_many_lines_is_one_write() {
    let (mut client, writes) = counted(1000).await;
    let answer = client.ask("c FETCH 1:* (FLAGS)").await;
    assert_eq!(answer.lines().count(), 1001);
    assert_eq!(writes.swap(0, Ordering::SeqCst), 1);
    client.ask("d NOOP").await;
    assert_eq!(writes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn commands_that_come_together_are_answered_together() {
    let (mut client, writes) = counted(10).await;
    let batch = "p FETCH 1:* (UID FLAGS)\r\n".repeat(12);
    client.send(format!("{batch}last NOOP\r\n")).await;
    let answer = client.until("last ").await;
    assert_eq!(answer.lines().count(), 12 * 11 + 1, "{answer}");
    assert_eq!(writes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_more_commands_are_answered_together_than_allowed() {
    let mut limits = Limits::default();
    limits.pipelined = 4;
    let (mut client, writes) = counted_within(1, limits).await;
    for commands in [3, 5, 12, 13_usize] {
        let batch = "p NOOP\r\n".repeat(commands - 1);
        client.send(format!("{batch}last NOOP\r\n")).await;
        let answer = client.until("last ").await;
        assert_eq!(answer.lines().count(), commands, "{answer}");
        // What came before them may count as one.
        let wanted = commands.div_ceil(4)..=commands.div_ceil(3);
        let found = writes.swap(0, Ordering::SeqCst);
        assert!(wanted.contains(&found), "{commands} commands: {found} writes, not {wanted:?}");
    }
}

#[tokio::test]
async fn a_small_body_leaves_with_the_rest_of_its_answer() {
    let (mut client, writes) = counted(100).await;
    let answer = client.ask("c FETCH 1:* (UID BODY.PEEK[])").await;
    assert!(answer.contains("* 100 FETCH") && answer.contains("c OK"));
    assert_eq!(writes.load(Ordering::SeqCst), 1);
}
