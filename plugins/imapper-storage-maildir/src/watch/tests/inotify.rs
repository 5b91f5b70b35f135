use std::io::Write as _;

use super::*;

impl Temp {
    fn tmp_file(&self, name: &str) -> PathBuf {
        self.0.join("tmp").join(name)
    }
}

fn came(name: &str) -> Seen {
    Seen::Name { name: name.to_owned(), gone: false }
}

fn went(name: &str) -> Seen {
    Seen::Name { name: name.to_owned(), gone: true }
}

/// Does something in a folder and drains it.
fn seen_after(work: impl FnOnce(&Temp)) -> Vec<Seen> {
    let temp = Temp::new();
    fs::write(temp.tmp_file("written"), "text").unwrap();
    fs::write(temp.new_file("old"), "text").unwrap();
    let (watcher, _woken) = start(STILL);
    let key = watcher.add(&temp.new_folder());
    work(&temp);
    let seen = watcher.drain(key);
    assert_eq!(watcher.drain(key), [], "what was drained is not seen again");
    seen
}

#[test]
fn a_file_that_is_moved_in_or_out_is_seen_by_the_next_drain() {
    let moved_in = |temp: &Temp| fs::rename(temp.tmp_file("written"), temp.new_file("a")).unwrap();
    assert_eq!(seen_after(moved_in), [came("a")]);
    let moved_out = |temp: &Temp| fs::rename(temp.new_file("old"), temp.tmp_file("old")).unwrap();
    assert_eq!(seen_after(moved_out), [went("old")]);
}

#[test]
fn a_file_that_gets_another_name_goes_and_comes_in_this_order() {
    let renamed = |temp: &Temp| fs::rename(temp.new_file("old"), temp.new_file("old:2,S")).unwrap();
    assert_eq!(seen_after(renamed), [went("old"), came("old:2,S")]);
}

#[test]
fn a_file_that_is_deleted_or_written_in_place_is_seen() {
    assert_eq!(seen_after(|temp| fs::remove_file(temp.new_file("old")).unwrap()), [went("old")]);
    let written = |temp: &Temp| {
        let mut file = File::options().append(true).open(temp.new_file("old")).unwrap();
        file.write_all(b"more").unwrap();
    };
    assert_eq!(seen_after(written), [came("old")]);
}

#[test]
fn a_file_that_is_linked_in_is_seen_at_once() {
    let linked = |temp: &Temp| fs::hard_link(temp.tmp_file("written"), temp.new_file("a")).unwrap();
    assert_eq!(seen_after(linked), [came("a")]);
}

#[test]
fn what_is_made_complete_is_seen_at_once() {
    assert_eq!(seen_after(|temp| fs::create_dir(temp.new_file("folder")).unwrap()), [came("folder")]);
    let symlink = |temp: &Temp| std::os::unix::fs::symlink("nowhere", temp.new_file("link")).unwrap();
    assert_eq!(seen_after(symlink), [came("link")]);
}

#[test]
fn a_name_that_is_no_utf_8_is_left_out() {
    use std::os::unix::ffi::OsStrExt as _;
    let written = |temp: &Temp| {
        let bad = std::ffi::OsStr::from_bytes(b"b\xff");
        fs::write(temp.new_folder().join(bad), "text").unwrap();
        fs::write(temp.new_file("good"), "text").unwrap();
    };
    assert_eq!(seen_after(written), [came("good")]);
}

#[test]
fn a_file_is_not_seen_before_it_is_closed() {
    let temp = Temp::new();
    let (watcher, _woken) = start(STILL);
    let key = watcher.add(&temp.new_folder());
    let file = File::create(temp.new_file("a")).unwrap();
    assert_eq!(watcher.drain(key), []);
    drop(file);
    assert_eq!(watcher.drain(key), [came("a")]);
}

#[test]
fn a_file_that_stays_open_is_seen_after_a_while() {
    let temp = Temp::new();
    let (watcher, woken) = start(Settings { unfinished: Duration::from_millis(20), ..STILL });
    let key = watcher.add(&temp.new_folder());
    let file = File::create(temp.new_file("a")).unwrap();
    assert_eq!(woken.recv_timeout(PATIENCE), Ok(vec![key]));
    assert_eq!(watcher.drain(key), [came("a")]);
    drop(file);
    assert_eq!(watcher.drain(key), [came("a")], "it may have been written since");
}

