//! Putting mail into a storage.
//!
//! UIDs are kept where the storage can do that and the mailbox is new or empty, or holds what was brought before.
//! Messages go in by the hundred, each lot in one step.

use std::sync::Arc;

use async_trait::async_trait;
use imapper_core::storage::{
    AccountId, MailboxId, MailboxInfo, Mbox, Numbers, Status, Storage, StorageError, TreeOp,
};
use imapper_core::types::{Flags, Uid};

use super::add::{New, add, is_of_one, stage_all};
use super::kept::{Kept, is_ours};
use super::there::{Met, There};
use super::{Asked, failure};
use crate::error::Failure;
use crate::transfer::{Folder, INBOX, LARGEST, Message, Tally, Target};

/// Messages that go in at once.
const BATCH: usize = 100;
/// Octets of them.
const BATCH_OCTETS: u64 = 32 * 1024 * 1024;

/// An account of a storage.
pub(crate) struct StorageTarget {
    storage: Arc<dyn Storage>,
    account: AccountId,
    dry: bool,
    open: Option<Open>,
}

/// The mailbox that is being filled.
struct Open {
    name: String,
    /// `None` where it is not made, as nothing is.
    mbox: Option<Mbox>,
    keeps_uids: bool,
    there: There,
    batch: Vec<Message>,
    octets: u64,
    kept: Kept,
}

/// What becomes of the source's UIDs in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uids {
    /// The mailbox was made for them.
    Made,
    /// It has their UIDVALIDITY.
    GoOn,
    /// It has others.
    Lost,
}

impl StorageTarget {
    pub(crate) fn new(storage: Arc<dyn Storage>, account: AccountId, dry: bool) -> Self {
        Self { storage, account, dry, open: None }
    }

    fn mbox(&self, id: MailboxId) -> Mbox {
        Mbox { account: self.account.clone(), id }
    }

    /// The mailbox of that name, made if it is missing, and what becomes of UIDs in it.
    async fn mailbox(&self, folder: &Folder, tally: &Tally) -> Asked<(Option<Mbox>, Uids)> {
        let list = self.storage.list(&self.account).await?;
        let found = list.into_iter().find(|mailbox| mailbox.name == folder.name && !mailbox.no_select);
        let numbers = folder.numbers.filter(|_| self.storage.as_import().is_some());
        let Some(info) = found else {
            let uids = if numbers.is_some() { Uids::Made } else { Uids::Lost };
            if self.dry {
                return Ok((None, uids));
            }
            let made = match numbers {
                Some(numbers) => self.make_with(folder, numbers, tally).await?,
                None => self.make(folder, tally).await?,
            };
            return Ok((made, uids));
        };
        let mbox = self.mbox(info.id.clone());
        let Some(numbers) = numbers else { return Ok((Some(mbox), Uids::Lost)) };
        let status = self.storage.status(&self.account, std::slice::from_ref(&info.id)).await?;
        let Some(status) = status.into_iter().next() else { return Err(StorageError::NoMailbox) };
        if goes_on(&status, &numbers) {
            return Ok((Some(mbox), Uids::GoOn));
        }
        if status.messages == 0 && self.gives_way(&info).await? {
            return if self.dry {
                Ok((None, Uids::Made))
            } else {
                self.replace(&info, folder, numbers, tally).await
            };
        }
        tally.say(&format!("{}: holds other mail already, so messages get new UIDs", folder.name));
        Ok((Some(mbox), Uids::Lost))
    }

    /// Whether an empty mailbox may be exchanged for one with other numbers: not if rights or notes hang on it.
    async fn gives_way(&self, info: &MailboxInfo) -> Asked<bool> {
        match self.storage.as_attributes() {
            Some(attributes) => {
                let all = attributes.get(&self.account, Some(&info.id), "").await?;
                Ok(all.iter().all(|attribute| is_ours(&attribute.key)))
            }
            None => Ok(true),
        }
    }

    /// Exchanges an empty mailbox for one that goes on from the source's numbers.
    async fn replace(
        &self,
        info: &MailboxInfo,
        folder: &Folder,
        numbers: Numbers,
        tally: &Tally,
    ) -> Asked<(Option<Mbox>, Uids)> {
        let mut folder = folder.clone();
        if folder.special_use.is_empty() {
            folder.special_use.clone_from(&info.special_use);
        }
        if info.name != INBOX {
            self.storage.tree(&self.account, TreeOp::Delete { id: info.id.clone() }).await?;
        }
        match self.make_with(&folder, numbers, tally).await {
            // An INBOX that has been used need not give way.
            Err(error) if is_of_one(&error) && info.name == INBOX => {
                Ok((Some(self.mbox(info.id.clone())), Uids::Lost))
            }
            Err(error) if is_of_one(&error) => Ok((self.make(&folder, tally).await?, Uids::Lost)),
            made => Ok((made?, Uids::Made)),
        }
    }

