//! SASL-IR (RFC 4959): AUTHENTICATE takes the client's first response on its own line, which saves a round
//! trip.

use imapper_core::registry::{Extension, Registry};

pub(crate) const WORDS: &[&str] = &["SASL-IR"];

/// The capability, and the argument of AUTHENTICATE.
#[derive(Clone, Copy, Debug, Default)]
pub struct SaslIr;

impl Extension for SaslIr {
    fn name(&self) -> &'static str {
        "SASL-IR"
    }

    fn install(&self, registry: &mut Registry) {
        registry.take_initial_response();
        // Of no use once somebody has logged in.
        registry.capability_when("SASL-IR", |moment| !moment.is_authenticated);
    }
}
