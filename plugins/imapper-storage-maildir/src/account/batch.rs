//! A batch of changes: planned one after the other, done, made durable together, and only then shown.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::PoisonError;
use std::time::SystemTime;

use imapper_core::storage::{Event, KeptDigest, MailboxId, Result, StorageError};
use imapper_core::types::{ModSeq, Uid, UidSet};

use super::journal::{self, JOURNAL, Record};
use super::settings::{SETTINGS, Setting};
use super::state::State;
use super::step::Step;
use super::threads::Threads;
use super::{Account, Slot};
use crate::disk::Disk;
use crate::format::uidlist;
use crate::mailbox::entry::Entry;
use crate::mailbox::{Mailbox, index};

/// The file whose lock says who changes the account.
pub(super) const LOCK: &str = "imapper.lock";

/// A change in the queue.
pub(super) type Job = Box<dyn FnMut(&mut Batch<'_>) -> Planned + Send>;
type Done = Box<dyn FnOnce(Result<()>) + Send>;
/// What is done once a change is shown; failing is its own affair.
pub(super) type After = Box<dyn FnOnce(&Account) + Send>;

/// What a change makes of the tree.
pub(super) type TreeChange = Box<dyn FnOnce(&mut State) + Send>;

/// What became of planning a change.
pub(super) enum Planned {
    Change(Box<Change>, Done),
    /// It has to wait for another one of this batch.
    Later,
    /// It was answered already.
    Nothing,
}

/// Why a change is not planned.
pub(crate) enum Stop {
    /// It has to wait for another change of this batch.
    Later,
    /// It is refused.
    Refused(StorageError),
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Self {
        Self::Refused(error)
    }
}

/// A change, planned.
#[derive(Default)]
pub(crate) struct Change {
    /// Steps on the disk.
    pub(super) record: Record,
    /// What is written down of mailboxes, and shown then.
    pub(super) entries: Vec<(MailboxId, Vec<Entry>)>,
    /// Lines for lists of UIDs.
    pub(super) lines: Vec<(MailboxId, Vec<(u32, String)>)>,
    /// What is written down of the account.
    pub(super) settings: Vec<Setting>,
    /// What becomes of the tree.
    pub(super) tree: Option<TreeChange>,
    /// What is done before it is answered, though it need not be durable.
    pub(super) beside: Option<After>,
    pub(super) after: Option<After>,
}

/// What only the thread that runs the changes uses.
#[derive(Default)]
pub(super) struct Run {
    /// The journal holds what this process has done to the end.
    journal: Option<Vec<Record>>,
    pub(super) threads: Threads,
}

/// What a batch has planned so far in a mailbox.
#[derive(Default)]
struct Work {
    uid_next: Option<Uid>,
    modseq: Option<ModSeq>,
    touched: UidSet,
    exclusive: bool,
    used: bool,
}

/// Changes that are planned together.
pub(crate) struct Batch<'a> {
    pub(crate) account: &'a Account,
    pub(crate) now: SystemTime,
    pub(super) threads: &'a mut Threads,
    work: HashMap<MailboxId, Work>,
    /// Octets and messages that are on their way in.
    added: (i128, i128),
    tokens: std::collections::HashSet<(MailboxId, Vec<u8>)>,
    planned: usize,
    exclusive: bool,
}

