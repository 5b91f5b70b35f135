//! What accounts use and may use. An account's own limits and its use are part of its state, behind its lock; what the
//! operator allows lies beside all accounts.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use async_trait::async_trait;
use imapper_core::storage::{AccountId, Quota, QuotaLimits, QuotaUse, Result, StorageError};

use crate::Memory;
use crate::account::State;

/// What the operator lets accounts keep.
#[derive(Debug, Default)]
pub(crate) struct Allowed(RwLock<(QuotaLimits, HashMap<AccountId, QuotaLimits>)>);

impl Allowed {
    pub(crate) fn of(&self, account: &AccountId) -> QuotaLimits {
        let allowed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        allowed.1.get(account).map_or(allowed.0, |own| own.or(allowed.0))
    }
}

impl State {
    /// What is used, with the limits that hold where the operator allows no more than `most`.
    pub(crate) fn quota(&self, most: QuotaLimits) -> QuotaUse {
        QuotaUse { limits: self.used.limits.within(most), ..self.used }
    }

    /// That so many octets in so many messages more fit in.
    pub(crate) fn check_room(&self, most: QuotaLimits, octets: u64, messages: usize) -> Result<()> {
        let has_room = self.quota(most).has_room(octets, messages as u64);
        if has_room { Ok(()) } else { Err(StorageError::OverQuota) }
    }
}

#[async_trait]
impl Quota for Memory {
    async fn usage(&self, account: &AccountId) -> Result<QuotaUse> {
        Ok(self.account(account)?.read().quota(self.allowed.of(account)))
    }

    async fn set_limit(&self, account: &AccountId, limits: QuotaLimits) -> Result<()> {
        if limits.is_above(self.allowed.of(account)) {
            return Err(StorageError::Denied);
        }
        self.account(account)?.write().used.limits = limits;
        Ok(())
    }

    fn allow(&self, account: Option<&AccountId>, most: QuotaLimits) {
        let mut allowed = self.allowed.0.write().unwrap_or_else(PoisonError::into_inner);
        match account {
            None => allowed.0 = most,
            // Nothing is kept for those, most of all, who are as everybody is.
            Some(account) if most == QuotaLimits::NONE => drop(allowed.1.remove(account)),
            Some(account) => drop(allowed.1.insert(account.clone(), most)),
        }
    }
}
