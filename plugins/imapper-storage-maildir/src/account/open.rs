//! Opening an account.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use imapper_core::storage::{Result, StorageError};

use super::commit::LOCK;
use super::settings::{SETTINGS, Setting, Settings};
use super::step::remove_tree;
use super::{Account, journal};
use crate::disk::{Disk, Kind};
use crate::home::replace;
use crate::mailbox::index;

/// After this time what lies in `tmp/` belongs to no delivery any more (maildir(5)).
const TMP_AGE: Duration = Duration::from_hours(36);
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
        let lock = found.map_err(|error| super::commit::failure(&error))?;
        self.write().tree_stale = true;
        self.refresh_tree()?;
        sweep(&*self.disk, "tmp").map_err(StorageError::backend)?;
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

    /// What is left to do when a batch has been answered: logs that are mostly stale are written anew.
    pub(super) fn tidy(&self) {
        let ids: Vec<_> = {
            let state = self.read();
            let stale = state.slots.values().filter(|slot| {
                let Some(mailbox) = &slot.mailbox else { return false };
                let most = (mailbox.len() as u64).saturating_mul(4).saturating_add(4000);
                mailbox.entries > most || slot.known.list_lines > most
            });
            stale.map(|slot| slot.id.clone()).collect()
        };
        for id in ids {
            // Opening it anew writes both anew.
            if let Some(slot) = self.write().slots.get_mut(&id) {
                slot.stale = true;
            }
        }
        if self.read().settings.entries > 10_000 {
            self.rewrite_settings();
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
