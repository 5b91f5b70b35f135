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
mod beside;
mod bodies;
mod cases;
mod changing;
mod copying;
mod durability;
mod facets;
mod flags;
mod importing;
mod naming;
mod random;
mod recent;
mod removing;
mod tree;
mod trial;
mod watching;

use std::sync::Arc;

use imapper_core::storage::Storage;

use crate::BoxFuture;
use crate::case::{self, Case};
pub use crate::case::{Failure, Verdict};
use trial::Trial;

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

    /// The same storage held once more, as another node or another process holds it. `None` where that can't
    /// be, or where nobody does it: then its cases are left out.
    fn beside(&self) -> Option<Arc<dyn Storage>> {
        None
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

crate::__storage_cases! { table }

/// The names of the cases, `area::name`.
pub fn cases() -> impl Iterator<Item = String> {
    CASES.iter().map(Case::full_name)
}

/// Runs every case, each with a fresh storage; gives what is broken.
pub async fn run_all<F, Fut, U>(factory: F) -> Vec<Failure>
where
    F: Fn() -> Fut,
    Fut: Future<Output = U>,
    U: StorageUnderTest,
{
    case::run_all(CASES, async || Trial::new(Box::new(factory().await))).await
}

/// Runs the case of that area and name with a fresh storage. That there is no such case is a failure.
pub async fn run_case<F, Fut, U>(area: &str, name: &str, factory: F) -> Verdict
where
    F: Fn() -> Fut,
    Fut: Future<Output = U>,
    U: StorageUnderTest,
{
    case::run_case(CASES, area, name, async || Trial::new(Box::new(factory().await))).await
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
    case::test_case(CASES, area, name, async || Trial::new(Box::new(factory().await)));
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
