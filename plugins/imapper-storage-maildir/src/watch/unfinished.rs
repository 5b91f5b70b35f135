//! Files that were made and not closed yet.
//!
//! A file that `open()` made is still being written and gets a close; one that `link()` made is complete and gets
//! none. They look the same if the other name is gone by the time of the look, and all was so quick that the clock
//! of the file system did not move. So both are waited for, but not for long.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::Key;

pub(super) struct Unfinished {
    /// By number, which is the order in which they were made and hence in which they are due.
    files: BTreeMap<u64, File>,
    numbers: HashMap<Key, HashMap<String, u64>>,
    next: u64,
    delay: Duration,
    most: usize,
}

struct File {
    key: Key,
    name: String,
    due: Instant,
}

impl Unfinished {
    pub(super) fn new(delay: Duration, most: usize) -> Self {
        Self { files: BTreeMap::new(), numbers: HashMap::new(), next: 0, delay, most }
    }

    /// A file was made. `false` if there are too many to wait for one more.
    #[must_use]
    pub(super) fn made(&mut self, key: Key, name: &str, now: Instant) -> bool {
        self.done(key, name);
        if self.files.len() >= self.most {
            return false;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.files.insert(number, File { key, name: name.to_owned(), due: now + self.delay });
        self.numbers.entry(key).or_default().insert(name.to_owned(), number);
        true
    }

    /// It was closed, or is gone.
    pub(super) fn done(&mut self, key: Key, name: &str) {
        let Some(names) = self.numbers.get_mut(&key) else { return };
        if let Some(number) = names.remove(name) {
            self.files.remove(&number);
        }
        if names.is_empty() {
            self.numbers.remove(&key);
        }
    }

    /// Nothing of this folder is waited for any more.
    pub(super) fn forget(&mut self, key: Key) {
        for number in self.numbers.remove(&key).unwrap_or_default().into_values() {
            self.files.remove(&number);
        }
    }

    /// When the next is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.files.first_key_value().map(|(_, file)| file.due)
    }

    /// Takes one that has been waited for long enough.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Key, String)> {
        let first = self.files.first_entry().filter(|first| first.get().due <= now)?;
        let File { key, name, .. } = first.remove();
        self.done(key, &name);
        Some((key, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_due_once_its_time_is_up_unless_it_was_closed_before() {
        let (now, delay) = (Instant::now(), Duration::from_secs(2));
        let mut unfinished = Unfinished::new(delay, 10);
        assert!(unfinished.made(1, "closed", now));
        assert!(unfinished.made(1, "open", now));
        unfinished.done(1, "closed");
        assert_eq!(unfinished.due(), Some(now + delay));
        assert_eq!(unfinished.take_due(now), None);
        assert_eq!(unfinished.take_due(now + delay), Some((1, "open".to_owned())));
        assert_eq!(unfinished.take_due(now + delay), None);
        assert!(unfinished.files.is_empty() && unfinished.numbers.is_empty());
    }

    #[test]
    fn no_more_files_than_allowed_are_waited_for() {
        let now = Instant::now();
        let mut unfinished = Unfinished::new(Duration::ZERO, 2);
        assert!(unfinished.made(1, "a", now) && unfinished.made(2, "a", now));
        assert!(!unfinished.made(1, "b", now));
        assert!(unfinished.made(1, "a", now), "the same file again is no more");
        unfinished.forget(1);
        assert!(unfinished.made(3, "c", now));
    }
}
