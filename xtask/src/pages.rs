//! The pages of the repository that belong to no crate: their examples are tested as documentation of this one.

/// `plugins/README.md`
#[cfg(doctest)]
#[doc = include_str!("../../plugins/README.md")]
pub struct Plugins;

/// `README.md`
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// `docs/clients/faults.md`
#[cfg(doctest)]
#[doc = include_str!("../../docs/clients/faults.md")]
pub struct Faults;

/// `docs/clients/test-server.md`
#[cfg(doctest)]
#[doc = include_str!("../../docs/clients/test-server.md")]
pub struct TestServer;

/// `docs/plugins/index.md`
#[cfg(doctest)]
#[doc = include_str!("../../docs/plugins/index.md")]
pub struct WhereToBegin;
