//! Mail that lasts: `imapper quickstart`, and `imapper import` and `export` of a Maildir.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::client::Client;
use crate::program::{Ended, Folder, Running};

/// What follows a word at the beginning of a line.
fn told(server: &mut Running, word: &str) -> String {
    loop {
        let line = server.line();
        if let Some(rest) = line.trim_start().strip_prefix(word) {
            return rest.split_whitespace().next().unwrap_or_default().to_owned();
        }
    }
}

/// Listens where there is room, and not at the ports that others may have.
fn choose_free_ports(folder: &Folder) {
    let configuration = folder.read("srv/imapper.toml").replace(":1143\"", ":0\"").replace(":1993\"", ":0\"");
    folder.write("srv/imapper.toml", &configuration);
}

#[test]
fn quickstart_makes_a_server_whose_mail_is_there_after_a_restart() {
    let folder = Folder::new();
    let mut first = folder.serve_silently(["quickstart", "srv"]);
    let (user, password) = (told(&mut first, "user "), told(&mut first, "password "));
    // It may have failed since, where another has its ports.
    drop(first);
    choose_free_ports(&folder);
    let serve = || {
        let mut server = folder.serve_silently(["quickstart", "srv"]);
        assert!(server.line().contains("which is there already"));
        let address = |server: &mut Running| told(server, "imapper: listening on ").parse().unwrap();
        let (starttls, implicit) = (address(&mut server), address(&mut server));
        (server, starttls, implicit)
    };
    let certificate = CertificateDer::from_pem_file(folder.path().join("srv/certificate.pem")).unwrap();
    let login = format!("a LOGIN {user} {password}");

    let (server, starttls, implicit) = serve();
    let mut client = Client::connect(starttls);
    assert!(client.ask("s STARTTLS").contains("s OK"));
    let mut client = client.secure(&certificate);
    assert!(client.ask(&login).contains("a OK"));
    client.send("b APPEND INBOX (\\Flagged) {4+}\r\nkept");
    while !client.line().starts_with("b OK") {}
    assert!(client.ask("c CREATE Work/Old").contains("c OK"));
    let mut other = Client::connect_tls(implicit, &certificate);
    assert!(other.ask("x LOGIN nobody wrong").contains("x NO"));
    assert_eq!(server.stop().status, 0);

    let (_server, _, implicit) = serve();
    let mut client = Client::connect_tls(implicit, &certificate);
    assert!(client.ask(&login).contains("a OK"));
    assert!(client.ask("b SELECT INBOX").contains("* 1 EXISTS"));
    let fetched = client.ask("c FETCH 1 (FLAGS BODY.PEEK[])");
    assert!(fetched.contains("\\Flagged") && fetched.contains("kept"), "{fetched}");
    assert!(client.ask("d LIST \"\" *").contains("Work/Old"));
}

const CONFIGURATION: &str = "[storage]\nplugin = \"maildir\"\npath = \"mail/{user}\"\n[users]\nplugin = \"static\"\n\
                             accounts = { john = \
                             \"$2b$04$VenCN0/MMzxIeBEH2/wax.mjw4kstctNhRI28WX/lo7trABdAEwXq\" }\n";

const MESSAGES: usize = 400;

/// A Maildir with a sub-folder, flags, keywords and both ends of lines.
fn maildir(root: &Path) {
    for (folder, count) in [("", MESSAGES), (".Work.Entw&APw-rfe", 3)] {
        let folder = root.join(folder);
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir_all(folder.join(sub)).unwrap();
        }
        let mut list = format!("3 V77 N{}\n", count * 2 + 10);
        for number in 0..count {
            let seconds = 1_400_000_000 + number as u64 / 3;
            let base = format!("{seconds}.M{number}P1.host");
            let end = if number % 5 == 0 { "\r\n" } else { "\n" };
            let flags = ["", "S", "FS", "Sb", "DRTa"][number % 5];
            let path = folder.join("cur").join(format!("{base}:2,{flags}"));
            let last = if number % 7 == 0 { "" } else { end };
            fs::write(&path, format!("Subject: {number}{end}{end}\u{fc}\0From x{last}")).unwrap();
            let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(seconds));
            File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
            writeln!(list, "{} :{base}", number * 2 + 1).unwrap();
        }
        fs::write(folder.join("dovecot-uidlist"), list).unwrap();
        fs::write(folder.join("dovecot-keywords"), "0 $Forwarded\n1 b\n").unwrap();
    }
    fs::write(root.join("subscriptions"), "Work.Entw&APw-rfe\n").unwrap();
}

