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
        if let Some(first) = self.enter(&hub) {
            first.refresh().await?;
            return Ok(first);
        }
        let task = tokio::spawn(follow(Arc::downgrade(&hub), events));
        // A new hub has no task yet, so that this can't fail.
        let _ = hub.task.set(task.abort_handle());
        Ok(hub)
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
    // One question about \Recent at a time, for the same reason.
    recent_turn: Semaphore,
    task: OnceLock<AbortHandle>,
}

#[derive(Debug)]
struct State {
    table: Table,
    modseq: ModSeq,
    uid_validity: UidValidity,
    uid_next: Uid,
    keywords: Keywords,
    new_keywords: bool,
    gone: bool,
    // No message up to this UID is unclaimed as \Recent.
    claimed: Option<Uid>,
    // How often it was asked from where on messages are unclaimed, and the last answer.
    asked_recent: u64,
    first_recent: Option<Uid>,
    // How many refreshes have begun, and which of them was the last that was right, or failed.
    begun: u64,
    done: u64,
    failed: u64,
    // The highest mod-sequence of a row. One may be newer than the table as a whole.
    newest: ModSeq,
}

/// The keywords of a mailbox, in the order in which they were met.
#[derive(Debug, Default)]
struct Keywords {
    list: Arc<Vec<Keyword>>,
    known: HashSet<Keyword>,
    // Those that the storage names whether or not a message has them.
    given: Vec<Keyword>,
    // When there are more, those that no message has any more are forgotten.
    most: usize,
}

/// Fewer keywords than that are not worth looking through.
const FEW_KEYWORDS: usize = 128;

/// What [`Storage::changes`] has told, all pages together. A message whose flags have changed again lies on a
/// later page than one that came after it, so that a page by itself may show UIDs out of order.
struct Pulled {
    to: ModSeq,
    status: Status,
    rows: Vec<Row>,
    removed: UidSet,
}

