//! The built binary with mail in Maildir folders, when things go wrong: it is killed, its disk is full, another
//! program delivers ten thousand messages at once. And whether what it says OK to is on the disk by then.

mod crash;
mod dropped;
mod full;
mod history;
mod session;
mod settle;
mod syncs;
mod trace;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::{Folder, Running};
use session::Session;

const USER: &str = "john";
const PASSWORD: &str = "s3cret";

/// Where the server is, with what it keeps and the user it knows.
struct Site {
    folder: Folder,
}

impl Site {
    /// With mail in `mail/john`, under those keys of `[storage]` besides.
    fn maildir(keys: &str) -> Self {
        Self::with(|mail| format!("plugin = \"maildir\"\npath = \"{}/{{user}}\"\n{keys}", mail.display()))
    }

    /// With a storage that forgets all when it ends.
    fn forgetful() -> Self {
        Self::with(|_| "plugin = \"memory\"\n".to_owned())
    }

    fn with(storage: impl FnOnce(&Path) -> String) -> Self {
        let folder = Folder::new();
        let mail = folder.path().join("mail");
        std::fs::create_dir(&mail).unwrap();
        // As the system calls it: a trace has no other names.
        let storage = storage(&mail.canonicalize().unwrap());
        let hash = bcrypt::hash(PASSWORD, 4).unwrap();
        folder.write(
            "imapper.toml",
            &format!(
                "[[listener]]\naddress = \"127.0.0.1:0\"\ntls = \"none\"\n[users]\nplugin = \"static\"\n\
                 accounts = {{ {USER} = \"{hash}\" }}\n[limits]\nsessions_per_user = 100\n\
                 sessions_per_user_and_address = 100\n[storage]\n{storage}"
            ),
        );
        Self { folder }
    }

    /// The folder above those of all users.
    fn mail(&self) -> PathBuf {
        self.folder.path().join("mail")
    }

    fn serve(&self) -> Running {
        self.folder.serve([], 1)
    }
}

/// A session of the user.
fn login(server: &Running) -> Session {
    Session::login(server.addresses[0], USER, PASSWORD).unwrap()
}

/// A program that is not installed is a failure: nothing is left out in silence.
#[track_caller]
fn installed(program: &str) {
    let ran = Command::new(program).arg("--version").stdout(Stdio::null()).status();
    assert!(ran.is_ok(), "{program} can't be run: `cargo xtask ci` installs it");
}
