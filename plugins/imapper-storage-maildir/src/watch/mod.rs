//! What other programs do in the folders that are open.
//!
//! On Linux by inotify, one instance a storage. Elsewhere, and for a folder that can't be watched (there is a
//! limit to how many a user may watch), by looking every two seconds whether the folder has changed; a watch is
//! then tried for again each time.
//!
//! What inotify does not tell: what another host does in a network file system, and that a folder above a
//! watched one got another name. Whoever renames a folder takes its watches off and adds them again.

mod bell;
#[cfg(target_os = "linux")]
mod inotify;
#[cfg(not(target_os = "linux"))]
#[path = "no_inotify.rs"]
mod inotify;
mod poll;
mod queue;
mod state;
#[cfg(test)]
mod tests;
mod unfinished;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::bell::Bell;
use self::inotify::Inotify;
use self::state::State;

/// A folder that is watched. Is never given out twice.
pub(crate) type Key = u64;

/// What is called with the folders in which something has been seen.
type Wake = Box<dyn Fn(&[Key]) + Send + Sync>;

/// Something that happened in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// A name in the folder.
    Name {
        /// The name, without the folder.
        name: String,
        /// Whether it went; else it came, or its content was written.
        gone: bool,
    },
    /// It is not known what: everything has to be looked at. What came before it and after it is in it.
    All,
}

/// What a test wants otherwise.
#[derive(Clone, Copy, Debug)]
struct Settings {
    /// How many names are kept for a folder, and how many files may be unfinished in all.
    most: usize,
    /// How long a file that was made is waited for to be closed.
    unfinished: Duration,
    /// How often a folder without a watch is looked at.
    poll: Duration,
    /// Whether inotify is used if there is one.
    inotify: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let two_seconds = Duration::from_secs(2);
        Self { most: 10_000, unfinished: two_seconds, poll: two_seconds, inotify: true }
    }
}

/// Watches folders until it is dropped.
pub(crate) struct Watcher {
    shared: Arc<Shared>,
}

/// What the thread needs. It must not keep the [`Watcher`] alive, whose end is its own.
struct Shared {
    inotify: Option<Arc<Inotify>>,
    /// In place of inotify's if there is none.
    bell: Bell,
    state: Mutex<State>,
    stopped: AtomicBool,
    wake: Wake,
    /// How long the thread rests if the kernel can't be asked.
    rest: Duration,
}

impl Watcher {
    /// Starts to watch. `wake` is called with the keys of the folders in which something has been seen since they
    /// were drained last, once for each until it is drained. It is called from a thread of the watcher, with no
    /// lock held, and must be quick.
    pub(crate) fn start(wake: Wake) -> Arc<Self> {
        Self::start_with(Settings::default(), wake)
    }

    fn start_with(settings: Settings, wake: Wake) -> Arc<Self> {
        let inotify = settings.inotify.then(Inotify::new).and_then(|made| {
            made.inspect_err(|error| tracing::warn!(%error, "no inotify: folders are polled")).ok()
        });
        let inotify = inotify.map(Arc::new);
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(settings, inotify.clone())),
            inotify,
            bell: Bell::default(),
            stopped: AtomicBool::new(false),
            wake,
            rest: settings.poll,
        });
        let thread = Arc::clone(&shared);
        let spawned =
            std::thread::Builder::new().name("maildir-watch".to_owned()).spawn(move || thread.run());
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread to watch folders: changes are seen only when a folder is used");
        }
        Arc::new(Self { shared })
    }

    /// Watches a folder, which need not exist yet. From the return on nothing is missed.
    pub(crate) fn add(&self, folder: &Path) -> Key {
        self.shared.with_state(|state| state.add(folder, Instant::now()))
    }

    /// Watches it no more.
    pub(crate) fn remove(&self, key: Key) {
        self.shared.with_state(|state| state.remove(key));
    }

    /// What was seen since the last call, in order. What another program did before this call is in it, but for
    /// a file that is still being written.
    pub(crate) fn drain(&self, key: Key) -> Vec<Seen> {
        self.drain_all(std::iter::once(key)).into_iter().map(|(_, seen)| seen).collect()
    }

    /// The same of several folders. The kernel is asked once.
    pub(crate) fn drain_all(&self, keys: impl Iterator<Item = Key>) -> Vec<(Key, Seen)> {
        self.shared.with_state(|state| {
            // What could not be read is seen as everything.
            let _ = state.read_kernel(Instant::now());
            let mut all = Vec::new();
            for key in keys {
                state.look_at(key);
                all.extend(state.drain(key).into_iter().map(|seen| (key, seen)));
            }
            all
        })
    }
}

impl Drop for Watcher {
    /// Does not wait for the thread: the last one may be dropped by `wake`, which is in it.
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.ring();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rings for the thread if it has more to do than it knows of.
    fn with_state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let (result, ring) = (work(&mut state), state.must_ring());
        drop(state);
        if ring {
            self.ring();
        }
        result
    }

    fn ring(&self) {
        match &self.inotify {
            Some(inotify) => inotify.ring(),
            None => self.bell.ring(),
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn run(&self) {
        while !self.is_stopped() {
            let mut failed = self.state().read_kernel(Instant::now()).is_err();
            self.poll();
            let (keys, timeout) = self.state().before_sleep(Instant::now());
            if !keys.is_empty() && !self.is_stopped() {
                (self.wake)(&keys);
            }
            match &self.inotify {
                Some(inotify) => failed |= inotify.wait(timeout).is_err(),
                None => self.bell.wait(timeout),
            }
            if failed && !self.is_stopped() {
                // What fails would fail again at once, and forever.
                std::thread::sleep(self.rest);
            }
        }
    }

    /// Looks at the folders without a watch, if it is time. Locks anew for each, as a look may take long.
    fn poll(&self) {
        let due = self.state().polls_due(Instant::now());
        for key in due {
            if self.is_stopped() {
                return;
            }
            let mut state = self.state();
            // In this order: the look finds what came before the watch.
            state.try_watch(key);
            state.look_at(key);
        }
    }
}
