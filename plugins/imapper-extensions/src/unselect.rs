//! UNSELECT (RFC 3691, RFC 9051 §6.4.2): closes the mailbox, and removes nothing from it.

use async_trait::async_trait;
use imapper_core::registry::{Context, Extension, Flow, InSelected, Outcome, Registry, Row, Run, Updates};
use imapper_core::session::{Login, Selected, State};
use imapper_core::wire::Args;

pub(crate) const WORDS: &[&str] = &["UNSELECT"];

/// The command.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unselect;

impl Extension for Unselect {
    fn name(&self) -> &'static str {
        "UNSELECT"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("UNSELECT");
        // Of a mailbox that is closed there is nothing more to tell.
        registry.command(Row::new("UNSELECT", Run::selected(Self)).updates(Updates::Nothing));
    }
}

#[async_trait]
impl InSelected for Unselect {
    async fn run(
        &self,
        cx: &mut Context<'_>,
        login: &Login,
        _selected: &mut Selected,
        args: &mut Args<'_>,
    ) -> Outcome {
        args.end()?;
        cx.next = Some(State::Authenticated(login.clone()));
        Ok(Flow::done())
    }
}
