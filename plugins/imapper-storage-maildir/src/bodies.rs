//! Bodies on their way to the client, and to the disk.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use imapper_core::storage::{AccountId, ByteStream, MailboxId, Result, StorageError};
use imapper_core::types::BodyRef;

use crate::account::Account;
use crate::body::Reader;
use crate::disk::{Disk, WriteFile};
use crate::mailbox::file::join;
use crate::storage::blocking;

/// Writes on, into a file that is made where there is none yet; at last durably.
pub(crate) fn write(
    file: Option<Box<dyn WriteFile>>,
    disk: &dyn Disk,
    path: &str,
    octets: &[u8],
    last: bool,
) -> io::Result<Box<dyn WriteFile>> {
    let mut file = match file {
        Some(file) => file,
        None => disk.create(path)?,
    };
    file.write(octets)?;
    if last {
        file.sync()?;
    }
    Ok(file)
}

/// A body as a [`BodyRef`] names it.
pub(crate) struct Named {
    pub(crate) account: AccountId,
    pub(crate) id: MailboxId,
    pub(crate) base: String,
}

impl Named {
    pub(crate) fn parse(body: &BodyRef) -> Option<Self> {
        let text = std::str::from_utf8(&body.0).ok()?;
        let mut parts = text.splitn(3, '\0');
        let mut next = || parts.next();
        Some(Self { account: next()?.into(), id: next()?.into(), base: next()?.to_owned() })
    }
}

/// Names a body.
pub(crate) fn reference(account: &Account, id: &MailboxId, base: &str) -> BodyRef {
    BodyRef(Bytes::from(format!("{}\0{id}\0{base}", account.id)))
}

/// Opens a body to read a range of it.
pub(crate) async fn open_body(
    account: &Arc<Account>,
    id: &MailboxId,
    base: &str,
    range: Range<u64>,
) -> Result<Reader> {
    let is_closed = account.read().slots.get(id).is_some_and(|slot| slot.mailbox.is_none());
    if is_closed {
        account.fresh(id).await?;
    }
    let (path, physical, wire) = {
        let state = account.read();
        // Where it was, or else where it has been moved.
        let here = state.slots.get(id).into_iter().chain(state.slots.values());
        let found =
            here.filter_map(|slot| Some((slot, slot.mailbox.as_ref()?))).find_map(|(slot, mailbox)| {
                let (_, message) = mailbox.by_base(base)?;
                Some((slot, mailbox, message))
            });
        let (slot, mailbox, message) = found.ok_or(StorageError::Gone)?;
        (join(&slot.folder, &mailbox.file(message)), message.physical, message.wire)
    };
    let account = Arc::clone(account);
    let (base, id) = (base.to_owned(), id.clone());
    blocking(move || match account.disk.open(&path) {
        Ok(file) => {
            if file.len().map_err(StorageError::backend)? != physical {
                // What was told of it to clients is true no more, and other octets would break the connection.
                tracing::warn!(path, "a message's file is not as long as it was");
                account.suspect(&id, &path);
                return Err(StorageError::Gone);
            }
            let map = (physical != wire).then(|| account.offsets.of(&base));
            Ok(Reader::new(file, physical, wire, range, map))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StorageError::Gone),
        Err(error) => Err(StorageError::backend(error)),
    })
    .await
}

/// The octets of a reader, each piece read in a thread that may wait for a disk.
pub(crate) fn pieces(reader: Reader) -> ByteStream {
    stream::try_unfold(reader, |mut reader| async move {
        let next = blocking(move || {
            let piece = reader.next().map_err(StorageError::backend)?;
            Ok(piece.map(|piece| (piece, reader)))
        });
        next.await
    })
    .boxed()
}
