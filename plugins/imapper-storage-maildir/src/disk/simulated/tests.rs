use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use proptest::prelude::*;

use super::super::RealDisk;
use super::*;

/// Leaves the least that a crash may leave.
fn least(_: usize) -> usize {
    0
}

/// Leaves the most.
fn most(choices: usize) -> usize {
    choices - 1
}

/// What `look` sees after a crash, for all that a crash may leave.
fn crashes<T: Ord>(disk: &SimulatedDisk, look: impl Fn(&SimulatedDisk) -> T) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    let mut path: Vec<(usize, usize)> = Vec::new();
    loop {
        let mut depth = 0;
        let crashed = disk.crash(&mut |choices| {
            if depth == path.len() {
                path.push((0, choices));
            }
            depth += 1;
            path[depth - 1].0
        });
        seen.insert(look(&crashed));
        while path.last().is_some_and(|&(chosen, choices)| chosen + 1 == choices) {
            path.pop();
        }
        match path.last_mut() {
            Some((chosen, _)) => *chosen += 1,
            None => return seen,
        }
    }
}

fn put(disk: &SimulatedDisk, path: &str, octets: &[u8]) {
    let mut file = disk.create(path).unwrap();
    file.write(octets).unwrap();
    file.sync().unwrap();
}

fn names(disk: &SimulatedDisk, folder: &str) -> String {
    let names: Vec<String> = disk.list(folder).unwrap().into_iter().map(|(name, _)| name).collect();
    names.join(" ")
}

fn text(disk: &SimulatedDisk, path: &str) -> String {
    disk.read(path).map_or_else(|error| error.kind().to_string(), |octets| String::from_utf8(octets).unwrap())
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}

fn kind<T>(result: io::Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}

#[test]
fn a_file_whose_name_is_not_durable_may_be_lost() {
    let disk = SimulatedDisk::new();
    put(&disk, "a", b"content");
    assert_eq!(crashes(&disk, |disk| names(disk, "")), set(&["", "a"]));
    disk.sync_folder("").unwrap();
    assert_eq!(crashes(&disk, |disk| text(disk, "a")), set(&["content"]));
}

#[test]
fn a_sync_of_one_folder_makes_no_name_of_another_durable() {
    let disk = SimulatedDisk::new();
    disk.make_folder("cur").unwrap();
    put(&disk, "cur/a", b"");
    disk.sync_folder("").unwrap();
    assert_eq!(crashes(&disk, |disk| names(disk, "cur")), set(&["", "a"]));
    let disk = SimulatedDisk::new();
    disk.make_folder("cur").unwrap();
    put(&disk, "cur/a", b"");
    disk.sync_folder("cur").unwrap();
    assert_eq!(crashes(&disk, |disk| names(disk, "")), set(&["", "cur"]));
}

#[test]
fn what_was_written_is_left_as_a_beginning_that_may_end_within_a_write() {
    let disk = SimulatedDisk::new();
    let mut file = disk.create("a").unwrap();
    disk.sync_folder("").unwrap();
    file.write(b"ab").unwrap();
    file.write(b"cde").unwrap();
    assert_eq!(crashes(&disk, |disk| text(disk, "a")), set(&["", "a", "ab", "abc", "abcd", "abcde"]));
    file.sync().unwrap();
    disk.write_at("a", 1, b"XY").unwrap();
    disk.truncate("a", 2).unwrap();
    assert_eq!(crashes(&disk, |disk| text(disk, "a")), set(&["abcde", "aXcde", "aXYde", "aX"]));
    disk.sync_file("a").unwrap();
    assert_eq!(crashes(&disk, |disk| text(disk, "a")), set(&["aX"]));
}

#[test]
fn a_rename_within_a_folder_is_done_whole_or_not_at_all() {
    let disk = SimulatedDisk::new();
    put(&disk, "a", b"new");
    put(&disk, "b", b"old");
    disk.sync_folder("").unwrap();
    disk.rename("a", "b").unwrap();
    let look = |disk: &SimulatedDisk| format!("{}: {}", names(disk, ""), text(disk, "b"));
    assert_eq!(crashes(&disk, look), set(&["a b: old", "b: new"]));
}

