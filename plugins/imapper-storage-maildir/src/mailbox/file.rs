//! A message's file: what its name says, and what only a look at it tells.

use std::io;
use std::time::SystemTime;

use imapper_core::types::SystemFlags;

use super::entry::{FileState, Place, Put};
use super::nanos;
use crate::body;
use crate::disk::{Disk, Kind};
use crate::format::filename;

/// A name in `cur/` or `new/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) base: String,
    /// What follows the base.
    pub(crate) info: String,
}

impl Found {
    /// `None` for a name that is no message: hidden files are not (maildir(5)).
    pub(crate) fn new(place: Place, name: &str) -> Option<Self> {
        let base = filename::FileName::parse(name).base;
        if base.is_empty() || base.starts_with('.') {
            return None;
        }
        let info = name.get(base.len()..).unwrap_or_default();
        Some(Self { place, base: base.to_owned(), info: info.to_owned() })
    }

    /// The file's path below the mailbox's folder.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}{}", self.place.folder(), self.base, self.info)
    }

    /// What the name says, in `new/` too: mutt leaves a message there that it has flagged and not shown, and Dovecot
    /// reads it so.
    pub(crate) fn state(&self) -> FileState {
        let (system, keywords) = flags(&self.info);
        FileState { place: self.place, system: system.bits(), keywords, info: self.info.clone() }
    }
}

/// System flags and numbers of keywords, ascending, of what follows the base of a name.
fn flags(info: &str) -> (SystemFlags, Vec<u16>) {
    let name = filename::FileName::parse(info);
    let (system, letters, _) = filename::read_flags(name.letters);
    let (more, _) = filename::extra_keywords(name.extra);
    let mut keywords: Vec<u16> = letters.into_iter().map(u16::from).chain(more).collect();
    keywords.sort_unstable();
    keywords.dedup();
    (system, keywords)
}

/// Takes in a file that nobody knows. `None` if it is no message, or has gone meanwhile.
pub(crate) fn adopt(
    disk: &dyn Disk,
    folder: &str,
    found: &Found,
    uid: u32,
    modseq: u64,
) -> io::Result<Option<Put>> {
    let path = join(folder, &found.path());
    let stat = match disk.stat(&path) {
        Ok(stat) if stat.kind == Kind::File => stat,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let field = |key| filename::field(&found.base, key);
    let told =
        field('S').filter(|size| *size == stat.len).zip(field('W')).filter(|(size, wire)| wire >= size);
    let (physical, wire) = match told {
        Some(sizes) => sizes,
        None => match disk.open(&path).and_then(|file| body::measure(&*file)) {
            Ok(measured) => (measured.physical, measured.wire),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        },
    };
    let email_id = email_id(&found.base);
    Ok(Some(Put {
        uid,
        modseq,
        base: found.base.clone(),
        physical,
        wire,
        date: (stat.mtime, 0),
        saved: nanos(SystemTime::now()),
        email_id,
        thread_id: email_id,
        state: found.state(),
    }))
}

/// The email's id that we have written into the base, so that copies have the same and it outlives the index; of
/// a file of another program a hash of the base, which stays as well.
fn email_id(base: &str) -> u64 {
    let ours = base.split(['.', ',']).find_map(|part| {
        let digits = part.strip_prefix('I').filter(|digits| digits.len() == 16)?;
        u64::from_str_radix(digits, 16).ok()
    });
    ours.unwrap_or_else(|| hash(base.as_bytes()))
}

/// FNV-1a, 64 bits, without the highest one: ids are told as positive numbers.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step) >> 1
}

/// A path below a folder; `""` is the account's folder.
pub(crate) fn join(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}
