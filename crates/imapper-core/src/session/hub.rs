//! What all sessions on one mailbox share: its table at one mod-sequence, kept up to date.
//!
//! A hub follows [`Storage::watch`], which only hints, and pulls the truth with [`Storage::changes`]. So a
//! change costs one query however many sessions look on; each wakes then and compares its
//! [view](super::view) with the new table in memory.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior};

use super::table::{Entry, Table};
use crate::storage::{Event, Mbox, ModSeqs, Result, Row, Status, Storage, StorageError, Want};
use crate::types::{Keyword, ModSeq, Uid, UidSet, UidValidity};

/// How many changes are asked for at once.
const LIMIT: usize = 10_000;
/// How often a hub looks by itself, for the hint that was lost.
const SWEEP: Duration = Duration::from_secs(30);

/// The open mailboxes of a server.
#[derive(Debug, Default)]
pub struct Hubs {
    open: Mutex<HashMap<Mbox, Weak<Hub>>>,
}

impl Hubs {
    /// No mailbox is open.
    pub fn new() -> Self {
        Self::default()
    }

    /// The hub of a mailbox, up to date: the one that other sessions have, or a new one, which reads all
    /// flags once.
    pub async fn open(&self, storage: &Arc<dyn Storage>, mbox: &Mbox) -> Result<Arc<Hub>> {
        if let Some(hub) = self.known(mbox) {
            hub.refresh().await?;
            if !hub.is_gone() {
                return Ok(hub);
            }
        }
        // Watching begins before reading, so that nothing falls between the two.
        let events = Arc::clone(storage).watch(mbox.account.clone(), vec![mbox.id.clone()]);
        let state = State::load(&**storage, mbox).await?;
        let hub = Arc::new(Hub::new(Arc::clone(storage), mbox.clone(), state));
        match self.enter(&hub) {
            Some(first) => {
                first.refresh().await?;
                Ok(first)
            }
            None => {
                let task = tokio::spawn(follow(Arc::downgrade(&hub), events));
                // A new hub has no task yet, so that this can't fail.
                let _ = hub.task.set(task.abort_handle());
                Ok(hub)
            }
        }
    }

    /// Enters a new hub, unless another session has read the same mailbox at the same time: then gives that
    /// session's hub, as two of one mailbox would be a waste.
    fn enter(&self, hub: &Arc<Hub>) -> Option<Arc<Hub>> {
        let mut open = lock(&self.open);
        let first = open.get(&hub.mbox).and_then(Weak::upgrade).filter(|hub| !hub.is_gone());
        if first.is_none() {
            if open.len() == open.capacity() {
                // Drops the dead now and then, so seldom that it costs nothing.
                open.retain(|_, hub| hub.strong_count() > 0);
                let live = open.len();
                open.reserve(live.max(8));
            }
            open.insert(hub.mbox.clone(), Arc::downgrade(hub));
        }
        first
    }

    fn known(&self, mbox: &Mbox) -> Option<Arc<Hub>> {
        lock(&self.open).get(mbox).and_then(Weak::upgrade).filter(|hub| !hub.is_gone())
    }
}

/// An open mailbox, shared by the sessions that have selected it.
pub struct Hub {
    mbox: Mbox,
    storage: Arc<dyn Storage>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    // One refresh at a time. Guards no data: it is a queue, in which those that wait mostly find that a
    // refresh that began after they came has answered them too.
    turn: Semaphore,
    task: OnceLock<AbortHandle>,
}

#[derive(Debug)]
struct State {
    table: Table,
    modseq: ModSeq,
    uid_validity: UidValidity,
    uid_next: Uid,
    keywords: Arc<Vec<Keyword>>,
    known_keywords: HashSet<Keyword>,
    new_keywords: bool,
    gone: bool,
    // No message up to this UID is unclaimed as \Recent.
    claimed: Option<Uid>,
    // How many refreshes have begun, and which of them was the last that was right.
    begun: u64,
    done: u64,
}

