//! `cargo xtask bench idle`: memory of a session that waits, and how soon it is told of a new message.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::client::{Client, tls};
use super::server::Server;
use crate::Result;

const MESSAGES: usize = 1_000;
const LISTENERS: usize = 20;
const ROUNDS: usize = 200;
const MESSAGE: &str = "Subject: news\r\n\r\nThere is something new.\r\n";

/// Measures with so many sessions.
pub(super) fn idle(sessions: usize) -> Result {
    println!("{sessions} sessions that wait on a mailbox of {MESSAGES} messages:");
    for secured in [false, true] {
        let server = Server::start(MESSAGES)?;
        let config = tls()?;
        let (address, config) = if secured { (server.tls, Some(&config)) } else { (server.plain, None) };
        let connect = || waiting(Client::connect(address, config)?);
        // What the first one costs is the mailbox, not a session.
        let _first = connect()?;
        let before = server.resident()?;
        let all: Vec<Client> = (0..sessions).map(|_| connect()).collect::<Result<_>>()?;
        let after = server.resident()?;
        let count = u64::try_from(sessions).map_err(|error| error.to_string())?.max(1);
        let each = after.saturating_sub(before) / count;
        let mode = if secured { "with TLS" } else { "in clear" };
        println!("  memory of a session {mode}: {}.{} KiB", each / 1024, (each % 1024) * 10 / 1024);
        drop(all);
    }
    latency()
}

fn waiting(mut client: Client) -> Result<Client> {
    client.command("LOGIN testuser testpass")?;
    client.command("SELECT INBOX")?;
    client.send("y IDLE\r\n")?;
    client.until("+ ")?;
    Ok(client)
}

/// From the OK of an APPEND to the EXISTS of each listener.
fn latency() -> Result {
    let server = Server::start(MESSAGES)?;
    let (told, heard) = mpsc::channel::<Result<Instant>>();
    for _ in 0..LISTENERS {
        let (mut listener, told) = (waiting(Client::connect(server.plain, None)?)?, told.clone());
        thread::spawn(move || {
            for _ in 0..ROUNDS {
                let seen = listener.until("EXISTS").map(|()| Instant::now());
                if told.send(seen).is_err() {
                    return;
                }
            }
        });
    }
    let mut writer = Client::connect(server.plain, None)?;
    writer.command("LOGIN testuser testpass")?;
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..ROUNDS {
        writer.send(&format!("x APPEND INBOX {{{}+}}\r\n{MESSAGE}\r\n", MESSAGE.len()))?;
        writer.until("x OK")?;
        let answered = Instant::now();
        for _ in 0..LISTENERS {
            let seen = heard.recv().map_err(|error| error.to_string())??;
            // Some hear of it before the writer has its OK.
            times.push(seen.saturating_duration_since(answered));
        }
    }
    times.sort_unstable();
    let at = |percent: usize| {
        times.get(times.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
    };
    println!("from the OK of an APPEND to the EXISTS of {LISTENERS} listeners, {ROUNDS} times:");
    println!("  p50 {:?}, p99 {:?}", at(50), at(99));
    Ok(())
}
