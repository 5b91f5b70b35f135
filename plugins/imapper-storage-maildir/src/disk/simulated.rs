//! A disk in memory that tells what is durable from what a crash may take, for tests.
//!
//! It promises no more than POSIX does: content is durable after a sync of the file, a name after a sync of the
//! folder that holds it. Until then a crash may take any of it, in an order of its own.

mod crash;
mod tree;

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::real::check;
use super::{Disk, Kind, Lock, ReadFile, Stat, WriteFile};
use tree::{Node, ROOT, Tree, Write};

/// Whether an operation (by its name in [`Disk`], [`WriteFile`] or [`ReadFile`]) on a path fails, and how.
type Fault = dyn Fn(&str, &str) -> Option<ErrorKind> + Send + Sync;

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct SimulatedDisk {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    unlocked: Condvar,
}

struct State {
    tree: Tree,
    locked: HashSet<u64>,
    count: u64,
    stop: Option<u64>,
    fault: Option<Arc<Fault>>,
}

impl SimulatedDisk {
    /// A disk with nothing but the account's folder.
    pub(crate) fn new() -> Self {
        Self::of(Tree::new())
    }

    fn of(tree: Tree) -> Self {
        let state = State { tree, locked: HashSet::new(), count: 0, stop: None, fault: None };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), unlocked: Condvar::new() }) }
    }

    /// The disk as it may be found after a crash now: with what is durable, and what `choose` takes of the rest. It
    /// is given a number of choices and returns one below that; 0 always stands for the least that may be left.
    ///
    /// Of what was done to one name, a crash leaves a beginning; other names do not matter to it, but for the
    /// other end of a rename within the folder. Of what was written to a file it leaves a beginning, which may end
    /// within a write. This disk stays as it is.
    pub(crate) fn crash(&self, choose: &mut dyn FnMut(usize) -> usize) -> Self {
        Self::of(self.state().tree.crash(choose))
    }

    /// How many operations were done so far that change or sync something. Those that only look are not counted:
    /// a stop before one leaves nothing else than a stop after it.
    pub(crate) fn count(&self) -> u64 {
        self.state().count
    }

    /// Lets `n` operations be done in all, as [`Self::count`] has them, and fails each call after them, of any kind.
    pub(crate) fn stop_after(&self, n: u64) {
        self.state().stop = Some(n);
        // Those that wait for a lock have to fail now.
        self.shared.unlocked.notify_all();
    }

    /// Lets operations fail without effect; see [`Fault`]. A rename or link is asked for by both its paths. Takes
    /// the place of what was set before. It must not use the disk.
    pub(crate) fn fail(&self, which: impl Fn(&str, &str) -> Option<ErrorKind> + Send + Sync + 'static) {
        self.state().fault = Some(Arc::new(which));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an operation that only looks.
    fn look(&self, operation: &str, path: &str) -> io::Result<MutexGuard<'_, State>> {
        check(path)?;
        let state = self.state();
        state.may(operation, path)?;
        Ok(state)
    }

    /// Does an operation that changes or syncs something, and counts it if it worked.
    fn change(
        &self,
        operation: &str,
        paths: &[&str],
        change: impl FnOnce(&mut Tree) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.state();
        for path in paths {
            check(path)?;
            state.may(operation, path)?;
        }
        state.tree.now = state.tree.now.saturating_add(1);
        change(&mut state.tree)?;
        state.count += 1;
        Ok(())
    }
}

impl State {
    fn may(&self, operation: &str, path: &str) -> io::Result<()> {
        if self.stop.is_some_and(|stop| self.count >= stop) {
            return Err(io::Error::other("the power was cut"));
        }
        match self.fault.as_ref().and_then(|fault| fault(operation, path)) {
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        }
    }
}

