//! Which keys lead to which conversation (RFC 8474 §5.2). A file that only grows and may be lost: then a message that
//! comes later begins a conversation of its own.

use std::collections::HashMap;
use std::io;

use crate::disk::Disk;

/// The file of an account.
const THREADS: &str = "imapper.threads.cache";
/// How many keys are kept; above that all are forgotten.
const MOST: usize = 1_000_000;
/// How many keys of one message are looked at.
pub(crate) const MAX_KEYS: usize = 128;
const RECORD: usize = 20;

/// Conversations by what ties messages to them.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    by_key: HashMap<u64, u64>,
    len: u64,
    read: bool,
}

impl Threads {
    /// The conversation of a new email; its keys lead there from now on.
    pub(crate) fn enter(&mut self, disk: &dyn Disk, email: u64, keys: &[u64]) -> u64 {
        if keys.is_empty() {
            return email;
        }
        if self.by_key.len() > MOST {
            self.forget(disk);
        }
        if let Err(error) = self.read_on(disk) {
            tracing::debug!(%error, "conversations are not known");
        }
        let keys = keys.get(..MAX_KEYS).unwrap_or(keys);
        let thread = keys.iter().find_map(|key| self.by_key.get(key)).copied().unwrap_or(email);
        let new: Vec<u64> = keys.iter().copied().filter(|key| !self.by_key.contains_key(key)).collect();
        self.by_key.extend(new.iter().map(|key| (*key, thread)));
        if let Err(error) = self.append(disk, thread, &new) {
            tracing::debug!(%error, "a conversation is not kept");
        }
        thread
    }

    /// What this process has not read yet.
    fn read_on(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let file = match disk.open(THREADS) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                disk.create(THREADS)?;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let len = file.len()?;
        if len == self.len && self.read {
            return Ok(());
        }
        if len < self.len {
            *self = Self::default();
        }
        self.read = true;
        let mut bytes = vec![0; usize::try_from(len.saturating_sub(self.len)).unwrap_or_default()];
        file.read_at(&mut bytes, self.len)?;
        for record in bytes.chunks_exact(RECORD) {
            let number = |at: usize| record.get(at..at.saturating_add(8)).and_then(|b| b.try_into().ok());
            let (Some(key), Some(thread)) =
                (number(0).map(u64::from_le_bytes), number(8).map(u64::from_le_bytes))
            else {
                continue;
            };
            if record.get(16..) == Some(&check(key, thread)) {
                self.by_key.entry(key).or_insert(thread);
            }
        }
        self.len = self.len.saturating_add((bytes.len() / RECORD * RECORD) as u64);
        Ok(())
    }

    /// Begins anew: there is no order in which older ones could go first.
    fn forget(&mut self, disk: &dyn Disk) {
        *self = Self::default();
        if let Err(error) = disk.truncate(THREADS, 0) {
            tracing::debug!(%error, "conversations are not forgotten");
        }
    }

    fn append(&mut self, disk: &dyn Disk, thread: u64, keys: &[u64]) -> io::Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(keys.len().saturating_mul(RECORD));
        for key in keys {
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&thread.to_le_bytes());
            bytes.extend_from_slice(&check(*key, thread));
        }
        disk.write_at(THREADS, self.len, &bytes)?;
        self.len = self.len.saturating_add(bytes.len() as u64);
        Ok(())
    }
}

fn check(key: u64, thread: u64) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&key.to_le_bytes());
    hasher.update(&thread.to_le_bytes());
    hasher.finalize().to_le_bytes()
}
