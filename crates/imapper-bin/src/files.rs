//! Files that a command leaves behind: whole or not there, and on the disk when it says so.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Makes a file that only its owner may read, and brings it to the disk. One that is there already is an error.
pub(crate) fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    file.sync_all()
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
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = BufWriter::with_capacity(128 * 1024, options.open(&beside)?);
        Ok(Self { path: beside, file, kept: false })
    }

    pub(crate) fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_all(octets)
    }

    /// Brings it to the disk, and gives it its name.
    pub(crate) fn keep(mut self, path: &Path) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        rename_new(&self.path, path)?;
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
