//! Input taken over: XECHO gives back each line, until one that is a dot.
//!
//! ```text
//! C: a1 XECHO
//! S: + go on
//! C: hello, world
//! S: * XECHO "hello, world"
//! C: .
//! S: a1 OK XECHO completed
//! ```
//!
//! `cargo run --example xecho`, then `nc 127.0.0.1 1143`.

use std::sync::Arc;

use async_trait::async_trait;
use imapper_core::registry::{Context, Extension, Flow, InAny, Outcome, Registry, Row, Run, Waiting};
use imapper_core::session::Reject;
use imapper_core::wire::{Args, Line};
use imapper_core::{Address, Server, TlsMode};
use imapper_storage_memory::Memory;
use imapper_users_static::Static;

/// The extension, which is the command too.
pub struct Xecho;

impl Extension for Xecho {
    fn name(&self) -> &'static str {
        "XECHO"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("XECHO");
        registry.command(Row::new("XECHO", Run::any(Self)));
    }
}

#[async_trait]
impl InAny for Xecho {
    async fn run(&self, cx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
        args.end()?;
        cx.out.proceed(b"go on").await?;
        Ok(Flow::Wait(Box::new(Echoing)))
    }
}

/// Gets the lines while it lasts. A command that is spread over several lines keeps its state here.
struct Echoing;

#[async_trait]
impl Waiting for Echoing {
    async fn line(&mut self, cx: &mut Context<'_>, line: &[u8]) -> Result<Option<Flow>, Reject> {
        if line == b"." {
            return Ok(Some(Flow::done()));
        }
        cx.send(Line::untagged("XECHO ").string(line)).await?;
        Ok(None)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let storage = Arc::new(Memory::new());
    let users = Arc::new(Static::builder().plain_password("testuser", "testpass")?.build());
    let server = Server::builder().storage(storage).users(users).extension(Xecho);
    let server = server.listen(Address::Tcp("127.0.0.1:1143".parse()?), TlsMode::None).build()?;
    server.bind().await?.run().await;
    Ok(())
}
