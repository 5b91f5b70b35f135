//! The release build of the command, with a mailbox to measure on.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::Result;
use crate::run;

/// Passwords are hashed at the lowest cost, so that logins are not what is measured.
const PASSWORD_HASH: &str = "$2b$04$VenCN0/MMzxIeBEH2/wax.mjw4kstctNhRI28WX/lo7trABdAEwXq";

/// A running server. It is killed when dropped.
pub(super) struct Server {
    child: Child,
    folder: PathBuf,
    /// The listener without TLS.
    pub(super) plain: SocketAddr,
    /// The listener with TLS from the first octet.
    pub(super) tls: SocketAddr,
}

impl Server {
    /// Builds it, and starts it with so many messages in INBOX.
    pub(super) fn start(messages: usize) -> Result<Self> {
        run::run(run::cargo(&["build", "--release", "--package", "imapper-bin", "--bin", "imapper"]))?;
        let folder = std::env::temp_dir().join(format!("imapper-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let (fixture, config) = (folder.join("mail.json"), folder.join("imapper.toml"));
        write(&fixture, &mailbox(messages))?;
        write(&config, &configuration())?;
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| run::root().join("target"), PathBuf::from);
        let mut child = Command::new(target.join("release/imapper"))
            .arg("--config")
            .arg(&config)
            .arg("--storage")
            .arg(&fixture)
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
                return Ok(Self { child, folder, plain, tls });
            }
        }
        Err("the server has ended".to_owned())
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
        let _ = std::fs::remove_dir_all(&self.folder);
    }
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

fn configuration() -> String {
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
