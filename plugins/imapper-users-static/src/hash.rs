//! bcrypt: making hashes, and verifying passwords without blocking the async threads.

use std::str::FromStr as _;
use std::sync::Arc;

use bcrypt::HashParts;
use imapper_core::users::{AuthError, ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

/// The cost of hashes that are made here: about 50 ms.
pub(crate) const COST: u32 = 10;

/// What bcrypt looks at; what comes after counts for nothing.
const MAX_OCTETS: usize = 72;

/// The costs that bcrypt knows.
const COSTS: std::ops::RangeInclusive<u32> = 4..=31;

/// Verified when there is no other hash to spend the time on.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuuAbCdEfGhIjKlMnOpQrStUvWxYz01236";

/// Why a password can't be hashed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// An empty password never logs in.
    #[error("the password is empty")]
    Empty,
    /// bcrypt would pass over what comes after the 72nd octet.
    #[error("the password is longer than 72 octets")]
    TooLong,
    /// Other programs end a password at a NUL.
    #[error("the password contains a NUL")]
    Nul,
    /// The system has no randomness.
    #[error("no salt could be made: {0}")]
    Salt(#[source] bcrypt::BcryptError),
}

/// The bcrypt hash of a password, as `accounts` takes it. Takes about 50 ms: not for an async thread.
pub fn hash_password(password: &SecretString) -> Result<String, HashError> {
    hash_password_with_cost(password, COST)
}

/// The same at another cost, from 4 to 31: for tests, which have nothing to hide.
pub fn hash_password_with_cost(password: &SecretString, cost: u32) -> Result<String, HashError> {
    let password = password.expose_secret();
    if password.is_empty() {
        return Err(HashError::Empty);
    }
    if password.len() > MAX_OCTETS {
        return Err(HashError::TooLong);
    }
    if password.contains('\0') {
        return Err(HashError::Nul);
    }
    bcrypt::hash(password, cost).map_err(HashError::Salt)
}

/// A hash that has the right form.
#[derive(Clone)]
pub(crate) struct Hash {
    text: Arc<str>,
    cost: u32,
}

impl Hash {
    /// `None` if the text is no bcrypt hash.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let cost = HashParts::from_str(text).ok()?.get_cost();
        COSTS.contains(&cost).then(|| Self { text: text.into(), cost })
    }

    pub(crate) const fn cost(&self) -> u32 {
        self.cost
    }

    /// The hash to verify an unknown user's password against: the costliest one, or that of nobody.
    pub(crate) fn decoy<'a>(known: impl Iterator<Item = &'a Self>) -> Self {
        let costliest = known.max_by_key(|hash| hash.cost());
        costliest.cloned().unwrap_or_else(|| Self { text: NOBODY.into(), cost: COST })
    }

    /// Whether it is the hash of that password. Octets after the 72nd are passed over, as by the tools that
    /// make such hashes.
    pub(crate) async fn verify(
        self,
        password: SecretString,
        slots: &Arc<Semaphore>,
    ) -> Result<bool, AuthError> {
        let verify = move || bcrypt::verify(password.expose_secret(), &self.text);
        match off_the_async_threads(slots, verify).await? {
            Ok(right) => Ok(right),
            Err(error) => Err(AuthError::Unavailable(error.into())),
        }
    }
}

/// Computes something costly on the blocking pool, when one of the slots is free.
pub(crate) async fn off_the_async_threads<T: Send + 'static>(
    slots: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AuthError> {
    let slot =
        Arc::clone(slots).acquire_owned().await.map_err(|error| AuthError::Unavailable(error.into()))?;
    let work = tokio::task::spawn_blocking(move || {
        // Held here, so that a client that hangs up frees the slot only when the core is free too.
        let _slot = slot;
        work()
    });
    work.await.map_err(|error| AuthError::Unavailable(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_every_tool_have_the_form() {
        let rest = "04$abcdefghijklmnopqrstuuAbCdEfGhIjKlMnOpQrStUvWxYz01236";
        for version in ["2a", "2b", "2x", "2y"] {
            assert_eq!(
                Hash::new(&format!("${version}${rest}")).map(|hash| hash.cost()),
                Some(4),
                "{version}"
            );
        }
        for wrong in [
            "",
            "secret",
            "$1$abc$def",
            "$2b$04$abc",
            "$2b$32$abcdefghijklmnopqrstuuAbCdEfGhIjKlMnOpQrStUvWxYz01236",
        ] {
            assert!(Hash::new(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_hash_of_nobody_is_one_and_of_the_usual_cost() {
        assert_eq!(Hash::new(NOBODY).map(|hash| hash.cost()), Some(COST));
        let cheap = Hash::new(&bcrypt::hash("x", 4).unwrap()).unwrap();
        let dear = Hash::new(&bcrypt::hash("x", 5).unwrap()).unwrap();
        assert_eq!(Hash::decoy([&cheap, &dear, &cheap].into_iter()).cost(), 5);
    }

    #[test]
    fn what_bcrypt_would_cut_off_is_refused() {
        let hash = |text: String| hash_password_with_cost(&SecretString::from(text), 4);
        assert!(hash("x".repeat(72)).is_ok());
        assert!(matches!(hash("x".repeat(73)), Err(HashError::TooLong)));
        assert!(matches!(hash(String::new()), Err(HashError::Empty)));
        assert!(matches!(hash("a\0b".to_owned()), Err(HashError::Nul)));
    }
}
