//! FETCH and UID FETCH (RFC 9051 §6.4.5 and §6.4.9, RFC 3501 §6.4.5 and §6.4.8).
//!
//! `plan` reads the arguments, `tell` asks the storage, `response` puts the items together; `items` and `body`
//! are what the base protocol can tell of a message.

mod body;
mod items;
mod plan;
mod response;
mod tell;

#[cfg(test)]
mod tests;

use async_trait::async_trait;

use crate::registry::{Context, InSelected, Outcome, Row, Run, UidForm, Updates};
use crate::session::{Login, Selected};
use crate::wire::Args;

pub(crate) use items::items;

pub(super) fn row() -> Row {
    Row::new("FETCH", Run::selected(Fetch)).uid(UidForm::Also).updates(Updates::HoldRemovals)
}

struct Fetch;

#[async_trait]
impl InSelected for Fetch {
    async fn run(
        &self,
        cx: &mut Context<'_>,
        login: &Login,
        selected: &mut Selected,
        args: &mut Args<'_>,
    ) -> Outcome {
        let plan = plan::parse(cx, selected, args)?;
        tell::run(cx, login, selected, plan).await
    }
}
