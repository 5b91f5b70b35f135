//! What plugins of the IMAP server imapper are tested with.
//!
//! - [`storage_conformance!`] and [`users_conformance!`] make a `#[test]` of each promise that a storage, or a
//!   database of users, has to keep; [`Model`] is a storage to compare others with.
//! - [`no_trace::no_trace`] shows that an extension that is off leaves nothing behind.
//! - Wire scripts, and the runner that plays them, show what a server says.
//!
//! A script is a dialogue in the form of the RFCs (`C: a1 NOOP`, `S: a1 OK`) with a header that says
//! which mailboxes the server has and which place of which RFC is shown. The format and the meaning of
//! each line are told in this crate's README; the scripts lie in `scripts/<feature>/*.imap` and are part
//! of the compiled crate.
//!
//! The kit knows no server and no plugin: a caller hands over a [`Server`], and each script gets one of
//! its own. [`script_tests!`] makes a `#[test]` for each folder of scripts.

mod case;
mod compare;
pub mod layer;
pub mod model;
pub mod no_trace;
mod pattern;
pub mod random;
pub mod response;
mod run;
mod script;
mod scripts;
mod server;
mod session;
pub mod sessions;
pub mod storage;
mod suite;
pub mod users;

pub use model::Model;
pub use run::{Failure, Outcome, TIME_LIMIT, run_script, run_script_within};
pub use script::{Script, ScriptError, Setup};
pub use server::{BoxFuture, Connect, NoServer, Server, Stream};
pub use suite::{Report, folder_of, folders, run_scripts, scripts, test_folder};

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
