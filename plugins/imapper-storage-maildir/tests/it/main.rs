//! The storage as others see it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod conformance;
mod folder;
mod others;
mod maildir_crate;
