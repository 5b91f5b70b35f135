//! What fails, or what others do, between the steps of a change.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use imapper_core::storage::{
    AccountId, CopyMode, FlagChange, FlagOp, MailboxId, NewMessage, Result, Staged, StorageError,
};
use imapper_core::types::{Flags, InternalDate, SystemFlag, SystemFlags, Uid, UidSet};
use tokio::runtime::Handle;

use super::tree::Making;
use super::{Account, Arrival, Parts, append, copy, expunge, flags, tree};
use crate::disk::{Disk, Kind, Lock, ReadFile, RealDisk, Stat, WriteFile};
use crate::format::folder::Layout;
use crate::mailbox::entry::Entry;
use crate::watching::Watching;

type Hook = Box<dyn FnMut(&str, &str, &RealDisk) -> io::Result<()> + Send>;

/// A disk with somebody in between.
struct Between {
    disk: RealDisk,
    hook: Mutex<Option<Hook>>,
}

impl Between {
    fn ask(&self, what: &str, path: &str) -> io::Result<()> {
        self.hook.lock().unwrap().as_mut().map_or(Ok(()), |hook| hook(what, path, &self.disk))
    }

    fn set(&self, hook: impl FnMut(&str, &str, &RealDisk) -> io::Result<()> + Send + 'static) {
        *self.hook.lock().unwrap() = Some(Box::new(hook));
    }

    fn clear(&self) {
        *self.hook.lock().unwrap() = None;
    }
}

struct Shared(Arc<Between>);

macro_rules! pass {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $type),*) -> io::Result<$out> {
            let args: &[&str] = &[$(stringify!($arg)),*];
            let _ = args;
            self.0.ask(stringify!($name), first!($($arg),*))?;
            self.0.disk.$name($($arg),*)
        })*
    };
}
macro_rules! first {
    ($first:ident $(, $rest:ident)*) => {
        $first
    };
}

