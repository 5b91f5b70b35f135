//! A new command: XSUM adds up the numbers that it is given.
//!
//! ```text
//! C: a1 XSUM 1 2 3 4 5
//! S: * XSUM 15
//! S: a1 OK XSUM completed
//! ```
//!
//! `cargo run --example xsum`, then `nc 127.0.0.1 1143`.

use async_trait::async_trait;
use imapper_core::registry::{Context, Extension, Flow, InAny, Outcome, Registry, Row, Run};
use imapper_core::session::{Reject, Reply};
use imapper_core::wire::{Args, Line};

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
