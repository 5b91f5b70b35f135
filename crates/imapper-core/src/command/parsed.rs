//! The parse of a stored message: the one that the storage keeps, or a new one.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;

use crate::message::{Digest, Parser};
use crate::registry::Shared;
use crate::session::Reject;
use crate::storage::{self, BodyRef, KeptDigest, Mbox, Row, Storage, StorageError, Want};
use crate::types::UidSet;

/// The form in which a storage keeps a parse.
pub fn kept(digest: &Digest) -> KeptDigest {
    KeptDigest { version: Digest::VERSION, bytes: digest.to_bytes() }
}

/// The parse that stands in the row, if it is one that can be read.
fn from_row(row: &Row) -> Option<Digest> {
    let kept = row.digest.as_ref().filter(|kept| kept.version == Digest::VERSION)?;
    Digest::from_bytes(kept.bytes.clone())
}

/// The parse of a message: out of its row, or else made while the body streams by, and then offered to the
/// storage. Takes a row that was read with [`Want::digest`]; holds no more than a header in memory.
pub async fn digest_of(shared: &Shared, mbox: &Mbox, row: &Row) -> Result<Digest, Reject> {
    if let Some(digest) = from_row(row) {
        return Ok(digest);
    }
    let digest = parse(shared, &body_of(&*shared.storage, mbox, row).await?, row.size).await?;
    offer(shared, mbox, row, &digest).await;
    Ok(digest)
}

/// Where the body lies: out of the row, or else asked for.
async fn body_of(storage: &dyn Storage, mbox: &Mbox, row: &Row) -> storage::Result<BodyRef> {
    if let Some(body) = &row.body {
        return Ok(body.clone());
    }
    let uids = UidSet::range(row.uid, row.uid);
    let mut rows = storage.rows(mbox, &uids, Want { digest: false, body: true }).await?;
    while let Some(chunk) = rows.try_next().await? {
        if let Some(found) = chunk.into_iter().find(|found| found.uid == row.uid) {
            return found
                .body
                .ok_or_else(|| StorageError::Corrupt(format!("message {} has no body", row.uid)));
        }
    }
    Err(StorageError::Gone)
}

async fn parse(shared: &Shared, body: &BodyRef, size: u64) -> storage::Result<Digest> {
    let mut parser = Parser::new(shared.limits.message);
    let mut octets = shared.storage.read(body, 0..size).await?;
    while let Some(chunk) = octets.try_next().await? {
        parser.feed(&chunk);
        // A large body must not keep other sessions waiting.
        tokio::task::consume_budget().await;
    }
    let digest = parser.finish();
    if digest.size() != size {
        return Err(wrong_length(size, digest.size()));
    }
    Ok(digest)
}

/// Offers a parse to the storage. The client's command does not depend on that, so a failure is only noted.
async fn offer(shared: &Shared, mbox: &Mbox, row: &Row, digest: &Digest) {
    let (storage, mbox, uid, kept) = (Arc::clone(&shared.storage), mbox.clone(), row.uid, kept(digest));
    let offered = tokio::spawn(async move {
        if let Err(error) = storage.put_digest(&mbox, uid, kept).await {
            tracing::debug!(account = %mbox.account, mailbox = %mbox.id, %uid, %error, "a parse was not kept");
        }
    });
    // Only a panic or the end of the runtime ends it before its end.
    let _ = offered.await;
}

/// Reads octets of a body into memory. The caller bounds the range.
pub async fn read_range(storage: &dyn Storage, body: &BodyRef, range: Range<u64>) -> Result<Bytes, Reject> {
    let size = range.end.saturating_sub(range.start);
    if size == 0 {
        return Ok(Bytes::new());
    }
    let mut octets = storage.read(body, range).await?;
    let first = octets.try_next().await?.unwrap_or_default();
    if first.len() as u64 == size {
        // The usual case: one piece, which need not be copied.
        return Ok(first);
    }
    let mut all = BytesMut::from(&*first);
    while (all.len() as u64) < size
        && let Some(chunk) = octets.try_next().await?
    {
        all.extend_from_slice(&chunk);
    }
    if all.len() as u64 == size { Ok(all.freeze()) } else { Err(wrong_length(size, all.len() as u64).into()) }
}

/// A body that is longer or shorter than its row says is never shown as if it were whole.
fn wrong_length(expected: u64, found: u64) -> StorageError {
    StorageError::Corrupt(format!("{expected} octets of a body were expected, {found} came"))
}