/// The thread sleeps without an end when the drain, and not it, learns of the file.
#[test]
fn a_linked_file_whose_other_name_is_gone_is_seen_after_a_while() {
    let temp = Temp::new();
    let (watcher, woken) = start(Settings { unfinished: Duration::from_millis(20), ..STILL });
    let key = watcher.add(&temp.new_folder());
    for name in ["a", "b", "c", "d"] {
        fs::write(temp.tmp_file("t"), "text").unwrap();
        // As if it had been written in the moment of the link.
        let file = File::options().append(true).open(temp.tmp_file("t")).unwrap();
        file.set_modified(SystemTime::now() + PATIENCE).unwrap();
        // So that there is but one name by the time of the look.
        let state = watcher.shared.state();
        fs::hard_link(temp.tmp_file("t"), temp.new_file(name)).unwrap();
        fs::remove_file(temp.tmp_file("t")).unwrap();
        drop(state);
        assert_eq!(watcher.drain(key), []);
        assert_eq!(woken.recv_timeout(PATIENCE), Ok(vec![key]));
        assert_eq!(watcher.drain(key), [came(name)]);
    }
}

#[test]
fn a_linked_file_that_was_written_before_is_seen_at_once() {
    let temp = Temp::new();
    let (watcher, _woken) = start(STILL);
    let key = watcher.add(&temp.new_folder());
    fs::write(temp.tmp_file("t"), "text").unwrap();
    let file = File::options().append(true).open(temp.tmp_file("t")).unwrap();
    file.set_modified(SystemTime::now() - PATIENCE).unwrap();
    let state = watcher.shared.state();
    fs::hard_link(temp.tmp_file("t"), temp.new_file("a")).unwrap();
    fs::remove_file(temp.tmp_file("t")).unwrap();
    drop(state);
    assert_eq!(watcher.drain(key), [came("a")]);
}

#[test]
fn a_file_that_goes_before_it_is_closed_is_only_seen_to_go() {
    let temp = Temp::new();
    let (watcher, _woken) = start(Settings { unfinished: Duration::ZERO, ..STILL });
    let key = watcher.add(&temp.new_folder());
    let state = watcher.shared.state();
    let file = File::create(temp.new_file("a")).unwrap();
    fs::remove_file(temp.new_file("a")).unwrap();
    drop(state);
    assert_eq!(watcher.drain(key), [went("a")]);
    drop(file);
}

#[test]
fn too_many_unfinished_files_are_everything() {
    let temp = Temp::new();
    let (watcher, _woken) = start(Settings { most: 1, ..STILL });
    let key = watcher.add(&temp.new_folder());
    let first = File::create(temp.new_file("a")).unwrap();
    assert_eq!(watcher.drain(key), []);
    let second = File::create(temp.new_file("b")).unwrap();
    assert_eq!(watcher.drain(key), [Seen::All]);
    drop((first, second));
}

#[test]
fn two_keys_for_one_folder_both_see_what_happens_until_they_are_removed() {
    let temp = Temp::new();
    let link = temp.0.join("link");
    std::os::unix::fs::symlink(&temp.0, &link).unwrap();
    let (watcher, _woken) = start(STILL);
    let (one, two) = (watcher.add(&temp.new_folder()), watcher.add(&link.join("new")));
    assert_ne!(one, two);
    fs::write(temp.new_file("a"), "text").unwrap();
    assert_eq!(watcher.drain(one), [came("a")]);
    assert_eq!(watcher.drain(two), [came("a")]);
    watcher.remove(one);
    fs::write(temp.new_file("b"), "text").unwrap();
    assert_eq!(watcher.drain(one), []);
    assert_eq!(watcher.drain(two), [came("b")]);
    watcher.remove(two);
    let three = watcher.add(&temp.new_folder());
    fs::write(temp.new_file("c"), "text").unwrap();
    assert_eq!(watcher.drain(two), []);
    assert_eq!(watcher.drain(three), [came("c")]);
}

#[test]
fn more_names_than_are_kept_are_everything() {
    let temp = Temp::new();
    let (watcher, _woken) = start(Settings { most: 3, ..STILL });
    let key = watcher.add(&temp.new_folder());
    let write = |names: &[&str]| {
        for name in names {
            fs::write(temp.new_file(name), "text").unwrap();
        }
    };
    write(&["a", "b", "c"]);
    assert_eq!(watcher.drain(key), [came("a"), came("b"), came("c")]);
    write(&["d", "e", "f", "g"]);
    assert_eq!(watcher.drain(key), [Seen::All]);
    write(&["h"]);
    assert_eq!(watcher.drain(key), [came("h")]);
}

