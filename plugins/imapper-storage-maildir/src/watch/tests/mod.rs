#[cfg(target_os = "linux")]
mod inotify;

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::SystemTime;

use super::*;

/// So long that a test which has to wait for it has failed.
const NEVER: Duration = Duration::from_mins(10);
const PATIENCE: Duration = Duration::from_secs(30);

/// Nothing happens by itself in the time of a test.
const STILL: Settings = Settings { most: 10_000, unfinished: NEVER, poll: NEVER, inotify: true };

struct Temp(PathBuf);

impl Temp {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("imapper-watch-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join("new")).unwrap();
        fs::create_dir_all(path.join("tmp")).unwrap();
        Self(path)
    }

    fn new_folder(&self) -> PathBuf {
        self.0.join("new")
    }

    fn new_file(&self, name: &str) -> PathBuf {
        self.0.join("new").join(name)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A watcher, and whom it wakes.
fn start(settings: Settings) -> (Arc<Watcher>, Receiver<Vec<Key>>) {
    let (sender, receiver) = mpsc::channel();
    // A test may end before the thread does.
    let wake = Box::new(move |keys: &[Key]| drop(sender.send(keys.to_vec())));
    (Watcher::start_with(settings, wake), receiver)
}

/// Whether there is nothing more once the thread has ended.
fn ends_without(woken: &Receiver<Vec<Key>>) {
    assert_eq!(woken.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn events_that_the_kernel_dropped_are_everything_for_every_folder() {
    let temp = Temp::new();
    let (watcher, woken) = start(STILL);
    let keys = [watcher.add(&temp.new_folder()), watcher.add(&temp.0.join("tmp"))];
    watcher.shared.with_state(|state| state.apply(state::Event::Overflow, Instant::now()));
    assert_eq!(woken.recv_timeout(PATIENCE), Ok(keys.to_vec()));
    for key in keys {
        assert_eq!(watcher.drain(key), [Seen::All]);
    }
}

#[test]
fn the_thread_ends_with_the_last_watcher() {
    for inotify in [true, false] {
        let temp = Temp::new();
        let (watcher, woken) = start(Settings { inotify, ..STILL });
        watcher.add(&temp.new_folder());
        let another = Arc::clone(&watcher);
        drop(watcher);
        assert_eq!(woken.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(another);
        ends_without(&woken);
    }
}

#[test]
fn the_last_watcher_may_be_dropped_while_it_wakes() {
    let temp = Temp::new();
    let (sender, ended) = mpsc::channel::<Vec<Key>>();
    let kept = Arc::new(Mutex::new(None::<Arc<Watcher>>));
    let wake = {
        let kept = Arc::clone(&kept);
        Box::new(move |_: &[Key]| {
            let _ends_with_this = &sender;
            let watcher = kept.lock().unwrap().take();
            drop(watcher);
        })
    };
    let watcher = Watcher::start_with(STILL, wake);
    watcher.add(&temp.new_folder());
    *kept.lock().unwrap() = Some(Arc::clone(&watcher));
    let shared = Arc::clone(&watcher.shared);
    drop(watcher);
    shared.with_state(|state| state.apply(state::Event::Overflow, Instant::now()));
    drop(shared);
    ends_without(&ended);
}

#[test]
fn a_polled_folder_that_changes_is_everything_and_wakes() {
    let temp = Temp::new();
    let (watcher, woken) = start(Settings { inotify: false, poll: Duration::from_millis(5), ..STILL });
    let missing = temp.0.join("later");
    let key = watcher.add(&missing);
    assert_eq!(watcher.drain(key), [], "a folder that is not there does not change");
    fs::create_dir(&missing).unwrap();
    assert_eq!(woken.recv_timeout(PATIENCE), Ok(vec![key]));
    assert_eq!(watcher.drain(key), [Seen::All]);
}

#[test]
fn the_drain_of_a_polled_folder_looks_at_once() {
    let temp = Temp::new();
    let (watcher, woken) = start(Settings { inotify: false, ..STILL });
    let later = temp.0.join("later");
    let (one, two) = (watcher.add(&later), watcher.add(&temp.new_folder()));
    fs::create_dir(&later).unwrap();
    fs::write(temp.new_file("a"), "text").unwrap();
    assert_eq!(watcher.drain(one), [Seen::All]);
    assert_eq!(watcher.drain(two), [Seen::All]);
    watcher.remove(two);
    assert_eq!(watcher.drain(two), []);
    drop(watcher);
    ends_without(&woken);
}

/// The first look comes so soon after the folder was made that the next change might not show in its times.
#[test]
fn a_polled_folder_that_changed_just_before_the_look_is_looked_at_again() {
    let temp = Temp::new();
    let (watcher, _woken) = start(Settings { inotify: false, ..STILL });
    let key = watcher.add(&temp.new_folder());
    assert_eq!(watcher.drain(key), [Seen::All]);
    let old = std::time::SystemTime::now() - Duration::from_hours(1);
    File::open(temp.new_folder()).unwrap().set_modified(old).unwrap();
    assert_eq!(watcher.drain(key), [Seen::All]);
    assert_eq!(watcher.drain(key), [], "nothing happens in a folder that is old");
}
