//! What [`Maildir`] does as a storage.

use std::io;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use bytes::BytesMut;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use imapper_core::storage::{
    AccountId, Appended, Attributes, ByteStream, Caps, Changes, Copied, CopyMode, Event, FlagChange, Import,
    KeptDigest, MailboxId, MailboxInfo, Mbox, ModSeqs, NewMessage, Objects, Quota, Reach, Result, Row,
    RowStream, Snapshot, Staged, Status, Storage, StorageError, Stored, TreeOp, Want,
};
use imapper_core::types::{BodyRef, ModSeq, Uid, UidSet};
use tokio::sync::broadcast::error::RecvError;

use crate::account::{self, Account, Arrival, Change, Stop};
use crate::bodies::{Named, open_body, pieces, reference, write};
use crate::body::Reader;
use crate::disk::WriteFile;
use crate::mailbox::{MAX_KEYWORDS, Mailbox};
use crate::staged::{self, StagedFile};
use crate::{Maildir, facets};

/// How many rows are given at once. The account is locked for as long as it takes to make them.
const CHUNK: usize = 256;
/// How many octets of a body wait until they are written: a thread is asked for that each time.
const BUFFER: usize = 256 * 1024;
/// How often a change is planned anew whose files another program has moved.
const TRIES: usize = 5;

#[async_trait]
impl Storage for Maildir {
    fn caps(&self) -> Caps {
        let mut caps = Caps::least();
        caps.modseq = ModSeqs::Full;
        // Other processes and programs on this machine; not other nodes.
        caps.watch = Reach::Process;
        caps.atomic_move = true;
        caps.object_ids = true;
        caps.save_date = true;
        caps.keywords = Some(MAX_KEYWORDS);
        caps.max_message = self.max_message();
        caps
    }

    async fn list(&self, account: &AccountId) -> Result<Vec<MailboxInfo>> {
        let account = self.account(account).await?;
        account.fresh_tree().await?;
        let list = account.read().list();
        Ok(list)
    }

    async fn subscriptions(&self, account: &AccountId) -> Result<Vec<String>> {
        let account = self.account(account).await?;
        let read = blocking(move || account.read_subscriptions().map_err(StorageError::backend));
        Ok(read.await?.0)
    }

    async fn tree(&self, account: &AccountId, op: TreeOp) -> Result<Option<MailboxInfo>> {
        let account = self.account(account).await?;
        account
            .change(move |batch| match &op {
                TreeOp::Create { name, special_use } => {
                    let special_use = special_use.clone();
                    let making = account::tree::Making { name, special_use, numbers: None };
                    some(account::tree::create(batch, making))
                }
                TreeOp::Rename { id, to } => some(account::tree::rename(batch, id, to)),
                TreeOp::Delete { id } => some(account::tree::delete(batch, id)),
                TreeOp::Subscribe { name, on } => {
                    account::tree::subscribe(batch, name, *on).map(|(change, ())| (change, None))
                }
                _ => Err(Stop::Refused(StorageError::Unsupported)),
            })
            .await
    }

    async fn status(&self, account: &AccountId, ids: &[MailboxId]) -> Result<Vec<Status>> {
        let account = self.account(account).await?;
        for id in ids {
            account.fresh(id).await?;
        }
        let state = account.read();
        ids.iter().map(|id| Ok(state.mailbox(id)?.status())).collect()
    }

    async fn snapshot(&self, mbox: &Mbox) -> Result<Snapshot> {
        let account = self.fresh(mbox).await?;
        let snapshot = account.read().mailbox(&mbox.id)?.snapshot();
        Ok(snapshot)
    }

    async fn rows(&self, mbox: &Mbox, uids: &UidSet, want: Want) -> Result<RowStream> {
        let mut cursor = Cursor {
            account: self.fresh(mbox).await?,
            id: mbox.id.clone(),
            ranges: uids.ranges().collect::<Vec<_>>().into_iter(),
            current: None,
            want,
        };
        // The first chunk at once, so that a missing mailbox is an error of the call.
        let first = cursor.next().await?;
        let rest = stream::unfold(cursor, |mut cursor| async move {
            let rows = cursor.next().await.transpose()?;
            Some((rows, cursor))
        });
        Ok(stream::iter(first.map(Ok)).chain(rest.fuse()).boxed())
    }

    async fn read(&self, body: &BodyRef, range: Range<u64>) -> Result<ByteStream> {
        let Named { account, id, base } = Named::parse(body).ok_or(StorageError::Gone)?;
        let account = self.account(&account).await?;
        let reader = match open_body(&account, &id, &base, range.clone()).await {
            Err(StorageError::Gone) => {
                // Another program may have moved it.
                account.fresh(&id).await.map_err(|_| StorageError::Gone)?;
                open_body(&account, &id, &base, range).await?
            }
            opened => opened?,
        };
        Ok(pieces(reader))
    }