impl Disk for Shared {
    pass! {
        read(path: &str) -> Vec<u8>;
        open(path: &str) -> Box<dyn ReadFile>;
        list(folder: &str) -> Vec<(String, Kind)>;
        stat(path: &str) -> Stat;
        create(path: &str) -> Box<dyn WriteFile>;
        write_at(path: &str, offset: u64, octets: &[u8]) -> ();
        truncate(path: &str, len: u64) -> ();
        set_mtime(path: &str, seconds: i64) -> ();
        rename(from: &str, to: &str) -> ();
        link(from: &str, to: &str) -> ();
        unlink(path: &str) -> ();
        make_folder(path: &str) -> ();
        remove_folder(path: &str) -> ();
        sync_file(path: &str) -> ();
        sync_folder(folder: &str) -> ();
        lock(path: &str) -> Box<dyn Lock>;
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("imapper-{}", crate::unique::name()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn between(folder: &Folder) -> Arc<Between> {
    Arc::new(Between { disk: RealDisk::open(&folder.0, true).unwrap(), hook: Mutex::default() })
}

fn open(folder: &Folder, disk: &Arc<Between>, watches: bool) -> Result<Arc<Account>> {
    Account::open(Parts {
        id: AccountId::from("john"),
        personal: true,
        layout: Layout::MaildirPlusPlus,
        disk: Some(Arc::new(Shared(Arc::clone(disk)))),
        index: None,
        base: Some(folder.0.clone()),
        watching: watches.then(Watching::start),
        runtime: Handle::current(),
        allowed: Arc::default(),
    })
}

fn id_of(account: &Account, name: &str) -> MailboxId {
    account.read().names.get(name).cloned().unwrap()
}

fn all() -> UidSet {
    UidSet::range(Uid::MIN, Uid::MAX)
}

async fn create(account: &Arc<Account>, name: &'static str) -> MailboxId {
    let making = move |batch: &mut super::Batch<'_>| {
        tree::create(batch, Making { name, special_use: Vec::new(), numbers: None })
    };
    account.change(making).await.unwrap().id
}

async fn append(account: &Arc<Account>, disk: &Between, id: &MailboxId, count: usize) -> Result<()> {
    let mut arrivals = Vec::new();
    for _ in 0..count {
        let token = crate::unique::name();
        let mut file = disk.disk.create(&format!("tmp/{token}")).unwrap();
        file.write(b"body\r\n").unwrap();
        file.sync().unwrap();
        let staged = Staged { size: 6, token: token.clone().into() };
        let date = InternalDate { seconds: 1_000_000_000, offset_minutes: 0 };
        arrivals.push(Arrival { message: NewMessage::new(staged, Flags::default(), date), token });
    }
    let id = id.clone();
    account.change(move |batch| append::append(batch, &id, &arrivals)).await.map(drop)
}

async fn count(account: &Arc<Account>, id: &MailboxId) -> Result<usize> {
    account.fresh(id).await?;
    Ok(account.read().mailbox(id)?.len())
}

async fn transfer(account: &Arc<Account>, from: &MailboxId, to: &MailboxId) -> Result<()> {
    let (from, to) = (from.clone(), to.clone());
    account.change(move |batch| copy::copy(batch, &from, &all(), &to, CopyMode::Move)).await.map(drop)
}

fn says_nothing_happened(error: &StorageError) -> bool {
    matches!(
        error,
        StorageError::Unavailable(_) | StorageError::Busy | StorageError::OverQuota | StorageError::Limit(_)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_refused_for_want_of_room_has_not_happened() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, false).unwrap();
    let inbox = id_of(&account, "INBOX");
    let target = create(&account, "Target").await;
    append(&account, &disk, &inbox, 2).await.unwrap();
    count(&account, &target).await.unwrap();
    disk.set(|what, path, _| {
        let full = what == "write_at" && path.ends_with("imapper.index");
        if full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    });
    let moved = transfer(&account, &inbox, &target).await;
    disk.clear();
    let error = moved.unwrap_err();
    let left = count(&account, &inbox).await.unwrap();
    assert!(left == 2 || !says_nothing_happened(&error), "{error:?}, but {left} are left of 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_is_refused_for_want_of_room_is_not_there() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, false).unwrap();
    let inbox = id_of(&account, "INBOX");
    append(&account, &disk, &inbox, 1).await.unwrap();
    disk.set(|what, path, _| {
        let failed = what == "sync_file" && path.ends_with("imapper.index");
        if failed { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    });
    let appended = append(&account, &disk, &inbox, 1).await;
    disk.clear();
    let error = appended.unwrap_err();
    let there = count(&account, &inbox).await.unwrap();
    // A client that is told so appends again, and has it twice.
    assert!(there == 1 || !says_nothing_happened(&error), "{error:?}, but {there} are there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_expunged_stays_expunged_when_another_program_renames_it_meanwhile() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, false).unwrap();
    let inbox = id_of(&account, "INBOX");
    append(&account, &disk, &inbox, 1).await.unwrap();
    disk.set(|what, path, disk| {
        if what == "unlink" && path.starts_with("cur/") && path.ends_with(":2,") {
            disk.rename(path, &format!("{path}S"))?;
        }
        Ok(())
    });
    let id = inbox.clone();
    let done = account.change(move |batch| expunge::expunge(batch, &id, &all(), false)).await;
    disk.clear();
    drop(account);
    let account = open(&folder, &disk, false).unwrap();
    let left = count(&account, &inbox).await.unwrap();
    assert!(done.is_err() || left == 0, "expunged, and {left} there again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_leaves_nothing_behind_when_another_program_renames_the_message_meanwhile() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, false).unwrap();
    let inbox = id_of(&account, "INBOX");
    let target = create(&account, "Target").await;
    append(&account, &disk, &inbox, 1).await.unwrap();
    disk.set(|what, path, disk| {
        if what == "unlink" && path.starts_with("cur/") && path.ends_with(":2,") {
            disk.rename(path, &format!("{path}S"))?;
        }
        Ok(())
    });
    let done = transfer(&account, &inbox, &target).await;
    disk.clear();
    drop(account);
    let account = open(&folder, &disk, false).unwrap();
    let found = (count(&account, &inbox).await.unwrap(), count(&account, &target).await.unwrap());
    assert_eq!(found, if done.is_ok() { (0, 1) } else { (1, 0) }, "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_whose_removal_fails_is_whole_or_not_at_all() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, false).unwrap();
    let inbox = id_of(&account, "INBOX");
    let target = create(&account, "Target").await;
    append(&account, &disk, &inbox, 2).await.unwrap();
    let mut unlinked = 0;
    disk.set(move |what, path, _| {
        unlinked += u32::from(what == "unlink" && path.starts_with("cur/"));
        if unlinked == 2 && what == "unlink" { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    });
    let done = transfer(&account, &inbox, &target).await;
    disk.clear();
    drop(account);
    let account = open(&folder, &disk, false).unwrap();
    let found = (count(&account, &inbox).await.unwrap(), count(&account, &target).await.unwrap());
    assert!(found == (0, 2) || found == (2, 0), "{found:?} after {done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_could_not_be_looked_at_once_is_found_later() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, true).unwrap();
    let inbox = id_of(&account, "INBOX");
    assert_eq!(count(&account, &inbox).await.unwrap(), 0);
    disk.set(|what, path, _| {
        // EMFILE: too many files are open.
        let failed = what == "open" && path.starts_with("new/");
        if failed { Err(io::Error::from_raw_os_error(24)) } else { Ok(()) }
    });
    std::fs::write(folder.0.join("tmp/1.2.3"), "body\n").unwrap();
    std::fs::rename(folder.0.join("tmp/1.2.3"), folder.0.join("new/1.2.3")).unwrap();
    assert!(count(&account, &inbox).await.is_err());
    disk.clear();
    assert_eq!(count(&account, &inbox).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_that_cannot_be_read_does_not_close_the_mailbox() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, false).unwrap();
    let inbox = id_of(&account, "INBOX");
    std::fs::write(folder.0.join("new/1.2.3"), "body\n").unwrap();
    std::fs::write(folder.0.join("new/4.5.6"), "body\n").unwrap();
    disk.set(|what, path, _| {
        let failed = what == "open" && path == "new/1.2.3";
        if failed { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    });
    assert_eq!(count(&account, &inbox).await.ok(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_lets_messages_be_removed() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, false).unwrap();
    let inbox = id_of(&account, "INBOX");
    append(&account, &disk, &inbox, 1).await.unwrap();
    drop(account);
    // Another program has made a folder, then the disk has become full.
    for sub in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(folder.0.join(".Fresh").join(sub)).unwrap();
    }
    disk.set(|what, _, _| {
        let failed = matches!(what, "create");
        if failed { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    });
    let opened = open(&folder, &disk, false);
    assert!(opened.is_ok(), "{:?}", opened.err());
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_can_be_set_after_another_program_has_renamed_a_message_where_nothing_is_watched() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, false).unwrap();
    let inbox = id_of(&account, "INBOX");
    append(&account, &disk, &inbox, 1).await.unwrap();
    let name = disk.disk.list("cur").unwrap().remove(0).0;
    std::fs::rename(folder.0.join("cur").join(&name), folder.0.join("cur").join(format!("{name}F"))).unwrap();
    let seen = Flags::new(SystemFlags::from_bits(SystemFlag::Seen as u8), []);
    let mut done = Err(StorageError::Busy);
    for _ in 0..20 {
        let change = FlagChange { uids: all(), op: FlagOp::Add(seen.clone()), unchanged_since: None };
        let id = inbox.clone();
        done = account.change(move |batch| flags::set_flags(batch, &id, &change)).await.map(drop);
        if done.is_ok() {
            break;
        }
    }
    assert!(done.is_ok(), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_outcome_is_not_known_is_whole_or_not_at_all() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, false).unwrap();
    let inbox = id_of(&account, "INBOX");
    let target = create(&account, "Target").await;
    append(&account, &disk, &inbox, 2).await.unwrap();
    count(&account, &target).await.unwrap();
    let mut journals = 0;
    disk.set(move |what, path, _| {
        journals += u32::from(what == "write_at" && path == "imapper.journal");
        let link = what == "link" && path.starts_with("cur/");
        let again = what == "write_at" && path == "imapper.journal" && journals == 2;
        if link || again { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    });
    let refused = transfer(&account, &inbox, &target).await.map(drop).unwrap_err();
    disk.clear();
    drop(account);
    let account = open(&folder, &disk, false).unwrap();
    let found = (count(&account, &inbox).await.unwrap(), count(&account, &target).await.unwrap());
    // Its outcome was not known: all or nothing.
    assert!(matches!(refused, StorageError::Indeterminate(_)), "{refused}");
    assert!([(2, 0), (0, 2)].contains(&found), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_looks_at_no_whole_folder_however_many_messages_have_come_and_gone() {
    let folder = Folder::new();
    let disk = Arc::new(Between { disk: RealDisk::open(&folder.0, false).unwrap(), hook: Mutex::default() });
    let account = open(&folder, &disk, false).unwrap();
    let inbox = id_of(&account, "INBOX");
    for _ in 0..41 {
        append(&account, &disk, &inbox, 100).await.unwrap();
        let id = inbox.clone();
        account.change(move |batch| expunge::expunge(batch, &id, &all(), false)).await.unwrap();
    }
    let listed = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&listed);
    disk.set(move |what, path, _| {
        *seen.lock().unwrap() += u32::from(what == "list" && path == "cur");
        Ok(())
    });
    for _ in 0..10 {
        append(&account, &disk, &inbox, 1).await.unwrap();
    }
    let listed = *listed.lock().unwrap();
    assert!(listed <= 1, "{listed} times in 10 appends");
}

/// Holds the thread that runs changes until `enqueue` has put several into the queue: they are one batch.
async fn as_one_batch<T>(account: &Arc<Account>, enqueue: impl FnOnce() -> T) -> T {
    let held = Arc::clone(account);
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (locked, is_locked) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        let _run = held.run.lock().unwrap();
        locked.send(()).unwrap();
        wait.recv().unwrap();
    });
    is_locked.recv().unwrap();
    drop(account.change(|_| Ok((super::Change::default(), ()))));
    while !account.queue.lock().unwrap().jobs.is_empty() {
        tokio::task::yield_now().await;
    }
    let futures = enqueue();
    go.send(()).unwrap();
    holder.join().unwrap();
    futures
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_uids_ascends_when_a_move_and_an_append_share_a_batch() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, false).unwrap();
    let inbox = id_of(&account, "INBOX");
    let target = create(&account, "Target").await;
    append(&account, &disk, &inbox, 1).await.unwrap();
    count(&account, &target).await.unwrap();
    let token = crate::unique::name();
    let mut file = disk.disk.create(&format!("tmp/{token}")).unwrap();
    file.write(b"body\r\n").unwrap();
    let staged = Staged { size: 6, token: token.clone().into() };
    let date = InternalDate { seconds: 1_000_000_000, offset_minutes: 0 };
    let arrivals = vec![Arrival { message: NewMessage::new(staged, Flags::default(), date), token }];
    let (moving, adding) = as_one_batch(&account, || {
        let (from, to) = (inbox.clone(), target.clone());
        let moving = account.change(move |batch| copy::copy(batch, &from, &all(), &to, CopyMode::Move));
        let to = target.clone();
        (moving, account.change(move |batch| append::append(batch, &to, &arrivals)))
    })
    .await;
    moving.await.unwrap();
    adding.await.unwrap();
    let text = String::from_utf8(disk.disk.read(".Target/dovecot-uidlist").unwrap()).unwrap();
    let list = crate::format::uidlist::UidList::parse(text.as_bytes());
    let numbers = |account: &Account| {
        let state = account.read();
        let mailbox = state.mailbox(&target).unwrap();
        let bases: Vec<_> = mailbox.messages().map(|(uid, one)| (uid, Arc::clone(&one.base))).collect();
        (mailbox.uid_validity, bases)
    };
    let before = numbers(&account);
    drop(account);
    std::fs::remove_file(folder.0.join(".Target/imapper.index")).unwrap();
    let account = open(&folder, &disk, false).unwrap();
    count(&account, &target).await.unwrap();
    assert_eq!(before, numbers(&account), "{:?} in\n{text}", list.err());
    assert!(list.is_ok(), "{:?} in\n{text}", list.err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_when_the_account_cannot_be_locked() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, false).unwrap();
    let inbox = id_of(&account, "INBOX");
    std::fs::write(folder.0.join("new/1.2.3"), "body\n").unwrap();
    let before = disk.disk.read("dovecot-uidlist").unwrap();
    disk.set(|what, _, _| if what == "lock" { Err(io::Error::from_raw_os_error(37)) } else { Ok(()) });
    assert!(count(&account, &inbox).await.is_err());
    disk.clear();
    assert_eq!(before, disk.disk.read("dovecot-uidlist").unwrap());
}

#[test]
fn conversations_are_bounded() {
    let folder = Folder::new();
    let disk = RealDisk::open(&folder.0, false).unwrap();
    let mut threads = super::threads::Threads::default();
    for email in 0..10_000u64 {
        let keys: Vec<u64> = (0..128).map(|key| email << 16 | key).collect();
        threads.enter(&disk, email, &keys);
    }
    let len = disk.stat("imapper.threads.cache").unwrap().len;
    assert!(len <= 20 * 1_100_000, "{len} octets");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_another_program_takes_out_of_new_while_it_gets_flags_is_still_there() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, false).unwrap();
    let inbox = id_of(&account, "INBOX");
    std::fs::write(folder.0.join("new/1.2.3"), "body\n").unwrap();
    assert_eq!(count(&account, &inbox).await.unwrap(), 1);
    let mut done = false;
    disk.set(move |what, path, disk| {
        if what == "unlink" && path == "new/1.2.3" && !std::mem::replace(&mut done, true) {
            disk.rename("new/1.2.3", "cur/1.2.3:2,")?;
        }
        Ok(())
    });
    let seen = Flags::new(SystemFlags::from_bits(SystemFlag::Seen as u8), []);
    let change = FlagChange { uids: all(), op: FlagOp::Add(seen), unchanged_since: None };
    let id = inbox.clone();
    account.change(move |batch| flags::set_flags(batch, &id, &change)).await.unwrap();
    disk.clear();
    assert_eq!(count(&account, &inbox).await.unwrap(), 1);
    let left: Vec<_> =
        std::fs::read_dir(folder.0.join("cur")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["1.2.3:2,S"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_could_not_be_looked_at_once_is_found_later() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, true).unwrap();
    for below in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(folder.0.join(".Work").join(below)).unwrap();
    }
    disk.set(
        |what, path, _| if what == "list" && path.is_empty() { Err(io::Error::other("cut")) } else { Ok(()) },
    );
    assert!(account.change(|_| Ok((super::Change::default(), ()))).await.is_err());
    disk.clear();
    account.fresh_tree().await.unwrap();
    assert!(account.read().names.contains_key("Work"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_was_refused_can_be_asked_for_again() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, true).unwrap();
    let inbox = id_of(&account, "INBOX");
    assert_eq!(count(&account, &inbox).await.unwrap(), 0);
    let mut watch = account.watch();
    disk.set(|what, _, _| if what == "lock" { Err(io::Error::other("cut")) } else { Ok(()) });
    account.refresh_later(Some(inbox.clone()));
    // Answered only after the one before it.
    assert!(account.change(|_| Ok((super::Change::default(), ()))).await.is_err());
    disk.clear();
    std::fs::write(folder.0.join("tmp/1.2.3"), "body\n").unwrap();
    std::fs::rename(folder.0.join("tmp/1.2.3"), folder.0.join("new/1.2.3")).unwrap();
    let told = tokio::time::timeout(std::time::Duration::from_secs(20), watch.recv()).await;
    assert!(told.is_ok(), "nobody was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_of_a_small_mailbox_through_which_many_messages_went_is_not_written_anew_each_time() {
    let folder = Folder::new();
    let disk = between(&folder);
    let account = open(&folder, &disk, false).unwrap();
    let inbox = id_of(&account, "INBOX");
    append(&account, &disk, &inbox, 1).await.unwrap();
    if let Some(mailbox) = account.write().slots.get_mut(&inbox).and_then(|slot| slot.mailbox.as_mut()) {
        let gone = |n: u32| Entry::Gone { uids: vec![(n * 2, n * 2)], modseq: mailbox_modseq(n) };
        mailbox.apply(&(1000..10_000).map(gone).collect::<Vec<_>>());
    }
    let written = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&written);
    disk.set(move |what, path, _| {
        *counted.lock().unwrap() += usize::from(what == "create" && path == "imapper.index.new");
        Ok(())
    });
    for _ in 0..3 {
        append(&account, &disk, &inbox, 1).await.unwrap();
    }
    // What is tidied after the last answer is over when another change is.
    account.change(|_| Ok((super::Change::default(), ()))).await.unwrap();
    disk.clear();
    assert!(*written.lock().unwrap() <= 1, "{written:?}");
}

/// Above what the clock gives.
fn mailbox_modseq(n: u32) -> u64 {
    crate::mailbox::later_modseq() + 1_000_000 + u64::from(n)
}
