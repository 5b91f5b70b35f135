//! Setting the users up.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use imapper_core::storage::QuotaLimits;
use imapper_core::users::SecretString;

use crate::hash::{COST, Hash, HashError, hash_password_with_cost};
use crate::remembered::Remembered;
use crate::users::{Known, Static};

/// bcrypt's lowest cost: for tests, which have no secrets.
const TEST_COST: u32 = 4;

/// How long a password that was right is remembered.
const LIFETIME: Duration = Duration::from_mins(1);

/// Why users can't be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A user has no name.
    #[error("a user's name is empty")]
    NoName,
    /// A name stands there twice.
    #[error("the user `{0}` is there twice")]
    Twice(String),
    /// What stands for the user is no hash. It is not told, as it may be the password.
    #[error("what stands for the user `{0}` is no bcrypt hash; `imapper passwd {0}` makes one")]
    NoHash(String),
    /// Limits are given for a user that there is not.
    #[error("limits are given for `{0}`, but there is no such user")]
    Nobody(String),
    /// A token is empty.
    #[error("the token of the user `{0}` is empty")]
    NoToken(String),
    /// A password can't be hashed.
    #[error("the password of the user `{user}`: {source}")]
    Password {
        /// Whose.
        user: String,
        /// Why.
        source: HashError,
    },
}

/// Sets [`Static`] users up.
#[must_use]
pub struct Builder {
    known: Known,
    cost: u32,
    lifetime: Duration,
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Static {
    /// Nobody yet.
    pub fn builder() -> Builder {
        Builder {
            known: Known { accounts: HashMap::new(), tokens: Vec::new(), quotas: HashMap::new() },
            cost: COST,
            lifetime: LIFETIME,
            clock: Box::new(Instant::now),
        }
    }
}

impl Builder {
    /// A user with the bcrypt hash of a password: `$2a$`, `$2b$`, `$2x$` or `$2y$`.
    pub fn account(mut self, user: &str, hash: &str) -> Result<Self, SetupError> {
        if user.is_empty() {
            return Err(SetupError::NoName);
        }
        let hash = Hash::new(hash).ok_or_else(|| SetupError::NoHash(user.to_owned()))?;
        if self.known.accounts.insert(user.to_owned(), hash).is_some() {
            return Err(SetupError::Twice(user.to_owned()));
        }
        Ok(self)
    }

    /// A bearer token that logs a user in, with or without a password beside it.
    pub fn token(mut self, user: &str, token: &str) -> Result<Self, SetupError> {
        if user.is_empty() {
            return Err(SetupError::NoName);
        }
        if token.is_empty() {
            return Err(SetupError::NoToken(user.to_owned()));
        }
        self.known.tokens.push((user.to_owned(), SecretString::from(token)));
        Ok(self)
    }

    /// What a user that has been added may keep at most, in the place of what all may.
    pub fn quota(mut self, user: &str, most: QuotaLimits) -> Result<Self, SetupError> {
        if !self.known.has(user) {
            return Err(SetupError::Nobody(user.to_owned()));
        }
        self.known.quotas.insert(user.to_owned(), most);
        Ok(self)
    }

    /// A user with a password as it is, for tests: it is hashed at bcrypt's lowest cost.
    pub fn plain_password(self, user: &str, password: &str) -> Result<Self, SetupError> {
        let hash = hash_password_with_cost(&SecretString::from(password), TEST_COST);
        let hash = hash.map_err(|source| SetupError::Password { user: user.to_owned(), source })?;
        self.account(user, &hash)
    }

    /// The cost of hashes for users that are added later, from 4 to 31; 10 without it.
    pub fn cost(mut self, cost: u32) -> Self {
        self.cost = cost.clamp(TEST_COST, 31);
        self
    }

    /// How long a password that was right is remembered; a minute without it, zero for not at all.
    pub const fn remember(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// The clock by which passwords are remembered, for tests.
    pub fn clock(mut self, clock: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// The users.
    pub fn build(self) -> Static {
        Static::new(self.known, self.cost, Remembered::new(self.lifetime, self.clock))
    }
}