#[test]
fn the_two_ends_of_a_rename_across_folders_may_be_left_apart() {
    let disk = SimulatedDisk::new();
    disk.make_folder("new").unwrap();
    disk.make_folder("cur").unwrap();
    disk.sync_folder("").unwrap();
    put(&disk, "new/a", b"");
    disk.sync_folder("new").unwrap();
    disk.rename("new/a", "cur/a").unwrap();
    let look = |disk: &SimulatedDisk| format!("{}|{}", names(disk, "new"), names(disk, "cur"));
    assert_eq!(crashes(&disk, look), set(&["a|", "a|a", "|a", "|"]));
    assert_eq!(disk.crash(&mut least).stat("new/a").unwrap().links, 1);
    disk.sync_folder("cur").unwrap();
    assert_eq!(crashes(&disk, look), set(&["a|a", "|a"]));
    assert_eq!(disk.crash(&mut least).stat("cur/a").unwrap().links, 2);
    disk.sync_folder("new").unwrap();
    assert_eq!(crashes(&disk, look), set(&["|a"]));
}

#[test]
fn of_one_name_a_beginning_is_left_and_other_names_do_not_matter() {
    let disk = SimulatedDisk::new();
    put(&disk, "a", b"1");
    disk.unlink("a").unwrap();
    put(&disk, "a", b"2");
    put(&disk, "b", b"");
    let look = |disk: &SimulatedDisk| format!("{} {}", text(disk, "a"), disk.stat("b").is_ok());
    let gone = ErrorKind::NotFound.to_string();
    let expected: BTreeSet<String> =
        [gone.as_str(), "1", "2"].iter().flat_map(|a| [format!("{a} true"), format!("{a} false")]).collect();
    assert_eq!(crashes(&disk, look), expected);
}

#[test]
fn a_rename_that_follows_on_one_that_is_lost_is_lost_as_well() {
    let disk = SimulatedDisk::new();
    put(&disk, "a", b"");
    disk.sync_folder("").unwrap();
    disk.rename("a", "b").unwrap();
    disk.rename("b", "c").unwrap();
    put(&disk, "x", b"");
    assert_eq!(crashes(&disk, |disk| names(disk, "")), set(&["a", "b", "c", "a x", "b x", "c x"]));
}

#[test]
fn a_folder_is_never_left_in_two_places() {
    let disk = SimulatedDisk::new();
    disk.make_folder("a").unwrap();
    disk.make_folder("b").unwrap();
    disk.make_folder("a/x").unwrap();
    put(&disk, "a/x/file", b"");
    for folder in ["", "a", "a/x"] {
        disk.sync_folder(folder).unwrap();
    }
    disk.rename("a/x", "b/x").unwrap();
    let look = |disk: &SimulatedDisk| format!("{}|{}", names(disk, "a"), names(disk, "b"));
    let seen = crashes(&disk, look);
    assert!(!seen.contains("x|x") && seen.contains("x|") && seen.contains("|x"), "{seen:?}");
    disk.sync_folder("b").unwrap();
    disk.sync_folder("a").unwrap();
    assert_eq!(names(&disk.crash(&mut least), "b/x"), "file");
}

#[test]
fn the_mtime_is_durable_with_a_sync_of_all_of_the_file_only() {
    let disk = SimulatedDisk::new();
    let mut file = disk.create("a").unwrap();
    disk.sync_folder("").unwrap();
    disk.set_mtime("a", 5).unwrap();
    assert_eq!(disk.stat("a").unwrap().mtime, 5);
    disk.sync_file("a").unwrap();
    assert_ne!(disk.crash(&mut least).stat("a").unwrap().mtime, 5);
    assert_eq!(disk.crash(&mut most).stat("a").unwrap().mtime, 5);
    file.sync().unwrap();
    assert_eq!(disk.crash(&mut least).stat("a").unwrap().mtime, 5);
}

#[test]
fn a_change_of_names_and_of_content_changes_the_mtime() {
    let disk = SimulatedDisk::new();
    let mut before = disk.stat("").unwrap().mtime;
    let mut changed = |disk: &SimulatedDisk| {
        let now = disk.stat("").unwrap().mtime;
        std::mem::replace(&mut before, now) < now
    };
    let mut file = disk.create("a").unwrap();
    assert!(changed(&disk));
    let made = disk.stat("a").unwrap().mtime;
    file.write(b"x").unwrap();
    assert!(!changed(&disk) && disk.stat("a").unwrap().mtime > made);
    disk.link("a", "b").unwrap();
    assert!(changed(&disk));
    disk.unlink("a").unwrap();
    assert!(changed(&disk));
    disk.rename("b", "c").unwrap();
    assert!(changed(&disk));
}

