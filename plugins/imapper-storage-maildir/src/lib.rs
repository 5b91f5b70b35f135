#![doc = include_str!("../README.md")]

mod account;
mod bodies;
mod body;
mod disk;
mod facets;
mod format;
mod home;
mod maildir;
mod paths;
mod mailbox;
mod quota;
mod staged;
mod storage;
mod unique;
mod watch;
mod watching;

pub use maildir::{Builder, Layout, Maildir, OpenError};
