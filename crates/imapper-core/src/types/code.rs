//! Response codes (RFC 9051 §7.1, RFC 5530): the machine-readable word in brackets after OK, NO or BAD.

use std::borrow::Cow;
use std::fmt;

/// A response code. Those of the base protocol have a constant; extensions make theirs with [`Code::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code(Cow<'static, str>);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($word));)*
        }
    };
}

codes! {
    /// The human has to read the text (RFC 9051 §7.1).
    ALERT = "ALERT";
    /// The name is taken (RFC 5530 §3).
    ALREADYEXISTS = "ALREADYEXISTS";
    /// The server's set of characters does not hold what SEARCH asked for; see [`Code::bad_charset`].
    BADCHARSET = "BADCHARSET";
    /// The credentials are wrong (RFC 5530 §3).
    AUTHENTICATIONFAILED = "AUTHENTICATIONFAILED";
    /// The credentials are right, but not for that authorisation identity (RFC 5530 §3).
    AUTHORIZATIONFAILED = "AUTHORIZATIONFAILED";
    /// The operation violates an invariant of the server and can never succeed (RFC 5530 §3).
    CANNOT = "CANNOT";
    /// The mailbox that was selected is closed, because another one is opened (RFC 9051 §7.1, RFC 7162 §3.2.11).
    CLOSED = "CLOSED";
    /// The client does something that it had better not (RFC 5530 §3).
    CLIENTBUG = "CLIENTBUG";
    /// Some of the messages have been removed by another session (RFC 5530 §3).
    EXPUNGEISSUED = "EXPUNGEISSUED";
    /// Something on the disk is damaged; the operator must act (RFC 5530 §3).
    CORRUPTION = "CORRUPTION";
    /// Somebody else has it in use; try again later (RFC 5530 §3).
    INUSE = "INUSE";
    /// A bound of the server (RFC 5530 §3).
    LIMIT = "LIMIT";
    /// There is no such mailbox (RFC 5530 §3).
    NONEXISTENT = "NONEXISTENT";
    /// The identity may not do this (RFC 5530 §3).
    NOPERM = "NOPERM";
    /// The account may hold no more (RFC 5530 §3).
    OVERQUOTA = "OVERQUOTA";
    /// A message could not be parsed (RFC 9051 §7.1).
    PARSE = "PARSE";
    /// Not on a connection without TLS (RFC 5530 §3).
    PRIVACYREQUIRED = "PRIVACYREQUIRED";
    /// The selected mailbox can't be changed by this session (RFC 9051 §7.1).
    READ_ONLY = "READ-ONLY";
    /// The selected mailbox can be changed (RFC 9051 §7.1).
    READ_WRITE = "READ-WRITE";
    /// The server is at fault (RFC 5530 §3).
    SERVERBUG = "SERVERBUG";
    /// The message or literal is larger than the server takes (RFC 4469 §5, RFC 7888 §4).
    TOOBIG = "TOOBIG";
    /// The target does not exist; CREATE would help (RFC 9051 §7.1).
    TRYCREATE = "TRYCREATE";
    /// A part of the server is away for now (RFC 5530 §3).
    UNAVAILABLE = "UNAVAILABLE";
    /// The transfer encoding is not known (RFC 9051 §7.1).
    UNKNOWN_CTE = "UNKNOWN-CTE";
}

impl Code {
    /// A code with its arguments, as it stands between the brackets.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self(text.into())
    }

    /// `BADCHARSET` with the sets of characters that are known (RFC 9051 §7.1).
    pub fn bad_charset(known: &[&str]) -> Self {
        Self(format!("BADCHARSET ({})", known.join(" ")).into())
    }

    /// The text between the brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
