//! The kernel's account of what happens in folders.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::state::{Event, What};

/// Octets that are read at once: 500 events with the names that deliverers make.
const BUFFER: usize = 32 * 1024;
/// Octets of an event without a name, which is the least.
const LEAST_EVENT: u64 = 16;

const MASK: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::EXCL_UNLINK);

/// The folder is no longer where it was, or no longer watched.
const LOST: ReadFlags =
    ReadFlags::DELETE_SELF.union(ReadFlags::MOVE_SELF).union(ReadFlags::UNMOUNT).union(ReadFlags::IGNORED);

pub(super) struct Inotify {
    events: OwnedFd,
    /// Ends a wait.
    bell: OwnedFd,
    /// Whether a name that is no UTF-8 was warned of.
    warned: AtomicBool,
}

impl Inotify {
    pub(super) fn new() -> io::Result<Self> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { events, bell, warned: AtomicBool::new(false) })
    }

    /// Watches a folder. Its number is the same for all paths to one folder.
    pub(super) fn watch(&self, folder: &Path) -> io::Result<i32> {
        Ok(inotify::add_watch(&self.events, folder, MASK)?)
    }

    /// Watches it no more.
    pub(super) fn unwatch(&self, watch: i32) {
        // The only error is that the kernel has dropped it already, with its folder.
        let _ = inotify::remove_watch(&self.events, watch);
    }

    /// Reads all that is queued now. Does not go on for as long as others are quick to add to it.
    pub(super) fn read(&self, mut each: impl FnMut(Event)) -> io::Result<()> {
        let mut left = rustix::io::ioctl_fionread(&self.events)? / LEAST_EVENT;
        if left == 0 {
            return Ok(());
        }
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let mut reader = Reader::new(&self.events, &mut buffer);
        while left > 0 || !reader.is_buffer_empty() {
            left = left.saturating_sub(1);
            match reader.next() {
                Ok(event) => {
                    if let Some(event) = self.translate(&event) {
                        each(event);
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn translate(&self, event: &inotify::Event<'_>) -> Option<Event> {
        let flags = event.events();
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            return Some(Event::Overflow);
        }
        let watch = event.wd();
        if flags.intersects(LOST) {
            return Some(Event::Lost { watch });
        }
        let Ok(name) = event.file_name()?.to_str() else {
            // No message of ours has such a name. To look at everything would not find it either.
            if !self.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(name = ?event.file_name(), "a file whose name is no UTF-8 is left out, as are others");
            }
            return None;
        };
        let what = if flags.intersects(ReadFlags::MOVED_FROM | ReadFlags::DELETE) {
            What::Gone
        } else if flags.contains(ReadFlags::CREATE) && !flags.contains(ReadFlags::ISDIR) {
            What::Made
        } else {
            What::Ready
        };
        Some(Event::Name { watch, name: name.to_owned(), what })
    }

    /// Ends a [`Inotify::wait`], or the next one if there is none now.
    pub(super) fn ring(&self) {
        // Can only fail as it has been rung 2^64 times unheard; it still rings then.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// Waits until there is something to read, or it rings, or for so long; at times for less.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut both = [PollFd::new(&self.events, PollFlags::IN), PollFd::new(&self.bell, PollFlags::IN)];
        match poll(&mut both, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if both.iter().any(|one| one.revents().intersects(PollFlags::ERR | PollFlags::NVAL)) {
            return Err(Errno::IO.into());
        }
        // Silences it; would block if it has not rung.
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
        Ok(())
    }
}
