//! Opening a mailbox: what is written down of it, compared with the files that are there. The files are the truth of
//! which messages there are and of their flags; `dovecot-uidlist` and the index are that of their UIDs; the index alone
//! is that of mod-sequences.

use std::collections::{HashMap, HashSet};
use std::io;
use std::num::NonZeroU32;

use imapper_core::storage::StorageError;
use imapper_core::types::{ModSeq, Uid, UidSet};

use super::entry::{Entry, Place};
use super::file::{self, Found, join};
use super::{Mailbox, courier, index, later_modseq, ranges_of};
use crate::disk::Disk;
use crate::disk::failure;
use crate::format::keywords;
use crate::format::uidlist::UidList;
use crate::home::{Home, keyword_files, replace};

/// How far the files of a mailbox are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Octets of the index, and its number in the file system: another process may have written it anew.
    pub(crate) index_len: u64,
    pub(crate) index_inode: u64,
    /// Octets of the list of UIDs, its number, its lines and the last UID in it.
    pub(crate) list_len: u64,
    pub(crate) list_inode: u64,
    pub(crate) list_lines: u64,
    pub(crate) list_last: u32,
}

/// A mailbox that has been opened.
pub(crate) struct Loaded {
    pub(crate) mailbox: Mailbox,
    pub(crate) known: Known,
}

/// What is written down of a mailbox.
struct Written {
    list: UidList,
    /// The list has to be written anew.
    list_damaged: bool,
    mailbox: Mailbox,
    /// There was no index, or it is damaged: it has to be written anew.
    is_new: bool,
    index_len: u64,
}

/// Opens a mailbox. With the account locked: what is found anew is written down.
pub(crate) fn load(home: &Home<'_>) -> Result<Loaded, StorageError> {
    // Another program may be removing the folder, which fails when a file of ours comes anew.
    home.disk.stat(&join(home.folder, "cur")).map_err(StorageError::backend)?;
    let mut written = read(home)?;
    let mut entries = learn_keywords(home, &mut written)?;
    if written.is_new {
        courier::take_over(home, &mut written.mailbox, &mut entries)?;
    }
    let files = tell_apart(home, &written.mailbox, list_files(home.disk, home.folder)?);
    let found = compare(home, &mut written, files, &mut entries)?;
    write(home, written, &entries, &found)
}