#[test]
fn names_of_one_file_share_its_inode_and_content() {
    let disk = SimulatedDisk::new();
    disk.make_folder("cur").unwrap();
    put(&disk, "a", b"x");
    put(&disk, "other", b"");
    disk.link("a", "cur/b").unwrap();
    let (a, b) = (disk.stat("a").unwrap(), disk.stat("cur/b").unwrap());
    assert_eq!((a, a.links, a.len), (b, 2, 1));
    assert_ne!(a.inode, disk.stat("other").unwrap().inode);
    disk.write_at("a", 1, b"y").unwrap();
    assert_eq!(disk.read("cur/b").unwrap(), b"xy");
    // POSIX has it that this does nothing.
    disk.rename("a", "cur/b").unwrap();
    assert_eq!((names(&disk, ""), names(&disk, "cur")), ("a cur other".to_owned(), "b".to_owned()));
    let open = disk.open("a").unwrap();
    disk.unlink("a").unwrap();
    assert_eq!(disk.stat("cur/b").unwrap().links, 1);
    disk.unlink("cur/b").unwrap();
    let mut buffer = [0; 4];
    assert_eq!((open.len().unwrap(), open.read_at(&mut buffer, 1).unwrap(), buffer[0]), (2, 1, b'y'));
}

#[test]
fn what_a_file_system_refuses_is_refused() {
    let disk = SimulatedDisk::new();
    disk.make_folder("a").unwrap();
    disk.make_folder("empty").unwrap();
    put(&disk, "a/file", b"x");
    put(&disk, "file", b"");
    let count = disk.count();
    assert_eq!(kind(disk.create("file")), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.make_folder("a")), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.link("a/file", "file")), ErrorKind::AlreadyExists);
    assert_eq!(kind(disk.create("none/file")), ErrorKind::NotFound);
    assert_eq!(kind(disk.create("file/file")), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.remove_folder("a")), ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind(disk.remove_folder("file")), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.unlink("a")), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.rename("empty", "a")), ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind(disk.rename("empty", "file")), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.rename("file", "empty")), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.rename("a", "a/b")), ErrorKind::InvalidInput);
    assert_eq!(kind(disk.rename("none", "b")), ErrorKind::NotFound);
    assert_eq!(kind(disk.read("a")), ErrorKind::IsADirectory);
    assert_eq!(kind(disk.list("file")), ErrorKind::NotADirectory);
    assert_eq!(kind(disk.stat("../file")), ErrorKind::InvalidInput);
    assert_eq!(kind(disk.write_at("none", 0, b"x")), ErrorKind::NotFound);
    assert_eq!(disk.count(), count);
    disk.rename("a", "empty").unwrap();
    assert_eq!((names(&disk, ""), text(&disk, "empty/file")), ("empty file".to_owned(), "x".to_owned()));
}

#[test]
fn after_the_stop_every_call_fails_and_what_was_done_is_left() {
    let disk = SimulatedDisk::new();
    put(&disk, "a", b"");
    let count = disk.count();
    assert_eq!(count, 3);
    disk.stop_after(count + 1);
    assert_eq!(names(&disk, ""), "a");
    disk.sync_folder("").unwrap();
    assert!(disk.create("b").is_err());
    assert!(disk.list("").is_err());
    assert!(disk.lock("a").is_err());
    let crashed = disk.crash(&mut least);
    assert_eq!((names(&crashed, ""), crashed.count()), ("a".to_owned(), 0));
    crashed.create("b").unwrap();
}