    async fn make_with(&self, folder: &Folder, numbers: Numbers, tally: &Tally) -> Asked<Option<Mbox>> {
        let Some(import) = self.storage.as_import() else { return Err(StorageError::Unsupported) };
        let mbox = self.mbox(import.create(&self.account, &folder.name, numbers).await?);
        if !folder.special_use.is_empty() {
            match import.set_special_use(&mbox, folder.special_use.clone()).await {
                Err(StorageError::Unsupported) => no_special_use(folder, tally),
                result => result?,
            }
        }
        Ok(Some(mbox))
    }

    async fn make(&self, folder: &Folder, tally: &Tally) -> Asked<Option<Mbox>> {
        let create = |special_use| TreeOp::Create { name: folder.name.clone(), special_use };
        let made = match self.storage.tree(&self.account, create(folder.special_use.clone())).await {
            Err(StorageError::Unsupported) if !folder.special_use.is_empty() => {
                no_special_use(folder, tally);
                self.storage.tree(&self.account, create(Vec::new())).await?
            }
            made => made?,
        };
        Ok(made.map(|info| self.mbox(info.id)))
    }

    /// Adds what has come. If the storage refuses one of them, the others go in one by one.
    async fn flush(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.octets = 0;
        let batch = std::mem::take(&mut open.batch);
        let Some(mbox) = open.mbox.clone().filter(|_| !batch.is_empty()) else { return Ok(()) };
        let mut staged = Vec::with_capacity(batch.len());
        for (name, result) in stage_all(&self.storage, &self.account, batch).await {
            match result {
                Ok(new) => staged.push(new),
                Err(error) if is_of_one(&error) => tally.failed(&name, &error.to_string()),
                Err(error) => return Err(failure(&open.name, &error)),
            }
        }
        let batch = staged;
        if batch.is_empty() {
            return Ok(());
        }
        match add(&*self.storage, &mbox, &batch).await {
            Ok(uids) => open.added(&batch, &uids, tally),
            Err(error) if is_of_one(&error) => {
                for one in batch {
                    open.add_one(&*self.storage, &mbox, one, tally).await?;
                }
            }
            Err(error) => return Err(failure(&open.name, &error)),
        }
        Ok(())
    }

    /// Whether a message is there, and the UID that it gets where that is kept.
    async fn meet(&mut self, message: &Message) -> Asked<(Option<Uid>, Option<Uid>)> {
        let Some(open) = &mut self.open else { return Ok((None, None)) };
        let wanted = message.uid.filter(|_| open.keeps_uids);
        let Some(mbox) = &open.mbox else { return Ok((None, wanted)) };
        let wanted = match wanted {
            None => None,
            Some(uid) => match open.there.by_uid(&*self.storage, mbox, uid, message).await? {
                Met::New if open.kept.was_brought(uid) => return Ok((None, Some(uid))),
                // It may have come with another UID, as its own was in use.
                Met::New => Some(uid),
                Met::Same => return Ok((Some(uid), None)),
                // Two servers have given the same UIDVALIDITY: the UIDs of one mean nothing to the other.
                Met::Other => {
                    open.keeps_uids = false;
                    None
                }
            },
        };
        Ok((open.there.by_content(&*self.storage, mbox, message).await?, wanted))
    }

    /// What is known of a mailbox.
    async fn begin(
        &self,
        name: String,
        mbox: Option<Mbox>,
        uids: Uids,
        numbers: Option<Numbers>,
    ) -> Asked<Open> {
        let (mut there, mut kept) = (There::default(), Kept::default());
        if let Some(mbox) = &mbox {
            there = There::read(&*self.storage, mbox).await?;
            kept = match numbers {
                Some(numbers) if uids == Uids::Made => Kept::made(&*self.storage, mbox, numbers).await?,
                _ => Kept::read(&*self.storage, mbox).await?,
            };
        }
        let keeps_uids = uids != Uids::Lost;
        Ok(Open { name, mbox, keeps_uids, there, batch: Vec::new(), octets: 0, kept })
    }
}

/// Whether a mailbox holds mail of the source, or is ready for it.
fn goes_on(status: &Status, numbers: &Numbers) -> bool {
    status.uid_validity == numbers.uid_validity
        && (status.messages > 0 || status.uid_next >= numbers.uid_next)
}

fn no_special_use(folder: &Folder, tally: &Tally) {
    tally.say(&format!(
        "{}: the storage can't keep that it is for {}",
        folder.name,
        folder.special_use.join(" ")
    ));
}

