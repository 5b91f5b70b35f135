//! The model's optional features.

use std::sync::Arc;

use async_trait::async_trait;
use imapper_core::storage::{
    AccountId, Attribute, Attributes, Event, Import, MailboxId, Mbox, NewMessage, Numbers, Objects, Quota,
    QuotaLimits, QuotaUse, Result, Search, SearchHit, SearchKey, StorageError,
};
use imapper_core::types::{ModSeq, Uid, UidSet};

use super::{Message, Model, World};

#[async_trait]
impl Attributes for Model {
    async fn get(
        &self,
        account: &AccountId,
        mbox: Option<&MailboxId>,
        prefix: &str,
    ) -> Result<Vec<Attribute>> {
        self.look(account, |account| {
            mbox.map(|id| account.find(id)).transpose()?;
            let all = account.attributes.iter();
            let wanted = all.filter(|((owner, key), _)| owner.as_ref() == mbox && key.starts_with(prefix));
            let attribute = wanted.map(|((owner, key), (value, modseq))| Attribute {
                mbox: owner.clone(),
                key: key.clone(),
                value: Some(value.clone()),
                modseq: *modseq,
            });
            Ok(attribute.collect())
        })
    }

    async fn set(&self, account: &AccountId, attributes: Vec<Attribute>) -> Result<ModSeq> {
        let holders: Vec<AccountId> = attributes
            .iter()
            .filter_map(|attribute| attribute.key.strip_prefix("acl/"))
            .map(AccountId::from)
            .collect();
        let (before, after) = self.change(|world| {
            let account = world.account(account);
            let (before, modseq) = (account.attributes_modseq, account.attributes_modseq.next());
            for Attribute { mbox, key, value, .. } in attributes {
                mbox.as_ref().map(|id| account.find(id)).transpose()?;
                let place = (mbox, key);
                if account.attributes.get(&place).map(|(value, _)| value) == value.as_ref() {
                    continue;
                }
                account.attributes_modseq = modseq;
                let _ = match value {
                    Some(value) => account.attributes.insert(place, (value, modseq)),
                    None => account.attributes.remove(&place),
                };
            }
            Ok((before, account.attributes_modseq))
        })?;
        for holder in holders.into_iter().filter(|_| before != after) {
            let _ = self.events.send((holder, Event::Tree));
        }
        Ok(after)
    }

    async fn holders(&self, key: &str) -> Result<Vec<(AccountId, MailboxId)>> {
        self.change(|world| {
            let mut holders = Vec::new();
            for (id, account) in &world.accounts {
                let owners = account.attributes.keys().filter(|(_, other)| other == key);
                holders.extend(owners.filter_map(|(owner, _)| Some((id.clone(), owner.clone()?))));
            }
            Ok(holders)
        })
    }
}

#[async_trait]
impl Quota for Model {
    async fn usage(&self, account: &AccountId) -> Result<QuotaUse> {
        self.change(|world| Ok(world.used(account)))
    }

    async fn set_limit(&self, account: &AccountId, limits: QuotaLimits) -> Result<()> {
        self.change(|world| {
            if limits.is_above(world.most(account)) {
                return Err(StorageError::Denied);
            }
            world.account(account).limits = limits;
            Ok(())
        })
    }

    fn allow(&self, account: Option<&AccountId>, most: QuotaLimits) {
        // It can't fail.
        let _ = self.change(|world| {
            match account {
                Some(account) => drop(world.most.1.insert(account.clone(), most)),
                None => world.most.0 = most,
            }
            Ok(())
        });
    }
}

impl World {
    /// What the operator lets the account keep.
    fn most(&self, account: &AccountId) -> QuotaLimits {
        self.most.1.get(account).copied().unwrap_or_default().or(self.most.0)
    }

    /// What the account uses, by looking at every message.
    fn used(&mut self, id: &AccountId) -> QuotaUse {
        let most = self.most(id);
        let account = self.account(id);
        let messages = || account.mailboxes.iter().flat_map(|mailbox| &mailbox.messages);
        let octets = messages().map(|message| message.size).sum();
        QuotaUse { octets, messages: messages().count() as u64, limits: account.limits.within(most) }
    }

