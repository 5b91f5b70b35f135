//! Where a mailbox lies, and the files beside its messages.

use std::io;

use crate::disk::Disk;
use crate::format::keywords::{self, LETTERS};
use crate::format::uidlist::{self, UidList};
use crate::mailbox::entry::Entry;
use crate::mailbox::file::join;
use crate::mailbox::load::Known;
use crate::mailbox::{Mailbox, index};

/// The folder of a mailbox, and where its index lies.
pub(crate) struct Home<'a> {
    pub(crate) disk: &'a dyn Disk,
    /// Below the account's folder; `""` is that of INBOX.
    pub(crate) folder: &'a str,
    pub(crate) index: &'a dyn Disk,
    /// Whether the index lies elsewhere, under the mailbox's id.
    pub(crate) apart: bool,
    /// 32 hexadecimal digits: the mailbox's id, which Dovecot keeps in the head of its list.
    pub(crate) id: &'a str,
}

/// The list of UIDs.
pub(crate) const LIST: &str = "dovecot-uidlist";
/// What we keep of a mailbox.
pub(crate) const INDEX: &str = "imapper.index";
/// Dovecot's keywords: those that a letter stands for in names of files.
const KEYWORDS: &str = "dovecot-keywords";
/// Keywords from 26 on, of which Dovecot knows nothing.
const MORE_KEYWORDS: &str = "imapper.keywords";
/// Digests.
pub(crate) const CACHE: &str = "imapper.cache";

impl Home<'_> {
    /// The path of the list of UIDs.
    pub(crate) fn list(&self) -> String {
        join(self.folder, LIST)
    }

    /// The path of the index.
    pub(crate) fn index_path(&self) -> String {
        if self.apart { format!("{}.index", self.id) } else { join(self.folder, INDEX) }
    }

    /// The path of the digests.
    pub(crate) fn cache_path(&self) -> String {
        if self.apart { format!("{}.cache", self.id) } else { join(self.folder, CACHE) }
    }

    /// Numbers and names of keywords, those of Dovecot and ours.
    pub(crate) fn read_keywords(&self) -> io::Result<Vec<(u16, String)>> {
        let mut all = Vec::new();
        for name in [KEYWORDS, MORE_KEYWORDS] {
            match self.disk.read(&join(self.folder, name)) {
                Ok(bytes) => all.extend(keywords::parse(&bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Writes the list of UIDs anew, durably.
    pub(crate) fn write_list(&self, old: &UidList, mailbox: &Mailbox) -> io::Result<Known> {
        let mut list = UidList {
            validity: Some(mailbox.uid_validity.get()),
            next: mailbox.uid_next.get(),
            guid: Some(self.id.to_owned()),
            torn: false,
            ..old.clone()
        };
        list.entries =
            mailbox.messages().map(|(uid, message)| (uid.get(), message.base.to_string())).collect();
        let text = uidlist::print(&list);
        replace(self.disk, &self.list(), text.as_bytes())?;
        self.disk.sync_folder(self.folder)?;
        self.known_list(text.len() as u64, &list.entries)
    }

    /// Adds lines to the list of UIDs, durably.
    pub(crate) fn append_list(&self, list: &UidList, lines: &[(u32, String)]) -> io::Result<Known> {
        let text: String = lines.iter().map(|(uid, base)| uidlist::line(*uid, base)).collect();
        let len = list.whole;
        if !text.is_empty() {
            self.disk.write_at(&self.list(), len, text.as_bytes())?;
            self.disk.sync_file(&self.list())?;
        }
        let mut known = self.known_list(len.saturating_add(text.len() as u64), &list.entries)?;
        known.list_lines = known.list_lines.saturating_add(lines.len() as u64);
        known.list_last = lines.last().map_or(known.list_last, |(uid, _)| *uid);
        Ok(known)
    }

    fn known_list(&self, len: u64, entries: &[(u32, String)]) -> io::Result<Known> {
        Ok(Known {
            list_len: len,
            list_inode: self.disk.stat(&self.list())?.inode,
            list_lines: entries.len() as u64,
            list_last: entries.last().map_or(0, |(uid, _)| *uid),
            ..Known::default()
        })
    }

    /// Writes the index anew, durably; gives its length and its number in the file system.
    pub(crate) fn write_index(&self, validity: u32, entries: &[Entry]) -> io::Result<(u64, u64)> {
        let bytes = index::whole(validity, entries);
        let path = self.index_path();
        replace(self.index, &path, &bytes)?;
        self.index.sync_folder(if self.apart { "" } else { self.folder })?;
        Ok((bytes.len() as u64, self.index.stat(&path)?.inode))
    }
}

/// Puts a file in the place of another one, its content durable first.
pub(crate) fn replace(disk: &dyn Disk, path: &str, octets: &[u8]) -> io::Result<()> {
    let beside = format!("{path}.new");
    match disk.unlink(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let replaced = (|| {
        let mut file = disk.create(&beside)?;
        file.write(octets)?;
        file.sync()?;
        drop(file);
        disk.rename(&beside, path)
    })();
    // On a full disk it would take the room of what comes next.
    replaced.inspect_err(|_| drop(disk.unlink(&beside)))
}

/// The files for a mailbox's keywords, with what belongs in each. That for more of them only where there are more.
pub(crate) fn keyword_files(
    folder: &str,
    all: &[(u16, String)],
) -> impl Iterator<Item = (String, Vec<(u16, String)>)> + use<> {
    let (letters, more): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|(number, _)| *number < LETTERS);
    let more = (!more.is_empty()).then(|| (join(folder, MORE_KEYWORDS), more));
    std::iter::once((join(folder, KEYWORDS), letters)).chain(more)
}
