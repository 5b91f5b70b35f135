//! A message of 50 MB goes through the server without being held in memory.
//!
//! The measurement needs a process of its own: the test starts this binary once more, with only the test below
//! that is ignored otherwise.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use imapper_core::storage::{
    AccountId, Appended, ByteStream, MailboxId, Mbox, NewMessage, Result, RowStream, Staged, Storage,
    StorageError, Want,
};
use imapper_core::types::{BodyRef, Uid, UidSet};
use imapper_core::{Bytes, async_trait};
use imapper_storage_memory::Memory;
use imapper_testkit::layer::{Layer, Layered};
use tokio::io::AsyncReadExt as _;

use crate::inside::{Inside, PipeClient};
use crate::program::Folder;

/// Octets of the message.
const SIZE: usize = 50_000_000;
/// What the server may take for it, in octets of resident memory.
const BUDGET: u64 = 40 * 1024 * 1024;
/// How much is sent and read at once.
const PIECE: usize = 64 * 1024;
/// A line of base64, as an attachment has it.
const LINE: &[u8] = b"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\r\n";

/// Bodies in files; the memory storage below keeps only their names.
struct OnDisk {
    memory: Arc<Memory>,
    folder: Folder,
    staged: Mutex<HashMap<Bytes, File>>,
    kept: Mutex<HashMap<(MailboxId, Uid), File>>,
    files: AtomicU64,
    read: Arc<AtomicU64>,
}

#[derive(Clone)]
struct File {
    number: u64,
    size: u64,
}

impl OnDisk {
    fn new(read: &Arc<AtomicU64>) -> Self {
        Self {
            memory: Arc::new(Memory::new()),
            folder: Folder::new(),
            staged: Mutex::default(),
            kept: Mutex::default(),
            files: AtomicU64::new(0),
            read: Arc::clone(read),
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.path().join(number.to_string())
    }
}

#[async_trait]
impl Layer for OnDisk {
    type Below = Memory;

    fn below(&self) -> &Arc<Memory> {
        &self.memory
    }

    async fn stage(&self, account: &AccountId, _: Option<u64>, mut body: ByteStream) -> Result<Staged> {
        use std::io::Write as _;
        let mut taken = File { number: self.files.fetch_add(1, Ordering::Relaxed), size: 0 };
        let mut file = std::fs::File::create(self.path(taken.number)).unwrap();
        while let Some(octets) = body.try_next().await? {
            taken.size += octets.len() as u64;
            file.write_all(&octets).unwrap();
        }
        let name = Bytes::from(taken.number.to_string());
        let mut staged = self.memory.stage(account, None, stream::iter([Ok(name)]).boxed()).await?;
        staged.size = taken.size;
        self.staged.lock().unwrap().insert(staged.token.clone(), taken);
        Ok(staged)
    }

    async fn append(&self, mbox: &Mbox, messages: Vec<NewMessage>) -> Result<Appended> {
        let tokens: Vec<Bytes> = messages.iter().map(|message| message.staged.token.clone()).collect();
        let appended = self.memory.append(mbox, messages).await?;
        for (token, uid) in tokens.iter().zip(&appended.uids) {
            let file = self.staged.lock().unwrap().remove(token).ok_or(StorageError::Gone)?;
            self.kept.lock().unwrap().insert((mbox.id.clone(), *uid), file);
        }
        Ok(appended)
    }

    async fn rows(&self, mbox: &Mbox, uids: &UidSet, want: Want) -> Result<RowStream> {
        let kept = self.kept.lock().unwrap().clone();
        let id = mbox.id.clone();
        let rows = self.memory.rows(mbox, uids, want).await?;
        Ok(rows
            .map_ok(move |mut rows| {
                for row in &mut rows {
                    let file = &kept[&(id.clone(), row.uid)];
                    row.size = file.size;
                    row.body = row.body.take().map(|_| BodyRef(file.number.to_string().into()));
                }
                rows
            })
            .boxed())
    }

