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
    /// What is written closed: where, and what it is.
    late: Vec<(String, u64, Vec<u8>)>,
    /// How long the logs are now.
    pub(super) indexes: HashMap<MailboxId, u64>,
    pub(super) settings: Option<u64>,
}

impl Files {
    /// Adds what changes write down. What belongs to those that remove is written closed, so that it means nothing yet
    /// but has its room.
    pub(super) fn write(&mut self, account: &Account, doing: &[Doing]) -> io::Result<()> {
        let (mut lines, mut settings) = (Vec::new(), (Vec::new(), Vec::new()));
        let (mut frames, mut late) = (Vec::new(), Vec::new());
        for one in doing.iter().filter(|one| one.failed.is_none()) {
            let frames = if one.removes() { &mut late } else { &mut frames };
            for (id, entries) in &one.change.entries {
                add(frames, id, &index::frame(entries));
            }
            for (id, new) in &one.change.lines {
                let text: String = new.iter().map(|(uid, base)| uidlist::line(*uid, base)).collect();
                add(&mut lines, id, text.as_bytes());
            }
            if !one.change.settings.is_empty() {
                let all = if one.removes() { &mut settings.1 } else { &mut settings.0 };
                all.extend_from_slice(&index::frame(&one.change.settings));
            }
        }
        for (frames, is_late) in [(frames, false), (late, true)] {
            for (id, bytes) in frames {
                let (path, known) =
                    account.of_slot(&id, |slot, home| (home.index_path(), slot.known.index_len))?;
                let before = self.indexes.get(&id).copied();
                let len = self.write_log(account, &path, (before, known), &bytes, is_late)?;
                self.indexes.insert(id, len);
            }
        }
        for (id, bytes) in lines {
            let (path, known) = account.of_slot(&id, |slot, home| (home.list(), slot.known.list_len))?;
            self.lists.push((path.clone(), known));
            account.disk.write_at(&path, known, &bytes)?;
        }
        for (bytes, is_late) in [(settings.0, false), (settings.1, true)] {
            if !bytes.is_empty() {
                let known = account.read().settings_known.0;
                let len = self.write_log(account, SETTINGS, (self.settings, known), &bytes, is_late)?;
                self.settings = Some(len);
            }
        }
        Ok(())
    }

    /// Adds to a log that is known to be so long, or that this batch has made longer already; gives how long it is then.
    fn write_log(
        &mut self,
        account: &Account,
        path: &str,
        (added, known): (Option<u64>, u64),
        bytes: &[u8],
        is_late: bool,
    ) -> io::Result<u64> {
        if added.is_none() {
            self.logs.push((path.to_owned(), known));
        }
        let len = added.unwrap_or(known);
        if is_late {
            account.index.write_at(path, len, &index::closed(bytes))?;
            self.late.push((path.to_owned(), len, bytes.to_vec()));
        } else {
            account.index.write_at(path, len, bytes)?;
        }
        Ok(len.saturating_add(bytes.len() as u64))
    }

    /// Gives what was written closed its meaning.
    pub(super) fn open(&mut self, account: &Account) -> io::Result<()> {
        self.late.drain(..).try_for_each(|(path, at, bytes)| account.index.write_at(&path, at, &bytes))
    }

    /// Cuts off what was added, all of it that can be.
    pub(super) fn take_back(&mut self, account: &Account) -> io::Result<()> {
        let cut = |disk: &dyn Disk, files: &mut Vec<(String, u64)>| {
            let mut all = Ok(());
            for (path, len) in files.drain(..) {
                all = all.and(disk.truncate(&path, len).inspect_err(|error| {
                    tracing::error!(%error, path, "what was added can't be cut off");
                }));
            }
            all
        };
        let logs = cut(&*account.index, &mut self.logs);
        cut(&*account.disk, &mut self.lists).and(logs)
    }
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
        let sync = |share: &[Sync<'_>]| share.iter().try_for_each(Sync::run);
        let others: Vec<_> = shares
            .map(|share| (share, std::thread::Builder::new().spawn_scoped(scope, move || sync(share))))
            .collect();
        let mut result = sync(own);
        for (share, other) in others {
            let synced = match other {
                Ok(other) => other.join().unwrap_or_else(|_| Err(io::Error::other("a sync did not end"))),
                // There is no thread to be had.
                Err(_) => sync(share),
            };
            result = result.and(synced);
        }
        result
    })
}
