//! The user databases, which can be read anew while the server runs.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use imapper_core::storage::{AccountId, QuotaLimits};
use imapper_core::users::{
    AuthError, ConnectionInfo, CredentialKind, Credentials, Identity, Manage, SecretString, Users,
};

/// Users that can be exchanged for others. Sessions that are logged in go on.
pub(crate) struct Reloadable {
    current: ArcSwap<Arc<dyn Users>>,
    /// As they were at start: the mechanisms that are announced depend on them.
    kinds: Vec<CredentialKind>,
    manages: bool,
}

impl Reloadable {
    pub(crate) fn new(users: Arc<dyn Users>) -> Self {
        let (kinds, manages) = (users.kinds().to_vec(), users.as_manage().is_some());
        Self { current: ArcSwap::from_pointee(users), kinds, manages }
    }

    /// Takes other users from now on.
    pub(crate) fn replace(&self, users: Arc<dyn Users>) {
        self.current.store(Arc::new(users));
    }
}

#[async_trait]
impl Users for Reloadable {
    fn kinds(&self) -> &[CredentialKind] {
        &self.kinds
    }

    async fn authenticate(
        &self,
        credentials: &Credentials,
        connection: &ConnectionInfo,
    ) -> Result<Identity, AuthError> {
        let users = self.current.load_full();
        users.authenticate(credentials, connection).await
    }

    async fn lookup(&self, user: &str) -> Result<Option<Identity>, AuthError> {
        let users = self.current.load_full();
        users.lookup(user).await
    }

    fn allowances(&self) -> Vec<(AccountId, QuotaLimits)> {
        self.current.load().allowances()
    }

    fn as_manage(&self) -> Option<&dyn Manage> {
        self.manages.then_some(self)
    }
}

#[async_trait]
impl Manage for Reloadable {
    async fn add(&self, user: &str, password: &SecretString) -> Result<(), AuthError> {
        let users = self.current.load_full();
        users.as_manage().ok_or(AuthError::Unsupported)?.add(user, password).await
    }

    async fn remove(&self, user: &str) -> Result<bool, AuthError> {
        let users = self.current.load_full();
        users.as_manage().ok_or(AuthError::Unsupported)?.remove(user).await
    }
}
