//! The kit, seen from outside.

// Test code may stop at what it does not expect; the lints' own exception covers only `#[test]` functions.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod embedded;
mod every_folder;
mod fake;
mod faults;
mod model;
mod no_trace;
mod runner;
