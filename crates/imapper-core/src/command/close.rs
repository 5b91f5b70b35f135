//! CLOSE (RFC 3501 §6.4.2): all that is `\Deleted` goes, and nothing is told.

use async_trait::async_trait;

use super::expunge;
use crate::registry::{Context, Flow, InSelected, Outcome, Row, Run, Updates};
use crate::session::{Login, Reject, Rights, Selected, State};
use crate::storage::StorageError;
use crate::types::UidSet;
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("CLOSE", Run::selected(Close)).updates(Updates::Nothing)
}

struct Close;

#[async_trait]
impl InSelected for Close {
    async fn run(
        &self,
        cx: &mut Context<'_>,
        login: &Login,
        selected: &mut Selected,
        args: &mut Args<'_>,
    ) -> Outcome {
        args.end()?;
        // Nothing is removed, and nothing said, where the mailbox can only be read (RFC 3501 §6.4.2).
        if !selected.read_only && selected.rights.contains(Rights::EXPUNGE) {
            match expunge::remove(cx, selected, UidSet::all()).await {
                // Another session has deleted the mailbox: there is nothing left to remove.
                Err(Reject::Storage(StorageError::NoMailbox)) => {}
                // No code tells of a mailbox that the client has not followed to its end (RFC 7162 §3.2.8).
                removed => drop(removed?),
            }
        }
        cx.next = Some(State::Authenticated(login.clone()));
        Ok(Flow::done())
    }
}
