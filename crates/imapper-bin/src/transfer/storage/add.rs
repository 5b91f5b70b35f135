//! Adding messages: the bodies of a lot side by side, then all of them in one step.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use imapper_core::message::{self, Digest};
use imapper_core::storage::{AccountId, KeptDigest, Mbox, NewMessage, Storage, StorageError};
use imapper_core::types::Uid;

use super::Asked;
use crate::transfer::Message;

/// Bodies on their way in at once: they share the way to the disk.
const SIDE_BY_SIDE: usize = 32;

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

/// Sends the octets of messages; nothing refers to them yet. In the order of the messages, each with its name.
pub(super) async fn stage_all(
    storage: &Arc<dyn Storage>,
    account: &AccountId,
    messages: Vec<Message>,
) -> Vec<(String, Asked<New>)> {
    let stage_one = |message: Message| {
        let (storage, account) = (Arc::clone(storage), account.clone());
        async move { (message.name.clone(), stage(&*storage, &account, message).await) }
    };
    stream::iter(messages.into_iter().map(stage_one)).buffered(SIDE_BY_SIDE).collect().await
}

async fn stage(storage: &dyn Storage, account: &AccountId, message: Message) -> Asked<New> {
    let digest = message::parse(&message.body);
    let size = message.body.len() as u64;
    let octets = stream::iter([Ok(message.body)]).boxed();
    let staged = storage.stage(account, Some(size), octets).await?;
    let mut new = NewMessage::new(staged, message.flags, message.date);
    new.thread_keys = digest.thread_keys();
    new.digest = Some(KeptDigest { version: Digest::VERSION, bytes: digest.to_bytes() });
    Ok(New { name: message.name, uid: message.uid, crlf: message.crlf, message: new })
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