    async fn stage(&self, account: &AccountId, size: Option<u64>, mut body: ByteStream) -> Result<Staged> {
        const TOO_LARGE: StorageError = StorageError::Limit("the message is too large");
        let most = self.max_message().unwrap_or(u64::MAX);
        if size.is_some_and(|size| size > most) {
            return Err(TOO_LARGE);
        }
        let account = self.account(account).await?;
        let mut staged = StagedFile::new(Arc::clone(&account.disk), Arc::clone(&self.staging));
        let mut file: Option<Box<dyn WriteFile>> = None;
        let mut buffer = BytesMut::new();
        loop {
            let piece = body.next().await.transpose()?;
            if let Some(piece) = &piece {
                staged.grow(piece.len() as u64)?;
                buffer.extend_from_slice(piece);
                if staged.len() > most {
                    return Err(TOO_LARGE);
                }
                if buffer.len() < BUFFER {
                    continue;
                }
            }
            let (octets, path, disk) = (buffer.split().freeze(), staged.path(), Arc::clone(&account.disk));
            let (before, last) = (file.take(), piece.is_none());
            let written = blocking(move || {
                write(before, &*disk, &path, &octets, last).map_err(|error| crate::disk::failure(&error))
            });
            file = Some(written.await?);
            if last {
                break;
            }
        }
        Ok(Staged { size: staged.len(), token: staged.into_token() })
    }

    async fn append(&self, mbox: &Mbox, messages: Vec<NewMessage>) -> Result<Appended> {
        let account = self.account(&mbox.account).await?;
        let arrivals = messages.into_iter().map(arrival).collect::<Result<Vec<_>>>()?;
        let id = mbox.id.clone();
        account.change(move |batch| account::append::append(batch, &id, &arrivals)).await
    }

    async fn set_flags(&self, mbox: &Mbox, change: FlagChange) -> Result<Stored> {
        let account = self.account(&mbox.account).await?;
        again(|| {
            let (id, change) = (mbox.id.clone(), change.clone());
            account.change(move |batch| account::flags::set_flags(batch, &id, &change))
        })
        .await
    }

    async fn expunge(&self, mbox: &Mbox, uids: &UidSet, only_deleted: bool) -> Result<(UidSet, ModSeq)> {
        let account = self.account(&mbox.account).await?;
        again(|| {
            let (id, uids) = (mbox.id.clone(), uids.clone());
            account.change(move |batch| account::expunge::expunge(batch, &id, &uids, only_deleted))
        })
        .await
    }

    async fn read_staged(&self, staged: &Staged) -> Result<ByteStream> {
        // A token does not say whose it is: those that are open are few, and so are staged bodies.
        let name = staged::name(&staged.token).ok_or(StorageError::Gone)?;
        for (_, account) in self.opened() {
            let (path, size) = (format!("tmp/{name}"), staged.size);
            let opened = blocking(move || match account.disk.open(&path) {
                Ok(file) => Ok(Some(Reader::new(file, size, size, 0..size, None))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(StorageError::backend(error)),
            });
            if let Some(reader) = opened.await? {
                return Ok(pieces(reader));
            }
        }
        Err(StorageError::Gone)
    }

    async fn copy(&self, from: &Mbox, uids: &UidSet, to: &Mbox, mode: CopyMode) -> Result<Copied> {
        if from.account != to.account {
            return facets::copy_across(self, from, uids, to, mode).await;
        }
        let account = self.account(&from.account).await?;
        again(|| {
            let (from, uids, to) = (from.id.clone(), uids.clone(), to.id.clone());
            account.change(move |batch| account::copy::copy(batch, &from, &uids, &to, mode))
        })
        .await
    }

    async fn changes(&self, mbox: &Mbox, since: ModSeq, limit: usize) -> Result<Changes> {
        let account = self.fresh(mbox).await?;
        let changes = account.read().mailbox(&mbox.id)?.changes(since, limit);
        Ok(changes)
    }

    fn watch(self: Arc<Self>, account: AccountId, ids: Vec<MailboxId>) -> BoxStream<'static, Event> {
        let opening = async move {
            let account = self.account(&account).await.ok()?;
            let events = account.watch();
            // What is not open is not watched. Failing is told to whoever opens it.
            let all =
                if ids.is_empty() { account.read().slots.keys().cloned().collect() } else { ids.clone() };
            for id in &all {
                let _ = account.fresh(id).await;
            }
            // The account stays open for as long as somebody watches it.
            Some((events, account, ids))
        };
        let events =
            stream::once(opening).filter_map(std::future::ready).flat_map(|(events, account, ids)| {
                // Something may have happened between the call and now.
                let began = stream::once(std::future::ready(Event::Lagged));
                began.chain(stream::unfold((events, account, ids), |(mut events, account, ids)| async move {
                    loop {
                        let event = match events.recv().await {
                            Ok(Event::Mailbox { id, .. }) if !ids.is_empty() && !ids.contains(&id) => {
                                continue;
                            }
                            Ok(event) => event,
                            Err(RecvError::Lagged(_)) => Event::Lagged,
                            Err(RecvError::Closed) => return None,
                        };
                        return Some((event, (events, account, ids)));
                    }
                }))
            });
        events.boxed()
    }

