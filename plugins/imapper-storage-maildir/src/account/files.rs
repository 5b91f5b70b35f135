//! What a batch adds to logs and lists, and what it syncs.

use std::collections::HashMap;
use std::io;

use imapper_core::storage::MailboxId;

use super::Account;
use super::commit::Doing;
use super::settings::SETTINGS;
use crate::disk::Disk;
use crate::format::uidlist;
use crate::mailbox::index;

/// What a batch has added to logs and lists, so that it can be taken back.
#[derive(Default)]
pub(super) struct Files {
    /// Paths and lengths from before.
    pub(super) lists: Vec<(String, u64)>,
    pub(super) logs: Vec<(String, u64)>,
    /// How long the files are now.
    pub(super) indexes: HashMap<MailboxId, u64>,
    list_lens: HashMap<MailboxId, u64>,
    pub(super) settings: Option<u64>,
}

impl Files {
    /// Adds what changes write down: those that remove messages, or the others.
    pub(super) fn write(&mut self, account: &Account, doing: &[Doing], removing: bool) -> io::Result<()> {
        let (mut frames, mut lines, mut settings) = (Vec::new(), Vec::new(), Vec::new());
        for one in doing.iter().filter(|one| one.failed.is_none() && one.removes() == removing) {
            for (id, entries) in &one.change.entries {
                add(&mut frames, id, &index::frame(entries));
            }
            for (id, new) in &one.change.lines {
                let text: String = new.iter().map(|(uid, base)| uidlist::line(*uid, base)).collect();
                add(&mut lines, id, text.as_bytes());
            }
            if !one.change.settings.is_empty() {
                settings.extend_from_slice(&index::frame(&one.change.settings));
            }
        }
        for (id, bytes) in frames {
            let (path, known) =
                account.of_slot(&id, |slot, home| (home.index_path(), slot.known.index_len))?;
            let len = write_on(
                &*account.index,
                &mut self.logs,
                &path,
                self.indexes.get(&id).copied(),
                known,
                &bytes,
            )?;
            self.indexes.insert(id, len);
        }
        for (id, bytes) in lines {
            let (path, known) = account.of_slot(&id, |slot, home| (home.list(), slot.known.list_len))?;
            let before = self.list_lens.get(&id).copied();
            let len = write_on(&*account.disk, &mut self.lists, &path, before, known, &bytes)?;
            self.list_lens.insert(id, len);
        }
        if !settings.is_empty() {
            let known = account.read().settings_known.0;
            let len = write_on(&*account.index, &mut self.logs, SETTINGS, self.settings, known, &settings)?;
            self.settings = Some(len);
        }
        Ok(())
    }

    /// Cuts off what was added.
    pub(super) fn take_back(&mut self, account: &Account) {
        let cut = |disk: &dyn Disk, files: &mut Vec<(String, u64)>| {
            for (path, len) in files.drain(..) {
                if let Err(error) = disk.truncate(&path, len) {
                    tracing::error!(%error, path, "what was added can't be cut off");
                }
            }
        };
        cut(&*account.index, &mut self.logs);
        cut(&*account.disk, &mut self.lists);
    }
}

/// Adds to a file that is known to be so long, or that this batch has made longer already; gives how long it is then.
fn write_on(
    disk: &dyn Disk,
    before: &mut Vec<(String, u64)>,
    path: &str,
    added: Option<u64>,
    known: u64,
    bytes: &[u8],
) -> io::Result<u64> {
    if added.is_none() {
        before.push((path.to_owned(), known));
    }
    let len = added.unwrap_or(known);
    disk.write_at(path, len, bytes)?;
    Ok(len.saturating_add(bytes.len() as u64))
}

fn add(all: &mut Vec<(MailboxId, Vec<u8>)>, id: &MailboxId, bytes: &[u8]) {
    match all.iter_mut().find(|(other, _)| other == id) {
        Some((_, before)) => before.extend_from_slice(bytes),
        None => all.push((id.clone(), bytes.to_vec())),
    }
}

/// Something to sync.
pub(super) enum Sync<'a> {
    File(&'a dyn Disk, &'a str),
    Folder(&'a dyn Disk, &'a str),
}

impl Sync<'_> {
    pub(super) fn run(&self) -> io::Result<()> {
        match self {
            Self::File(disk, path) => disk.sync_file(path),
            // A folder that a later change of the batch has moved away is synced under its new name.
            Self::Folder(disk, path) => match disk.sync_folder(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                synced => synced,
            },
        }
    }
}

/// How many threads sync at once.
const AT_ONCE: usize = 8;

/// Syncs side by side: the disk then does as one what it would do one after the other.
pub(super) fn sync_all(work: &[Sync<'_>]) -> io::Result<()> {
    let Some((first, rest)) = work.split_first() else { return Ok(()) };
    if rest.is_empty() {
        return first.run();
    }
    let share = work.len().div_ceil(AT_ONCE);
    std::thread::scope(|scope| {
        let mut shares = work.chunks(share);
        let own = shares.next().unwrap_or_default();
        let others: Vec<_> =
            shares.map(|share| scope.spawn(move || share.iter().try_for_each(Sync::run))).collect();
        let mut result = own.iter().try_for_each(Sync::run);
        for other in others {
            let synced = other.join().unwrap_or_else(|_| Err(io::Error::other("a sync did not end")));
            result = result.and(synced);
        }
        result
    })
}