impl Batch<'_> {
    /// Sees to a mailbox being open and as the disk has it now.
    pub(crate) fn open(&mut self, id: &MailboxId) -> Result<()> {
        if self.work.get(id).is_some_and(|work| work.used) {
            return Ok(());
        }
        self.account.refresh(id)
    }

    /// Sees to all mailboxes being open.
    pub(crate) fn open_all(&mut self) -> Result<()> {
        let ids: Vec<MailboxId> = self.account.read().slots.keys().cloned().collect();
        ids.iter().try_for_each(|id| self.open(id))
    }

    /// Notes that a change concerns messages of a mailbox. Not in the batch in which another one concerns them.
    pub(super) fn touch(&mut self, id: &MailboxId, uids: &UidSet) -> std::result::Result<(), Stop> {
        let work = self.work.entry(id.clone()).or_default();
        if self.exclusive || work.exclusive || !work.touched.intersection(uids).is_empty() {
            return Err(Stop::Later);
        }
        work.touched = work.touched.union(uids);
        work.used = true;
        Ok(())
    }

    /// Notes that a change concerns all of a mailbox.
    pub(super) fn touch_all(&mut self, id: &MailboxId) -> std::result::Result<(), Stop> {
        let work = self.work.entry(id.clone()).or_default();
        if self.exclusive || work.used {
            return Err(Stop::Later);
        }
        (work.used, work.exclusive) = (true, true);
        Ok(())
    }

    /// Notes that a change concerns the whole account: it is alone in its batch.
    pub(super) fn alone(&mut self) -> std::result::Result<(), Stop> {
        if self.planned > 0 || self.exclusive {
            return Err(Stop::Later);
        }
        self.exclusive = true;
        Ok(())
    }

    /// Notes a token. Not in the batch in which it comes a second time.
    pub(super) fn token(&mut self, id: &MailboxId, token: &[u8]) -> std::result::Result<(), Stop> {
        if self.tokens.insert((id.clone(), token.to_vec())) { Ok(()) } else { Err(Stop::Later) }
    }

    /// The mod-sequence of a change of a mailbox.
    pub(super) fn next_modseq(&mut self, id: &MailboxId, mailbox: &Mailbox) -> ModSeq {
        let work = self.work.entry(id.clone()).or_default();
        let modseq = work.modseq.unwrap_or_else(|| mailbox.modseq()).max(mailbox.modseq()).next();
        work.modseq = Some(modseq);
        modseq
    }

    /// UIDs for so many new messages; gives the first.
    pub(super) fn next_uids(&mut self, id: &MailboxId, mailbox: &Mailbox, count: usize) -> Result<Uid> {
        const FULL: StorageError = StorageError::Limit("the mailbox has no UIDs left");
        let work = self.work.entry(id.clone()).or_default();
        let first = work.uid_next.unwrap_or(mailbox.uid_next).max(mailbox.uid_next);
        let count = u32::try_from(count).map_err(|_| FULL)?;
        // The highest is left out, so that UIDNEXT can lie above.
        work.uid_next = Some(first.get().checked_add(count).and_then(Uid::new).ok_or(FULL)?);
        Ok(first)
    }

    /// Takes room for so many octets and messages more, or gives it back.
    pub(super) fn take_room(&mut self, octets: i128, messages: i128) -> Result<()> {
        let limits = self.account.read().settings.limits.within(self.account.most());
        if limits != imapper_core::storage::QuotaLimits::NONE && (octets > 0 || messages > 0) {
            self.open_all()?;
            let (used, count) = self.account.read().used().unwrap_or_default();
            let fits = |used: u64, on_the_way: i128, more: i128, most: Option<u64>| {
                let sum = i128::from(used).saturating_add(on_the_way).saturating_add(more);
                more <= 0 || most.is_none_or(|most| sum <= i128::from(most))
            };
            if !fits(used, self.added.0, octets, limits.octets)
                || !fits(count, self.added.1, messages, limits.messages)
            {
                return Err(StorageError::OverQuota);
            }
        }
        self.added = (self.added.0.saturating_add(octets), self.added.1.saturating_add(messages));
        Ok(())
    }
}

impl Change {
    /// Digests that the core offers.
    pub(crate) fn keeping(id: &MailboxId, digests: Vec<(Uid, KeptDigest)>) -> Self {
        Self { beside: super::append::keep(id, digests, UidSet::new()), ..Self::default() }
    }

    /// Whether anything is done at all.
    fn is_empty(&self) -> bool {
        self.record == Record::default()
            && self.entries.is_empty()
            && self.settings.is_empty()
            && self.tree.is_none()
            && self.beside.is_none()
            && self.after.is_none()
    }

    /// Whether a crash could leave it half done.
    fn needs_journal(&self) -> bool {
        self.record.additions.len().saturating_add(self.record.removals.len()) > 1
    }
}

/// A change under way.
struct Doing {
    change: Box<Change>,
    done: Done,
    failed: Option<StorageError>,
    /// Holds the staged bodies, which go with it.
    _job: Job,
}

