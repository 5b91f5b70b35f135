#![doc = include_str!("../README.md")]

mod account;
mod body;
mod copy;
mod dump;
mod facets;
pub mod fixture;
mod load;
mod log;
mod mailbox;
mod memory;
mod quota;
mod storage;
mod tree;

pub use imapper_core::storage::Dump;

pub use fixture::{Fixture, FixtureError, FixtureNamespace, NamespaceKind};
pub use memory::{Builder, Memory};
