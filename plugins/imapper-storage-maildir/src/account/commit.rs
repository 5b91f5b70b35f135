//! Doing what a batch has planned: all of it is made durable together, and only then shown and answered.

use std::collections::VecDeque;
use std::io;
use std::sync::PoisonError;
use std::time::Instant;

use imapper_core::storage::{Event, StorageError};

use super::batch::{Batch, Change, Done, Job, Planned};
use super::files::{Files, Sync, sync_all};
use super::journal::{self, JOURNAL, Record};
use super::settings::Setting;
use super::step::Step;
use super::threads::Threads;
use super::{Account, Slot};
use crate::disk::{Disk, failure};
use crate::format::uidlist;

/// The file whose lock says who changes the account.
pub(super) const LOCK: &str = "imapper.lock";

/// What only the thread that runs the changes uses.
#[derive(Default)]
pub(super) struct Run {
    pub(super) threads: Threads,
    /// When `tmp/` was swept last.
    pub(super) swept: Option<Instant>,
}

/// A change under way.
pub(super) struct Doing {
    pub(super) change: Box<Change>,
    done: Done,
    pub(super) failed: Option<StorageError>,
    /// It failed when there was no way back any more: the journal does it to the end.
    half: bool,
    /// Holds the staged bodies, which go with it.
    _job: Job,
}

impl Account {
    /// Runs batches until nothing waits.
    pub(super) fn run(&self) {
        let _ends = Ends(self);
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
        let lock = self.disk.lock(LOCK).and_then(|lock| journal::recover(&*self.disk).map(|_| lock));
        let ready = lock.map_err(|error| failure(&error)).and_then(|lock| self.refresh_tree().map(|()| lock));
        let mut later = VecDeque::new();
        let mut doing: Vec<Doing> = Vec::new();
        let mut batch = Batch::new(self, &mut run.threads);
        if let Err(error) = &ready {
            batch.refuse(error);
            // Refreshes that are refused are in the queue no more.
            self.queue.lock().unwrap_or_else(PoisonError::into_inner).refreshing.clear();
        }
        for mut job in jobs {
            if !later.is_empty() && batch.is_alone() {
                later.push_back(job);
                continue;
            }
            let is_first = batch.is_fresh();
            match job(&mut batch) {
                Planned::Change(change, done) => {
                    batch.add();
                    doing.push(Doing { change, done, failed: None, half: false, _job: job });
                }
                // It would wait for itself, for ever. Dropped, it is answered with an error.
                Planned::Later if is_first => tracing::error!("a change waits for itself"),
                Planned::Later => later.push_back(job),
                Planned::Nothing => {}
            }
        }
        if doing.iter().any(|doing| !doing.change.is_empty()) {
            self.make_durable(&mut doing);
        }
        self.show(doing);
        if ready.is_ok() {
            self.tidy(&mut run.swept);
        }
        later
    }

    /// Does the changes, and returns when they are durable. Those that fail are marked, and leave nothing behind; where
    /// that is not possible any more, their outcome is not known.
    fn make_durable(&self, doing: &mut [Doing]) {
        self.set_busy(doing, true);
        let mut files = Files::default();
        if let Err(error) = files.write(self, doing) {
            self.take_all_back(doing, &mut files);
            return fail_all(doing, || failure(&error));
        }
        let mut records = records(doing, |_| true);
        if !records.is_empty()
            && let Err(error) = journal::begin(&*self.disk, &records)
        {
            self.take_all_back(doing, &mut files);
            return fail_all(doing, || failure(&error));
        }
        self.run_steps(doing);
        if doing.iter().any(|one| one.failed.is_some()) {
            // Their files are not where they were thought to be, or not all of them are there.
            self.set_stale(doing, true);
            match self.forget_failed(doing, &mut files) {
                Ok(left) => records = left,
                Err(error) => return self.lose_sight(doing, &error),
            }
        }
        // What says that messages have gone comes after they have: otherwise a crash in between would leave their
        // files to be taken for new ones. The journal is void before the answer: done again later, it would undo what
        // other programs do until then.
        let journaled = |one: &Doing| one.removes() || one.change.needs_journal();
        let done =
            sync_all(&self.touched(doing, &journaled)).and_then(|()| files.open(self)).and_then(|()| {
                let half = self::records(doing, |one| one.half);
                let voids = !records.is_empty() && half.is_empty();
                if voids {
                    journal::void(&*self.disk)?;
                } else if !half.is_empty() {
                    // Only what is left to do: the others are done, and answered.
                    journal::write(&*self.disk, &half)?;
                }
                self.sync(doing, &files, voids)
            });
        self.note_known(doing, &files);
        if let Err(error) = done {
            self.lose_sight(doing, &error);
        }
    }

