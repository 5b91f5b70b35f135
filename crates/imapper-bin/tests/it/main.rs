//! Tests of the built binary.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, also in what tests share, a panic is a failure"
)]

mod client;
mod clients;
mod command_line;
mod embedding;
mod faults;
mod inside;
mod large;
mod lessons;
mod limits;
mod maildir;
mod maildir_crash;
mod on_disk;
mod program;
mod quota;
mod serving;
mod sessions;
mod stopping;
mod test_server;
mod transfer;
mod wire_scripts;
mod writes;
