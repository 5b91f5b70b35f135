//! What a users plugin implements: who may log in, and which account that opens.

pub mod sasl;

use std::net::IpAddr;

use async_trait::async_trait;
pub use secrecy::{ExposeSecret, SecretString};

pub use sasl::{Exchange, Mechanism, Step};

use crate::storage::{AccountId, QuotaLimits};

/// A user that has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The user's canonical name.
    pub name: String,
    /// The account that is opened.
    pub account: AccountId,
    /// Whether this is RFC 4505's anonymous user, who sees only what is open to all.
    pub anonymous: bool,
    /// The groups that the user belongs to.
    pub groups: Vec<String>,
    /// What the account may keep at most, where that is another limit than other accounts have.
    pub allowance: QuotaLimits,
}

impl Identity {
    /// A user whose account has the user's own name.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            account: AccountId::from(name.as_str()),
            name,
            anonymous: false,
            groups: Vec::new(),
            allowance: QuotaLimits::NONE,
        }
    }
}

/// What a client brings to show who it is. Never logged: secrets have no readable `Debug`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// A user name and a password (LOGIN, RFC 4616).
    Password {
        /// Who acts on whose behalf: the identity to act as, if it is not the user itself.
        authzid: Option<String>,
        /// The user.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// An OAuth 2.0 bearer token (RFC 6750, RFC 7628).
    Bearer {
        /// The user that the client names, if it does.
        user: Option<String>,
        /// The token.
        token: SecretString,
    },
}

/// A kind of [`Credentials`], for asking what a plugin can verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialKind {
    /// [`Credentials::Password`]
    Password,
    /// [`Credentials::Bearer`]
    Bearer,
}

/// Where somebody logs in from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The connection's number, as in the log.
    pub id: u64,
    /// The peer's address; `None` for a local socket or a pipe.
    pub peer: Option<IpAddr>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Whether it could be, by STARTTLS.
    pub can_start_tls: bool,
}

impl ConnectionInfo {
    /// A connection with that number.
    pub const fn new(id: u64, peer: Option<IpAddr>, tls: bool) -> Self {
        Self { id, peer, tls, can_start_tls: false }
    }

    /// Whether the peer is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.peer.is_none_or(|address| address.to_canonical().is_loopback())
    }
}

/// Why somebody may not log in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// No such user, or a wrong password: which of both is told to nobody (NO with AUTHENTICATIONFAILED).
    #[error("invalid credentials")]
    Invalid,
    /// The credentials are right, but not for that identity (NO with AUTHORIZATIONFAILED).
    #[error("not authorised for that identity")]
    NotAuthorized,
    /// The plugin can't verify credentials of that kind.
    #[error("credentials of that kind are not supported")]
    Unsupported,
    /// The user database is away (NO with UNAVAILABLE).
    #[error("user database unavailable: {0}")]
    Unavailable(#[source] crate::storage::error::Cause),
}

/// A database of users.
///
/// Failures must take the same time whether or not the user exists, and costly hashes be computed off the
/// async threads with a bound on how many at once.
#[async_trait]
pub trait Users: Send + Sync + 'static {
    /// The kinds of credentials that [`Users::authenticate`] can verify. A mechanism that brings another
    /// kind is not announced.
    fn kinds(&self) -> &[CredentialKind];

    /// Verifies credentials.
    async fn authenticate(
        &self,
        credentials: &Credentials,
        connection: &ConnectionInfo,
    ) -> Result<Identity, AuthError>;

    /// The user of that name, without logging in: whether mail for it can be delivered.
    /// [`AuthError::Unsupported`] if the plugin can't tell.
    async fn lookup(&self, _user: &str) -> Result<Option<Identity>, AuthError> {
        Err(AuthError::Unsupported)
    }

    /// What single accounts may keep at most, as far as that can be told without a login. The server asks when it
    /// begins and after a reload; what is not told here holds from the user's next login on.
    fn allowances(&self) -> Vec<(AccountId, QuotaLimits)> {
        Vec::new()
    }

    /// Adding and removing users while the server runs, if that can be done.
    fn as_manage(&self) -> Option<&dyn Manage> {
        None
    }
}

/// Adding and removing users.
#[async_trait]
pub trait Manage: Send + Sync {
    /// Adds a user, or gives it another password.
    async fn add(&self, user: &str, password: &SecretString) -> Result<(), AuthError>;
    /// Removes a user; `false` if there is none.
    async fn remove(&self, user: &str) -> Result<bool, AuthError>;
}

/// Several databases, asked in order. The first that knows the user decides.
pub struct Chain(Vec<std::sync::Arc<dyn Users>>, Vec<CredentialKind>);

impl Chain {
    /// The databases in the order in which they are asked.
    pub fn new(users: Vec<std::sync::Arc<dyn Users>>) -> Self {
        let mut kinds: Vec<CredentialKind> = Vec::new();
        for kind in users.iter().flat_map(|users| users.kinds()) {
            if !kinds.contains(kind) {
                kinds.push(*kind);
            }
        }
        Self(users, kinds)
    }
}

#[async_trait]
impl Users for Chain {
    fn kinds(&self) -> &[CredentialKind] {
        &self.1
    }

    async fn authenticate(
        &self,
        credentials: &Credentials,
        connection: &ConnectionInfo,
    ) -> Result<Identity, AuthError> {
        let mut refusal = AuthError::Invalid;
        for users in &self.0 {
            match users.authenticate(credentials, connection).await {
                Ok(identity) => return Ok(identity),
                Err(AuthError::Invalid | AuthError::Unsupported) => {}
                // A later database may still know the user; if none does, this is what is told.
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    async fn lookup(&self, user: &str) -> Result<Option<Identity>, AuthError> {
        let mut answer = Err(AuthError::Unsupported);
        for users in &self.0 {
            match users.lookup(user).await {
                Ok(Some(identity)) => return Ok(Some(identity)),
                Ok(None) => answer = Ok(None),
                Err(AuthError::Unsupported) => {}
                Err(error) => return Err(error),
            }
        }
        answer
    }

    fn allowances(&self) -> Vec<(AccountId, QuotaLimits)> {
        // The last that is told holds, so the first database is asked last.
        self.0.iter().rev().flat_map(|users| users.allowances()).collect()
    }

    fn as_manage(&self) -> Option<&dyn Manage> {
        self.0.iter().find_map(|users| users.as_manage())
    }
}
