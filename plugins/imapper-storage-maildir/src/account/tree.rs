//! Changes of the tree of mailboxes.

use std::io;
use std::sync::Arc;

use imapper_core::storage::{MailboxId, MailboxInfo, Numbers, Result, StorageError};

use super::batch::{After, Batch, Change, Stop, failure};
use super::scan::new_guid;
use super::settings::Setting;
use super::step::{Step, parent};
use super::{Account, Slot, State};
use crate::disk::{Disk, Kind};
use crate::format::folder::{Layout, to_path};
use crate::format::subscriptions;
use crate::format::uidlist;
use crate::home::{INDEX, LIST};
use crate::mailbox::entry::Entry;
use crate::mailbox::file::join;
use crate::mailbox::index;

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

/// A mailbox that gets another name, and folder.
#[derive(Clone, Debug)]
struct Move {
    id: MailboxId,
    old: String,
    new: String,
    from: String,
    to: String,
}

/// The mailbox and all below it, in the order in which none meets another.
fn moves(state: &State, layout: Layout, from: &str, to: &str) -> Result<Vec<Move>> {
    let below = format!("{from}/");
    let mut moves = Vec::new();
    for (name, id) in &state.names {
        let Some(rest) = name.strip_prefix(from).filter(|rest| rest.is_empty() || name.starts_with(&below))
        else {
            continue;
        };
        let new = format!("{to}{rest}");
        let folder = state.slot(id)?.folder.clone();
        moves.push(Move { id: id.clone(), old: name.clone(), to: to_path(layout, &new)?, new, from: folder });
    }
    let is_moved = |name: &str| moves.iter().any(|moved| moved.old == name);
    if moves.iter().any(|moved| state.names.contains_key(&moved.new) && !is_moved(&moved.new)) {
        return Err(StorageError::Exists);
    }
    if to == from || state.names.contains_key(to) {
        return Err(StorageError::Exists);
    }
    if to.starts_with(&below) {
        moves.reverse();
    }
    Ok(moves)
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
        write_new(&*self.disk, &join(path, LIST), &list(id, validity, numbers))?;
        if self.layout == Layout::MaildirPlusPlus {
            write_new(&*self.disk, &join(path, "maildirfolder"), b"")?;
        }
        let index = index_of(validity, numbers);
        let home = self.home(path, id.as_str());
        write_new(&*self.index, &home.index_path(), &index)?;
        if self.apart {
            self.index.sync_folder("")?;
        }
        self.disk.sync_folder(path)
    }

    /// The steps that put a folder in its place; where one is already that is no mailbox, piece by piece.
    fn put_in_place(&self, from: &str, to: &str) -> io::Result<Vec<Step>> {
        let mut steps = self.missing_folders(parent(to))?;
        if kind(&*self.disk, to)?.is_none() {
            steps.push(Step::Rename { from: from.to_owned(), to: to.to_owned() });
        } else {
            for piece in self.pieces(from)? {
                steps.extend(self.move_piece(&join(from, &piece), &join(to, &piece))?);
            }
        }
        Ok(steps)
    }

    /// Steps for the folders above that are not there.
    fn missing_folders(&self, path: &str) -> io::Result<Vec<Step>> {
        let mut steps = Vec::new();
        let mut at = path;
        while !at.is_empty() && kind(&*self.disk, at)?.is_none() {
            steps.push(Step::Folder { path: at.to_owned() });
            at = parent(at);
        }
        steps.reverse();
        Ok(steps)
    }

    /// What of a folder is the mailbox: its files, and its own folders. `cur` comes last: with it, it is a mailbox.
    fn pieces(&self, folder: &str) -> io::Result<Vec<String>> {
        let is_piece = |name: &str, kind: Kind| match kind {
            Kind::Folder => ["new", "cur", "tmp"].contains(&name) && !(folder.is_empty() && name == "tmp"),
            _ if folder.is_empty() => {
                name.starts_with("dovecot") || [INDEX, crate::home::CACHE].contains(&name)
            }
            _ => true,
        };
        let names = self.disk.list(folder)?.into_iter();
        let mut pieces: Vec<String> =
            names.filter(|(name, kind)| is_piece(name, *kind)).map(|(name, _)| name).collect();
        pieces.sort_by_key(|name| (name == "cur", name.clone()));
        Ok(pieces)
    }

    /// The steps that move a piece. A file gets its new name before it loses the old one, wherever the power fails.
    fn move_piece(&self, from: &str, to: &str) -> io::Result<Vec<Step>> {
        let (from, to) = (from.to_owned(), to.to_owned());
        if self.disk.stat(&from)?.kind == Kind::Folder {
            return Ok(vec![Step::Rename { from, to }]);
        }
        Ok(vec![Step::Link { from: from.clone(), to }, Step::Unlink { path: from }])
    }

    /// Whether nothing but the mailbox lies in its folder.
    fn is_alone(&self, folder: &str) -> io::Result<bool> {
        if folder.is_empty() {
            return Ok(false);
        }
        let below = self.disk.list(folder)?;
        Ok(!below
            .iter()
            .any(|(name, kind)| *kind == Kind::Folder && !["new", "cur", "tmp"].contains(&name.as_str())))
    }

    /// The steps that give folders other names.
    fn move_folders(&self, moves: &[Move]) -> io::Result<Vec<Step>> {
        let mut steps = Vec::new();
        if self.layout == Layout::Fs
            && let Some(top) = moves.iter().min_by_key(|moved| moved.old.len())
            && kind(&*self.disk, &top.to)?.is_none()
            && !top.to.starts_with(&format!("{}/", top.from))
            && !top.from.is_empty()
        {
            // What lies below moves along.
            steps.extend(self.missing_folders(parent(&top.to))?);
            steps.push(Step::Rename { from: top.from.clone(), to: top.to.clone() });
            return Ok(steps);
        }
        for moved in moves {
            if self.layout == Layout::MaildirPlusPlus && kind(&*self.disk, &moved.to)?.is_none() {
                steps.push(Step::Rename { from: moved.from.clone(), to: moved.to.clone() });
                continue;
            }
            if self.layout == Layout::MaildirPlusPlus && moves.iter().any(|other| other.from == moved.to) {
                // It has moved away by then.
                steps.push(Step::Rename { from: moved.from.clone(), to: moved.to.clone() });
                continue;
            }
            let made: Vec<Step> = self.missing_folders(&moved.to)?;
            steps.extend(made.into_iter().filter(|step| !steps.contains(step)).collect::<Vec<_>>());
            for piece in self.pieces(&moved.from)? {
                steps.extend(self.move_piece(&join(&moved.from, &piece), &join(&moved.to, &piece))?);
            }
        }
        if self.layout == Layout::Fs {
            let mut old: Vec<&Move> = moves.iter().collect();
            old.sort_by_key(|moved| std::cmp::Reverse(moved.from.len()));
            steps.extend(old.into_iter().map(|moved| Step::RemoveFolder { path: moved.from.clone() }));
        }
        Ok(steps)
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

/// What a path is, if it is there.
fn kind(disk: &dyn Disk, path: &str) -> io::Result<Option<Kind>> {
    match disk.stat(path) {
        Ok(stat) => Ok(Some(stat.kind)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_new(disk: &dyn Disk, path: &str, octets: &[u8]) -> io::Result<()> {
    let mut file = disk.create(path)?;
    file.write(octets)?;
    file.sync()
}

/// The list of UIDs of an empty mailbox.
fn list(id: &MailboxId, validity: u32, numbers: Option<Numbers>) -> Vec<u8> {
    let next = numbers.map_or(1, |numbers| numbers.uid_next.get());
    uidlist::header(Some(validity), next, Some(id.as_str()), "").into_bytes()
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
