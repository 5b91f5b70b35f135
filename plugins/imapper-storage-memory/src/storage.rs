//! What [`Memory`] does as a storage.

use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use imapper_core::storage::{
    AccountId, Appended, Attributes, ByteStream, Caps, Changes, Copied, CopyMode, Dumping, Event, FlagChange,
    Import, KeptDigest, MailboxId, MailboxInfo, Mbox, ModSeqs, NewMessage, Objects, Quota, Reach, Result,
    Row, RowStream, Snapshot, Staged, Status, Storage, StorageError, Stored, TreeOp, Want,
};
use imapper_core::types::{BodyRef, ModSeq, Uid, UidSet};
use tokio::sync::broadcast::error::RecvError;

use crate::account::Account;
use crate::mailbox::{MAX_KEYWORDS, Mailbox};
use crate::{Memory, copy};

/// How many rows are given at once. The account is locked for as long as it takes to make them.
const CHUNK: usize = 256;

#[async_trait]
impl Storage for Memory {
    fn caps(&self) -> Caps {
        let mut caps = Caps::least();
        caps.modseq = ModSeqs::Full;
        caps.watch = Reach::Process;
        caps.atomic_move = true;
        caps.object_ids = true;
        caps.save_date = true;
        caps.keywords = Some(MAX_KEYWORDS);
        caps.max_message = Some(self.max_message);
        caps
    }

    async fn list(&self, account: &AccountId) -> Result<Vec<MailboxInfo>> {
        let account = self.account(account)?;
        let state = account.read();
        Ok(state.names.values().filter_map(|id| state.mailboxes.get(id)).map(Mailbox::info).collect())
    }

    async fn subscriptions(&self, account: &AccountId) -> Result<Vec<String>> {
        Ok(self.account(account)?.read().subscriptions.iter().cloned().collect())
    }

    async fn tree(&self, account: &AccountId, op: TreeOp) -> Result<Option<MailboxInfo>> {
        let account = self.account(account)?;
        let (mailbox, changed) = account.write().change_tree(&self.ids, op)?;
        if changed {
            account.tell(Event::Tree);
        }
        Ok(mailbox)
    }

    async fn status(&self, account: &AccountId, ids: &[MailboxId]) -> Result<Vec<Status>> {
        let account = self.account(account)?;
        let state = account.read();
        ids.iter().map(|id| Ok(state.any(id)?.status())).collect()
    }

    async fn snapshot(&self, mbox: &Mbox) -> Result<Snapshot> {
        Ok(self.account(&mbox.account)?.read().mailbox(&mbox.id)?.snapshot())
    }

    async fn rows(&self, mbox: &Mbox, uids: &UidSet, want: Want) -> Result<RowStream> {
        let mut cursor = Cursor {
            account: self.account(&mbox.account)?,
            id: mbox.id.clone(),
            ranges: uids.ranges().collect::<Vec<_>>().into_iter(),
            current: None,
            want,
        };
        // The first chunk at once, so that a missing mailbox is an error of the call.
        let first = cursor.next()?;
        let rest = stream::unfold(cursor, |mut cursor| async move {
            let rows = cursor.next().transpose()?;
            Some((rows, cursor))
        });
        Ok(stream::iter(first.map(Ok)).chain(rest.fuse()).boxed())
    }

    async fn read(&self, body: &BodyRef, range: Range<u64>) -> Result<ByteStream> {
        let body = self.bodies.find(&body.0)?;
        let cut = |at: u64| usize::try_from(at.min(body.size())).unwrap_or(usize::MAX);
        let (start, end) = (cut(range.start), cut(range.end));
        let octets = if start < end { body.octets().slice(start..end) } else { Bytes::new() };
        Ok(one_piece(octets))
    }

    async fn stage(&self, _account: &AccountId, size: Option<u64>, mut body: ByteStream) -> Result<Staged> {
        const TOO_LARGE: StorageError = StorageError::Limit("the message is too large");
        if size.is_some_and(|size| size > self.max_message) {
            return Err(TOO_LARGE);
        }
        // What is announced need not come: no more than a little is set aside for it.
        let expected = usize::try_from(size.unwrap_or_default().min(64 * 1024)).unwrap_or_default();
        let mut octets = Vec::with_capacity(expected);
        let mut reserved = self.bodies.reserve();
        while let Some(piece) = body.next().await {
            let piece = piece?;
            if (octets.len() as u64).saturating_add(piece.len() as u64) > self.max_message {
                return Err(TOO_LARGE);
            }
            reserved.grow(piece.len() as u64)?;
            octets.extend_from_slice(&piece);
        }
        octets.shrink_to_fit();
        let body = self.bodies.keep(Bytes::from(octets));
        Ok(Staged { size: body.size(), token: body.token(reserved) })
    }

