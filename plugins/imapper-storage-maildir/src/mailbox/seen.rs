//! What other programs have done in the folder of an open mailbox, name by name: it costs what they did, not what
//! there is.

use std::collections::BTreeMap;
use std::io;

use imapper_core::types::Uid;

use super::Mailbox;
use super::entry::{Entry, Place};
use super::file::{self, Found, join};
use crate::disk::{Disk, Kind};
use crate::home::Home;

/// What a look at names has found.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub(crate) entries: Vec<Entry>,
    /// Lines for the list of UIDs.
    pub(crate) lines: Vec<(u32, String)>,
    /// Names of messages that are not where they were, and nowhere else yet: perhaps the other half of a rename is
    /// still to be told.
    pub(crate) unsure: Vec<(Place, String)>,
    /// Two files are one message, or a file is not what it was: the folder has to be looked at as a whole.
    pub(crate) again: bool,
}

/// Whether a name is what the mailbox's state says already, so that there is nothing to look at: what we do
/// ourselves is told, too.
pub(crate) fn is_known(mailbox: &Mailbox, place: Place, name: &str, gone: bool) -> bool {
    let Some(found) = Found::new(place, name) else { return true };
    let here = mailbox
        .by_base(&found.base)
        .is_some_and(|(_, message)| message.place == place && mailbox.info(message) == found.info);
    here != gone
}

/// Looks at names in the folders of an open mailbox. What is not there has gone, if it is `sure` of that base.
pub(crate) fn look(
    home: &Home<'_>,
    mailbox: &Mailbox,
    names: &[(Place, String)],
    listed: &[(u32, String)],
    sure: &dyn Fn(&str) -> bool,
) -> io::Result<Looked> {
    let mut by_base: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    for found in names.iter().filter_map(|(place, name)| Found::new(*place, name)) {
        by_base.entry(found.base.clone()).or_default().push(found);
    }
    let modseq = mailbox.modseq().next().0;
    let mut next = mailbox.uid_next.get();
    let mut looked = Looked::default();
    let mut gone = Vec::new();
    for (base, mut candidates) in by_base {
        // The latest name that is there counts, one in `cur/` before one in `new/`.
        candidates.reverse();
        candidates.sort_by_key(|found| found.place == Place::New);
        let Some((uid, message)) = mailbox.by_base(&base) else {
            let noted = listed.iter().find(|(_, name)| *name == base).map(|(uid, _)| *uid);
            let noted = noted.filter(|uid| Uid::new(*uid).is_some_and(|uid| !mailbox.is_taken(uid)));
            let uid = noted.unwrap_or(next);
            if uid == u32::MAX {
                continue;
            }
            for found in candidates {
                if let Some(put) = file::adopt(home.disk, home.folder, &found, uid, modseq)? {
                    next = next.max(uid.saturating_add(1));
                    if noted.is_none() {
                        looked.lines.push((uid, base.clone()));
                    }
                    looked.entries.push(Entry::Put(put));
                    break;
                }
            }
            continue;
        };
        let here = mailbox.file(message);
        let len = len(home.disk, &join(home.folder, &here))?;
        let mut moved = None;
        for found in candidates.iter().filter(|found| found.path() != here) {
            if self::len(home.disk, &join(home.folder, &found.path()))?.is_some() {
                moved = Some(found.state());
                break;
            }
        }
        if let Some(len) = len {
            looked.again |= moved.is_some();
            // A file with other content is another message.
            let file = Found::new(message.place, here.rsplit('/').next().unwrap_or_default());
            if len != message.physical
                && let Some(put) =
                    file.map(|it| file::adopt(home.disk, home.folder, &it, next, modseq)).transpose()?
            {
                gone.push((uid.get(), uid.get()));
                looked.lines.extend(put.iter().map(|put| (put.uid, base.clone())));
                looked.entries.extend(put.map(Entry::Put));
                next = next.saturating_add(1);
            }
            continue;
        }
        let uid = uid.get();
        match moved {
            Some(state) if mailbox.flags_of(&state) == message.flags => {
                looked.entries.push(Entry::File { uid, state });
            }
            Some(state) => looked.entries.push(Entry::Flags { uid, modseq, state }),
            None if sure(&base) => gone.push((uid, uid)),
            None => looked.unsure.extend(
                candidates.first().map(|found| (found.place, format!("{}{}", found.base, found.info))),
            ),
        }
    }
    if !gone.is_empty() {
        gone.sort_unstable();
        // Before one comes that has the base of another one.
        looked.entries.insert(0, Entry::Gone { uids: gone, modseq });
    }
    looked.lines.sort_unstable();
    Ok(looked)
}

/// Octets of a file, if it is there.
fn len(disk: &dyn Disk, path: &str) -> io::Result<Option<u64>> {
    match disk.stat(path) {
        Ok(stat) => Ok((stat.kind == Kind::File).then_some(stat.len)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
