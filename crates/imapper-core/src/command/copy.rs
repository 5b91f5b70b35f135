//! COPY (RFC 3501 §6.4.7).

use std::sync::Arc;

use async_trait::async_trait;

use super::append::{target, try_create};
use crate::registry::slots::Done;
use crate::registry::{Context, Flow, InSelected, Outcome, Row, Run, UidForm};
use crate::session::{Login, Reject, Reply, Rights, Selected};
use crate::storage::{Copied, CopyMode};
use crate::types::{Code, SequenceSet, UidSet};
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
        let (set, name) = arguments(args)?;
        let Some((copied, rights)) = carry(cx, login, selected, (&set, &name), CopyMode::Copy).await? else {
            return Ok(Flow::done());
        };
        let code = cx.done(&Done::Copied(&copied, CopyMode::Copy, rights)).await?;
        Ok(Flow::Done(Reply { code, ..Reply::completed() }))
    }
}

/// Takes what COPY and its like are given: a set and the name of a mailbox.
pub fn arguments(args: &mut Args<'_>) -> Result<(SequenceSet, String), Reject> {
    args.sp()?;
    let set = args.sequence_set()?;
    args.sp()?;
    let name = args.mailbox()?;
    args.end()?;
    Ok((set, name))
}

/// Copies or moves messages of the open mailbox; tells what was done, and the rights on the target. `None` where
/// there is no such message: UIDs that do not exist are ignored (RFC 3501 §6.4.8).
pub async fn carry(
    cx: &Context<'_>,
    login: &Login,
    selected: &Selected,
    (set, name): (&SequenceSet, &str),
    mode: CopyMode,
) -> Result<Option<(Copied, Rights)>, Reject> {
    let uids = resolve(cx, selected, set)?;
    let found = target(cx, login, name).await?;
    if uids.is_empty() {
        return Ok(None);
    }
    selected.view.hub().refresh().await?;
    if !cx.uid && selected.view.hub().table().count(&uids) != selected.view.told().count(&uids) {
        // All or nothing (RFC 3501 §6.4.7), and some are gone (RFC 2180 §4.4.1).
        return Err(Reject::code(Code::EXPUNGEISSUED, "some of the messages have been removed"));
    }
    let (storage, from) = (Arc::clone(cx.storage()), selected.mbox.clone());
    let copied = cx.finish(async move { storage.copy(&from, &uids, &found.mbox, mode).await }).await;
    Ok(Some((copied.map_err(try_create)?, found.rights)))
}

/// The messages of a command's set: by UID, or by number.
pub fn resolve(cx: &Context<'_>, selected: &Selected, set: &SequenceSet) -> Result<UidSet, Reject> {
    if cx.uid {
        return Ok(selected.view.resolve_uids(set));
    }
    selected.view.resolve_seqs(set).map_err(|bad| Reject::bad(bad.to_string()))
}
