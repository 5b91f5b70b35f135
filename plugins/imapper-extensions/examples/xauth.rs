//! A capability that is shown only while nobody has logged in.
//!
//! ```text
//! C: a1 CAPABILITY
//! S: * CAPABILITY IMAP4rev1 XAUTH
//! S: a1 OK CAPABILITY completed
//! ```
//!
//! `cargo run --example xauth`, then `nc 127.0.0.1 1143`.

use imapper_core::registry::{Extension, Registry};

/// The extension.
pub struct Xauth;

impl Extension for Xauth {
    fn name(&self) -> &'static str {
        "XAUTH"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability_when("XAUTH", |moment| !moment.is_authenticated);
    }
}
