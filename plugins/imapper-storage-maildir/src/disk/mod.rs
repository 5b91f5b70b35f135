//! What the storage asks of a file system: a small trait, so that a test can put a disk in its place that
//! loses what was not synced.
//!
//! Paths are relative to the account's folder, with '/' between components and no `.` or `..`. What they name
//! lies beneath that folder: a symbolic link on the way is an error, never followed.

mod real;
#[cfg(test)]
mod simulated;

use std::io;

use imapper_core::storage::StorageError;

pub(crate) use real::RealDisk;
#[cfg(test)]
pub(crate) use simulated::SimulatedDisk;

/// What a name in a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Anything else: a symbolic link, a socket.
    Other,
}

/// What is known of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// What it is.
    pub(crate) kind: Kind,
    /// Octets.
    pub(crate) len: u64,
    /// When its content changed last, in seconds since 1970.
    pub(crate) mtime: i64,
    /// Its number in the file system: the same for all its names.
    pub(crate) inode: u64,
    /// How many names it has.
    pub(crate) links: u64,
}

/// A file that is open for reading; stays readable when its name goes.
pub(crate) trait ReadFile: Send + Sync {
    /// Octets of the file now.
    fn len(&self) -> io::Result<u64>;
    /// Reads at an offset into the buffer; fewer octets only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// A file that was just made, for its content.
pub(crate) trait WriteFile: Send {
    /// Adds at the end.
    fn write(&mut self, octets: &[u8]) -> io::Result<()>;
    /// Returns when all that was written is durable. An error is final: what was written may be lost.
    fn sync(&mut self) -> io::Result<()>;
}

/// A lock that goes with its value, and with the process.
pub(crate) trait Lock: Send {}

/// A file system below one folder.
///
/// A change is durable when [`Disk::sync_file`] of the file (its content) or [`Disk::sync_folder`] of the folder
/// (its names) has returned after it.
pub(crate) trait Disk: Send + Sync + 'static {
    /// The content of a file.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// Opens a regular file for reading.
    fn open(&self, path: &str) -> io::Result<Box<dyn ReadFile>>;
    /// The names in a folder, in any order, without `.` and `..`. Names that are no UTF-8 are left out.
    fn list(&self, folder: &str) -> io::Result<Vec<(String, Kind)>>;
    /// What a name is; a symbolic link is told as one.
    fn stat(&self, path: &str) -> io::Result<Stat>;
    /// Makes a file that must not exist yet, for its owner alone.
    fn create(&self, path: &str) -> io::Result<Box<dyn WriteFile>>;
    /// Writes into a file that exists, from `offset` on.
    fn write_at(&self, path: &str, offset: u64, octets: &[u8]) -> io::Result<()>;
    /// Cuts a file that exists.
    fn truncate(&self, path: &str, len: u64) -> io::Result<()>;
    /// Sets when the content changed last.
    fn set_mtime(&self, path: &str, seconds: i64) -> io::Result<()>;
    /// Gives a file or folder another name; a file of that name is replaced, a folder only if it is empty.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Gives a file one more name, which must be free.
    fn link(&self, from: &str, to: &str) -> io::Result<()>;
    /// Takes a name off a file.
    fn unlink(&self, path: &str) -> io::Result<()>;
    /// Makes a folder that must not exist yet, for its owner alone.
    fn make_folder(&self, path: &str) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_folder(&self, path: &str) -> io::Result<()>;
    /// Makes the content of a file durable.
    fn sync_file(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a folder durable. `""` is the account's folder.
    fn sync_folder(&self, folder: &str) -> io::Result<()>;
    /// Locks a file that exists, for this value alone, and waits for that; also against others in this process.
    fn lock(&self, path: &str) -> io::Result<Box<dyn Lock>>;
}

/// An error of the disk as the storage tells it. Where there is no room, nothing has happened.
pub(crate) fn failure(error: &io::Error) -> StorageError {
    let cause = format!("{error}").into();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Unavailable(cause),
        _ => StorageError::Backend(cause),
    }
}
