#![doc = include_str!("../README.md")]

mod builtin;
mod cli;
mod command;
mod config;
mod error;
mod extensions;
mod log;
mod parts;
mod plugin;
mod run;
mod serve;
mod tls;
mod users;

pub use builtin::{Builtin, OpenedStorage, builtin};
pub use error::Failure;
pub use plugin::{PluginConfig, PluginError};
pub use run::run;
