//! What one client has been told of its selected mailbox: the only file that counts sequence numbers.
//!
//! A view is the table that the client holds in its head (`told`), beside the [hub](super::hub)'s, which is the
//! mailbox now. [`View::sync`] compares both, and gives what has to be told to make them equal. While a message
//! that was removed must not be told as such, it keeps its place among those told.

use std::sync::Arc;

use super::hub::Hub;
use super::table::{Difference, Entry, Table};
use crate::storage::{FlagOp, Result, Stored};
use crate::types::{ModSeq, Seq, SequenceSet, SystemFlag, Uid, UidSet};

/// Whether the command that runs allows that removals are told (RFC 9051 §7.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removals {
    /// They may be told.
    Tell,
    /// FETCH, STORE or SEARCH by sequence number: they wait, and the numbers stay.
    Hold,
}

/// How often a session tries to claim what comes while it claims.
const CLAIMS: usize = 4;

/// Something to tell the client. A list of them is right when the client applies one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// A message is gone. The highest come first, so that each number is the one before the list began.
    Expunge {
        /// Its number.
        seq: Seq,
        /// Its UID.
        uid: Uid,
    },
    /// There are so many messages now (RFC 9051 §7.4.1).
    Exists(u32),
    /// So many of them are `\Recent` (RFC 3501 §7.3.2).
    Recent(u32),
    /// A message's flags are now as in [`View::told`].
    Flags {
        /// Its number.
        seq: Seq,
        /// Its UID.
        uid: Uid,
    },
    /// A message's flags are as they were, its mod-sequence is another. Only when
    /// [`View::watch_modseqs`] was asked for.
    ModSeq {
        /// Its number.
        seq: Seq,
        /// Its UID.
        uid: Uid,
    },
}

/// A sequence number for which there is no message: the command is answered BAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no message of that number")]
pub struct BadSeq;

/// One session's view of its selected mailbox.
#[derive(Debug)]
pub struct View {
    hub: Arc<Hub>,
    read_only: bool,
    // What the client has been told, with those that are gone and not yet told as such.
    told: Table,
    // Of `told`, those that are gone, as of the last sync.
    held: UidSet,
    // While some are held: what was told and what was there after the last sync, so that commands that follow
    // one another do not compare the same two tables again and again.
    rest: Option<(Table, Table)>,
    // Above every UID when the mailbox was opened, and not above any that came since.
    uid_next: Uid,
    // The highest UID that the client was ever told. Messages only come above it.
    top: Option<Uid>,
    // May name UIDs between, that do not exist.
    recent: UidSet,
    recent_told: u32,
    retell: UidSet,
    retell_modseqs: UidSet,
    watch_modseqs: bool,
    // The client has been told all that has happened up to here.
    known_up_to: ModSeq,
}

/// What lies between what was told and what is.
#[derive(Default)]
struct Pending {
    removed: Vec<(Seq, Uid)>,
    // Told entries that stay: those held, and those that the client knows better than the hub.
    kept: Vec<Entry>,
    // Messages below the top, which would shift the numbers of those above.
    hidden: UidSet,
    added: bool,
    flags: UidSet,
    modseqs: UidSet,
}

impl View {
    /// The view of a session that selects the mailbox, or with `read_only` examines it. Selecting takes the
    /// messages that are `\Recent` for itself, examining leaves them to others (RFC 3501 §6.3.2).
    pub async fn open(hub: Arc<Hub>, read_only: bool) -> Result<Self> {
        let mut view = Self {
            told: Table::new(),
            uid_next: Uid::MIN,
            hub,
            read_only,
            held: UidSet::new(),
            rest: None,
            top: None,
            recent: UidSet::new(),
            recent_told: 0,
            retell: UidSet::new(),
            retell_modseqs: UidSet::new(),
            watch_modseqs: false,
            known_up_to: ModSeq::ZERO,
        };
        view.claim().await?;
        (view.told, view.uid_next, view.known_up_to) = view.hub.now();
        view.top = view.told.last_uid();
        view.recent_told = view.recent_count();
        Ok(view)
    }

    /// The mailbox that is viewed.
    pub const fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Whether the mailbox was examined.
    pub const fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The messages as the client knows them.
    pub const fn told(&self) -> &Table {
        &self.told
    }