fn read(home: &Home<'_>) -> Result<Written, StorageError> {
    let (list, list_damaged) = match home.disk.read(&home.list()) {
        Ok(bytes) => match UidList::parse(&bytes) {
            Ok(list) => {
                let torn = list.torn;
                (list, torn)
            }
            Err(error) => {
                tracing::warn!(path = home.list(), ?error, "a damaged list of UIDs is written anew");
                (UidList::default(), true)
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => (UidList::default(), true),
        Err(error) => return Err(StorageError::backend(error)),
    };
    let bytes = match home.index.read(&home.index_path()) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(StorageError::backend(error)),
    };
    let noted =
        index::validity(&bytes).filter(|noted| list.validity.is_none_or(|validity| validity == *noted));
    let validity = list.validity.or(noted).and_then(NonZeroU32::new);
    let mut mailbox = Mailbox::new(validity.unwrap_or_else(super::validity_now));
    let mut index_len = 0;
    let mut is_new = true;
    if let Some(frames) = noted.and(bytes.get(usize::try_from(index::HEAD).unwrap_or_default()..)) {
        let whole = index::frames(frames, |entries: Vec<Entry>| mailbox.apply(&entries));
        is_new = whole < frames.len();
        index_len = bytes.len() as u64;
    }
    Ok(Written { list, list_damaged, mailbox, is_new, index_len })
}

/// Which numbers stand for which keywords. The file is right where it and the index differ: it may be Dovecot's.
fn learn_keywords(home: &Home<'_>, written: &mut Written) -> Result<Vec<Entry>, StorageError> {
    let mut entries = Vec::new();
    let mut there = HashSet::new();
    for (number, name) in home.read_keywords().map_err(StorageError::backend)? {
        there.insert(number);
        if written.mailbox.words(number) != Some(name.as_str()) {
            entries.push(Entry::Keyword { number, name });
        }
    }
    written.mailbox.apply(&entries);
    let all = written.mailbox.all_words();
    if all.iter().any(|(number, _)| !there.contains(number)) {
        for (path, all) in keyword_files(home.folder, &all) {
            let text = keywords::print(&all);
            replace(home.disk, &path, text.as_bytes()).map_err(StorageError::backend)?;
        }
        home.disk.sync_folder(home.folder).map_err(StorageError::backend)?;
    }
    Ok(entries)
}

/// The files of messages; of two with the same base that in `cur/`.
pub(crate) fn list_files(disk: &dyn Disk, folder: &str) -> Result<Vec<Found>, StorageError> {
    let mut found = Vec::new();
    // `new/` first: what is moved to `cur/` meanwhile is seen twice rather than not at all.
    for place in [Place::New, Place::Cur] {
        let names = disk.list(&join(folder, place.folder())).map_err(StorageError::backend)?;
        found.extend(names.into_iter().filter_map(|(name, _)| Found::new(place, &name)));
    }
    let in_cur: HashSet<&str> =
        found.iter().filter(|file| file.place == Place::Cur).map(|file| file.base.as_str()).collect();
    let twice: Vec<bool> =
        found.iter().map(|file| file.place == Place::New && in_cur.contains(file.base.as_str())).collect();
    let mut twice = twice.into_iter();
    found.retain(|_| !twice.next().unwrap_or(false));
    Ok(found)
}

/// Files in `cur/` that have one base are two messages, as rsync leaves them: the one that is not known gets a base of its
/// own. Two names of one file are one message.
fn tell_apart(home: &Home<'_>, mailbox: &Mailbox, files: Vec<Found>) -> Vec<Found> {
    let mut by_base: HashMap<&str, u32> = HashMap::new();
    for file in &files {
        let count = by_base.entry(&file.base).or_default();
        *count = count.saturating_add(1);
    }
    if by_base.values().all(|count| *count == 1) {
        return files;
    }
    let twice: HashSet<String> =
        by_base.into_iter().filter(|(_, count)| *count > 1).map(|(base, _)| base.to_owned()).collect();
    let mut kept: HashMap<String, String> = HashMap::new();
    for file in files.iter().filter(|file| twice.contains(&file.base)) {
        let known =
            mailbox.by_base(&file.base).is_some_and(|(_, message)| mailbox.info(message) == file.info);
        if known || !kept.contains_key(&file.base) {
            kept.insert(file.base.clone(), file.info.clone());
        }
    }
    let apart = |mut file: Found| {
        if kept.get(&file.base).is_none_or(|info| *info == file.info) {
            return Some(file);
        }
        let path = |file: &Found| join(home.folder, &file.path());
        let first = Found { info: kept.get(&file.base).cloned().unwrap_or_default(), ..file.clone() };
        let inode = |file: &Found| home.disk.stat(&path(file)).map(|stat| stat.inode).ok();
        let before = path(&file);
        let settled = if inode(&first) == inode(&file) {
            home.disk.unlink(&before).map(|()| None)
        } else {
            file.base = crate::unique::name();
            home.disk.rename(&before, &path(&file)).map(|()| Some(file))
        };
        settled.unwrap_or_else(|error| {
            tracing::warn!(%error, path = before, "two files with one base can't be told apart");
            None
        })
    };
    files.into_iter().filter_map(apart).collect()
}

/// What comparing has found.
struct Compared {
    /// Lines that the list of UIDs lacks.
    lines: Vec<(u32, String)>,
}

/// Compares the files with what is written down; what differs becomes entries.
fn compare(
    home: &Home<'_>,
    written: &mut Written,
    files: Vec<Found>,
    entries: &mut Vec<Entry>,
) -> Result<Compared, StorageError> {
    let Written { list, mailbox, is_new, .. } = written;
    let listed: HashMap<&str, u32> = list.entries.iter().map(|(uid, base)| (base.as_str(), *uid)).collect();
    let modseq = if *is_new {
        // Counted on from what an import has begun with, if that lies above the clock.
        let imported = list.other.split(' ').find_map(|field| field.strip_prefix('M')?.parse::<u64>().ok());
        let later = later_modseq().saturating_add(imported.unwrap_or_default());
        ModSeq(later).max(mailbox.modseq().next())
    } else {
        mailbox.modseq().next()
    };
    if *is_new {
        let begin =
            Entry::Begin { modseq: modseq.0, next: list.next.max(mailbox.uid_next.get()), gone: Vec::new() };
        mailbox.apply(std::slice::from_ref(&begin));
        entries.push(begin);
    } else if list.next > mailbox.uid_next.get() {
        entries.push(Entry::Next { uid: list.next });
    }
    let mut there = UidSet::new();
    let mut new: Vec<(Option<u32>, Found)> = Vec::new();
    let mut changed = Vec::new();
    for file in files {
        let noted = listed.get(file.base.as_str()).copied();
        let Some((uid, message)) = mailbox.by_base(&file.base) else {
            new.push((noted, file));
            continue;
        };
        let is_other =
            |noted: u32| noted != uid.get() && Uid::new(noted).is_some_and(|noted| !mailbox.is_taken(noted));
        if noted.is_some_and(is_other) {
            new.push((noted, file));
            continue;
        }
        there.insert(uid);
        if message.place != file.place || mailbox.info(message) != file.info {
            let state = file.state();
            let same = mailbox.flags_of(&state) == message.flags;
            let uid = uid.get();
            changed.push(if same {
                Entry::File { uid, state }
            } else {
                Entry::Flags { uid, modseq: modseq.0, state }
            });
        }
    }
    let missing: UidSet =
        mailbox.messages().map(|(uid, _)| uid).filter(|uid| !there.contains(*uid)).collect();
    if !missing.is_empty() {
        entries.push(Entry::Gone { uids: ranges_of(&missing), modseq: modseq.0 });
    }
    entries.extend(changed);
    let next = list.next.max(mailbox.uid_next.get());
    let puts = adopt_all(home, mailbox, new, (next, modseq))?;
    if *is_new {
        let first_new = puts.iter().find(|put| put.uid >= next && put.state.place == Place::New);
        let after = puts.iter().map(|put| put.uid.saturating_add(1)).fold(next, u32::max);
        entries.push(Entry::Recent { from: first_new.map_or(after, |put| put.uid) });
    }
    entries.extend(puts.into_iter().map(Entry::Put));
    mailbox.apply(entries);
    let noted: HashMap<u32, &str> = list.entries.iter().map(|(uid, base)| (*uid, base.as_str())).collect();
    let unlisted = mailbox.messages().filter(|(uid, message)| noted.get(&uid.get()) != Some(&&*message.base));
    Ok(Compared { lines: unlisted.map(|(uid, message)| (uid.get(), message.base.to_string())).collect() })
}

/// Gives UIDs to files that have none: those that the list names, then what other programs have looked at, then what
/// has just been delivered; each in the order of names, which begin with the time.
fn adopt_all(
    home: &Home<'_>,
    mailbox: &Mailbox,
    mut new: Vec<(Option<u32>, Found)>,
    (mut next, modseq): (u32, ModSeq),
) -> Result<Vec<super::entry::Put>, StorageError> {
    for (uid, _) in &mut new {
        *uid = uid.filter(|uid| Uid::new(*uid).is_some_and(|uid| !mailbox.is_taken(uid)));
    }
    new.sort_by(|(a, one), (b, other)| {
        let key = |uid: &Option<u32>, file: &Found| (uid.unwrap_or(u32::MAX), file.place == Place::New);
        key(a, one).cmp(&key(b, other)).then_with(|| one.base.cmp(&other.base))
    });
    let mut puts = Vec::with_capacity(new.len());
    for (noted, file) in new {
        let uid = noted.unwrap_or(next);
        if uid == u32::MAX {
            return Err(StorageError::Limit("the mailbox has no UIDs left"));
        }
        // One file that can't be read must not be all others' end; it is looked at again at the next opening.
        let put = file::adopt(home.disk, home.folder, &file, uid, modseq.0).unwrap_or_else(|error| {
            tracing::warn!(%error, folder = home.folder, file = file.base, "a message can't be read");
            None
        });
        if let Some(put) = put {
            next = next.max(uid.saturating_add(1));
            puts.push(put);
        }
    }
    puts.sort_by_key(|put| put.uid);
    Ok(puts)
}

/// Writes down what was found, durably.
fn write(
    home: &Home<'_>,
    written: Written,
    entries: &[Entry],
    compared: &Compared,
) -> Result<Loaded, StorageError> {
    let Written { list, list_damaged, mut mailbox, is_new, index_len } = written;
    let fits =
        compared.lines.first().is_none_or(|(uid, _)| *uid > list.entries.last().map_or(0, |(uid, _)| *uid));
    let is_stale = list.entries.len() > mailbox.len().saturating_mul(2).saturating_add(1000);
    let must = list_damaged || !fits || list.guid.is_none();
    let anew = if must || is_stale { Some(home.write_list(&list, &mailbox)) } else { None };
    let mut known = match anew {
        Some(Ok(known)) => known,
        Some(Err(error)) if must => return Err(failure(&error)),
        // Only to make it shorter: where there is no room for that, it can wait.
        _ => home.append_list(&list, &compared.lines).map_err(|error| failure(&error))?,
    };
    let stale = mailbox.entries > (mailbox.needed_entries() as u64).saturating_mul(2).saturating_add(1000);
    let all = if is_new || stale { mailbox.to_entries() } else { Vec::new() };
    let anew = if all.is_empty() { None } else { Some(home.write_index(mailbox.uid_validity.get(), &all)) };
    match anew {
        Some(Ok((len, inode))) => {
            mailbox.entries = all.len() as u64;
            (known.index_len, known.index_inode) = (len, inode);
            return Ok(Loaded { mailbox, known });
        }
        Some(Err(error)) if is_new => return Err(failure(&error)),
        _ => {}
    }
    let added = if entries.is_empty() { Vec::new() } else { index::frame(entries) };
    let path = home.index_path();
    if !added.is_empty() {
        let add = home.index.write_at(&path, index_len, &added);
        add.and_then(|()| home.index.sync_file(&path)).map_err(StorageError::backend)?;
    }
    known.index_len = index_len.saturating_add(added.len() as u64);
    known.index_inode = home.index.stat(&path).map_err(StorageError::backend)?.inode;
    Ok(Loaded { mailbox, known })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimulatedDisk;

    #[test]
    fn nothing_is_written_into_what_is_left_of_a_mailbox() {
        let disk = SimulatedDisk::new();
        let id = "0123456789abcdef0123456789abcdef";
        let home = Home { disk: &disk, folder: ".Work", index: &disk, apart: false, id };
        for folder in [".Work", ".Work/cur", ".Work/new", ".Work/tmp"] {
            disk.make_folder(folder).unwrap();
        }
        disk.create(".Work/cur/1.a:2,a").unwrap().write(b"Subject: x\n\n").unwrap();
        disk.create(".Work/dovecot-keywords").unwrap().write(b"0 Later\n").unwrap();
        assert_eq!(load(&home).unwrap().mailbox.words(0), Some("Later"));
        disk.unlink(".Work/cur/1.a:2,a").unwrap();
        disk.remove_folder(".Work/cur").unwrap();
        disk.unlink(".Work/dovecot-keywords").unwrap();
        let before = disk.list(".Work").unwrap().len();
        assert!(load(&home).is_err());
        assert_eq!(disk.list(".Work").unwrap().len(), before);
    }
}
