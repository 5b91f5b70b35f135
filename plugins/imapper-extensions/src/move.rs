//! MOVE (RFC 6851): messages go to another mailbox in one step.

use async_trait::async_trait;
use imapper_core::command::{copy, expunge};
use imapper_core::registry::slots::Done;
use imapper_core::registry::{Context, Extension, Flow, InSelected, Outcome, Registry, Row, Run, UidForm};
use imapper_core::session::{Login, Reject, Reply, Rights, Selected};
use imapper_core::storage::CopyMode;
use imapper_core::types::{Code, UidSet};
use imapper_core::wire::Args;

pub(crate) const WORDS: &[&str] = &["MOVE", "UID MOVE"];

/// The command, by number and by UID.
#[derive(Clone, Copy, Debug, Default)]
pub struct Move;

impl Extension for Move {
    fn name(&self) -> &'static str {
        "MOVE"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("MOVE");
        // That the messages are gone is told before the tagged OK, by number too (RFC 6851 §3.3).
        registry.command(Row::new("MOVE", Run::selected(Self)).uid(UidForm::Also));
    }
}

#[async_trait]
impl InSelected for Move {
    async fn run(
        &self,
        cx: &mut Context<'_>,
        login: &Login,
        selected: &mut Selected,
        args: &mut Args<'_>,
    ) -> Outcome {
        let (set, name) = copy::arguments(args)?;
        if selected.read_only {
            return Err(Reject::code(Code::READ_ONLY, "the mailbox is selected read-only"));
        }
        // RFC 6851 §4.2: what UID STORE of \Deleted and UID EXPUNGE need; on the target, what COPY needs.
        if !selected.rights.contains(Rights::DELETE | Rights::EXPUNGE) {
            return Err(Reject::code(Code::NOPERM, "you may not remove messages from this mailbox"));
        }
        let moved = copy::carry(cx, login, selected, (&set, &name), CopyMode::Move).await?;
        let Some((copied, rights)) = moved.filter(|(copied, _)| !copied.pairs.is_empty()) else {
            return Ok(Flow::done());
        };
        // Where the messages went is told before that they are gone (RFC 6851 §4.3).
        if let Some(code) = cx.done(&Done::Copied(&copied, CopyMode::Move, rights)).await? {
            cx.out.status(cx.name, "OK", Some(&code), "moved").await?;
        }
        let Some(modseq) = copied.from_modseq else { return Ok(Flow::done()) };
        let gone: UidSet = copied.pairs.iter().map(|(old, _)| *old).collect();
        let code = expunge::removed(cx, selected, &gone, modseq).await?;
        Ok(Flow::Done(Reply { code, ..Reply::completed() }))
    }
}