    /// UIDNEXT as of the opening (RFC 3501 §2.3.1.1): what comes later is told with a UID not below.
    pub const fn uid_next(&self) -> Uid {
        self.uid_next
    }

    /// The mod-sequence up to which the client has been told everything. Stays behind while a removal is held
    /// back (RFC 7162 §3.2).
    pub const fn known_up_to(&self) -> ModSeq {
        self.known_up_to
    }

    /// How many messages the client knows of.
    pub fn exists(&self) -> u32 {
        self.told.len()
    }

    /// How many of them are `\Recent`.
    pub fn recent_count(&self) -> u32 {
        self.told.count(&self.recent)
    }

    /// Whether a message is `\Recent` in this session.
    pub fn is_recent(&self, uid: Uid) -> bool {
        self.recent.contains(uid)
    }

    /// The first message without `\Seen` (RFC 3501 §7.1, UNSEEN).
    pub fn first_unseen(&self) -> Option<Seq> {
        self.told.iter().find(|(_, entry)| !entry.flags.contains(SystemFlag::Seen)).map(|(seq, _)| seq)
    }

    /// Those that the client knows and that were gone at the last [`View::sync`].
    pub const fn held(&self) -> &UidSet {
        &self.held
    }

    /// The number of a message.
    pub fn seq_of(&self, uid: Uid) -> Option<Seq> {
        self.told.find(uid).map(|(seq, _)| seq)
    }

    /// The UID of a number.
    pub fn uid_at(&self, seq: Seq) -> Option<Uid> {
        self.told.get(seq).map(|entry| entry.uid)
    }

    /// The UIDs of a set of sequence numbers. A number above the number of messages is an error, and so is
    /// `*` in an empty mailbox (RFC 9051 §9, seq-number: "should respond with a tagged BAD"). A message that
    /// is gone and not told as such still has its number.
    pub fn resolve_seqs(&self, set: &SequenceSet) -> std::result::Result<UidSet, BadSeq> {
        // A resolved set is a set of numbers, whatever their type says.
        let largest = Uid::new(self.exists()).ok_or(BadSeq)?;
        if set.largest_number().is_some_and(|number| number > largest.get()) {
            return Err(BadSeq);
        }
        let numbers = set.resolve(Some(largest));
        if numbers.first() == Some(Uid::MIN) && numbers.len() == u64::from(self.exists()) {
            return Ok(self.told.uids());
        }
        let mut uids = UidSet::new();
        for (first, last) in numbers.ranges() {
            let (Some(first), Some(last)) = (Seq::new(first.get()), Seq::new(last.get())) else { continue };
            for (_, entry) in self.told.iter_seqs(first, last) {
                uids.insert(entry.uid);
            }
        }
        Ok(uids)
    }

    /// The messages of a set of UIDs. Those that do not exist are passed over (RFC 9051 §6.4.9); `*` is the
    /// last message's.
    pub fn resolve_uids(&self, set: &SequenceSet) -> UidSet {
        let wanted = set.resolve(self.told.last_uid());
        self.told.iter_uids(&wanted).map(|(_, entry)| entry.uid).collect()
    }

    /// Tells differences in the mod-sequence alone, too.
    pub const fn watch_modseqs(&mut self, on: bool) {
        self.watch_modseqs = on;
    }

    /// Whether [`View::sync`] could have something to tell; costs nothing. May be true without need.
    pub fn is_behind(&self) -> bool {
        !self.retell.is_empty() || !self.retell_modseqs.is_empty() || !self.told.is_same(&self.hub.table())
    }

    /// Makes the messages recent in this session that no session was told of yet. Called before
    /// [`View::sync`]; asks the storage only if there can be such a message.
    pub async fn claim(&mut self) -> Result<()> {
        if self.read_only {
            let last = self.hub.table().last_uid();
            if last > self.top
                && let Some((first, last)) = self.hub.first_recent().await?.zip(self.hub.table().last_uid())
            {
                self.recent.insert_range(first, last);
            }
            return Ok(());
        }
        // More may come meanwhile, and the client is told of it: so it is claimed before.
        for _ in 0..CLAIMS {
            let last = self.hub.table().last_uid();
            if !self.hub.is_unclaimed(last) {
                break;
            }
            if let Some((first, last)) = self.hub.claim_recent(last).await? {
                self.recent.insert_range(first, last);
                // The claim goes up to the last message that the storage had, which the hub may not know yet.
                self.hub.refresh().await?;
            }
        }
        Ok(())
    }

