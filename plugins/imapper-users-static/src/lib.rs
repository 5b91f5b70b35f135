#![doc = include_str!("../README.md")]

mod builder;
mod hash;
mod remembered;
mod users;

pub use builder::{Builder, SetupError};
pub use hash::{HashError, hash_password, hash_password_with_cost};
pub use users::Static;
