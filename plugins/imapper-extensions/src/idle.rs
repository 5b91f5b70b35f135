//! IDLE (RFC 2177, RFC 9051 §6.3.13): the client waits, and is told at once what happens.

use async_trait::async_trait;
use imapper_core::registry::{
    Context, Extension, Flow, InAuthenticated, Outcome, Registry, Row, Run, Updates, Waiting,
};
use imapper_core::session::{Login, Reject};
use imapper_core::wire::Args;

pub(crate) const WORDS: &[&str] = &["IDLE"];

/// The command.
#[derive(Clone, Copy, Debug, Default)]
pub struct Idle;

impl Extension for Idle {
    fn name(&self) -> &'static str {
        "IDLE"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("IDLE");
        // What happened was told while it waited. The numbers of the commands that a client has sent behind
        // DONE are those that it knew then: no removal may come between.
        registry.command(Row::new("IDLE", Run::authenticated(Self)).updates(Updates::Nothing));
    }
}

#[async_trait]
impl InAuthenticated for Idle {
    async fn run(&self, cx: &mut Context<'_>, _login: &Login, args: &mut Args<'_>) -> Outcome {
        args.end()?;
        cx.out.proceed(b"idling").await?;
        Ok(Flow::Wait(Box::new(Idling)))
    }
}

struct Idling;

#[async_trait]
impl Waiting for Idling {
    async fn line(&mut self, _cx: &mut Context<'_>, line: &[u8]) -> Result<Option<Flow>, Reject> {
        if is_done(line) { Ok(Some(Flow::done())) } else { Err(Reject::bad("DONE expected")) }
    }

    fn tells_changes(&self) -> bool {
        true
    }
}

/// RFC 2177 §4: in any case, with nothing around it.
fn is_done(line: &[u8]) -> bool {
    line.eq_ignore_ascii_case(b"DONE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_done_ends_it_well() {
        for line in [&b"DONE"[..], b"done", b"Done"] {
            assert!(is_done(line), "{line:?}");
        }
        for line in [&b""[..], b"DONE ", b" DONE", b"a1 NOOP", b"a1 DONE", b"DONE\0"] {
            assert!(!is_done(line), "{line:?}");
        }
        assert!(Idling.tells_changes());
    }
}