    /// What STORE .SILENT does to what the client knows (RFC 9051 §6.4.6): it reckons with its own change, and
    /// is told only what somebody else has changed besides. To be followed by [`Hub::refresh_to`].
    pub fn expect(&mut self, op: &FlagOp, stored: &Stored) {
        let modseq = if self.hub.has_modseqs() { stored.modseq } else { ModSeq::ZERO };
        let changed: UidSet = stored.changed.iter().map(|(uid, _)| *uid).collect();
        let mut entries = Vec::new();
        for (_, entry) in self.told.iter_uids(&changed.union(&stored.unchanged)) {
            let flags = op.apply(&entry.flags);
            let modseq = if changed.contains(entry.uid) { modseq } else { entry.modseq };
            if flags != entry.flags || modseq != entry.modseq {
                entries.push(Entry { uid: entry.uid, modseq, flags });
            }
        }
        self.told.set_all(entries);
    }

    /// The flags of these are told at the next [`View::sync`], changed or not, unless they are gone: what
    /// STORE without .SILENT answers.
    pub fn retell(&mut self, uids: &UidSet) {
        self.retell = self.retell.union(uids);
    }

    /// The mod-sequences of these are told at the next [`View::sync`], changed or not, unless they are gone.
    pub fn retell_modseqs(&mut self, uids: &UidSet) {
        self.retell_modseqs = self.retell_modseqs.union(uids);
    }

    /// A response with these flags has gone out.
    pub fn told_flags_included(&mut self, entry: Entry) {
        if self.told.find(entry.uid).is_some() {
            let modseq = if self.hub.has_modseqs() { entry.modseq } else { ModSeq::ZERO };
            self.told.set_all([Entry { modseq, ..entry }]);
        }
    }

    /// What STORE without .SILENT has done, and is going to tell.
    pub fn told_flags(&mut self, stored: &Stored) {
        let modseq = if self.hub.has_modseqs() { stored.modseq } else { ModSeq::ZERO };
        let known = stored.changed.iter().filter(|(uid, _)| self.told.find(*uid).is_some());
        let entries: Vec<Entry> =
            known.map(|(uid, flags)| Entry { uid: *uid, modseq, flags: flags.clone() }).collect();
        self.told.set_all(entries);
    }

    /// Takes over the flags that these messages have now, without telling: for FETCH, which tells the flags
    /// itself, out of [`View::told`].
    pub fn catch_up(&mut self, uids: &UidSet) {
        let now = self.hub.table();
        if self.told.is_same(&now) {
            return;
        }
        let mut entries = Vec::new();
        for difference in self.told.diff(&now) {
            if let Difference::Changed(_, new) | Difference::Touched(_, new) = difference
                && uids.contains(new.uid)
            {
                entries.push(new.clone());
            }
        }
        self.told.set_all(entries);
    }

    /// What has to be told, so that the client knows the mailbox as the hub does; counts it as told. What is
    /// held back is told by a later call.
    pub fn sync(&mut self, removals: Removals) -> Vec<Update> {
        let (now, _, modseq) = self.hub.now();
        let mut updates = Vec::new();
        let mut pending = Pending::default();
        let known = self.told.is_same(&now) || (removals == Removals::Hold && self.rests_at(&now));
        if !known {
            pending = self.pending(&now, removals);
            let mut next = now.clone();
            next.remove(&pending.hidden);
            next.set_all(std::mem::take(&mut pending.kept));
            self.told = next;
            self.top = self.top.max(self.told.last_uid());
            let removed: UidSet = pending.removed.iter().map(|(_, uid)| *uid).collect();
            if removals == Removals::Tell {
                self.recent = self.recent.difference(&removed);
                updates.extend(pending.removed.iter().rev().map(|&(seq, uid)| Update::Expunge { seq, uid }));
                self.held = UidSet::new();
            } else {
                self.held = removed;
            }
            self.rest = (!self.held.is_empty()).then(|| (self.told.clone(), now));
        }
        if self.held.is_empty() {
            self.known_up_to = modseq;
        }
        if pending.added {
            updates.push(Update::Exists(self.exists()));
        }
        let recent = self.recent_count();
        if pending.added || recent != self.recent_told {
            updates.push(Update::Recent(recent));
            self.recent_told = recent;
        }
        let retell = std::mem::take(&mut self.retell).difference(&self.held);
        let flags = pending.flags.union(&retell);
        updates.extend(self.told.iter_uids(&flags).map(|(seq, entry)| Update::Flags { seq, uid: entry.uid }));
        let retell = std::mem::take(&mut self.retell_modseqs).difference(&self.held);
        let modseqs = pending.modseqs.union(&retell).difference(&flags);
        updates
            .extend(self.told.iter_uids(&modseqs).map(|(seq, entry)| Update::ModSeq { seq, uid: entry.uid }));
        updates
    }

