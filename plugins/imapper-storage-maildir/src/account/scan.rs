//! Which mailboxes there are: the folders, and the id that each has in its list of UIDs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;

use imapper_core::storage::{Event, MailboxId, Result, StorageError};

use super::settings::Setting;
use super::{Account, Slot, State};
use crate::disk::{Disk, Kind};
use crate::format::courier;
use crate::format::folder::{Layout, foreign_name, from_path};
use crate::format::uidlist::UidList;
use crate::home::{LIST, replace};
use crate::mailbox::file::join;
use crate::mailbox::index;
use crate::watch::{Key, Seen};

/// How deep folders may lie in each other.
const MAX_LEVELS: usize = 32;
/// What the list of UIDs begins with is shorter than this.
const HEAD: usize = 1024;

impl Account {
    /// Whether something was seen that mailboxes may come from.
    pub(super) fn tree_was_seen(&self, state: &State) -> bool {
        let Some(watching) = &self.watching else { return false };
        let seen = watching.drain_all(state.tree_keys.values().copied());
        if seen.is_empty() {
            return false;
        }
        let folders: HashMap<Key, &String> =
            state.tree_keys.iter().map(|(folder, key)| (*key, folder)).collect();
        seen.into_iter().any(|(key, seen)| match seen {
            Seen::All => true,
            Seen::Name { name, gone } => {
                folders.get(&key).is_some_and(|folder| self.is_tree_change(state, folder, &name, gone))
            }
        })
    }

    fn is_tree_change(&self, state: &State, folder: &str, name: &str, gone: bool) -> bool {
        let is_folder = match self.layout {
            Layout::MaildirPlusPlus => name.starts_with('.') || name == "cur",
            Layout::Fs => !is_ours(name),
        };
        if !is_folder {
            return false;
        }
        let path = if name == "cur" { folder.to_owned() } else { join(folder, name) };
        let here = from_path(self.layout, &path).is_some_and(|name| state.names.contains_key(&name));
        here == gone
    }

    /// Sees to the tree and the settings being what the disk has. Only in the thread that runs the changes.
    pub(super) fn refresh_tree(&self) -> Result<()> {
        let changed = self.read_settings()?;
        let was_seen = self.tree_was_seen(&self.read());
        if was_seen || changed {
            // Until the folders have been looked at, and again where that fails.
            self.write().tree_changes();
        }
        let is_stale = self.read().tree_is_stale();
        if is_stale { self.scan() } else { Ok(()) }
    }

    fn scan(&self) -> Result<()> {
        let changes = self.read().tree_changes;
        self.watch_tree("");
        let (folders, folders_seen) = self.folders().map_err(StorageError::backend)?;
        let folders = self.known_first(folders);
        let mut names = BTreeMap::new();
        let mut found: HashMap<MailboxId, (String, String)> = HashMap::new();
        for (folder, name) in folders {
            let id = match self.identify(&folder, &found) {
                Ok(id) => id,
                Err(StorageError::NoMailbox) => continue,
                // One folder that can't be read must not be all others' end. A mailbox that is known has not gone for that.
                Err(error) => {
                    tracing::warn!(%error, account = %self.id, folder, "a mailbox can't be opened");
                    let Some(id) = self.known_at(&folder).filter(|id| !found.contains_key(id)) else {
                        continue;
                    };
                    id
                }
            };
            names.insert(name.clone(), id.clone());
            found.insert(id, (name, folder));
        }
        let mut state = self.write();
        let dropped: Vec<Key> = Self::unused_tree_keys(&mut state, &folders_seen);
        let changed = state.names != names;
        let gone: Vec<MailboxId> =
            state.slots.keys().filter(|id| !found.contains_key(*id)).cloned().collect();
        let gone: Vec<Slot> = gone.iter().filter_map(|id| state.slots.remove(id)).collect();
        for (id, (name, folder)) in found {
            match state.slots.get_mut(&id) {
                Some(slot) => (slot.name, slot.folder) = (name, folder),
                None => drop(state.slots.insert(id.clone(), Slot::new(id, name, folder))),
            }
        }
        state.names = names;
        // What was seen meanwhile is looked at next time.
        state.tree_known = changes;
        drop(state);
        self.unwatch(&gone);
        if let Some(watching) = &self.watching {
            for key in dropped {
                watching.remove(key);
            }
        }
        if changed {
            self.tell(Event::Tree);
        }
        Ok(())
    }

