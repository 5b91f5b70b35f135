//! The model's optional features, with one fault.

use std::sync::Arc;

use async_trait::async_trait;
use imapper_core::storage::{
    AccountId, Attribute, Attributes, Import, MailboxId, Mbox, NewMessage, Numbers, Objects, Quota,
    QuotaLimits, QuotaUse, Result, Search, SearchHit, SearchKey, StorageError,
};
use imapper_core::types::{ModSeq, Uid, UidSet};

use super::storage::{Fault, Faulty};

#[async_trait]
impl Attributes for Faulty {
    async fn get(
        &self,
        account: &AccountId,
        mbox: Option<&MailboxId>,
        prefix: &str,
    ) -> Result<Vec<Attribute>> {
        let mut found = self.model.get(account, mbox, prefix).await?;
        if self.fault == Fault::AttributeModSeqLost {
            for attribute in &mut found {
                attribute.modseq = ModSeq::ZERO;
            }
        }
        Ok(found)
    }

    async fn set(&self, account: &AccountId, attributes: Vec<Attribute>) -> Result<ModSeq> {
        if self.fault != Fault::AttributesHalfSet {
            return self.model.set(account, attributes).await;
        }
        let mut modseq = ModSeq::ZERO;
        for attribute in attributes {
            modseq = self.model.set(account, vec![attribute]).await?;
        }
        Ok(modseq)
    }

    async fn holders(&self, key: &str) -> Result<Vec<(AccountId, MailboxId)>> {
        self.model.holders(key).await
    }
}

#[async_trait]
impl Quota for Faulty {
    async fn usage(&self, account: &AccountId) -> Result<QuotaUse> {
        self.model.usage(account).await
    }

    async fn set_limit(&self, account: &AccountId, limits: QuotaLimits) -> Result<()> {
        if self.fault == Fault::LimitIgnored {
            return Ok(());
        }
        match self.model.set_limit(account, limits).await {
            Err(StorageError::Denied) if self.fault == Fault::LimitAboveTaken => Ok(()),
            set => set,
        }
    }

    fn allow(&self, account: Option<&AccountId>, most: QuotaLimits) {
        self.model.allow(account.filter(|_| self.fault != Fault::OneAllowedForAll), most);
    }
}

#[async_trait]
impl Objects for Faulty {
    async fn places(&self, account: &AccountId, emails: &[u64]) -> Result<Vec<(u64, MailboxId, Uid)>> {
        let mut places = self.model.places(account, emails).await?;
        if self.fault == Fault::PlacesOfOthers && account.as_str() != "jill" {
            places.extend(self.model.places(&AccountId::from("jill"), emails).await?);
        }
        Ok(places)
    }
}

#[async_trait]
impl Import for Faulty {
    async fn create(&self, account: &AccountId, name: &str, mut numbers: Numbers) -> Result<MailboxId> {
        if self.fault == Fault::ModSeqBegunAnew {
            numbers.highest_modseq = ModSeq::ZERO;
        }
        Import::create(&*self.model, account, name, numbers).await
    }

    async fn put(&self, mbox: &Mbox, messages: Vec<(Uid, NewMessage)>) -> Result<()> {
        match self.model.put(mbox, messages).await {
            Err(StorageError::Exists) if self.fault == Fault::GoneUidImported => Ok(()),
            put => put,
        }
    }

    async fn set_special_use(&self, mbox: &Mbox, uses: Vec<Arc<str>>) -> Result<()> {
        match self.fault {
            Fault::SpecialUseAdded if uses.is_empty() => Ok(()),
            _ => self.model.set_special_use(mbox, uses).await,
        }
    }
}

#[async_trait]
impl Search for Faulty {
    async fn search(&self, mbox: &Mbox, key: &SearchKey, within: &UidSet) -> Result<SearchHit> {
        let mut hit = self.model.search(mbox, key, within).await?;
        match self.fault {
            Fault::SearchLies => hit.yes = hit.yes.union(&hit.maybe),
            Fault::SearchLoses => hit.maybe = UidSet::new(),
            _ => {}
        }
        Ok(hit)
    }
}
