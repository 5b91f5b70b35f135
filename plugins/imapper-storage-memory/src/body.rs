//! Bodies: kept once, shared by all copies of a message, gone with the last of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use bytes::Bytes;
use imapper_core::storage::{KeptDigest, MailboxId, Result, StorageError};
use imapper_core::types::{BodyRef, Uid};

/// Where bodies are found by their key. It holds none of them alive: messages do, and tokens.
#[derive(Debug)]
pub(crate) struct Bodies {
    next: AtomicU64,
    all: RwLock<HashMap<u64, Weak<Body>>>,
    staged: AtomicU64,
    max_staged: u64,
}

/// A body.
#[derive(Debug)]
pub(crate) struct Body {
    key: u64,
    octets: Bytes,
    digest: RwLock<Option<KeptDigest>>,
    /// Where it was appended from its staged form, so that the same token gives the same UID again.
    appended: Mutex<Vec<(MailboxId, Uid)>>,
    home: Weak<Bodies>,
}

impl Bodies {
    pub(crate) fn new(max_staged: u64) -> Self {
        Self { next: AtomicU64::new(1), all: RwLock::default(), staged: AtomicU64::new(0), max_staged }
    }

    /// Takes octets in.
    pub(crate) fn keep(self: &Arc<Self>, octets: Bytes) -> Arc<Body> {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let body = Arc::new(Body {
            key,
            octets,
            digest: RwLock::default(),
            appended: Mutex::default(),
            home: Arc::downgrade(self),
        });
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(key, Arc::downgrade(&body));
        body
    }

    /// The body that a token or a [`BodyRef`] names.
    pub(crate) fn find(&self, name: &[u8]) -> Result<Arc<Body>> {
        let key = u64::from_be_bytes(name.try_into().map_err(|_| StorageError::Gone)?);
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&key).and_then(Weak::upgrade).ok_or(StorageError::Gone)
    }

    /// Counts octets against the bound of what is staged, until the result is dropped.
    pub(crate) fn reserve(self: &Arc<Self>) -> Reserved {
        Reserved { octets: 0, bodies: Arc::clone(self) }
    }

    /// How many bodies there are.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.all.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many octets are staged.
    #[cfg(test)]
    pub(crate) fn staged(&self) -> u64 {
        self.staged.load(Ordering::Relaxed)
    }
}

impl Body {
    pub(crate) fn octets(&self) -> &Bytes {
        &self.octets
    }

    pub(crate) fn size(&self) -> u64 {
        self.octets.len() as u64
    }

    pub(crate) fn digest(&self) -> Option<KeptDigest> {
        self.digest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn put_digest(&self, digest: KeptDigest) {
        *self.digest.write().unwrap_or_else(PoisonError::into_inner) = Some(digest);
    }

    /// The UID that appending this body gave it in a mailbox.
    pub(crate) fn appended_as(&self, mailbox: &MailboxId) -> Option<Uid> {
        let appended = self.appended.lock().unwrap_or_else(PoisonError::into_inner);
        appended.iter().find(|(id, _)| id == mailbox).map(|(_, uid)| *uid)
    }

    pub(crate) fn note_appended(&self, mailbox: MailboxId, uid: Uid) {
        self.appended.lock().unwrap_or_else(PoisonError::into_inner).push((mailbox, uid));
    }

    /// A reference that keeps the body readable for as long as anybody holds it, so that a FETCH goes on
    /// when another session removes the message.
    pub(crate) fn reference(self: &Arc<Self>) -> BodyRef {
        BodyRef(Bytes::from_owner(Name {
            key: self.key.to_be_bytes(),
            _body: Arc::clone(self),
            _reserved: None,
        }))
    }

    /// A token that keeps the body until the last copy of the token is dropped.
    pub(crate) fn token(self: &Arc<Self>, reserved: Reserved) -> Bytes {
        let key = self.key.to_be_bytes();
        Bytes::from_owner(Name { key, _body: Arc::clone(self), _reserved: Some(reserved) })
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.all.write().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        }
    }
}

/// The octets of a token or a reference, and what they keep alive.
struct Name {
    key: [u8; 8],
    _body: Arc<Body>,
    _reserved: Option<Reserved>,
}

impl AsRef<[u8]> for Name {
    fn as_ref(&self) -> &[u8] {
        &self.key
    }
}

/// A share of the room for staged bodies.
pub(crate) struct Reserved {
    octets: u64,
    bodies: Arc<Bodies>,
}

impl Reserved {
    /// Takes more room; [`StorageError::Busy`] when there is none, until somebody appends or gives up.
    pub(crate) fn grow(&mut self, octets: u64) -> Result<()> {
        let before = self.bodies.staged.fetch_add(octets, Ordering::Relaxed);
        self.octets = self.octets.saturating_add(octets);
        if before.saturating_add(octets) > self.bodies.max_staged { Err(StorageError::Busy) } else { Ok(()) }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.bodies.staged.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_lives_as_long_as_a_token_a_reference_or_a_message() {
        let bodies = Arc::new(Bodies::new(1000));
        let body = bodies.keep(Bytes::from_static(b"hello"));
        let mut reserved = bodies.reserve();
        reserved.grow(5).unwrap();
        let token = body.token(reserved);
        drop(body);
        let copy = token.clone();
        drop(token);
        let reference = bodies.find(&copy).unwrap().reference();
        drop(copy);
        assert_eq!(bodies.staged(), 0);
        assert_eq!(bodies.find(&reference.0).unwrap().octets(), "hello");
        drop(reference);
        assert_eq!(bodies.count(), 0);
    }

    #[test]
    fn staged_octets_are_bounded() {
        let bodies = Arc::new(Bodies::new(10));
        let mut one = bodies.reserve();
        one.grow(10).unwrap();
        let mut two = bodies.reserve();
        assert!(matches!(two.grow(1), Err(StorageError::Busy)));
        drop((one, two));
        bodies.reserve().grow(10).unwrap();
    }

    #[test]
    fn a_made_up_name_is_none() {
        let bodies = Bodies::new(10);
        assert!(matches!(bodies.find(b""), Err(StorageError::Gone)));
        assert!(matches!(bodies.find(&[0; 8]), Err(StorageError::Gone)));
    }
}
