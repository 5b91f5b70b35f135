//! One account: a folder with its mailboxes, and the order in which it changes.
//!
//! What is read comes from memory. All that changes goes through one queue: a thread takes whatever waits there as
//! one batch, plans each change, does all of them, syncs once for all, and only then shows and answers them. So
//! changes on different connections share their syncs, and nobody sees what is not durable.

pub(crate) mod append;
pub(crate) mod attributes;
mod batch;
mod commit;
pub(crate) mod copy;
pub(crate) mod expunge;
pub(crate) mod flags;
mod files;
mod fresh;
pub(crate) mod import;
mod journal;
mod keywords;
mod moving;
mod moving_out;
mod open;
#[cfg(test)]
mod power;
#[cfg(test)]
mod between;
mod scan;
pub(crate) mod settings;
mod state;
mod step;
mod threads;
pub(crate) mod tree;

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use imapper_core::storage::{AccountId, Event, MailboxId, QuotaLimits, Result, StorageError};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, oneshot};

pub(crate) use append::Arrival;
pub(crate) use batch::{Batch, Change, Stop};
pub(crate) use state::{Slot, State};

use crate::body::RecentOffsets;
use crate::disk::Disk;
use crate::format::folder::Layout;
use crate::home::Home;
use crate::quota::Allowed;
use crate::watching::Watching;

/// How many hints a slow watcher may be behind before it is told that it has missed some.
const EVENTS: usize = 64;

/// An account.
pub(crate) struct Account {
    pub(crate) id: AccountId,
    /// Whether INBOX belongs to it for ever; not so in a shared tree.
    pub(crate) personal: bool,
    pub(crate) layout: Layout,
    pub(crate) disk: Arc<dyn Disk>,
    /// Where the indexes lie, and whether that is elsewhere.
    pub(crate) index: Arc<dyn Disk>,
    pub(crate) apart: bool,
    /// The account's folder, for what watches it; `None` on a disk that is none.
    pub(crate) base: Option<PathBuf>,
    pub(crate) watching: Option<Arc<Watching>>,
    /// Where changes run.
    pub(crate) runtime: Handle,
    pub(crate) allowed: Arc<Allowed>,
    pub(crate) offsets: RecentOffsets,
    state: RwLock<State>,
    queue: Mutex<Queue>,
    /// What only the thread that runs the changes uses.
    run: Mutex<commit::Run>,
    events: broadcast::Sender<Event>,
    this: Weak<Self>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<batch::Job>,
    running: bool,
    /// What a refresh is in the queue for, that nobody waits for.
    refreshing: HashSet<Option<MailboxId>>,
}

/// What an account is made of.
pub(crate) struct Parts {
    pub(crate) id: AccountId,
    pub(crate) personal: bool,
    pub(crate) layout: Layout,
    pub(crate) disk: Option<Arc<dyn Disk>>,
    /// Where indexes lie, if elsewhere.
    pub(crate) index: Option<Arc<dyn Disk>>,
    pub(crate) base: Option<PathBuf>,
    pub(crate) watching: Option<Arc<Watching>>,
    /// Where changes run.
    pub(crate) runtime: Handle,
    pub(crate) allowed: Arc<Allowed>,
}

impl Account {
    /// Opens an account: makes what is missing of it, does to the end what a crash has cut off, and finds its
    /// mailboxes.
    pub(crate) fn open(parts: Parts) -> Result<Arc<Self>> {
        let apart = parts.index.is_some();
        let disk = parts.disk.ok_or_else(|| StorageError::backend("an account without a disk"))?;
        let account = Arc::new_cyclic(|this| Self {
            id: parts.id,
            personal: parts.personal,
            layout: parts.layout,
            index: parts.index.unwrap_or_else(|| Arc::clone(&disk)),
            disk,
            apart,
            base: parts.base,
            watching: parts.watching,
            runtime: parts.runtime,
            allowed: parts.allowed,
            offsets: RecentOffsets::default(),
            state: RwLock::default(),
            queue: Mutex::default(),
            run: Mutex::default(),
            events: broadcast::channel(EVENTS).0,
            this: Weak::clone(this),
        });
        account.begin()?;
        Ok(account)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a hint to all who watch. Not with the lock held: those that wake up want it.
    pub(crate) fn tell(&self, event: Event) {
        // An error says that nobody watches.
        let _ = self.events.send(event);
    }

    pub(crate) fn watch(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// How many watch.
    fn watchers(&self) -> usize {
        self.events.receiver_count()
    }

    /// What the operator lets it keep.
    pub(crate) fn most(&self) -> QuotaLimits {
        self.allowed.of(&self.id)
    }

    /// Where a mailbox lies.
    pub(crate) fn home<'a>(&'a self, folder: &'a str, id: &'a str) -> Home<'a> {
        Home { disk: &*self.disk, folder, index: &*self.index, apart: self.apart, id }
    }

    /// Puts a change into the queue, and waits until it is durable or refused. `plan` may be called again when it
    /// has to wait for another change of its batch. A change that is in the queue is done even if nobody waits.
    pub(crate) fn change<T, P>(
        self: &Arc<Self>,
        mut plan: P,
    ) -> impl Future<Output = Result<T>> + Send + use<T, P>
    where
        T: Send + 'static,
        P: FnMut(&mut Batch<'_>) -> std::result::Result<(Change, T), Stop> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let mut sender = Some(sender);
        let job: batch::Job = Box::new(move |batch| {
            let planned = batch.check().map_err(Stop::Refused).and_then(|()| plan(batch));
            if matches!(planned, Err(Stop::Later)) {
                return batch::Planned::Later;
            }
            let Some(sender) = sender.take() else { return batch::Planned::Nothing };
            match planned {
                Ok((change, answer)) => {
                    let done = move |done: Result<()>| drop(sender.send(done.map(|()| answer)));
                    batch::Planned::Change(Box::new(change), Box::new(done))
                }
                Err(Stop::Refused(error)) => {
                    let _ = sender.send(Err(error));
                    batch::Planned::Nothing
                }
                Err(Stop::Later) => batch::Planned::Nothing,
            }
        });
        self.enqueue(job);
        async move {
            let lost = || StorageError::Indeterminate("the change was not answered".into());
            receiver.await.map_err(|_| lost())?
        }
    }

    fn enqueue(self: &Arc<Self>, job: batch::Job) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.jobs.push_back(job);
        if !queue.running {
            queue.running = true;
            let account = Arc::clone(self);
            self.runtime.spawn_blocking(move || account.run());
        }
    }

    /// What waits in the queue now; nothing ends the thread.
    fn take_jobs(&self) -> VecDeque<batch::Job> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = std::mem::take(&mut queue.jobs);
        queue.running = !jobs.is_empty();
        jobs
    }

    /// The thread has ended in the middle: what waits is answered with an error.
    fn stop_running(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        *queue = Queue::default();
    }

    /// Ends watching, when nobody needs the account any more.
    fn unwatch_all(&self) {
        let Some(watching) = &self.watching else { return };
        let state = self.read();
        let mailboxes = state.slots.values().filter_map(|slot| slot.keys).flatten().map(|(_, key)| key);
        for key in mailboxes.chain(state.tree_keys.values().copied()) {
            watching.remove(key);
        }
    }

    fn put_back(&self, later: VecDeque<batch::Job>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        for job in later.into_iter().rev() {
            queue.jobs.push_front(job);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.unwatch_all();
    }
}
