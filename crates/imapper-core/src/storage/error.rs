//! What may go wrong in a storage: a closed set of meanings, each with its response code in one table of
//! `dispatch`.

/// Shorthand for results of a storage.
pub type Result<T> = std::result::Result<T, StorageError>;

/// Why a storage did not do what it was asked. The client is told the meaning, the log the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// There is no such mailbox (any more).
    #[error("no such mailbox")]
    NoMailbox,
    /// A message, or the UIDVALIDITY that it belongs to, has gone meanwhile.
    #[error("the message has gone")]
    Gone,
    /// The name or UID is taken.
    #[error("exists already")]
    Exists,
    /// Not allowed here, for a reason of the storage itself.
    #[error("not permitted")]
    Denied,
    /// The quota does not leave room for it.
    #[error("over quota")]
    OverQuota,
    /// A bound of the storage; the text says which, and is shown to the client.
    #[error("limit: {0}")]
    Limit(&'static str),
    /// Nothing happened; the same may work later.
    #[error("busy")]
    Busy,
    /// Whether it happened is not known. Only idempotent calls may be repeated.
    #[error("outcome unknown: {0}")]
    Indeterminate(#[source] Cause),
    /// This storage can't do that at all.
    #[error("not supported")]
    Unsupported,
    /// What is stored is damaged; the operator has to look. The text is for the log.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// Away for now; nothing happened.
    #[error("unavailable: {0}")]
    Unavailable(#[source] Cause),
    /// Anything else that went wrong below.
    #[error("storage: {0}")]
    Backend(#[source] Cause),
}

/// The cause of an error, for the log.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

impl StorageError {
    /// An error of the plugin's own kind, as [`StorageError::Backend`].
    pub fn backend(cause: impl Into<Cause>) -> Self {
        Self::Backend(cause.into())
    }
}
