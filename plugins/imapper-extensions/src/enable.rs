//! ENABLE (RFC 5161, RFC 9051 §6.3.1): turns on what would surprise a client that did not ask for it.

use std::sync::Arc;

use async_trait::async_trait;
use imapper_core::registry::{Context, Extension, Flow, InAuthenticated, Outcome, Registry, Row, Run};
use imapper_core::session::Login;
use imapper_core::wire::{Args, Line, Malformed};

pub(crate) const WORDS: &[&str] = &["ENABLE"];

/// The command. What it can turn on, other extensions say with [`Registry::enable`]; whether they are
/// installed before this one or after does not matter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Enable;

impl Extension for Enable {
    fn name(&self) -> &'static str {
        "ENABLE"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("ENABLE");
        registry.command(Row::new("ENABLE", Run::authenticated(Self)));
    }
}

#[async_trait]
impl InAuthenticated for Enable {
    async fn run(&self, cx: &mut Context<'_>, _login: &Login, args: &mut Args<'_>) -> Outcome {
        let words = words(args)?;
        let mut enabled = Line::untagged("ENABLED");
        for word in words {
            // RFC 5161 §3.1: a word that is not known, or that ENABLE can't turn on, is passed over.
            let Some((name, enabling)) = cx.shared.registry.find_enabling(&word) else { continue };
            if cx.policy.is_enabled(name) {
                continue;
            }
            let enabling = Arc::clone(enabling);
            // RFC 5161 §3.1 has it before a mailbox is selected, and leaves it to servers to check that.
            if enabling.enable(cx) {
                cx.policy.enabled.push(name);
                enabled.sp().word(name);
            }
        }
        cx.send(&mut enabled).await?;
        Ok(Flow::done())
    }
}

/// At least one word, each an atom (RFC 5161 §4).
fn words(args: &mut Args<'_>) -> Result<Vec<String>, Malformed> {
    let mut words = Vec::new();
    loop {
        args.sp()?;
        words.push(args.word()?);
        if args.is_end() {
            return Ok(words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<String>> {
        words(&mut Args::new(text.as_bytes(), 0)).ok()
    }

    #[test]
    fn one_word_or_more() {
        assert_eq!(read(" condstore").unwrap(), ["CONDSTORE"]);
        assert_eq!(read(" A UTF8=ACCEPT").unwrap(), ["A", "UTF8=ACCEPT"]);
        for text in ["", " ", "  A", " A ", " \"A\"", " A (B)", " {1}\r\nA"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
