//! A command of the base protocol wrapped: each LIST is counted, then does what it always did.
//!
//! ```text
//! C: a1 LIST "" %
//! S: * OK this server has been asked 1 times for a LIST
//! S: * LIST () "/" INBOX
//! S: a1 OK LIST completed
//! ```
//!
//! `cargo run --example wrapped_list`, then `nc 127.0.0.1 1143`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use imapper_core::registry::{Context, Extension, InAuthenticated, Outcome, Registry, Run};
use imapper_core::session::Login;
use imapper_core::wire::Args;
use imapper_core::{Address, Server, TlsMode};
use imapper_storage_memory::Memory;
use imapper_users_static::Static;

/// The extension.
pub struct WrappedList;

impl Extension for WrappedList {
    fn name(&self) -> &'static str {
        "X-WRAPPED-LIST"
    }

    fn install(&self, registry: &mut Registry) {
        registry.wrap("LIST", |previous| match previous {
            Run::Authenticated(previous) => {
                Run::authenticated(Counted { previous, count: AtomicU64::new(0) })
            }
            // LIST runs after login; if it ever runs elsewhere, it does so uncounted.
            other => other,
        });
    }
}

/// The handler in LIST's place. It has the one that was there before.
struct Counted {
    previous: Arc<dyn InAuthenticated>,
    count: AtomicU64,
}

#[async_trait]
impl InAuthenticated for Counted {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        let count = self.count.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let text = format!("this server has been asked {count} times for a LIST");
        cx.out.status(cx.name, "OK", None, &text).await?;
        self.previous.run(cx, login, args).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let storage = Arc::new(Memory::new());
    let users = Arc::new(Static::builder().plain_password("testuser", "testpass")?.build());
    let server = Server::builder().storage(storage).users(users).extension(WrappedList);
    let server = server.listen(Address::Tcp("127.0.0.1:1143".parse()?), TlsMode::None).build()?;
    server.bind().await?.run().await;
    Ok(())
}
