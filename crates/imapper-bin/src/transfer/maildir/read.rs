//! Reading a tree of Maildirs.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use imapper_core::types::{InternalDate, Keyword, Uid};

use super::files::{self, UidList};
use super::{flags, tree};
use crate::error::Failure;
use crate::files::open_plain;
use crate::transfer::{Broken, Folder, LARGEST, Message, Messages, Source, at, lines};

/// A tree of Maildirs.
pub(crate) struct MaildirSource {
    root: PathBuf,
    mailboxes: Vec<(PathBuf, String)>,
}

impl MaildirSource {
    pub(crate) fn open(root: &Path) -> Result<Self, Failure> {
        let mailboxes = tree::mailboxes(root).map_err(|error| at(root, error))?;
        if mailboxes.is_empty() {
            return Err(at(root, "there is no folder with cur and new in it"));
        }
        Ok(Self { root: root.to_owned(), mailboxes })
    }
}

#[async_trait]
impl Source for MaildirSource {
    async fn folders(&self) -> Result<Vec<Folder>, Failure> {
        let folder = |(place, (path, name)): (usize, &(PathBuf, String))| {
            let messages = Listing::of(path).map_err(|error| at(path, error))?.entries.len();
            Ok(Folder {
                name: name.clone(),
                place,
                special_use: Vec::new(),
                numbers: uid_list(path).and_then(|list| list.numbers()),
                keywords: keywords(path).into_iter().flatten().collect(),
                messages: Some(messages as u64),
            })
        };
        self.mailboxes.iter().enumerate().map(folder).collect()
    }

    async fn subscriptions(&self) -> Result<Vec<String>, Failure> {
        let read = |file: &str| read_beside(&self.root, file);
        Ok(match (read(files::SUBSCRIPTIONS), read(files::COURIER_SUBSCRIPTIONS)) {
            (Some(text), _) => files::read_subscriptions(&text),
            (None, Some(text)) => files::read_courier_subscriptions(&text),
            (None, None) => Vec::new(),
        })
    }

    fn messages<'a>(&'a self, folder: &'a Folder) -> Messages<'a> {
        let Some((path, _)) = self.mailboxes.get(folder.place) else { return stream::empty().boxed() };
        match Listing::of(path) {
            Ok(listing) => {
                let keywords = keywords(path);
                let read = move |entry: Entry| entry.read(path, &keywords).transpose();
                stream::iter(listing.entries.into_iter().filter_map(read)).boxed()
            }
            Err(error) => stream::iter([Err(Broken::Source(at(path, error)))]).boxed(),
        }
    }
}

fn uid_list(folder: &Path) -> Option<UidList> {
    let read = |file: &str| UidList::read(&read_beside(folder, file)?);
    read(files::UIDLIST).or_else(|| read(files::COURIER_UIDS))
}

fn keywords(folder: &Path) -> Vec<Option<Keyword>> {
    read_beside(folder, files::KEYWORDS).map_or_else(Vec::new, |text| files::read_keywords(&text))
}

/// A file beside the messages. Its lines become names that clients see, so a link to a file of somebody else's is
/// not followed.
fn read_beside(folder: &Path, file: &str) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    open_plain(&folder.join(file)).ok()?.take(LARGEST).read_to_end(&mut text).ok()?;
    Some(text)
}

/// The messages of a folder: by UID, then those that have none by name, which begins with the time.
struct Listing {
    entries: Vec<Entry>,
}

/// A message file.
struct Entry {
    uid: Option<Uid>,
    /// `cur/…` or `new/…`
    file: PathBuf,
}

impl Listing {
    fn of(folder: &Path) -> io::Result<Self> {
        let list = uid_list(folder);
        let uids = list.as_ref().map(UidList::by_file).unwrap_or_default();
        let mut entries: Vec<Entry> = Vec::new();
        for (base, file) in message_files(folder)? {
            entries.push(Entry { uid: uids.get(base.as_str()).copied(), file });
        }
        entries.sort_by(|one, other| {
            let order = |entry: &Entry| (entry.uid.is_none(), entry.uid);
            order(one).cmp(&order(other)).then_with(|| one.file.file_name().cmp(&other.file.file_name()))
        });
        Ok(Self { entries })
    }
}