impl Disk for SimulatedDisk {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let state = self.look("read", path)?;
        Ok(state.tree.file(state.tree.find(path)?)?.content.clone())
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn ReadFile>> {
        let state = self.look("open", path)?;
        let inode = state.tree.find(path)?;
        state.tree.file(inode)?;
        Ok(Box::new(Reading { disk: self.clone(), inode, path: path.to_owned() }))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<(String, Kind)>> {
        let state = self.look("list", folder)?;
        let names = &state.tree.folder(state.tree.find(folder)?)?.names;
        Ok(names.iter().map(|(name, &inode)| (name.clone(), state.tree.kind(inode))).collect())
    }

    fn stat(&self, path: &str) -> io::Result<Stat> {
        let state = self.look("stat", path)?;
        let inode = state.tree.find(path)?;
        let (len, mtime) = match state.tree.node(inode)? {
            Node::File(file) => (file.content.len() as u64, file.mtime),
            Node::Folder(folder) => (4096, folder.mtime),
        };
        Ok(Stat { kind: state.tree.kind(inode), len, mtime, inode, links: state.tree.links(inode) })
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn WriteFile>> {
        let mut made = ROOT;
        self.change("create", &[path], |tree| {
            made = tree.make_file(path)?;
            Ok(())
        })?;
        Ok(Box::new(Writing { disk: self.clone(), inode: made, path: path.to_owned(), at: 0 }))
    }

    fn write_at(&self, path: &str, offset: u64, octets: &[u8]) -> io::Result<()> {
        self.change("write_at", &[path], |tree| {
            let inode = tree.find(path)?;
            tree.write(inode, Write::At(offset, octets.to_vec()))
        })
    }

    fn truncate(&self, path: &str, len: u64) -> io::Result<()> {
        self.change("truncate", &[path], |tree| {
            let inode = tree.find(path)?;
            tree.write(inode, Write::Truncate(len))
        })
    }

    fn set_mtime(&self, path: &str, seconds: i64) -> io::Result<()> {
        self.change("set_mtime", &[path], |tree| {
            let inode = tree.find(path)?;
            match tree.node_mut(inode)? {
                Node::File(file) => file.mtime = seconds,
                Node::Folder(folder) => folder.mtime = seconds,
            }
            Ok(())
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change("rename", &[from, to], |tree| tree.rename(from, to))
    }

    fn link(&self, from: &str, to: &str) -> io::Result<()> {
        self.change("link", &[from, to], |tree| tree.link(from, to))
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        self.change("unlink", &[path], |tree| tree.unlink(path))
    }

    fn make_folder(&self, path: &str) -> io::Result<()> {
        self.change("make_folder", &[path], |tree| tree.make_folder(path))
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        self.change("remove_folder", &[path], |tree| tree.remove_folder(path))
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        self.change("sync_file", &[path], |tree| {
            let inode = tree.find(path)?;
            tree.file_mut(inode)?.sync_content();
            Ok(())
        })
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        self.change("sync_folder", &[folder], |tree| {
            let inode = tree.find(folder)?;
            tree.folder_mut(inode)?.sync();
            Ok(())
        })
    }

    fn lock(&self, path: &str) -> io::Result<Box<dyn Lock>> {
        let mut state = self.look("lock", path)?;
        let inode = state.tree.find(path)?;
        state.tree.file(inode)?;
        while !state.locked.insert(inode) {
            state = self.shared.unlocked.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.may("lock", path)?;
        }
        Ok(Box::new(Locked { disk: self.clone(), inode }))
    }
}

struct Reading {
    disk: SimulatedDisk,
    inode: u64,
    path: String,
}

impl ReadFile for Reading {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.look("len", &self.path)?;
        Ok(state.tree.file(self.inode)?.content.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.look("read_at", &self.path)?;
        let content = &state.tree.file(self.inode)?.content;
        let offset = usize::try_from(offset).map_or(content.len(), |offset| offset.min(content.len()));
        let count = buffer.len().min(content.len() - offset);
        buffer[..count].copy_from_slice(&content[offset..offset + count]);
        Ok(count)
    }
}

struct Writing {
    disk: SimulatedDisk,
    inode: u64,
    /// What the file was made as, for faults.
    path: String,
    at: u64,
}

impl WriteFile for Writing {
    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        let (inode, at) = (self.inode, self.at);
        self.disk.change("write", &[&self.path], |tree| tree.write(inode, Write::At(at, octets.to_vec())))?;
        self.at += octets.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let inode = self.inode;
        self.disk.change("sync", &[&self.path], |tree| {
            tree.file_mut(inode)?.sync_all();
            Ok(())
        })
    }
}

struct Locked {
    disk: SimulatedDisk,
    inode: u64,
}

impl Lock for Locked {}

impl Drop for Locked {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.inode);
        self.disk.shared.unlocked.notify_all();
    }
}

#[cfg(test)]
mod tests;