    /// Whether nothing has changed since the last sync, on either side.
    fn rests_at(&self, now: &Table) -> bool {
        self.rest.as_ref().is_some_and(|(told, there)| told.is_same(&self.told) && there.is_same(now))
    }

    fn pending(&self, now: &Table, removals: Removals) -> Pending {
        let mut pending = Pending::default();
        for difference in self.told.diff(now) {
            match difference {
                Difference::Removed(seq, entry) => {
                    pending.removed.push((seq, entry.uid));
                    if removals == Removals::Hold {
                        pending.kept.push(entry.clone());
                    }
                }
                // UIDs become visible in ascending order. Where a storage breaks that, a message in the middle
                // stays hidden until the mailbox is selected again: the client could not number it.
                Difference::Added(entry) if Some(entry.uid) <= self.top => pending.hidden.insert(entry.uid),
                Difference::Added(_) => pending.added = true,
                // Told from a newer row than the hub has: it will come.
                Difference::Changed(old, new) | Difference::Touched(old, new) if old.modseq > new.modseq => {
                    pending.kept.push(old.clone());
                }
                Difference::Changed(_, new) => pending.flags.insert(new.uid),
                Difference::Touched(_, new) if self.watch_modseqs => pending.modseqs.insert(new.uid),
                Difference::Touched(..) => {}
            }
        }
        pending
    }
}

#[cfg(test)]
mod tests {
    use super::super::hub::tests::{Model, mbox, open, uid};
    use super::super::hub::{Hub, Hubs};
    use super::*;
    use crate::storage::{FlagChange, ModSeqs, Storage as _};
    use crate::types::{Flags, SystemFlags};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::sync::atomic::Ordering;

    fn seqs(pairs: &[(u32, u32)]) -> SequenceSet {
        // 0 stands for `*`.
        let number = |number: u32| (number > 0).then_some(number);
        SequenceSet::from_pairs(pairs.iter().map(|&(a, b)| (number(a), number(b))).collect())
    }

    fn uids(numbers: &[u32]) -> UidSet {
        numbers.iter().map(|number| uid(*number)).collect()
    }

    fn seq(number: u32) -> Seq {
        Seq::new(number).unwrap()
    }

    fn expunge(number: u32, of: u32) -> Update {
        Update::Expunge { seq: seq(number), uid: uid(of) }
    }

    fn flags(number: u32, of: u32) -> Update {
        Update::Flags { seq: seq(number), uid: uid(of) }
    }

    fn add(flag: SystemFlag) -> FlagOp {
        FlagOp::Add(flag.into())
    }

    fn change(uids: UidSet, op: &FlagOp) -> FlagChange {
        FlagChange { uids, op: op.clone(), unchanged_since: None }
    }

    async fn select(messages: u32) -> (Arc<Model>, Arc<Hub>, View) {
        let model = Model::new(ModSeqs::Full, messages);
        let hub = open(&Hubs::new(), &model).await.unwrap();
        let view = View::open(hub.clone(), false).await.unwrap();
        (model, hub, view)
    }