/// By folder and UID: octets, date, flags and keywords.
type Held = BTreeMap<(String, u32), (Vec<u8>, Duration, String)>;

fn held(root: &Path) -> Held {
    let mut held = BTreeMap::new();
    for name in ["", ".Work.Entw&APw-rfe"] {
        let folder = root.join(name);
        let list = fs::read_to_string(folder.join("dovecot-uidlist")).unwrap();
        assert!(list.starts_with("3 V77 N"), "{list}");
        let keywords = fs::read_to_string(folder.join("dovecot-keywords")).unwrap_or_default();
        let word = |letter: char| {
            let number = format!("{} ", letter as u32 - 'a' as u32);
            keywords.lines().find_map(|line| line.strip_prefix(&number)).unwrap().to_owned()
        };
        let uid = |base: &str| {
            let line = list.lines().skip(1).find(|line| line.ends_with(&format!(":{base}"))).unwrap();
            line.split(' ').next().unwrap().parse::<u32>().unwrap()
        };
        for entry in fs::read_dir(folder.join("cur")).unwrap().map(Result::unwrap) {
            let file = entry.file_name().into_string().unwrap();
            let (base, letters) = file.split_once(":2,").unwrap();
            let flags = letters
                .chars()
                .map(|letter| if letter.is_lowercase() { word(letter) } else { letter.into() });
            let changed = entry.metadata().unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
            let message = (fs::read(entry.path()).unwrap(), changed, flags.collect());
            assert_eq!(held.insert((name.to_owned(), uid(base)), message), None);
        }
    }
    held
}

fn run(folder: &Folder, arguments: [&str; 4]) -> String {
    let ended = Ended::from(folder.imapper(arguments).output().unwrap());
    assert_eq!(ended.status, 0, "{ended:?}");
    ended.out
}

#[test]
fn a_maildir_comes_in_and_goes_out_as_it_was() {
    let folder = Folder::new();
    folder.write("imapper.toml", CONFIGURATION);
    maildir(&folder.path().join("old"));
    let import = || run(&folder, ["import", "old", "--user", "john"]);
    assert!(import().starts_with("imported 2 mailboxes, 403 messages"));
    assert!(import().contains(" 0 messages, 0 octets (0 B); 403 skipped (there already), 0 failed"));
    assert!(
        run(&folder, ["export", "new", "--format", "maildir"])
            .starts_with("exported 2 mailboxes, 403 messages")
    );
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    assert_eq!(held(&new), held(&old));
    assert_eq!(folder.read("new/subscriptions"), folder.read("old/subscriptions"));
}

#[test]
fn what_is_killed_can_be_run_again() {
    let folder = Folder::new();
    folder.write("imapper.toml", CONFIGURATION);
    maildir(&folder.path().join("old"));
    let kill_after = |arguments: [&str; 4], milliseconds: u64| {
        let mut child = folder.imapper(arguments).spawn().unwrap();
        // At any moment: the earlier it is, the less has happened.
        std::thread::sleep(Duration::from_millis(milliseconds));
        let _ = child.kill();
        child.wait().unwrap();
    };
    let (import, export) = (["import", "old", "--user", "john"], ["export", "new", "--format", "maildir"]);
    for milliseconds in [20, 40, 60, 90, 150] {
        kill_after(import, milliseconds);
    }
    run(&folder, import);
    for milliseconds in [20, 40, 60, 90, 150] {
        kill_after(export, milliseconds);
    }
    run(&folder, export);
    assert_eq!(held(&folder.path().join("new")), held(&folder.path().join("old")));
}
