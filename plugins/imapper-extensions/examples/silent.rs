//! A response filter: whatever is untagged does not reach the client, not even the greeting.
//!
//! ```text
//! C: a1 CAPABILITY
//! S: a1 OK CAPABILITY completed
//! ```
//!
//! `cargo run --example silent`, then `nc 127.0.0.1 1143`.

use std::sync::Arc;

use imapper_core::registry::{Extension, Registry};
use imapper_core::session::{Filter, Keep, Response};
use imapper_core::wire::Line;
use imapper_core::{Address, Server, TlsMode};
use imapper_storage_memory::Memory;
use imapper_users_static::Static;

/// The extension, which is the filter too.
pub struct Silent;

impl Extension for Silent {
    fn name(&self) -> &'static str {
        "X-SILENT"
    }

    fn install(&self, registry: &mut Registry) {
        registry.filter(Self);
    }
}

impl Filter for Silent {
    fn filter(&self, response: &Response<'_>, _line: &mut Line) -> Keep {
        if response.tag.is_some() {
            return Keep::Send;
        }
        tracing::info!(command = response.command, "ignoring an untagged response");
        Keep::Drop
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let storage = Arc::new(Memory::new());
    let users = Arc::new(Static::builder().plain_password("testuser", "testpass")?.build());
    let server = Server::builder().storage(storage).users(users).extension(Silent);
    let server = server.listen(Address::Tcp("127.0.0.1:1143".parse()?), TlsMode::None).build()?;
    server.bind().await?.run().await;
    Ok(())
}
