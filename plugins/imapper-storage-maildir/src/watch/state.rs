//! What is known of the folders that are watched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::inotify::Inotify;
use super::poll::Stamp;
use super::queue::Queue;
use super::unfinished::Unfinished;
use super::{Key, Seen, Settings};

/// What the kernel tells.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing else tells of names"))]
pub(super) enum Event {
    /// Something happened to a name.
    Name { watch: i32, name: String, what: What },
    /// A folder is no longer there, or the watch on it.
    Lost { watch: i32 },
    /// Events were dropped, of any folder.
    Overflow,
}

/// What happened to a name.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing else tells of names"))]
pub(super) enum What {
    /// A file was made, which may have no content yet.
    Made,
    /// It is there and complete.
    Ready,
    /// It is gone.
    Gone,
}

struct Folder {
    path: PathBuf,
    queue: Queue,
    /// The kernel's number; `None` while it is polled.
    watch: Option<i32>,
    /// Whether it has been seen to since something was queued: woken, or about to be.
    flagged: bool,
}

pub(super) struct State {
    settings: Settings,
    inotify: Option<Arc<Inotify>>,
    next: Key,
    folders: HashMap<Key, Folder>,
    /// Whose watches they are: one folder has one watch, however many paths lead to it.
    watches: HashMap<i32, Vec<Key>>,
    /// The folders without a watch, as they looked last.
    polled: BTreeMap<Key, Stamp>,
    next_poll: Option<Instant>,
    unfinished: Unfinished,
    to_wake: BTreeSet<Key>,
    /// Until when the thread sleeps if nothing rings.
    asleep_until: Option<Instant>,
    /// Whether it was warned that a folder can't be watched.
    warned: bool,
}

impl State {
    pub(super) fn new(settings: Settings, inotify: Option<Arc<Inotify>>) -> Self {
        Self {
            settings,
            inotify,
            next: 0,
            folders: HashMap::new(),
            watches: HashMap::new(),
            polled: BTreeMap::new(),
            next_poll: None,
            unfinished: Unfinished::new(settings.unfinished, settings.most),
            to_wake: BTreeSet::new(),
            asleep_until: None,
            warned: false,
        }
    }

    pub(super) fn add(&mut self, path: &Path, now: Instant) -> Key {
        let key = self.next;
        self.next += 1;
        let folder = Folder { path: path.to_owned(), queue: Queue::default(), watch: None, flagged: false };
        self.folders.insert(key, folder);
        self.watch_or_poll(key, now);
        key
    }

    pub(super) fn remove(&mut self, key: Key) {
        let Some(folder) = self.folders.remove(&key) else { return };
        self.polled.remove(&key);
        self.to_wake.remove(&key);
        self.unfinished.forget(key);
        let Some(watch) = folder.watch else { return };
        let Some(keys) = self.watches.get_mut(&watch) else { return };
        keys.retain(|other| *other != key);
        if keys.is_empty() {
            self.watches.remove(&watch);
            if let Some(inotify) = &self.inotify {
                inotify.unwatch(watch);
            }
        }
    }

    pub(super) fn drain(&mut self, key: Key) -> Vec<Seen> {
        self.to_wake.remove(&key);
        let Some(folder) = self.folders.get_mut(&key) else { return Vec::new() };
        folder.flagged = false;
        folder.queue.take()
    }

    /// Takes in what the kernel has queued, and the files that have been waited for.
    pub(super) fn read_kernel(&mut self, now: Instant) -> io::Result<()> {
        let mut result = Ok(());
        if let Some(inotify) = self.inotify.clone() {
            result = inotify.read(|event| self.apply(event, now));
        }
        if let Err(error) = &result {
            tracing::warn!(%error, "what happens in folders could not be read");
            self.apply(Event::Overflow, now);
        }
        while let Some((key, name)) = self.unfinished.take_due(now) {
            self.see_name(key, name, false);
        }
        result
    }

    pub(super) fn apply(&mut self, event: Event, now: Instant) {
        match event {
            Event::Name { watch, name, what } => {
                for key in self.watches.get(&watch).cloned().unwrap_or_default() {
                    self.apply_name(key, name.clone(), what, now);
                }
            }
            Event::Lost { watch } => self.lose(watch, now),
            Event::Overflow => self.overflow(now),
        }
    }

    fn apply_name(&mut self, key: Key, name: String, what: What, now: Instant) {
        if what == What::Made && !self.is_complete(key, &name) {
            if !self.unfinished.made(key, &name, now) {
                // Not too soon: if it is still being written, its close will be told.
                self.see_all(key);
            }
            return;
        }
        self.unfinished.done(key, &name);
        self.see_name(key, name, what == What::Gone);
    }

    /// Whether a file that was just made will not be written any more: it has another name, so it was made by
    /// `link()`; or it had one, for since it was written something else has changed of it, which a write would
    /// have caught up with; or it is no file, as a symbolic link.
    fn is_complete(&self, key: Key, name: &str) -> bool {
        let Some(folder) = self.folders.get(&key) else { return false };
        let Ok(found) = std::fs::symlink_metadata(folder.path.join(name)) else { return false };
        let (written, changed) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
        found.nlink() > 1 || !found.is_file() || (found.len() > 0 && written < changed)
    }