/// The message files by their names up to the flags. A file that is renamed while the folder is read may be seen
/// under both names, but counts once. Two files that only look alike, as `1:a` and `1:b`, are two messages.
pub(super) fn message_files(folder: &Path) -> io::Result<HashMap<String, PathBuf>> {
    let mut found: HashMap<String, PathBuf> = HashMap::new();
    for sub in ["new", "cur"] {
        for entry in fs::read_dir(folder.join(sub))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            let (mut base, file) = (flags::split(&name).0.to_owned(), Path::new(sub).join(entry.file_name()));
            if let Some(other) = found.get(&base) {
                match (identity(&folder.join(other)), identity(&folder.join(&file))) {
                    (_, None) => continue,
                    (Some(one), Some(other)) if one == other => continue,
                    // No file's name has a NUL, so this one is nobody else's.
                    (Some(_), Some(_)) => base = format!("{base}\0{}", found.len()),
                    (None, Some(_)) => {}
                }
            }
            found.insert(base, file);
        }
    }
    Ok(found)
}

/// Which file it is, whatever its name; `None` if it has gone.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let about = fs::symlink_metadata(path).ok()?;
    #[cfg(unix)]
    return Some((std::os::unix::fs::MetadataExt::dev(&about), std::os::unix::fs::MetadataExt::ino(&about)));
    #[cfg(not(unix))]
    return Some((0, u64::from(about.is_file())));
}

impl Entry {
    /// The message; `None` if it has gone.
    fn read(&self, folder: &Path, keywords: &[Option<Keyword>]) -> Result<Option<Message>, Broken> {
        let name = self.file.display().to_string();
        let broken = |error: io::Error| Broken::message(&name, error);
        let (file, path) = match open_plain(&folder.join(&self.file)) {
            Ok(file) => (file, self.file.clone()),
            // Somebody has changed its flags meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let base = flags::split(&name_of(&self.file)).0.to_owned();
                let Some(path) = message_files(folder).map_err(broken)?.remove(&base) else {
                    return Ok(None);
                };
                (open_plain(&folder.join(&path)).map_err(broken)?, path)
            }
            Err(error) => return Err(broken(error)),
        };
        let about = file.metadata().map_err(broken)?;
        if about.len() > LARGEST {
            return Err(Broken::message(name, "is too large"));
        }
        let changed = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text).map_err(broken)?;
        let (body, crlf) = lines::to_wire(text);
        let flags = flags::read(flags::split(&name_of(&path)).1, keywords);
        let date = InternalDate::from_system_time(changed);
        Ok(Some(Message { name, uid: self.uid, flags, date, body, crlf }))
    }
}

fn name_of(file: &Path) -> String {
    file.file_name().map(OsStr::to_string_lossy).unwrap_or_default().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn files_whose_names_look_alike_are_messages_each_and_a_second_name_is_none() {
        use std::os::unix::ffi::OsStrExt as _;
        let root = std::env::temp_dir().join(format!("imapper-alike-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for sub in ["cur", "new"] {
            fs::create_dir_all(root.join(sub)).unwrap();
        }
        for name in [&b"1.\xfe:2,S"[..], b"1.\xff:2,S", b"2:a", b"2:b", b"3:2,"] {
            fs::write(root.join("cur").join(OsStr::from_bytes(name)), "x").unwrap();
        }
        fs::hard_link(root.join("cur/3:2,"), root.join("new/3")).unwrap();
        assert_eq!(Listing::of(&root).unwrap().entries.len(), 5);
        fs::remove_dir_all(&root).unwrap();
    }

    #[tokio::test]
    #[cfg(unix)]
    async fn subscriptions_are_not_read_from_behind_a_link() {
        let root = std::env::temp_dir().join(format!("imapper-behind-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for sub in ["cur", "new"] {
            fs::create_dir_all(root.join(sub)).unwrap();
        }
        fs::write(root.join("secret"), "root:hash\n").unwrap();
        std::os::unix::fs::symlink(root.join("secret"), root.join("subscriptions")).unwrap();
        let source = MaildirSource::open(&root).unwrap();
        assert!(source.subscriptions().await.unwrap().is_empty());
        fs::remove_dir_all(&root).unwrap();
    }
}