    /// That no account has grown above its limits.
    pub(super) fn check_quota(&mut self, before: &mut Self) -> Result<()> {
        let accounts: Vec<AccountId> = self.accounts.keys().cloned().collect();
        for id in accounts {
            let (old, new) = (before.used(&id), self.used(&id));
            let more = |old: u64, new: u64| new.saturating_sub(old);
            let old = QuotaUse { limits: new.limits, ..old };
            if !old.has_room(more(old.octets, new.octets), more(old.messages, new.messages)) {
                return Err(StorageError::OverQuota);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Objects for Model {
    async fn places(&self, account: &AccountId, emails: &[u64]) -> Result<Vec<(u64, MailboxId, Uid)>> {
        self.look(account, |account| {
            let mut places = Vec::new();
            for mailbox in &account.mailboxes {
                let wanted = mailbox.messages.iter().filter(|message| emails.contains(&message.email_id));
                places.extend(wanted.map(|m| (m.email_id, mailbox.info.id.clone(), m.uid)));
            }
            Ok(places)
        })
    }
}

#[async_trait]
impl Import for Model {
    async fn create(&self, account: &AccountId, name: &str, numbers: Numbers) -> Result<MailboxId> {
        self.change(|world| {
            let mut made = world.new_mailbox(account, name, Vec::new());
            (made.uid_validity, made.uid_next) = (numbers.uid_validity, numbers.uid_next);
            made.begin_at(numbers.highest_modseq);
            let id = made.info.id.clone();
            let owner = world.account(account);
            owner.validity = owner.validity.max(numbers.uid_validity.get());
            // An INBOX that nobody has used yet gives way.
            owner
                .mailboxes
                .retain(|other| other.info.name != "INBOX" || name != "INBOX" || !other.messages.is_empty());
            if owner.mailboxes.iter().any(|mailbox| mailbox.info.name == name) {
                return Err(StorageError::Exists);
            }
            owner.mailboxes.push(made);
            Ok(id)
        })
    }

    async fn set_special_use(&self, mbox: &Mbox, uses: Vec<Arc<str>>) -> Result<()> {
        self.change(|world| {
            world.mailbox(mbox)?.info.special_use = uses;
            Ok(())
        })
    }

    async fn put(&self, mbox: &Mbox, messages: Vec<(Uid, NewMessage)>) -> Result<()> {
        self.change(|world| {
            let modseq = world.mailbox(mbox)?.modseq.next();
            for (uid, message) in messages {
                let mailbox = world.mailbox(mbox)?;
                if mailbox.messages.iter().any(|message| message.uid == uid)
                    || mailbox.gone.iter().any(|(gone, _)| *gone == uid)
                {
                    return Err(StorageError::Exists);
                }
                world.put(mbox, uid, modseq, message)?;
            }
            Ok(())
        })
    }
}

#[async_trait]
impl Search for Model {
    async fn search(&self, mbox: &Mbox, key: &SearchKey, within: &UidSet) -> Result<SearchHit> {
        self.look(&mbox.account, |account| {
            let mut hit = SearchHit::default();
            for message in account.find(&mbox.id)?.messages.iter().filter(|m| within.contains(m.uid)) {
                match holds(key, message) {
                    Some(true) => hit.yes.insert(message.uid),
                    Some(false) => {}
                    None => hit.maybe.insert(message.uid),
                }
            }
            Ok(hit)
        })
    }
}

/// Whether the key is true of the message; `None` where the model does not look.
fn holds(key: &SearchKey, message: &Message) -> Option<bool> {
    Some(match key {
        SearchKey::All => true,
        SearchKey::Flag(flag) => message.flags.contains(*flag),
        SearchKey::Keyword(keyword) => message.flags.has_keyword(keyword),
        SearchKey::ModSeq(modseq) => message.modseq >= *modseq,
        SearchKey::Larger(size) => message.size > *size,
        SearchKey::Smaller(size) => message.size < *size,
        _ => return None,
    })
}
