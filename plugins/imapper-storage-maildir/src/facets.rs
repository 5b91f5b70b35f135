//! The optional features of a storage that [`Maildir`] has, and what concerns two accounts.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::TryStreamExt as _;
use imapper_core::storage::{
    AccountId, Attribute, Attributes, Copied, CopyMode, Event, Import, MailboxId, Mbox, NewMessage, Numbers,
    Objects, Quota, QuotaLimits, QuotaUse, Result, Storage as _, StorageError, Want,
};
use imapper_core::types::{ModSeq, Uid, UidSet};

use crate::storage::arrival;
use crate::{Maildir, account};

/// Keys of rights begin so; the rest is whom they are given to.
const RIGHT: &str = "acl/";

#[async_trait]
impl Attributes for Maildir {
    async fn get(
        &self,
        account: &AccountId,
        mbox: Option<&MailboxId>,
        prefix: &str,
    ) -> Result<Vec<Attribute>> {
        let account = self.account(account).await?;
        account.fresh_tree().await?;
        account.attributes(mbox, prefix)
    }

    async fn set(&self, account: &AccountId, attributes: Vec<Attribute>) -> Result<ModSeq> {
        let owner = self.account(account).await?;
        let changing = owner.change(move |batch| account::attributes::set(batch, &attributes));
        let (modseq, changed) = changing.await?;
        for who in changed.iter().filter_map(|key| key.strip_prefix(RIGHT)) {
            for (id, other) in self.opened() {
                if id != *account && (who == "anyone" || id.as_str() == who) {
                    other.tell(Event::Tree);
                }
            }
        }
        Ok(modseq)
    }

    async fn holders(&self, key: &str) -> Result<Vec<(AccountId, MailboxId)>> {
        // Those that nobody has used since the start hold rights, too.
        let mut holders = Vec::new();
        for id in self.accounts_on_disk().await? {
            match self.account(&id).await {
                Ok(account) => {
                    account.fresh_tree().await?;
                    holders.extend(account.holders(key).into_iter().map(|mailbox| (id.clone(), mailbox)));
                }
                Err(error) => tracing::warn!(%error, account = %id, "an account can't be opened"),
            }
        }
        Ok(holders)
    }
}

#[async_trait]
impl Objects for Maildir {
    async fn places(&self, account: &AccountId, emails: &[u64]) -> Result<Vec<(u64, MailboxId, Uid)>> {
        let account = self.account(account).await?;
        account.fresh_all().await?;
        let wanted: HashSet<u64> = emails.iter().copied().collect();
        let state = account.read();
        let open = state.slots.values().filter_map(|slot| Some((slot, slot.mailbox.as_ref()?)));
        let places = open.flat_map(|(slot, mailbox)| {
            let found = mailbox.messages().filter(|(_, message)| wanted.contains(&message.email_id));
            found.map(|(uid, message)| (message.email_id, slot.id.clone(), uid))
        });
        Ok(places.collect())
    }
}

#[async_trait]
impl Quota for Maildir {
    async fn usage(&self, account: &AccountId) -> Result<QuotaUse> {
        let account = self.account(account).await?;
        account.fresh_all().await?;
        let state = account.read();
        let (octets, messages) = state.used();
        Ok(QuotaUse { octets, messages, limits: state.settings.limits.within(account.most()) })
    }

    async fn set_limit(&self, account: &AccountId, limits: QuotaLimits) -> Result<()> {
        if limits.is_above(self.allowed.of(account)) {
            return Err(StorageError::Denied);
        }
        let account = self.account(account).await?;
        account.change(move |batch| account::attributes::set_limits(batch, limits)).await
    }

    fn allow(&self, account: Option<&AccountId>, most: QuotaLimits) {
        self.allowed.set(account, most);
    }
}

#[async_trait]
impl Import for Maildir {
    async fn create(&self, account: &AccountId, name: &str, numbers: Numbers) -> Result<MailboxId> {
        let account = self.account(account).await?;
        let name = name.to_owned();
        account.change(move |batch| account::import::create(batch, &name, numbers)).await
    }

    async fn set_special_use(&self, mbox: &Mbox, uses: Vec<Arc<str>>) -> Result<()> {
        let account = self.account(&mbox.account).await?;
        let id = mbox.id.clone();
        account.change(move |batch| account::attributes::set_uses(batch, &id, &uses)).await
    }

    async fn put(&self, mbox: &Mbox, messages: Vec<(Uid, NewMessage)>) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let account = self.account(&mbox.account).await?;
        let put = |(uid, message)| Ok((uid, arrival(message)?));
        let mut arrivals = messages.into_iter().map(put).collect::<Result<Vec<_>>>()?;
        arrivals.sort_by_key(|(uid, _)| *uid);
        let id = mbox.id.clone();
        account.change(move |batch| account::import::put_all(batch, &id, &arrivals)).await
    }
}

/// Copies or moves messages to another account: the bodies are taken in there, and appended in one step.
pub(crate) async fn copy_across(
    storage: &Maildir,
    from: &Mbox,
    uids: &UidSet,
    to: &Mbox,
    mode: CopyMode,
) -> Result<Copied> {
    let rows: Vec<_> = storage.rows(from, uids, Want::ALL).await?.try_concat().await?;
    let mut messages = Vec::with_capacity(rows.len());
    for row in &rows {
        let body = row.body.as_ref().ok_or(StorageError::Gone)?;
        let octets = storage.read(body, 0..row.size).await?;
        let staged = storage.stage(&to.account, Some(row.size), octets).await?;
        let mut message = NewMessage::new(staged, row.flags.clone(), row.internal_date);
        message.digest.clone_from(&row.digest);
        message.email_id = row.email_id;
        messages.push(message);
    }
    let copied: UidSet = rows.iter().map(|row| row.uid).collect();
    let (appended, from_modseq) = match mode {
        CopyMode::Copy => (storage.append(to, messages).await?, None),
        CopyMode::Move if messages.is_empty() => {
            let modseq = storage.snapshot(from).await?.status.highest_modseq;
            (storage.append(to, messages).await?, Some(modseq))
        }
        CopyMode::Move => {
            let source = storage.account(&from.account).await?;
            let arrivals = messages.iter().cloned().map(arrival).collect::<Result<Vec<_>>>()?;
            let first = source.begin_move(&from.id, &copied, to, &arrivals).await?;
            let appended = match storage.append(to, messages).await {
                Ok(appended) => appended,
                Err(error) => {
                    source.give_up_move(first).await?;
                    return Err(error);
                }
            };
            (appended, Some(source.end_move(&from.id, &copied, first).await?))
        }
    };
    Ok(Copied {
        uid_validity: appended.uid_validity,
        pairs: rows.iter().map(|row| row.uid).zip(appended.uids).collect(),
        to_modseq: appended.modseq,
        from_modseq,
    })
}