impl Account {
    /// Runs batches until nothing waits.
    pub(super) fn run(&self) {
        loop {
            let jobs = self.take_jobs();
            if jobs.is_empty() {
                return;
            }
            let later = self.batch(jobs);
            self.put_back(later);
        }
    }

    /// Runs the changes of a batch; gives those that have to wait for the next one.
    fn batch(&self, jobs: VecDeque<Job>) -> VecDeque<Job> {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        let Run { journal, threads } = &mut *run;
        let lock = self.disk.lock(LOCK).and_then(|lock| Ok((lock, self.recover(journal.as_deref())?)));
        let ready = lock.map_err(StorageError::backend).and_then(|lock| self.refresh_tree().map(|()| lock));
        let mut later = VecDeque::new();
        let mut doing: Vec<Doing> = Vec::new();
        let mut batch = Batch {
            account: self,
            now: SystemTime::now(),
            threads,
            work: HashMap::new(),
            added: (0, 0),
            tokens: std::collections::HashSet::new(),
            planned: 0,
            exclusive: false,
        };
        let voids = ready.as_ref().is_ok_and(|(_, voids)| *voids);
        for mut job in jobs {
            if !later.is_empty() && batch.exclusive {
                later.push_back(job);
                continue;
            }
            match job(&mut batch) {
                Planned::Change(change, done) => {
                    batch.planned = batch.planned.saturating_add(1);
                    let failed = ready.as_ref().err().map(|error| StorageError::backend(error.to_string()));
                    doing.push(Doing { change, done, failed, _job: job });
                }
                Planned::Later => later.push_back(job),
                Planned::Nothing => {}
            }
        }
        if ready.is_ok() && doing.iter().any(|doing| !doing.change.is_empty()) {
            *journal = self.make_durable(&mut doing, voids, journal.take());
        }
        self.show(doing);
        self.tidy();
        later
    }

    /// Does to the end what another process was killed in. Gives whether the journal holds what is done.
    fn recover(&self, own: Option<&[Record]>) -> io::Result<bool> {
        let there = journal::read(&*self.disk)?;
        if there.is_empty() {
            return Ok(false);
        }
        if own.is_some_and(|own| own == there) {
            return Ok(true);
        }
        journal::recover(&*self.disk)?;
        Ok(false)
    }

    /// Does the changes, and returns when they are durable; those that fail are marked, and leave nothing behind.
    /// Gives what the journal holds then.
    fn make_durable(
        &self,
        doing: &mut [Doing],
        voids: bool,
        before: Option<Vec<Record>>,
    ) -> Option<Vec<Record>> {
        self.set_busy(doing, true);
        let mut files = Files::default();
        if let Err(error) = files.write(self, doing, false) {
            files.take_back(self);
            fail_all(doing, &error);
            return before;
        }
        let records: Vec<Record> = records(doing);
        let mut voided = false;
        let journaled = if records.is_empty() {
            voided = voids;
            if voids { journal::void(&*self.disk) } else { Ok(()) }
        } else {
            journal::prepare_steps(&*self.disk, &records).and_then(|()| journal::write(&*self.disk, &records))
        };
        if let Err(error) = journaled {
            files.take_back(self);
            fail_all(doing, &error);
            return None;
        }
        for one in doing.iter_mut() {
            one.add(&*self.disk);
        }
        let with_removals =
            doing.iter().filter(|one| one.failed.is_none() && !one.change.record.removals.is_empty());
        let barrier = journal::sync(&*self.disk, with_removals.flat_map(|one| &one.change.record.additions));
        for one in doing.iter_mut() {
            match &barrier {
                Ok(()) => one.remove(&*self.disk),
                Err(error) if !one.change.record.removals.is_empty() => {
                    one.take_back(&*self.disk);
                    one.failed.get_or_insert(StorageError::backend(error.to_string()));
                }
                Err(_) => {}
            }
        }
        let mut holds = (!records.is_empty()).then_some(records);
        if doing.iter().any(|one| one.failed.is_some()) {
            match self.forget_failed(doing, &mut files) {
                Ok(records) => holds = Some(records),
                Err(error) => fail_all(doing, &error),
            }
        }
        // What says that messages have gone comes after they have: otherwise a crash in between would leave their
        // files to be taken for new ones.
        let gone = sync_all(&self.touched(doing, true)).and_then(|()| files.write(self, doing, true));
        let synced = gone.and_then(|()| self.sync(doing, &files, voided));
        if let Err(error) = synced {
            fail_all(doing, &error);
            self.set_stale(doing);
        }
        self.note_known(doing, &files);
        holds
    }

