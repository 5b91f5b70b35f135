//! STARTTLS (RFC 9051 §6.2.1): TLS on a connection that began in the clear.

use async_trait::async_trait;
use imapper_core::registry::{
    Context, Extension, Flow, InNotAuthenticated, Moment, Outcome, Registry, Row, Run, Upgrade,
};
use imapper_core::session::{Reject, Reply};
use imapper_core::wire::Args;

pub(crate) const WORDS: &[&str] = &["STARTTLS"];

/// The command and its capability. What the client sent behind the command is thrown away by the core, with
/// the transport that it came over.
#[derive(Clone, Copy, Debug, Default)]
pub struct StartTls;

impl Extension for StartTls {
    fn name(&self) -> &'static str {
        "STARTTLS"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability_when("STARTTLS", is_offered);
        registry.command(Row::new("STARTTLS", Run::not_authenticated(Self)));
    }
}

/// Before login, where it can still be done: RFC 9051 §6.2.1 wants the word gone once TLS is on.
fn is_offered(moment: &Moment<'_>) -> bool {
    !moment.is_authenticated && !moment.connection.tls && moment.connection.can_start_tls
}

#[async_trait]
impl InNotAuthenticated for StartTls {
    async fn run(&self, cx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
        args.end()?;
        // RFC 9051 §6.2.1: BAD on a connection that is encrypted already.
        if cx.connection.tls {
            return Err(Reject::bad("TLS is on already"));
        }
        if !cx.connection.can_start_tls {
            return Err(Reject::no("this server has no certificate to begin TLS with"));
        }
        Ok(Flow::Upgrade(Upgrade::Tls, Reply::text("begin TLS negotiation now")))
    }
}

#[cfg(test)]
mod tests {
    use imapper_core::users::ConnectionInfo;
    use imapper_storage_memory::Memory;

    use super::*;

    #[test]
    fn offered_before_login_in_the_clear_where_there_is_a_certificate() {
        for (tls, can_start_tls, is_authenticated, offered) in [
            (false, true, false, true),
            (false, false, false, false),
            (true, true, false, false),
            (false, true, true, false),
        ] {
            let mut connection = ConnectionInfo::new(1, None, tls);
            connection.can_start_tls = can_start_tls;
            assert_eq!(
                is_offered(&Moment::new(&connection, &Memory::new(), is_authenticated, false, true)),
                offered
            );
        }
    }
}
