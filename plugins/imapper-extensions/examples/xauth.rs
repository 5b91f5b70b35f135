//! A capability that is shown only while nobody has logged in.
//!
//! ```text
//! C: a1 CAPABILITY
//! S: * CAPABILITY IMAP4rev1 XAUTH
//! S: a1 OK CAPABILITY completed
//! ```
//!
//! `cargo run --example xauth`, then `nc 127.0.0.1 1143`.

use std::sync::Arc;

use imapper_core::registry::{Extension, Registry};
use imapper_core::{Address, Server, TlsMode};
use imapper_storage_memory::Memory;
use imapper_users_static::Static;

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

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let storage = Arc::new(Memory::new());
    let users = Arc::new(Static::builder().plain_password("testuser", "testpass")?.build());
    let server = Server::builder().storage(storage).users(users).extension(Xauth);
    let server = server.listen(Address::Tcp("127.0.0.1:1143".parse()?), TlsMode::None).build()?;
    server.bind().await?.run().await;
    Ok(())
}
