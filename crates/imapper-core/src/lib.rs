#![doc = include_str!("../README.md")]

// The order in which data flows; a module imports only from those below it.
pub mod server;
pub mod net;
pub mod dispatch;
pub mod command;
pub mod registry;
pub mod session;
pub mod users;
pub mod storage;
pub mod limits;
pub mod message;
pub mod wire;
pub mod types;

pub use async_trait::async_trait;
pub use bytes::Bytes;
pub use net::listen::{Address, TlsMode};
pub use registry::{Extension, Registry};
pub use server::Server;
