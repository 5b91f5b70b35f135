//! The conformance suite for storages: what `imapper_core::storage` promises, case by case.
//!
//! Each sentence of the contract has cases. Which of them run is decided by what the storage says that it
//! can do: its [`Caps`](imapper_core::storage::Caps), and which of its `as_…` accessors answer. Each case has
//! a fresh storage; a failure says in words what is broken, and which sentence or which place of an RFC says so.
//!
//! [`storage_conformance!`](crate::storage_conformance) makes a `#[test]` of each case.

#![allow(clippy::many_single_char_names, reason = "a, b, c are the messages of a case")]

mod appending;
mod at_once;
mod bodies;
mod cases;
mod changing;
mod copying;
mod durability;
mod facets;
mod flags;
mod naming;
mod random;
mod recent;
mod removing;
mod tree;
mod trial;
mod watching;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use imapper_core::storage::Storage;

use crate::BoxFuture;
use trial::{Outcome, Stop, Trial};

/// How long a case may take.
const TIME_LIMIT: Duration = Duration::from_mins(2);

/// A storage that the suite may do with as it likes: fresh, and empty. Every `Arc` of a storage is one.
pub trait StorageUnderTest: Send + 'static {
    /// The storage.
    fn storage(&self) -> Arc<dyn Storage>;

    /// Ends the storage as a crash would, or closes it, and opens it again with what is durable. When it is
    /// called, nobody else holds the storage. `false` if there is nothing durable: then it stays as it is, and
    /// the cases of durability are left out.
    fn reopen(&mut self) -> BoxFuture<'_, bool> {
        Box::pin(async { false })
    }
}

impl<S: Storage> StorageUnderTest for Arc<S> {
    fn storage(&self) -> Arc<dyn Storage> {
        Arc::<S>::clone(self)
    }
}

impl StorageUnderTest for Arc<dyn Storage> {
    fn storage(&self) -> Arc<dyn Storage> {
        Self::clone(self)
    }
}

/// A case of the suite.
struct Case {
    area: &'static str,
    name: &'static str,
    run: fn(Trial) -> BoxFuture<'static, Outcome>,
}

crate::__storage_cases! { table }

/// What is broken, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The case: area and name, `flags::unchanged_since_holds_back`.
    pub case: String,
    /// The sentence of the contract, with the RFC's place.
    pub rule: String,
    /// What was found, and what must be.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  rule: {}", self.case, self.what, self.rule)
    }
}

impl std::error::Error for Failure {}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All as it must be.
    Passed,
    /// Left out, as the storage does not claim to do this; why.
    Skipped(&'static str),
    /// Broken.
    Failed(Failure),
}

/// Runs every case, each with a fresh storage; gives what is broken.
pub async fn run_all<F, Fut, U>(factory: F) -> Vec<Failure>
where
    F: Fn() -> Fut,
    Fut: Future<Output = U>,
    U: StorageUnderTest,
{
    let mut failures = Vec::new();
    for case in CASES {
        if let Verdict::Failed(failure) = run(case, Box::new(factory().await)).await {
            failures.push(failure);
        }
    }
    failures
}

/// The names of the cases, `area::name`.
pub fn cases() -> impl Iterator<Item = String> {
    CASES.iter().map(|case| format!("{}::{}", case.area, case.name))
}

/// Runs one case.
async fn run(case: &'static Case, subject: Box<dyn StorageUnderTest>) -> Verdict {
    let trial = Trial::new(subject);
    // In a task of its own, so that a panic of the storage is a failure of this case only.
    let task = tokio::spawn(tokio::time::timeout(TIME_LIMIT, (case.run)(trial.clone())));
    let what = match task.await {
        Ok(Ok(Ok(()))) => return Verdict::Passed,
        Ok(Ok(Err(Stop::Skipped(why)))) => return Verdict::Skipped(why),
        Ok(Ok(Err(Stop::Broken(what)))) => what,
        Ok(Err(_)) => format!("did not come to an end within {} s", TIME_LIMIT.as_secs()),
        Err(error) => format!("the storage panicked: {error}"),
    };
    let case = format!("{}::{}", case.area, case.name);
    Verdict::Failed(Failure { case, rule: trial.last_rule().to_owned(), what })
}

/// Runs one case in a runtime of its own: the body of a `#[test]`.
///
/// # Panics
/// When the case fails.
pub fn test_case<F, Fut, U>(area: &str, name: &str, factory: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = U>,
    U: StorageUnderTest,
{
    let case = CASES.iter().find(|case| case.area == area && case.name == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let failure = match (case, runtime) {
        (Some(case), Ok(runtime)) => {
            match runtime.block_on(async { run(case, Box::new(factory().await)).await }) {
                Verdict::Passed => None,
                Verdict::Skipped(why) => {
                    println!("{area}::{name}: skipped, {why}");
                    None
                }
                Verdict::Failed(failure) => Some(failure.to_string()),
            }
        }
        (None, _) => Some(format!("there is no case {area}::{name}")),
        (_, Err(error)) => Some(format!("no runtime: {error}")),
    };
    assert!(failure.is_none(), "{}", failure.unwrap_or_default());
}

/// Makes a `#[test]` of each case of the suite, in a module for each area. The expression is a closure that
/// gives a fresh, empty storage: an `Arc` of one, or another [`StorageUnderTest`].
///
/// ```
/// mod storage {
///     use imapper_testkit::Model;
///     use std::sync::Arc;
///
///     imapper_testkit::storage_conformance!(async || Arc::new(Model::new()));
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! storage_conformance {
    ($factory:expr) => {
        $crate::__storage_cases! { tests ($factory) }
    };
}
