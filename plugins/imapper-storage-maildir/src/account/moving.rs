//! Giving folders other places, step by step.

use std::io;

use imapper_core::storage::{MailboxId, Result, StorageError};

use super::step::{Step, parent};
use super::{Account, State};
use crate::disk::{Disk, Kind};
use crate::format::folder::{Layout, to_path};
use crate::home::INDEX;
use crate::mailbox::file::join;

/// A mailbox that gets another name, and folder.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) id: MailboxId,
    pub(super) old: String,
    pub(super) new: String,
    pub(super) from: String,
    pub(super) to: String,
}

/// The mailbox and all below it, in the order in which none meets another.
pub(super) fn moves(state: &State, layout: Layout, from: &str, to: &str) -> Result<Vec<Move>> {
    let below = format!("{from}/");
    let mut moves = Vec::new();
    for (name, id) in &state.names {
        let Some(rest) = name.strip_prefix(from).filter(|rest| rest.is_empty() || name.starts_with(&below))
        else {
            continue;
        };
        let new = format!("{to}{rest}");
        let folder = state.slot(id)?.folder.clone();
        moves.push(Move { id: id.clone(), old: name.clone(), to: to_path(layout, &new)?, new, from: folder });
    }
    let is_moved = |name: &str| moves.iter().any(|moved| moved.old == name);
    if moves.iter().any(|moved| state.names.contains_key(&moved.new) && !is_moved(&moved.new)) {
        return Err(StorageError::Exists);
    }
    if to == from || state.names.contains_key(to) {
        return Err(StorageError::Exists);
    }
    if to.starts_with(&below) {
        moves.reverse();
    }
    Ok(moves)
}

impl Account {
    /// The steps that put a folder in its place; where one is already that is no mailbox, piece by piece.
    pub(super) fn put_in_place(&self, from: &str, to: &str) -> io::Result<Vec<Step>> {
        let mut steps = self.missing_folders(parent(to))?;
        if kind(&*self.disk, to)?.is_none() {
            steps.push(Step::Rename { from: from.to_owned(), to: to.to_owned() });
        } else {
            // Nothing would be lost with it, and what another program has begun there gives way.
            let pieces = self.pieces(from)?.into_iter();
            steps.extend(pieces.map(|piece| Step::Rename { from: join(from, &piece), to: join(to, &piece) }));
        }
        Ok(steps)
    }

    /// Steps for the folders above that are not there.
    fn missing_folders(&self, path: &str) -> io::Result<Vec<Step>> {
        let mut steps = Vec::new();
        let mut at = path;
        while !at.is_empty() && kind(&*self.disk, at)?.is_none() {
            steps.push(Step::Folder { path: at.to_owned() });
            at = parent(at);
        }
        steps.reverse();
        Ok(steps)
    }

    /// What of a folder is the mailbox: its files, and its own folders. `cur` comes last: with it, it is a mailbox.
    pub(super) fn pieces(&self, folder: &str) -> io::Result<Vec<String>> {
        let is_piece = |name: &str, kind: Kind| match kind {
            Kind::Folder => ["new", "cur", "tmp"].contains(&name) && !(folder.is_empty() && name == "tmp"),
            _ if folder.is_empty() => {
                name.starts_with("dovecot") || [INDEX, crate::home::CACHE].contains(&name)
            }
            _ => true,
        };
        let names = self.disk.list(folder)?.into_iter();
        let mut pieces: Vec<String> =
            names.filter(|(name, kind)| is_piece(name, *kind)).map(|(name, _)| name).collect();
        pieces.sort_by_key(|name| (name == "cur", name.clone()));
        Ok(pieces)
    }

    /// The steps that move a piece. A file gets its new name before it loses the old one, wherever the power fails.
    fn move_piece(&self, from: &str, to: &str) -> io::Result<Vec<Step>> {
        let (from, to) = (from.to_owned(), to.to_owned());
        if self.disk.stat(&from)?.kind == Kind::Folder {
            return Ok(vec![Step::Rename { from, to }]);
        }
        Ok(vec![Step::Link { from: from.clone(), to, date: None }, Step::Unlink { path: from }])
    }

    /// Whether nothing but the mailbox lies in its folder.
    pub(super) fn is_alone(&self, folder: &str) -> io::Result<bool> {
        if folder.is_empty() {
            return Ok(false);
        }
        let below = self.disk.list(folder)?;
        Ok(!below
            .iter()
            .any(|(name, kind)| *kind == Kind::Folder && !["new", "cur", "tmp"].contains(&name.as_str())))
    }

    /// The steps that give folders other names.
    pub(super) fn move_folders(&self, moves: &[Move]) -> io::Result<Vec<Step>> {
        let mut steps = Vec::new();
        if self.layout == Layout::Fs
            && let Some(top) = moves.iter().min_by_key(|moved| moved.old.len())
            && kind(&*self.disk, &top.to)?.is_none()
            && !top.to.starts_with(&format!("{}/", top.from))
            && !top.from.is_empty()
        {
            // What lies below moves along.
            steps.extend(self.missing_folders(parent(&top.to))?);
            steps.push(Step::Rename { from: top.from.clone(), to: top.to.clone() });
            return Ok(steps);
        }
        for moved in moves {
            if self.layout == Layout::MaildirPlusPlus && kind(&*self.disk, &moved.to)?.is_none() {
                steps.push(Step::Rename { from: moved.from.clone(), to: moved.to.clone() });
                continue;
            }
            if self.layout == Layout::MaildirPlusPlus && moves.iter().any(|other| other.from == moved.to) {
                // It has moved away by then.
                steps.push(Step::Rename { from: moved.from.clone(), to: moved.to.clone() });
                continue;
            }
            let made: Vec<Step> = self.missing_folders(&moved.to)?;
            steps.extend(made.into_iter().filter(|step| !steps.contains(step)).collect::<Vec<_>>());
            for piece in self.pieces(&moved.from)? {
                steps.extend(self.move_piece(&join(&moved.from, &piece), &join(&moved.to, &piece))?);
            }
        }
        if self.layout == Layout::Fs {
            let mut old: Vec<&Move> = moves.iter().collect();
            old.sort_by_key(|moved| std::cmp::Reverse(moved.from.len()));
            steps.extend(old.into_iter().map(|moved| Step::RemoveFolder { path: moved.from.clone() }));
        }
        Ok(steps)
    }
}

/// What a path is, if it is there.
fn kind(disk: &dyn Disk, path: &str) -> io::Result<Option<Kind>> {
    match disk.stat(path) {
        Ok(stat) => Ok(Some(stat.kind)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
