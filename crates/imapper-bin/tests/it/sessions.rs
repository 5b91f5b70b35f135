//! Several sessions at once: what clients reconstruct is what the storage holds. And faults are found.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use imapper_core::async_trait;
use imapper_core::limits::Limits;
use imapper_core::registry::{Extension, Registry};
use imapper_core::session::{Filter, Keep, Response};
use imapper_core::storage::{Changes, Mbox, Result, Storage};
use imapper_core::types::{ModSeq, Uid};
use imapper_core::wire::Line;
use imapper_storage_memory::Memory;
use imapper_testkit::layer::{Layer, Layered};
use imapper_testkit::sessions::{ByUid, Fault, Plan, Site, Summary, run};

use crate::inside::Inside;

async fn play(
    storage: Arc<dyn Storage>,
    more: Vec<Box<dyn Extension>>,
    plan: &Plan,
) -> std::result::Result<Summary, Fault> {
    let server = Inside::with(Arc::clone(&storage), more, Limits::default());
    let site = Site {
        connect: &server,
        storage,
        account: "john".into(),
        user: "john".into(),
        password: "s3cret".into(),
    };
    run(&site, plan).await
}

async fn hold(plan: Plan) {
    println!("IMAPPER_SEED={}", plan.seed);
    match play(Arc::new(Memory::new()), Vec::new(), &plan).await {
        Ok(summary) => println!("{summary:?}"),
        Err(fault) => panic!("{fault}"),
    }
}

#[tokio::test]
async fn four_sessions() {
    hold(Plan::new(4)).await;
}

#[tokio::test]
async fn one_that_is_told_of_removals_by_uid_beside_one_that_is_not() {
    let mut plan = Plan::new(2);
    plan.sessions[1] = Arc::new(ByUid);
    hold(plan).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_sessions_of_both_kinds_truly_at_once() {
    let mut plan = Plan::new(4);
    (plan.sessions[1], plan.sessions[3]) = (Arc::new(ByUid), Arc::new(ByUid));
    hold(plan).await;
}

#[tokio::test]
async fn two_sessions() {
    hold(Plan::new(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_sessions_truly_at_once() {
    hold(Plan::new(4)).await;
}

/// A fault shows every so many times.
const OFTEN: usize = 20;

/// Whether a line may be dropped.
type Fits = fn(&str) -> bool;

/// Drops responses that fit, one of [`OFTEN`].
struct Drops {
    fits: Fits,
    count: AtomicUsize,
}

impl Drops {
    fn those(fits: Fits) -> Self {
        Self { fits, count: AtomicUsize::new(0) }
    }
}

impl Extension for Drops {
    fn name(&self) -> &'static str {
        "X-DROPS"
    }

    fn install(&self, registry: &mut Registry) {
        registry.filter(Self::those(self.fits));
    }
}

impl Filter for Drops {
    fn filter(&self, response: &Response<'_>, line: &mut Line) -> Keep {
        let fits = response.tag.is_none() && (self.fits)(&String::from_utf8_lossy(line.text()));
        let is_time = fits && self.count.fetch_add(1, Ordering::Relaxed) % OFTEN == OFTEN - 1;
        if is_time { Keep::Drop } else { Keep::Send }
    }
}

/// A plan that is always the same: a fault must be found, not only now and then.
fn fixed() -> Plan {
    let mut plan = Plan::new(4);
    (plan.seed, plan.steps) = (7, 1_500);
    plan
}

#[tokio::test]
async fn a_response_that_gets_lost_is_found() {
    let lost: [(&str, Fits); 3] = [
        ("EXPUNGE", |line| line.ends_with("EXPUNGE")),
        ("EXISTS", |line| line.ends_with("EXISTS")),
        ("FETCH", |line| line.contains(" FETCH (FLAGS ")),
    ];
    for (what, fits) in lost {
        let played = play(Arc::new(Memory::new()), vec![Box::new(Drops::those(fits))], &fixed()).await;
        let fault = played.expect_err(what).to_string();
        assert!(fault.contains("IMAPPER_SEED=7") && fault.contains("at step "), "{fault}");
    }
}

/// A storage with a fault.
struct Faulty {
    memory: Arc<Memory>,
    fault: StorageFault,
    count: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum StorageFault {
    /// Is silent about a removal.
    HidesRemoval,
    /// Is silent about a change of flags.
    HidesChange,
    /// Gives a message as recent to two sessions.
    RecentTwice,
}

impl Faulty {
    fn is_time(&self) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed) % OFTEN == OFTEN - 1
    }
}

#[async_trait]
impl Layer for Faulty {
    type Below = Memory;

    fn below(&self) -> &Arc<Memory> {
        &self.memory
    }

    async fn changes(&self, mbox: &Mbox, since: ModSeq, limit: usize) -> Result<Changes> {
        let mut changes = self.memory.changes(mbox, since, limit).await?;
        let first = changes.removed.first();
        if let Some(first) = first.filter(|_| self.fault == StorageFault::HidesRemoval && self.is_time()) {
            changes.removed = changes.removed.iter().filter(|uid| *uid != first).collect();
        }
        if self.fault == StorageFault::HidesChange && !changes.changed.is_empty() && self.is_time() {
            changes.changed.pop();
        }
        Ok(changes)
    }

    async fn claim_recent(&self, mbox: &Mbox) -> Result<Option<(Uid, Uid)>> {
        let claimed = self.memory.claim_recent(mbox).await?;
        let is_time = self.fault == StorageFault::RecentTwice && claimed.is_some() && self.is_time();
        Ok(claimed.map(|(first, last)| (if is_time { Uid::MIN } else { first }, last)))
    }
}

#[tokio::test]
async fn a_storage_that_does_not_tell_all_is_found() {
    for fault in [StorageFault::HidesRemoval, StorageFault::HidesChange, StorageFault::RecentTwice] {
        let storage = Layered(Faulty { memory: Arc::new(Memory::new()), fault, count: AtomicUsize::new(0) });
        let played = play(Arc::new(storage), Vec::new(), &fixed()).await;
        assert!(played.is_err(), "{fault:?} was not found");
    }
}