    #[tokio::test]
    async fn removals_wait_and_numbers_stay() {
        let (model, hub, mut view) = select(5).await;
        model.remove(&uids(&[2, 4]));
        model.add_all(1);
        model.store(&change(uids(&[5]), &add(SystemFlag::Seen)));
        hub.refresh().await.unwrap();
        view.claim().await.unwrap();
        assert_eq!(view.sync(Removals::Hold), [Update::Exists(6), Update::Recent(6), flags(5, 5)]);
        assert_eq!(view.held(), &uids(&[2, 4]));
        assert_eq!(view.uid_at(seq(2)), Some(uid(2)));
        assert_eq!(view.resolve_seqs(&seqs(&[(4, 0)])), Ok(uids(&[4, 5, 6])));
        assert_eq!(view.sync(Removals::Hold), []);
        model.remove(&uids(&[6]));
        hub.refresh().await.unwrap();
        assert_eq!(
            view.sync(Removals::Tell),
            [expunge(6, 6), expunge(4, 4), expunge(2, 2), Update::Recent(3)]
        );
        assert_eq!(view.seq_of(uid(5)), Some(seq(3)));
        assert!(view.held().is_empty() && view.told().is_same(&hub.table()));
        assert!(!view.is_behind());
    }

    #[tokio::test]
    async fn sets_are_resolved_by_what_was_told() {
        let (model, hub, mut view) = select(9).await;
        model.remove(&uids(&[1, 4, 9]));
        hub.refresh().await.unwrap();
        view.sync(Removals::Tell);
        model.add_all(1);
        hub.refresh().await.unwrap();
        // Told are 2, 3, 5, 6, 7, 8. UID 10 is there, but not told yet.
        for (set, expected) in [
            (&[(1, 0)][..], Ok(&[2, 3, 5, 6, 7, 8][..])),
            (&[(1, 6)], Ok(&[2, 3, 5, 6, 7, 8])),
            (&[(0, 5)], Ok(&[7, 8])),
            (&[(0, 0)], Ok(&[8])),
            (&[(3, 2), (3, 3)], Ok(&[3, 5])),
            (&[(7, 7)], Err(BadSeq)),
            (&[(1, 1), (5, 4_294_967_295)], Err(BadSeq)),
            (&[(7, 0)], Err(BadSeq)),
        ] {
            assert_eq!(view.resolve_seqs(&seqs(set)), expected.map(uids), "{set:?}");
        }
        for (set, expected) in [
            (&[(1, 0)][..], &[2, 3, 5, 6, 7, 8][..]),
            (&[(1, 4_294_967_295)], &[2, 3, 5, 6, 7, 8]),
            (&[(4, 4), (9, 10)], &[]),
            (&[(559, 0)], &[8]),
            (&[(6, 4)], &[5, 6]),
        ] {
            assert_eq!(view.resolve_uids(&seqs(set)), uids(expected), "{set:?}");
        }
        let (_, _, view) = select(0).await;
        assert_eq!(view.resolve_seqs(&seqs(&[(0, 0)])), Err(BadSeq));
        assert_eq!(view.resolve_seqs(&seqs(&[(1, 0)])), Err(BadSeq));
        assert_eq!(view.resolve_uids(&seqs(&[(1, 0)])), UidSet::new());
        assert_eq!(view.first_unseen(), None);
    }

    #[tokio::test]
    async fn a_silent_store_hides_only_its_own_change() {
        let (model, hub, mut view) = select(3).await;
        // Somebody else sets \Flagged on message 2 before this session's silent \Seen on all.
        model.store(&change(uids(&[2]), &add(SystemFlag::Flagged)));
        let op = add(SystemFlag::Seen);
        let stored = model.store(&change(UidSet::all(), &op));
        view.expect(&op, &stored);
        assert_eq!(view.first_unseen(), None);
        // The hub does not know of it yet: nothing old is told.
        assert_eq!(view.sync(Removals::Hold), []);
        hub.refresh_to(stored.modseq).await.unwrap();
        assert_eq!(view.sync(Removals::Hold), [flags(2, 2)]);
        assert!(view.told().is_same(&hub.table()));
        // What was so already is told by its mod-sequence, where somebody wants to know that.
        model.store(&change(uids(&[3]), &add(SystemFlag::Draft)));
        let op = add(SystemFlag::Draft);
        let stored = model.store(&change(uids(&[3]), &op));
        assert_eq!(stored.unchanged, uids(&[3]));
        view.watch_modseqs(true);
        view.expect(&op, &stored);
        hub.refresh().await.unwrap();
        assert_eq!(view.sync(Removals::Hold), [Update::ModSeq { seq: seq(3), uid: uid(3) }]);
    }

