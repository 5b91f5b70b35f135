//! What other programs do to the files, and what happens to files when nobody looks.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use imapper_core::storage::{
    AccountId, CopyMode, FlagChange, FlagOp, KeptDigest, MailboxId, Mbox, NewMessage, Storage, TreeOp, Want,
};
use imapper_core::types::{Flags, InternalDate, Keyword, SystemFlags, Uid, UidSet};
use imapper_storage_maildir::{Layout, Maildir};

use crate::folder::Folder;

fn john() -> AccountId {
    AccountId::from("john")
}

fn open_as(folder: &Folder, layout: Layout) -> Arc<Maildir> {
    let builder = Maildir::builder(folder.path().join("mail/{user}")).layout(layout).durable(false);
    Arc::new(builder.open().unwrap())
}

fn open(folder: &Folder) -> Arc<Maildir> {
    open_as(folder, Layout::MaildirPlusPlus)
}

fn home(folder: &Folder) -> PathBuf {
    folder.path().join("mail/john")
}

async fn id_of(storage: &Maildir, name: &str) -> Option<MailboxId> {
    let list = storage.list(&john()).await.unwrap();
    list.into_iter().find(|info| info.name == name).map(|info| info.id)
}

async fn mbox(storage: &Maildir, name: &str) -> Mbox {
    Mbox { account: john(), id: id_of(storage, name).await.unwrap() }
}

async fn create(storage: &Maildir, name: &str) -> Mbox {
    let op = TreeOp::Create { name: name.to_owned(), special_use: Vec::new() };
    Mbox { account: john(), id: storage.tree(&john(), op).await.unwrap().unwrap().id }
}

async fn message(storage: &Maildir, text: &str) -> NewMessage {
    let body = stream::iter([Ok(Bytes::copy_from_slice(text.as_bytes()))]).boxed();
    let staged = storage.stage(&john(), None, body).await.unwrap();
    NewMessage::new(staged, Flags::default(), InternalDate { seconds: 1_000_000_000, offset_minutes: 0 })
}

async fn append(storage: &Maildir, mbox: &Mbox, texts: &[&str]) -> Vec<Uid> {
    let mut messages = Vec::new();
    for text in texts {
        messages.push(message(storage, text).await);
    }
    storage.append(mbox, messages).await.unwrap().uids
}

async fn count(storage: &Maildir, mbox: &Mbox) -> u32 {
    storage.status(&john(), std::slice::from_ref(&mbox.id)).await.unwrap()[0].messages
}

fn all() -> UidSet {
    UidSet::range(Uid::MIN, Uid::MAX)
}

async fn contents(storage: &Maildir, mbox: &Mbox) -> Vec<(u32, String)> {
    let rows: Vec<_> = storage.rows(mbox, &all(), Want::ALL).await.unwrap().try_concat().await.unwrap();
    let mut found = Vec::new();
    for row in rows {
        let octets: Vec<Bytes> =
            storage.read(&row.body.unwrap(), 0..row.size).await.unwrap().try_collect().await.unwrap();
        found.push((row.uid.get(), String::from_utf8(octets.concat()).unwrap()));
    }
    found
}