/// What [`Storage::changes`] has told, all pages together. A message whose flags have changed again lies on a
/// later page than one that came after it, so that a page by itself may show UIDs out of order.
struct Pulled {
    to: ModSeq,
    status: Status,
    rows: Vec<Row>,
    vanished: UidSet,
}

impl Hub {
    fn new(storage: Arc<dyn Storage>, mbox: Mbox, state: State) -> Self {
        Self {
            mbox,
            storage,
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
            turn: Semaphore::new(1),
            task: OnceLock::new(),
        }
    }

    /// Which mailbox it is.
    pub const fn mbox(&self) -> &Mbox {
        &self.mbox
    }

    /// Where it lies.
    pub const fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// The messages now; costs nothing.
    pub fn table(&self) -> Table {
        self.state().table.clone()
    }

    /// How far the table has come.
    pub fn modseq(&self) -> ModSeq {
        self.state().modseq
    }

    /// RFC 9051 §2.3.1.1. Does not change while the hub lives.
    pub fn uid_validity(&self) -> UidValidity {
        self.state().uid_validity
    }

    /// Above every UID in use.
    pub fn uid_next(&self) -> Uid {
        self.state().uid_next
    }

    /// The keywords that occur or may be set, in the order in which they were met. Grows, never shrinks.
    pub fn keywords(&self) -> Arc<Vec<Keyword>> {
        Arc::clone(&self.state().keywords)
    }

    /// Whether clients may make new keywords.
    pub fn new_keywords(&self) -> bool {
        self.state().new_keywords
    }

    /// Whether the mailbox was removed, or has begun its UIDs anew. The table stays as it was last.
    pub fn is_gone(&self) -> bool {
        self.state().gone
    }

    /// Wakes when messages, keywords or the mailbox's existence have changed. The number means nothing.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Whether the storage keeps mod-sequences at all.
    pub(super) fn has_modseqs(&self) -> bool {
        self.storage.caps().modseq != ModSeqs::None
    }

    /// Whether there may be a message up to this UID that no session has claimed as `\Recent`.
    pub(super) fn is_unclaimed(&self, last: Option<Uid>) -> bool {
        last > self.state().claimed
    }

    /// Notes that whatever lies up to this UID was claimed by somebody.
    pub(super) fn note_claimed(&self, up_to: Option<Uid>) {
        let mut state = self.state();
        state.claimed = state.claimed.max(up_to);
    }

    /// Refreshes unless the table has come that far: what a command calls that has just made the change of
    /// that mod-sequence.
    pub async fn refresh_to(&self, modseq: ModSeq) -> Result<()> {
        if self.has_modseqs() && self.modseq() >= modseq { Ok(()) } else { self.refresh().await }
    }

