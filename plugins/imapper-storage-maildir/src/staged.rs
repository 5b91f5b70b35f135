//! Bodies that are taken in and that no message has yet: files in `tmp/` of the account's folder. A file goes when the
//! last copy of its token does; after a crash it is swept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use imapper_core::storage::{Result, StorageError};

use crate::disk::Disk;

/// How many octets are on their way in.
#[derive(Debug)]
pub(crate) struct Staging {
    octets: AtomicU64,
    most: u64,
}

impl Staging {
    pub(crate) const fn new(most: u64) -> Self {
        Self { octets: AtomicU64::new(0), most }
    }
}

/// A body in `tmp/`; the file goes with it.
pub(crate) struct StagedFile {
    pub(crate) token: String,
    disk: Arc<dyn Disk>,
    staging: Arc<Staging>,
    octets: u64,
}

impl StagedFile {
    pub(crate) fn new(disk: Arc<dyn Disk>, staging: Arc<Staging>) -> Self {
        Self { token: crate::unique::name(), disk, staging, octets: 0 }
    }

    pub(crate) fn path(&self) -> String {
        format!("tmp/{}", self.token)
    }

    /// Takes more room; [`StorageError::Busy`] when there is none, until somebody appends or gives up.
    pub(crate) fn grow(&mut self, octets: u64) -> Result<()> {
        let before = self.staging.octets.fetch_add(octets, Ordering::Relaxed);
        self.octets = self.octets.saturating_add(octets);
        if before.saturating_add(octets) > self.staging.most { Err(StorageError::Busy) } else { Ok(()) }
    }

    /// How many octets there are.
    pub(crate) const fn len(&self) -> u64 {
        self.octets
    }

    /// The token, which keeps the file.
    pub(crate) fn into_token(self) -> Bytes {
        Bytes::from_owner(Token(self))
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        self.staging.octets.fetch_sub(self.octets, Ordering::Relaxed);
        // One that is left is swept later.
        let _ = self.disk.unlink(&self.path());
    }
}

struct Token(StagedFile);

impl AsRef<[u8]> for Token {
    fn as_ref(&self) -> &[u8] {
        self.0.token.as_bytes()
    }
}

/// The name in `tmp/` that a token is; `None` for one that nobody has given.
pub(crate) fn name(token: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(token).ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.';
    (!name.is_empty() && name.len() < 128 && !name.starts_with('.') && name.bytes().all(plain))
        .then_some(name)
}
