//! The model as a storage.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use imapper_core::storage::{
    AccountId, Appended, Attributes, ByteStream, Caps, Changes, Copied, CopyMode, Event, FlagChange, Import,
    KeptDigest, MailboxId, MailboxInfo, Mbox, ModSeqs, NewMessage, Objects, Quota, Reach, Result, RowStream,
    Search, Snapshot, Staged, Status, Storage, StorageError, Stored, TreeOp, Want,
};
use imapper_core::types::{BodyRef, ModSeq, SystemFlag, Uid, UidSet};
use tokio::sync::broadcast::error::RecvError;

use super::{Model, key};

#[async_trait]
impl Storage for Model {
    fn caps(&self) -> Caps {
        let mut caps = Caps::least();
        caps.modseq = ModSeqs::Full;
        caps.watch = Reach::Process;
        caps.atomic_move = true;
        caps.object_ids = true;
        caps.save_date = true;
        caps
    }

    async fn list(&self, account: &AccountId) -> Result<Vec<MailboxInfo>> {
        self.look(account, |account| Ok(account.mailboxes.iter().map(|m| m.info.clone()).collect()))
    }

    async fn subscriptions(&self, account: &AccountId) -> Result<Vec<String>> {
        self.look(account, |account| Ok(account.subscriptions.iter().cloned().collect()))
    }

    async fn tree(&self, account: &AccountId, op: TreeOp) -> Result<Option<MailboxInfo>> {
        self.change(|world| world.tree(account, op))
    }

    async fn status(&self, account: &AccountId, ids: &[MailboxId]) -> Result<Vec<Status>> {
        self.look(account, |account| ids.iter().map(|id| Ok(account.find(id)?.status())).collect())
    }

    async fn snapshot(&self, mbox: &Mbox) -> Result<Snapshot> {
        self.look(&mbox.account, |account| Ok(account.find(&mbox.id)?.snapshot()))
    }

    async fn rows(&self, mbox: &Mbox, uids: &UidSet, want: Want) -> Result<RowStream> {
        let rows: Vec<_> = self.look(&mbox.account, |account| {
            let messages = &account.find(&mbox.id)?.messages;
            Ok(messages.iter().filter(|m| uids.contains(m.uid)).map(|m| m.row(want)).collect())
        })?;
        let chunks: Vec<_> = rows.chunks(100).map(|chunk| Ok(chunk.to_vec())).collect();
        Ok(stream::iter(chunks).boxed())
    }

    async fn read(&self, body: &BodyRef, range: Range<u64>) -> Result<ByteStream> {
        let octets = self.world.lock().unwrap_or_else(PoisonError::into_inner).body(&body.0)?.1;
        let cut = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(octets.len());
        let wanted = octets.get(cut(range.start)..cut(range.end)).unwrap_or_default();
        Ok(stream::iter([Ok(Bytes::copy_from_slice(wanted))]).boxed())
    }

    async fn stage(&self, _: &AccountId, _: Option<u64>, body: ByteStream) -> Result<Staged> {
        let octets: BytesMut = body.try_collect().await?;
        let octets = octets.freeze();
        let size = octets.len() as u64;
        self.change(|world| {
            let body = world.id();
            world.bodies.insert(body, octets);
            Ok(Staged { token: key(body), size })
        })
    }

    async fn append(&self, mbox: &Mbox, messages: Vec<NewMessage>) -> Result<Appended> {
        self.change(|world| world.append(mbox, messages))
    }

    async fn set_flags(&self, mbox: &Mbox, change: FlagChange) -> Result<Stored> {
        self.change(|world| Ok(world.mailbox(mbox)?.set_flags(&change)))
    }

    async fn expunge(&self, mbox: &Mbox, uids: &UidSet, only_deleted: bool) -> Result<(UidSet, ModSeq)> {
        self.change(|world| {
            let mailbox = world.mailbox(mbox)?;
            let modseq = mailbox.modseq.next();
            let doomed = |message: &&super::Message| {
                uids.contains(message.uid) && (!only_deleted || message.flags.contains(SystemFlag::Deleted))
            };
            let removed: UidSet = mailbox.messages.iter().filter(doomed).map(|m| m.uid).collect();
            for uid in removed.iter() {
                mailbox.remove(uid, modseq)?;
            }
            Ok((removed, mailbox.modseq))
        })
    }

    async fn share(&self, staged: &Staged, _: &AccountId, _: &AccountId) -> Result<Staged> {
        Ok(staged.clone())
    }

    async fn read_staged(&self, staged: &Staged) -> Result<ByteStream> {
        self.read(&BodyRef(staged.token.clone()), 0..u64::MAX).await
    }

    async fn copy(&self, from: &Mbox, uids: &UidSet, to: &Mbox, mode: CopyMode) -> Result<Copied> {
        self.change(|world| world.copy(from, uids, to, mode))
    }

    async fn changes(&self, mbox: &Mbox, since: ModSeq, limit: usize) -> Result<Changes> {
        self.look(&mbox.account, |account| Ok(account.find(&mbox.id)?.changes(since, limit)))
    }

    fn watch(self: Arc<Self>, account: AccountId, ids: Vec<MailboxId>) -> BoxStream<'static, Event> {
        let events = self.events.subscribe();
        let state = (self, events, account, ids);
        stream::unfold(state, |(model, mut events, account, ids)| async move {
            loop {
                let event = match events.recv().await {
                    Ok((of, _)) if of != account => continue,
                    Ok((_, Event::Mailbox { id, .. })) if !ids.is_empty() && !ids.contains(&id) => continue,
                    Ok((_, event)) => event,
                    Err(RecvError::Lagged(_)) => Event::Lagged,
                    Err(RecvError::Closed) => return None,
                };
                return Some((event, (model, events, account, ids)));
            }
        })
        .boxed()
    }

    async fn put_digest(&self, mbox: &Mbox, uid: Uid, digest: KeptDigest) -> Result<()> {
        self.change(|world| {
            let mut messages = world.mailbox(mbox)?.messages.iter_mut();
            messages.find(|message| message.uid == uid).ok_or(StorageError::Gone)?.digest = Some(digest);
            Ok(())
        })
    }

    async fn claim_recent(&self, mbox: &Mbox) -> Result<Option<(Uid, Uid)>> {
        self.change(|world| {
            let mailbox = world.mailbox(mbox)?;
            let last = mailbox.messages.iter().map(|message| message.uid).max();
            let claimed = mailbox.status().first_recent.zip(last);
            mailbox.recent_from = mailbox.uid_next;
            Ok(claimed)
        })
    }

    fn as_attributes(&self) -> Option<&dyn Attributes> {
        Some(self)
    }

    fn as_search(&self) -> Option<&dyn Search> {
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