#[test]
fn a_burst_wakes_once_until_it_is_drained() {
    let temp = Temp::new();
    let (watcher, woken) = start(STILL);
    let key = watcher.add(&temp.new_folder());
    for name in 0..200 {
        fs::write(temp.new_file(&name.to_string()), "text").unwrap();
    }
    assert_eq!(woken.recv_timeout(PATIENCE), Ok(vec![key]));
    assert_eq!(watcher.drain(key).len(), 200);
    fs::remove_file(temp.new_file("0")).unwrap();
    assert_eq!(woken.recv_timeout(PATIENCE), Ok(vec![key]));
    drop(watcher);
    ends_without(&woken);
}

#[test]
fn what_the_drain_of_one_folder_learns_of_another_wakes_that_one() {
    let temp = Temp::new();
    let (watcher, woken) = start(STILL);
    let (one, two) = (watcher.add(&temp.new_folder()), watcher.add(&temp.0.join("tmp")));
    for round in 0..20 {
        fs::write(temp.tmp_file(&round.to_string()), "text").unwrap();
        assert_eq!(watcher.drain(one), []);
        assert_eq!(woken.recv_timeout(PATIENCE), Ok(vec![two]));
        assert_eq!(watcher.drain(two), [came(&round.to_string())]);
    }
}

#[test]
fn a_folder_that_is_replaced_is_everything_and_the_new_one_is_watched() {
    let temp = Temp::new();
    let (watcher, woken) = start(Settings { poll: Duration::from_millis(5), ..STILL });
    let key = watcher.add(&temp.new_folder());
    let replacements: [fn(&Temp); 2] = [
        |temp| fs::remove_dir(temp.new_folder()).unwrap(),
        |temp| fs::rename(temp.new_folder(), temp.0.join("moved")).unwrap(),
    ];
    for take_away in replacements {
        take_away(&temp);
        assert_eq!(woken.recv_timeout(PATIENCE), Ok(vec![key]));
        assert_eq!(watcher.drain(key), [Seen::All]);
        fs::create_dir(temp.new_folder()).unwrap();
        assert_eq!(woken.recv_timeout(PATIENCE), Ok(vec![key]), "the folder is there again");
        // Seen as everything, and at times twice, until there is a watch.
        while !watcher.drain(key).is_empty() {}
        fs::write(temp.new_file("a"), "text").unwrap();
        fs::remove_file(temp.new_file("a")).unwrap();
        assert_eq!(watcher.drain(key), [came("a"), went("a")]);
        while woken.try_recv().is_ok() {}
    }
}

/// Fills the kernel's queue with what happens in tmp. The state is locked, so that nothing is read meanwhile.
fn overflow(temp: &Temp, _locked: &MutexGuard<'_, State>) {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    fs::write(temp.tmp_file("a"), "text").unwrap();
    for _ in 0..=limit / 4 {
        fs::rename(temp.tmp_file("a"), temp.tmp_file("b")).unwrap();
        fs::rename(temp.tmp_file("b"), temp.tmp_file("a")).unwrap();
    }
}

#[test]
fn more_events_than_the_kernel_queues_are_everything() {
    let temp = Temp::new();
    let (watcher, _woken) = start(Settings { most: usize::MAX, ..STILL });
    let (one, two) = (watcher.add(&temp.0.join("tmp")), watcher.add(&temp.new_folder()));
    let state = watcher.shared.state();
    overflow(&temp, &state);
    drop(state);
    assert_eq!(watcher.drain(one), [Seen::All]);
    assert_eq!(watcher.drain(two), [Seen::All]);
    fs::remove_file(temp.tmp_file("a")).unwrap();
    fs::write(temp.new_file("b"), "text").unwrap();
    assert_eq!(watcher.drain(one), [went("a")]);
    assert_eq!(watcher.drain(two), [came("b")]);
}

#[test]
fn a_folder_that_is_replaced_while_the_kernel_drops_events_is_watched() {
    let temp = Temp::new();
    let (watcher, _woken) = start(STILL);
    let (_, key) = (watcher.add(&temp.0.join("tmp")), watcher.add(&temp.new_folder()));
    let state = watcher.shared.state();
    overflow(&temp, &state);
    fs::remove_dir(temp.new_folder()).unwrap();
    fs::create_dir(temp.new_folder()).unwrap();
    drop(state);
    assert_eq!(watcher.drain(key), [Seen::All]);
    fs::write(temp.new_file("a"), "text").unwrap();
    assert_eq!(watcher.drain(key), [came("a")]);
}
