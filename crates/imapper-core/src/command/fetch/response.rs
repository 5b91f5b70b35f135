//! One FETCH response (RFC 9051 §7.5.2), item after item.

use bytes::Bytes;

use super::items::put_flags;
use crate::registry::slots::{Fetched, Fetching};
use crate::session::policy::Told;
use crate::session::{Policy, Reject};
use crate::types::{Seq, Uid};
use crate::wire::Line;

/// A response that has become so long is ended, and what is left of the message's items goes into another
/// one: many large items of one message must not lie in memory together.
const SPLIT: usize = 1024 * 1024;

/// A response that is being made. Its memory serves all responses of a command.
pub(super) struct Response {
    line: Line,
    /// The length of what stands in the line before the first item.
    head: usize,
    tells_flags: bool,
    /// UID FETCH tells the UID, asked for or not (RFC 9051 §6.4.9).
    adds_uid: bool,
}

impl Response {
    /// For these items, of FETCH or UID FETCH.
    pub(super) fn new(items: &[Box<dyn Fetched>], uid: bool) -> Self {
        Self {
            line: Line::new(),
            head: 0,
            tells_flags: items.iter().any(|item| item.tells_flags()),
            adds_uid: uid && !items.iter().any(|item| item.tells_uid()),
        }
    }

    /// Whether flags were asked for.
    pub(super) const fn tells_flags(&self) -> bool {
        self.tells_flags
    }

    /// Begins a response.
    pub(super) fn open(&mut self, seq: Seq, uid: Uid) {
        self.line.clear();
        self.line.raw(b"* ").number(seq.get()).raw(b" FETCH (");
        self.head = self.line.text().len();
        if self.adds_uid {
            self.line.raw(b"UID ").number(uid.get());
        }
    }

    /// Whether it had better be closed, and another one opened for what is left.
    pub(super) fn is_long(&self) -> bool {
        self.line.text().len() > SPLIT
    }

    /// Adds an item.
    pub(super) fn put(
        &mut self,
        item: &dyn Fetched,
        message: &Fetching<'_>,
        read: Option<&Bytes>,
    ) -> Result<(), Reject> {
        let before = self.line.text().len();
        self.separate();
        let start = self.line.text().len();
        let result = item.render(message, read, &mut self.line);
        if result.is_err() || self.line.text().len() == start {
            self.line.truncate(before);
        }
        result
    }

    /// Adds the flags that the command itself has changed, and what is told beside flags that nobody asked
    /// for; but nothing that the items of the command have told.
    pub(super) fn put_change(&mut self, message: &Fetching<'_>, policy: &Policy, items: &[Box<dyn Fetched>]) {
        if policy.tells_uid && !self.adds_uid && !items.iter().any(|item| item.tells_uid()) {
            self.separate();
            self.line.raw(b"UID ").number(message.uid.get());
        }
        if !self.tells_flags {
            self.separate();
            put_flags(message, &mut self.line);
        }
        let mut told = Told::new(message.seq, message.uid, message.modseq);
        told.row = message.row;
        for item in &policy.told_items {
            let before = self.line.text().len();
            self.separate();
            let start = self.line.text().len();
            item(&told, &mut self.line);
            let added = self.line.text().get(start..).unwrap_or_default();
            let word = added.split(|byte| *byte == b' ').next().unwrap_or_default();
            if word.is_empty() || items.iter().any(|item| item.name().as_bytes() == word) {
                self.line.truncate(before);
            }
        }
    }

    /// Ends the response; `None` if there is nothing in it.
    pub(super) fn close(&mut self) -> Option<&mut Line> {
        (self.line.text().len() > self.head).then(|| self.line.raw(b")"))
    }

    /// A space, but before the first item.
    fn separate(&mut self) {
        if self.line.text().len() > self.head {
            self.line.sp();
        }
    }
}