    #[tokio::test]
    async fn what_is_to_be_retold_is_told_once_unless_it_is_gone() {
        let (model, hub, mut view) = select(3).await;
        let stored = model.store(&change(uids(&[1]), &add(SystemFlag::Seen)));
        model.remove(&uids(&[2]));
        view.retell(&uids(&[1, 2, 3, 9]));
        hub.refresh_to(stored.modseq.next()).await.unwrap();
        assert!(view.is_behind());
        assert_eq!(view.sync(Removals::Hold), [flags(1, 1), flags(3, 3)]);
        assert_eq!(view.sync(Removals::Tell), [expunge(2, 2), Update::Recent(2)]);
        assert_eq!(view.sync(Removals::Tell), []);
    }

    #[tokio::test]
    async fn what_fetch_has_told_is_not_told_again() {
        let (model, hub, mut view) = select(3).await;
        model.store(&change(UidSet::all(), &add(SystemFlag::Seen)));
        hub.refresh().await.unwrap();
        view.catch_up(&uids(&[1]));
        assert!(view.told().get(seq(1)).unwrap().flags.contains(SystemFlag::Seen));
        view.told_flags_included(hub.table().get(seq(2)).unwrap().clone());
        assert_eq!(view.sync(Removals::Hold), [flags(3, 3)]);
        // A row newer than the hub's table.
        model.store(&change(uids(&[1]), &add(SystemFlag::Draft)));
        view.told_flags_included(model.table().get(seq(1)).unwrap().clone());
        assert_eq!(view.sync(Removals::Hold), []);
        hub.refresh().await.unwrap();
        assert_eq!(view.sync(Removals::Hold), []);
    }

    #[tokio::test]
    async fn each_message_is_recent_in_one_session_only() {
        let (model, hub, mut a) = select(3).await;
        let mut b = View::open(hub.clone(), false).await.unwrap();
        let examined = View::open(hub.clone(), true).await.unwrap();
        assert_eq!((a.recent_count(), b.recent_count(), examined.recent_count()), (3, 0, 0));
        assert_eq!(model.claims.load(Ordering::SeqCst), 1);
        model.add_all(2);
        hub.refresh().await.unwrap();
        b.claim().await.unwrap();
        a.claim().await.unwrap();
        assert_eq!(b.sync(Removals::Tell), [Update::Exists(5), Update::Recent(2)]);
        assert_eq!(a.sync(Removals::Tell), [Update::Exists(5), Update::Recent(3)]);
        assert!(a.is_recent(uid(3)) && !a.is_recent(uid(4)) && b.is_recent(uid(4)));
        // Whoever examines takes nothing away.
        model.add_all(1);
        hub.refresh().await.unwrap();
        let examined = View::open(hub.clone(), true).await.unwrap();
        assert!(examined.is_recent(uid(6)) && examined.recent_count() == 1);
        a.claim().await.unwrap();
        assert_eq!(a.sync(Removals::Tell), [Update::Exists(6), Update::Recent(4)]);
        // A claim reaches up to what the hub has not seen, and is counted then.
        model.add_all(1);
        hub.refresh().await.unwrap();
        model.add_all(1);
        b.claim().await.unwrap();
        assert_eq!(b.sync(Removals::Tell), [Update::Exists(8), Update::Recent(4)]);
        // What comes after the claim, and is claimed by another before the hub is refreshed, is the other's.
        model.add_all(1);
        hub.refresh().await.unwrap();
        model.truth.lock().unwrap().overtake = true;
        a.claim().await.unwrap();
        assert!(a.is_recent(uid(9)) && !a.is_recent(uid(10)));
        model.remove(&uids(&[9, 10]));
        hub.refresh().await.unwrap();
        assert_eq!(b.sync(Removals::Tell), []);
        model.claim_recent(&mbox()).await.unwrap();
        model.remove(&uids(&[4, 7]));
        hub.refresh().await.unwrap();
        assert_eq!(b.sync(Removals::Tell), [expunge(7, 7), expunge(4, 4), Update::Recent(2)]);
    }

    #[tokio::test]
    async fn uidnext_is_not_above_what_comes_after_the_opening() {
        let (model, hub, mut view) = select(3).await;
        model.add_all(2);
        hub.refresh().await.unwrap();
        assert_eq!((view.exists(), view.uid_next(), hub.uid_next()), (3, uid(4), uid(6)));
        view.sync(Removals::Tell);
        assert_eq!(view.uid_at(seq(4)), Some(uid(4)));
    }

