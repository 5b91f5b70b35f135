//! `cargo xtask bench`: what the built server costs, measured from outside. Each line is a file of `bench/`.
//!
//! Figures, never verdicts: they depend on the machine, so that no test compares them with anything.

mod client;
mod idle;
mod server;

use crate::Result;

/// Runs the lines that are named, or all.
pub(crate) fn bench(args: &[&str]) -> Result {
    match args {
        [] | ["idle"] => idle::idle(5_000),
        ["idle", count] => {
            idle::idle(count.parse().map_err(|_| format!("{count} is no number of sessions"))?)
        }
        _ => Err("usage: cargo xtask bench [idle [SESSIONS]]".to_owned()),
    }
}
