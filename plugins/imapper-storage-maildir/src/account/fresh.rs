//! Whether what is in memory is what the disk holds: other programs, and other processes of ours, change it at any
//! time.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use imapper_core::storage::{Event, MailboxId, Result, StorageError};

use super::batch::Change;
use super::settings::SETTINGS;
use super::{Account, Stop};
use crate::format::filename::FileName;
use crate::format::uidlist::UidList;
use crate::mailbox::entry::{Entry, Place};
use crate::mailbox::file::join;
use crate::mailbox::load::{self, Known};
use crate::mailbox::{index, seen};
use crate::watch::Seen;

/// How long a message may be missing until it has gone: the other half of a rename is told within that.
const RENAME_TAKES: Duration = Duration::from_millis(100);

impl Account {
    /// Sees to a mailbox being open and as the disk has it. Costs a look at one file where nothing has changed.
    pub(crate) async fn fresh(self: &Arc<Self>, id: &MailboxId) -> Result<()> {
        if self.tree_is_fresh() && self.is_fresh(id)? {
            return Ok(());
        }
        let id = id.clone();
        self.change(move |batch| {
            batch.open(&id).map_err(Stop::Refused)?;
            Ok((Change::default(), ()))
        })
        .await
    }

    /// Sees to the tree of mailboxes being what the disk has.
    pub(crate) async fn fresh_tree(self: &Arc<Self>) -> Result<()> {
        if self.tree_is_fresh() {
            return Ok(());
        }
        self.change(|_| Ok((Change::default(), ()))).await
    }

    /// Sees to all mailboxes being open and as the disk has them.
    pub(crate) async fn fresh_all(self: &Arc<Self>) -> Result<()> {
        self.fresh_tree().await?;
        let ids: Vec<MailboxId> = self.read().slots.keys().cloned().collect();
        for id in ids {
            match self.fresh(&id).await {
                // It has gone meanwhile.
                Err(StorageError::NoMailbox) => {}
                opened => opened?,
            }
        }
        Ok(())
    }

    /// Something was seen in a folder that is watched.
    pub(crate) fn wake(self: &Arc<Self>, mailbox: Option<MailboxId>) {
        if self.watchers() == 0 {
            return;
        }
        let fresh = match &mailbox {
            Some(id) => self.is_fresh(id).unwrap_or(true),
            None => self.tree_is_fresh(),
        };
        if !fresh {
            self.refresh_later(mailbox);
        }
    }

    /// Puts a refresh into the queue; nobody waits for it.
    pub(super) fn refresh_later(self: &Arc<Self>, mailbox: Option<MailboxId>) {
        let is_new =
            self.queue.lock().unwrap_or_else(PoisonError::into_inner).refreshing.insert(mailbox.clone());
        if !is_new {
            return;
        }
        drop(self.change(move |batch| {
            let mut queue = batch.account.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.refreshing.remove(&mailbox);
            drop(queue);
            if let Some(id) = &mailbox {
                batch.open(id).map_err(Stop::Refused)?;
            }
            Ok((Change::default(), ()))
        }));
    }

    fn is_fresh(&self, id: &MailboxId) -> Result<bool> {
        self.drain(id);
        let (path, known) = {
            let state = self.read();
            let slot = state.slot(id)?;
            if slot.mailbox.is_none() || slot.stale {
                return Ok(false);
            }
            // Our own change is under way, and began with what others had done.
            if slot.busy {
                return Ok(true);
            }
            let suspects = slot.suspects.lock().unwrap_or_else(PoisonError::into_inner);
            let is_due = !suspects.unsure.is_empty() && !suspects.waits;
            if suspects.all || suspects.looking || is_due || !suspects.names.is_empty() {
                return Ok(false);
            }
            (self.home(&slot.folder, id.as_str()).index_path(), slot.known)
        };
        let stat = self.index.stat(&path);
        Ok(stat.is_ok_and(|stat| (stat.len, stat.inode) == (known.index_len, known.index_inode)))
    }

