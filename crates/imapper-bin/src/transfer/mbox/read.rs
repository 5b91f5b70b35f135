//! Reading an mbox file, or a folder of such.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use imapper_core::message;
use imapper_core::types::{InternalDate, Uid};

use super::fields::Fields;
use super::lines::Pieces;
use crate::error::Failure;
use crate::transfer::{Broken, Folder, INBOX, LARGEST, Message, Messages, Source, at, name};

/// How deep files may lie.
const DEPTH: usize = 32;

/// mbox files: each is a mailbox.
pub(crate) struct MboxSource {
    files: Vec<(PathBuf, String)>,
    is_single: bool,
}

impl MboxSource {
    /// A file, or a folder in which all files called `*.mbox` are mailboxes. `named` is the mailbox of a single
    /// file; without it the mailbox is called as a file `Name.mbox` is, else INBOX.
    pub(crate) fn open(path: &Path, named: Option<&str>) -> Result<Self, Failure> {
        if !path.is_dir() {
            // It is read twice, first for its numbers: what has come out of a pipe would be lost.
            if !std::fs::metadata(path).map_err(|error| at(path, error))?.is_file() {
                return Err(at(path, "this is no regular file: save it to one first"));
            }
            File::open(path).map_err(|error| at(path, error))?;
            let own = || path.file_name().and_then(|file| mailbox(&file.to_string_lossy()));
            let name = named.map(str::to_owned).or_else(own).unwrap_or_else(|| INBOX.to_owned());
            return Ok(Self { files: vec![(path.to_owned(), name)], is_single: true });
        }
        let mut files = Vec::new();
        let mut open = vec![(path.to_owned(), String::new(), 0)];
        while let Some((folder, above, depth)) = open.pop() {
            for entry in std::fs::read_dir(&folder).map_err(|error| at(&folder, error))? {
                let entry = entry.map_err(|error| at(&folder, error))?;
                let (kind, file) = (entry.file_type(), entry.file_name().to_string_lossy().into_owned());
                match kind {
                    Ok(kind) if kind.is_dir() && depth < DEPTH && !file.starts_with('.') => {
                        open.push((entry.path(), format!("{above}{}/", name::from_file(&file)), depth + 1));
                    }
                    Ok(kind) if kind.is_file() => {
                        let found = mailbox(&file).map(|name| (entry.path(), format!("{above}{name}")));
                        files.extend(found);
                    }
                    _ => {}
                }
            }
        }
        files.sort();
        Ok(Self { files, is_single: false })
    }

    /// Whether it is one file, and so one mailbox.
    pub(crate) const fn is_single(&self) -> bool {
        self.is_single
    }
}

/// The mailbox that is called as that file.
fn mailbox(file: &str) -> Option<String> {
    let stem = file.strip_suffix(".mbox").filter(|stem| !stem.is_empty() && !stem.starts_with('.'))?;
    Some(if stem.eq_ignore_ascii_case(INBOX) { INBOX.to_owned() } else { name::from_file(stem) })
}

#[async_trait]
impl Source for MboxSource {
    async fn folders(&self) -> Result<Vec<Folder>, Failure> {
        let folder = |(place, (path, name)): (usize, &(PathBuf, String))| {
            let mut messages = Reader::open(path).map_err(|error| at(path, error))?;
            // The first message tells what the UIDs belong to. Where it can't be read, that is told later.
            let first = messages.pieces.next().ok().flatten().and_then(|piece| piece.text);
            let numbers = first.and_then(|text| Fields::read(text).0.numbers());
            Ok(Folder {
                name: name.clone(),
                place,
                special_use: Vec::new(),
                numbers,
                keywords: Vec::new(),
                messages: None,
            })
        };
        self.files.iter().enumerate().map(folder).collect()
    }

    async fn subscriptions(&self) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }

    fn messages<'a>(&'a self, folder: &'a Folder) -> Messages<'a> {
        let Some((path, _)) = self.files.get(folder.place) else { return stream::empty().boxed() };
        match Reader::open(path) {
            Ok(mut reader) => {
                reader.uid_next = folder.numbers.map(|numbers| numbers.uid_next);
                stream::iter(reader).boxed()
            }
            Err(error) => stream::iter([Err(Broken::Source(at(path, error)))]).boxed(),
        }
    }
}

/// The messages of a file.
struct Reader {
    path: PathBuf,
    pieces: Pieces<BufReader<File>>,
    number: u64,
    /// Of the last message that had one: those that do not ascend are none.
    last_uid: u32,
    /// Above all UIDs; `None` where there are none.
    uid_next: Option<Uid>,
    ended: bool,
    /// When the file was changed: the date of messages that have no other.
    changed: SystemTime,
}

impl Reader {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let changed = file.metadata()?.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let limit = usize::try_from(LARGEST).unwrap_or(usize::MAX);
        let pieces = Pieces::new(BufReader::with_capacity(128 * 1024, file), limit);
        Ok(Self {
            path: path.to_owned(),
            pieces,
            number: 0,
            last_uid: 0,
            uid_next: None,
            ended: false,
            changed,
        })
    }

    fn message(
        &mut self,
        date: Option<InternalDate>,
        text: Option<Vec<u8>>,
    ) -> Option<Result<Message, Broken>> {
        let name = format!("message {}", self.number);
        let Some(text) = text else { return Some(Err(Broken::message(name, "is too large"))) };
        let (fields, body) = Fields::read(text);
        if fields.is_internal && self.number == 1 {
            return None;
        }
        let is_one = |uid: &Uid| uid.get() > self.last_uid && self.uid_next.is_some_and(|next| *uid < next);
        let uid = fields.uid.filter(is_one);
        self.last_uid = uid.map_or(self.last_uid, Uid::get);
        let date = fields.date.or(date).unwrap_or_else(|| self.date_of(&body));
        Some(Ok(Message { name, uid, flags: fields.flags, date, body, crlf: false }))
    }

    /// What the message itself says of its date, else when the file was changed.
    fn date_of(&self, body: &[u8]) -> InternalDate {
        match message::parse(body).sent() {
            Some(sent) => InternalDate { seconds: sent.unix, offset_minutes: 0 },
            None => InternalDate::from_system_time(self.changed),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Message, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            self.number += 1;
            match self.pieces.next() {
                Ok(Some(piece)) => {
                    if let Some(message) = self.message(piece.date, piece.text) {
                        return Some(message);
                    }
                }
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(Broken::Source(at(&self.path, error))));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn what_can_be_read_only_once_is_refused() {
        let refused = MboxSource::open(Path::new("/dev/null"), None).err().unwrap().to_string();
        assert!(refused.contains("no regular file"), "{refused}");
    }
}
