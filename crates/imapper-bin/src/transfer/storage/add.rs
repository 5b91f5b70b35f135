//! Adding messages whose bodies are in: all of a lot in one step.

use std::time::Duration;

use imapper_core::storage::{Mbox, NewMessage, Storage, StorageError};
use imapper_core::types::Uid;

use super::Asked;

/// A message whose body is in.
pub(super) struct New {
    pub(super) name: String,
    /// Its UID, where that is kept.
    pub(super) uid: Option<Uid>,
    pub(super) crlf: bool,
    pub(super) message: NewMessage,
}

/// Whether an error may be that of a single message, so that others fare better.
pub(super) const fn is_of_one(error: &StorageError) -> bool {
    matches!(
        error,
        StorageError::Exists
            | StorageError::Gone
            | StorageError::Denied
            | StorageError::Limit(_)
            | StorageError::Unsupported
    )
}

/// Adds messages, all or none; gives their UIDs. A storage that is busy is asked again, for some seconds.
pub(super) async fn add(storage: &dyn Storage, mbox: &Mbox, batch: &[New]) -> Asked<Vec<Uid>> {
    for pause in [100, 500, 2000] {
        match add_once(storage, mbox, batch).await {
            Err(StorageError::Busy) => tokio::time::sleep(Duration::from_millis(pause)).await,
            result => return result,
        }
    }
    add_once(storage, mbox, batch).await
}

async fn add_once(storage: &dyn Storage, mbox: &Mbox, batch: &[New]) -> Asked<Vec<Uid>> {
    let with_uid: Option<Vec<(Uid, NewMessage)>> =
        batch.iter().map(|new| Some((new.uid?, new.message.clone()))).collect();
    if let (Some(messages), Some(import)) = (with_uid, storage.as_import()) {
        let uids = messages.iter().map(|(uid, _)| *uid).collect();
        return import.put(mbox, messages).await.map(|()| uids);
    }
    let messages = batch.iter().map(|new| new.message.clone()).collect();
    Ok(storage.append(mbox, messages).await?.uids)
}
