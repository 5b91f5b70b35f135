//! Changes of the tree of mailboxes.

use std::io;
use std::sync::Arc;

use imapper_core::storage::{MailboxId, MailboxInfo, Numbers, Result, StorageError};

use super::batch::{After, Batch, Change, Stop};
use super::files::{Sync, sync_all};
use super::moving::{Move, moves};
use super::scan::new_guid;
use super::settings::Setting;
use super::step::Step;
use super::{Account, Slot, State};
use crate::disk::Disk;
use crate::disk::failure;
use crate::format::folder::{Layout, to_path};
use crate::format::subscriptions;
use crate::format::uidlist;
use crate::home::{INDEX, LIST};
use crate::mailbox::entry::Entry;
use crate::mailbox::file::join;
use crate::mailbox::{index, later_modseq};

/// The name that every personal account has (RFC 9051 §5.1).
pub(crate) const INBOX: &str = "INBOX";
/// What the account is subscribed to.
pub(crate) const SUBSCRIPTIONS: &str = "subscriptions";
const COURIER_SUBSCRIPTIONS: &str = "courierimapsubscribed";

type Planned<T> = std::result::Result<(Change, T), Stop>;

/// A mailbox that is to be made.
pub(crate) struct Making<'a> {
    pub(crate) name: &'a str,
    pub(crate) special_use: Vec<Arc<str>>,
    /// From where it goes on.
    pub(crate) numbers: Option<Numbers>,
}

/// Plans a new mailbox: it is made in `tmp/`, and put in its place in one step.
pub(crate) fn create(batch: &mut Batch<'_>, making: Making<'_>) -> Planned<MailboxInfo> {
    batch.alone()?;
    let account = batch.account;
    let path = account.free_path(making.name)?;
    let id = MailboxId::from(new_guid());
    let validity = match making.numbers {
        Some(numbers) => numbers.uid_validity,
        None => account.read().settings.next_validity()?,
    };
    let made = format!("tmp/{}", crate::unique::name());
    let written = account.make_mailbox(&made, &id, validity.get(), making.numbers);
    written.map_err(|error| failure(&error))?;
    let mut change = Change::default();
    for step in account.put_in_place(&made, &path).map_err(|error| failure(&error))? {
        match step {
            Step::Unlink { .. } => change.record.removals.push(step),
            step => change.record.additions.push(step),
        }
    }
    if !change.record.removals.is_empty() {
        change.record.removals.push(Step::RemoveFolder { path: made });
    }
    change.settings = vec![Setting::Validity { last: validity.get() }, Setting::Tree];
    if !making.special_use.is_empty() {
        let uses = making.special_use.iter().map(ToString::to_string).collect();
        change.settings.push(Setting::Uses { mailbox: id.to_string(), uses });
    }
    let mut info = MailboxInfo::new(id.clone(), making.name);
    info.special_use = making.special_use;
    let name = making.name.to_owned();
    change.tree = Some(Box::new(move |state| state.add(Slot::new(id, name, path))));
    Ok((change, info))
}

/// Plans new numbers for an empty INBOX: it becomes another mailbox.
pub(crate) fn renumber(batch: &mut Batch<'_>, old: &MailboxId, numbers: Numbers) -> Planned<MailboxId> {
    let account = batch.account;
    let id = MailboxId::from(new_guid());
    let validity = numbers.uid_validity.get();
    let (list, index) = (list(&id, validity, Some(numbers)), index_of(validity, Some(numbers)));
    let mut change = Change::default();
    change.record.additions.push(Step::Write { path: LIST.to_owned(), octets: list });
    if account.apart {
        let path = account.home("", id.as_str()).index_path();
        write_new(&*account.index, &path, &index).map_err(|error| failure(&error))?;
    } else {
        change.record.additions.push(Step::Write { path: INDEX.to_owned(), octets: index });
    }
    change.settings =
        vec![Setting::Validity { last: validity }, Setting::Gone { mailbox: old.to_string() }, Setting::Tree];
    let (old, new) = (old.clone(), id.clone());
    let gone = account.forget_later(&old);
    change.tree = Some(Box::new(move |state| {
        state.slots.remove(&old);
        state.add(Slot::new(new, INBOX.to_owned(), String::new()));
    }));
    change.after = Some(gone);
    Ok((change, id))
}

