#![doc = include_str!("../README.md")]

mod builtin;
mod cli;
mod config;
mod error;
mod plugin;

pub use builtin::{Builtin, OpenedStorage, builtin};
pub use error::Failure;
pub use plugin::{PluginConfig, PluginError};
