//! DELETE (RFC 3501 §6.3.4). Mailboxes below it stay, and their parent's name with them.

use std::sync::Arc;

use async_trait::async_trait;

use crate::registry::{Context, Flow, InAuthenticated, Outcome, Row, Run};
use crate::session::{Login, Reject, Rights};
use crate::storage::TreeOp;
use crate::types::Code;
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("DELETE", Run::authenticated(Delete))
}

struct Delete;

#[async_trait]
impl InAuthenticated for Delete {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let name = args.mailbox()?;
        args.end()?;
        let found = cx.find(&name, login, Rights::DELETE_MAILBOX).await?;
        if found.info.name == "INBOX" {
            return Err(Reject::code(Code::CANNOT, "INBOX can't be deleted"));
        }
        let (storage, account, id) = (Arc::clone(cx.storage()), found.mbox.account.clone(), found.info.id);
        cx.finish(async move { storage.tree(&account, TreeOp::Delete { id }).await }).await?;
        cx.removed = Some(found.mbox);
        Ok(Flow::done())
    }
}
