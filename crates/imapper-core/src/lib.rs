//! The protocol core of imapper.

pub mod storage;
pub mod types;
pub mod users;
