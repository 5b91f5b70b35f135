//! LITERAL+ and LITERAL- (RFC 7888): literals that do not wait for a continuation request. One of both at
//! most is on (RFC 7888 §5): LITERAL+ takes any size within the server's limits.

use imapper_core::registry::{Extension, Registry};
use imapper_core::wire::NonSync;

pub(crate) const WORDS: &[&str] = &["LITERAL+", "LITERAL-"];

/// RFC 7888 §5: the largest literal that does not wait.
const MINUS_MAX: u64 = 4096;

/// Literals of any size that do not wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct LiteralPlus;

impl Extension for LiteralPlus {
    fn name(&self) -> &'static str {
        "LITERAL+"
    }

    fn excludes(&self) -> &[&'static str] {
        &["LITERAL-"]
    }

    fn install(&self, registry: &mut Registry) {
        registry.policy(|policy| policy.non_sync = NonSync::Any);
        registry.capability("LITERAL+");
    }
}

/// Literals of up to 4,096 octets that do not wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct LiteralMinus;

impl Extension for LiteralMinus {
    fn name(&self) -> &'static str {
        "LITERAL-"
    }

    fn excludes(&self) -> &[&'static str] {
        &["LITERAL+"]
    }

    fn install(&self, registry: &mut Registry) {
        registry.policy(|policy| policy.non_sync = NonSync::Upto(MINUS_MAX));
        registry.capability("LITERAL-");
    }
}