fn names(path: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_another_program_makes_is_listed() {
    let folder = Folder::new();
    let storage = open(&folder);
    assert!(id_of(&storage, "INBOX").await.is_some());
    fs::create_dir(folder.path().join("new")).unwrap();
    let made = folder.path().join("new/x");
    for sub in ["cur", "new", "tmp"] {
        fs::create_dir_all(made.join(sub)).unwrap();
    }
    fs::rename(made, home(&folder).join(".Whole")).unwrap();
    assert!(id_of(&storage, "Whole").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_another_program_makes_step_by_step_is_listed() {
    let folder = Folder::new();
    let storage = open(&folder);
    assert!(id_of(&storage, "INBOX").await.is_some());
    let made = home(&folder).join(".Steps");
    fs::create_dir(&made).unwrap();
    assert!(id_of(&storage, "Steps").await.is_none());
    for sub in ["tmp", "new", "cur"] {
        fs::create_dir(made.join(sub)).unwrap();
    }
    assert!(id_of(&storage, "Steps").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_program_removes_while_the_server_is_stopped_stays_removed() {
    let folder = Folder::new();
    let storage = open(&folder);
    let inbox = mbox(&storage, "INBOX").await;
    let target = create(&storage, "Copies").await;
    append(&storage, &inbox, &["one", "two"]).await;
    storage.copy(&inbox, &all(), &target, CopyMode::Copy).await.unwrap();
    assert_eq!(count(&storage, &target).await, 2);
    drop(storage);
    for name in names(home(&folder).join(".Copies/cur")) {
        fs::remove_file(home(&folder).join(".Copies/cur").join(name)).unwrap();
    }
    let storage = open(&folder);
    let target = mbox(&storage, "Copies").await;
    assert_eq!(count(&storage, &target).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_that_another_program_sets_while_the_server_is_stopped_stay() {
    let folder = Folder::new();
    let storage = open(&folder);
    let inbox = mbox(&storage, "INBOX").await;
    append(&storage, &inbox, &["one", "two"]).await;
    let seen = Flags::new(SystemFlags::from_bits(imapper_core::types::SystemFlag::Seen as u8), []);
    let change = FlagChange { uids: all(), op: FlagOp::Add(seen), unchanged_since: None };
    storage.set_flags(&inbox, change).await.unwrap();
    drop(storage);
    let cur = home(&folder).join("cur");
    for name in names(cur.clone()) {
        fs::rename(cur.join(&name), cur.join(name.strip_suffix('S').unwrap())).unwrap();
    }
    let storage = open(&folder);
    let status = storage.status(&john(), std::slice::from_ref(&inbox.id)).await.unwrap();
    assert_eq!(status[0].unseen, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyword_that_dovecot_has_added_while_the_server_was_stopped_is_kept() {
    let folder = Folder::new();
    let storage = open(&folder);
    let inbox = mbox(&storage, "INBOX").await;
    append(&storage, &inbox, &["one"]).await;
    let ours = Flags::new(SystemFlags::NONE, [Keyword::new("ours")]);
    let change = FlagChange { uids: all(), op: FlagOp::Add(ours), unchanged_since: None };
    storage.set_flags(&inbox, change).await.unwrap();
    drop(storage);
    fs::write(home(&folder).join("dovecot-keywords"), "0 ours\n1 theirs\n").unwrap();
    let cur = home(&folder).join("cur");
    for name in names(cur.clone()) {
        fs::rename(cur.join(&name), cur.join(format!("{name}b"))).unwrap();
    }
    let storage = open(&folder);
    let rows: Vec<_> = storage.rows(&inbox, &all(), Want::FLAGS).await.unwrap().try_concat().await.unwrap();
    let keywords: Vec<_> = rows[0].flags.keywords().iter().map(|word| word.as_str().to_owned()).collect();
    assert_eq!(keywords, ["ours", "theirs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_another_program_makes_anew_after_a_delete_keeps_its_mail() {
    let folder = Folder::new();
    let storage = open_as(&folder, Layout::Fs);
    let above = create(&storage, "a").await;
    create(&storage, "a/b").await;
    storage.tree(&john(), TreeOp::Delete { id: above.id }).await.unwrap();
    drop(storage);
    for sub in ["cur", "new", "tmp"] {
        fs::create_dir_all(home(&folder).join("a").join(sub)).unwrap();
    }
    fs::write(home(&folder).join("a/new/1.2.3"), "Subject: kept\n\n").unwrap();
    let storage = open_as(&folder, Layout::Fs);
    let id = id_of(&storage, "a").await;
    assert!(id.is_some(), "mailbox gone; in tmp/: {:?}", names(home(&folder).join("tmp")));
    assert_eq!(count(&storage, &Mbox { account: john(), id: id.unwrap() }).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uid_keeps_its_content_when_two_files_have_the_same_base() {
    let folder = Folder::new();
    let cur = home(&folder).join("cur");
    fs::create_dir_all(&cur).unwrap();
    fs::create_dir_all(home(&folder).join("new")).unwrap();
    // As rsync without --delete leaves them after a flag has changed.
    fs::write(cur.join("1.2.3:2,"), "old\r\n").unwrap();
    fs::write(cur.join("1.2.3:2,S"), "new\r\n").unwrap();
    let storage = open(&folder);
    let first = contents(&storage, &mbox(&storage, "INBOX").await).await;
    eprintln!("at first: {first:?}");
    drop(storage);
    for _ in 0..3 {
        let storage = open(&folder);
        assert_eq!(contents(&storage, &mbox(&storage, "INBOX").await).await, first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_is_that_of_its_message_after_uids_have_been_given_anew() {
    let folder = Folder::new();
    let storage = open(&folder);
    let inbox = mbox(&storage, "INBOX").await;
    let mut messages = Vec::new();
    for text in ["one", "two"] {
        let mut one = message(&storage, text).await;
        one.digest = Some(KeptDigest { version: 1, bytes: Bytes::copy_from_slice(text.as_bytes()) });
        messages.push(one);
    }
    storage.append(&inbox, messages).await.unwrap();
    drop(storage);
    // As Dovecot does when it has lost its list: another UIDVALIDITY, other UIDs.
    let path = home(&folder).join("dovecot-uidlist");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines = text.lines();
    let head = lines.next().unwrap();
    let head: Vec<String> = head
        .split(' ')
        .map(|word| if word.starts_with('V') { "V1234567890".to_owned() } else { word.to_owned() })
        .collect();
    let bases: Vec<&str> = lines.map(|line| line.split_once(':').unwrap().1).collect();
    fs::write(&path, format!("{}\n1 :{}\n2 :{}\n", head.join(" "), bases[1], bases[0])).unwrap();
    let storage = open(&folder);
    let inbox = mbox(&storage, "INBOX").await;
    let texts = contents(&storage, &inbox).await;
    let rows: Vec<_> = storage.rows(&inbox, &all(), Want::ALL).await.unwrap().try_concat().await.unwrap();
    for (row, (uid, text)) in rows.iter().zip(texts) {
        if let Some(digest) = &row.digest {
            assert_eq!(digest.bytes, text.as_bytes(), "UID {uid}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_another_program_removes_goes_even_where_the_mailbox_is_looked_at_often() {
    let folder = Folder::new();
    let storage = open(&folder);
    let inbox = mbox(&storage, "INBOX").await;
    append(&storage, &inbox, &["one"]).await;
    assert_eq!(count(&storage, &inbox).await, 1);
    let cur = home(&folder).join("cur");
    for name in names(cur.clone()) {
        fs::remove_file(cur.join(name)).unwrap();
    }
    let gone = async { while count(&storage, &inbox).await > 0 {} };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_uids_does_not_grow_for_ever() {
    let folder = Folder::new();
    let storage = open(&folder);
    let inbox = mbox(&storage, "INBOX").await;
    let texts = vec!["x"; 100];
    for _ in 0..45 {
        append(&storage, &inbox, &texts).await;
        storage.expunge(&inbox, &all(), false).await.unwrap();
    }
    append(&storage, &inbox, &["last"]).await;
    append(&storage, &inbox, &["last"]).await;
    let lines = fs::read_to_string(home(&folder).join("dovecot-uidlist")).unwrap().lines().count();
    assert!(lines < 4200, "{lines} lines for 2 messages");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_break_in_a_name_does_not_damage_the_list_of_uids() {
    let folder = Folder::new();
    let storage = open(&folder);
    let inbox = mbox(&storage, "INBOX").await;
    let uids = append(&storage, &inbox, &["one", "two"]).await;
    fs::write(home(&folder).join("new/evil\n9 :other"), "evil\r\n").unwrap();
    fs::write(home(&folder).join("new/more\nrubbish"), "evil\r\n").unwrap();
    count(&storage, &inbox).await;
    let before = contents(&storage, &inbox).await;
    let validity = storage.snapshot(&inbox).await.unwrap().status.uid_validity;
    drop(storage);
    for _ in 0..2 {
        let _ = fs::remove_file(home(&folder).join("imapper.index"));
        let storage = open(&folder);
        let inbox = mbox(&storage, "INBOX").await;
        assert_eq!(storage.snapshot(&inbox).await.unwrap().status.uid_validity, validity);
        assert_eq!(contents(&storage, &inbox).await, before, "{uids:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_read_does_not_take_the_others_with_it() {
    let folder = Folder::new();
    let storage = open(&folder);
    let inbox = mbox(&storage, "INBOX").await;
    append(&storage, &inbox, &["one"]).await;
    for sub in ["cur", "new", "tmp"] {
        fs::create_dir_all(home(&folder).join(".Odd").join(sub)).unwrap();
    }
    std::os::unix::fs::symlink("/nowhere", home(&folder).join(".Odd/dovecot-uidlist")).unwrap();
    drop(storage);
    let storage = open(&folder);
    let opened = storage.list(&john()).await;
    assert!(opened.is_ok(), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_body_twice_in_one_append_gives_the_same_uid() {
    let folder = Folder::new();
    let storage = open(&folder);
    let inbox = mbox(&storage, "INBOX").await;
    let one = message(&storage, "one").await;
    let appending = storage.append(&inbox, vec![one.clone(), one]);
    let appended = appending.await.unwrap();
    assert_eq!(appended.uids[0], appended.uids[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_keeps_its_id_when_its_folder_is_copied() {
    let folder = Folder::new();
    let storage = open(&folder);
    create(&storage, "Mail").await;
    let id = id_of(&storage, "Mail").await;
    for copy in 0..20 {
        let to = home(&folder).join(format!(".Copy{copy}"));
        for sub in ["new", "tmp", "cur"] {
            fs::create_dir_all(to.join(sub)).unwrap();
        }
        fs::copy(home(&folder).join(".Mail/dovecot-uidlist"), to.join("dovecot-uidlist")).unwrap();
    }
    create(&storage, "Other").await;
    drop(storage);
    let storage = open(&folder);
    assert_eq!(id_of(&storage, "Mail").await, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_is_open_stays_itself_when_its_folder_is_copied() {
    let folder = Folder::new();
    let storage = open(&folder);
    let mail = create(&storage, "Mail").await;
    for copy in 0..20 {
        let to = home(&folder).join(format!(".Copy{copy}"));
        for sub in ["new", "tmp", "cur"] {
            fs::create_dir_all(to.join(sub)).unwrap();
        }
        fs::copy(home(&folder).join(".Mail/dovecot-uidlist"), to.join("dovecot-uidlist")).unwrap();
    }
    // Whatever makes it look at the tree anew.
    storage.tree(&john(), TreeOp::Subscribe { name: "x".into(), on: true }).await.unwrap();
    let beside = open(&folder);
    create(&beside, "Other").await;
    storage.list(&john()).await.unwrap();
    append(&storage, &mail, &["one"]).await;
    assert_eq!(names(home(&folder).join(".Mail/cur")).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_that_another_program_renames_is_followed() {
    let folder = Folder::new();
    let storage = open(&folder);
    let mail = create(&storage, "Mail").await;
    append(&storage, &mail, &["one"]).await;
    assert_eq!(count(&storage, &mail).await, 1);
    fs::rename(home(&folder).join(".Mail"), home(&folder).join(".Post")).unwrap();
    let beside = open(&folder);
    create(&beside, "Other").await;
    assert_eq!(id_of(&storage, "Post").await.as_ref(), Some(&mail.id));
    fs::write(home(&folder).join(".Post/new/1.2.3"), "x\r\n").unwrap();
    assert_eq!(count(&storage, &mail).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_another_program_removes_is_not_listed() {
    let folder = Folder::new();
    let storage = open(&folder);
    create(&storage, "Mail").await;
    assert!(id_of(&storage, "Mail").await.is_some());
    fs::remove_dir_all(home(&folder).join(".Mail")).unwrap();
    assert!(id_of(&storage, "Mail").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn mod_sequences_begin_higher_when_the_index_is_deleted() {
    let folder = Folder::new();
    let storage = open(&folder);
    // As a server that counts nanoseconds has them, or this one whose clock was ahead.
    let numbers = imapper_core::storage::Numbers {
        uid_validity: std::num::NonZeroU32::new(7).unwrap(),
        uid_next: Uid::MIN,
        highest_modseq: imapper_core::types::ModSeq(1 << 60),
    };
    let id = storage.as_import().unwrap().create(&john(), "Mail", numbers).await.unwrap();
    let mail = Mbox { account: john(), id };
    append(&storage, &mail, &["one"]).await;
    let before = storage.snapshot(&mail).await.unwrap().status.highest_modseq;
    drop(storage);
    fs::remove_file(home(&folder).join(".Mail/imapper.index")).unwrap();
    let storage = open(&folder);
    let after = storage.snapshot(&mail).await.unwrap().status.highest_modseq;
    assert!(after > before, "{after:?} after {before:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_files_in_tmp_of_any_mailbox_are_swept() {
    let folder = Folder::new();
    let storage = open(&folder);
    create(&storage, "Mail").await;
    drop(storage);
    let old = home(&folder).join(".Mail/tmp/1.2.3");
    fs::write(&old, "cut off").unwrap();
    let long_ago = std::time::SystemTime::now() - Duration::from_hours(24 * 7);
    fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    let storage = open(&folder);
    let mail = mbox(&storage, "Mail").await;
    count(&storage, &mail).await;
    // It is swept once the first change has been answered, and before the next one.
    append(&storage, &mail, &["x"]).await;
    assert!(!old.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grows_after_it_was_taken_in_is_another_message() {
    let folder = Folder::new();
    fs::create_dir_all(home(&folder).join("new")).unwrap();
    fs::create_dir_all(home(&folder).join("cur")).unwrap();
    let path = home(&folder).join("new/1.2.3");
    fs::write(&path, "one\r\n").unwrap();
    let storage = open(&folder);
    let inbox = mbox(&storage, "INBOX").await;
    assert_eq!(count(&storage, &inbox).await, 1);
    let mut file = fs::File::options().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, b"two\r\n").unwrap();
    drop(file);
    let old = contents(&storage, &inbox).await;
    assert_eq!(old[0].1, "one\r\n");
    let new = contents(&storage, &inbox).await;
    assert_eq!(new[0].1, "one\r\ntwo\r\n");
    assert!(new[0].0 > old[0].0);
}

/// Two processes as two storages, each with several writers, while another program delivers.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_storages_over_one_folder_lose_and_double_nothing() {
    let folder = Folder::new();
    let (one, other) = (open(&folder), open(&folder));
    create(&one, "Other").await;
    let mut tasks = Vec::new();
    for (who, storage) in [(0, &one), (1, &other), (2, &one), (3, &other)] {
        let storage = Arc::clone(storage);
        tasks.push(tokio::spawn(async move {
            let (inbox, target) = (mbox(&storage, "INBOX").await, mbox(&storage, "Other").await);
            let mut gone = Vec::new();
            for round in 0..25 {
                let texts = [format!("{who}.{round}.a"), format!("{who}.{round}.b")];
                let uids = append(&storage, &inbox, &[&texts[0], &texts[1]]).await;
                let one: UidSet = [uids[0]].into_iter().collect();
                match round % 3 {
                    0 => drop(storage.copy(&inbox, &one, &target, CopyMode::Move).await.unwrap()),
                    1 => {
                        storage.expunge(&inbox, &one, false).await.unwrap();
                        gone.push(texts[0].clone());
                    }
                    _ => {
                        let flags = Flags::new(SystemFlags::NONE, [Keyword::new(&format!("k{who}{round}"))]);
                        let op = FlagOp::Add(flags);
                        let change = FlagChange { uids: one, op, unchanged_since: None };
                        storage.set_flags(&inbox, change).await.unwrap();
                    }
                }
            }
            gone
        }));
    }
    for number in 0..200 {
        let name = format!("{number}.d.host");
        fs::write(home(&folder).join("tmp").join(&name), format!("d.{number}")).unwrap();
        fs::rename(home(&folder).join("tmp").join(&name), home(&folder).join("new").join(&name)).unwrap();
        tokio::task::yield_now().await;
    }
    let mut gone = Vec::new();
    for task in tasks {
        gone.extend(task.await.unwrap());
    }
    let mut seen = Vec::new();
    for name in ["INBOX", "Other"] {
        let (a, b) = (mbox(&one, name).await, mbox(&other, name).await);
        let (mut left, right) = (contents(&one, &a).await, contents(&other, &b).await);
        assert_eq!(left, right, "{name}");
        let fresh = open(&folder);
        assert_eq!(left, contents(&fresh, &mbox(&fresh, name).await).await, "{name} anew");
        seen.append(&mut left);
    }
    let mut texts: Vec<String> = seen.into_iter().map(|(_, text)| text).collect();
    texts.sort();
    let all = texts.len();
    texts.dedup();
    assert_eq!((all, texts.len()), (200 + 200 - gone.len(), all));
    assert!(gone.iter().all(|text| !texts.contains(text)));
    for path in ["dovecot-uidlist", ".Other/dovecot-uidlist"] {
        let text = fs::read_to_string(home(&folder).join(path)).unwrap();
        let uids: Vec<u32> =
            text.lines().skip(1).map(|line| line.split_once(' ').unwrap().0.parse().unwrap()).collect();
        assert!(uids.is_sorted(), "{path}: {uids:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_of_all_can_be_set_after_another_program_has_removed_one() {
    let folder = Folder::new();
    let storage = open(&folder);
    let inbox = mbox(&storage, "INBOX").await;
    append(&storage, &inbox, &["one", "two", "three"]).await;
    let cur = home(&folder).join("cur");
    fs::remove_file(cur.join(names(cur.clone()).remove(0))).unwrap();
    let mut done = Vec::new();
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        let seen = Flags::new(SystemFlags::from_bits(imapper_core::types::SystemFlag::Seen as u8), []);
        let change = FlagChange { uids: all(), op: FlagOp::Add(seen), unchanged_since: None };
        done.push(storage.set_flags(&inbox, change).await.map(drop));
        if done.last().unwrap().is_ok() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(done.last().unwrap().is_ok(), "{:?} after {} times", done.last(), done.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_to_another_account_is_whole_or_not_at_all() {
    let folder = Folder::new();
    let storage = open(&folder);
    let inbox = mbox(&storage, "INBOX").await;
    append(&storage, &inbox, &["one"]).await;
    assert_eq!(contents(&storage, &inbox).await.len(), 1);
    let jane = AccountId::from("jane");
    let id = storage.list(&jane).await.unwrap()[0].id.clone();
    let target = Mbox { account: jane, id };
    storage.snapshot(&target).await.unwrap();
    // From now on the source can be read, and not changed; a kill between the two steps leaves the same.
    let journal = home(&folder).join("imapper.journal");
    fs::rename(&journal, home(&folder).join("kept")).unwrap();
    fs::create_dir(&journal).unwrap();
    let moved = storage.copy(&inbox, &all(), &target, CopyMode::Move).await;
    fs::remove_dir(&journal).unwrap();
    fs::rename(home(&folder).join("kept"), &journal).unwrap();
    let found = (contents(&storage, &inbox).await.len(), contents(&storage, &target).await.len());
    assert!(found == (1, 0) || found == (0, 1), "{found:?} after {moved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailbox_can_be_made_where_another_program_has_made_one_that_is_not_seen_yet() {
    let folder = Folder::new();
    let storage = open(&folder);
    assert!(id_of(&storage, "INBOX").await.is_some());
    let made = home(&folder).join(".Mail");
    fs::create_dir(&made).unwrap();
    fs::write(made.join("maildirfolder"), "").unwrap();
    let op = TreeOp::Create { name: "Mail".to_owned(), special_use: Vec::new() };
    let created = storage.tree(&john(), op).await;
    assert!(created.is_ok(), "{created:?}");
}
