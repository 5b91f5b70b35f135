//! Taking mail out of a storage.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use imapper_core::storage::{
    AccountId, MailboxInfo, Mbox, ModSeqs, Numbers, Row, RowStream, Storage, StorageError, Want,
};
use imapper_core::types::{ModSeq, UidSet};

use super::kept::{CRLF, kept_set};
use super::{Asked, body, failure};
use crate::error::Failure;
use crate::transfer::{Broken, Folder, Message, Messages, Source};

/// An account of a storage.
pub(crate) struct StorageSource {
    storage: Arc<dyn Storage>,
    account: AccountId,
}

impl StorageSource {
    pub(crate) fn new(storage: Arc<dyn Storage>, account: AccountId) -> Self {
        Self { storage, account }
    }

    async fn mailboxes(&self) -> Result<Vec<MailboxInfo>, Failure> {
        let list = self.storage.list(&self.account).await;
        let mut list = list.map_err(|error| failure(self.account.as_str(), &error))?;
        list.retain(|mailbox| !mailbox.no_select);
        Ok(list)
    }

    async fn folder(&self, place: usize, mailbox: &MailboxInfo) -> Asked<Folder> {
        let mbox = Mbox { account: self.account.clone(), id: mailbox.id.clone() };
        let snapshot = self.storage.snapshot(&mbox).await?;
        let status = snapshot.status;
        let keeps = self.storage.caps().modseq > ModSeqs::None;
        let highest_modseq = if keeps { status.highest_modseq } else { ModSeq::ZERO };
        Ok(Folder {
            name: mailbox.name.clone(),
            place,
            special_use: mailbox.special_use.clone(),
            numbers: Some(Numbers {
                uid_validity: status.uid_validity,
                uid_next: status.uid_next,
                highest_modseq,
            }),
            keywords: snapshot.keywords,
            messages: Some(u64::from(status.messages)),
        })
    }

    /// The rows of a mailbox, and the messages that came from files with CRLF.
    async fn open(&self, folder: &Folder) -> Result<(RowStream, UidSet), Failure> {
        let mailboxes = self.mailboxes().await?;
        let Some(mailbox) = mailboxes.iter().find(|mailbox| mailbox.name == folder.name) else {
            // It has gone meanwhile.
            return Ok((stream::empty().boxed(), UidSet::new()));
        };
        let mbox = Mbox { account: self.account.clone(), id: mailbox.id.clone() };
        let rows = self.storage.rows(&mbox, &UidSet::all(), Want { digest: false, body: true }).await;
        let rows = rows.map_err(|error| failure(&mailbox.name, &error))?;
        let crlf = kept_set(&*self.storage, &self.account, &mailbox.id, CRLF).await;
        Ok((rows, crlf.map_err(|error| failure(&mailbox.name, &error))?))
    }

    /// `None` for a message that has gone meanwhile.
    async fn message(&self, row: Row, crlf: &UidSet) -> Option<Result<Message, Broken>> {
        let name = format!("UID {}", row.uid);
        match body(&*self.storage, &row).await {
            Ok(body) => Some(Ok(Message {
                name,
                uid: Some(row.uid),
                flags: row.flags,
                date: row.internal_date,
                body,
                crlf: crlf.contains(row.uid),
            })),
            Err(StorageError::Gone | StorageError::NoMailbox) => None,
            Err(error) => Some(Err(Broken::message(name, error))),
        }
    }
}

#[async_trait]
impl Source for StorageSource {
    async fn folders(&self) -> Result<Vec<Folder>, Failure> {
        let mut folders = Vec::new();
        for (place, mailbox) in self.mailboxes().await?.iter().enumerate() {
            folders.push(self.folder(place, mailbox).await.map_err(|error| failure(&mailbox.name, &error))?);
        }
        Ok(folders)
    }

    async fn subscriptions(&self) -> Result<Vec<String>, Failure> {
        let names = self.storage.subscriptions(&self.account).await;
        names.map_err(|error| failure("subscriptions", &error))
    }

    fn messages<'a>(&'a self, folder: &'a Folder) -> Messages<'a> {
        let opened = async move {
            match self.open(folder).await {
                Ok((rows, crlf)) => self.walk(Cursor { rows, crlf, chunk: VecDeque::new() }, folder),
                Err(failure) => stream::iter([Err(Broken::Source(failure))]).boxed(),
            }
        };
        stream::once(opened).flatten().boxed()
    }
}

/// How far a mailbox has been read.
struct Cursor {
    rows: RowStream,
    crlf: UidSet,
    chunk: VecDeque<Row>,
}

impl StorageSource {
    fn walk<'a>(&'a self, cursor: Cursor, folder: &'a Folder) -> Messages<'a> {
        stream::unfold(Some(cursor), move |cursor| async move {
            let mut cursor = cursor?;
            loop {
                let Some(row) = cursor.chunk.pop_front() else {
                    match cursor.rows.try_next().await {
                        Ok(Some(chunk)) => cursor.chunk.extend(chunk),
                        Ok(None) => return None,
                        Err(error) => {
                            return Some((Err(Broken::Source(failure(&folder.name, &error))), None));
                        }
                    }
                    continue;
                };
                if let Some(message) = self.message(row, &cursor.crlf).await {
                    return Some((message, Some(cursor)));
                }
            }
        })
        .boxed()
    }
}