    /// Runs the steps of all changes: those that add, and when they are durable those that remove.
    fn run_steps(&self, doing: &mut [Doing]) {
        for one in doing.iter_mut() {
            one.add(&*self.disk);
        }
        let removing = doing.iter().filter(|one| one.failed.is_none() && one.removes());
        let barrier = journal::sync(&*self.disk, removing.flat_map(|one| &one.change.record.additions));
        for one in doing.iter_mut().filter(|one| one.removes()) {
            match &barrier {
                Ok(()) => one.remove(&*self.disk),
                Err(error) => {
                    one.take_back(&*self.disk);
                    one.failed.get_or_insert_with(|| failure(error));
                }
            }
        }
    }

    /// Whether the changes are done can't be said any more: what is on the disk is looked at anew.
    fn lose_sight(&self, doing: &mut [Doing], error: &io::Error) {
        tracing::error!(%error, account = %self.id, "whether changes are done is not known");
        for one in doing.iter_mut() {
            one.failed = Some(StorageError::Indeterminate(error.to_string().into()));
        }
        self.set_stale(doing, false);
    }

    /// Cuts off what was added for changes that are not begun. What can't be cut off would be read as another process's.
    fn take_all_back(&self, doing: &[Doing], files: &mut Files) {
        if files.take_back(self).is_err() {
            self.set_stale(doing, false);
        }
    }

    /// Writes the journal and the logs anew without the changes that have failed, and were taken back.
    fn forget_failed(&self, doing: &[Doing], files: &mut Files) -> io::Result<Vec<Record>> {
        files.take_back(self)?;
        let records = records(doing, |one| one.failed.is_none() || one.half);
        journal::write(&*self.disk, &records)?;
        *files = Files::default();
        files.write(self, doing)?;
        Ok(records)
    }

    /// The folders that changes have touched last: of those that are asked for.
    fn touched<'a>(&'a self, doing: &'a [Doing], wanted: &dyn Fn(&Doing) -> bool) -> Vec<Sync<'a>> {
        let mut folders: Vec<&str> = Vec::new();
        for one in doing.iter().filter(|one| one.failed.is_none() && wanted(one)) {
            let Record { additions, removals } = &one.change.record;
            // Additions before removals are synced already.
            let left = if one.removes() { removals } else { additions };
            folders.extend(left.iter().flat_map(Step::folders));
            folders.extend(left.iter().filter_map(Step::made_folder));
        }
        folders.sort_unstable();
        folders.dedup();
        folders.into_iter().map(|folder| Sync::Folder(&*self.disk, folder)).collect()
    }

    /// Syncs all else that the changes depend on, side by side.
    fn sync(&self, doing: &[Doing], files: &Files, voided: bool) -> io::Result<()> {
        let mut work = self.touched(doing, &|one| !one.removes() && !one.change.needs_journal());
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
    fn set_stale(&self, doing: &[Doing], only_failed: bool) {
        let mut state = self.write();
        let doing = doing.iter().filter(|one| !only_failed || one.failed.is_some());
        let trees = doing.clone().any(|one| one.change.tree.is_some());
        for (id, _) in doing.flat_map(|one| &one.change.entries) {
            if let Some(slot) = state.slots.get_mut(id) {
                slot.stale = true;
            }
        }
        if trees {
            state.tree_changes();
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

/// Sees to the next change starting a thread anew where this one ends in the middle.
struct Ends<'a>(&'a Account);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop_running();
            // Nobody else says any more that the changes under way have ended.
            for slot in self.0.write().slots.values_mut().filter(|slot| slot.busy) {
                (slot.busy, slot.stale) = (false, true);
            }
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

/// Those of the changes that have several steps.
fn records(doing: &[Doing], wanted: impl Fn(&Doing) -> bool) -> Vec<Record> {
    let whole = doing.iter().filter(|one| wanted(one) && one.change.needs_journal());
    whole.map(|one| one.change.record.clone()).collect()
}

fn fail_all(doing: &mut [Doing], error: impl Fn() -> StorageError) {
    for one in doing {
        one.failed.get_or_insert_with(&error);
    }
}

impl Doing {
    /// Whether it removes anything.
    pub(super) fn removes(&self) -> bool {
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
            if let Err(error) = step.remove(disk, &self.change.record.additions) {
                tracing::error!(%error, ?step, "a step fails when there is no way back");
                self.failed = Some(StorageError::Indeterminate(error.to_string().into()));
                self.half = true;
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
