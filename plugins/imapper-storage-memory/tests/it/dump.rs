//! Writing a storage down as a fixture.

use super::*;
use imapper_storage_memory::{Dump, Fixture};
use serde_json::{Value, json};

fn load(json: &str) -> Memory {
    Memory::from_fixture(Fixture::from_json(json).unwrap())
}

fn again(memory: &Memory, options: Dump) -> (Value, Value) {
    let first = memory.dump(&john(), options).unwrap();
    let second = load(&first.to_string()).dump(&john(), options).unwrap();
    (first, second)
}

const SEVERAL: &str = r##"{
    "INBOX": {"uidvalidity": 9, "folders": {"child": {}}, "messages": [
        {"raw": "Subject: a\r\n\r\n\u00ff\u0000", "internaldate": "14-Sep-2013 21:22:28 -0300", "flags": ["\\Seen", "Mine"], "uid": 7, "modseq": 5}]},
    "": {"folders": {"Sent": {"special-use": ["\\Sent", "\\Drafts"], "folders": {"x": {"subscribed": false}}},
        "Held": {"flags": ["\\Noselect", "\\Archive"]}, "Fixed": {"allowPermanentFlags": false, "uidnext": 44}}},
    "Archive.": {"folders": {"2024": {"folders": {"May": {"messages": ["x"]}}}}},
    "#news.": {"type": "shared", "folders": {"world": {"subscribed": true, "messages": ["news"]}, "local": {}}},
    "#a": {"type": "shared", "folders": {"b": {}}},
    "user.": {"type": "user", "folders": {"jill": {"messages": ["hers"], "folders": {"Plans": {"subscribed": true}}}}}
}"##;

#[test]
fn what_is_written_is_read_again() {
    let memory = load(SEVERAL);
    let uses = Dump { special_use: true, ..Dump::default() };
    for options in [Dump::default(), uses, Dump { modseq: true, ..uses }] {
        let (first, second) = again(&memory, options);
        assert_eq!(first, second);
    }
    let dump = memory.dump(&john(), uses).unwrap();
    let message = &dump["INBOX"]["messages"][0];
    assert_eq!(message["raw"], "Subject: a\r\n\r\n\u{ff}\0");
    assert_eq!(message["internaldate"], "14-Sep-2013 21:22:28 -0300");
    assert_eq!(message["flags"], json!(["\\Seen", "Mine"]));
    assert_eq!((&dump["INBOX"]["uidvalidity"], &message["uid"]), (&json!(9), &json!(7)));
    assert_eq!(dump[""]["folders"]["Sent"]["special-use"], json!(["\\Sent", "\\Drafts"]));
    assert_eq!(dump[""]["folders"]["Held"], json!({"flags": ["\\Noselect"], "special-use": ["\\Archive"]}));
    assert_eq!(dump["Archive."]["folders"]["2024"]["folders"]["May"]["messages"][0]["raw"], "x");
    assert_eq!(dump["#news."]["folders"]["world"]["subscribed"], true);
    assert_eq!(dump["user."]["folders"]["jill"]["folders"]["Plans"]["subscribed"], true);
    assert_eq!(dump["#a"]["folders"]["b"]["messages"], json!([]));
}

#[test]
fn what_is_not_asked_for_leaves_no_trace() {
    let memory = load(SEVERAL);
    let dump = memory.dump_all(Dump::default()).unwrap().to_string();
    assert!(!dump.contains("modseq") && !dump.contains("labels") && !dump.contains("special-use"));
    let with = memory.dump(&john(), Dump { modseq: true, ..Dump::default() }).unwrap();
    assert_eq!(with["INBOX"]["messages"][0]["modseq"], 5);
}

#[tokio::test]
async fn what_has_changed_is_written() {
    let memory = load(r#"{"INBOX": {"messages": ["x"]}}"#);
    let mbox = create(&memory, "a/b").await;
    append(&memory, &mbox, b"new").await;
    memory.expunge(&inbox(&memory).await, &UidSet::all(), false).await.unwrap();
    let (first, second) = again(&memory, Dump::default());
    assert_eq!(first["INBOX"]["messages"], json!([]));
    assert_eq!(first["INBOX"]["uidnext"], 2);
    assert_eq!(first[""]["folders"]["a"]["flags"], json!(["\\Noselect"]));
    assert_eq!(first[""]["folders"]["a"]["folders"]["b"]["messages"][0]["raw"], "new");
    assert_eq!(first, second);
}

#[test]
fn with_labels_a_message_stands_there_once() {
    let memory = load(r#"{"INBOX": {"messages": [{"raw": "x", "labels": ["Work"]}, "y"]}}"#);
    let options = Dump { labels: true, ..Dump::default() };
    let (first, second) = again(&memory, options);
    assert_eq!(first["INBOX"]["messages"][0]["labels"], json!(["Work"]));
    assert_eq!(first["INBOX"]["messages"][1].get("labels"), None);
    assert_eq!(first[""]["folders"]["Work"]["messages"], json!([]));
    assert_eq!(second["INBOX"]["messages"], first["INBOX"]["messages"]);
}

#[test]
fn an_empty_storage_is_written_too() {
    let memory = Memory::builder().shared_account(AccountId::from("public")).build();
    let (first, second) = again(&memory, Dump::default());
    assert_eq!(first["public"], json!({"type": "shared", "separator": "/", "folders": {}}));
    assert_eq!(first[""], second[""]);
}

/// What nobody in particular is shown.
async fn any(memory: &Memory) -> Value {
    let json = memory.as_dump().unwrap().write(None, Dump::default()).await.unwrap();
    serde_json::from_str(&json).unwrap()
}

#[tokio::test]
async fn where_nobody_was_the_fixture_is_written_then_the_only_user_s_mail_then_everybody_s() {
    let memory = load(SEVERAL);
    let fresh = any(&memory).await;
    assert_eq!(fresh["INBOX"]["messages"][0]["uid"], 7);
    assert_eq!(fresh["user."]["folders"]["jill"]["folders"]["Plans"]["subscribed"], true);
    assert_eq!(any(&load(&fresh.to_string())).await, fresh);
    // To look is not to be there.
    assert_eq!(any(&memory).await, fresh);

    let mbox = create(&memory, "new").await;
    append(&memory, &mbox, b"x").await;
    let only = any(&memory).await;
    assert_eq!(only, memory.dump(&john(), Dump::default()).unwrap());
    assert_eq!(only[""]["folders"]["new"]["messages"][0]["raw"], "x");

    memory.list(&AccountId::from("bob")).await.unwrap();
    let all = any(&memory).await;
    assert_eq!(all["john"], memory.dump(&john(), Dump::default()).unwrap());
    assert_eq!(all["bob"]["INBOX"]["messages"][0]["uid"], 7);
    assert!(all["bob"][""]["folders"].get("new").is_none());
}
