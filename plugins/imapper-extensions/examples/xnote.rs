//! A command that adds mail: XNOTE puts a note into the user's INBOX, where every session sees it come.
//!
//! ```text
//! C: a1 XNOTE "buy milk"
//! S: * 4 EXISTS
//! S: a1 OK XNOTE completed
//! ```
//!
//! `cargo run --example xnote`, then `nc 127.0.0.1 1143`.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use imapper_core::registry::{Context, Extension, Flow, InAuthenticated, Outcome, Registry, Row, Run};
use imapper_core::session::{Login, Reject, Rights};
use imapper_core::storage::NewMessage;
use imapper_core::types::{Code, Flags, InternalDate};
use imapper_core::wire::Args;
use imapper_core::{Address, Bytes, Server, TlsMode};
use imapper_storage_memory::Memory;
use imapper_users_static::Static;

/// The extension, which is the command too.
pub struct Xnote;

impl Extension for Xnote {
    fn name(&self) -> &'static str {
        "XNOTE"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("XNOTE");
        registry.command(Row::new("XNOTE", Run::authenticated(Self)));
    }
}

#[async_trait]
impl InAuthenticated for Xnote {
    /// `XNOTE SP astring`
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let text = args.astring()?;
        args.end()?;
        if text.iter().any(u8::is_ascii_control) {
            return Err(Reject::code(Code::CANNOT, "a note is one line"));
        }
        let body = [b"Subject: ", &*text, b"\r\n\r\n"].concat();

        // The core finds the mailbox, and knows what the user may do to it.
        let inbox = cx.find("INBOX", login, Rights::INSERT).await?.mbox;
        let storage = Arc::clone(cx.storage());
        // A change runs to its end, whatever becomes of the connection meanwhile.
        cx.finish(async move {
            let size = u64::try_from(body.len()).ok();
            let octets = stream::iter([Ok(Bytes::from(body))]).boxed();
            let staged = storage.stage(&inbox.account, size, octets).await?;
            let came = InternalDate::from_system_time(SystemTime::now());
            storage.append(&inbox, vec![NewMessage::new(staged, Flags::default(), came)]).await
        })
        .await?;
        Ok(Flow::done())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let storage = Arc::new(Memory::new());
    let users = Arc::new(Static::builder().plain_password("testuser", "testpass")?.build());
    let server = Server::builder().storage(storage).users(users).extension(Xnote);
    let server = server.listen(Address::Tcp("127.0.0.1:1143".parse()?), TlsMode::None).build()?;
    server.bind().await?.run().await;
    Ok(())
}
