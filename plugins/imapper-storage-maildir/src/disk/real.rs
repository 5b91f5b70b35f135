//! The file system of the operating system, beneath one folder.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT,
};
use rustix::io::{Errno, retry_on_intr};

use super::{Disk, Kind, Lock, ReadFile, Stat, WriteFile};

/// For folders that are only a place to start from: needs no right to read them.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const PLACE: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// Folders that are listed or synced.
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// Files that exist. Without `NONBLOCK` a FIFO that somebody put there would hang the thread.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// A folder and all that lies beneath it.
#[derive(Debug)]
pub(crate) struct RealDisk {
    base: OwnedFd,
    durable: bool,
    /// Whether the kernel resolves a whole path without links by itself; older ones, and sandboxes, do not.
    #[cfg(target_os = "linux")]
    openat2: bool,
}

impl RealDisk {
    /// Opens a folder that exists; links on the way to it are followed. Without `durable` nothing is ever synced.
    pub(crate) fn open(base: &Path, durable: bool) -> io::Result<Self> {
        let base = retry_on_intr(|| rustix::fs::openat(CWD, base, PLACE, Mode::empty()))?;
        #[cfg(target_os = "linux")]
        let openat2 = openat2(base.as_fd(), ".", PLACE, Mode::empty()).is_ok();
        Ok(Self {
            base,
            durable,
            #[cfg(target_os = "linux")]
            openat2,
        })
    }

    fn open_at(&self, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        check(path)?;
        let path = if path.is_empty() { "." } else { path };
        #[cfg(target_os = "linux")]
        if self.openat2 {
            return Ok(openat2(self.base.as_fd(), path, flags, mode)?);
        }
        self.walk(path, flags, mode)
    }

    /// Opens one component after the other, none of which may be a link.
    fn walk(&self, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at: Option<OwnedFd> = None;
        for folder in folders.split('/').filter(|folder| !folder.is_empty()) {
            let from = at.as_ref().unwrap_or(&self.base);
            at = Some(open_one(from.as_fd(), folder, PLACE, Mode::empty())?);
        }
        Ok(open_one(at.as_ref().unwrap_or(&self.base).as_fd(), name, flags, mode)?)
    }

    /// The folder that holds a name, and the name.
    fn parent<'a>(&'a self, path: &'a str) -> io::Result<(Parent<'a>, &'a str)> {
        check(path)?;
        match path.rsplit_once('/') {
            Some((folder, name)) => Ok((Parent::Opened(self.open_at(folder, PLACE, Mode::empty())?), name)),
            None if path.is_empty() => Err(invalid("the folder itself has no name")),
            None => Ok((Parent::Base(self.base.as_fd()), path)),
        }
    }

    /// The two parents of a rename or link; one is opened only once.
    fn parents<'a>(
        &'a self,
        from: &'a str,
        to: &'a str,
    ) -> io::Result<(Parent<'a>, &'a str, Option<Parent<'a>>, &'a str)> {
        let (from_folder, from_name) = self.parent(from)?;
        check(to)?;
        let same = folder_of(from) == folder_of(to);
        if let (true, Some(to_name)) = (same && !to.is_empty(), to.rsplit('/').next()) {
            return Ok((from_folder, from_name, None, to_name));
        }
        let (to_folder, to_name) = self.parent(to)?;
        Ok((from_folder, from_name, Some(to_folder), to_name))
    }

    /// A file that exists and is a regular one.
    fn file(&self, path: &str, access: OFlags) -> io::Result<File> {
        let file = File::from(self.open_at(path, FILE | access, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(invalid("this is no regular file"));
        }
        Ok(file)
    }
}

