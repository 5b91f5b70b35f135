//! Whether all that an OK depends on is on the disk when it goes out. A kill can't show that: what was written
//! survives the process in the memory of the kernel. So the server runs under `strace`.

use std::process::{Command, Stdio};

use super::session::Session;
use super::trace::{Answered, CALLS, answers};
use super::{PASSWORD, Site, USER, installed};
use crate::program::Running;

/// Commands; those with a name are looked at.
const COMMANDS: &[(Option<&str>, &str)] = &[
    (Some("CREATE"), "CREATE one"),
    (Some("CREATE below another"), "CREATE one/inner"),
    (None, "CREATE two"),
    (Some("APPEND"), "APPEND one (\\Seen)"),
    (Some("APPEND with a new keyword"), "APPEND one (first)"),
    (None, "APPEND one"),
    (None, "APPEND one"),
    (None, "APPEND one"),
    (None, "APPEND one"),
    (Some("SUBSCRIBE"), "SUBSCRIBE one"),
    (None, "SELECT one"),
    (Some("STORE of flags"), "UID STORE 1 +FLAGS (\\Flagged)"),
    (Some("STORE of a new keyword"), "UID STORE 1 +FLAGS (second)"),
    (Some("STORE for several"), "UID STORE 1:3 FLAGS (\\Answered)"),
    (Some("COPY"), "UID COPY 1 two"),
    (Some("MOVE"), "UID MOVE 1 two"),
    (Some("STORE of \\Deleted"), "UID STORE 2 +FLAGS (\\Deleted)"),
    (Some("EXPUNGE"), "EXPUNGE"),
    (None, "UID STORE 3:4 +FLAGS (\\Deleted)"),
    (Some("UID EXPUNGE"), "UID EXPUNGE 3"),
    (Some("CLOSE"), "CLOSE"),
    (Some("RENAME"), "RENAME two three"),
    (Some("RENAME with a mailbox below"), "RENAME one four"),
    (Some("DELETE"), "DELETE three"),
    (Some("UNSUBSCRIBE"), "UNSUBSCRIBE one"),
];
const LOOKED_AT: usize = 18;

/// What need not last: messages that are being written, locks, and what can be made from the rest.
fn passing(path: &str) -> bool {
    path.contains("/tmp/") || [".cache", ".lock"].iter().any(|end| path.ends_with(end))
}

/// A server under `strace`. It is not the process that was started: dropped, it is killed by its own number.
struct Traced {
    running: Option<Running>,
    id: String,
}

impl Traced {
    fn start(site: &Site) -> Self {
        let imapper = site.folder.imapper([]);
        let mut command = Command::new("strace");
        command.args(["-f", "-y", "-s", "4096", "-e", "signal=none", "-o", "trace", "-e"]);
        command.arg(format!("trace={CALLS}"));
        command.args(["sh", "-c", "echo $$ && exec \"$0\""]).arg(imapper.get_program());
        command.current_dir(site.folder.path()).stdin(Stdio::null());
        installed("strace");
        let mut running = Running::start(command);
        let id = running.line();
        Self { running: Some(running.until_listening(1)), id }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id]).status().unwrap();
        assert!(sent.success());
    }

    fn stop(mut self) {
        self.signal("TERM");
        let ended = self.running.take().unwrap().ended();
        assert_eq!(ended.status, 0, "{}", ended.err);
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.signal("KILL");
        }
    }
}

/// The commands that are looked at, each with what was dirty at its OK.
fn dirty(keys: &str) -> Vec<(&'static str, Vec<String>)> {
    let site = Site::maildir(keys);
    let server = Traced::start(&site);
    let address = server.running.as_ref().unwrap().addresses[0];
    let mut session = Session::login(address, USER, PASSWORD).unwrap();
    let message = "Subject: sync\r\n\r\n".to_owned() + &"0123456789abcdef\r\n".repeat(200);
    let mut tags = Vec::new();
    for (name, command) in COMMANDS {
        let answer = if command.starts_with("APPEND") {
            session.with_literal(command, message.as_bytes())
        } else {
            session.command(command)
        };
        let tagged = answer.unwrap_or_else(|error| panic!("{command}: {error}")).tagged;
        tags.extend(name.map(|name| (name, tagged.split(' ').next().unwrap().to_owned())));
    }
    server.stop();
    let trace = site.folder.read("trace");
    assert!(!trace.contains("io_uring_enter"), "what goes through an io_uring is not seen");
    let store = site.mail().canonicalize().unwrap();
    let mut answers = answers(&trace, store.to_str().unwrap(), passing).into_iter();
    let found = tags.into_iter().map(|(name, tag)| {
        let answered = answers.find(|answered| answered.tag == tag);
        let Answered { dirty, .. } = answered.unwrap_or_else(|| panic!("the answer to {name} was not seen"));
        (name, dirty)
    });
    found.collect()
}

#[test]
fn what_an_ok_depends_on_is_on_the_disk_when_it_goes_out() {
    let all = dirty("");
    assert_eq!(all.len(), LOOKED_AT);
    let unsynced: Vec<_> = all.into_iter().filter(|(_, dirty)| !dirty.is_empty()).collect();
    assert!(unsynced.is_empty(), "{unsynced:#?}");
}

/// What the test above is worth.
#[test]
fn a_server_that_never_syncs_is_found_out() {
    let synced: Vec<_> =
        dirty("fsync = \"never\"\n").into_iter().filter(|(_, dirty)| dirty.is_empty()).collect();
    assert!(synced.is_empty(), "{synced:#?}");
}