    async fn read(&self, body: &BodyRef, range: Range<u64>) -> Result<ByteStream> {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let number: u64 = std::str::from_utf8(&body.0).unwrap().parse().unwrap();
        let mut file = std::fs::File::open(self.path(number)).unwrap();
        file.seek(SeekFrom::Start(range.start)).unwrap();
        let file = file.take(range.end.saturating_sub(range.start));
        let read = Arc::clone(&self.read);
        Ok(stream::unfold(file, move |mut file| {
            let mut piece = vec![0; PIECE];
            let length = file.read(&mut piece).unwrap();
            piece.truncate(length);
            read.fetch_add(length as u64, Ordering::Relaxed);
            async move { (length > 0).then(|| (Ok(Bytes::from(piece)), file)) }
        })
        .boxed())
    }
}

/// Resident memory in octets: now (`VmRSS`) or at the most (`VmHWM`).
fn memory(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Begins to measure: what is resident now, with the highest value reset where the system allows that.
fn begin() -> u64 {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    memory("VmRSS")
}

/// A message with a small text and a large attachment.
fn head() -> Vec<u8> {
    let mut head = b"From: john@example.com\r\nSubject: large\r\nMIME-Version: 1.0\r\n".to_vec();
    head.extend(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nSee below.\r\n--b\r\n");
    head.extend(b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    head
}

const END: &[u8] = b"\r\n--b--\r\n";

async fn append(client: &mut PipeClient) {
    client.send(format!("a APPEND INBOX {{{SIZE}}}\r\n")).await;
    assert!(client.line().await.starts_with("+ "));
    let head = head();
    let mut left = SIZE - head.len() - END.len();
    client.send(head).await;
    let lines: Vec<u8> = LINE.repeat(PIECE / LINE.len());
    while left > 0 {
        let piece = &lines[..left.min(lines.len())];
        client.send(piece).await;
        left -= piece.len();
    }
    client.send([END, b"\r\n"].concat()).await;
    let answer = client.until("a ").await;
    assert!(answer.contains("a OK"), "{answer}");
}

/// Fetches, and gives how many octets of literals came.
async fn fetch(client: &mut PipeClient, item: &str) -> usize {
    client.send(format!("f FETCH 1 {item}\r\n")).await;
    let first = client.line().await;
    let size = first.rsplit_once('{').and_then(|(_, size)| size.strip_suffix("}\r\n")?.parse::<usize>().ok());
    let size = size.unwrap_or_default();
    let mut piece = vec![0; PIECE];
    let mut left = size;
    while left > 0 {
        let length = left.min(piece.len());
        client.0.read_exact(&mut piece[..length]).await.unwrap();
        left -= length;
    }
    let answer = client.until("f ").await;
    assert!(answer.contains("f OK"), "{first}{answer}");
    size
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a process of its own: started by the test below"]
async fn alone() {
    let read = Arc::new(AtomicU64::new(0));
    let reads = || read.swap(0, Ordering::Relaxed);
    let server = Inside::new(Arc::new(Layered(OnDisk::new(&read))));
    let mut client = server.selected().await;

    let before = begin();
    append(&mut client).await;
    let more = memory("VmHWM").saturating_sub(before);
    println!("APPEND: {} KiB more", more / 1024);
    assert!(more < BUDGET, "APPEND took {more} octets");
    reads();

    let answer = client.ask("n FETCH 1 (RFC822.SIZE BODYSTRUCTURE ENVELOPE)").await;
    assert!(answer.contains(&format!("RFC822.SIZE {SIZE}")), "{answer}");
    assert_eq!(reads(), 0, "what the parse of a message holds needs no body");

    let before = begin();
    assert_eq!(fetch(&mut client, "BODY.PEEK[]").await, SIZE);
    let more = memory("VmHWM").saturating_sub(before);
    println!("FETCH: {} KiB more", more / 1024);
    assert!(more < BUDGET, "FETCH took {more} octets");
    assert_eq!(reads(), SIZE as u64);

    assert_eq!(fetch(&mut client, "BODY.PEEK[]<0.65536>").await, 65_536);
    assert_eq!(reads(), 65_536);
    assert_eq!(fetch(&mut client, "BODY.PEEK[]<49999990.65536>").await, 10);
    assert_eq!(reads(), 10);
    assert_eq!(fetch(&mut client, "BODY.PEEK[2]<1000000.100>").await, 100);
    assert_eq!(reads(), 100);
    assert!(client.ask("t FETCH 1 BODY.PEEK[1]").await.contains("See below."));
    assert_eq!(reads(), "See below.".len() as u64);
}

#[test]
fn fifty_megabytes_are_not_held_in_memory() {
    let this = std::env::current_exe().unwrap();
    let ran =
        Command::new(this).args(["--exact", "large::alone", "--ignored", "--nocapture"]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    println!("{said}");
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("1 passed"), "the test was not found: {said}");
}
