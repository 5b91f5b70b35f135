//! The crate `maildir`: it reads what this storage wrote, and this storage serves what it wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use imapper_core::storage::{AccountId, FlagChange, FlagOp, Mbox, NewMessage, Storage as _, TreeOp, Want};
use imapper_core::types::{Flags, InternalDate, Keyword, SystemFlag, SystemFlags, Uid, UidSet};
use imapper_storage_maildir::Maildir as Storage;
use maildir::{MailEntry, Maildir};

use crate::folder::Folder;

const PATIENCE: Duration = Duration::from_secs(20);
const DATE: InternalDate = InternalDate { seconds: 1_644_487_200, offset_minutes: 0 };

fn john() -> AccountId {
    AccountId::from("john")
}

/// A storage, and where john's mail lies.
fn a_storage() -> (Arc<Storage>, Folder, PathBuf) {
    let folder = Folder::new();
    let storage = Storage::builder(folder.path().join("{user}")).open().unwrap();
    let root = folder.path().join("john");
    (Arc::new(storage), folder, root)
}

fn uids(numbers: impl IntoIterator<Item = u32>) -> UidSet {
    numbers.into_iter().map(|number| Uid::new(number).unwrap()).collect()
}

async fn mbox(storage: &Storage, name: &str) -> Mbox {
    let list = storage.list(&john()).await.unwrap();
    let info = list.into_iter().find(|info| info.name == name).unwrap_or_else(|| panic!("no mailbox {name}"));
    Mbox { account: john(), id: info.id }
}

/// Lines end in CRLF on the wire.
async fn append(storage: &Storage, mbox: &Mbox, text: &str, flags: SystemFlags) {
    let octets = text.replace('\n', "\r\n");
    let body = stream::iter([Ok(Bytes::copy_from_slice(octets.as_bytes()))]).boxed();
    let staged = storage.stage(&john(), Some(octets.len() as u64), body).await.unwrap();
    storage.append(mbox, vec![NewMessage::new(staged, Flags::new(flags, []), DATE)]).await.unwrap();
}

async fn set_flags(storage: &Storage, mbox: &Mbox, uid: u32, op: FlagOp) {
    let change = FlagChange { uids: uids([uid]), op, unchanged_since: None };
    storage.set_flags(mbox, change).await.unwrap();
}

/// What the crate finds: the flags of each message by its octets, with lines that end in LF.
fn found(maildir: &Maildir) -> BTreeMap<String, String> {
    let entries: Vec<MailEntry> = maildir.list_cur().chain(maildir.list_new()).map(Result::unwrap).collect();
    let read = |entry: &MailEntry| {
        let octets = std::fs::read(entry.path()).unwrap();
        (String::from_utf8(octets).unwrap().replace("\r\n", "\n"), entry.flags().to_owned())
    };
    let found: BTreeMap<_, _> = entries.iter().map(read).collect();
    assert_eq!(found.len(), entries.len(), "no message is there twice");
    found
}

/// Waits until exactly these messages are there. What has gone may have got another name, which is waited for.
async fn until(storage: &Arc<Storage>, mbox: &Mbox, wanted: impl IntoIterator<Item = u32>) {
    let wanted = uids(wanted);
    let mut told = Arc::clone(storage).watch(john(), vec![mbox.id.clone()]);
    let seen = async {
        while storage.snapshot(mbox).await.unwrap().uids != wanted {
            told.next().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("{wanted:?} are not all there is"));
}

/// The same of the storage, which counts and gives lines that end in CRLF. By the UID.
async fn served(storage: &Storage, mbox: &Mbox) -> BTreeMap<u32, (String, String)> {
    let mut served = BTreeMap::new();
    // By which the storage looks what others have changed.
    let there = storage.snapshot(mbox).await.unwrap().uids;
    let rows: Vec<_> = storage.rows(mbox, &there, Want::ALL).await.unwrap().try_concat().await.unwrap();
    for row in rows {
        let body = storage.read(&row.body.unwrap(), 0..u64::MAX).await.unwrap();
        let octets = body.try_collect::<Vec<Bytes>>().await.unwrap().concat();
        assert_eq!(octets.len() as u64, row.size);
        let octets = String::from_utf8(octets).unwrap();
        assert!(!octets.replace("\r\n", "").contains('\n'), "{octets:?}");
        served.insert(row.uid.get(), (octets.replace("\r\n", "\n"), letters(row.flags.system)));
    }
    served
}

/// In the order of letters.
const LETTERS: [(SystemFlag, char); 5] = [
    (SystemFlag::Draft, 'D'),
    (SystemFlag::Flagged, 'F'),
    (SystemFlag::Answered, 'R'),
    (SystemFlag::Seen, 'S'),
    (SystemFlag::Deleted, 'T'),
];

fn letters(flags: SystemFlags) -> String {
    LETTERS.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| *letter).collect()
}

fn flags(letters: &str) -> SystemFlags {
    let named = LETTERS.iter().filter(|(_, letter)| letters.contains(*letter));
    named.fold(SystemFlags::default(), |flags, (flag, _)| flags | (*flag).into())
}

/// A message as it lies on disk.
fn message(word: &str) -> String {
    format!("Subject: {word}\nDate: Thu, 10 Feb 2022 10:00:00 +0000\n\nthe {word} one\n")
}

fn map<K: Ord, V>(pairs: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    pairs.into_iter().collect()
}

/// `Lists/Größe`, as its folder.
const NESTED: &str = ".Lists.Gr&APYA3w-e";

