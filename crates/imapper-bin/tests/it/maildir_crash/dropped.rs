//! Another program delivers ten thousand messages at once, while sessions wait and others write: every session
//! sees each of them once. How long that takes is measured by `cargo xtask bench maildir`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;

use super::history::token;
use super::session::Session;
use super::{PASSWORD, Site, USER, login};

const FILES: u64 = 10_000;
const WAITING: usize = 20;
const WRITERS: u64 = 4;
/// Messages of each writer.
const APPENDED: u64 = 25;
const ALL: u64 = FILES + WRITERS * APPENDED;

fn text(token: u64) -> String {
    format!("From: other@example.com\r\nMessage-ID: <{token}@crash>\r\nSubject: {token}\r\n\r\n{token}\r\n")
}

/// Has `mv` of the system deliver them, one after the other.
fn deliver(inbox: &Path) {
    let done = Command::new("find")
        .arg(inbox.join("tmp"))
        .args(["-name", "*.drop", "-exec", "mv", "-t"])
        .arg(inbox.join("new"))
        .args(["{}", "+"])
        .status()
        .unwrap();
    assert!(done.success());
}

/// A session that waits until there are so many messages; it gives back what it has been told.
fn wait(mut session: Session, ready: &Barrier) -> (Session, Vec<String>) {
    let tag = session.send("IDLE").unwrap();
    assert!(session.line().unwrap().starts_with('+'));
    ready.wait();
    let mut told = Vec::new();
    let end = format!("* {ALL} EXISTS");
    while told.last() != Some(&end) {
        told.push(session.line().unwrap());
    }
    session.say("DONE").unwrap();
    let more = session.until(&tag).unwrap();
    told.extend(more.untagged.into_iter().map(|one| one.text));
    let more = session.command("NOOP").unwrap();
    told.extend(more.untagged.into_iter().map(|one| one.text));
    (session, told)
}

/// Nothing was removed, and the number of messages only grew, up to all.
fn check_told(told: &[String]) {
    let mut before = 0;
    for line in told {
        assert!(!line.contains("EXPUNGE") && !line.contains("VANISHED"), "{line}");
        if let Some(exists) = line.strip_suffix(" EXISTS") {
            let exists: u64 = exists.trim_start_matches("* ").parse().unwrap();
            assert!(exists > before && exists <= ALL, "{exists} after {before}");
            before = exists;
        }
    }
    assert_eq!(before, ALL);
}

/// Appends, and gives the UIDs with what they stand for.
fn write(mut session: Session, first: u64, ready: &Barrier) -> BTreeMap<u32, u64> {
    session.select("INBOX").unwrap();
    ready.wait();
    let mut written = BTreeMap::new();
    for token in first..first + APPENDED {
        let answer = session.with_literal("APPEND INBOX", text(token).as_bytes()).unwrap();
        let (_, uids) = answer.assigned().unwrap();
        let [uid] = uids[..] else { panic!("{}", answer.tagged) };
        assert_eq!(written.insert(uid, token), None);
        session.command(&format!("UID STORE {uid} +FLAGS (\\Seen)")).unwrap();
    }
    written
}

/// All UIDs of the open mailbox, in its order.
fn uids(session: &mut Session) -> Vec<u32> {
    let answer = session.command("FETCH 1:* (UID)").unwrap();
    answer.messages().into_keys().collect()
}

#[test]
fn ten_thousand_files_are_seen_once_by_every_session() {
    let site = Site::maildir("");
    let server = site.serve();
    let mut first = login(&server);
    first.select("INBOX").unwrap();
    let inbox = site.mail().join(USER);
    for token in 0..FILES {
        let name = format!("tmp/{}.M{token}P7.elsewhere.drop", 1_700_000_000 + token);
        std::fs::write(inbox.join(name), text(token)).unwrap();
    }
    let ready = Arc::new(Barrier::new(WAITING + usize::try_from(WRITERS).unwrap() + 1));
    let waiting: Vec<JoinHandle<(Session, Vec<String>)>> = (0..WAITING)
        .map(|_| {
            let (mut session, ready) = (login(&server), Arc::clone(&ready));
            session.select("INBOX").unwrap();
            std::thread::spawn(move || wait(session, &ready))
        })
        .collect();
    let writers: Vec<JoinHandle<BTreeMap<u32, u64>>> = (0..WRITERS)
        .map(|number| {
            let (session, ready) = (login(&server), Arc::clone(&ready));
            std::thread::spawn(move || write(session, FILES + number * APPENDED, &ready))
        })
        .collect();
    ready.wait();
    deliver(&inbox);

    let written: BTreeMap<u32, u64> = writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    let mut contents: BTreeMap<u32, u64> = BTreeMap::new();
    let mut all: Option<Vec<u32>> = None;
    for (number, session) in waiting.into_iter().enumerate() {
        let (mut session, told) = session.join().unwrap();
        check_told(&told);
        let uids = uids(&mut session);
        assert_eq!(uids.len() as u64, ALL);
        assert_eq!(all.get_or_insert_with(|| uids.clone()), &uids);
        // Each looks into a part of the messages: together they look into all.
        let part: Vec<u32> = uids.chunks(uids.len().div_ceil(WAITING)).nth(number).unwrap().to_vec();
        let command = format!("UID FETCH {}:{} (BODY.PEEK[HEADER])", part[0], part[part.len() - 1]);
        let headers = session.command(&command).unwrap().messages();
        contents.extend(
            headers.into_iter().map(|(uid, fetched)| (uid, token(&fetched.literal.unwrap()).unwrap())),
        );
    }
    let tokens: BTreeSet<u64> = contents.values().copied().collect();
    assert_eq!((contents.len() as u64, tokens.len() as u64), (ALL, ALL), "one twice, another not at all");
    for (uid, token) in &written {
        assert_eq!(contents.get(uid), Some(token), "UID {uid}");
    }
    drop(server);
    let again = site.serve();
    let mut session = Session::login(again.addresses[0], USER, PASSWORD).unwrap();
    session.select("INBOX").unwrap();
    assert_eq!(Some(uids(&mut session)), all, "after a restart");
}
