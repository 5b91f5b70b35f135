//! `cargo xtask docs`: the API documentation of every crate.

use crate::Result;
use crate::run::{cargo, run};

/// Builds it into `target/doc`. A broken link or a missing page is an error.
pub(crate) fn docs() -> Result {
    let mut command = cargo(&["doc", "--workspace", "--no-deps", "--all-features"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    run(command)
}