/// Plans the removal of a mailbox and its messages. Those below it stay.
pub(crate) fn delete(batch: &mut Batch<'_>, id: &MailboxId) -> Planned<MailboxInfo> {
    batch.alone()?;
    let account = batch.account;
    let (info, folder) = {
        let state = account.read();
        let slot = state.slot(id)?;
        (state.info(slot), slot.folder.clone())
    };
    if account.personal && info.name == INBOX {
        return Err(StorageError::Denied.into());
    }
    let trash = format!("tmp/{}", crate::unique::name());
    let mut change = Change::default();
    let whole = account.is_alone(&folder).map_err(|error| failure(&error))?;
    let mut thrown = vec![trash.clone()];
    if whole {
        change.record.additions.push(Step::Rename { from: folder, to: trash });
    } else {
        thrown.clear();
        for (number, piece) in
            account.pieces(&folder).map_err(|error| failure(&error))?.into_iter().enumerate()
        {
            let to = format!("{trash}.{number}");
            thrown.push(to.clone());
            change.record.additions.push(Step::Rename { from: join(&folder, &piece), to });
        }
    }
    change.settings = vec![Setting::Gone { mailbox: id.to_string() }, Setting::Tree];
    let forget = account.forget_later(id);
    let id = id.clone();
    change.tree = Some(Box::new(move |state| {
        if let Some(slot) = state.slots.remove(&id) {
            state.names.remove(&slot.name);
        }
    }));
    change.after = Some(Box::new(move |account| {
        forget(account);
        account.remove_trash(&thrown);
    }));
    Ok((change, info))
}

/// Plans another name for a mailbox and all below it.
pub(crate) fn rename(batch: &mut Batch<'_>, id: &MailboxId, to: &str) -> Planned<MailboxInfo> {
    batch.alone()?;
    let account = batch.account;
    let state = account.read();
    let slot = state.slot(id)?;
    let (from, mut info) = (slot.name.clone(), state.info(slot));
    if from == to {
        return Ok((Change::default(), info));
    }
    if account.personal && from == INBOX {
        return Err(StorageError::Denied.into());
    }
    let moves = moves(&state, account.layout, &from, to)?;
    drop(state);
    let mut change = Change::default();
    for step in account.move_folders(&moves).map_err(|error| failure(&error))? {
        match step {
            Step::RemoveFolder { .. } | Step::Unlink { .. } => change.record.removals.push(step),
            step => change.record.additions.push(step),
        }
    }
    change.settings = vec![Setting::Tree];
    to.clone_into(&mut info.name);
    let ids: Vec<MailboxId> = moves.iter().map(|moved| moved.id.clone()).collect();
    change.tree = Some(Box::new(move |state| {
        for Move { old, .. } in &moves {
            state.names.remove(old);
        }
        for Move { id, new, to, .. } in moves {
            state.names.insert(new.clone(), id.clone());
            if let Some(slot) = state.slots.get_mut(&id) {
                // What is seen in the folders meanwhile is not: they are opened anew.
                (slot.name, slot.folder, slot.stale) = (new, to, true);
            }
        }
    }));
    change.after = Some(Box::new(move |account| account.watch_anew(&ids)));
    Ok((change, info))
}

/// Plans that a name is added to the subscriptions, or taken off.
pub(crate) fn subscribe(batch: &mut Batch<'_>, name: &str, on: bool) -> Planned<()> {
    batch.touch_all(&MailboxId::from(SUBSCRIPTIONS))?;
    let account = batch.account;
    let (mut names, version) = account.read_subscriptions().map_err(|error| failure(&error))?;
    let had = names.iter().any(|known| known == name);
    let mut change = Change::default();
    if had == on {
        return Ok((change, ()));
    }
    if on {
        names.push(name.to_owned());
    } else {
        names.retain(|known| known != name);
    }
    let text = subscriptions::print(&names, separator(account.layout), version);
    change.record.additions.push(Step::Write { path: SUBSCRIPTIONS.to_owned(), octets: text.into_bytes() });
    change.tree = Some(Box::new(|_| {}));
    Ok((change, ()))
}

const fn separator(layout: Layout) -> char {
    match layout {
        Layout::MaildirPlusPlus => '.',
        Layout::Fs => '/',
    }
}

impl State {
    fn add(&mut self, slot: Slot) {
        self.names.insert(slot.name.clone(), slot.id.clone());
        self.slots.insert(slot.id.clone(), slot);
    }
}

