//! SASL (RFC 4422): a mechanism is an exchange of octets that ends in credentials to verify. It sees no
//! socket, no base64 and no clock; AUTHENTICATE does those.

use super::{AuthError, CredentialKind, Credentials, Identity};

/// A SASL mechanism.
pub trait Mechanism: Send + Sync + 'static {
    /// Its registered name: `PLAIN`.
    fn name(&self) -> &'static str;

    /// Which credentials it ends in. It is announced only where a users plugin can verify them.
    fn brings(&self) -> CredentialKind;

    /// Whether an eavesdropper would learn a secret: then it may be held back without TLS.
    fn is_plaintext(&self) -> bool;

    /// Begins an exchange.
    fn begin(&self) -> Box<dyn Exchange>;
}

/// One exchange. Dropped when the client cancels.
pub trait Exchange: Send {
    /// What the client sent: its initial response, or the answer to a challenge. `None` at the beginning
    /// when there is no initial response.
    fn step(&mut self, response: Option<&[u8]>) -> Step;

    /// What became of [`Step::Verify`]. Some mechanisms have a last challenge to send (RFC 7628 §3.2.2,
    /// RFC 5802 §3), to which the client answers before the tagged reply.
    fn verified(&mut self, _outcome: Result<&Identity, &AuthError>) -> Option<Vec<u8>> {
        None
    }
}

/// What an exchange does next.
#[derive(Debug)]
pub enum Step {
    /// Sends a challenge and waits for the answer.
    Challenge(Vec<u8>),
    /// Has credentials to verify.
    Verify(Credentials),
    /// The client's message is none of this mechanism (BAD).
    Malformed(&'static str),
}