    #[tokio::test]
    async fn a_message_in_the_middle_shifts_no_numbers() {
        // A storage that lets a UID become visible below others breaks its contract; the client does not suffer.
        let (model, hub, mut view) = select(3).await;
        model.remove(&uids(&[2]));
        hub.refresh().await.unwrap();
        view.sync(Removals::Tell);
        model.bring_back(uid(2));
        hub.refresh().await.unwrap();
        assert_eq!(hub.table().len(), 3);
        assert_eq!(view.sync(Removals::Tell), []);
        assert_eq!((view.exists(), view.uid_at(seq(2))), (2, Some(uid(3))));
        model.add_all(1);
        hub.refresh().await.unwrap();
        view.claim().await.unwrap();
        assert_eq!(view.sync(Removals::Tell), [Update::Exists(3), Update::Recent(3)]);
    }

    /// A client that believes what it is told, and nothing else.
    #[derive(Default)]
    struct Client {
        // `None` is what the client has not asked for yet.
        messages: Vec<Option<Entry>>,
        recent: u32,
        removed: HashSet<Uid>,
    }

    impl Client {
        fn apply(&mut self, updates: Vec<Update>, view: &View, removals: Removals) {
            for update in updates {
                match update {
                    Update::Expunge { seq, uid } => {
                        assert_eq!(removals, Removals::Tell);
                        let message = self.messages.remove(seq.get() as usize - 1);
                        assert_eq!(message.map(|entry| entry.uid), Some(uid));
                        self.removed.insert(uid);
                    }
                    Update::Exists(count) => {
                        assert!(count as usize > self.messages.len());
                        self.messages.resize(count as usize, None);
                    }
                    Update::Recent(count) => self.recent = count,
                    Update::Flags { seq, uid } | Update::ModSeq { seq, uid } => {
                        assert_eq!(view.uid_at(seq), Some(uid));
                        let message = &mut self.messages[seq.get() as usize - 1];
                        let entry = view.told().get(seq).cloned();
                        let same_flags =
                            message.as_ref().map(|m| &m.flags) == entry.as_ref().map(|e| &e.flags);
                        assert!(same_flags || matches!(update, Update::Flags { .. }));
                        *message = entry;
                    }
                }
            }
            self.fetch_new(view);
            self.agree(view);
        }

        fn fetch_new(&mut self, view: &View) {
            for (at, message) in self.messages.iter_mut().enumerate().filter(|(_, message)| message.is_none())
            {
                *message = view.told().get(seq(u32::try_from(at).unwrap() + 1)).cloned();
            }
        }

        fn agree(&self, view: &View) {
            assert_eq!(self.messages.len(), view.exists() as usize);
            for ((_, told), known) in view.told().iter().zip(&self.messages) {
                assert_eq!(Some(told), known.as_ref());
                assert!(!self.removed.contains(&told.uid));
            }
            assert!(self.messages.iter().flatten().is_sorted_by(|a, b| a.uid < b.uid));
        }

        fn of(&mut self, uids: &UidSet) -> impl Iterator<Item = &mut Entry> {
            self.messages.iter_mut().flatten().filter(|entry| uids.contains(entry.uid))
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(u32),
        Change(UidSet, FlagOp),
        Remove(UidSet),
        Refresh,
        Sync(usize, Removals),
        Store { who: usize, uids: UidSet, op: FlagOp, silent: bool, refresh: bool },
        Fetch(usize, UidSet, bool),
    }

    fn any_uids() -> impl Strategy<Value = UidSet> {
        vec((1..24_u32, 0..4_u32), 1..3).prop_map(|ranges| {
            let mut uids = UidSet::new();
            for (first, more) in ranges {
                uids.insert_range(uid(first), uid(first + more));
            }
            uids
        })
    }

    fn any_op() -> impl Strategy<Value = FlagOp> {
        (0..3, 0..4_u8).prop_map(|(kind, bits)| {
            let flags = Flags::new(SystemFlags::from_bits(bits), []);
            match kind {
                0 => FlagOp::Add(flags),
                1 => FlagOp::Remove(flags),
                _ => FlagOp::Replace(flags),
            }
        })
    }

    fn any_removals() -> impl Strategy<Value = Removals> {
        prop_oneof![Just(Removals::Tell), Just(Removals::Hold)]
    }

