//! A storage as source and as target.

mod add;
mod kept;
mod source;
mod target;
mod there;

pub(crate) use source::StorageSource;
pub(crate) use target::StorageTarget;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use imapper_core::storage::{Row, Storage, StorageError};

use super::LARGEST;
use crate::error::Failure;

/// What a storage answers.
type Asked<T> = Result<T, StorageError>;

/// The whole of a message.
async fn body(storage: &dyn Storage, row: &Row) -> Asked<Bytes> {
    let reference = row.body.as_ref().ok_or(StorageError::Gone)?;
    if row.size > LARGEST {
        return Err(StorageError::Limit("is too large"));
    }
    let mut stream = storage.read(reference, 0..row.size).await?;
    let mut whole = Vec::with_capacity(usize::try_from(row.size).unwrap_or_default());
    while let Some(piece) = stream.try_next().await? {
        whole.extend_from_slice(&piece);
    }
    if whole.len() as u64 == row.size { Ok(whole.into()) } else { Err(StorageError::Gone) }
}

/// A failure of the storage, at a mailbox.
fn failure(mailbox: &str, error: &StorageError) -> Failure {
    let mut text = error.to_string();
    if matches!(error, StorageError::Indeterminate(_)) {
        text.push_str("; run it again: what is there is passed over");
    }
    Failure::Running(format!("{mailbox}: {text}"))
}