    async fn append(&self, mbox: &Mbox, messages: Vec<NewMessage>) -> Result<Appended> {
        let messages = messages
            .into_iter()
            .map(|message| Ok((self.bodies.find(&message.staged.token)?, message)))
            .map(|found| found.map(|(body, message)| (message, body)))
            .collect::<Result<Vec<_>>>()?;
        let account = self.account(&mbox.account)?;
        let (most, now) = (self.allowed.of(&mbox.account), SystemTime::now());
        let (appended, changed) = account.write().append(&self.ids, &mbox.id, messages, most, now)?;
        if changed {
            account.tell(Event::Mailbox { id: mbox.id.clone(), modseq: appended.modseq });
        }
        Ok(appended)
    }

    async fn set_flags(&self, mbox: &Mbox, change: FlagChange) -> Result<Stored> {
        let account = self.account(&mbox.account)?;
        let stored = account.write().mailbox_mut(&mbox.id)?.set_flags(&change)?;
        if !stored.changed.is_empty() {
            account.tell(Event::Mailbox { id: mbox.id.clone(), modseq: stored.modseq });
        }
        Ok(stored)
    }

    async fn expunge(&self, mbox: &Mbox, uids: &UidSet, only_deleted: bool) -> Result<(UidSet, ModSeq)> {
        let account = self.account(&mbox.account)?;
        let (taken, modseq) = {
            let mut state = account.write();
            let taken = state.remove(&mbox.id, uids, only_deleted, false)?;
            (taken, state.mailbox(&mbox.id)?.modseq())
        };
        if !taken.is_empty() {
            account.tell(Event::Mailbox { id: mbox.id.clone(), modseq });
        }
        // Many bodies may go with `taken`, which happens here, without the lock.
        Ok((taken.into_iter().map(|(uid, _)| uid).collect(), modseq))
    }

    async fn share(&self, staged: &Staged, _from: &AccountId, _to: &AccountId) -> Result<Staged> {
        // Bodies belong to no account.
        self.bodies.find(&staged.token).map(|_| staged.clone())
    }

    async fn read_staged(&self, staged: &Staged) -> Result<ByteStream> {
        Ok(one_piece(self.bodies.find(&staged.token)?.octets().clone()))
    }

    async fn copy(&self, from: &Mbox, uids: &UidSet, to: &Mbox, mode: CopyMode) -> Result<Copied> {
        let (source, target) = (self.account(&from.account)?, self.account(&to.account)?);
        let copied =
            copy::copy(&self.ids, (&source, &target), from, uids, to, mode, self.allowed.of(&to.account))?;
        if !copied.pairs.is_empty() {
            target.tell(Event::Mailbox { id: to.id.clone(), modseq: copied.to_modseq });
            if let Some(modseq) = copied.from_modseq.filter(|_| from != to) {
                source.tell(Event::Mailbox { id: from.id.clone(), modseq });
            }
        }
        Ok(copied)
    }

    async fn changes(&self, mbox: &Mbox, since: ModSeq, limit: usize) -> Result<Changes> {
        Ok(self.account(&mbox.account)?.read().mailbox(&mbox.id)?.changes(since, limit))
    }

    fn watch(self: Arc<Self>, account: AccountId, ids: Vec<MailboxId>) -> BoxStream<'static, Event> {
        let Ok(account) = self.account(&account) else { return stream::pending().boxed() };
        // From now on, not from the first poll on. The storage is not kept alive.
        let events = account.watch();
        stream::unfold((events, ids), |(mut events, ids)| async move {
            loop {
                let event = match events.recv().await {
                    Ok(Event::Mailbox { id, .. }) if !ids.is_empty() && !ids.contains(&id) => continue,
                    Ok(event) => event,
                    Err(RecvError::Lagged(_)) => Event::Lagged,
                    Err(RecvError::Closed) => return None,
                };
                return Some((event, (events, ids)));
            }
        })
        .boxed()
    }

    async fn put_digest(&self, mbox: &Mbox, uid: Uid, digest: KeptDigest) -> Result<()> {
        let account = self.account(&mbox.account)?;
        let state = account.read();
        state.mailbox(&mbox.id)?.get(uid).ok_or(StorageError::Gone)?.body.put_digest(digest);
        Ok(())
    }

    async fn claim_recent(&self, mbox: &Mbox) -> Result<Option<(Uid, Uid)>> {
        Ok(self.account(&mbox.account)?.write().mailbox_mut(&mbox.id)?.claim_recent())
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

    fn as_dump(&self) -> Option<&dyn Dumping> {
        Some(self)
    }
}

fn one_piece(octets: Bytes) -> ByteStream {
    stream::iter((!octets.is_empty()).then_some(Ok(octets))).boxed()
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
    fn next(&mut self) -> Result<Option<Vec<Row>>> {
        let state = self.account.read();
        let mailbox = state.mailbox(&self.id)?;
        let mut rows = Vec::new();
        while rows.len() < CHUNK {
            let Some((first, last)) = self.current.take().or_else(|| self.ranges.next()) else { break };
            self.current = mailbox.rows((first, last), self.want, CHUNK, &mut rows).map(|next| (next, last));
        }
        Ok((!rows.is_empty()).then_some(rows))
    }
}