impl Disk for RealDisk {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        io::Read::read_to_end(&mut self.file(path, OFlags::RDONLY)?, &mut content)?;
        Ok(content)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn ReadFile>> {
        Ok(Box::new(Reading(self.file(path, OFlags::RDONLY)?)))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<(String, Kind)>> {
        let mut names = Vec::new();
        let mut strange = 0_usize;
        let mut entries = Dir::new(self.open_at(folder, FOLDER, Mode::empty())?)?;
        while let Some(entry) = entries.read() {
            let entry = match entry {
                Err(Errno::INTR) => continue,
                entry => entry?,
            };
            let name = match entry.file_name().to_str() {
                Ok("." | "..") => continue,
                Ok(name) => name,
                Err(_) => {
                    strange += 1;
                    continue;
                }
            };
            let kind = match entry.file_type() {
                FileType::Unknown => match self.stat(&beneath(folder, name)) {
                    // It went while we listed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    stat => stat?.kind,
                },
                told => kind(told),
            };
            names.push((name.to_owned(), kind));
        }
        if strange > 0 {
            tracing::warn!(folder, names = strange, "left out names that are no UTF-8");
        }
        Ok(names)
    }

    fn stat(&self, path: &str) -> io::Result<Stat> {
        let stat = if path.is_empty() {
            rustix::fs::statat(&self.base, ".", AtFlags::SYMLINK_NOFOLLOW)?
        } else {
            let (folder, name) = self.parent(path)?;
            rustix::fs::statat(folder.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)?
        };
        Ok(told(&stat))
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn WriteFile>> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = File::from(self.open_at(path, flags, Mode::RUSR | Mode::WUSR)?);
        Ok(Box::new(Writing { file, durable: self.durable }))
    }

    fn write_at(&self, path: &str, offset: u64, octets: &[u8]) -> io::Result<()> {
        self.file(path, OFlags::WRONLY)?.write_all_at(octets, offset)
    }

    fn truncate(&self, path: &str, len: u64) -> io::Result<()> {
        self.file(path, OFlags::WRONLY)?.set_len(len)
    }

    fn set_mtime(&self, path: &str, seconds: i64) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: seconds, tv_nsec: 0 },
        };
        Ok(rustix::fs::utimensat(folder.as_fd(), name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from_folder, from, to_folder, to) = self.parents(from, to)?;
        let to_folder = to_folder.as_ref().unwrap_or(&from_folder).as_fd();
        Ok(rustix::fs::renameat(from_folder.as_fd(), from, to_folder, to)?)
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        let (from_folder, from, to_folder, to) = self.parents(from, to)?;
        let to_folder = to_folder.as_ref().unwrap_or(&from_folder).as_fd();
        Ok(rustix::fs::linkat(from_folder.as_fd(), from, to_folder, to, AtFlags::empty())?)
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(folder.as_fd(), name, AtFlags::empty())?)
    }

    fn make_folder(&self, path: &str) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(rustix::fs::mkdirat(folder.as_fd(), name, Mode::RWXU)?)
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(folder.as_fd(), name, AtFlags::REMOVEDIR)?)
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        if self.durable { self.file(path, OFlags::RDONLY)?.sync_data() } else { Ok(()) }
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        if !self.durable {
            return Ok(());
        }
        File::from(self.open_at(folder, FOLDER, Mode::empty())?).sync_all()
    }

    fn lock(&self, path: &str) -> io::Result<Box<dyn Lock>> {
        // NFS gives a lock for one alone only to those who may write.
        let file = self.file(path, OFlags::RDWR)?;
        retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
        Ok(Box::new(Locked { _file: file }))
    }
}

/// A folder in which a name is looked up.
enum Parent<'a> {
    Base(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl Parent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Base(base) => *base,
            Self::Opened(folder) => folder.as_fd(),
        }
    }
}

struct Reading(File);

impl ReadFile for Reading {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

struct Writing {
    file: File,
    durable: bool,
}

impl WriteFile for Writing {
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut self.file, octets)
    }

    fn sync(&mut self) -> io::Result<()> {
        // Of a new file the inode is written anyway; so its mtime, which a caller may have set, is as well.
        if self.durable { self.file.sync_all() } else { Ok(()) }
    }
}

/// The lock goes when its file is closed.
struct Locked {
    _file: File,
}

impl Lock for Locked {}

