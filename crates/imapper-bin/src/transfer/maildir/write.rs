//! Writing a tree of Maildirs, in the layout Maildir++.
//!
//! The name of a file comes from UIDVALIDITY and UID, so that a message that is there already is known again. Files
//! come by the hundred: all written, all brought to the disk, all renamed, then the folder. Then their UIDs.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, FileTimes};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use imapper_core::types::{Keyword, Uid};

use super::files::{self as beside, UidList};
use super::{flags, read};
use crate::error::Failure;
use crate::files::{self, Beside};
use crate::transfer::{Folder, INBOX, Message, Tally, Target, at, lines, name};

/// Messages that share the way to the disk.
const BATCH: usize = 100;

/// What the storage `maildir` has in the folder of each account that it has opened.
const IN_USE: &str = "imapper.lock";

/// A tree of Maildirs.
pub(crate) struct MaildirTarget {
    root: PathBuf,
    dry: bool,
    open: Option<Open>,
}

/// The mailbox that is being written.
struct Open {
    path: PathBuf,
    dry: bool,
    keywords: Vec<Option<Keyword>>,
    /// The files that were there before, by the name up to the flags.
    there: HashMap<String, PathBuf>,
    /// By what comes before the sizes, for names that were written here.
    ours: HashMap<String, String>,
    /// Of the mailbox that is carried.
    validity: u32,
    /// `None`, where the folder has one of another UIDVALIDITY.
    list: Option<UidList>,
    /// Files in `tmp/`, and their names in `cur/`.
    batch: Vec<(File, PathBuf, PathBuf)>,
}

impl MaildirTarget {
    pub(crate) fn new(root: &Path, dry: bool) -> Result<Self, Failure> {
        if root.exists() && !super::is_maildir(root) {
            let mut entries = fs::read_dir(root).map_err(|error| at(root, error))?;
            if entries.next().is_some() {
                let what = "is neither empty nor a Maildir: name a folder that is";
                return Err(Failure::configuration(format!("{} {what}", root.display())));
            }
        }
        if root.join(IN_USE).exists() {
            let what = "is where a storage keeps mail: it would lose UIDs if files came in behind its back; use `imapper import`";
            return Err(Failure::configuration(format!("{} {what}", root.display())));
        }
        if !dry {
            make(root).map_err(|error| at(root, error))?;
        }
        Ok(Self { root: root.to_owned(), dry, open: None })
    }
}

/// Makes a Maildir, as far as it is not there.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    for sub in ["tmp", "new", "cur"] {
        builder.create(folder.join(sub))?;
    }
    File::open(folder)?.sync_all()?;
    files::sync_folder(folder)
}

#[async_trait]
impl Target for MaildirTarget {
    async fn open(&mut self, folder: &Folder, tally: &mut Tally) -> Result<bool, Failure> {
        let path = if folder.name == INBOX {
            Some(self.root.clone())
        } else {
            name::to_maildir(&folder.name).map(|file| self.root.join(file))
        };
        let Some(path) = path else {
            tally.left_out(&folder.name, "its name can't be that of a folder");
            return Ok(false);
        };
        let open = Open::new(path.clone(), folder, self.dry, tally).map_err(|error| at(&path, error))?;
        self.open = Some(open);
        Ok(true)
    }

    async fn put(&mut self, message: Message, tally: &mut Tally) -> Result<(), Failure> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.put(&message, tally).map_err(|error| at(&open.path, error))
    }

    async fn close(&mut self, _tally: &mut Tally) -> Result<(), Failure> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.close().map_err(|error| at(&open.path, error))
    }

    async fn give_up(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        self.close(tally).await
    }

    async fn finish(&mut self, subscriptions: Vec<String>, _tally: &mut Tally) -> Result<(), Failure> {
        let path = self.root.join(beside::SUBSCRIPTIONS);
        let old = fs::read(&path).map_or_else(|_| Vec::new(), |text| beside::read_subscriptions(&text));
        let mut names = old.clone();
        names.extend(subscriptions.into_iter().filter(|name| !old.contains(name)));
        if self.dry || names == old {
            return Ok(());
        }
        replace(&path, &beside::write_subscriptions(&names)).map_err(|error| at(&path, error))
    }
}

