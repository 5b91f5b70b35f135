//! NOOP (RFC 3501 §6.1.2): nothing, and what happened meanwhile is told.

use async_trait::async_trait;

use crate::registry::{Context, Flow, InAny, Outcome, Row, Run};
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("NOOP", Run::any(Noop))
}

struct Noop;

#[async_trait]
impl InAny for Noop {
    async fn run(&self, _cx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
        args.end()?;
        Ok(Flow::done())
    }
}