/// Refuses paths that are not as [`Disk`] has them.
pub(super) fn check(path: &str) -> io::Result<()> {
    let wrong = |component| matches!(component, "" | "." | "..");
    if !path.is_empty() && path.split('/').any(wrong) {
        return Err(invalid("a path with an empty component, '.' or '..'"));
    }
    Ok(())
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn beneath(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(target_os = "linux")]
fn openat2(base: BorrowedFd<'_>, path: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    use rustix::fs::ResolveFlags;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    retry_on_intr(|| rustix::fs::openat2(base, path, flags, mode, resolve))
}

fn open_one(from: BorrowedFd<'_>, name: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    retry_on_intr(|| rustix::fs::openat(from, name, flags | OFlags::NOFOLLOW, mode))
}

fn kind(told: FileType) -> Kind {
    match told {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        _ => Kind::Other,
    }
}

#[allow(clippy::useless_conversion, clippy::unnecessary_cast)] // the widths differ between systems
fn told(stat: &rustix::fs::Stat) -> Stat {
    Stat {
        kind: kind(FileType::from_raw_mode(stat.st_mode)),
        len: u64::try_from(stat.st_size).unwrap_or(0),
        mtime: i64::try_from(stat.st_mtime).unwrap_or(0),
        inode: stat.st_ino as u64,
        links: stat.st_nlink as u64,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// A folder `base` in a temporary folder, which goes with the test.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new() -> Self {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let folder = std::env::temp_dir().join(format!("imapper-disk-{}-{number}", std::process::id()));
            fs::create_dir_all(folder.join("base")).unwrap();
            Self(folder)
        }

        fn base(&self) -> PathBuf {
            self.0.join("base")
        }

        /// The disk with and without what only newer kernels can do.
        fn disks(&self) -> Vec<RealDisk> {
            let disk = RealDisk::open(&self.base(), true).unwrap();
            #[cfg(target_os = "linux")]
            return vec![RealDisk { openat2: false, ..RealDisk::open(&self.base(), true).unwrap() }, disk];
            #[cfg(not(target_os = "linux"))]
            return vec![disk];
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn put(disk: &RealDisk, path: &str, octets: &[u8]) {
        let mut file = disk.create(path).unwrap();
        file.write(octets).unwrap();
        file.sync().unwrap();
    }

    #[test]
    fn a_link_within_the_path_is_never_followed() {
        let temporary = Temporary::new();
        for (number, disk) in temporary.disks().iter().enumerate() {
            let (folder, way) = (format!("real{number}"), format!("way{number}"));
            disk.make_folder(&folder).unwrap();
            put(disk, &format!("{folder}/file"), b"x");
            symlink(&folder, temporary.base().join(&way)).unwrap();

            let inside = format!("{way}/file");
            assert!(disk.read(&inside).is_err());
            assert!(disk.stat(&inside).is_err());
            assert!(disk.list(&way).is_err());
            assert!(disk.create(&format!("{way}/new")).is_err());
            assert!(disk.make_folder(&format!("{way}/new")).is_err());
            assert!(disk.rename(&inside, "moved").is_err());
            assert!(disk.rename(&format!("{folder}/file"), &format!("{way}/moved")).is_err());
            assert!(disk.link(&inside, "moved").is_err());
            assert!(disk.unlink(&inside).is_err());
            assert!(disk.write_at(&inside, 0, b"y").is_err());
            assert!(disk.truncate(&inside, 0).is_err());
            assert!(disk.set_mtime(&inside, 0).is_err());
            assert!(disk.sync_file(&inside).is_err());
            assert!(disk.sync_folder(&way).is_err());
            assert!(disk.lock(&inside).is_err());
            assert_eq!(disk.stat(&way).unwrap().kind, Kind::Other);
            assert_eq!(disk.list(&folder).unwrap(), [("file".to_owned(), Kind::File)]);
            assert_eq!(disk.read(&format!("{folder}/file")).unwrap(), b"x");
        }
    }

    #[test]
    fn a_link_out_of_the_base_is_never_followed() {
        let temporary = Temporary::new();
        fs::write(temporary.0.join("secret"), b"secret").unwrap();
        symlink("..", temporary.base().join("up")).unwrap();
        symlink("../secret", temporary.base().join("file")).unwrap();
        for disk in temporary.disks() {
            assert!(disk.read("up/secret").is_err());
            assert!(disk.list("up").is_err());
            assert!(disk.open("file").is_err());
            assert!(disk.read("file").is_err());
            assert!(disk.write_at("file", 0, b"x").is_err());
            assert!(disk.create("file").is_err());
        }
        assert_eq!(fs::read(temporary.0.join("secret")).unwrap(), b"secret");
    }

    #[test]
    fn a_path_that_goes_up_or_is_odd_is_refused() {
        let temporary = Temporary::new();
        fs::write(temporary.0.join("secret"), b"secret").unwrap();
        for disk in temporary.disks() {
            for path in ["..", "../secret", "a/../../secret", ".", "a//b", "/etc/passwd", "a/"] {
                assert_eq!(disk.read(path).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{path}");
                assert_eq!(disk.stat(path).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{path}");
                assert!(disk.rename("..", path).is_err(), "{path}");
                assert!(disk.link("a", path).is_err(), "{path}");
                assert!(disk.list(path).is_err(), "{path}");
            }
            assert!(disk.read("a\0b").is_err());
            assert!(disk.unlink("").is_err());
        }
    }

    #[test]
    fn what_is_made_is_for_its_owner_alone() {
        let temporary = Temporary::new();
        for (number, disk) in temporary.disks().iter().enumerate() {
            let (folder, file) = (format!("folder{number}"), format!("folder{number}/file"));
            disk.make_folder(&folder).unwrap();
            put(disk, &file, b"");
            let mode =
                |path: &str| fs::metadata(temporary.base().join(path)).unwrap().permissions().mode() & 0o7777;
            assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
            let again = disk.create(&file).err().unwrap();
            assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        }
    }

    #[test]
    fn a_link_to_a_name_that_is_taken_fails_and_one_to_a_free_name_shares_the_file() {
        let temporary = Temporary::new();
        for disk in temporary.disks() {
            disk.make_folder("cur").unwrap();
            put(&disk, "a", b"a");
            put(&disk, "b", b"b");
            assert_eq!(disk.link("a", "b").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            disk.link("a", "cur/c").unwrap();
            let (a, c) = (disk.stat("a").unwrap(), disk.stat("cur/c").unwrap());
            assert_eq!((a, a.links), (c, 2));
            disk.write_at("a", 1, b"more").unwrap();
            assert_eq!(disk.read("cur/c").unwrap(), b"amore");
            for path in ["a", "b", "cur/c"] {
                disk.unlink(path).unwrap();
            }
            disk.remove_folder("cur").unwrap();
        }
    }

    #[test]
    fn a_lock_keeps_out_others_of_this_process_until_it_goes() {
        let temporary = Temporary::new();
        let disk = RealDisk::open(&temporary.base(), false).unwrap();
        put(&disk, "lock", b"");
        let held = disk.lock("lock").unwrap();
        let other = File::open(temporary.base().join("lock")).unwrap();
        assert!(other.try_lock().is_err());
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let second = disk.lock("lock").unwrap();
                sender.send("locked").unwrap();
                drop(second);
            });
            assert!(receiver.try_recv().is_err());
            drop(held);
            assert_eq!(receiver.recv().unwrap(), "locked");
        });
        other.try_lock().unwrap();
    }

    #[test]
    fn a_file_stays_readable_when_its_name_goes() {
        let temporary = Temporary::new();
        for disk in temporary.disks() {
            put(&disk, "a", b"content");
            let file = disk.open("a").unwrap();
            disk.unlink("a").unwrap();
            let mut buffer = [0; 10];
            assert_eq!((file.len().unwrap(), file.read_at(&mut buffer, 3).unwrap()), (7, 4));
            assert_eq!(&buffer[..4], b"tent");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let temporary = Temporary::new();
        let pipe = temporary.base().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        for disk in temporary.disks() {
            assert!(disk.open("pipe").is_err());
            assert!(disk.lock("pipe").is_err());
            assert!(disk.open("").is_err());
            assert_eq!(disk.list("").unwrap(), [("pipe".to_owned(), Kind::Other)]);
        }
    }

    #[test]
    fn files_are_cut_dated_moved_and_synced() {
        let temporary = Temporary::new();
        for disk in temporary.disks() {
            disk.make_folder("new").unwrap();
            disk.make_folder("cur").unwrap();
            put(&disk, "new/a", b"content");
            disk.truncate("new/a", 3).unwrap();
            disk.set_mtime("new/a", 1_000_000_000).unwrap();
            put(&disk, "cur/a:2,", b"old");
            disk.rename("new/a", "cur/a:2,").unwrap();
            disk.rename("cur/a:2,", "cur/a:2,S").unwrap();
            disk.sync_file("cur/a:2,S").unwrap();
            disk.sync_folder("cur").unwrap();
            disk.sync_folder("").unwrap();
            assert_eq!(disk.read("cur/a:2,S").unwrap(), b"con");
            let stat = disk.stat("cur/a:2,S").unwrap();
            assert_eq!((stat.kind, stat.len, stat.mtime, stat.links), (Kind::File, 3, 1_000_000_000, 1));
            assert_eq!(disk.stat("").unwrap().kind, Kind::Folder);
            assert_eq!(disk.stat("new/a").unwrap_err().kind(), io::ErrorKind::NotFound);
            assert_eq!(disk.list("new").unwrap(), []);
            assert!(disk.remove_folder("cur").is_err());
            disk.unlink("cur/a:2,S").unwrap();
            disk.remove_folder("cur").unwrap();
            disk.remove_folder("new").unwrap();
        }
    }

    #[test]
    fn names_that_are_no_utf8_are_left_out_of_a_list() {
        use std::os::unix::ffi::OsStrExt;
        let temporary = Temporary::new();
        fs::write(temporary.base().join(std::ffi::OsStr::from_bytes(b"a\xff")), b"").unwrap();
        fs::create_dir(temporary.base().join("ok")).unwrap();
        for disk in temporary.disks() {
            assert_eq!(disk.list("").unwrap(), [("ok".to_owned(), Kind::Folder)]);
        }
    }
}