    /// Brings the table up to what the storage holds when this is called, or newer. A mailbox that is no
    /// longer there is no error, but [`Hub::is_gone`].
    pub async fn refresh(&self) -> Result<()> {
        let came_at = self.state().begun;
        // Never closed; an error would only mean that nobody waits for turns any more.
        let _turn = self.turn.acquire().await.ok();
        let (since, number) = {
            let mut state = self.state();
            if state.gone || state.done > came_at {
                return Ok(());
            }
            state.begun += 1;
            (state.modseq, state.begun)
        };
        let pulled = match self.pull(since).await {
            Err(StorageError::NoMailbox) => None,
            other => Some(other?),
        };
        let changed = {
            let mut state = self.state();
            state.done = number;
            match pulled {
                Some(pulled) if pulled.status.uid_validity == state.uid_validity => {
                    state.apply(pulled, self.has_modseqs())
                }
                _ => {
                    state.gone = true;
                    true
                }
            }
        };
        if changed {
            self.changed.send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(())
    }

    async fn pull(&self, mut since: ModSeq) -> Result<Pulled> {
        let mut changes = self.storage.changes(&self.mbox, since, LIMIT).await?;
        let mut rows = std::mem::take(&mut changes.changed);
        let mut vanished = std::mem::take(&mut changes.vanished);
        while changes.more {
            if changes.to <= since {
                return Err(StorageError::Corrupt(format!("changes since {since} do not move on")));
            }
            since = changes.to;
            changes = self.storage.changes(&self.mbox, since, LIMIT).await?;
            rows.append(&mut changes.changed);
            vanished = vanished.union(&changes.vanished);
        }
        Ok(Pulled { to: changes.to, status: changes.status, rows, vanished })
    }

    /// Does what a hint asks for.
    async fn heed(&self, event: Option<Event>) {
        let result = match event {
            Some(Event::Mailbox { id, .. }) if id != self.mbox.id => Ok(()),
            Some(Event::Mailbox { modseq, .. }) => self.refresh_to(modseq).await,
            Some(Event::Tree | Event::Lagged) | None => self.refresh().await,
        };
        if let Err(error) = result {
            let (account, mailbox) = (&self.mbox.account, &self.mbox.id);
            tracing::warn!(%account, %mailbox, %error, "changes could not be read; will be tried again");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").field("mbox", &self.mbox).field("state", &self.state).finish_non_exhaustive()
    }
}

impl State {
    async fn load(storage: &dyn Storage, mbox: &Mbox) -> Result<Self> {
        let snapshot = storage.snapshot(mbox).await?;
        let status = snapshot.status;
        let mut state = Self {
            table: Table::new(),
            modseq: status.highest_modseq,
            uid_validity: status.uid_validity,
            uid_next: status.uid_next,
            known_keywords: snapshot.keywords.iter().cloned().collect(),
            keywords: Arc::new(snapshot.keywords),
            new_keywords: snapshot.new_keywords,
            gone: false,
            claimed: None,
            begun: 0,
            done: 0,
        };
        let has_modseqs = storage.caps().modseq != ModSeqs::None;
        let mut rows = storage.rows(mbox, &UidSet::all(), Want::FLAGS).await?;
        while let Some(mut chunk) = rows.try_next().await? {
            // What came after the snapshot comes with the first refresh.
            chunk.retain(|row| row.uid < status.uid_next);
            state.put(chunk, has_modseqs);
        }
        Ok(state)
    }

    /// Applies what a storage has told; gives whether anything that a session sees has changed.
    fn apply(&mut self, mut pulled: Pulled, has_modseqs: bool) -> bool {
        // A storage that goes back was restored from an older copy, which it must not be under a running
        // server. Without mod-sequences each answer is the whole truth.
        if has_modseqs && pulled.to < self.modseq {
            tracing::warn!(to = %pulled.to, at = %self.modseq, "a storage has gone back and is not followed");
            return false;
        }
        pulled.rows.sort_by_key(|row| row.uid);
        let changed = self.put(pulled.rows, has_modseqs);
        let removed = self.table.remove(&pulled.vanished) > 0;
        self.modseq = pulled.to;
        self.uid_next = self.uid_next.max(pulled.status.uid_next);
        changed || removed
    }

    fn put(&mut self, rows: Vec<Row>, has_modseqs: bool) -> bool {
        let met = self.known_keywords.len();
        for keyword in rows.iter().flat_map(|row| row.flags.keywords()) {
            if !self.known_keywords.contains(keyword) {
                self.known_keywords.insert(keyword.clone());
                Arc::make_mut(&mut self.keywords).push(keyword.clone());
            }
        }
        let entries = rows.into_iter().map(|row| Entry {
            uid: row.uid,
            // All the same where they mean nothing, so that each row replaces the one before.
            modseq: if has_modseqs { row.modseq } else { ModSeq::ZERO },
            flags: row.flags,
        });
        self.table.set_all(entries) || met != self.known_keywords.len()
    }
}

/// Refreshes a hub at each hint, and now and then without one, for as long as anybody has it.
async fn follow(hub: Weak<Hub>, events: stream::BoxStream<'static, Event>) {
    let mut sweep = tokio::time::interval_at(Instant::now() + SWEEP, SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A storage that has stopped to hint is looked at all the same.
    let mut events = events.chain(stream::pending());
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = sweep.tick() => None,
        };
        match hub.upgrade() {
            Some(hub) if !hub.is_gone() => hub.heed(event).await,
            _ => return,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