const ALL: [(&str, &str); 7] = [
    ("first", ""),
    ("second", "S"),
    ("third", "FRS"),
    ("fourth", "D"),
    ("fifth", "T"),
    ("sixth", "DFRST"),
    ("seventh", "F"),
];

#[tokio::test]
async fn it_reads_what_was_written() {
    let (storage, _folder, root) = a_storage();
    let create = TreeOp::Create { name: "Lists/Größe".to_owned(), special_use: Vec::new() };
    storage.tree(&john(), create).await.unwrap();
    let (inbox, lists) = (mbox(&storage, "INBOX").await, mbox(&storage, "Lists/Größe").await);
    for (word, letters) in ALL {
        append(&storage, &inbox, &message(word), flags(letters)).await;
    }
    append(&storage, &lists, &message("nested"), SystemFlags::default()).await;

    let maildir = Maildir::from(root);
    assert_eq!(found(&maildir), map(ALL.map(|(word, letters)| (message(word), letters.to_owned()))));
    for entry in maildir.list_cur().chain(maildir.list_new()) {
        let mut entry = entry.unwrap();
        assert_eq!(entry.date().unwrap(), DATE.seconds);
        let subject = entry.parsed().unwrap().headers[0].get_value();
        assert!(ALL.iter().any(|(word, _)| *word == subject), "{subject}");
    }
    let nested = maildir.subfolder(NESTED).unwrap();
    assert_eq!(found(&nested), map([(message("nested"), String::new())]));
    assert!(maildir.list_subdirs().any(|found| found.unwrap().path() == nested.path()));

    // Changes, too: flags, one with a keyword, which is a letter of its own, and a removal.
    let travel = Flags::new(SystemFlag::Seen.into(), [Keyword::new("Travel")]);
    set_flags(&storage, &inbox, 1, FlagOp::Add(travel)).await;
    set_flags(&storage, &inbox, 3, FlagOp::Replace(Flags::default())).await;
    storage.expunge(&inbox, &uids([5]), true).await.unwrap();
    let mut wanted: BTreeMap<_, _> = map(ALL.map(|(word, letters)| (message(word), letters.to_owned())));
    wanted.insert(message("first"), "Sa".to_owned());
    wanted.insert(message("third"), String::new());
    wanted.remove(&message("fifth"));
    assert_eq!(found(&maildir), wanted);
}

/// Puts a message into each place where one may lie.
fn fill(root: &Path) -> (Maildir, Maildir) {
    let maildir = Maildir::from(root.to_owned());
    maildir.create_dirs().unwrap();
    maildir.store_new(message("new").as_bytes()).unwrap();
    for (word, letters) in ALL {
        maildir.store_cur_with_flags(message(word).as_bytes(), letters).unwrap();
    }
    maildir.create_subfolder_dirs(NESTED).unwrap();
    let nested = maildir.subfolder(NESTED).unwrap();
    nested.store_new(message("nested").as_bytes()).unwrap();
    (maildir, nested)
}

/// Octets with letters: what is left when nobody knows the UIDs yet.
fn without_uids(served: &BTreeMap<u32, (String, String)>) -> BTreeMap<String, String> {
    served.values().cloned().collect()
}

#[tokio::test]
async fn what_it_wrote_is_served() {
    let (storage, _folder, root) = a_storage();
    let (maildir, nested) = fill(&root);
    let (inbox, lists) = (mbox(&storage, "INBOX").await, mbox(&storage, "Lists/Größe").await);
    let before = served(&storage, &inbox).await;
    assert_eq!(before.keys().copied().collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    assert_eq!(without_uids(&before), found(&maildir));
    assert_eq!(before.len(), 8);
    assert_eq!(served(&storage, &lists).await, map([(1, (message("nested"), String::new()))]));

    // Changes that it makes then: flags, a move out of `new`, a removal, a new message, a move to another folder.
    let id_of = |word: &str| {
        let entries = maildir.list_cur().chain(maildir.list_new()).map(Result::unwrap);
        let mut ids =
            entries.filter(|entry| std::fs::read(entry.path()).unwrap() == message(word).as_bytes());
        ids.next().unwrap().id().to_owned()
    };
    let uid_of = |word: &str| *before.iter().find(|(_, (octets, _))| *octets == message(word)).unwrap().0;
    maildir.set_flags(&id_of("first"), "FS").unwrap();
    maildir.remove_flags(&id_of("sixth"), "T").unwrap();
    let new = id_of("new");
    if maildir.list_new().any(|entry| entry.unwrap().id() == new) {
        maildir.move_new_to_cur_with_flags(&new, "R").unwrap();
    } else {
        maildir.set_flags(&new, "R").unwrap();
    }
    maildir.delete(&id_of("fifth")).unwrap();
    maildir.store_new(message("late").as_bytes()).unwrap();
    maildir.move_to(&id_of("third"), &nested).unwrap();

    let mut wanted = before.clone();
    wanted.get_mut(&uid_of("first")).unwrap().1 = "FS".to_owned();
    wanted.get_mut(&uid_of("sixth")).unwrap().1 = "DFRS".to_owned();
    wanted.get_mut(&uid_of("new")).unwrap().1 = "R".to_owned();
    wanted.remove(&uid_of("fifth"));
    wanted.remove(&uid_of("third"));
    wanted.insert(9, (message("late"), String::new()));
    until(&storage, &inbox, wanted.keys().copied()).await;
    assert_eq!(served(&storage, &inbox).await, wanted);
    let wanted = map([(1, (message("nested"), String::new())), (2, (message("third"), "FRS".to_owned()))]);
    until(&storage, &lists, [1, 2]).await;
    assert_eq!(served(&storage, &lists).await, wanted);
}