    fn step() -> impl Strategy<Value = Step> {
        let store = (0..2_usize, any_uids(), any_op(), any::<bool>(), any::<bool>());
        prop_oneof![
            (1..4_u32).prop_map(Step::Append),
            (any_uids(), any_op()).prop_map(|(uids, op)| Step::Change(uids, op)),
            any_uids().prop_map(Step::Remove),
            Just(Step::Refresh),
            (0..2_usize, any_removals()).prop_map(|(who, removals)| Step::Sync(who, removals)),
            store.prop_map(|(who, uids, op, silent, refresh)| Step::Store { who, uids, op, silent, refresh }),
            (0..2_usize, any_uids(), any::<bool>())
                .prop_map(|(who, uids, rows)| Step::Fetch(who, uids, rows)),
        ]
    }

    struct World {
        model: Arc<Model>,
        hub: Arc<Hub>,
        sessions: Vec<(View, Client)>,
    }

    impl World {
        async fn new(modseqs: ModSeqs) -> Self {
            let model = Model::new(modseqs, 8);
            let hub = open(&Hubs::new(), &model).await.unwrap();
            let mut sessions = Vec::new();
            for read_only in [false, true] {
                let mut view = View::open(hub.clone(), read_only).await.unwrap();
                view.watch_modseqs(true);
                let mut client = Client { recent: view.recent_count(), ..Client::default() };
                client.messages.resize(view.exists() as usize, None);
                client.fetch_new(&view);
                sessions.push((view, client));
            }
            Self { model, hub, sessions }
        }

        async fn sync(&mut self, who: usize, removals: Removals) {
            let (view, client) = &mut self.sessions[who];
            view.claim().await.unwrap();
            let updates = view.sync(removals);
            client.apply(updates, view, removals);
            assert_eq!(client.recent, view.recent_count());
            assert!(view.held().is_empty() || removals == Removals::Hold);
        }

        async fn take(&mut self, step: Step) {
            match step {
                Step::Append(count) => self.model.add_all(count),
                Step::Change(uids, op) => drop(self.model.store(&change(uids, &op))),
                Step::Remove(uids) => self.model.remove(&uids),
                Step::Refresh => self.hub.refresh().await.unwrap(),
                Step::Sync(who, removals) => self.sync(who, removals).await,
                Step::Store { who, uids, op, silent, refresh } => {
                    let (view, client) = &mut self.sessions[who];
                    let uids = view.resolve_uids(&seqs(&[(1, 0)])).intersection(&uids);
                    let stored = self.model.store(&change(uids.clone(), &op));
                    if silent {
                        view.expect(&op, &stored);
                        let changed = stored.changed.iter().map(|(uid, _)| *uid).collect();
                        client.of(&stored.unchanged).for_each(|entry| entry.flags = op.apply(&entry.flags));
                        for entry in client.of(&changed) {
                            entry.flags = op.apply(&entry.flags);
                            entry.modseq = stored.modseq;
                        }
                        client.agree(view);
                    } else {
                        view.retell(&uids);
                    }
                    if refresh {
                        self.hub.refresh_to(stored.modseq).await.unwrap();
                    }
                    self.sync(who, Removals::Hold).await;
                }
                Step::Fetch(who, uids, rows) => {
                    let (view, client) = &mut self.sessions[who];
                    if rows {
                        let now = self.model.table();
                        now.iter_uids(&uids).for_each(|(_, entry)| view.told_flags_included(entry.clone()));
                    } else {
                        view.catch_up(&uids);
                    }
                    for entry in client.of(&uids) {
                        *entry = view.told().find(entry.uid).unwrap().1.clone();
                    }
                    client.agree(view);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn what_a_client_replays_is_what_it_was_told(steps in vec(step(), 1..40), full: bool) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let mut world = World::new(if full { ModSeqs::Full } else { ModSeqs::None }).await;
                for step in steps {
                    world.take(step).await;
                }
                world.hub.refresh().await.unwrap();
                for who in [0, 1] {
                    world.sync(who, Removals::Hold).await;
                    world.sync(who, Removals::Tell).await;
                    let view = &world.sessions[who].0;
                    assert_eq!(view.told(), &world.model.table());
                    assert!(view.told().is_same(&world.hub.table()));
                    assert!(!view.is_behind());
                }
            });
        }
    }
}
