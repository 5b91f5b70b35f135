//! Opening an account.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use imapper_core::storage::{MailboxId, Result, StorageError};

use super::commit::LOCK;
use super::settings::{SETTINGS, Setting, Settings};
use super::step::remove_tree;
use super::{Account, journal};
use crate::disk::{Disk, Kind};
use crate::format::uidlist::UidList;
use crate::home::replace;
use crate::mailbox::file::join;
use crate::mailbox::index;

/// After this time what lies in `tmp/` belongs to no delivery any more (maildir(5)).
const TMP_AGE: Duration = Duration::from_hours(36);
/// How often that is looked for.
const SWEEP: Duration = Duration::from_hours(24);
/// How deep folders lie in what was thrown away.
pub(super) const TRASH_LEVELS: usize = 40;

impl Account {
    /// Makes what is missing of the account's folder, does to the end what a crash has cut off, and finds the
    /// mailboxes.
    pub(super) fn begin(&self) -> Result<()> {
        let found = (|| {
            make_folder(&*self.disk, "tmp")?;
            if self.personal {
                make_folder(&*self.disk, "new")?;
                make_folder(&*self.disk, "cur")?;
            }
            if self.disk.stat(LOCK).is_err() {
                match self.disk.create(LOCK) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    made => drop(made?),
                }
            }
            self.disk.sync_folder("")?;
            let lock = self.disk.lock(LOCK)?;
            journal::prepare(&*self.disk)?;
            journal::recover(&*self.disk)?;
            prepare_settings(&*self.index)?;
            Ok::<_, io::Error>(lock)
        })();
        let lock = found.map_err(|error| crate::disk::failure(&error))?;
        self.write().tree_changes();
        self.refresh_tree()?;
        drop(lock);
        Ok(())
    }

    /// Reads the settings, where they have changed.
    pub(super) fn read_settings(&self) -> Result<bool> {
        let known = self.read().settings_known;
        let stat = self.index.stat(SETTINGS).map_err(StorageError::backend)?;
        if known == (stat.len, stat.inode) {
            return Ok(false);
        }
        let bytes = self.index.read(SETTINGS).map_err(StorageError::backend)?;
        let mut settings = Settings::default();
        let whole = index::frames(&bytes, |all: Vec<Setting>| settings.apply(&all));
        let mut known = (bytes.len() as u64, stat.inode);
        if whole < bytes.len() {
            tracing::warn!(account = %self.id, "the end of the account's settings was cut off");
            self.index.truncate(SETTINGS, whole as u64).map_err(StorageError::backend)?;
            known.0 = whole as u64;
        }
        let mut state = self.write();
        state.settings = settings;
        state.settings_known = known;
        Ok(true)
    }

    /// What is left to do when a batch has been answered: logs that are mostly stale are written anew, and `tmp/` is
    /// swept once a day.
    pub(super) fn tidy(&self, swept: &mut Option<Instant>) {
        let stale: Vec<_> = {
            let state = self.read();
            let stale = state.slots.values().filter_map(|slot| {
                let mailbox = slot.mailbox.as_ref().filter(|_| !slot.stale)?;
                let most = |needed: usize| (needed as u64).saturating_mul(4).saturating_add(4000);
                let is_stale = mailbox.entries > most(mailbox.needed_entries())
                    || slot.known.list_lines > most(mailbox.len());
                is_stale.then(|| slot.id.clone())
            });
            stale.collect()
        };
        for id in stale {
            if let Err(error) = self.rewrite(&id) {
                tracing::warn!(%error, account = %self.id, "the index of a mailbox is not written anew");
                if let Some(slot) = self.write().slots.get_mut(&id) {
                    slot.stale = true;
                }
            }
        }
        if self.read().settings.entries > 10_000 {
            self.rewrite_settings();
        }
        if swept.is_none_or(|at| at.elapsed() > SWEEP) {
            *swept = Some(Instant::now());
            self.sweep_all();
        }
    }

    /// Writes the index and the list of UIDs of a mailbox anew, from what is in memory.
    fn rewrite(&self, id: &MailboxId) -> io::Result<()> {
        let (known, entries) = {
            let state = self.read();
            let gone = || io::Error::from(io::ErrorKind::NotFound);
            let slot = state.slots.get(id).ok_or_else(gone)?;
            let mailbox = slot.mailbox.as_ref().ok_or_else(gone)?;
            let home = self.home(&slot.folder, id.as_str());
            let (index, list) = (self.index.stat(&home.index_path())?, self.disk.stat(&home.list())?);
            let on_disk = (index.len, index.inode, list.len, list.inode);
            let known = &slot.known;
            if on_disk != (known.index_len, known.index_inode, known.list_len, known.list_inode) {
                // Another process has written since: its changes are followed first.
                return Ok(());
            }
            let list = UidList::parse(&self.disk.read(&home.list())?).unwrap_or_default();
            let mut known = home.write_list(&list, mailbox)?;
            let entries = mailbox.to_entries();
            (known.index_len, known.index_inode) = home.write_index(mailbox.uid_validity.get(), &entries)?;
            (known, entries.len() as u64)
        };
        let mut state = self.write();
        if let Some(slot) = state.slots.get_mut(id) {
            slot.known = known;
            if let Some(mailbox) = &mut slot.mailbox {
                mailbox.entries = entries;
            }
        }
        Ok(())
    }

    /// Removes what has lain in `tmp/` of the account and of its mailboxes for long.
    fn sweep_all(&self) {
        let mut folders: Vec<String> =
            self.read().slots.values().map(|slot| join(&slot.folder, "tmp")).collect();
        folders.push("tmp".to_owned());
        folders.sort_unstable();
        folders.dedup();
        for folder in folders {
            match sweep(&*self.disk, &folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::debug!(%error, folder, "can't be swept");
                }
                _ => {}
            }
        }
    }

    fn rewrite_settings(&self) {
        let settings = self.read().settings.to_settings();
        let bytes: Vec<u8> = settings.chunks(index::PER_FRAME).flat_map(index::frame).collect();
        let written = replace(&*self.index, SETTINGS, &bytes)
            .and_then(|()| self.index.sync_folder(""))
            .and_then(|()| self.index.stat(SETTINGS));
        match written {
            Ok(stat) => {
                let mut state = self.write();
                state.settings.entries = settings.len() as u64;
                state.settings_known = (stat.len, stat.inode);
            }
            Err(error) => {
                tracing::warn!(%error, account = %self.id, "the account's settings are not written anew");
            }
        }
    }

    /// Removes what was thrown away.
    pub(super) fn remove_trash(&self, trash: &[String]) {
        for path in trash {
            let removed = match self.disk.stat(path) {
                Ok(stat) if stat.kind == Kind::Folder => remove_tree(&*self.disk, path, TRASH_LEVELS),
                Ok(_) => self.disk.unlink(path),
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                tracing::debug!(%error, path, "is removed when it is older");
            }
        }
    }
}

pub(super) fn make_folder(disk: &dyn Disk, path: &str) -> io::Result<()> {
    match disk.make_folder(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn prepare_settings(disk: &dyn Disk) -> io::Result<()> {
    match disk.stat(SETTINGS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk.create(SETTINGS)?.sync()?;
            disk.sync_folder("")
        }
        found => found.map(drop),
    }
}

/// Removes what has lain in `tmp/` for long.
fn sweep(disk: &dyn Disk, folder: &str) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let before = i64::try_from(now.saturating_sub(TMP_AGE).as_secs()).unwrap_or_default();
    let mut old: VecDeque<(String, Kind)> = VecDeque::new();
    for (name, _) in disk.list(folder)? {
        let path = format!("{folder}/{name}");
        // What has gone meanwhile is what is wanted.
        if let Ok(stat) = disk.stat(&path)
            && stat.mtime < before
        {
            old.push_back((path, stat.kind));
        }
    }
    for (path, kind) in old {
        let removed =
            if kind == Kind::Folder { remove_tree(disk, &path, TRASH_LEVELS) } else { disk.unlink(&path) };
        if let Err(error) = removed {
            tracing::debug!(%error, path, "can't be removed");
        }
    }
    Ok(())
}
