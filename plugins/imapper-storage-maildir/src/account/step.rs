//! What a change does to files, step by step. Each step can be done again after a crash, whether or not it was done
//! before, and those that add can be taken back.

use std::io;

use serde::{Deserialize, Serialize};

use crate::disk::{Disk, Kind};
use crate::format::filename::FileName;
use crate::home::replace;
use crate::mailbox::file::join;

/// One change of names, or of a small file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// One more name for a file, which may get another time first.
    Link { from: String, to: String, date: Option<i64> },
    /// Another name for a file or a folder.
    Rename { from: String, to: String },
    /// A small file, whole.
    Write { path: String, octets: Vec<u8> },
    /// A folder.
    Folder { path: String },
    /// One name less. A file that has none left is gone.
    Unlink { path: String },
    /// A folder less, if it is empty.
    RemoveFolder { path: String },
}

impl Step {
    /// Does the step.
    pub(crate) fn run(&self, disk: &dyn Disk) -> io::Result<()> {
        match self {
            Self::Link { from, to, date } => {
                date.map_or(Ok(()), |date| disk.set_mtime(from, date))?;
                disk.link(from, to)
            }
            Self::Rename { from, to } => rename(disk, from, to),
            Self::Write { path, octets } => replace(disk, path, octets),
            Self::Folder { path } => make_folder(disk, path),
            Self::Unlink { path } => ignore(disk.unlink(path), io::ErrorKind::NotFound),
            Self::RemoveFolder { path } => remove_folder(disk, path),
        }
    }

    /// Does a step that removes, in a change that has added names before.
    pub(crate) fn remove(&self, disk: &dyn Disk, added: &[Self]) -> io::Result<()> {
        match self {
            Self::Unlink { path } => match disk.unlink(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => unlink_renamed(disk, path, added),
                done => done,
            },
            step => step.run(disk),
        }
    }

    /// Does the step if it was not done before a crash.
    pub(crate) fn run_again(&self, disk: &dyn Disk) -> io::Result<()> {
        match self {
            Self::Link { from, to, .. } => {
                let done = ignore(disk.link(from, to), io::ErrorKind::AlreadyExists);
                ignore(done, io::ErrorKind::NotFound)
            }
            // What is at the target already was put there by this very step, or later.
            Self::Rename { to, .. } if exists(disk, to)? => Ok(()),
            Self::Rename { from, to } => ignore(rename(disk, from, to), io::ErrorKind::NotFound),
            Self::Folder { path } => ignore(make_folder(disk, path), io::ErrorKind::AlreadyExists),
            // The folder may have gone since, with all that was in it.
            Self::Write { .. } => ignore(self.run(disk), io::ErrorKind::NotFound),
            Self::Unlink { .. } | Self::RemoveFolder { .. } => self.run(disk),
        }
    }

    /// Takes a step back that was done.
    pub(crate) fn undo(&self, disk: &dyn Disk) -> io::Result<()> {
        match self {
            Self::Link { to, .. } => disk.unlink(to),
            Self::Rename { from, to } => disk.rename(to, from),
            Self::Folder { path } => remove_folder(disk, path),
            // A keyword more in a list harms nobody, and what is unlinked comes last of all.
            Self::Write { .. } | Self::Unlink { .. } | Self::RemoveFolder { .. } => Ok(()),
        }
    }

    /// The folders whose names the step changes.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &str> {
        let (one, other) = match self {
            Self::Link { to: path, .. }
            | Self::Write { path, .. }
            | Self::Folder { path }
            | Self::Unlink { path }
            | Self::RemoveFolder { path } => (path, None),
            Self::Rename { from, to } => (from, Some(to)),
        };
        std::iter::once(one).chain(other).map(|path| parent(path))
    }

    /// The folder that the step makes under its last name: what lies in it is synced there.
    pub(crate) fn made_folder(&self) -> Option<&str> {
        match self {
            Self::Folder { path } => Some(path),
            _ => None,
        }
    }
}

/// Removes a message whose file another program has just given other flags: the client was told that it goes. The names
/// that the change itself has given it stay: they may be the only ones that are left.
fn unlink_renamed(disk: &dyn Disk, path: &str, added: &[Step]) -> io::Result<()> {
    let Some((folder, name)) = path.rsplit_once('/') else { return Ok(()) };
    let mailbox = match folder.rsplit_once('/') {
        Some((mailbox, "cur" | "new")) => mailbox,
        None if matches!(folder, "cur" | "new") => "",
        _ => return Ok(()),
    };
    let base = FileName::parse(name).base;
    for place in ["cur", "new"] {
        let folder = join(mailbox, place);
        for (found, _) in disk.list(&folder)? {
            let path = format!("{folder}/{found}");
            let is_added = |step: &Step| matches!(step, Step::Link { to, .. } if *to == path);
            if FileName::parse(&found).base == base && !added.iter().any(is_added) {
                ignore(disk.unlink(&path), io::ErrorKind::NotFound)?;
            }
        }
    }
    Ok(())
}

/// Gives another name. From one folder to another, the new one is durable before the old one can be lost. A step that
/// fails has done nothing.
fn rename(disk: &dyn Disk, from: &str, to: &str) -> io::Result<()> {
    disk.rename(from, to)?;
    if parent(from) == parent(to) || parent(from) == "tmp" || parent(to) == "tmp" {
        return Ok(());
    }
    disk.sync_folder(parent(to)).inspect_err(|_| {
        if let Err(error) = disk.rename(to, from) {
            tracing::error!(%error, from, to, "a rename can't be taken back");
        }
    })
}

/// Makes a folder, durably: what a later step moves into it must not be lost with it.
fn make_folder(disk: &dyn Disk, path: &str) -> io::Result<()> {
    disk.make_folder(path)?;
    disk.sync_folder(parent(path))
}

/// The folder in which a name lies.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn exists(disk: &dyn Disk, path: &str) -> io::Result<bool> {
    match disk.stat(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn ignore(done: io::Result<()>, kind: io::ErrorKind) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == kind => Ok(()),
        done => done,
    }
}

/// Removes a folder if nothing is in it.
fn remove_folder(disk: &dyn Disk, path: &str) -> io::Result<()> {
    match disk.remove_folder(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
            Ok(())
        }
        done => done,
    }
}

/// Removes a folder and all in it. Goes a few levels deep, as deep as a mailbox is: there is no recursion without end.
pub(crate) fn remove_tree(disk: &dyn Disk, path: &str, levels: usize) -> io::Result<()> {
    for (name, kind) in disk.list(path)? {
        let path = format!("{path}/{name}");
        match kind {
            Kind::Folder if levels > 0 => remove_tree(disk, &path, levels.saturating_sub(1))?,
            Kind::Folder => disk.remove_folder(&path)?,
            Kind::File | Kind::Other => disk.unlink(&path)?,
        }
    }
    disk.remove_folder(path)
}