impl Account {
    /// What the account is subscribed to; Courier's where nothing of ours or Dovecot's is there.
    pub(crate) fn read_subscriptions(&self) -> io::Result<(Vec<String>, subscriptions::Version)> {
        let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        match self.disk.read(SUBSCRIPTIONS) {
            Ok(bytes) => {
                let names = subscriptions::parse(&bytes, separator(self.layout));
                Ok((names, subscriptions::version(&bytes)))
            }
            Err(error) if missing(&error) => match self.disk.read(COURIER_SUBSCRIPTIONS) {
                Ok(bytes) => Ok((subscriptions::parse_courier(&bytes), subscriptions::Version::One)),
                Err(error) if missing(&error) => Ok((Vec::new(), subscriptions::Version::One)),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// The folder of a new mailbox, whose name is whole and free.
    fn free_path(&self, name: &str) -> Result<String> {
        let path = to_path(self.layout, name)?;
        if self.read().names.contains_key(name) {
            return Err(StorageError::Exists);
        }
        Ok(path)
    }

    /// Makes the folder of an empty mailbox, durably.
    fn make_mailbox(
        &self,
        path: &str,
        id: &MailboxId,
        validity: u32,
        numbers: Option<Numbers>,
    ) -> io::Result<()> {
        self.disk.make_folder(path)?;
        for folder in ["new", "cur", "tmp"] {
            self.disk.make_folder(&join(path, folder))?;
        }
        let (list_path, index_path) = (join(path, LIST), self.home(path, id.as_str()).index_path());
        self.disk.create(&list_path)?.write(&list(id, validity, numbers))?;
        self.index.create(&index_path)?.write(&index_of(validity, numbers))?;
        if self.layout == Layout::MaildirPlusPlus {
            // Says to programs that deliver that this is a folder of another one. It has no content.
            self.disk.create(&join(path, "maildirfolder"))?;
        }
        let (disk, index) = (&*self.disk, &*self.index);
        let mut work =
            vec![Sync::File(disk, &list_path), Sync::File(index, &index_path), Sync::Folder(disk, path)];
        if self.apart {
            work.push(Sync::Folder(index, ""));
        }
        sync_all(&work)
    }

    /// What is left to do when a mailbox has gone.
    fn forget_later(&self, id: &MailboxId) -> After {
        let keys = self.read().slots.get(id).and_then(|slot| slot.keys);
        let home = self.home("", id.as_str());
        let files = if self.apart { vec![home.index_path(), home.cache_path()] } else { Vec::new() };
        Box::new(move |account| {
            if let Some(watching) = &account.watching {
                for (_, key) in keys.into_iter().flatten() {
                    watching.remove(key);
                }
            }
            for path in files {
                // It may never have been opened; a file that is left harms nobody.
                let _ = account.index.unlink(&path);
            }
        })
    }

    /// Watches mailboxes where they lie now.
    fn watch_anew(&self, ids: &[MailboxId]) {
        let mut state = self.write();
        let slots = ids.iter().filter_map(|id| Some(state.slots.get_mut(id)?.keys.take()));
        let keys: Vec<_> = slots.flatten().flatten().collect();
        drop(state);
        if let Some(watching) = &self.watching {
            for (_, key) in keys {
                watching.remove(key);
            }
        }
    }
}

fn write_new(disk: &dyn Disk, path: &str, octets: &[u8]) -> io::Result<()> {
    let mut file = disk.create(path)?;
    file.write(octets)?;
    file.sync()
}

/// The list of UIDs of an empty mailbox. Where its mod-sequences lie above what the clock gives, it says so, and other
/// programs keep that: should the index be lost, they begin higher.
fn list(id: &MailboxId, validity: u32, numbers: Option<Numbers>) -> Vec<u8> {
    let next = numbers.map_or(1, |numbers| numbers.uid_next.get());
    let modseq = numbers.map(|numbers| numbers.highest_modseq.0).filter(|modseq| *modseq > later_modseq());
    let other = modseq.map_or_else(String::new, |modseq| format!("M{modseq}"));
    uidlist::header(Some(validity), next, Some(id.as_str()), &other).into_bytes()
}

/// The index of an empty mailbox.
fn index_of(validity: u32, numbers: Option<Numbers>) -> Vec<u8> {
    let begin = numbers.map(|numbers| Entry::Begin {
        modseq: numbers.highest_modseq.0,
        next: numbers.uid_next.get(),
        gone: Vec::new(),
    });
    index::whole(validity, begin.as_slice())
}
