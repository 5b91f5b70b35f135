#![doc = include_str!("../README.md")]

mod builtin;
mod cli;
mod command;
mod config;
mod error;
mod extensions;
mod files;
mod log;
mod open_files;
mod parts;
mod plugin;
mod run;
mod serve;
mod server;
#[cfg(all(feature = "memory", feature = "static"))]
mod test_server;
mod tls;
mod transfer;
mod users;

pub use builtin::{Builtin, OpenedStorage, builtin};
pub use error::Failure;
pub use imapper_extensions::{FaultError, Faults};
pub use plugin::{PluginConfig, PluginError};
pub use run::run;
pub use server::{Configuration, Server};
#[cfg(all(feature = "memory", feature = "static"))]
pub use test_server::{TestServer, TestServerBuilder};
