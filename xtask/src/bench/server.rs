//! The release build of the command, with a mailbox to measure on.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::Result;
use crate::run;

/// Passwords are hashed at the lowest cost, so that logins are not what is measured.
const PASSWORD_HASH: &str = "$2b$04$VenCN0/MMzxIeBEH2/wax.mjw4kstctNhRI28WX/lo7trABdAEwXq";

/// From the folder of the server to the mail.
const INBOX: &str = "mail/testuser";

/// A running server. It is killed when dropped.
pub(super) struct Server {
    child: Child,
    folder: Folder,
    /// The listener without TLS.
    pub(super) plain: SocketAddr,
    /// The listener with TLS from the first octet.
    pub(super) tls: SocketAddr,
}

impl Server {
    /// Builds it, and starts it with so many messages in INBOX, in memory.
    pub(super) fn start(messages: usize) -> Result<Self> {
        build()?;
        let folder = Folder::new()?;
        write(&folder.0.join("mail.json"), &mailbox(messages))?;
        write(&folder.0.join("imapper.toml"), &configuration("plugin = \"memory\"\nfile = \"mail.json\""))?;
        Self::launch(folder)
    }

    /// Builds it, and starts it with a Maildir that has been filled before.
    pub(super) fn maildir(fill: impl FnOnce(&Path) -> Result) -> Result<Self> {
        build()?;
        let folder = Folder::new()?;
        let inbox = folder.0.join(INBOX);
        for part in ["cur", "new", "tmp"] {
            let part = inbox.join(part);
            std::fs::create_dir_all(&part).map_err(|error| format!("{}: {error}", part.display()))?;
        }
        fill(&inbox)?;
        let storage = "plugin = \"maildir\"\npath = \"mail/{user}\"";
        write(&folder.0.join("imapper.toml"), &configuration(storage))?;
        Self::launch(folder)
    }

    /// Where the messages of a Maildir lie.
    pub(super) fn inbox(&self) -> PathBuf {
        self.folder.0.join(INBOX)
    }

    /// Has it end as it does on a system that is shut down, and starts it again.
    pub(super) fn restart(&mut self) -> Result {
        run::run(run::program("kill", &["-s", "TERM", &self.child.id().to_string()]))?;
        self.child.wait().map_err(|error| error.to_string())?;
        (self.child, self.plain, self.tls) = spawn(&self.folder)?;
        Ok(())
    }

    fn launch(folder: Folder) -> Result<Self> {
        let (child, plain, tls) = spawn(&folder)?;
        Ok(Self { child, folder, plain, tls })
    }

    /// Its resident memory, in octets.
    pub(super) fn resident(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib = line.trim().split(' ').next().unwrap_or_default();
        kib.parse::<u64>().map(|kib| kib * 1024).map_err(|error| error.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server is started with; it goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("imapper-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn build() -> Result {
    run::run(run::cargo(&["build", "--release", "--package", "imapper-bin", "--bin", "imapper"]))
}

/// The process, and its addresses without and with TLS.
fn spawn(folder: &Folder) -> Result<(Child, SocketAddr, SocketAddr)> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| run::root().join("target"), PathBuf::from);
    let mut child = Command::new(target.join("release/imapper"))
        .current_dir(&folder.0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the server can't be started: {error}"))?;
    let stdout = child.stdout.take().ok_or("the server has no output")?;
    let mut addresses = Vec::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|error| error.to_string())?;
        if let Some(rest) = line.strip_prefix("imapper: listening on ") {
            let address = rest.split(' ').next().unwrap_or_default();
            addresses.push(address.parse().map_err(|_| format!("{line}: no address"))?);
        }
        if let [plain, tls] = addresses[..] {
            return Ok((child, plain, tls));
        }
    }
    Err("the server has ended".to_owned())
}

fn write(path: &PathBuf, text: &str) -> Result {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn mailbox(messages: usize) -> String {
    let message = |number: usize| {
        json!({ "raw": format!(
            "From: sender{number}@example.com\r\nTo: testuser@example.com\r\nSubject: message {number}\r\n\
             Date: Mon, 01 Jan 2024 10:00:00 +0000\r\nMessage-ID: <{number}@example.com>\r\n\r\ntext {number}\r\n"
        ) })
    };
    json!({ "INBOX": { "messages": (1..=messages).map(message).collect::<Vec<_>>() } }).to_string()
}

/// With those keys of the storage.
fn configuration(storage: &str) -> String {
    format!(
        r#"
[[listener]]
protocol = "imap"
address = "127.0.0.1:0"
tls = "none"

[[listener]]
protocol = "imap"
address = "127.0.0.1:0"
tls = "implicit"

[storage]
{storage}

[users]
plugin = "static"
accounts = {{ testuser = "{PASSWORD_HASH}" }}

[limits]
connections = 50000
sessions_per_user = 50000
sessions_per_user_and_address = 50000

[log]
level = "error"
"#
    )
}