#[test]
fn a_fault_makes_the_operation_fail_without_effect() {
    let disk = SimulatedDisk::new();
    let mut file = disk.create("a").unwrap();
    disk.fail(|operation, path| match (operation, path) {
        ("write", "a") | ("rename", "b") => Some(ErrorKind::StorageFull),
        _ => None,
    });
    assert_eq!(kind(file.write(b"x")), ErrorKind::StorageFull);
    assert_eq!(kind(disk.rename("a", "b")), ErrorKind::StorageFull);
    assert_eq!(disk.count(), 1);
    disk.fail(|_, _| None);
    file.write(b"y").unwrap();
    assert_eq!((names(&disk, ""), text(&disk, "a")), ("a".to_owned(), "y".to_owned()));
}

#[test]
fn a_lock_keeps_others_out_until_it_goes() {
    let disk = SimulatedDisk::new();
    put(&disk, "lock", b"");
    let counter = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let _held = disk.lock("lock").unwrap();
                    let before = counter.load(Ordering::Relaxed);
                    // Others get every chance to come in between.
                    thread::yield_now();
                    counter.store(before + 1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(counter.into_inner(), 2000);
}

#[test]
fn a_crash_forgets_locks_and_a_stop_ends_the_wait_for_one() {
    let disk = SimulatedDisk::new();
    put(&disk, "lock", b"");
    disk.sync_folder("").unwrap();
    let held = disk.lock("lock").unwrap();
    drop(disk.crash(&mut least).lock("lock").unwrap());
    thread::scope(|scope| {
        let waits = scope.spawn(|| disk.lock("lock").is_err());
        disk.stop_after(0);
        assert!(waits.join().unwrap());
    });
    drop(held);
}

/// A folder in the temporary folder, which goes with the test.
struct Temporary(std::path::PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What is beneath a folder: names, contents, and which names are of one file.
fn tree(disk: &dyn Disk, folder: &str) -> Vec<String> {
    let mut names = disk.list(folder).unwrap();
    names.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut tree = Vec::new();
    for (name, kind) in names {
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let stat = disk.stat(&path).unwrap();
        assert_eq!(stat.kind, kind);
        if kind == Kind::File {
            tree.push(format!("{path} {} {:?}", stat.links, disk.read(&path).unwrap()));
        } else {
            tree.push(path.clone());
            tree.extend(self::tree(disk, &path));
        }
    }
    tree
}

fn act(disk: &dyn Disk, operation: u8, from: &str, to: &str) -> bool {
    let octet = [from.len().to_le_bytes()[0], operation];
    match operation {
        0 => disk.create(from).is_ok_and(|mut file| file.write(to.as_bytes()).is_ok()),
        1 => disk.make_folder(from).is_ok(),
        2 | 3 => disk.rename(from, to).is_ok(),
        4 => disk.link(from, to).is_ok(),
        5 => disk.unlink(from).is_ok(),
        6 => disk.remove_folder(from).is_ok(),
        7 => disk.write_at(from, to.len() as u64, &octet).is_ok(),
        8 => disk.truncate(from, to.len() as u64).is_ok(),
        9 => disk.open(from).is_ok_and(|file| file.len().is_ok()),
        10 => disk.sync_file(from).is_ok() && disk.lock(from).is_ok(),
        _ => disk.sync_folder(from).is_ok(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_a_real_disk_does(
        acts in proptest::collection::vec((0..12_u8, 0..9_usize, 0..9_usize), 1..60),
    ) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("imapper-simulated-{}-{number}", std::process::id());
        let folder = Temporary(std::env::temp_dir().join(name));
        std::fs::create_dir(&folder.0).unwrap();
        let real = RealDisk::open(&folder.0, false).unwrap();
        let simulated = SimulatedDisk::new();
        let paths = ["a", "b", "c", "a/a", "a/b", "b/a", "b/b", "a/a/a", "../a"];
        for (operation, from, to) in acts {
            let (from, to) = (paths[from], paths[to]);
            let done = act(&simulated, operation, from, to);
            // A sync that is switched off works on anything.
            if operation < 10 {
                prop_assert_eq!(act(&real, operation, from, to), done, "{} {} {}", operation, from, to);
            }
            prop_assert_eq!(tree(&real, ""), tree(&simulated, ""));
        }
        simulated.sync_folder("").unwrap();
        prop_assert_eq!(simulated.crash(&mut most).list("").unwrap(), simulated.list("").unwrap());
        prop_assert_eq!(tree(&simulated.crash(&mut most), ""), tree(&simulated, ""));
    }
}
