//! The optional features of a storage that [`Memory`] has.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use imapper_core::storage::{
    AccountId, Attribute, Attributes, Event, Import, MailboxId, Mbox, NewMessage, Numbers, Objects, Result,
    StorageError,
};
use imapper_core::types::{ModSeq, Uid};

use crate::Memory;
use crate::account::{Account, State};
use crate::mailbox::{Mailbox, Message};
use crate::tree::INBOX;

/// Keys of rights begin so; the rest is whom they are given to.
const RIGHT: &str = "acl/";

#[async_trait]
impl Attributes for Memory {
    async fn get(
        &self,
        account: &AccountId,
        mbox: Option<&MailboxId>,
        prefix: &str,
    ) -> Result<Vec<Attribute>> {
        let account = self.account(account)?;
        let state = account.read();
        if let Some(id) = mbox {
            state.any(id)?;
        }
        let from = (mbox.cloned(), prefix.to_owned());
        let found = state
            .attributes
            .range(from..)
            .take_while(|((owner, key), _)| owner.as_ref() == mbox && key.starts_with(prefix));
        let found = found.map(|((mbox, key), (value, modseq))| Attribute {
            mbox: mbox.clone(),
            key: key.clone(),
            value: Some(value.clone()),
            modseq: *modseq,
        });
        Ok(found.collect())
    }

    async fn set(&self, account: &AccountId, attributes: Vec<Attribute>) -> Result<ModSeq> {
        let owner = self.account(account)?;
        let (modseq, changed) = owner.write().set_attributes(attributes)?;
        if changed.is_empty() {
            return Ok(modseq);
        }
        owner.tell(Event::Tree);
        for who in changed.iter().filter_map(|key| key.strip_prefix(RIGHT)) {
            self.tell_holder(who, account);
        }
        Ok(modseq)
    }

    async fn holders(&self, key: &str) -> Result<Vec<(AccountId, MailboxId)>> {
        let mut holders = Vec::new();
        for (account, state) in self.known_accounts() {
            let state = state.read();
            let owners = state.attributes.keys().filter(|(_, at)| at == key);
            holders.extend(owners.filter_map(|(owner, _)| Some((account.clone(), owner.clone()?))));
        }
        Ok(holders)
    }
}

impl State {
    /// Sets all or none; gives the keys whose value is another now.
    fn set_attributes(&mut self, attributes: Vec<Attribute>) -> Result<(ModSeq, Vec<String>)> {
        for id in attributes.iter().filter_map(|attribute| attribute.mbox.as_ref()) {
            self.any(id)?;
        }
        let modseq = self.attributes_modseq.next();
        let mut changed = Vec::new();
        for Attribute { mbox, key, value, .. } in attributes {
            let place = (mbox, key);
            if self.attributes.get(&place).map(|(value, _)| value) == value.as_ref() {
                continue;
            }
            changed.push(place.1.clone());
            match value {
                Some(value) => self.attributes.insert(place, (value, modseq)),
                None => self.attributes.remove(&place),
            };
        }
        if !changed.is_empty() {
            self.attributes_modseq = modseq;
        }
        Ok((self.attributes_modseq, changed))
    }
}

impl Memory {
    /// Tells the account that was given a right, or everybody.
    fn tell_holder(&self, who: &str, owner: &AccountId) {
        for (id, account) in self.known_accounts() {
            if id != *owner && (who == "anyone" || id.as_str() == who) {
                account.tell(Event::Tree);
            }
        }
    }
}

#[async_trait]
impl Objects for Memory {
    async fn places(&self, account: &AccountId, emails: &[u64]) -> Result<Vec<(u64, MailboxId, Uid)>> {
        let account = self.account(account)?;
        let state = account.read();
        let places = |email: &u64| {
            let email = *email;
            state.places(email).iter().map(move |(id, uid)| (email, id.clone(), *uid))
        };
        Ok(emails.iter().flat_map(places).collect())
    }
}

#[async_trait]
impl Import for Memory {
    /// An INBOX that came into being by itself and is empty gives way, as it can't be deleted before.
    async fn create(&self, account: &AccountId, name: &str, numbers: Numbers) -> Result<MailboxId> {
        let account: Arc<Account> = self.account(account)?;
        let id = self.ids.mailbox();
        {
            let mut state = account.write();
            if name != INBOX || state.by_name(name).is_some_and(|inbox| !inbox.is_empty()) {
                state.check_free(name)?;
            }
            state.clear(name);
            state.use_validity(numbers.uid_validity);
            let mut mailbox = Mailbox::new(id.clone(), name.to_owned(), numbers.uid_validity);
            mailbox.uid_next = numbers.uid_next;
            mailbox.begin_at(numbers.highest_modseq);
            state.add(mailbox);
        }
        account.tell(Event::Tree);
        Ok(id)
    }

    async fn put(&self, mbox: &Mbox, messages: Vec<(Uid, NewMessage)>) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut found = Vec::with_capacity(messages.len());
        for (uid, message) in messages {
            found.push((uid, self.bodies.find(&message.staged.token)?, message));
        }
        found.sort_by_key(|(uid, ..)| *uid);
        if found.windows(2).any(|pair| matches!(pair, [(a, ..), (b, ..)] if a == b)) {
            return Err(StorageError::Exists);
        }
        let (account, now) = (self.account(&mbox.account)?, SystemTime::now());
        let modseq = {
            let mut state = account.write();
            let mailbox = state.mailbox(&mbox.id)?;
            if found.iter().any(|(uid, ..)| mailbox.is_taken(*uid)) {
                return Err(StorageError::Exists);
            }
            if found.iter().any(|(uid, ..)| *uid == Uid::MAX) {
                return Err(StorageError::Limit("no UID lies above the highest"));
            }
            let octets = found.iter().map(|(_, body, _)| body.size()).sum();
            state.check_room(self.allowed.of(&mbox.account), octets, found.len())?;
            let mailbox = state.mailbox_mut(&mbox.id)?;
            mailbox.admit(found.iter().map(|(_, _, message)| &message.flags))?;
            let mut new = Vec::with_capacity(found.len());
            for (uid, body, message) in found {
                if let Some(digest) = message.digest {
                    body.put_digest(digest);
                }
                let email_id = message.email_id.unwrap_or_else(|| self.ids.next());
                let keys: Arc<[u64]> = message.thread_keys.into();
                let thread_id = state.enter(&self.ids, email_id, &keys, &mbox.id, (uid, body.size()));
                let (flags, internal_date) = (message.flags, message.internal_date);
                let save_date = message.save_date.unwrap_or(now);
                let modseq = ModSeq::ZERO;
                new.push((
                    uid,
                    Message { flags, modseq, internal_date, save_date, email_id, thread_id, body },
                ));
            }
            let mailbox = state.mailbox_mut(&mbox.id)?;
            mailbox.insert(new);
            mailbox.modseq()
        };
        account.tell(Event::Mailbox { id: mbox.id.clone(), modseq });
        Ok(())
    }

    async fn set_special_use(&self, mbox: &Mbox, uses: Vec<Arc<str>>) -> Result<()> {
        let account = self.account(&mbox.account)?;
        account.write().mailbox_mut(&mbox.id)?.special_use = uses;
        account.tell(Event::Tree);
        Ok(())
    }
}
