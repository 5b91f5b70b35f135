//! What accounts hold at first.

use super::*;
use imapper_storage_memory::Fixture;

fn load(json: &str) -> Memory {
    Memory::from_fixture(Fixture::from_json(json).unwrap())
}

async fn names(memory: &Memory, account: &str) -> Vec<String> {
    let list = memory.list(&AccountId::from(account)).await.unwrap();
    let mut names: Vec<String> = list.into_iter().map(|info| info.name).collect();
    names.sort();
    names
}

const SEVERAL: &str = r##"{
    "INBOX": {"messages": ["a\n\nb"]},
    "": {"folders": {"Work": {"special-use": "\\Archive"}}},
    "#news.": {"type": "shared", "folders": {"world": {"messages": ["news"]}}},
    "user.": {"type": "user", "folders": {"jill": {"messages": ["hers"], "folders": {"Plans": {}}}}}
}"##;

#[tokio::test]
async fn each_user_has_a_copy_and_shared_mail_exists_once() {
    let memory = load(SEVERAL);
    for user in ["john", "jack"] {
        assert_eq!(names(&memory, user).await, ["INBOX", "Work"]);
    }
    assert_eq!(names(&memory, "jill").await, ["INBOX", "Plans"]);
    assert_eq!(names(&memory, "#news").await, ["world"]);
    let (mine, his) = (inbox(&memory).await, mbox_of(&memory, &AccountId::from("jack"), "INBOX").await);
    memory.expunge(&mine, &UidSet::all(), false).await.unwrap();
    assert_eq!(text(&memory, &his, uid(1)).await, b"a\r\n\r\nb");
    let hers = mbox_of(&memory, &AccountId::from("jill"), "INBOX").await;
    assert_eq!(text(&memory, &hers, uid(1)).await, b"hers");
    assert_eq!(memory.subscriptions(&john()).await.unwrap(), ["INBOX", "Work"]);
    assert!(memory.subscriptions(&AccountId::from("jill")).await.unwrap().is_empty());
    let list = memory.list(&john()).await.unwrap();
    let work = list.into_iter().find(|info| info.name == "Work").unwrap();
    assert_eq!(work.special_use, [Arc::from("\\Archive")]);
}

#[tokio::test]
async fn a_shared_account_has_no_inbox_by_itself() {
    let memory = Memory::builder().shared_account(AccountId::from("public")).build();
    assert!(names(&memory, "public").await.is_empty());
    assert_eq!(names(&memory, "john").await, ["INBOX"]);
}

#[tokio::test]
async fn messages_stand_in_the_order_of_their_uids() {
    let memory = load(
        r#"{"INBOX": {"uidnext": 50, "messages": [
            {"raw": "c", "uid": 67}, {"raw": "d"}, {"raw": "b", "uid": 66}, {"raw": "e"}]}}"#,
    );
    let mbox = inbox(&memory).await;
    let mut texts = Vec::new();
    for row in rows(&memory, &mbox, &UidSet::all()).await {
        texts.push((row.uid.get(), text(&memory, &mbox, row.uid).await));
    }
    let wanted: Vec<(u32, Vec<u8>)> =
        [(66, "b"), (67, "c"), (68, "d"), (69, "e")].map(|(n, text)| (n, text.into())).into();
    assert_eq!(texts, wanted);
    assert_eq!(memory.snapshot(&mbox).await.unwrap().status.uid_next, uid(70));
}

#[tokio::test]
async fn numbers_of_the_fixture_hold_and_others_come_by_themselves() {
    let memory = load(
        r#"{"INBOX": {"messages": [{"modseq": 7}, {}, {"modseq": 3}]},
            "": {"folders": {"a": {"uidvalidity": 5, "uidnext": 234}, "b": {}}}}"#,
    );
    let status =
        async |name: &str| memory.snapshot(&mbox_of(&memory, &john(), name).await).await.unwrap().status;
    assert_eq!(status("a").await.uid_validity.get(), 5);
    assert_eq!(status("a").await.uid_next, uid(234));
    assert_ne!(status("b").await.uid_validity, status("INBOX").await.uid_validity);
    assert_eq!(status("INBOX").await.highest_modseq.0, 8);
    let modseqs: Vec<u64> =
        rows(&memory, &inbox(&memory).await, &UidSet::all()).await.iter().map(|row| row.modseq.0).collect();
    assert_eq!(modseqs, [7, 8, 3]);
    let since = imapper_core::types::ModSeq(3);
    assert_eq!(memory.changes(&inbox(&memory).await, since, 10).await.unwrap().changed.len(), 2);
}

