//! LOGINDISABLED (RFC 9051 §6.2.3, RFC 2595 §3.2): no password in the clear.

use imapper_core::registry::{Extension, Registry};
use imapper_core::users::ConnectionInfo;

pub(crate) const WORDS: &[&str] = &["LOGINDISABLED"];

/// Holds back LOGIN, and every mechanism of which an eavesdropper would learn a secret, until TLS is on.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoginDisabled {
    /// Whether it holds for clients on this machine too, where nobody listens in.
    pub on_loopback: bool,
}

impl Extension for LoginDisabled {
    fn name(&self) -> &'static str {
        "LOGINDISABLED"
    }

    fn install(&self, registry: &mut Registry) {
        let holds = if self.on_loopback { holds_everywhere } else { holds_off_loopback };
        registry.hold_plaintext(holds);
        registry.capability_when("LOGINDISABLED", move |moment| {
            !moment.is_authenticated && holds(moment.connection)
        });
    }
}

fn holds_everywhere(connection: &ConnectionInfo) -> bool {
    !connection.tls
}

fn holds_off_loopback(connection: &ConnectionInfo) -> bool {
    !connection.tls && !connection.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_until_tls_is_on() {
        for (peer, tls, everywhere, off_loopback) in [
            (Some("192.0.2.1"), false, true, true),
            (Some("192.0.2.1"), true, false, false),
            (Some("127.0.0.9"), false, true, false),
            (Some("::1"), false, true, false),
            (Some("::ffff:127.0.0.1"), false, true, false),
            (Some("::ffff:192.0.2.1"), false, true, true),
            (None, false, true, false),
            (None, true, false, false),
        ] {
            let connection = ConnectionInfo::new(1, peer.map(|peer| peer.parse().unwrap()), tls);
            assert_eq!(holds_everywhere(&connection), everywhere, "{peer:?} {tls}");
            assert_eq!(holds_off_loopback(&connection), off_loopback, "{peer:?} {tls}");
        }
    }
}
