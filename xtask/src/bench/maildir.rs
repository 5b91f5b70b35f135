//! `cargo xtask bench maildir`: what a large folder costs, beside a small one, and mail that others deliver.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::client::Client;
use super::server::Server;
use crate::Result;
use crate::run;

/// Octets of a message.
const SIZE: usize = 2 * 1024;
const SMALL: usize = 1_000;
const ROUNDS: usize = 200;
const WRITERS: usize = 8;
const APPENDED: usize = 250;
const IDLERS: usize = 20;
const DROPPED: usize = 10_000;

/// Measures with so many messages in the large folder.
pub(super) fn maildir(count: usize) -> Result {
    // Sizes in the names spare the first opening a look into each file.
    for (names, with_sizes) in [("sizes in the names", true), ("no sizes in the names", false)] {
        for count in [SMALL, count] {
            println!("{count} messages of {SIZE} octets, {names}:");
            folder(count, with_sizes)?;
        }
    }
    println!("{WRITERS} writers in one mailbox:");
    writers()?;
    println!("{DROPPED} files that another program delivers:");
    delivered()
}

fn folder(count: usize, with_sizes: bool) -> Result {
    let mut server = Server::maildir(|inbox| fill(inbox, count, with_sizes))?;
    let (client, took) = open(&server)?;
    println!("  first opening: {took:?}");
    drop(client);
    server.restart()?;
    let (mut client, took) = open(&server)?;
    println!("  opening after a restart: {took:?}");
    for (what, command) in [
        ("SELECT", "SELECT INBOX"),
        ("FETCH 1:* (FLAGS)", "FETCH 1:* (FLAGS)"),
        ("FETCH 1:* (UID RFC822.SIZE)", "FETCH 1:* (UID RFC822.SIZE)"),
    ] {
        let start = Instant::now();
        client.command(command)?;
        println!("  {what}: {:?}", start.elapsed());
    }
    println!("  memory of the server: {} MiB", server.resident()? / 1024 / 1024);
    let message = message(0);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        append(&mut client, &message)?;
        times.push(start.elapsed());
    }
    told("one APPEND", times);
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        // Spread over the folder, each another message.
        let number = 1 + round * (count / ROUNDS);
        let start = Instant::now();
        client.command(&format!("STORE {number} +FLAGS.SILENT (\\Flagged)"))?;
        times.push(start.elapsed());
    }
    told("one STORE", times);
    Ok(())
}

/// A session that has opened the folder, and how long that took.
fn open(server: &Server) -> Result<(Client, Duration)> {
    let mut client = Client::connect_for(server.plain, None, Duration::from_mins(10))?;
    client.command("LOGIN testuser testpass")?;
    let start = Instant::now();
    client.command("SELECT INBOX")?;
    Ok((client, start.elapsed()))
}

fn append(client: &mut Client, message: &str) -> Result {
    client.send(&format!("x APPEND INBOX {{{}+}}\r\n{message}\r\n", message.len()))?;
    client.until("x OK")
}

fn told(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    println!("  {what}, {} times: median {:?}, p99 {:?}", times.len(), at(50), at(99));
}

fn writers() -> Result {
    let server = Server::maildir(|_| Ok(()))?;
    let begin = Arc::new(Barrier::new(WRITERS + 1));
    let (done, all) = mpsc::channel::<Result>();
    for number in 0..WRITERS {
        let (mut client, begin, done) = (open(&server)?.0, Arc::clone(&begin), done.clone());
        thread::spawn(move || {
            let message = message(number);
            begin.wait();
            let appended = (0..APPENDED).try_for_each(|_| append(&mut client, &message));
            let _ = done.send(appended);
        });
    }
    begin.wait();
    let start = Instant::now();
    for _ in 0..WRITERS {
        all.recv().map_err(|error| error.to_string())??;
    }
    let took = start.elapsed();
    let count = u32::try_from(WRITERS * APPENDED).map_err(|error| error.to_string())?;
    println!("  {:.0} APPEND a second ({count} in {took:?})", f64::from(count) / took.as_secs_f64());
    Ok(())
}

/// From the beginning of a delivery until all that idle have been told of all.
fn delivered() -> Result {
    let server = Server::maildir(|_| Ok(()))?;
    let _first = open(&server)?;
    let inbox = server.inbox();
    for number in 0..DROPPED {
        write(
            &inbox.join(format!("tmp/{}.M{number}P1.bench.drop", 1_700_000_000 + number)),
            &message(number),
        )?;
    }
    let (told, heard) = mpsc::channel::<Result<Instant>>();
    for _ in 0..IDLERS {
        let (mut client, told) = (open(&server)?.0, told.clone());
        client.send("y IDLE\r\n")?;
        client.until("+ ")?;
        thread::spawn(move || {
            let seen = client.until(&format!("* {DROPPED} EXISTS")).map(|()| Instant::now());
            let _ = told.send(seen);
        });
    }
    let mut mv = Command::new("find");
    mv.arg(inbox.join("tmp")).args(["-name", "*.drop", "-exec", "mv", "-t"]).arg(inbox.join("new"));
    mv.args(["{}", "+"]).stdin(Stdio::null());
    let start = Instant::now();
    run::run(mv)?;
    println!("  moved into new/: {:?}", start.elapsed());
    let mut last = start;
    for _ in 0..IDLERS {
        last = last.max(heard.recv().map_err(|error| error.to_string())??);
    }
    println!("  from the first until all {IDLERS} that idle have seen all: {:?}", last.duration_since(start));
    Ok(())
}

/// Puts messages into `cur/`, as if they had long been there.
fn fill(inbox: &Path, count: usize, with_sizes: bool) -> Result {
    for number in 0..count {
        let message = message(number);
        let mut name = format!("{}.M{number}P1.bench", 1_600_000_000 + number);
        if with_sizes {
            // Lines end in CR LF in the file too: both sizes are the same.
            name = format!("{name},S={0},W={0}", message.len());
        }
        write(&inbox.join("cur").join(name + ":2,S"), &message)?;
    }
    Ok(())
}

fn message(number: usize) -> String {
    let mut message = format!(
        "From: sender{number}@example.com\r\nTo: testuser@example.com\r\nSubject: message {number}\r\n\
         Date: Mon, 01 Jan 2024 10:00:00 +0000\r\nMessage-ID: <{number}@example.com>\r\n\r\n"
    );
    while message.len() < SIZE - 64 {
        message.push_str("A line of the text, as long as lines of a letter are.\r\n");
    }
    message
}

fn write(path: &Path, text: &str) -> Result {
    File::create(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))
}