impl Hub {
    fn new(storage: Arc<dyn Storage>, mbox: Mbox, state: State) -> Self {
        Self {
            mbox,
            storage,
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
            turn: Semaphore::new(1),
            recent_turn: Semaphore::new(1),
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

    /// The messages now, and the UIDNEXT and the mod-sequence of the same moment.
    pub(super) fn now(&self) -> (Table, Uid, ModSeq) {
        let state = self.state();
        (state.table.clone(), state.uid_next, state.modseq)
    }

    /// How far the table has come.
    pub fn modseq(&self) -> ModSeq {
        self.state().modseq
    }

    /// The highest mod-sequence that a message has; may lie above [`Hub::modseq`].
    pub fn newest(&self) -> ModSeq {
        self.state().newest
    }

    /// RFC 9051 §2.3.1.1. Does not change while the hub lives.
    pub fn uid_validity(&self) -> UidValidity {
        self.state().uid_validity
    }

    /// Above every UID in use.
    pub fn uid_next(&self) -> Uid {
        self.state().uid_next
    }

    /// The keywords that occur or may be set, in the order in which they were met; and some that no longer
    /// occur, until [`Hub::forget_keywords`].
    pub fn keywords(&self) -> Arc<Vec<Keyword>> {
        Arc::clone(&self.state().keywords.list)
    }

    /// Forgets the keywords that no message has any more.
    pub fn forget_keywords(&self) {
        let mut state = self.state();
        let table = state.table.clone();
        state.keywords.forget(&table);
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
    pub fn has_modseqs(&self) -> bool {
        self.storage.caps().modseq != ModSeqs::None
    }

    /// Whether there may be a message up to this UID that no session has claimed as `\Recent`.
    pub(super) fn is_unclaimed(&self, last: Option<Uid>) -> bool {
        last > self.state().claimed
    }

    /// Claims what is `\Recent` up to this UID or beyond, unless another session has claimed it meanwhile.
    pub(super) async fn claim_recent(&self, last: Option<Uid>) -> Result<Option<(Uid, Uid)>> {
        let _turn = self.recent_turn.acquire().await.ok();
        if !self.is_unclaimed(last) {
            return Ok(None);
        }
        let claimed = self.storage.claim_recent(&self.mbox).await?;
        let mut state = self.state();
        state.claimed = state.claimed.max(last).max(claimed.map(|(_, last)| last));
        Ok(claimed)
    }

    /// From where on messages are `\Recent` for whoever only looks.
    pub(super) async fn first_recent(&self) -> Result<Option<Uid>> {
        let came_at = self.state().asked_recent;
        let _turn = self.recent_turn.acquire().await.ok();
        {
            let state = self.state();
            // The first answer since may be to a question from before this was called, the second is not.
            if state.asked_recent > came_at + 1 {
                return Ok(state.first_recent);
            }
        }
        let status = self.storage.status(&self.mbox.account, std::slice::from_ref(&self.mbox.id)).await?;
        let mut state = self.state();
        state.asked_recent += 1;
        state.first_recent = status.first().and_then(|status| status.first_recent);
        Ok(state.first_recent)
    }

    /// Refreshes unless the table has come that far: what a command calls that has just made the change of
    /// that mod-sequence.
    pub async fn refresh_to(&self, modseq: ModSeq) -> Result<()> {
        self.refresh_unless(|state| self.has_modseqs() && state.modseq >= modseq).await
    }

    /// Brings the table up to what the storage holds when this is called, or newer. A mailbox that is no
    /// longer there is no error, but [`Hub::is_gone`].
    pub async fn refresh(&self) -> Result<()> {
        self.refresh_unless(|_| false).await
    }

    async fn refresh_unless(&self, enough: impl Fn(&State) -> bool) -> Result<()> {
        let came_at = {
            let state = self.state();
            if enough(&state) {
                return Ok(());
            }
            state.begun
        };
        // Never closed; an error would only mean that nobody waits for turns any more.
        let _turn = self.turn.acquire().await.ok();
        let (since, number) = {
            let mut state = self.state();
            if state.gone || state.done > came_at || enough(&state) {
                return Ok(());
            }
            if state.failed > came_at {
                // One that began after this was called: those that wait would wait the longer, one after the
                // other, for the same answer.
                return Err(StorageError::Unavailable("changes could not be read".into()));
            }
            state.begun += 1;
            (state.modseq, state.begun)
        };
        let pulled = match self.pull(since).await {
            Err(StorageError::NoMailbox) => None,
            Err(error) => {
                self.state().failed = number;
                return Err(error);
            }
            Ok(pulled) => Some(pulled),
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
        let mut removed = std::mem::take(&mut changes.removed);
        while changes.more {
            if changes.to <= since {
                return Err(StorageError::Corrupt(format!("changes since {since} do not move on")));
            }
            since = changes.to;
            changes = self.storage.changes(&self.mbox, since, LIMIT).await?;
            rows.append(&mut changes.changed);
            removed = removed.union(&changes.removed);
        }
        Ok(Pulled { to: changes.to, status: changes.status, rows, removed })
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
            keywords: Keywords::new(snapshot.keywords),
            new_keywords: snapshot.new_keywords,
            gone: false,
            claimed: None,
            asked_recent: 0,
            first_recent: None,
            begun: 0,
            done: 0,
            failed: 0,
            newest: ModSeq::ZERO,
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
        let removed = self.table.remove(&pulled.removed) > 0;
        self.modseq = pulled.to;
        let above = self.table.last_uid().map_or(Uid::MIN, Uid::next);
        self.uid_next = self.uid_next.max(pulled.status.uid_next).max(above);
        changed || removed
    }

    fn put(&mut self, rows: Vec<Row>, has_modseqs: bool) -> bool {
        let mut met = false;
        for keyword in rows.iter().flat_map(|row| row.flags.keywords()) {
            met |= self.keywords.add(keyword);
        }
        if has_modseqs {
            self.newest = rows.iter().map(|row| row.modseq).fold(self.newest, ModSeq::max);
        }
        let entries = rows.into_iter().map(|row| Entry {
            uid: row.uid,
            // All the same where they mean nothing, so that each row replaces the one before.
            modseq: if has_modseqs { row.modseq } else { ModSeq::ZERO },
            flags: row.flags,
        });
        let changed = self.table.set_all(entries);
        if self.keywords.known.len() > self.keywords.most {
            self.keywords.forget(&self.table);
        }
        changed || met
    }
}

impl Keywords {
    fn new(given: Vec<Keyword>) -> Self {
        let mut keywords = Self { list: Arc::new(given.clone()), given, ..Self::default() };
        keywords.forget(&Table::new());
        keywords
    }

    /// Whether it is a new one.
    fn add(&mut self, keyword: &Keyword) -> bool {
        let is_new = !self.known.contains(keyword);
        if is_new {
            self.known.insert(keyword.clone());
            Arc::make_mut(&mut self.list).push(keyword.clone());
        }
        is_new
    }

    /// Forgets those that are neither given nor in the table; the others keep their order.
    fn forget(&mut self, table: &Table) {
        let there = table.iter().flat_map(|(_, entry)| entry.flags.keywords().iter());
        self.known = there.chain(&self.given).cloned().collect();
        let kept = self.list.iter().filter(|keyword| self.known.contains(keyword));
        self.list = Arc::new(kept.cloned().collect());
        self.most = (2 * self.known.len()).max(FEW_KEYWORDS);
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::storage::FlagOp;
    use crate::storage::{
        AccountId, Appended, BodyRef, ByteStream, Caps, Changes, FlagChange, MailboxId, MailboxInfo,
        NewMessage, Reach, RowStream, Snapshot, Staged, Stored, TreeOp,
    };
    use crate::types::{Flags, InternalDate, SystemFlag};
    use async_trait::async_trait;
    use futures_util::future::join_all;
    use std::collections::BTreeMap;
    use std::ops::Range;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::broadcast;

    /// A storage of one mailbox in memory, with small pages.
    pub(in crate::session) struct Model {
        pub(in crate::session) caps: Caps,
        pub(in crate::session) truth: Mutex<Truth>,
        pub(in crate::session) asked: AtomicUsize,
        pub(in crate::session) claims: AtomicUsize,
        hints: broadcast::Sender<Event>,
    }

    pub(in crate::session) struct Truth {
        pub(in crate::session) rows: BTreeMap<Uid, (ModSeq, Flags)>,
        removed: Vec<(ModSeq, Uid)>,
        uid_validity: UidValidity,
        uid_next: Uid,
        modseq: ModSeq,
        unclaimed: Uid,
        mute: bool,
        // Right behind the next claim a message comes, and another session claims it.
        pub(in crate::session) overtake: bool,
        page: usize,
        fail: Option<StorageError>,
        is_away: bool,
    }

    pub(in crate::session) fn mbox() -> Mbox {
        Mbox { account: "fred".into(), id: "1".into() }
    }

    pub(in crate::session) fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    impl Model {
        pub(in crate::session) fn new(modseq: ModSeqs, messages: u32) -> Arc<Self> {
            let caps = Caps { modseq, watch: Reach::Process, ..Caps::least() };
            let truth = Truth {
                rows: BTreeMap::new(),
                removed: Vec::new(),
                uid_validity: UidValidity::MIN,
                uid_next: Uid::MIN,
                modseq: ModSeq::ZERO,
                unclaimed: Uid::MIN,
                mute: false,
                overtake: false,
                page: 2,
                fail: None,
                is_away: false,
            };
            let (asked, claims) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let model =
                Self { caps, truth: Mutex::new(truth), asked, claims, hints: broadcast::Sender::new(9) };
            model.add_all(messages);
            Arc::new(model)
        }

        fn change<T>(&self, change: impl FnOnce(&mut Truth, ModSeq) -> T) -> T {
            let mut truth = lock(&self.truth);
            if self.caps.modseq != ModSeqs::None {
                truth.modseq = truth.modseq.next();
            }
            let modseq = truth.modseq;
            let result = change(&mut truth, modseq);
            if !truth.mute {
                // Nobody listens at times.
                let _ = self.hints.send(Event::Mailbox { id: mbox().id, modseq });
            }
            result
        }

        pub(in crate::session) fn add(&self, flags: Flags) -> Uid {
            self.change(|truth, modseq| {
                let uid = truth.uid_next;
                truth.uid_next = uid.next();
                truth.rows.insert(uid, (modseq, flags));
                uid
            })
        }

        pub(in crate::session) fn add_all(&self, count: u32) {
            for _ in 0..count {
                self.add(Flags::default());
            }
        }

        pub(in crate::session) fn remove(&self, uids: &UidSet) {
            self.change(|truth, modseq| {
                let gone: Vec<Uid> = truth.rows.keys().filter(|uid| uids.contains(**uid)).copied().collect();
                for uid in gone {
                    truth.rows.remove(&uid);
                    truth.removed.push((modseq, uid));
                }
            });
        }

        /// What a storage must not do.
        pub(in crate::session) fn bring_back(&self, uid: Uid) {
            self.change(|truth, modseq| {
                truth.removed.retain(|(_, gone)| *gone != uid);
                truth.rows.insert(uid, (modseq, Flags::default()));
            });
        }

        pub(in crate::session) fn store(&self, change: &FlagChange) -> Stored {
            let unchanged = {
                let truth = lock(&self.truth);
                let mut rows = truth.rows.iter().filter(|(uid, _)| change.uids.contains(**uid));
                let uids = rows.clone().map(|(uid, _)| *uid).collect();
                let same = rows.all(|(_, row)| change.op.apply(&row.1) == row.1);
                same.then_some(Stored { unchanged: uids, modseq: truth.modseq, ..Stored::default() })
            };
            if let Some(stored) = unchanged {
                return stored;
            }
            self.change(|truth, modseq| {
                let mut stored = Stored { modseq, ..Stored::default() };
                for (uid, row) in truth.rows.iter_mut().filter(|(uid, _)| change.uids.contains(**uid)) {
                    let flags = change.op.apply(&row.1);
                    if flags == row.1 {
                        stored.unchanged.insert(*uid);
                    } else {
                        *row = (modseq, flags.clone());
                        stored.changed.push((*uid, flags));
                    }
                }
                stored
            })
        }

        pub(in crate::session) fn table(&self) -> Table {
            let truth = lock(&self.truth);
            let entry = |(uid, (modseq, flags)): (&Uid, &(ModSeq, Flags))| Entry {
                uid: *uid,
                modseq: *modseq,
                flags: flags.clone(),
            };
            truth.rows.iter().map(entry).collect()
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    impl Truth {
        fn status(&self) -> Status {
            let mut status = Status::empty(self.uid_validity);
            status.uid_next = self.uid_next;
            status.highest_modseq = self.modseq;
            status.first_recent = self.rows.keys().find(|uid| **uid >= self.unclaimed).copied();
            status
        }

        fn row(uid: Uid, row: &(ModSeq, Flags)) -> Row {
            Row::new(uid, row.0, row.1.clone(), InternalDate { seconds: 0, offset_minutes: 0 }, 0)
        }
    }

    #[async_trait]
    impl Storage for Model {
        fn caps(&self) -> Caps {
            self.caps.clone()
        }
        async fn list(&self, _: &AccountId) -> Result<Vec<MailboxInfo>> {
            Err(StorageError::Unsupported)
        }
        async fn subscriptions(&self, _: &AccountId) -> Result<Vec<String>> {
            Err(StorageError::Unsupported)
        }
        async fn tree(&self, _: &AccountId, _: TreeOp) -> Result<Option<MailboxInfo>> {
            Err(StorageError::Unsupported)
        }
        async fn status(&self, _: &AccountId, _: &[MailboxId]) -> Result<Vec<Status>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(vec![lock(&self.truth).status()])
        }
        async fn snapshot(&self, _: &Mbox) -> Result<Snapshot> {
            tokio::task::yield_now().await;
            let mut truth = lock(&self.truth);
            if let Some(error) = truth.fail.take() {
                return Err(error);
            }
            let uids = truth.rows.keys().copied().collect();
            Ok(Snapshot { status: truth.status(), uids, keywords: Vec::new(), new_keywords: true })
        }
        async fn rows(&self, _: &Mbox, uids: &UidSet, _: Want) -> Result<RowStream> {
            let truth = lock(&self.truth);
            let wanted = truth.rows.iter().filter(|(uid, _)| uids.contains(**uid));
            let rows: Vec<Row> = wanted.map(|(uid, row)| Truth::row(*uid, row)).collect();
            let chunks: Vec<_> = rows.chunks(7).map(|chunk| Ok(chunk.to_vec())).collect();
            Ok(stream::iter(chunks).boxed())
        }
        async fn read(&self, _: &BodyRef, _: Range<u64>) -> Result<ByteStream> {
            Err(StorageError::Unsupported)
        }
        async fn stage(&self, _: &AccountId, _: Option<u64>, _: ByteStream) -> Result<Staged> {
            Err(StorageError::Unsupported)
        }
        async fn append(&self, _: &Mbox, _: Vec<NewMessage>) -> Result<Appended> {
            Err(StorageError::Unsupported)
        }
        async fn set_flags(&self, _: &Mbox, change: FlagChange) -> Result<Stored> {
            Ok(self.store(&change))
        }
        async fn expunge(&self, _: &Mbox, _: &UidSet, _: bool) -> Result<(UidSet, ModSeq)> {
            Err(StorageError::Unsupported)
        }

        async fn changes(&self, mbox: &Mbox, since: ModSeq, limit: usize) -> Result<Changes> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if lock(&self.truth).is_away {
                return Err(StorageError::Busy);
            }
            if let Some(error) = lock(&self.truth).fail.take() {
                return Err(error);
            }
            if self.caps.modseq == ModSeqs::None {
                return crate::storage::fallback::changes_by_scan(self, mbox, since, limit).await;
            }
            let truth = lock(&self.truth);
            let rows = truth.rows.iter().map(|(uid, row)| (row.0, *uid, Some(row)));
            let gone = truth.removed.iter().map(|(modseq, uid)| (*modseq, *uid, None));
            let mut news: Vec<_> = rows.chain(gone).filter(|(modseq, ..)| *modseq > since).collect();
            news.sort_by_key(|(modseq, uid, _)| (*modseq, *uid));
            let end = news.get(truth.page).map_or(truth.modseq, |(modseq, ..)| *modseq);
            let more = truth.page == 0 || news.iter().any(|(modseq, ..)| *modseq > end);
            news.retain(|(modseq, ..)| *modseq <= end);
            Ok(Changes {
                to: if truth.page == 0 { since } else { end },
                status: truth.status(),
                changed: news.iter().filter_map(|(_, uid, row)| Some(Truth::row(*uid, (*row)?))).collect(),
                removed: news.iter().filter(|(_, _, row)| row.is_none()).map(|(_, uid, _)| *uid).collect(),
                exact: true,
                more,
            })
        }

        fn watch(self: Arc<Self>, _: AccountId, _: Vec<MailboxId>) -> stream::BoxStream<'static, Event> {
            stream::unfold(self.hints.subscribe(), |mut hints| async {
                match hints.recv().await {
                    Ok(event) => Some((event, hints)),
                    Err(broadcast::error::RecvError::Lagged(_)) => Some((Event::Lagged, hints)),
                    Err(broadcast::error::RecvError::Closed) => None,
                }
            })
            .boxed()
        }

        async fn claim_recent(&self, _: &Mbox) -> Result<Option<(Uid, Uid)>> {
            self.claims.fetch_add(1, Ordering::SeqCst);
            let mut truth = lock(&self.truth);
            let first = truth.status().first_recent;
            let claimed = first.zip(truth.rows.keys().next_back().copied());
            truth.unclaimed = truth.uid_next;
            if std::mem::take(&mut truth.overtake) {
                drop(truth);
                self.add(Flags::default());
                truth = lock(&self.truth);
                truth.unclaimed = truth.uid_next;
            }
            Ok(claimed)
        }
    }

    pub(in crate::session) async fn open(hubs: &Hubs, model: &Arc<Model>) -> Result<Arc<Hub>> {
        let storage: Arc<dyn Storage> = model.clone();
        hubs.open(&storage, &mbox()).await
    }

    #[tokio::test]
    async fn one_change_costs_one_query_and_wakes_all() {
        let (hubs, model) = (Hubs::new(), Model::new(ModSeqs::Full, 3));
        let hub = open(&hubs, &model).await.unwrap();
        let mut sessions: Vec<_> = (0..20).map(|_| hub.subscribe()).collect();
        assert_eq!((hub.table(), model.asked()), (model.table(), 0));
        model.add(Flags::default());
        for session in &mut sessions {
            session.changed().await.unwrap();
        }
        assert_eq!((hub.table(), model.asked()), (model.table(), 1));
        assert_eq!((hub.modseq(), hub.uid_next()), (ModSeq(4), uid(5)));
        // The one who has made a change refreshes at once, and the hint costs nothing then.
        model.add(Flags::default());
        hub.refresh_to(ModSeq(5)).await.unwrap();
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        assert_eq!((hub.table(), model.asked()), (model.table(), 2));
    }

    #[tokio::test]
    async fn refreshes_at_the_same_time_are_shared() {
        let (hubs, model) = (Hubs::new(), Model::new(ModSeqs::None, 3));
        let hub = open(&hubs, &model).await.unwrap();
        join_all((0..50).map(|_| hub.refresh())).await.into_iter().for_each(Result::unwrap);
        assert!(model.asked() <= 2, "{}", model.asked());
    }

    #[tokio::test]
    async fn sessions_share_a_hub_that_ends_with_the_last() {
        let (hubs, model) = (Hubs::new(), Model::new(ModSeqs::Full, 3));
        let (a, b) = tokio::join!(open(&hubs, &model), open(&hubs, &model));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!(Arc::ptr_eq(&a, &b));
        lock(&model.truth).mute = true;
        model.add(Flags::default());
        // Whoever joins sees the mailbox as it is, hint or not.
        let c = open(&hubs, &model).await.unwrap();
        assert!(Arc::ptr_eq(&a, &c));
        assert_eq!(c.table(), model.table());
        drop((a, b, c));
        while model.hints.receiver_count() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(lock(&hubs.open).values().all(|hub| hub.strong_count() == 0));
    }

    #[tokio::test]
    async fn pages_are_shown_together() {
        // UID 4, changed again, lies on the last page: with pages shown one by one, a session would meet UID 5
        // before it.
        let (hubs, model) = (Hubs::new(), Model::new(ModSeqs::Full, 3));
        let hub = open(&hubs, &model).await.unwrap();
        lock(&model.truth).mute = true;
        let first = model.add(Flags::default());
        model.add_all(5);
        let op = crate::storage::FlagOp::Add(SystemFlag::Seen.into());
        model.store(&FlagChange { uids: UidSet::range(first, first), op, unchanged_since: None });
        model.remove(&UidSet::range(uid(2), uid(2)));
        let mut seen = hub.subscribe();
        hub.refresh().await.unwrap();
        assert!(model.asked() > 1);
        assert_eq!(hub.table(), model.table());
        assert_eq!(*seen.borrow_and_update(), 1);
    }

    #[tokio::test]
    async fn a_mailbox_that_goes_is_told_and_opened_anew() {
        for renumbered in [false, true] {
            let (hubs, model) = (Hubs::new(), Model::new(ModSeqs::Full, 3));
            let hub = open(&hubs, &model).await.unwrap();
            let mut session = hub.subscribe();
            if renumbered {
                lock(&model.truth).uid_validity = UidValidity::MAX;
            } else {
                lock(&model.truth).fail = Some(StorageError::NoMailbox);
            }
            model.hints.send(Event::Tree).unwrap();
            session.changed().await.unwrap();
            assert!(hub.is_gone());
            hub.refresh().await.unwrap();
            let anew = open(&hubs, &model).await.unwrap();
            assert!(!Arc::ptr_eq(&anew, &hub));
            lock(&model.truth).fail = Some(StorageError::NoMailbox);
            drop(anew);
            assert!(matches!(open(&hubs, &model).await, Err(StorageError::NoMailbox)));
        }
    }

    #[tokio::test]
    async fn an_error_is_tried_again_at_the_next_hint() {
        let (hubs, model) = (Hubs::new(), Model::new(ModSeqs::Full, 3));
        let hub = open(&hubs, &model).await.unwrap();
        let mut session = hub.subscribe();
        lock(&model.truth).fail = Some(StorageError::Busy);
        model.add(Flags::default());
        while lock(&model.truth).fail.is_some() {
            tokio::task::yield_now().await;
        }
        assert_eq!(hub.table().len(), 3);
        model.hints.send(Event::Lagged).unwrap();
        session.changed().await.unwrap();
        assert_eq!(hub.table(), model.table());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_hint_costs_only_time() {
        let (hubs, model) = (Hubs::new(), Model::new(ModSeqs::Full, 3));
        let hub = open(&hubs, &model).await.unwrap();
        let mut session = hub.subscribe();
        lock(&model.truth).mute = true;
        model.add(Flags::default());
        session.changed().await.unwrap();
        assert_eq!(hub.table(), model.table());
    }

    #[tokio::test]
    async fn without_mod_sequences_each_answer_is_the_whole_truth() {
        let (hubs, model) = (Hubs::new(), Model::new(ModSeqs::None, 3));
        let hub = open(&hubs, &model).await.unwrap();
        let op = crate::storage::FlagOp::Add(Flags::new(SystemFlag::Seen.into(), [Keyword::new("Work")]));
        model.store(&FlagChange { uids: UidSet::all(), op, unchanged_since: None });
        model.remove(&UidSet::range(uid(2), uid(2)));
        model.add(Flags::default());
        hub.refresh().await.unwrap();
        assert_eq!(hub.table(), model.table());
        assert_eq!(*hub.keywords(), [Keyword::new("Work")]);
    }

    #[tokio::test]
    async fn a_storage_that_never_ends_is_refused() {
        let (hubs, model) = (Hubs::new(), Model::new(ModSeqs::Full, 3));
        let hub = open(&hubs, &model).await.unwrap();
        lock(&model.truth).page = 0;
        assert!(matches!(hub.refresh().await, Err(StorageError::Corrupt(_))));
    }

    #[tokio::test]
    async fn dead_hubs_are_dropped() {
        let (hubs, model) = (Hubs::new(), Model::new(ModSeqs::Full, 1));
        let storage: Arc<dyn Storage> = model;
        for number in 0..1_000 {
            let mbox = Mbox { account: "fred".into(), id: number.to_string().into() };
            hubs.open(&storage, &mbox).await.unwrap();
        }
        assert!(lock(&hubs.open).len() < 50, "{}", lock(&hubs.open).len());
    }

    #[tokio::test]
    async fn keywords_that_come_and_go_do_not_pile_up() {
        let model = Model::new(ModSeqs::Full, 1);
        let hub = open(&Hubs::new(), &model).await.unwrap();
        for round in 0..3_000 {
            let keyword = Keyword::new(&format!("k{round}"));
            let op = FlagOp::Replace(Flags::new(crate::types::SystemFlags::NONE, [keyword.clone()]));
            model.store(&FlagChange { uids: UidSet::all(), op, unchanged_since: None });
            hub.refresh().await.unwrap();
            assert!(hub.keywords().contains(&keyword) && hub.keywords().len() <= 2 * FEW_KEYWORDS);
        }
        hub.forget_keywords();
        assert_eq!(hub.keywords().len(), 1);
    }

    #[tokio::test]
    async fn a_failure_is_shared_by_all_that_wait() {
        let model = Model::new(ModSeqs::Full, 1);
        let hub = open(&Hubs::new(), &model).await.unwrap();
        let before = model.asked.load(Ordering::SeqCst);
        lock(&model.truth).is_away = true;
        let results = join_all((0..50).map(|_| hub.refresh())).await;
        assert!(results.iter().all(Result::is_err));
        assert_eq!(model.asked.load(Ordering::SeqCst) - before, 2);
        // It is over with them: whoever comes then asks anew.
        lock(&model.truth).is_away = false;
        hub.refresh().await.unwrap();
    }

    #[tokio::test]
    async fn sessions_that_wake_together_claim_once_and_ask_seldom() {
        let model = Model::new(ModSeqs::Full, 1);
        let hub = open(&Hubs::new(), &model).await.unwrap();
        let last = hub.table().last_uid();
        let claims = model.claims.load(Ordering::SeqCst);
        let claimed = join_all((0..20).map(|_| hub.claim_recent(last))).await;
        assert_eq!(claimed.into_iter().filter_map(|claimed| claimed.unwrap()).count(), 1);
        assert_eq!(model.claims.load(Ordering::SeqCst) - claims, 1);
        let asked = model.asked.load(Ordering::SeqCst);
        join_all((0..20).map(|_| hub.first_recent())).await;
        assert!(model.asked.load(Ordering::SeqCst) - asked <= 2);
    }
}
