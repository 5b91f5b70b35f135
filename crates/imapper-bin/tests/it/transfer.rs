//! `imapper import` and `imapper export`, with a JSON file as the storage.

use std::path::Path;

use crate::program::{Ended, Folder};

const FIXTURE: &str = r#"{
    "INBOX": {"uidvalidity": 7, "messages": [
        {"raw": "Subject: a\r\n\r\nFrom here\r\n", "flags": ["\\Seen", "$Forwarded"], "uid": 3,
         "internaldate": "14-Sep-2013 21:22:28 -0300"},
        {"raw": "Subject: b\r\n\r\nno end \u00ff\u0000", "uid": 5, "internaldate": "14-Sep-2013 21:22:28 +0000"}
    ]},
    "": {"folders": {"Work": {"special-use": "\\Archive", "folders": {"Old": {"messages": [
        {"raw": "Subject: c\r\n\r\n", "internaldate": "02-Feb-2020 03:04:05 +0000"}
    ]}}}}}
}"#;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("mail.json", FIXTURE);
    folder
}

#[track_caller]
fn done(ended: &Ended, summary: &str) {
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(ended.out.trim_end(), summary);
}

#[track_caller]
fn refused(ended: &Ended, why: &str) {
    assert_eq!((ended.status, ended.out.as_str()), (2, ""), "{ended:?}");
    assert!(ended.err.contains(why), "{why:?} is not in {ended:?}");
}

const EXPORTED: &str =
    "exported 3 mailboxes, 3 messages, 62 octets (62 B); 0 skipped (there already), 0 failed";
const SKIPPED: &str =
    "would have imported 3 mailboxes, 0 messages, 0 octets (0 B); 3 skipped (there already), 0 failed";

#[test]
fn what_was_exported_is_known_again_in_each_form() {
    let folder = folder();
    for target in ["out.json", "maildir", "mboxes"] {
        let form = if target == "mboxes" { "--format=mbox" } else { "--format=maildir" };
        let form = if target == "out.json" { "--format=json" } else { form };
        let ended = folder.run(["export", target, form, "--storage", "mail.json"]);
        done(&ended, EXPORTED);
        assert_eq!(
            ended.err,
            "imapper: INBOX: 2 messages\nimapper: Work: 0 messages\nimapper: Work/Old: 1 message\n"
        );
        // The form is seen from what was written, and the user from the configuration.
        let ended = folder.run(["import", target, "--dry-run", "--storage", "mail.json"]);
        if target == "mboxes" {
            // An mbox without a message keeps no UIDVALIDITY, but there is nothing to tell apart.
            assert!(ended.out.contains("3 skipped (there already), 0 failed"), "{ended:?}");
        } else {
            done(&ended, SKIPPED);
        }
    }
    for written in ["maildir/.Work.Old/maildirfolder", "mboxes/Work/Old.mbox", "mboxes/INBOX.mbox"] {
        assert!(folder.path().join(written).is_file(), "{written}");
    }
    let mbox = std::fs::read(folder.path().join("mboxes/INBOX.mbox")).unwrap();
    assert!(mbox.starts_with(b"From MAILER-DAEMON Sun Sep 15 00:22:28 2013\nX-IMAPbase: 7 "));
}

