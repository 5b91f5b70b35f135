//! UNSUBSCRIBE (RFC 3501 §6.3.7).

use std::sync::Arc;

use async_trait::async_trait;

use crate::registry::{Context, Flow, InAuthenticated, Outcome, Row, Run};
use crate::session::Login;
use crate::storage::TreeOp;
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("UNSUBSCRIBE", Run::authenticated(Unsubscribe))
}

struct Unsubscribe;

#[async_trait]
impl InAuthenticated for Unsubscribe {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let name = args.mailbox()?;
        args.end()?;
        // The mailbox may be gone, and the subscription is still there to be taken off.
        let name = cx.place(&name, &login.identity)?.qualified(&cx.shared.namespaces);
        let (storage, account) = (Arc::clone(cx.storage()), login.identity.account.clone());
        cx.finish(async move { storage.tree(&account, TreeOp::Subscribe { name, on: false }).await }).await?;
        Ok(Flow::done())
    }
}
