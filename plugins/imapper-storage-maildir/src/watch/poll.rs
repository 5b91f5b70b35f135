//! Whether a folder has changed, without a watch.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The coarsest that a file system is with its times.
const GRAIN: Duration = Duration::from_secs(2);

/// What a folder looked like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    /// `None` while there is no such folder.
    of: Option<Identity>,
    /// Whether a change could have come after the look and still have left the folder with the same times.
    fresh: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    /// Seconds and nanoseconds.
    mtime: (i64, i64),
    ctime: (i64, i64),
    inode: u64,
    device: u64,
}

impl Stamp {
    /// Looks at a folder.
    pub(super) fn of(folder: &Path) -> Self {
        // Asked for before the look: a look that takes long must not make what it finds seem old.
        let now = SystemTime::now();
        let Ok(found) = std::fs::metadata(folder) else { return Self { of: None, fresh: false } };
        let of = Identity {
            mtime: (found.mtime(), found.mtime_nsec()),
            ctime: (found.ctime(), found.ctime_nsec()),
            inode: found.ino(),
            device: found.dev(),
        };
        Self { of: Some(of), fresh: found.modified().is_ok_and(|modified| is_fresh(modified, now)) }
    }

    /// Whether something may have happened since an earlier look.
    pub(super) fn differs_from(&self, earlier: &Self) -> bool {
        earlier.fresh || earlier.of != self.of
    }
}

/// A time far ahead is the clock of another host, and says nothing about now.
fn is_fresh(modified: SystemTime, now: SystemTime) -> bool {
    let apart = now.duration_since(modified).unwrap_or_else(|ahead| ahead.duration());
    apart <= GRAIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(mtime: i64, fresh: bool) -> Stamp {
        let of = Identity { mtime: (mtime, 0), ctime: (mtime, 0), inode: 1, device: 1 };
        Stamp { of: Some(of), fresh }
    }

    #[test]
    fn a_folder_that_looks_the_same_has_changed_only_if_the_earlier_look_was_too_soon_after_a_change() {
        assert!(!stamp(1, true).differs_from(&stamp(1, false)));
        assert!(stamp(1, false).differs_from(&stamp(1, true)));
        assert!(stamp(2, false).differs_from(&stamp(1, false)));
    }

    #[test]
    fn a_change_is_fresh_for_as_long_as_the_coarsest_file_system_needs_to_tell_the_next_from_it() {
        let now = SystemTime::now();
        assert!(is_fresh(now, now));
        assert!(is_fresh(now - GRAIN, now));
        assert!(is_fresh(now + GRAIN, now));
        assert!(!is_fresh(now - GRAIN - Duration::from_millis(1), now));
        assert!(!is_fresh(now + GRAIN + Duration::from_millis(1), now));
    }

    #[test]
    fn a_folder_that_is_not_there_looks_the_same_until_it_is() {
        let missing = Stamp::of(Path::new("/nowhere/at/all"));
        assert!(!missing.differs_from(&missing));
        assert!(Stamp::of(&std::env::temp_dir()).differs_from(&missing));
    }
}