#[test]
fn json_that_was_exported_is_exported_the_same_again() {
    let folder = folder();
    assert_eq!(folder.run(["export", "one.json", "--storage", "mail.json"]).status, 0);
    assert_eq!(folder.run(["export", "two.json", "--storage", "one.json"]).status, 0);
    assert_eq!(folder.read("one.json"), folder.read("two.json"));
    assert!(folder.read("one.json").contains(r#""special-use": ["\\Archive"]"#));
}

#[test]
fn an_export_that_is_run_again_passes_over_what_is_there() {
    let folder = folder();
    done(&folder.run(["export", "out", "--format=maildir", "--storage", "mail.json"]), EXPORTED);
    let again = "exported 3 mailboxes, 0 messages, 0 octets (0 B); 3 skipped (there already), 0 failed";
    done(&folder.run(["export", "out", "--storage", "mail.json"]), again);
    done(&folder.run(["export", "mboxes", "--format=mbox", "--storage", "mail.json"]), EXPORTED);
    std::fs::remove_file(folder.path().join("mboxes/Work/Old.mbox")).unwrap();
    let again = "exported 1 mailbox, 1 message, 14 octets (14 B); 2 skipped (there already), 0 failed";
    done(&folder.run(["export", "mboxes", "--storage", "mail.json"]), again);
}

#[test]
fn one_mailbox_goes_to_one_file_which_is_not_overwritten() {
    let folder = folder();
    let one = "exported 1 mailbox, 1 message, 14 octets (14 B); 0 skipped (there already), 0 failed";
    done(&folder.run(["export", "old.mbox", "--mailbox", "Work/Old", "--storage", "mail.json"]), one);
    let before = folder.read("old.mbox");
    let again = folder.run(["export", "old.mbox", "--mailbox", "Work/Old", "--storage", "mail.json"]);
    refused(&again, "old.mbox is there already: nothing is overwritten");
    assert_eq!(folder.read("old.mbox"), before);
    let none = folder.run(["export", "none.mbox", "--mailbox", "None", "--storage", "mail.json"]);
    assert_eq!(none.status, 1, "{none:?}");
    assert!(none.err.contains("there is no mailbox \"None\""), "{none:?}");
    assert!(!folder.path().join("none.mbox").exists());
    let odd = folder.run(["export", "odd.mbox", "--mailbox", "a//b", "--storage", "mail.json"]);
    refused(&odd, "can't be a mailbox's name");
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = folder();
    let before = names(folder.path());
    for target in ["a.json", "a.mbox", "a"] {
        let form = if target == "a" { "--format=maildir" } else { "--mailbox=INBOX" };
        let ended = folder.run(["export", target, form, "--dry-run", "--storage", "mail.json"]);
        assert_eq!(ended.status, 0, "{ended:?}");
        assert!(ended.out.starts_with("would have exported "), "{ended:?}");
    }
    assert_eq!(names(folder.path()), before);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_can_not_be_carried_is_named_and_the_others_go_on() {
    let folder = folder();
    for sub in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(folder.path().join("mail").join(sub)).unwrap();
    }
    folder.write("mail/cur/1.empty:2,S", "");
    folder.write("mail/cur/2.good:2,S", "Subject: x\n\n");
    let ended = folder.run(["import", "mail", "--dry-run", "--storage", "mail.json"]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.out.starts_with("would have imported 1 mailbox, 1 message, 14 octets"), "{ended:?}");
    assert!(ended.out.trim_end().ends_with("1 failed"), "{ended:?}");
    assert!(ended.err.contains("INBOX: cur/1.empty:2,S: is empty; left out"), "{ended:?}");
    folder.write("bad.mbox", "Subject: no mbox\n\n");
    let ended = folder.run(["import", "bad.mbox", "--dry-run", "--storage", "mail.json"]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("bad.mbox: this is no mbox"), "{ended:?}");
    folder.write("bad.json", "{\"INBOX\": {\"message\": []}}");
    let ended = folder.run(["import", "bad.json", "--dry-run", "--storage", "mail.json"]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains("unknown key `message`"), "{ended:?}");
}

#[test]
fn what_is_unclear_is_asked_for() {
    let folder = folder();
    refused(&folder.run(["import", "none.mbox", "--storage", "mail.json"]), "none.mbox: No such file");
    folder.write("text", "hello");
    refused(&folder.run(["import", "text", "--storage", "mail.json"]), "say `--format`");
    refused(&folder.run(["export", "text2", "--storage", "mail.json"]), "say `--format`");
    refused(
        &folder.run(["import", "mail.json", "--storage", "mail.json"]),
        "the storage \"memory\" would lose all of it",
    );
    refused(
        &folder.run(["export", "x.json", "--user", "nobody", "--storage", "mail.json"]),
        "there is no user \"nobody\"",
    );
    let hash = "$2b$04$VenCN0/MMzxIeBEH2/wax.mjw4kstctNhRI28WX/lo7trABdAEwXq";
    let users = format!(
        "[storage]\nplugin = \"memory\"\nfile = \"mail.json\"\n[users]\nplugin = \"static\"\naccounts = {{ john = \"{hash}\", jill = \"{hash}\" }}\n"
    );
    folder.write("imapper.toml", &users);
    refused(&folder.run(["export", "x.json"]), "say whose mail it is: `--user NAME`");
    done(&folder.run(["export", "x.json", "--user", "jill"]), EXPORTED);
    refused(&folder.run(["import", "mail.json"]), "the storage \"memory\"");
}

#[test]
fn many_messages_are_told_by_the_thousand() {
    let folder = folder();
    let message = |number| format!("From x Thu Jan  1 00:00:00 1970\nSubject: {number}\n\nhello\n\n");
    let text: Vec<String> = (0..2500).map(message).collect();
    folder.write("many.mbox", &text.concat());
    let ended =
        folder.run(["import", "many.mbox", "--dry-run", "--mailbox", "In/New", "--storage", "mail.json"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    let lines: Vec<&str> = ended.err.lines().collect();
    let want = [
        "imapper: In/New: 1000 messages so far",
        "imapper: In/New: 2000 messages so far",
        "imapper: In/New: 2500 messages",
    ];
    assert_eq!(lines, want);
}