    /// Takes what was seen in a mailbox's folders, and keeps what is new of it.
    pub(super) fn drain(&self, id: &MailboxId) {
        let Some(watching) = &self.watching else { return };
        let state = self.read();
        let Some(slot) = state.slots.get(id) else { return };
        let Some(keys) = slot.keys else { return };
        let mut suspects = slot.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, key) in keys {
            for seen in watching.drain(key) {
                match seen {
                    Seen::All => suspects.all = true,
                    Seen::Name { name, gone } => {
                        let known =
                            slot.mailbox.as_ref().is_some_and(|m| seen::is_known(m, place, &name, gone));
                        if !known {
                            suspects.names.push((place, name));
                        }
                    }
                }
            }
        }
    }

    /// Opens a mailbox, or follows what others have done to it. Only in the thread that runs the changes.
    pub(super) fn refresh(&self, id: &MailboxId) -> Result<()> {
        self.watch_mailbox(id)?;
        self.drain(id);
        let refreshed = self.refresh_drained(id);
        if let Ok(slot) = self.read().slot(id) {
            slot.suspects.lock().unwrap_or_else(PoisonError::into_inner).looking = false;
        }
        refreshed
    }

    fn refresh_drained(&self, id: &MailboxId) -> Result<()> {
        let (folder, known, is_open, mut names, unsure) = {
            let state = self.read();
            let slot = state.slot(id)?;
            let mut suspects = slot.suspects.lock().unwrap_or_else(PoisonError::into_inner);
            let is_open = slot.mailbox.is_some() && !slot.stale && !suspects.all;
            let mut unsure = std::mem::take(&mut suspects.unsure);
            if !is_open {
                unsure.clear();
            }
            suspects.looking = suspects.all || !suspects.names.is_empty();
            suspects.all = false;
            (slot.folder.clone(), slot.known, is_open, std::mem::take(&mut suspects.names), unsure)
        };
        if !is_open {
            return self.load(id, &folder).inspect_err(|_| self.look_at_all(id));
        }
        let followed = self.follow(id, &folder, known).inspect_err(|_| self.look_at_all(id));
        let Some((followed, listed)) = followed.map_err(StorageError::backend)? else {
            return self.load(id, &folder).inspect_err(|_| self.look_at_all(id));
        };
        names.extend(unsure.keys().cloned());
        if names.is_empty() {
            return Ok(());
        }
        if followed {
            let state = self.read();
            let mailbox = state.mailbox(id)?;
            names.retain(|(place, name)| {
                !seen::is_known(mailbox, *place, name, false) || !seen::is_known(mailbox, *place, name, true)
            });
        }
        self.look(id, &folder, &names, &listed, unsure).inspect_err(|_| self.look_at_all(id))
    }

    /// Opens a mailbox.
    fn load(&self, id: &MailboxId, folder: &str) -> Result<()> {
        let loaded = match load::load(&self.home(folder, id.as_str())) {
            Ok(loaded) => loaded,
            Err(error) => {
                // The folder may have gone.
                let gone =
                    self.disk.stat(&join(folder, "cur")).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
                if gone {
                    self.write().tree_changes();
                }
                return Err(if gone { StorageError::NoMailbox } else { error });
            }
        };
        let mut state = self.write();
        let slot = state.slots.get_mut(id).ok_or(StorageError::NoMailbox)?;
        let before = slot.mailbox.as_ref().map(crate::mailbox::Mailbox::modseq);
        let modseq = loaded.mailbox.modseq();
        slot.mailbox = Some(loaded.mailbox);
        slot.known = loaded.known;
        slot.stale = false;
        drop(state);
        if before.is_some_and(|before| before < modseq) {
            self.tell(Event::Mailbox { id: id.clone(), modseq });
        }
        Ok(())
    }

    /// Reads what another process has written since. Gives whether there was anything, and which UIDs its list
    /// names; `None` if the files were written anew.
    #[expect(clippy::type_complexity, reason = "said in words above")]
    fn follow(
        &self,
        id: &MailboxId,
        folder: &str,
        known: Known,
    ) -> io::Result<Option<(bool, Vec<(u32, String)>)>> {
        let home = self.home(folder, id.as_str());
        let path = home.index_path();
        let Ok((stat, list)) =
            self.index.stat(&path).and_then(|index| Ok((index, self.disk.stat(&home.list())?)))
        else {
            return Ok(None);
        };
        let is_same = stat.inode == known.index_inode
            && stat.len >= known.index_len
            && list.inode == known.list_inode
            && list.len >= known.list_len;
        if !is_same {
            return Ok(None);
        }
        let mut now = known;
        let mut listed = Vec::new();
        if list.len > known.list_len {
            let tail = tail(&*self.disk, &home.list(), known.list_len, list.len)?;
            // A list of nothing but these lines: the head does not matter.
            let mut text = b"3 V1 N1\n".to_vec();
            let head = text.len() as u64;
            text.extend_from_slice(&tail);
            let Ok(added) = UidList::parse(&text) else { return Ok(None) };
            now.list_len = known.list_len.saturating_add(added.whole.saturating_sub(head));
            now.list_lines = known.list_lines.saturating_add(added.entries.len() as u64);
            now.list_last = added.entries.last().map_or(known.list_last, |(uid, _)| *uid);
            listed = added.entries;
        }
        let mut all = Vec::new();
        if stat.len > known.index_len {
            let tail = tail(&*self.index, &path, known.index_len, stat.len)?;
            let whole = index::frames(&tail, |entries: Vec<Entry>| all.push(entries));
            if whole < tail.len() {
                return Ok(None);
            }
            now.index_len = stat.len;
        }
        let followed = !all.is_empty();
        if now != known {
            self.apply(id, &all, now);
        }
        Ok(Some((followed, listed)))
    }

    /// Makes what is written down part of the state, and tells of it.
    fn apply(&self, id: &MailboxId, frames: &[Vec<Entry>], known: Known) {
        let mut told = None;
        {
            let mut state = self.write();
            let Some(slot) = state.slots.get_mut(id) else { return };
            slot.known = known;
            if let Some(mailbox) = &mut slot.mailbox {
                let before = mailbox.modseq();
                for entries in frames {
                    mailbox.apply(entries);
                }
                told = (mailbox.modseq() > before).then(|| mailbox.modseq());
            }
        }
        if let Some(modseq) = told {
            self.tell(Event::Mailbox { id: id.clone(), modseq });
        }
    }

    /// Looks at names that were seen, and writes down what they say.
    fn look(
        &self,
        id: &MailboxId,
        folder: &str,
        names: &[(Place, String)],
        listed: &[(u32, String)],
        mut unsure: HashMap<(Place, String), Instant>,
    ) -> Result<()> {
        let home = self.home(folder, id.as_str());
        let (looked, known) = {
            let state = self.read();
            let slot = state.slot(id)?;
            let mailbox = state.mailbox(id)?;
            let since = |base: &str| {
                let missing = unsure.iter().filter(|((_, name), _)| FileName::parse(name).base == base);
                missing.map(|(_, since)| *since).min()
            };
            let sure = |base: &str| since(base).is_some_and(|since| since.elapsed() >= RENAME_TAKES);
            let looked = seen::look(&home, mailbox, names, listed, &sure).map_err(StorageError::backend)?;
            (looked, slot.known)
        };
        if looked.again {
            return self.load(id, folder);
        }
        if !looked.unsure.is_empty() {
            let now = Instant::now();
            unsure.retain(|name, _| looked.unsure.contains(name));
            for name in looked.unsure {
                unsure.entry(name).or_insert(now);
            }
            self.look_again_later(id, unsure)?;
        }
        if looked.entries.is_empty() {
            return Ok(());
        }
        let frame = index::frame(&looked.entries);
        let mut now = known;
        let written = (|| {
            if !looked.lines.is_empty() {
                let list = UidList { whole: known.list_len, ..UidList::default() };
                let added = home.append_list(&list, &looked.lines)?;
                now.list_len = added.list_len;
                now.list_lines = known.list_lines.saturating_add(added.list_lines);
                now.list_last = added.list_last;
            }
            let path = home.index_path();
            self.index.write_at(&path, known.index_len, &frame)?;
            self.index.sync_file(&path)
        })();
        if let Err(error) = written {
            if let Some(slot) = self.write().slots.get_mut(id) {
                slot.stale = true;
            }
            return Err(crate::disk::failure(&error));
        }
        now.index_len = known.index_len.saturating_add(frame.len() as u64);
        self.apply(id, &[looked.entries], now);
        Ok(())
    }

    /// A file is not what it was: it is looked at next time.
    pub(crate) fn suspect(&self, id: &MailboxId, path: &str) {
        let Some((folder, name)) = path.rsplit_once('/') else { return };
        let place = if folder.ends_with("new") { Place::New } else { Place::Cur };
        if let Some(slot) = self.read().slots.get(id) {
            let mut suspects = slot.suspects.lock().unwrap_or_else(PoisonError::into_inner);
            suspects.names.push((place, name.to_owned()));
        }
    }

    /// What was seen could not be looked at: then all is, next time.
    fn look_at_all(&self, id: &MailboxId) {
        if let Some(slot) = self.read().slots.get(id) {
            slot.suspects.lock().unwrap_or_else(PoisonError::into_inner).all = true;
        }
    }

    fn look_again_later(&self, id: &MailboxId, unsure: HashMap<(Place, String), Instant>) -> Result<()> {
        {
            let state = self.read();
            let mut suspects = state.slot(id)?.suspects.lock().unwrap_or_else(PoisonError::into_inner);
            suspects.unsure = unsure;
            if std::mem::replace(&mut suspects.waits, true) {
                return Ok(());
            }
        }
        let (account, id) = (self.this.clone(), id.clone());
        self.runtime.spawn(async move {
            tokio::time::sleep(RENAME_TAKES).await;
            let Some(account) = account.upgrade() else { return };
            if let Some(slot) = account.read().slots.get(&id) {
                slot.suspects.lock().unwrap_or_else(PoisonError::into_inner).waits = false;
            }
            account.refresh_later(Some(id));
        });
        Ok(())
    }

    /// Watches a mailbox's folders, if they are not yet.
    fn watch_mailbox(&self, id: &MailboxId) -> Result<()> {
        let (Some(watching), Some(base)) = (&self.watching, &self.base) else { return Ok(()) };
        let folder = {
            let state = self.read();
            let slot = state.slot(id)?;
            if slot.keys.is_some() {
                return Ok(());
            }
            slot.folder.clone()
        };
        let add = |place: Place| {
            let path = base.join(Path::new(&join(&folder, place.folder())));
            (place, watching.add(&path, self.this.clone(), Some(id.clone())))
        };
        let keys = [add(Place::New), add(Place::Cur)];
        if let Some(slot) = self.write().slots.get_mut(id) {
            slot.keys = Some(keys);
        }
        Ok(())
    }

    fn tree_is_fresh(&self) -> bool {
        let state = self.read();
        if state.tree_is_stale() {
            return false;
        }
        if self.tree_was_seen(&state) {
            drop(state);
            self.write().tree_changes();
            return false;
        }
        let known = state.settings_known;
        drop(state);
        let stat = self.index.stat(SETTINGS);
        stat.is_ok_and(|stat| (stat.len, stat.inode) == known)
    }
}

/// The octets of a file from one place to another.
fn tail(disk: &dyn crate::disk::Disk, path: &str, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(to.saturating_sub(from)).map_err(io::Error::other)?];
    let read = disk.open(path)?.read_at(&mut bytes, from)?;
    bytes.truncate(read);
    Ok(bytes)
}
