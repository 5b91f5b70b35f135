//! A new command: XSUM adds up the numbers that it is given.
//!
//! ```text
//! C: a1 XSUM 1 2 3 4 5
//! S: * XSUM 15
//! S: a1 OK XSUM completed
//! ```
//!
//! `cargo run --example xsum`, then `nc 127.0.0.1 1143`.

use std::sync::Arc;

use async_trait::async_trait;
use imapper_core::registry::{Context, Extension, Flow, InAny, Outcome, Registry, Row, Run};
use imapper_core::session::{Reject, Reply};
use imapper_core::wire::{Args, Line};
use imapper_core::{Address, Server, TlsMode};
use imapper_storage_memory::Memory;
use imapper_users_static::Static;

/// The extension, which is the command too.
pub struct Xsum;

impl Extension for Xsum {
    fn name(&self) -> &'static str {
        "XSUM"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("XSUM");
        registry.command(Row::new("XSUM", Run::any(Self)));
    }
}

#[async_trait]
impl InAny for Xsum {
    async fn run(&self, cx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
        let mut sum: u64 = 0;
        while !args.is_end() {
            args.sp()?;
            // Whatever a client sends, nothing may overflow.
            sum = sum.checked_add(args.number64()?).ok_or_else(|| Reject::bad("the sum is too large"))?;
        }
        cx.send(Line::untagged("XSUM ").number(sum)).await?;
        Ok(Flow::Done(Reply::text("XSUM completed")))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let storage = Arc::new(Memory::new());
    let users = Arc::new(Static::builder().plain_password("testuser", "testpass")?.build());
    let server = Server::builder().storage(storage).users(users).extension(Xsum);
    let server = server.listen(Address::Tcp("127.0.0.1:1143".parse()?), TlsMode::None).build()?;
    server.bind().await?.run().await;
    Ok(())
}
