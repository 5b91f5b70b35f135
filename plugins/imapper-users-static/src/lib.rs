#![doc = include_str!("../README.md")]

mod builder;
mod hash;
mod remembered;
mod users;

pub use builder::{Builder, SetupError};
pub use hash::{HashError, hash_password};
pub use users::Static;