    /// Writes the journal and the logs anew without the changes that have failed.
    fn forget_failed(&self, doing: &[Doing], files: &mut Files) -> io::Result<Vec<Record>> {
        files.take_back(self);
        let records = records(doing);
        journal::write(&*self.disk, &records)?;
        *files = Files::default();
        files.write(self, doing, false)?;
        Ok(records)
    }

    /// The folders that the changes have touched last: of those that remove, or of the others.
    fn touched<'a>(&'a self, doing: &'a [Doing], removing: bool) -> Vec<Sync<'a>> {
        let mut folders: Vec<&str> = Vec::new();
        for one in doing.iter().filter(|one| one.failed.is_none() && one.removes() == removing) {
            let Record { additions, removals } = &one.change.record;
            // Additions before removals are synced already.
            let left = if removing { removals } else { additions };
            folders.extend(left.iter().flat_map(Step::folders));
            folders.extend(left.iter().filter_map(Step::made_folder));
        }
        folders.sort_unstable();
        folders.dedup();
        folders.into_iter().map(|folder| Sync::Folder(&*self.disk, folder)).collect()
    }

    /// Syncs all else that the changes depend on, side by side.
    fn sync(&self, doing: &[Doing], files: &Files, voided: bool) -> io::Result<()> {
        let mut work = self.touched(doing, false);
        work.extend(files.lists.iter().map(|(path, _)| Sync::File(&*self.disk, path)));
        work.extend(files.logs.iter().map(|(path, _)| Sync::File(&*self.index, path)));
        if voided {
            work.push(Sync::File(&*self.disk, JOURNAL));
        }
        sync_all(&work)
    }

    /// Shows what is durable now, and answers.
    fn show(&self, doing: Vec<Doing>) {
        let mut answers: Vec<Box<dyn FnOnce()>> = Vec::new();
        let mut events = Vec::new();
        {
            let mut state = self.write();
            for Doing { change, done, failed, .. } in doing {
                for (id, _) in &change.entries {
                    if let Some(slot) = state.slots.get_mut(id) {
                        slot.busy = false;
                    }
                }
                if let Some(error) = failed {
                    answers.push(Box::new(move || done(Err(error))));
                    continue;
                }
                for (id, entries) in &change.entries {
                    let Some(mailbox) = state.slots.get_mut(id).and_then(|slot| slot.mailbox.as_mut()) else {
                        continue;
                    };
                    let before = mailbox.modseq();
                    mailbox.apply(entries);
                    if mailbox.modseq() > before {
                        events.push(Event::Mailbox { id: id.clone(), modseq: mailbox.modseq() });
                    }
                }
                state.settings.apply(&change.settings);
                let is_tree = change.tree.is_some() || change.settings.iter().any(Setting::is_told);
                if let Some(tree) = change.tree {
                    tree(&mut state);
                }
                events.extend(is_tree.then_some(Event::Tree));
                let (beside, after) = (change.beside, change.after);
                answers.push(Box::new(move || {
                    if let Some(beside) = beside {
                        beside(self);
                    }
                    done(Ok(()));
                    if let Some(after) = after {
                        after(self);
                    }
                }));
            }
        }
        events.dedup();
        for event in events {
            self.tell(event);
        }
        for answer in answers {
            answer();
        }
    }

    fn set_busy(&self, doing: &[Doing], busy: bool) {
        let mut state = self.write();
        for (id, _) in doing.iter().flat_map(|one| &one.change.entries) {
            if let Some(slot) = state.slots.get_mut(id) {
                slot.busy = busy;
            }
        }
    }

    /// The files of these mailboxes are not what they were thought to be.
    fn set_stale(&self, doing: &[Doing]) {
        let mut state = self.write();
        for (id, _) in doing.iter().flat_map(|one| &one.change.entries) {
            if let Some(slot) = state.slots.get_mut(id) {
                slot.stale = true;
            }
        }
    }

