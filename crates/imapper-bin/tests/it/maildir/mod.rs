//! A Maildir that imapper shares with programs that others wrote: Dovecot, mbsync, neomutt.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::clients::succeed;
use crate::program::{Folder, Running};

mod dovecot;
mod mbsync;
mod neomutt;
mod quickstart;

const USER: &str = "polly@example.test";
const PASSWORD: &str = "dead-parrot-8Jd";

/// How mailboxes lie in folders.
#[derive(Clone, Copy, Debug)]
enum Layout {
    /// `.Folder.Sub`.
    MaildirPlusPlus,
    /// Folders in folders.
    Fs,
}

/// The mail of one user, and a folder for all that serves it.
struct Mail {
    folder: Folder,
    layout: Layout,
}

/// A server, and how its user reaches it.
struct Site<'a> {
    folder: &'a Folder,
    server: Running,
    address: SocketAddr,
    user: String,
    password: String,
    /// What it shows after STARTTLS; without, it takes the password in the clear.
    certificate: Option<PathBuf>,
    /// The Maildir that is INBOX.
    maildir: PathBuf,
}

impl Mail {
    fn new(layout: Layout) -> Self {
        let folder = Folder::new();
        std::fs::create_dir(folder.path().join("mail")).unwrap();
        folder.write("users", &format!("{USER}:{}\n", bcrypt::hash(PASSWORD, 4).unwrap()));
        Self { folder, layout }
    }

    /// All mail of the user.
    fn root(&self) -> PathBuf {
        self.folder.path().join("mail").join(USER)
    }

    /// The built binary.
    fn imapper(&self) -> Site<'_> {
        let folder = self.folder.path().display();
        let layout = match self.layout {
            Layout::MaildirPlusPlus => "maildir++",
            Layout::Fs => "fs",
        };
        let configuration = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\ntls = \"none\"\n\
             [storage]\nplugin = \"maildir\"\npath = \"{folder}/mail/{{user}}\"\nlayout = {layout:?}\n\
             [users]\nplugin = \"static\"\naccounts_file = \"users\"\n"
        );
        self.folder.write("imapper.toml", &configuration);
        let server = self.folder.serve(["--debug"], 1);
        let address = server.addresses[0];
        self.site(server, address)
    }

    fn site(&self, server: Running, address: SocketAddr) -> Site<'_> {
        Site {
            folder: &self.folder,
            server,
            address,
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            certificate: None,
            maildir: self.root(),
        }
    }
}

impl Site<'_> {
    /// As clients call it that look for its name in its certificate.
    fn host(&self) -> String {
        if self.certificate.is_some() { "localhost".to_owned() } else { self.address.ip().to_string() }
    }

    /// Stops it: all is in the files now.
    fn stop(self) {
        let ended = self.server.stop();
        assert_eq!(ended.status, 0, "{}", ended.err);
    }

    /// Runs a Python script of ours that must not fail, with what it needs to know in its environment; gives what
    /// it printed.
    #[track_caller]
    fn python(&self, script: &str, arguments: &[&str]) -> String {
        let mut python = program_in(self.folder, "python3");
        python.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/maildir").join(script));
        python.args(arguments).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
        python.env("SITE_HOST", self.address.ip().to_string());
        python.env("SITE_PORT", self.address.port().to_string());
        python.env("SITE_USER", &self.user).env("SITE_PASSWORD", &self.password);
        python.env("SITE_CERTIFICATE", self.certificate.as_deref().unwrap_or(Path::new("")));
        python.env("SITE_MAILDIR", &self.maildir);
        succeed(&mut python)
    }

    /// A script that ends early without an error has not done everything.
    #[track_caller]
    fn python_to_its_end(&self, script: &str, arguments: &[&str]) {
        assert_eq!(self.python(script, arguments), "all is as expected\n");
    }

    /// All that a client may have in its cache.
    #[track_caller]
    fn snapshot(&self) -> String {
        self.python("snapshot.py", &[])
    }
}

/// A program, with nothing of its user's own configuration.
fn program_in(folder: &Folder, name: &str) -> Command {
    let mut command = Command::new(name);
    command.current_dir(folder.path()).env("HOME", folder.path());
    command
}

/// Says which lines differ: the texts themselves are long.
#[track_caller]
fn assert_same(before: &str, after: &str) {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.lines().collect(), after.lines().collect());
    let gone: Vec<_> = old.difference(&new).collect();
    let come: Vec<_> = new.difference(&old).collect();
    assert!(gone.is_empty() && come.is_empty(), "only before: {gone:#?}\nonly after: {come:#?}");
    assert_eq!(before.lines().count(), after.lines().count(), "some lines came twice: {after}");
}

/// All files under a folder.
fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // A link is not followed.
            let list = if path.symlink_metadata().unwrap().is_dir() { &mut folders } else { &mut found };
            list.push(path);
        }
    }
    found
}

/// An address of this process's own: where a port has to be named before it is bound, nobody else takes it there.
fn own_ip() -> Ipv4Addr {
    let [high, middle, low, lowest] = std::process::id().to_be_bytes();
    // Linux has no more than 2^22 processes.
    assert_eq!((high, middle & 0xc0), (0, 0));
    Ipv4Addr::new(127, 0x40 | middle, low, lowest)
}
