//! Keywords that Courier keeps beside its mail: taken over once, into names of files, when a mailbox is opened for the
//! first time.

use std::collections::HashMap;
use std::io;

use imapper_core::storage::StorageError;
use imapper_core::types::{Flags, Keyword, SystemFlags};

use super::Mailbox;
use super::entry::{Entry, Place};
use super::file::{Found, join};
use super::load::list_files;
use crate::format::courier::parse_keywords;
use crate::format::{filename, keywords};
use crate::home::{Home, keyword_files, replace};

/// Where Courier keeps them.
const LIST: &str = "courierimapkeywords/:list";

/// Gives Courier's keywords numbers, and writes them into the names of their files.
pub(super) fn take_over(
    home: &Home<'_>,
    mailbox: &mut Mailbox,
    entries: &mut Vec<Entry>,
) -> Result<(), StorageError> {
    let bytes = match home.disk.read(&join(home.folder, LIST)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StorageError::backend(error)),
    };
    let (names, files) = parse_keywords(&bytes);
    let free = (0..=u16::MAX).filter(|number| mailbox.words(*number).is_none());
    let new = names.iter().filter(|name| mailbox.number(&Keyword::new(name)).is_none());
    let learned: Vec<Entry> =
        free.zip(new).map(|(number, name)| Entry::Keyword { number, name: name.clone() }).collect();
    mailbox.apply(&learned);
    entries.extend(learned);
    for (path, all) in keyword_files(home.folder, &mailbox.all_words()) {
        replace(home.disk, &path, keywords::print(&all).as_bytes()).map_err(StorageError::backend)?;
    }
    home.disk.sync_folder(home.folder).map_err(StorageError::backend)?;
    let by_base: HashMap<&str, &[u16]> =
        files.iter().map(|(base, numbers)| (base.as_str(), numbers.as_slice())).collect();
    for found in list_files(home.disk, home.folder)? {
        let Some(numbers) = by_base.get(found.base.as_str()) else { continue };
        let words = numbers.iter().filter_map(|number| names.get(usize::from(*number)));
        let flags = Flags::new(SystemFlags::NONE, words.map(|name| Keyword::new(name)));
        rename(home, mailbox, &found, &flags).map_err(StorageError::backend)?;
    }
    home.disk.sync_folder(&join(home.folder, "cur")).map_err(StorageError::backend)
}

fn rename(home: &Home<'_>, mailbox: &Mailbox, found: &Found, flags: &Flags) -> io::Result<()> {
    if found.place == Place::New {
        return Ok(());
    }
    let name = filename::FileName::parse(&found.info);
    let (system, _, letters) = filename::read_flags(name.letters);
    let info = filename::info(system, &mailbox.numbers_of(flags), &letters, name.extra);
    let (from, to) = (found.path(), format!("cur/{}{info}", found.base));
    if from == to {
        return Ok(());
    }
    home.disk.rename(&join(home.folder, &from), &join(home.folder, &to))
}
