//! `cargo xtask bench`: what the built server costs, measured from outside. Each line is a file of `bench/`.
//!
//! Figures, never verdicts: they depend on the machine, so that no test compares them with anything.

mod client;
mod idle;
mod maildir;
mod server;

use crate::Result;

/// Sessions that idle.
const SESSIONS: usize = 5_000;
/// Messages in a large folder.
const MESSAGES: usize = 100_000;

/// Runs the lines that are named, or all.
pub(crate) fn bench(args: &[&str]) -> Result {
    match args {
        [] => {
            idle::idle(SESSIONS)?;
            maildir::maildir(MESSAGES)
        }
        ["idle"] => idle::idle(SESSIONS),
        ["maildir"] => maildir::maildir(MESSAGES),
        ["idle", count] => {
            idle::idle(count.parse().map_err(|_| format!("{count} is no number of sessions"))?)
        }
        ["maildir", count] => {
            maildir::maildir(count.parse().map_err(|_| format!("{count} is no number of messages"))?)
        }
        _ => Err("usage: cargo xtask bench [idle [SESSIONS] | maildir [MESSAGES]]".to_owned()),
    }
}
