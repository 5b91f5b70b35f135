//! The sub-commands, a file each.

mod account;
pub(crate) mod check;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod passwd;
pub(crate) mod plugins;
pub(crate) mod quickstart;

use std::io::Write as _;

use crate::error::Failure;

/// Prints a line. A reader that has gone away is nobody's fault.
pub(crate) fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// What is said of a sub-command of a later version.
pub(crate) fn later(command: &str, feature: &str) -> Failure {
    Failure::configuration(format!(
        "`imapper {command}` is not in this version yet: it comes with the feature `{feature}`"
    ))
}