    /// Notes how far the files reach now.
    fn note_known(&self, doing: &[Doing], files: &Files) {
        let mut state = self.write();
        for (id, len) in &files.indexes {
            if let Some(slot) = state.slots.get_mut(id) {
                slot.known.index_len = *len;
            }
        }
        for one in doing.iter().filter(|one| one.failed.is_none()) {
            for (id, lines) in &one.change.lines {
                if let Some(slot) = state.slots.get_mut(id) {
                    slot.note_lines(lines);
                }
            }
        }
        if let Some(len) = files.settings {
            state.settings_known.0 = len;
        }
    }
}

impl Slot {
    fn note_lines(&mut self, lines: &[(u32, String)]) {
        let octets: usize = lines.iter().map(|(uid, base)| uidlist::line(*uid, base).len()).sum();
        self.known.list_len = self.known.list_len.saturating_add(octets as u64);
        self.known.list_lines = self.known.list_lines.saturating_add(lines.len() as u64);
        self.known.list_last = lines.last().map_or(self.known.list_last, |(uid, _)| *uid);
    }
}

impl Setting {
    /// Whether [`Event::Tree`] tells of it.
    const fn is_told(&self) -> bool {
        matches!(self, Self::Attribute { .. } | Self::Uses { .. } | Self::Tree)
    }
}

/// The changes of several steps that have not failed.
fn records(doing: &[Doing]) -> Vec<Record> {
    let whole = doing.iter().filter(|one| one.failed.is_none() && one.change.needs_journal());
    whole.map(|one| one.change.record.clone()).collect()
}

fn fail_all(doing: &mut [Doing], error: &io::Error) {
    for one in doing {
        one.failed.get_or_insert_with(|| failure(error));
    }
}

/// An error of the disk as the storage tells it. Where there is no room, nothing has happened.
pub(crate) fn failure(error: &io::Error) -> StorageError {
    let cause = format!("{error}").into();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Unavailable(cause),
        _ => StorageError::Backend(cause),
    }
}

impl Doing {
    /// Whether it removes anything.
    fn removes(&self) -> bool {
        !self.change.record.removals.is_empty()
    }

    fn add(&mut self, disk: &dyn Disk) {
        if self.failed.is_some() {
            return;
        }
        for (at, step) in self.change.record.additions.iter().enumerate() {
            if let Err(error) = step.run(disk) {
                self.failed = Some(step_failure(&error));
                for done in self.change.record.additions.iter().take(at).rev() {
                    if let Err(error) = done.undo(disk) {
                        tracing::error!(%error, ?done, "a step can't be taken back");
                    }
                }
                return;
            }
        }
    }

    fn take_back(&self, disk: &dyn Disk) {
        if self.failed.is_some() {
            return;
        }
        for done in self.change.record.additions.iter().rev() {
            if let Err(error) = done.undo(disk) {
                tracing::error!(%error, ?done, "a step can't be taken back");
            }
        }
    }

    fn remove(&mut self, disk: &dyn Disk) {
        if self.failed.is_some() {
            return;
        }
        for step in &self.change.record.removals {
            if let Err(error) = step.run(disk) {
                self.failed = Some(step_failure(&error));
                return;
            }
        }
    }
}

/// A file that is not where it was: another program has moved it, and the same may work once that is seen.
fn step_failure(error: &io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::NotFound => StorageError::Busy,
        _ => failure(error),
    }
}

/// What a batch has added to logs and lists, so that it can be taken back.
#[derive(Default)]
struct Files {
    /// Paths and lengths from before.
    lists: Vec<(String, u64)>,
    logs: Vec<(String, u64)>,
    /// How long the files are now.
    indexes: HashMap<MailboxId, u64>,
    list_lens: HashMap<MailboxId, u64>,
    settings: Option<u64>,
}

impl Files {
    /// Adds what changes write down: those that remove messages, or the others.
    fn write(&mut self, account: &Account, doing: &[Doing], removing: bool) -> io::Result<()> {
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
    fn take_back(&mut self, account: &Account) {
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
enum Sync<'a> {
    File(&'a dyn Disk, &'a str),
    Folder(&'a dyn Disk, &'a str),
}

impl Sync<'_> {
    fn run(&self) -> io::Result<()> {
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
fn sync_all(work: &[Sync<'_>]) -> io::Result<()> {
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
