//! LOGOUT (RFC 3501 §6.1.3).

use async_trait::async_trait;

use crate::registry::{Context, Flow, InAny, Outcome, Row, Run, Updates};
use crate::session::Reply;
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("LOGOUT", Run::any(Logout)).updates(Updates::Nothing)
}

struct Logout;

#[async_trait]
impl InAny for Logout {
    async fn run(&self, cx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
        args.end()?;
        cx.out.status(cx.name, "BYE", None, "logging out").await?;
        Ok(Flow::Close(Reply::completed()))
    }
}
