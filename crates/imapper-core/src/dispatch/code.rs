//! Which response code an error is: the one table (RFC 5530).

use crate::session::Reject;
use crate::storage::StorageError;
use crate::types::Code;
use crate::users::AuthError;

/// How a command that was not done is answered.
pub(super) struct Answer {
    pub(super) status: &'static str,
    pub(super) code: Option<Code>,
    pub(super) text: String,
    /// Whether the connection ends.
    pub(super) closes: bool,
}

impl Answer {
    fn no(code: Code, text: impl Into<String>) -> Self {
        Self { status: "NO", code: Some(code), text: text.into(), closes: false }
    }
}

/// The answer to a command that was rejected; `None` if there is nobody to be told. What is ours goes to the
/// log, with its cause.
pub(super) fn answer(reject: Reject, connection: u64, command: &str) -> Option<Answer> {
    Some(match reject {
        Reject::Bad(text) => Answer { status: "BAD", code: None, text: text.into_owned(), closes: false },
        Reject::No(code, text) => Answer { status: "NO", code, text: text.into_owned(), closes: false },
        Reject::Bye(code, text) => Answer { status: "BYE", code, text: text.into_owned(), closes: true },
        Reject::Gone(_) => return None,
        Reject::Storage(error) => of_storage(&error, connection, command),
        Reject::Auth(error) => of_auth(&error, connection),
    })
}

fn of_storage(error: &StorageError, connection: u64, command: &str) -> Answer {
    match error {
        StorageError::NoMailbox => Answer::no(Code::NONEXISTENT, "there is no such mailbox"),
        StorageError::Gone => Answer::no(Code::EXPUNGEISSUED, "some of the messages have been removed"),
        StorageError::Exists => Answer::no(Code::ALREADYEXISTS, "there is one already"),
        StorageError::Denied => Answer::no(Code::NOPERM, "not permitted"),
        StorageError::OverQuota => Answer::no(Code::OVERQUOTA, "the account may hold no more"),
        StorageError::Limit(what) => Answer::no(Code::LIMIT, *what),
        StorageError::Unsupported => Answer::no(Code::CANNOT, "the storage can't do this"),
        StorageError::Busy => Answer::no(Code::INUSE, "somebody else is using it; try again later"),
        StorageError::Unavailable(_) => {
            tracing::warn!(connection, command, error = %error, "the storage is unavailable");
            Answer::no(Code::UNAVAILABLE, "the storage is not available; try again later")
        }
        // A NO would make the client try again, and the change could be made twice.
        StorageError::Indeterminate(_) => {
            tracing::error!(connection, command, error = %error, "whether a change was made is not known");
            Answer {
                status: "BYE",
                code: Some(Code::UNAVAILABLE),
                text: "the storage did not say whether the command was done".into(),
                closes: true,
            }
        }
        StorageError::Corrupt(_) => {
            tracing::error!(connection, command, error = %error, "stored data is damaged");
            Answer::no(Code::CORRUPTION, "stored data is damaged; the operator has been told")
        }
        StorageError::Backend(_) => {
            tracing::error!(connection, command, error = %error, "the storage failed");
            Answer::no(Code::SERVERBUG, "internal error; the operator has been told")
        }
    }
}

fn of_auth(error: &AuthError, connection: u64) -> Answer {
    match error {
        AuthError::Invalid => Answer::no(Code::AUTHENTICATIONFAILED, "invalid credentials"),
        AuthError::NotAuthorized => Answer::no(Code::AUTHORIZATIONFAILED, "not authorised for that identity"),
        AuthError::Unsupported => Answer::no(Code::CANNOT, "credentials of that kind can't be verified here"),
        AuthError::Unavailable(_) => {
            tracing::warn!(connection, error = %error, "the user database is unavailable");
            Answer::no(Code::UNAVAILABLE, "the user database is not available; try again later")
        }
    }
}
