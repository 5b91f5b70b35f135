//! What has changed in a mailbox since a mod-sequence.

use std::collections::HashMap;

use imapper_core::storage::Changes;
use imapper_core::types::{ModSeq, Uid, UidSet};

use super::Mailbox;
use super::log::Log;

/// How much of the log of changes may be stale before it is written anew.
const CHANGE_LOG_SLACK: u64 = 1024;

impl Mailbox {
    /// What has changed since, in steps of about `limit` messages.
    pub(crate) fn changes(&self, since: ModSeq, limit: usize) -> Changes {
        let mut touched: Vec<Uid> = Vec::new();
        let mut to = self.modseq;
        for (modseq, uids) in self.changed.after(since) {
            touched.extend(uids.iter());
            if touched.len() >= limit.max(1) && *modseq < self.modseq {
                to = *modseq;
                break;
            }
        }
        touched.sort_unstable();
        touched.dedup();
        let changed = touched
            .into_iter()
            .filter_map(|uid| Some((uid, self.messages.get(&uid)?)))
            .filter(|(_, message)| message.modseq > since)
            .map(|(uid, message)| Self::row(uid, message))
            .collect();
        let exact = since >= self.removed.floor();
        let removed = if exact {
            let since = self.removed.after(since).take_while(|(modseq, _)| *modseq <= to);
            since.flat_map(|(_, uids)| uids.ranges()).fold(UidSet::new(), |mut all, (first, last)| {
                all.insert_range(first, last);
                all
            })
        } else {
            self.gone.union(&self.before).difference(&self.uids)
        };
        let mut status = self.status();
        status.highest_modseq = to;
        Changes { to, status, changed, removed, exact, more: to < self.modseq }
    }

    /// Writes the log of changes anew when most of it is stale: a message stands there once for each of its
    /// changes, and only the last one counts.
    pub(super) fn tidy_log(&mut self) {
        let most = (self.messages.len() as u64).saturating_mul(2).saturating_add(CHANGE_LOG_SLACK);
        if self.changed.uids() <= most {
            return;
        }
        let mut by_modseq: HashMap<ModSeq, Vec<Uid>> = HashMap::new();
        for (uid, message) in &self.messages {
            by_modseq.entry(message.modseq).or_default().push(*uid);
        }
        let mut log = Log::default();
        let mut entries: Vec<_> = by_modseq.into_iter().collect();
        entries.sort_unstable_by_key(|(modseq, _)| *modseq);
        for (modseq, uids) in entries {
            log.insert(modseq, uids.into_iter().collect());
        }
        self.changed = log;
    }
}