#[tokio::test]
async fn keywords_of_the_fixture_are_known_where_new_ones_are_not_allowed() {
    let memory =
        load(r#"{"INBOX": {"allowPermanentFlags": false, "messages": [{"flags": ["\\Seen", "Mine"]}]}}"#);
    let snapshot = memory.snapshot(&inbox(&memory).await).await.unwrap();
    assert!(!snapshot.new_keywords);
    assert_eq!(snapshot.keywords.len(), 1);
    assert_eq!(snapshot.status.unseen, 0);
}

#[tokio::test]
async fn a_label_is_a_second_place() {
    let memory = load(
        r#"{"INBOX": {"messages": [{"raw": "x", "labels": ["Work/2024", "\\Sent", "\\Starred", "\\Inbox"]}]},
            "": {"folders": {"Gesendet": {"special-use": "\\Sent"}}}}"#,
    );
    assert_eq!(names(&memory, "john").await, ["Gesendet", "INBOX", "Work/2024"]);
    let here = row(&memory, &inbox(&memory).await, uid(1)).await;
    assert!(here.flags.contains(SystemFlag::Flagged));
    for name in ["Work/2024", "Gesendet"] {
        let there = row(&memory, &mbox_of(&memory, &john(), name).await, uid(1)).await;
        assert_eq!((there.email_id, there.thread_id), (here.email_id, here.thread_id));
    }
    let objects = memory.as_objects().unwrap();
    assert_eq!(objects.places(&john(), &[here.email_id.unwrap()]).await.unwrap().len(), 3);
}

#[tokio::test]
async fn labels_by_use_are_one_mailbox_that_can_hold_messages() {
    let memory = load(
        r#"{"INBOX": {"messages": [{"raw": "x", "labels": ["\\Spam", "\\Archive"]}]},
            "": {"folders": {"b": {"special-use": "\\Junk"}, "a": {"special-use": "\\Junk"},
            "Held": {"flags": "\\Noselect", "special-use": "\\Archive"}}}}"#,
    );
    assert_eq!(names(&memory, "john").await, ["Archive", "Held", "INBOX", "a", "b"]);
    // The first by name.
    row(&memory, &mbox_of(&memory, &john(), "a").await, uid(1)).await;
    row(&memory, &mbox_of(&memory, &john(), "Archive").await, uid(1)).await;
}

#[tokio::test]
async fn messages_of_the_fixture_are_tied_to_conversations() {
    let memory = load(
        r#"{"INBOX": {"messages": ["Subject: Re: x\r\nReferences: <1@a>\r\n\r\n", "Subject: y\r\n\r\n",
            "Subject: Re: x\r\nIn-Reply-To: <1@a>\r\n\r\n"]},
            "": {"folders": {"Sent": {"messages": ["Subject: x\r\nMessage-ID: <1@a>\r\n\r\n"]}}}}"#,
    );
    let mut threads = Vec::new();
    for (name, number) in [("INBOX", 1), ("INBOX", 2), ("INBOX", 3), ("Sent", 1)] {
        let mbox = mbox_of(&memory, &john(), name).await;
        threads.push(row(&memory, &mbox, uid(number)).await.thread_id.unwrap());
    }
    assert!(threads[0] == threads[2] && threads[0] == threads[3] && threads[0] != threads[1], "{threads:?}");
}

#[tokio::test]
async fn a_placeholder_holds_nothing_and_gives_way() {
    let memory = load(r#"{"": {"folders": {"a": {"flags": ["\\Noselect"], "folders": {"b": {}}}}}}"#);
    let old = mbox_of(&memory, &john(), "a").await;
    assert!(memory.list(&john()).await.unwrap().iter().any(|info| info.name == "a" && info.no_select));
    assert!(matches!(memory.snapshot(&old).await, Err(StorageError::NoMailbox)));
    let new = create(&memory, "a").await;
    assert_ne!(new, old);
    append(&memory, &new, b"x").await;
}

#[tokio::test]
async fn the_example_is_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/mailbox.json");
    let memory = Memory::from_fixture(Fixture::from_file(path).unwrap());
    assert_eq!(names(&memory, "john").await, ["Drafts", "INBOX", "Sent", "Trash"]);
    assert!(!names(&memory, "#news").await.is_empty());
    let rows = rows(&memory, &inbox(&memory).await, &UidSet::all()).await;
    assert_eq!(rows.len(), 3);
}