    /// The folders of mailboxes that are known before the others: of two with the same id the other is a copy.
    fn known_first(&self, mut folders: Vec<(String, String)>) -> Vec<(String, String)> {
        let state = self.read();
        let known: HashSet<&str> = state.slots.values().map(|slot| slot.folder.as_str()).collect();
        folders.sort_by_cached_key(|(folder, _)| (!known.contains(folder.as_str()), folder.clone()));
        folders
    }

    /// The mailbox that lay in a folder when it was looked at last.
    fn known_at(&self, folder: &str) -> Option<MailboxId> {
        self.read().slots.values().find(|slot| slot.folder == folder).map(|slot| slot.id.clone())
    }

    /// Takes out what watches folders that mailboxes come and go in no more.
    fn unused_tree_keys(state: &mut State, seen: &HashSet<String>) -> Vec<Key> {
        let is_gone = |folder: &String| !folder.is_empty() && !seen.contains(folder);
        let gone: Vec<String> = state.tree_keys.keys().filter(|folder| is_gone(folder)).cloned().collect();
        gone.iter().filter_map(|folder| state.tree_keys.remove(folder)).collect()
    }

    /// Ends watching mailboxes that have gone.
    pub(super) fn unwatch(&self, gone: &[Slot]) {
        let Some(watching) = &self.watching else { return };
        for (_, key) in gone.iter().filter_map(|slot| slot.keys).flatten() {
            watching.remove(key);
        }
    }

    /// Watches a folder for mailboxes that come and go in it.
    fn watch_tree(&self, folder: &str) {
        let (Some(watching), Some(base)) = (&self.watching, &self.base) else { return };
        if self.read().tree_keys.contains_key(folder) {
            return;
        }
        let key = watching.add(&base.join(Path::new(folder)), self.this.clone(), None);
        self.write().tree_keys.insert(folder.to_owned(), key);
    }

    /// The folders of mailboxes, with their names; and those in which mailboxes come and go.
    #[expect(clippy::type_complexity, reason = "said in words above")]
    fn folders(&self) -> io::Result<(Vec<(String, String)>, HashSet<String>)> {
        let (mut found, mut watched) = (Vec::new(), HashSet::new());
        if is_mailbox(&*self.disk, "")? {
            found.push((String::new(), "INBOX".to_owned()));
        }
        // Nested folders breadth first, and no deeper than names may be; of Maildir++ only those at the top.
        let levels = if self.layout == Layout::Fs { MAX_LEVELS } else { 1 };
        let mut level = vec![String::new()];
        for _ in 0..levels {
            let mut below = Vec::new();
            for folder in level {
                self.watch_tree(&folder);
                watched.insert(folder.clone());
                let names = match self.disk.list(&folder) {
                    Err(error) if !folder.is_empty() => {
                        tracing::warn!(%error, account = %self.id, folder, "a folder can't be read");
                        continue;
                    }
                    names => names?,
                };
                for (name, kind) in names {
                    let is_folder = match self.layout {
                        Layout::MaildirPlusPlus => name.starts_with('.'),
                        Layout::Fs => !is_ours(&name),
                    };
                    if kind == Kind::Folder && is_folder {
                        let path = join(&folder, &name);
                        if !self.note_folder(&path, &mut found)? {
                            // Perhaps it is about to become one.
                            self.watch_tree(&path);
                            watched.insert(path.clone());
                        }
                        below.push(path);
                    }
                }
            }
            level = below;
        }
        Ok((found, watched))
    }

    /// Notes a folder if it is a mailbox's.
    fn note_folder(&self, path: &str, found: &mut Vec<(String, String)>) -> io::Result<bool> {
        if !is_mailbox(&*self.disk, path)? {
            return Ok(false);
        }
        let name = from_path(self.layout, path).or_else(|| foreign_name(self.layout, path));
        if let Some(name) = name.filter(|name| !found.iter().any(|(_, other)| other == name)) {
            found.push((path.to_owned(), name));
        } else {
            tracing::debug!(account = %self.id, path, "a folder whose name is no mailbox's");
        }
        Ok(true)
    }

