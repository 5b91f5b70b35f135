//! What the operator lets accounts keep. Their own limits and what they use belong to the accounts.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use imapper_core::storage::{AccountId, QuotaLimits};

/// What the operator lets accounts keep.
#[derive(Debug, Default)]
pub(crate) struct Allowed(RwLock<(QuotaLimits, HashMap<AccountId, QuotaLimits>)>);

impl Allowed {
    pub(crate) fn of(&self, account: &AccountId) -> QuotaLimits {
        let allowed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        allowed.1.get(account).map_or(allowed.0, |own| own.or(allowed.0))
    }

    pub(crate) fn set(&self, account: Option<&AccountId>, most: QuotaLimits) {
        let mut allowed = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match account {
            None => allowed.0 = most,
            // Nothing is kept for those, most of all, who are as everybody is.
            Some(account) if most == QuotaLimits::NONE => drop(allowed.1.remove(account)),
            Some(account) => drop(allowed.1.insert(account.clone(), most)),
        }
    }
}