    async fn put_digest(&self, mbox: &Mbox, uid: Uid, digest: KeptDigest) -> Result<()> {
        let account = self.account(&mbox.account).await?;
        let id = mbox.id.clone();
        if account.read().mailbox(&id)?.get(uid).is_none() {
            return Err(StorageError::Gone);
        }
        account.change(move |_| Ok((Change::keeping(&id, vec![(uid, digest.clone())]), ()))).await
    }

    async fn claim_recent(&self, mbox: &Mbox) -> Result<Option<(Uid, Uid)>> {
        let account = self.fresh(mbox).await?;
        if account.read().mailbox(&mbox.id)?.recent().is_none() {
            return Ok(None);
        }
        let id = mbox.id.clone();
        match account.change(move |batch| account::attributes::claim_recent(batch, &id)).await {
            // A full disk is no reason not to open a mailbox: another session is told of what is recent.
            Err(StorageError::Unavailable(_)) => Ok(None),
            claimed => claimed,
        }
    }

    fn as_attributes(&self) -> Option<&dyn Attributes> {
        Some(self)
    }

    fn as_quota(&self) -> Option<&dyn Quota> {
        Some(self)
    }

    fn as_objects(&self) -> Option<&dyn Objects> {
        Some(self)
    }

    fn as_import(&self) -> Option<&dyn Import> {
        Some(self)
    }
}

impl Maildir {
    /// The account of a mailbox that is open and as the disk has it.
    async fn fresh(&self, mbox: &Mbox) -> Result<Arc<Account>> {
        let account = self.account(&mbox.account).await?;
        account.fresh(&mbox.id).await?;
        Ok(account)
    }
}

/// Runs what waits for a disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(StorageError::backend)?
}

/// Makes a change again when the files that it is about were not where they were.
async fn again<T, F: Future<Output = Result<T>>>(change: impl Fn() -> F) -> Result<T> {
    for _ in 1..TRIES {
        match change().await {
            Err(StorageError::Busy) => {}
            done => return done,
        }
    }
    change().await
}

fn some<T>(
    planned: std::result::Result<(Change, T), Stop>,
) -> std::result::Result<(Change, Option<T>), Stop> {
    planned.map(|(change, answer)| (change, Some(answer)))
}

/// A message whose body is staged.
pub(crate) fn arrival(message: NewMessage) -> Result<Arrival> {
    let token = staged::name(&message.staged.token).ok_or(StorageError::Gone)?.to_owned();
    Ok(Arrival { message, token })
}

/// How far the rows of a set have been given.
struct Cursor {
    account: Arc<Account>,
    id: MailboxId,
    ranges: std::vec::IntoIter<(Uid, Uid)>,
    /// What is left of the range that was begun.
    current: Option<(Uid, Uid)>,
    want: Want,
}

impl Cursor {
    /// The next chunk; `None` when there is none.
    async fn next(&mut self) -> Result<Option<Vec<Row>>> {
        let mut rows = self.read()?;
        if rows.is_empty() {
            return Ok(None);
        }
        if self.want.digest {
            let (account, id) = (Arc::clone(&self.account), self.id.clone());
            let uids: Vec<Uid> = rows.iter().map(|row| row.uid).collect();
            let mut digests = blocking(move || account.digests(&id, &uids)).await?;
            for row in &mut rows {
                row.digest = digests.remove(&row.uid);
            }
        }
        Ok(Some(rows))
    }

    fn read(&mut self) -> Result<Vec<Row>> {
        let state = self.account.read();
        let mailbox = state.mailbox(&self.id)?;
        let mut rows = Vec::new();
        while rows.len() < CHUNK {
            let Some((first, last)) = self.current.take().or_else(|| self.ranges.next()) else { break };
            let (found, next) = mailbox.range((first, last), CHUNK.saturating_sub(rows.len()));
            self.current = next.map(|next| (next, last));
            for (uid, message) in found {
                let mut row = Mailbox::row(uid, message);
                if self.want.body {
                    row.body = Some(reference(&self.account, &self.id, &message.base));
                }
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

impl Account {
    /// The digests of messages, those that are kept.
    fn digests(&self, id: &MailboxId, uids: &[Uid]) -> Result<std::collections::HashMap<Uid, KeptDigest>> {
        let found = self.of_slot(id, |slot, home| {
            let base = |uid: &Uid| Some((*uid, Arc::clone(&slot.mailbox.as_ref()?.get(*uid)?.base)));
            (Arc::clone(&slot.cache), home.cache_path(), uids.iter().filter_map(base).collect::<Vec<_>>())
        });
        let (cache, path, messages) = found.map_err(|_| StorageError::NoMailbox)?;
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(cache.read(&*self.index, &path, &messages))
    }
}
