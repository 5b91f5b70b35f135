//! SUBSCRIBE (RFC 3501 §6.3.6).

use std::sync::Arc;

use async_trait::async_trait;

use crate::registry::{Context, Flow, InAuthenticated, Outcome, Row, Run};
use crate::session::{Login, Rights};
use crate::storage::TreeOp;
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("SUBSCRIBE", Run::authenticated(Subscribe))
}

struct Subscribe;

#[async_trait]
impl InAuthenticated for Subscribe {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let name = args.mailbox()?;
        args.end()?;
        // "A server MAY validate the mailbox argument" (RFC 3501 §6.3.6): a typing error had better be told.
        let found = cx.find(&name, login, Rights::LOOKUP).await?;
        let name = found.place.qualified(&cx.shared.namespaces);
        let (storage, account) = (Arc::clone(cx.storage()), login.identity.account.clone());
        cx.finish(async move { storage.tree(&account, TreeOp::Subscribe { name, on: true }).await }).await?;
        Ok(Flow::done())
    }
}