impl Open {
    fn new(path: PathBuf, folder: &Folder, dry: bool, tally: &Tally) -> io::Result<Self> {
        if !dry {
            make(&path)?;
            if folder.name != INBOX {
                // Without it, delivery agents do not know the folder for one.
                File::options().create(true).append(true).open(path.join("maildirfolder"))?;
            }
        }
        let there = if super::is_maildir(&path) { read::message_files(&path)? } else { HashMap::new() };
        let ours = there
            .keys()
            .filter_map(|base| Some((base.split_once(',')?.0.to_owned(), base.clone())))
            .collect();
        let old = fs::read(path.join(beside::UIDLIST)).ok().and_then(|text| UidList::read(&text));
        let numbers = folder.numbers;
        let keeps_uids = match (&old, numbers) {
            (Some(old), Some(numbers)) => old.validity == numbers.uid_validity,
            (None, numbers) => numbers.is_some(),
            (Some(_), None) => false,
        };
        if !keeps_uids {
            tally.say(&format!(
                "{}: has UIDs of its own, so those of {} are not kept",
                path.display(),
                folder.name
            ));
        }
        let list = numbers.filter(|_| keeps_uids).map(|numbers| {
            let mut list = old.unwrap_or_else(|| UidList::new(numbers.uid_validity));
            list.next = list.next.max(numbers.uid_next.get());
            list.files.retain(|_, base| there.contains_key(base));
            list
        });
        let validity = numbers.map_or(0, |numbers| numbers.uid_validity.get());
        let keywords = fs::read(path.join(beside::KEYWORDS));
        let keywords = keywords.map_or_else(|_| Vec::new(), |text| beside::read_keywords(&text));
        let mut open = Self { path, dry, keywords, there, ours, validity, list, batch: Vec::new() };
        open.number_keywords(&folder.keywords)?;
        Ok(open)
    }

    /// Gives each keyword a number, before a file name says it.
    fn number_keywords(&mut self, wanted: &[Keyword]) -> io::Result<()> {
        let before = self.keywords.len();
        for keyword in wanted {
            if !self.keywords.iter().flatten().any(|known| known == keyword) {
                self.keywords.push(Some(keyword.clone()));
            }
        }
        if self.dry || self.keywords.len() == before {
            return Ok(());
        }
        replace(&self.path.join(beside::KEYWORDS), &beside::write_keywords(&self.keywords))
    }

    /// Notes which file has a UID. One that another message has here stays that one's.
    fn note_uid(&mut self, uid: Option<u32>, base: String) {
        if let (Some(list), Some(uid)) = (&mut self.list, uid) {
            list.files.entry(uid).or_insert(base);
        }
    }

    /// Whether the file that has the UID is this message: it was written here, or has the same octets.
    fn is_there(&self, uid: u32, start: &str, message: &Message) -> bool {
        let Some(base) = self.list.as_ref().and_then(|list| list.files.get(&uid)) else { return false };
        if base.split_once(',').is_some_and(|(begin, _)| begin == start) {
            return true;
        }
        let octets = self.there.get(base).and_then(|file| fs::read(self.path.join(file)).ok());
        octets.is_some_and(|octets| lines::to_wire(octets).0 == message.body)
    }

    fn put(&mut self, message: &Message, tally: &mut Tally) -> io::Result<()> {
        let uid = message.uid.map(Uid::get);
        let start =
            format!("{}.V{}U{}.imapper", message.date.seconds, self.validity, uid.unwrap_or_default());
        if uid.is_some_and(|uid| self.is_there(uid, &start, message)) {
            tally.skipped();
            return Ok(());
        }
        if let Some(base) = self.ours.get(&start).cloned() {
            self.note_uid(uid, base);
            tally.skipped();
            return Ok(());
        }
        let wire = message.body.len();
        let text = if message.crlf { message.body.to_vec() } else { lines::to_lf(&message.body) };
        let base = format!("{start},S={},W={wire}", text.len());
        self.number_keywords(message.flags.keywords())?;
        if !self.dry {
            let staged = self.path.join("tmp").join(&base);
            let mut file = files::create_anew(&staged)?;
            file.write_all(&text)?;
            file.set_times(FileTimes::new().set_modified(message.date.to_system_time()))?;
            let info = flags::write(&message.flags, &self.keywords);
            self.batch.push((file, staged, self.path.join("cur").join(format!("{base}{info}"))));
        }
        self.note_uid(uid, base);
        tally.carried(wire as u64);
        if self.batch.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        for (file, _, _) in &batch {
            file.sync_all()?;
        }
        for (_, staged, path) in batch {
            fs::rename(staged, path)?;
        }
        File::open(self.path.join("cur"))?.sync_all()
    }

    fn close(&mut self) -> io::Result<()> {
        self.flush()?;
        match self.list.take() {
            Some(list) if !self.dry => replace(&self.path.join(beside::UIDLIST), &list.write()),
            _ => Ok(()),
        }
    }
}

/// Writes a file in the place of the old one, in one step.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut file = Beside::new(path)?;
    file.write(text.as_bytes())?;
    file.replace(path)
}
