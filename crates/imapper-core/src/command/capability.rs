//! CAPABILITY (RFC 3501 §6.1.1): what is spoken, here and now.

use async_trait::async_trait;

use crate::registry::{Context, Flow, InAny, Moment, Outcome, Row, Run, Shared};
use crate::types::Code;
use crate::users::ConnectionInfo;
use crate::wire::{Args, Line};

pub(super) fn row() -> Row {
    Row::new("CAPABILITY", Run::any(Capability))
}

struct Capability;

#[async_trait]
impl InAny for Capability {
    async fn run(&self, cx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
        args.end()?;
        let mut line = Line::untagged("CAPABILITY");
        line.sp().word(&words(cx.shared, cx.connection, cx.is_authenticated, cx.is_selected));
        cx.send(&mut line).await?;
        Ok(Flow::done())
    }
}

/// The words that hold on that connection in that state, with spaces between.
pub fn words(
    shared: &Shared,
    connection: &ConnectionInfo,
    is_authenticated: bool,
    is_selected: bool,
) -> String {
    let registry = &shared.registry;
    let plaintext_allowed = !registry.is_plaintext_held(connection);
    let moment = Moment::new(connection, &*shared.storage, is_authenticated, is_selected, plaintext_allowed);
    let mut words = String::from("IMAP4rev1");
    for (word, available) in &registry.capabilities {
        if available.as_ref().is_none_or(|available| available(&moment)) {
            words.push(' ');
            words.push_str(word);
        }
    }
    if !is_authenticated {
        for name in registry.mechanisms.names() {
            let Some(mechanism) = registry.find_mechanism(name) else { continue };
            let served = shared.users.kinds().contains(&mechanism.brings());
            if served && (plaintext_allowed || !mechanism.is_plaintext()) {
                words.push_str(" AUTH=");
                words.push_str(name);
            }
        }
    }
    words
}

/// The same as a response code, for the greeting and the reply to a login.
pub fn code(shared: &Shared, connection: &ConnectionInfo, is_authenticated: bool) -> Code {
    Code::new(format!("CAPABILITY {}", words(shared, connection, is_authenticated, false)))
}
