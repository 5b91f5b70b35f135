//! EXAMINE (RFC 3501 §6.3.2): SELECT that changes nothing.

use async_trait::async_trait;

use super::select;
use crate::registry::{Context, InAuthenticated, Outcome, Row, Run};
use crate::session::Login;
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("EXAMINE", Run::authenticated(Examine))
}

struct Examine;

#[async_trait]
impl InAuthenticated for Examine {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        select::open(cx, login, args, true).await
    }
}