    /// Events were dropped, among them maybe that a watch was lost. To ask for a watch that is still good gives
    /// the same one and no event: to take all off would fill the queue anew.
    fn overflow(&mut self, now: Instant) {
        let mut lost = BTreeSet::new();
        for key in self.folders.keys().copied().collect::<Vec<_>>() {
            self.see_all(key);
            let Some(Folder { path, watch: Some(watch), .. }) = self.folders.get(&key) else { continue };
            let found = self.inotify.as_ref().and_then(|inotify| inotify.watch(path).ok());
            if found != Some(*watch) {
                lost.insert(*watch);
            }
        }
        for watch in lost {
            self.lose(watch, now);
        }
    }

    /// The watch is of no more use. There may be another folder by the same path already.
    fn lose(&mut self, watch: i32, now: Instant) {
        // Not there if it was taken off: the kernel confirms that by an event, too.
        let Some(keys) = self.watches.remove(&watch) else { return };
        if let Some(inotify) = &self.inotify {
            // A folder that was moved is still watched.
            inotify.unwatch(watch);
        }
        for key in keys {
            if let Some(folder) = self.folders.get_mut(&key) {
                folder.watch = None;
            }
            self.watch_or_poll(key, now);
            self.see_all(key);
        }
    }

    fn watch_or_poll(&mut self, key: Key, now: Instant) {
        self.try_watch(key);
        let Some(folder) = self.folders.get(&key).filter(|folder| folder.watch.is_none()) else { return };
        if self.polled.is_empty() {
            self.next_poll = Some(now + self.settings.poll);
        }
        self.polled.insert(key, Stamp::of(&folder.path));
    }

    /// The folders to look at now, for it is time to.
    pub(super) fn polls_due(&mut self, now: Instant) -> Vec<Key> {
        if self.polled.is_empty() || self.next_poll.is_some_and(|next| now < next) {
            return Vec::new();
        }
        self.next_poll = Some(now + self.settings.poll);
        self.polled.keys().copied().collect()
    }

    /// Looks whether a folder has changed, if it is polled. If it has got a watch, this is the last look, at what
    /// came before the watch.
    pub(super) fn look_at(&mut self, key: Key) {
        let (Some(folder), Some(earlier)) = (self.folders.get(&key), self.polled.get_mut(&key)) else {
            return;
        };
        let stamp = Stamp::of(&folder.path);
        let last = folder.watch.is_some();
        if stamp.differs_from(&std::mem::replace(earlier, stamp)) {
            self.see_all(key);
        }
        if last {
            self.polled.remove(&key);
        }
    }

    /// Gives a folder without a watch one, if it can be had.
    pub(super) fn try_watch(&mut self, key: Key) {
        let Some(inotify) = &self.inotify else { return };
        let Some(folder) = self.folders.get_mut(&key).filter(|folder| folder.watch.is_none()) else { return };
        match inotify.watch(&folder.path) {
            Ok(watch) => {
                folder.watch = Some(watch);
                self.watches.entry(watch).or_default().push(key);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                if !std::mem::replace(&mut self.warned, true) {
                    tracing::warn!(folder = %folder.path.display(), %error, "a folder can't be watched and is polled");
                }
            }
        }
    }

    fn see_name(&mut self, key: Key, name: String, gone: bool) {
        let most = self.settings.most;
        self.see(key, |queue| queue.name(name, gone, most));
    }

    fn see_all(&mut self, key: Key) {
        self.see(key, Queue::all);
    }

    fn see(&mut self, key: Key, put: impl FnOnce(&mut Queue)) {
        let Some(folder) = self.folders.get_mut(&key) else { return };
        put(&mut folder.queue);
        if !std::mem::replace(&mut folder.flagged, true) {
            self.to_wake.insert(key);
        }
    }

    /// Whom the thread has to wake before it sleeps, and how long it sleeps.
    pub(super) fn before_sleep(&mut self, now: Instant) -> (Vec<Key>, Option<Duration>) {
        self.asleep_until = self.next_due();
        let timeout = self.asleep_until.map(|due| due.saturating_duration_since(now));
        (std::mem::take(&mut self.to_wake).into_iter().collect(), timeout)
    }

    /// Whether the thread must wake before it would.
    pub(super) fn must_ring(&self) -> bool {
        let sooner = match (self.next_due(), self.asleep_until) {
            (Some(due), Some(until)) => due < until,
            (due, None) => due.is_some(),
            (None, Some(_)) => false,
        };
        sooner || !self.to_wake.is_empty()
    }

    fn next_due(&self) -> Option<Instant> {
        let poll = self.next_poll.filter(|_| !self.polled.is_empty());
        [poll, self.unfinished.due()].into_iter().flatten().min()
    }
}
