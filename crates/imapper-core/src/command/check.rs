//! CHECK (RFC 3501 §6.4.1). Every OK is a checkpoint already, so this is NOOP on an open mailbox.

use async_trait::async_trait;

use crate::registry::{Context, Flow, InSelected, Outcome, Row, Run};
use crate::session::{Login, Selected};
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("CHECK", Run::selected(Check))
}

struct Check;

#[async_trait]
impl InSelected for Check {
    async fn run(
        &self,
        _cx: &mut Context<'_>,
        _login: &Login,
        _selected: &mut Selected,
        args: &mut Args<'_>,
    ) -> Outcome {
        args.end()?;
        Ok(Flow::done())
    }
}
