//! How a command ends: with OK and a text, or with a reason why not. Errors go by blame: the client's syntax
//! is BAD, the client's wish NO, ours NO and a line in the log.

use std::borrow::Cow;
use std::io;

use crate::storage::StorageError;
use crate::types::Code;
use crate::users::AuthError;
use crate::wire::Malformed;

/// A tagged OK.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The response code.
    pub code: Option<Code>,
    /// The text; empty stands for `<command> completed`.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// `<command> completed`.
    pub const fn completed() -> Self {
        Self { code: None, text: Cow::Borrowed("") }
    }

    /// A text.
    pub fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: None, text: text.into() }
    }

    /// A response code, and `<command> completed`.
    pub const fn code(code: Code) -> Self {
        Self { code: Some(code), text: Cow::Borrowed("") }
    }
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// The client's syntax: a tagged BAD.
    #[error("{0}")]
    Bad(Cow<'static, str>),
    /// The client's wish: a tagged NO.
    #[error("{1}")]
    No(Option<Code>, Cow<'static, str>),
    /// The storage's answer; `dispatch` knows which code that is.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The user database's answer.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// Untagged BYE, and the end of the connection.
    #[error("{1}")]
    Bye(Option<Code>, Cow<'static, str>),
    /// The peer is gone: there is nobody to be told.
    #[error("connection lost: {0}")]
    Gone(#[source] io::Error),
}

impl Reject {
    /// A BAD.
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Bad(text.into())
    }

    /// A NO without a code.
    pub fn no(text: impl Into<Cow<'static, str>>) -> Self {
        Self::No(None, text.into())
    }

    /// A NO with a code.
    pub fn code(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self::No(Some(code), text.into())
    }
}

/// What a response was to show may have gone before anything of it was sent: that is the storage's answer, and
/// the connection is still there.
impl From<io::Error> for Reject {
    fn from(error: io::Error) -> Self {
        match error.downcast::<StorageError>() {
            Ok(error) => Self::Storage(error),
            Err(error) => Self::Gone(error),
        }
    }
}

impl From<Malformed> for Reject {
    fn from(malformed: Malformed) -> Self {
        Self::Bad(malformed.to_string().into())
    }
}
