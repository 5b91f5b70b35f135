//! Files that a command leaves behind: whole or not there, and on the disk when it says so.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Makes a file that only its owner may read, and brings it to the disk. One that is there already is an error.
pub(crate) fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = create_private(path)?;
    file.write_all(text)?;
    file.sync_all()
}

/// Makes a private file, in the place of one that a crash may have left there. A link that stands there is not
/// followed.
pub(crate) fn create_anew(path: &Path) -> io::Result<File> {
    match create_private(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            create_private(path)
        }
        created => created,
    }
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Opens a file for reading that is one, not a link to another: who owns the folder could have anything read
/// otherwise. Nor is a pipe opened, which would wait for ever.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    let before = fs::symlink_metadata(path)?;
    if !before.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no regular file"));
    }
    let file = File::open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        // It may have been exchanged for a link meanwhile.
        let after = file.metadata()?;
        if (after.dev(), after.ino()) != (before.dev(), before.ino()) {
            return Err(io::ErrorKind::NotFound.into());
        }
    }
    Ok(file)
}

/// Makes a private file in one step: a crash leaves all of it or nothing. One that is there already is an error,
/// and stays as it is.
pub(crate) fn publish(path: &Path, text: &[u8]) -> io::Result<()> {
    let beside = beside(path)?;
    let published = write_private(&beside, text).and_then(|()| rename_new(&beside, path));
    if published.is_err() {
        let _ = fs::remove_file(&beside);
    }
    published?;
    sync_folder(path)
}

/// A name for what becomes `path`, in the same folder.
pub(crate) fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
    Ok(path.with_file_name(format!(".{name}.{}", std::process::id())))
}

/// Renames a file to a name that nothing has: a link refuses one that is taken in the same step. Where the file
/// system has no links, it is looked at before.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists || to.exists() => {
            Err(io::ErrorKind::AlreadyExists.into())
        }
        Err(_) => fs::rename(from, to),
    }
}

/// Brings the names in the folder of `path` to the disk.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// A file that has not got its name yet. It goes when it is dropped.
pub(crate) struct Beside {
    path: PathBuf,
    file: BufWriter<File>,
    kept: bool,
}

impl Beside {
    /// One that a crash has left behind is taken over.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        let beside = path.with_file_name(format!(".{name}.part"));
        // Taken from under another process, it would get its name before it is whole.
        let is_taken =
            open_plain(&beside).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
        if is_taken {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process is writing it"));
        }
        let file = create_anew(&beside)?;
        let _ = file.try_lock(); // where the file system has locks
        Ok(Self { path: beside, file: BufWriter::with_capacity(128 * 1024, file), kept: false })
    }

    pub(crate) fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_all(octets)
    }

    /// Brings it to the disk, and gives it its name, which nothing has.
    pub(crate) fn keep(self, path: &Path) -> io::Result<()> {
        self.name(path, rename_new)
    }

    /// Brings it to the disk, and gives it its name, in the place of what has it.
    pub(crate) fn replace(self, path: &Path) -> io::Result<()> {
        self.name(path, |from, to| fs::rename(from, to))
    }

    fn name(mut self, path: &Path, rename: impl Fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        rename(&self.path, path)?;
        self.kept = true;
        sync_folder(path)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_link_in_the_way_is_not_followed() {
        let folder = std::env::temp_dir().join(format!("imapper-files-link-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("other"), "mine").unwrap();
        for name in ["new", ".whole.part"] {
            std::os::unix::fs::symlink(folder.join("other"), folder.join(name)).unwrap();
        }
        create_anew(&folder.join("new")).unwrap().write_all(b"x").unwrap();
        let mut file = Beside::new(&folder.join("whole")).unwrap();
        file.write(b"y").unwrap();
        file.keep(&folder.join("whole")).unwrap();
        assert_eq!(fs::read(folder.join("other")).unwrap(), b"mine");
        assert_eq!(fs::read(folder.join("whole")).unwrap(), b"y");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_another_is_writing_is_not_taken_over_but_one_that_was_left_is() {
        let folder = std::env::temp_dir().join(format!("imapper-files-part-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(".a.part"), "left by a crash").unwrap();
        let mut first = Beside::new(&folder.join("a")).unwrap();
        first.write(b"first").unwrap();
        assert_eq!(Beside::new(&folder.join("a")).err().unwrap().kind(), io::ErrorKind::ResourceBusy);
        first.keep(&folder.join("a")).unwrap();
        assert_eq!(fs::read(folder.join("a")).unwrap(), b"first");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn only_a_regular_file_is_opened_as_one() {
        let folder = std::env::temp_dir().join(format!("imapper-files-plain-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("file"), "x").unwrap();
        std::os::unix::fs::symlink(folder.join("file"), folder.join("link")).unwrap();
        assert!(open_plain(&folder.join("file")).is_ok());
        assert!(open_plain(&folder.join("link")).is_err());
        assert!(open_plain(&folder).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_there_stays_as_it_is() {
        let folder = std::env::temp_dir().join(format!("imapper-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a");
        publish(&path, b"one").unwrap();
        assert_eq!(publish(&path, b"two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
