//! The disk is full. The mail lies on a small file system in memory that only the server sees: `unshare` gives it
//! namespaces of its own, in which anybody may mount one.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::history::{Change, Fault, Found, History, Mailbox, SHARED, find, message};
use super::session::{Failed, Flags, Session};
use super::settle::settle;
use super::{Site, installed, login};
use crate::program::Running;

/// Octets of the file system.
const SIZE: u64 = 24 * 1024 * 1024;

/// More than enough to use up a block by small changes.
const ROUNDS: u32 = 500;

/// A server, and where its mail is seen from outside.
struct Small {
    site: Site,
    server: Running,
    mail: PathBuf,
}

impl Small {
    fn start(site: Site) -> Self {
        let imapper = site.folder.imapper([]);
        let mut command = Command::new("unshare");
        let mount = format!("mount -t tmpfs -o size={SIZE} tmpfs mail && exec \"$0\"");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount]).arg(imapper.get_program());
        command.current_dir(site.folder.path()).stdin(Stdio::null());
        installed("unshare");
        let server = Running::start(command).until_listening(1);
        let path = site.mail().canonicalize().unwrap();
        let mail = PathBuf::from(format!("/proc/{}/root{}", server.id(), path.display()));
        Self { site, server, mail }
    }

    /// Takes all the space that is left.
    fn fill(&self) -> PathBuf {
        let path = self.mail.join("filler");
        let mut file = File::create(&path).unwrap();
        let mut piece = vec![b'x'; 1024 * 1024];
        while !piece.is_empty() {
            match file.write(&piece) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => piece.truncate(piece.len() / 2),
                Err(error) => panic!("{error}"),
            }
        }
        path
    }

    /// What another server finds that has a copy of the mail as it is now.
    fn found_by_another(&self) -> Found {
        let other = Site::maildir("");
        copy(&self.mail, &other.mail());
        let server = other.serve();
        find(&mut login(&server)).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(done.success());
}

/// Asks for changes, and knows what must be there.
struct Writer {
    session: Session,
    history: History,
    tokens: u64,
}

impl Writer {
    fn new(server: &Running) -> Self {
        let mut writer = Self { session: login(server), history: History::default(), tokens: 0 };
        let inbox = Mailbox { owner: SHARED, ..Mailbox::default() };
        writer.history.mailboxes.insert("INBOX".to_owned(), inbox);
        for mailbox in ["box", "other", "old", "goes"] {
            writer.must("CREATE", &Change::Create { mailbox: mailbox.to_owned(), owner: SHARED });
        }
        for _ in 0..10 {
            writer.append().unwrap();
        }
        writer
    }

    fn append(&mut self) -> Result<(), String> {
        self.tokens += 1;
        let (mailbox, flags) = ("box".to_owned(), Flags::from(["\\Seen".to_owned()]));
        self.change("APPEND box (\\Seen)", &Change::Append { mailbox, token: self.tokens, flags })
    }

    /// Asks for a change; gives the reply if it is NO with a code that says why.
    fn change(&mut self, command: &str, change: &Change) -> Result<(), String> {
        let answer = match change {
            Change::Append { token, .. } => self.session.with_literal(command, &message(*token)),
            Change::Create { mailbox, .. } | Change::Delete { mailbox } => {
                self.session.command(&format!("{command} {mailbox}"))
            }
            Change::Rename { from, to } => self.session.command(&format!("{command} {from} {to}")),
            _ => {
                let _ = self.session.select("box").unwrap();
                self.session.command(command)
            }
        };
        match answer {
            Ok(answer) => {
                let faults = self.history.acknowledge(change, &answer);
                assert_eq!(faults, []);
                Ok(())
            }
            Err(Failed::Refused(line)) => {
                let code = line.split_once(" NO [").and_then(|(_, rest)| rest.split(']').next());
                assert!(matches!(code, Some("OVERQUOTA" | "UNAVAILABLE")), "{line:?} to {command}");
                Err(line)
            }
            Err(Failed::Lost(why)) => panic!("{why} at {command}"),
        }
    }

    fn must(&mut self, command: &str, change: &Change) {
        let done = self.change(command, change);
        assert_eq!(done, Ok(()), "{command}");
    }

