//! Message numbers. A unique identifier, a sequence number and a mod-sequence are three types, so that
//! none is ever taken for another.

use std::fmt;
use std::num::NonZeroU32;

/// A unique identifier (RFC 9051 §2.3.1.1): 1 to 2³²−1, ascending in a mailbox, never used twice under
/// one UIDVALIDITY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(NonZeroU32);

/// A message sequence number (RFC 9051 §2.3.1.2): a message's place in one session's view, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(NonZeroU32);

macro_rules! number {
    ($name:ident) => {
        impl $name {
            /// The smallest one, 1.
            pub const MIN: Self = Self(NonZeroU32::MIN);
            /// The largest one, 2³²−1.
            pub const MAX: Self = Self(NonZeroU32::MAX);

            /// The number, unless it is 0.
            pub const fn new(number: u32) -> Option<Self> {
                match NonZeroU32::new(number) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }

            /// The number as an integer.
            pub const fn get(self) -> u32 {
                self.0.get()
            }

            /// The next one; stays at the largest.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<NonZeroU32> for $name {
            fn from(number: NonZeroU32) -> Self {
                Self(number)
            }
        }
    };
}
number!(Uid);
number!(Seq);

/// The UIDVALIDITY of a mailbox (RFC 9051 §2.3.1.1): not 0, another one whenever UIDs begin anew.
pub type UidValidity = NonZeroU32;

/// A mailbox's counter of changes: it grows with every change, and each message carries the value of its
/// last one. 63 bits on the wire (RFC 7162 §3.1.1). 0 comes before any change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModSeq(pub u64);

impl ModSeq {
    /// Before any change.
    pub const ZERO: Self = Self(0);

    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for ModSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