    /// The id of a mailbox; one is made where it has none, or that of another one from which it was copied.
    fn identify(&self, folder: &str, others: &HashMap<MailboxId, (String, String)>) -> Result<MailboxId> {
        let guid =
            head(&*self.disk, &join(folder, LIST)).map_err(StorageError::backend)?.and_then(|list| list.guid);
        match guid.map(MailboxId::from).filter(|id| !others.contains_key(id)) {
            Some(id) => Ok(id),
            None => self.make_list(folder),
        }
    }

    /// Makes the list of UIDs of a mailbox that has none, or none with an id: from Courier's if there is one.
    fn make_list(&self, folder: &str) -> Result<MailboxId> {
        let path = join(folder, LIST);
        let mut list = match self.disk.read(&path) {
            Ok(bytes) => UidList::parse(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.courier(folder)?.unwrap_or_default()
            }
            Err(error) => return Err(StorageError::backend(error)),
        };
        let id = new_guid();
        let mut settings = Vec::new();
        if list.validity.is_none() {
            // An index that was left says which one it was.
            let index = self.index.read(&self.home(folder, &id).index_path()).ok();
            let validity = match index.as_deref().and_then(index::validity) {
                Some(validity) if validity > 0 => validity,
                _ => self.read().settings.next_validity()?.get(),
            };
            list.validity = Some(validity);
        }
        list.next = list.next.max(1);
        list.guid = Some(id.clone());
        settings.push(Setting::Validity { last: list.validity.unwrap_or_default() });
        let written = (|| {
            replace(&*self.disk, &path, crate::format::uidlist::print(&list).as_bytes())?;
            self.disk.sync_folder(folder)?;
            self.write_settings(&settings)
        })();
        match written {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StorageError::NoMailbox),
            written => written.map_err(|error| crate::disk::failure(&error)).map(|()| MailboxId::from(id)),
        }
    }

    fn courier(&self, folder: &str) -> Result<Option<UidList>> {
        let bytes = match self.disk.read(&join(folder, "courierimapuiddb")) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StorageError::backend(error)),
        };
        let read = courier::parse(&bytes);
        Ok(read.map(|(validity, next, entries)| UidList {
            validity: Some(validity),
            next,
            entries,
            ..UidList::default()
        }))
    }

    /// Adds to the settings outside of a batch, durably.
    fn write_settings(&self, settings: &[Setting]) -> io::Result<()> {
        let len = self.read().settings_known.0;
        let frame = index::frame(settings);
        self.index.write_at(super::settings::SETTINGS, len, &frame)?;
        self.index.sync_file(super::settings::SETTINGS)?;
        let mut state = self.write();
        state.settings.apply(settings);
        state.settings_known.0 = len.saturating_add(frame.len() as u64);
        Ok(())
    }
}

/// 32 hexadecimal digits that nobody else makes.
pub(super) fn new_guid() -> String {
    crate::unique::guid()
}

/// What is no mailbox in nested folders.
fn is_ours(name: &str) -> bool {
    let files = ["cur", "new", "tmp", "maildirfolder"];
    let prefixes = [".", "imapper.", "dovecot-uid", "dovecot-keywords", "dovecot.", "subscriptions"];
    files.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a folder holds messages.
fn is_mailbox(disk: &dyn Disk, folder: &str) -> io::Result<bool> {
    match disk.stat(&join(folder, "cur")) {
        Ok(stat) => Ok(stat.kind == Kind::Folder),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        // Nor is it one for us: the others must not go with it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(folder, "a folder is not ours to read");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// What a list of UIDs says in its first line.
fn head(disk: &dyn Disk, path: &str) -> io::Result<Option<UidList>> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; HEAD];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    let end = memchr::memchr(b'\n', &bytes).map_or(0, |at| at.saturating_add(1));
    Ok(UidList::parse(bytes.get(..end).unwrap_or_default()).ok())
}
