//! The pages of the repository that belong to no crate: their examples are tested as documentation of this one.

/// `plugins/README.md`
#[cfg(doctest)]
#[doc = include_str!("../../plugins/README.md")]
pub struct Plugins;
