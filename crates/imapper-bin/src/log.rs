//! Where log lines go: standard error, as text or JSON.

use std::io::IsTerminal as _;

use crate::config::Log;

/// Installs the log. A program that uses this crate as a library and has a log of its own keeps that.
pub(crate) fn start(log: Log) {
    let lines = tracing_subscriber::fmt().with_max_level(log.level).with_writer(std::io::stderr);
    let started = if log.json {
        lines.json().flatten_event(true).try_init()
    } else {
        lines.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    drop(started);
}