impl Open {
    /// Adds a message. Where its keywords are what the storage can't keep, it goes in without them.
    async fn add_one(
        &mut self,
        storage: &dyn Storage,
        mbox: &Mbox,
        new: New,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let mut one = [new];
        let mut result = add(storage, mbox, &one).await;
        let [new] = &mut one;
        if matches!(&result, Err(StorageError::Limit(_) | StorageError::Denied | StorageError::Unsupported))
            && !new.message.flags.keywords().is_empty()
        {
            new.message.flags = Flags::new(new.message.flags.system, []);
            let name = new.name.clone();
            result = add(storage, mbox, &one).await;
            if result.is_ok() {
                tally.say(&format!("{}: {name}: the storage can't keep its keywords", self.name));
            }
        }
        let [new] = &one;
        match result {
            Ok(uids) => self.added(&one, &uids, tally),
            // It was there, and somebody has removed it since.
            Err(StorageError::Exists) if new.uid.is_some_and(|uid| self.kept.was_brought(uid)) => {
                tally.skipped();
            }
            // What was there was another message: both servers have been in use since they parted.
            Err(StorageError::Exists) if new.uid.is_some() => {
                let [mut new] = one;
                let uid = new.uid.take();
                let one = [new];
                let uids = add(storage, mbox, &one).await.map_err(|error| failure(&self.name, &error))?;
                self.added(&one, &uids, tally);
                self.kept.note_brought(uid);
            }
            Err(error) if is_of_one(&error) => tally.failed(&new.name, &error.to_string()),
            Err(error) => return Err(failure(&self.name, &error)),
        }
        Ok(())
    }

    fn added(&mut self, batch: &[New], uids: &[Uid], tally: &mut Tally) {
        for (new, uid) in batch.iter().zip(uids) {
            self.kept.note_crlf(*uid, new.crlf);
            self.kept.note_brought(new.uid);
            tally.carried(new.message.staged.size);
        }
    }
}

#[async_trait]
impl Target for StorageTarget {
    async fn open(&mut self, folder: &Folder, tally: &mut Tally) -> Result<bool, Failure> {
        let (mbox, uids) = match self.mailbox(folder, tally).await {
            Ok(found) => found,
            Err(error) if is_of_one(&error) => {
                tally.left_out(&folder.name, &error.to_string());
                return Ok(false);
            }
            Err(error) => return Err(failure(&folder.name, &error)),
        };
        let name = folder.name.clone();
        let open = self.begin(name, mbox, uids, folder.numbers).await;
        self.open = Some(open.map_err(|error| failure(&folder.name, &error))?);
        Ok(true)
    }

    async fn put(&mut self, message: Message, tally: &mut Tally) -> Result<(), Failure> {
        let size = message.body.len() as u64;
        if size == 0 {
            tally.failed(&message.name, "is empty");
            return Ok(());
        }
        if size > self.storage.caps().max_message.unwrap_or(LARGEST) {
            tally.failed(&message.name, "is larger than the storage takes");
            return Ok(());
        }
        let name = self.open.as_ref().map(|open| open.name.clone()).unwrap_or_default();
        let (there, uid) = self.meet(&message).await.map_err(|error| failure(&name, &error))?;
        let Some(open) = &mut self.open else { return Ok(()) };
        if let Some(uid) = there {
            open.kept.note_crlf(uid, message.crlf);
            tally.skipped();
            return Ok(());
        }
        if self.dry {
            tally.carried(size);
            return Ok(());
        }
        // Messages with and without UIDs go in by different ways.
        if open.batch.last().is_some_and(|last| last.uid.is_some() != uid.is_some()) {
            self.flush(tally).await?;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        open.batch.push(Message { uid, ..message });
        open.octets += size;
        if open.batch.len() >= BATCH || open.octets >= BATCH_OCTETS {
            self.flush(tally).await
        } else {
            Ok(())
        }
    }

    async fn close(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        self.flush(tally).await?;
        let Some(open) = self.open.take() else { return Ok(()) };
        let Some(mbox) = open.mbox.filter(|_| !self.dry) else { return Ok(()) };
        open.kept.save(&*self.storage, &mbox).await.map_err(|error| failure(&open.name, &error))
    }

    async fn give_up(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        self.close(tally).await
    }

    async fn finish(&mut self, subscriptions: Vec<String>, _tally: &mut Tally) -> Result<(), Failure> {
        let old = self.storage.subscriptions(&self.account).await;
        let old = old.map_err(|error| failure("subscriptions", &error))?;
        for name in subscriptions.into_iter().filter(|name| !old.contains(name) && !self.dry) {
            let result = self.storage.tree(&self.account, TreeOp::Subscribe { name, on: true }).await;
            result.map_err(|error| failure("subscriptions", &error))?;
        }
        Ok(())
    }
}
