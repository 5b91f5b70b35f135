//! The protocol core of imapper.

pub mod registry;
pub mod session;
pub mod users;
pub mod storage;
pub mod limits;
pub mod message;
pub mod wire;
pub mod types;
