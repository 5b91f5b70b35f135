//! EXPUNGE (RFC 3501 §6.4.3): all that is `\Deleted` goes, and is told.

use std::sync::Arc;

use async_trait::async_trait;

use crate::registry::slots::Done;
use crate::registry::{Context, Flow, InSelected, Outcome, Row, Run};
use crate::session::{Login, Reject, Reply, Rights, Selected};
use crate::types::{Code, ModSeq, UidSet};
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("EXPUNGE", Run::selected(Expunge))
}

struct Expunge;

#[async_trait]
impl InSelected for Expunge {
    async fn run(
        &self,
        cx: &mut Context<'_>,
        _login: &Login,
        selected: &mut Selected,
        args: &mut Args<'_>,
    ) -> Outcome {
        args.end()?;
        let code = remove(cx, selected, UidSet::all()).await?;
        Ok(Flow::Done(Reply { code, ..Reply::completed() }))
    }
}

/// Removes what is `\Deleted` of these. That they are gone is told when the command ends.
pub async fn remove(cx: &mut Context<'_>, selected: &Selected, uids: UidSet) -> Result<Option<Code>, Reject> {
    if selected.read_only {
        return Err(Reject::code(Code::READ_ONLY, "the mailbox is selected read-only"));
    }
    if !selected.rights.contains(Rights::EXPUNGE) {
        return Err(Reject::code(Code::NOPERM, "you may not remove messages from this mailbox"));
    }
    let (storage, mbox) = (Arc::clone(cx.storage()), selected.mbox.clone());
    let (gone, modseq) = cx.finish(async move { storage.expunge(&mbox, &uids, true).await }).await?;
    removed(cx, selected, &gone, modseq).await
}

/// Messages have been removed by the change of that mod-sequence: gives the code for it.
pub async fn removed(
    cx: &mut Context<'_>,
    selected: &Selected,
    gone: &UidSet,
    modseq: ModSeq,
) -> Result<Option<Code>, Reject> {
    if selected.view.hub().refresh_to(modseq).await.is_err() {
        // What will not be told now must not count as known (RFC 7162 §3.2).
        cx.policy.owes_known_up_to = cx.policy.known_up_to.is_some();
        return Ok(None);
    }
    cx.done(&Done::Expunged(gone, modseq)).await
}
