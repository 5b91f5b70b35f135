//! STATUS (RFC 3501 §6.3.10). Its items come from their slot, those of the base protocol too.

use std::sync::Arc;

use async_trait::async_trait;

use crate::registry::slots::StatusItem;
use crate::registry::{Context, Flow, InAuthenticated, Outcome, Registry, Row, Run};
use crate::session::{Login, Reject, Rights};
use crate::storage::{MailboxInfo, ModSeqs, Status as State, StorageError};
use crate::types::{Code, ModSeq};
use crate::wire::{Args, Line};

pub(super) fn row() -> Row {
    Row::new("STATUS", Run::authenticated(Status))
}

pub(super) fn items(registry: &mut Registry) {
    registry.status_item("MESSAGES", Number(|status| status.messages.into()));
    registry.status_item("RECENT", Number(|status| status.recent.into()));
    registry.status_item("UIDNEXT", Number(|status| status.uid_next.get().into()));
    registry.status_item("UIDVALIDITY", Number(|status| status.uid_validity.get().into()));
    registry.status_item("UNSEEN", Number(|status| status.unseen.into()));
}

struct Number(fn(&State) -> u64);

impl StatusItem for Number {
    fn render(&self, _mailbox: &MailboxInfo, status: &State, line: &mut Line) {
        line.number((self.0)(status));
    }
}

struct Status;

#[async_trait]
impl InAuthenticated for Status {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let name = args.mailbox()?;
        args.sp()?;
        let items = parse_items(cx, args)?;
        args.end()?;
        let found = cx.find(&name, login, Rights::READ).await?;
        if found.info.no_select {
            return Err(Reject::code(Code::NONEXISTENT, "this name is no mailbox"));
        }
        let status = cx.storage().status(&found.mbox.account, std::slice::from_ref(&found.mbox.id)).await?;
        let status = status.into_iter().next().ok_or(StorageError::NoMailbox)?;
        tell(cx, &name, &found.info, status, &items).await?;
        Ok(Flow::done())
    }
}

/// An item that was asked for, by its word.
pub type Wanted = (String, Arc<dyn StatusItem>);

/// Reads `(ITEM ITEM…)`.
pub fn parse_items(cx: &Context<'_>, args: &mut Args<'_>) -> Result<Vec<Wanted>, Reject> {
    let items = args.list(|args| {
        let start = *args;
        let word = args.word()?;
        let item = cx.shared.registry.status_items.get(&word);
        let item = item.ok_or_else(|| start.malformed("no such item of STATUS"))?;
        Ok((word, Arc::clone(item)))
    })?;
    Ok(items)
}

/// Sends a STATUS response.
pub async fn tell(
    cx: &mut Context<'_>,
    name: &str,
    mailbox: &MailboxInfo,
    mut status: State,
    items: &[Wanted],
) -> Result<(), Reject> {
    if cx.storage().caps().modseq == ModSeqs::None {
        // Whatever the storage counts there, it is none that a client may keep.
        status.highest_modseq = ModSeq::ZERO;
    }
    let mut line = Line::untagged("STATUS ");
    line.mailbox(name).word(" (");
    for (at, (word, item)) in items.iter().enumerate() {
        if at > 0 {
            line.sp();
        }
        line.word(word).sp();
        item.begin(cx);
        item.render(mailbox, &status, &mut line);
    }
    line.raw(b")");
    Ok(cx.send(&mut line).await?)
}
