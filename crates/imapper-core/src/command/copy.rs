//! COPY (RFC 3501 §6.4.7).

use std::sync::Arc;

use async_trait::async_trait;

use super::append::{target, try_create};
use crate::registry::slots::Done;
use crate::registry::{Context, Flow, InSelected, Outcome, Row, Run, UidForm};
use crate::session::{Login, Reject, Reply, Selected};
use crate::storage::CopyMode;
use crate::types::{Code, UidSet};
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("COPY", Run::selected(Copy)).uid(UidForm::Also)
}

struct Copy;

#[async_trait]
impl InSelected for Copy {
    async fn run(
        &self,
        cx: &mut Context<'_>,
        login: &Login,
        selected: &mut Selected,
        args: &mut Args<'_>,
    ) -> Outcome {
        args.sp()?;
        let set = args.sequence_set()?;
        args.sp()?;
        let name = args.mailbox()?;
        args.end()?;
        let uids = resolve(cx, selected, &set)?;
        let found = target(cx, login, &name).await?;
        if uids.is_empty() {
            // UIDs that do not exist are ignored (RFC 3501 §6.4.8).
            return Ok(Flow::done());
        }
        selected.view.hub().refresh().await?;
        if !cx.uid && selected.view.hub().table().count(&uids) != selected.view.told().count(&uids) {
            // All or nothing (RFC 3501 §6.4.7), and some are gone (RFC 2180 §4.4.1).
            return Err(Reject::code(Code::EXPUNGEISSUED, "some of the messages have been removed"));
        }
        let (storage, from) = (Arc::clone(cx.storage()), selected.mbox.clone());
        let copied = cx
            .finish(async move { storage.copy(&from, &uids, &found.mbox, CopyMode::Copy).await })
            .await
            .map_err(try_create)?;
        let code = cx.done(&Done::Copied(&copied, CopyMode::Copy, found.rights)).await?;
        Ok(Flow::Done(Reply { code, ..Reply::completed() }))
    }
}

/// The messages of a command's set: by UID, or by number.
pub fn resolve(
    cx: &Context<'_>,
    selected: &Selected,
    set: &crate::types::SequenceSet,
) -> Result<UidSet, Reject> {
    if cx.uid {
        return Ok(selected.view.resolve_uids(set));
    }
    selected.view.resolve_seqs(set).map_err(|bad| Reject::bad(bad.to_string()))
}
