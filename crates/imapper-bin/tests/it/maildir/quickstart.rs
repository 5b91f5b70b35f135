//! `imapper quickstart`: clients use what it makes, and what they stored is there after a restart.

use std::path::PathBuf;

use crate::program::{Folder, Running};

use super::{Site, assert_same, own_ip};

/// Runs it as a person does; gives what it said before it listened. `DIR` is `there`.
fn quickstart<const N: usize>(folder: &Folder, arguments: [&str; N]) -> (Running, Vec<String>) {
    let mut command = folder.imapper(["quickstart", "there"]);
    command.args(arguments).env("USER", "polly");
    let mut server = Running::start(command);
    let mut said = Vec::new();
    while said.iter().filter(|line: &&String| line.starts_with(LISTENING)).count() < 2 {
        said.push(server.line());
    }
    (server, said)
}

const LISTENING: &str = "imapper: listening on ";

/// The first word behind a label in what it said.
#[track_caller]
fn told<'a>(said: &'a [String], label: &str) -> &'a str {
    let rest = said.iter().find_map(|line| line.trim_start().strip_prefix(label));
    rest.and_then(|rest| rest.split_whitespace().next())
        .unwrap_or_else(|| panic!("no {label:?} in {said:#?}"))
}

/// By what it has said a person connects. The password is told once.
#[track_caller]
fn connect<'a>(folder: &'a Folder, server: Running, said: &[String], password: &str) -> Site<'a> {
    Site {
        folder,
        server,
        address: told(said, LISTENING).parse().unwrap(),
        user: told(said, "user").to_owned(),
        password: password.to_owned(),
        certificate: Some(folder.path().join(told(said, "certificate").trim_end_matches(','))),
        maildir: PathBuf::new(),
    }
}

#[test]
fn what_imaplib_mbsync_and_neomutt_store_is_there_after_a_restart() {
    let folder = Folder::new();
    // The ports are those that it names by itself.
    let ip = own_ip().to_string();
    let (server, said) = quickstart(&folder, ["--host", &ip]);
    let password = told(&said, "password").to_owned();
    let first = connect(&folder, server, &said, &password);
    assert_eq!(first.address.to_string(), told(&said, "server"));
    first.python_to_its_end("neomutt.py", &["fill"]);
    let stored = first.snapshot();
    first.stop();

    // The certificate is for localhost, where the ports may be another's. A person may change what was made.
    let configuration = folder.read("there/imapper.toml");
    let changed =
        configuration.replace("127.0.0.1:1143", "127.0.0.1:0").replace("127.0.0.1:1993", "127.0.0.1:0");
    assert_ne!(changed, configuration);
    folder.write("there/imapper.toml", &changed);
    let (server, said) = quickstart(&folder, []);
    assert!(!said.iter().any(|line| line.contains(&password)), "{said:#?}");
    let second = connect(&folder, server, &said, &password);
    assert_same(&stored, &second.snapshot());
    second.neomutt_over_imap();
    second.python_to_its_end("mbsync.py", &["begin", "Uploaded"]);
    second.mbsync();
    second.python_to_its_end("mbsync.py", &["compare"]);
    let stored = second.snapshot();
    assert!(stored.contains("\nUploaded 5 "), "{stored}");
    second.stop();

    let (server, said) = quickstart(&folder, []);
    let third = connect(&folder, server, &said, &password);
    assert_same(&stored, &third.snapshot());
    third.python_to_its_end("neomutt.py", &["check"]);
    third.mbsync_transfers_nothing(&["INBOX", "Uploaded", "Archiv/&ANw-bersicht"]);
    third.stop();
    assert_eq!(folder.read("there/imapper.toml"), changed);
}
