//! The journal: changes of more than one step are written down and synced before the first of them is done, so that
//! after a crash they are done to the end or were never begun.
//!
//! One file that is written over again and again: `IMAPJRN1`, length, CRC-32, content. It holds the changes of one
//! batch, and is void again before they are answered: done a second time later, they would undo what other programs have
//! done meanwhile.

use std::io;

use serde::{Deserialize, Serialize};

use super::step::Step;
use crate::disk::Disk;

const MAGIC: [u8; 8] = *b"IMAPJRN1";
/// The journal of an account.
pub(crate) const JOURNAL: &str = "imapper.journal";

/// A change of several steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// They are durable before the first of `removals` is done.
    pub(crate) additions: Vec<Step>,
    pub(crate) removals: Vec<Step>,
}

/// Makes the journal, if there is none.
pub(crate) fn prepare(disk: &dyn Disk) -> io::Result<()> {
    match disk.stat(JOURNAL) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut file = disk.create(JOURNAL)?;
            file.write(&[0; 16])?;
            file.sync()?;
            disk.sync_folder("")
        }
        found => found.map(drop),
    }
}

/// Writes changes down, durably, with what their steps begin with: names in `tmp/`, without which they could not be done
/// again.
pub(crate) fn begin(disk: &dyn Disk, records: &[Record]) -> io::Result<()> {
    let from_tmp = |step: &Step| match step {
        Step::Link { from, .. } | Step::Rename { from, .. } => from.starts_with("tmp/"),
        _ => false,
    };
    if records.iter().flat_map(|record| &record.additions).any(from_tmp) {
        disk.sync_folder("tmp")?;
    }
    // What was cut off in the middle means nothing, but it must not come to mean something later.
    write(disk, records).inspect_err(|_| drop(void(disk)))
}

/// Writes changes down, durably.
pub(crate) fn write(disk: &dyn Disk, records: &[Record]) -> io::Result<()> {
    let content = postcard::to_stdvec(records).map_err(io::Error::other)?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&u32::try_from(content.len()).map_err(io::Error::other)?.to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&content).to_le_bytes());
    bytes.extend_from_slice(&content);
    disk.write_at(JOURNAL, 0, &bytes)?;
    disk.sync_file(JOURNAL)
}

/// Makes the journal mean nothing. Syncing it is the caller's.
pub(crate) fn void(disk: &dyn Disk) -> io::Result<()> {
    disk.write_at(JOURNAL, 0, &[0; 16])
}

/// What is written down; nothing where it is void, or was cut off while it was written.
pub(crate) fn read(disk: &dyn Disk) -> io::Result<Vec<Record>> {
    let file = disk.open(JOURNAL)?;
    let mut head = [0; 16];
    let read = file.read_at(&mut head, 0)?;
    let number = |at: usize| {
        head.get(at..at.saturating_add(4)).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
    };
    let Some((len, check)) = number(8).zip(number(12)).filter(|_| read == 16 && head.starts_with(&MAGIC))
    else {
        return Ok(Vec::new());
    };
    if u64::from(len) > file.len()? {
        return Ok(Vec::new());
    }
    let mut content = vec![0; usize::try_from(len).unwrap_or_default()];
    if file.read_at(&mut content, 16)? < content.len() || crc32fast::hash(&content) != check {
        return Ok(Vec::new());
    }
    Ok(postcard::from_bytes(&content).unwrap_or_default())
}

/// Does to the end what a crash has cut off, durably, and voids the journal. Gives whether there was anything. A step that
/// can't be done does not hold up the others: nothing would ever go on.
pub(crate) fn recover(disk: &dyn Disk) -> io::Result<bool> {
    let records = read(disk)?;
    if records.is_empty() {
        return Ok(false);
    }
    for Record { additions, removals } in &records {
        for steps in [additions, removals] {
            for step in steps {
                if let Err(error) = step.run_again(disk) {
                    tracing::error!(%error, ?step, "a step that a crash has cut off can't be done");
                }
            }
            sync(disk, steps.iter())?;
        }
    }
    void(disk)?;
    disk.sync_file(JOURNAL)?;
    Ok(true)
}

/// Syncs the folders that steps have changed, those that are still there.
pub(crate) fn sync<'a>(disk: &dyn Disk, steps: impl Iterator<Item = &'a Step>) -> io::Result<()> {
    let mut folders: Vec<&str> = steps.flat_map(|step| step.folders().chain(step.made_folder())).collect();
    folders.sort_unstable();
    folders.dedup();
    for folder in folders {
        match disk.sync_folder(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            synced => synced?,
        }
    }
    Ok(())
}