    /// One change of each kind; gives the commands that were refused.
    fn one_of_each(&mut self, round: u32) -> Vec<String> {
        let name = |name: &str| name.to_owned();
        let messages = &self.history.mailboxes["box"].messages;
        let uids: Vec<u32> = messages.keys().copied().collect();
        let [first, second, third, fourth, fifth, ..] = uids[..] else { panic!("{uids:?}") };
        let with = |uid: u32, flag: &str| {
            let mut flags = messages[&uid].flags.clone();
            flags.insert(flag.to_owned());
            [(uid, flags)].into_iter().collect()
        };
        let flag = if round.is_multiple_of(2) { "\\Seen" } else { "\\Flagged" };
        let keyword = format!("new{round}");
        let (created, renamed) = (format!("created{round}"), format!("renamed{round}"));
        let old =
            self.history.mailboxes.keys().find(|name| name.starts_with("old") || name.starts_with("renamed"));
        let mut all = vec![
            (
                format!("UID STORE {first} FLAGS ({flag})"),
                Change::Store {
                    mailbox: name("box"),
                    flags: [(first, Flags::from([name(flag)]))].into_iter().collect(),
                },
            ),
            (
                format!("UID STORE {second} +FLAGS ({keyword})"),
                Change::Store { mailbox: name("box"), flags: with(second, &keyword) },
            ),
            (
                format!("UID COPY {third} other"),
                Change::Copy { from: name("box"), uids: vec![third], to: name("other") },
            ),
            (
                format!("UID MOVE {fourth} other"),
                Change::Move { from: name("box"), uids: vec![fourth], to: name("other") },
            ),
            (
                format!("UID STORE {fifth} +FLAGS (\\Deleted)"),
                Change::Store { mailbox: name("box"), flags: with(fifth, "\\Deleted") },
            ),
            (name("CREATE"), Change::Create { mailbox: created, owner: SHARED }),
            (name("RENAME"), Change::Rename { from: old.unwrap().clone(), to: renamed }),
        ];
        if self.history.mailboxes.contains_key("goes") {
            all.push((name("DELETE"), Change::Delete { mailbox: name("goes") }));
        }
        all.retain(|(command, change)| self.change(command, change).is_err());
        all.into_iter().map(|(command, _)| command).collect()
    }

    /// What must be there is there.
    #[track_caller]
    fn check(&mut self, found: &Found) {
        let settled = settle(&self.history, &[], found);
        self.history = settled.unwrap_or_else(|faults: Vec<Fault>| panic!("{faults:#?}"));
    }
}

#[test]
fn a_full_disk_is_told_and_damages_nothing() {
    let small = Small::start(Site::maildir(""));
    let mut writer = Writer::new(&small.server);
    let before = writer.history.mailboxes["box"].messages.len();
    // No message is below a hundred octets.
    let most = usize::try_from(SIZE / 100).unwrap();
    let refused = (0..most).find_map(|_| writer.append().err());
    assert!(refused.is_some(), "{most} messages found room in {SIZE} octets");
    assert!(writer.history.mailboxes["box"].messages.len() > before);
    let filler = small.fill();
    // Small changes find room in what is left of the last block of a file, until that is used up.
    let refused = (1..ROUNDS).find_map(|round| {
        let refused = writer.one_of_each(round);
        let has = |part| refused.iter().any(|command: &String| command.contains(part));
        (has(" FLAGS ") && has("COPY")).then_some(refused)
    });
    println!("refused with no octet left: {:#?}", refused.expect("small changes find room for ever"));
    // A message that needs at least a block.
    while message(writer.tokens + 1).len() < 10_000 {
        writer.tokens += 1;
    }
    writer.append().unwrap_err();
    let found = find(&mut login(&small.server)).unwrap();
    writer.check(&found);
    writer.check(&small.found_by_another());

    std::fs::remove_file(filler).unwrap();
    let deleted = writer.history.mailboxes["box"].messages.keys().copied().take(5).collect::<Vec<_>>();
    let set = deleted.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let deleted_flag = |uid: &u32| {
        let flags = writer.history.mailboxes["box"].messages[uid].flags.clone();
        (*uid, &flags | &Flags::from(["\\Deleted".to_owned()]))
    };
    let flags = deleted.iter().map(deleted_flag).collect();
    let mailbox = || "box".to_owned();
    writer.must(
        &format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)"),
        &Change::Store { mailbox: mailbox(), flags },
    );
    writer.must(&format!("UID EXPUNGE {set}"), &Change::Expunge { mailbox: mailbox(), uids: deleted });
    assert_eq!(writer.one_of_each(ROUNDS), [""; 0]);
    writer.append().unwrap();
    let found = find(&mut login(&small.server)).unwrap();
    writer.check(&found);
    writer.check(&small.found_by_another());
    let Small { site: _site, server, .. } = small;
    let ended = server.stop();
    assert_eq!(ended.status, 0, "{}", ended.err);
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
}

/// What the test above stands on: a file system that is full for the server.
#[test]
fn the_small_disk_is_small_and_nobody_else_sees_it() {
    let small = Small::start(Site::forgetful());
    let filler = small.fill();
    assert!(std::fs::metadata(&filler).unwrap().len() <= SIZE);
    assert!(!small.site.mail().join("filler").exists());
    let more = std::fs::write(small.mail.join("more"), [0; 8192]);
    assert_eq!(more.unwrap_err().kind(), ErrorKind::StorageFull);
}
