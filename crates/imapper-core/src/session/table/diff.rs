//! What is in two tables not the same.

use std::sync::Arc;

use super::{Entry, seq};
use crate::types::Seq;

/// How two tables differ at one UID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference<'a> {
    /// Only the old table has it, at that place.
    Removed(Seq, &'a Entry),
    /// Only the new table has it.
    Added(&'a Entry),
    /// The flags of the old and the new entry differ.
    Changed(&'a Entry, &'a Entry),
    /// Only the mod-sequences of the old and the new entry differ.
    Touched(&'a Entry, &'a Entry),
}

/// The differences of two tables; see [`Table::diff`](super::Table::diff).
#[derive(Debug)]
pub struct Diff<'a> {
    old: Cursor<'a>,
    new: Cursor<'a>,
}

impl<'a> Diff<'a> {
    pub(super) fn new(old: &'a [Arc<Vec<Entry>>], new: &'a [Arc<Vec<Entry>>]) -> Self {
        Self { old: Cursor::new(old), new: Cursor::new(new) }
    }
}

impl<'a> Iterator for Diff<'a> {
    type Item = Difference<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.old.stands_with(&self.new) {
                self.old.skip_chunk();
                self.new.skip_chunk();
                continue;
            }
            match (self.old.peek(), self.new.peek()) {
                (Some(old), Some(new)) if old.uid == new.uid => {
                    self.old.advance();
                    self.new.advance();
                    if old.flags != new.flags {
                        return Some(Difference::Changed(old, new));
                    }
                    if old.modseq != new.modseq {
                        return Some(Difference::Touched(old, new));
                    }
                }
                (Some(old), new) if new.is_none_or(|new| old.uid < new.uid) => {
                    let at = seq(self.old.index);
                    self.old.advance();
                    return Some(Difference::Removed(at, old));
                }
                (_, Some(new)) => {
                    self.new.advance();
                    return Some(Difference::Added(new));
                }
                (_, None) => return None,
            }
        }
    }
}

/// A place in a table that is read from its start to its end.
#[derive(Debug)]
struct Cursor<'a> {
    chunks: &'a [Arc<Vec<Entry>>],
    within: usize,
    index: usize,
}

impl<'a> Cursor<'a> {
    fn new(chunks: &'a [Arc<Vec<Entry>>]) -> Self {
        Self { chunks, within: 0, index: 0 }
    }

    fn peek(&self) -> Option<&'a Entry> {
        self.chunks.first()?.get(self.within)
    }

    fn advance(&mut self) {
        self.within += 1;
        self.index += 1;
        if self.chunks.first().is_some_and(|chunk| self.within >= chunk.len()) {
            self.chunks = self.chunks.get(1..).unwrap_or_default();
            self.within = 0;
        }
    }

    /// Whether both stand before the same chunk.
    fn stands_with(&self, other: &Self) -> bool {
        match (self.chunks.first(), other.chunks.first()) {
            (Some(a), Some(b)) => self.within == 0 && other.within == 0 && Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    fn skip_chunk(&mut self) {
        if let Some((chunk, rest)) = self.chunks.split_first() {
            self.index += chunk.len();
            self.chunks = rest;
        }
    }
}
