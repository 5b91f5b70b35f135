//! Digests: what the core has made of messages, kept beside them. A cache that may be lost or cut at any time: what is
//! not there is made anew. So it is never synced, and what is read is checked.
//!
//! Layout: entries one behind the other, each of them UID, version, length and CRC-32 of the content, then the
//! content; integers little-endian. The check sum is that of the message's base and the content: a UID may mean another
//! message when a list of UIDs was made anew.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use imapper_core::storage::KeptDigest;
use imapper_core::types::Uid;

use crate::disk::{Disk, ReadFile};

const HEAD: u64 = HEAD_LEN as u64;
const HEAD_LEN: usize = 16;
/// The largest digest that is kept.
const MAX_DIGEST: usize = 1 << 20;
/// The cache is begun anew when it is larger than this and less than half of it is in use.
const SLACK: u64 = 4 << 20;

/// Where digests lie in the file of a mailbox.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    places: HashMap<u32, (u64, u32)>,
    len: u64,
    live: u64,
    read: bool,
}

impl Cache {
    /// Reads where the digests lie, once.
    fn find(&mut self, disk: &dyn Disk, path: &str) -> io::Result<()> {
        if self.read {
            return Ok(());
        }
        self.read = true;
        let file = match disk.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let end = file.len()?;
        let mut at = 0u64;
        while at < end {
            let Some((uid, len)) = head(&*file, at)? else { break };
            let next = at.saturating_add(HEAD).saturating_add(u64::from(len));
            if next > end {
                break;
            }
            self.note(uid, at, len);
            at = next;
        }
        self.len = at;
        Ok(())
    }

    fn note(&mut self, uid: u32, at: u64, len: u32) {
        let octets = |len: u32| HEAD.saturating_add(u64::from(len));
        if let Some((_, old)) = self.places.insert(uid, (at, len)) {
            self.live = self.live.saturating_sub(octets(old));
        }
        self.live = self.live.saturating_add(octets(len));
    }

    /// The digests of some messages, those that are there and whole.
    pub(crate) fn read(
        &mut self,
        disk: &dyn Disk,
        path: &str,
        messages: &[(Uid, Arc<str>)],
    ) -> HashMap<Uid, KeptDigest> {
        self.try_read(disk, path, messages).unwrap_or_default()
    }

    fn try_read(
        &mut self,
        disk: &dyn Disk,
        path: &str,
        messages: &[(Uid, Arc<str>)],
    ) -> io::Result<HashMap<Uid, KeptDigest>> {
        self.find(disk, path)?;
        let mut found = HashMap::new();
        if !messages.iter().any(|(uid, _)| self.places.contains_key(&uid.get())) {
            return Ok(found);
        }
        let file = disk.open(path)?;
        for (uid, base) in messages {
            let Some((at, len)) = self.places.get(&uid.get()).copied() else { continue };
            let mut bytes = vec![0; usize::try_from(HEAD.saturating_add(u64::from(len))).unwrap_or_default()];
            if file.read_at(&mut bytes, at)? < bytes.len() {
                continue;
            }
            if let Some(digest) = whole(&bytes, uid.get(), base) {
                found.insert(*uid, digest);
            }
        }
        Ok(found)
    }

    /// Adds digests. A failure is none of the caller's: then they are not there.
    pub(crate) fn add(&mut self, disk: &dyn Disk, path: &str, digests: &[(Uid, Arc<str>, &KeptDigest)]) {
        if let Err(error) = self.try_add(disk, path, digests) {
            tracing::debug!(%error, path, "digests are not kept");
            *self = Self::default();
        }
    }

    fn try_add(
        &mut self,
        disk: &dyn Disk,
        path: &str,
        digests: &[(Uid, Arc<str>, &KeptDigest)],
    ) -> io::Result<()> {
        self.find(disk, path)?;
        // Another process may have added or begun anew.
        if disk.stat(path).map_or(0, |stat| stat.len) != self.len {
            *self = Self::default();
            self.find(disk, path)?;
        }
        let mut bytes = Vec::new();
        for (uid, base, digest) in digests {
            let Ok(len) = u32::try_from(digest.bytes.len()) else { continue };
            if digest.bytes.len() > MAX_DIGEST {
                continue;
            }
            let at = self.len.saturating_add(bytes.len() as u64);
            for number in [uid.get(), u32::from(digest.version), len, check(base, &digest.bytes)] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            bytes.extend_from_slice(&digest.bytes);
            self.note(uid.get(), at, len);
        }
        if bytes.is_empty() {
            return Ok(());
        }
        match disk.write_at(path, self.len, &bytes) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(path)?.write(&bytes)?,
            written => written?,
        }
        self.len = self.len.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Forgets messages that have gone. When most of the file is theirs, it is begun anew.
    pub(crate) fn forget(&mut self, disk: &dyn Disk, path: &str, uids: impl Iterator<Item = Uid>) {
        for uid in uids {
            if let Some((_, len)) = self.places.remove(&uid.get()) {
                self.live = self.live.saturating_sub(HEAD.saturating_add(u64::from(len)));
            }
        }
        if self.len > SLACK && self.live < self.len / 2 && disk.truncate(path, 0).is_ok() {
            *self = Self { read: true, ..Self::default() };
        }
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// UID and length of the entry that begins there.
fn head(file: &dyn ReadFile, at: u64) -> io::Result<Option<(u32, u32)>> {
    let mut bytes = [0; HEAD_LEN];
    if file.read_at(&mut bytes, at)? < bytes.len() {
        return Ok(None);
    }
    let len = number(&bytes, 8).filter(|len| usize::try_from(*len).is_ok_and(|len| len <= MAX_DIGEST));
    Ok(number(&bytes, 0).zip(len))
}

/// The digest in an entry, if it is that message's and as it was written.
fn whole(bytes: &[u8], uid: u32, base: &str) -> Option<KeptDigest> {
    let content = bytes.get(16..)?;
    if number(bytes, 0)? != uid || number(bytes, 12)? != check(base, content) {
        return None;
    }
    let version = u16::try_from(number(bytes, 4)?).ok()?;
    Some(KeptDigest { version, bytes: Bytes::copy_from_slice(content) })
}

fn check(base: &str, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(base.as_bytes());
    hasher.update(content);
    hasher.finalize()
}
