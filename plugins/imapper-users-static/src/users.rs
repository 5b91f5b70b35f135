//! The database of users itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use imapper_core::storage::{AccountId, QuotaLimits};
use imapper_core::users::{
    AuthError, ConnectionInfo, CredentialKind, Credentials, ExposeSecret as _, Identity, Manage,
    SecretString, Users,
};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

use crate::hash::{Hash, hash_password_with_cost, off_the_async_threads};
use crate::remembered::Remembered;

/// Users from the configuration.
pub struct Static {
    known: RwLock<Known>,
    with_tokens: bool,
    cost: u32,
    remembered: Remembered,
    /// As many hashes are computed at once as there are cores.
    slots: Arc<Semaphore>,
}

/// Who there is.
pub(crate) struct Known {
    pub(crate) accounts: HashMap<String, Hash>,
    pub(crate) tokens: Vec<(String, SecretString)>,
    pub(crate) quotas: HashMap<String, QuotaLimits>,
}

impl Known {
    pub(crate) fn has(&self, user: &str) -> bool {
        self.accounts.contains_key(user) || self.tokens.iter().any(|(name, _)| name == user)
    }

    fn identity(&self, user: &str) -> Identity {
        let mut identity = Identity::new(user);
        identity.allowance = self.quotas.get(user).copied().unwrap_or_default();
        identity
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens: Vec<&str> = self.tokens.iter().map(|(user, _)| user.as_str()).collect();
        f.debug_struct("Known")
            .field("accounts", &self.accounts.keys())
            .field("tokens", &tokens)
            .field("quotas", &self.quotas)
            .finish()
    }
}

impl fmt::Debug for Static {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Static").field("known", &*self.known()).finish_non_exhaustive()
    }
}

impl Static {
    pub(crate) fn new(known: Known, cost: u32, remembered: Remembered) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            with_tokens: !known.tokens.is_empty(),
            known: RwLock::new(known),
            cost,
            remembered,
            slots: Arc::new(Semaphore::new(cores)),
        }
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    async fn password(&self, user: &str, password: &SecretString) -> Result<(), AuthError> {
        // An empty password, or one that other programs would read as empty, is asked of nobody.
        if password.expose_secret().is_empty() || password.expose_secret().contains('\0') {
            return Err(AuthError::Invalid);
        }
        let age = match self.remembered.knows(user, password.expose_secret()) {
            Ok(()) => return Ok(()),
            Err(age) => age,
        };
        let (hash, known) = {
            let known = self.known();
            match known.accounts.get(user) {
                Some(hash) => (hash.clone(), true),
                None => (Hash::decoy(known.accounts.values()), false),
            }
        };
        let right = hash.verify(password.clone(), &self.slots).await?;
        if !(right && known) {
            return Err(AuthError::Invalid);
        }
        self.remembered.note(user, password.expose_secret(), age);
        Ok(())
    }

    /// The user of a token. Every token is compared, so that time tells nothing about which is near.
    fn bearer(&self, token: &SecretString) -> Result<String, AuthError> {
        let known = self.known();
        let mut found = None;
        for (user, other) in &known.tokens {
            let equal = token.expose_secret().as_bytes().ct_eq(other.expose_secret().as_bytes());
            if bool::from(equal) && !token.expose_secret().is_empty() {
                found = Some(user.clone());
            }
        }
        found.ok_or(AuthError::Invalid)
    }
}

#[async_trait]
impl Users for Static {
    fn kinds(&self) -> &[CredentialKind] {
        if self.with_tokens {
            &[CredentialKind::Password, CredentialKind::Bearer]
        } else {
            &[CredentialKind::Password]
        }
    }

    async fn authenticate(
        &self,
        credentials: &Credentials,
        _connection: &ConnectionInfo,
    ) -> Result<Identity, AuthError> {
        let (user, wanted) = match credentials {
            Credentials::Password { authzid, user, password } => {
                self.password(user, password).await?;
                (user.clone(), authzid.as_deref())
            }
            Credentials::Bearer { user: named, token } => (self.bearer(token)?, named.as_deref()),
            _ => return Err(AuthError::Unsupported),
        };
        // Told only to who has shown to be somebody.
        match wanted {
            Some(wanted) if !wanted.is_empty() && wanted != user => Err(AuthError::NotAuthorized),
            _ => Ok(self.known().identity(&user)),
        }
    }

    async fn lookup(&self, user: &str) -> Result<Option<Identity>, AuthError> {
        let known = self.known();
        Ok(known.has(user).then(|| known.identity(user)))
    }

    fn allowances(&self) -> Vec<(AccountId, QuotaLimits)> {
        let known = self.known();
        known.quotas.iter().map(|(user, most)| (AccountId::from(user.as_str()), *most)).collect()
    }

    fn as_manage(&self) -> Option<&dyn Manage> {
        Some(self)
    }
}

#[async_trait]
impl Manage for Static {
    async fn add(&self, user: &str, password: &SecretString) -> Result<(), AuthError> {
        if user.is_empty() {
            return Err(AuthError::Invalid);
        }
        let (password, cost) = (password.clone(), self.cost);
        let hash =
            off_the_async_threads(&self.slots, move || hash_password_with_cost(&password, cost)).await?;
        let hash = hash.ok().and_then(|hash| Hash::new(&hash)).ok_or(AuthError::Invalid)?;
        self.known_mut().accounts.insert(user.to_owned(), hash);
        self.remembered.forget();
        Ok(())
    }

    /// The user's tokens go too.
    async fn remove(&self, user: &str) -> Result<bool, AuthError> {
        let removed = {
            let mut known = self.known_mut();
            let before = known.tokens.len();
            known.tokens.retain(|(name, _)| name != user);
            known.accounts.remove(user).is_some() || known.tokens.len() < before
        };
        self.remembered.forget();
        Ok(removed)
    }
}
