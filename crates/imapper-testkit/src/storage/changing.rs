//! Mod-sequences, and what `changes()` tells (CONDSTORE, QRESYNC).

use std::collections::BTreeMap;

use imapper_core::storage::{CopyMode, Mbox, ModSeqs, Row};
use imapper_core::types::{Flags, InternalDate, ModSeq, SystemFlag, Uid, UidSet};

use super::trial::{Outcome, Trial, array, ensure, same, set, state, system};

type State = BTreeMap<Uid, (Uid, ModSeq, Flags, InternalDate, u64)>;

/// What is known of a message; of its mod-sequence only where there are such.
fn known(t: &Trial, row: &Row) -> (Uid, ModSeq, Flags, InternalDate, u64) {
    let counts = t.caps().modseq > ModSeqs::None;
    let (uid, modseq, flags, date, size) = state(row);
    (uid, if counts { modseq } else { ModSeq::ZERO }, flags, date, size)
}

/// What somebody knows of a mailbox, who follows its changes.
#[derive(Clone, Default)]
pub(super) struct Follower {
    held: State,
    pub(super) since: ModSeq,
}

impl Follower {
    /// Knows all from the beginning.
    pub(super) async fn new(t: &Trial, mbox: &Mbox) -> Outcome<Self> {
        let since = t.snapshot(mbox).await?.status.highest_modseq;
        let held = t.rows(mbox).await?.iter().map(|row| (row.uid, known(t, row))).collect();
        Ok(Self { held, since })
    }

    /// Applies what has changed, in steps of so many messages.
    pub(super) async fn follow(&mut self, t: &Trial, mbox: &Mbox, limit: usize) -> Outcome {
        let counts = t.caps().modseq > ModSeqs::None;
        loop {
            let changes = t.storage().changes(mbox, self.since, limit).await?;
            for row in &changes.changed {
                ensure!(
                    row.modseq > self.since || self.since == ModSeq::ZERO || !counts,
                    "changes({}) tells {} of mod-sequence {}, which is older",
                    self.since,
                    row.uid,
                    row.modseq
                );
                let before = self.held.get(&row.uid).map(|known| known.1);
                ensure!(
                    before.is_none_or(|before| before <= row.modseq),
                    "a row of {} is older ({}) than what was told before ({before:?})",
                    row.uid,
                    row.modseq
                );
                ensure!(!changes.removed.contains(row.uid), "{} is told as changed and as gone", row.uid);
                self.held.insert(row.uid, known(t, row));
            }
            self.held.retain(|uid, _| !changes.removed.contains(*uid));
            ensure!(
                changes.to >= self.since || !counts,
                "changes({}) goes back to {}",
                self.since,
                changes.to
            );
            ensure!(
                changes.to > self.since || !changes.more,
                "changes() comes no further than {}",
                changes.to
            );
            if counts {
                same!(changes.status.highest_modseq, changes.to, "the mod-sequence of Changes::status");
            }
            self.since = changes.to;
            if !changes.more {
                return Ok(());
            }
        }
    }

    /// That the follower knows what the mailbox holds; nobody may write meanwhile.
    pub(super) async fn compare(&self, t: &Trial, mbox: &Mbox) -> Outcome {
        let snapshot = t.snapshot(mbox).await?;
        let uids: UidSet = self.held.keys().copied().collect();
        same!(uids, snapshot.uids, "the UIDs that follow from changes(), beside the snapshot's");
        let rows: State = t.rows(mbox).await?.iter().map(|row| (row.uid, known(t, row))).collect();
        for (uid, row) in &rows {
            same!(self.held.get(uid), Some(row), "the message that follows from changes(), beside rows()");
        }
        Ok(())
    }
}

pub(crate) async fn each_change_raises_the_modseq(t: &Trial) -> Outcome {
    t.rule("Each call that changes something takes one new mod-sequence a mailbox (RFC 7162 §3.1.1)");
    t.needs_modseqs(ModSeqs::Changes)?;
    let (mbox, other) = (t.inbox().await?, t.create("other").await?);
    let mut last = t.modseq(&mbox).await?;
    let mut rises = async |what: &str| -> Outcome {
        let now = t.modseq(&mbox).await?;
        ensure!(now > last, "{what} does not raise the mod-sequence above {last}");
        last = now;
        Ok(())
    };
    let [a, b, c] = array(t.fill(&mbox, 3).await?)?;
    rises("append()").await?;
    t.flag(&mbox, set([a]), super::flags::seen()).await?;
    rises("set_flags()").await?;
    t.flag(&mbox, set([a]), super::flags::remove(system(SystemFlag::Seen))).await?;
    rises("set_flags() that removes").await?;
    t.expunge(&mbox, &set([c])).await?;
    rises("expunge()").await?;
    t.storage().copy(&mbox, &set([a]), &other, CopyMode::Copy).await?;
    let there = t.snapshot(&other).await?.uids;
    t.storage().copy(&other, &there, &mbox, CopyMode::Copy).await?;
    rises("copy() into it").await?;
    t.storage().copy(&mbox, &set([b]), &other, CopyMode::Move).await?;
    rises("copy() that moves out of it").await?;
    let before = t.modseq(&mbox).await?;
    t.append(&other, b"x").await?;
    same!(t.modseq(&mbox).await?, before, "the mod-sequence after a change of another mailbox");
    Ok(())
}

pub(crate) async fn changes_tells_each_kind_of_change(t: &Trial) -> Outcome {
    t.rule("Changes: new and re-flagged messages, and those removed since (RFC 7162 §3.2.5)");
    t.needs_modseqs(ModSeqs::Changes)?;
    let mbox = t.inbox().await?;
    let [a, b, c] = array(t.fill(&mbox, 3).await?)?;
    let start = t.modseq(&mbox).await?;
    let nothing = t.storage().changes(&mbox, start, 100).await?;
    ensure!(
        nothing.changed.is_empty(),
        "changes({start}) tells {} rows, and nothing has changed",
        nothing.changed.len()
    );
    ensure!(
        nothing.removed.intersection(&set([a, b, c])).is_empty(),
        "changes() tells messages as gone that are there"
    );
    same!((nothing.to, nothing.more), (start, false), "where changes() without a change goes on");

    t.flag(&mbox, set([b]), super::flags::seen()).await?;
    let changes = t.changes(&mbox, start).await?;
    let told: Vec<Uid> = changes.changed.iter().map(|row| row.uid).collect();
    same!(told, [b], "what is told as changed after a flag was set");
    t.expunge(&mbox, &set([c])).await?;
    let d = t.append(&mbox, b"new").await?;
    let changes = t.changes(&mbox, start).await?;
    let told: UidSet = changes.changed.iter().map(|row| row.uid).collect();
    same!(told, set([b, d]), "what is told as changed after one was re-flagged and one is new");
    ensure!(changes.removed.contains(c), "the removed message {c} is missing from removed");
    ensure!(changes.removed.intersection(&set([a, b, d])).is_empty(), "removed names messages that exist");
    let snapshot = t.snapshot(&mbox).await?.status;
    same!(changes.status, snapshot, "Changes::status beside the snapshot's");
    if t.caps().modseq == ModSeqs::Full {
        ensure!(changes.exact, "a storage with ModSeqs::Full does not know what was removed a moment ago");
        same!(changes.removed, set([c]), "removed, which is told to be exact");
    }
    // A client may know more than there is, after a restore.
    let ahead = ModSeq(snapshot.highest_modseq.0 + 1000);
    let changes = t.storage().changes(&mbox, ahead, 100).await?;
    ensure!(
        changes.changed.is_empty(),
        "changes() since a mod-sequence to come tells {} rows",
        changes.changed.len()
    );
    Ok(())
}

pub(crate) async fn a_message_that_came_and_went_harms_nobody(t: &Trial) -> Outcome {
    t.rule("Whoever applies changes() ends equal to the snapshot: also one that came and went in between");
    let mbox = t.inbox().await?;
    t.fill(&mbox, 2).await?;
    let mut follower = Follower::new(t, &mbox).await?;
    let brief = t.append(&mbox, b"brief").await?;
    t.flag(&mbox, set([brief]), super::flags::seen()).await?;
    t.expunge(&mbox, &set([brief])).await?;
    follower.follow(t, &mbox, 1).await?;
    follower.compare(t, &mbox).await
}

pub(crate) async fn followers_from_any_point_end_at_the_snapshot(t: &Trial) -> Outcome {
    t.rule("Whoever applies Storage::changes from any point ends equal to the snapshot; a row may be newer than Changes::to, never older");
    let (mbox, other) = (t.inbox().await?, t.create("other").await?);
    let mut followers = vec![Follower::default()];
    let mut uids = Vec::new();
    for n in 0..24_usize {
        uids.push(t.append(&mbox, b"x").await?);
        followers.push(Follower::new(t, &mbox).await?);
        let at = |k: usize| uids.get(k % uids.len().max(1)).copied().into_iter().collect::<UidSet>();
        match n % 4 {
            0 => drop(t.flag(&mbox, at(n * 7), super::flags::seen()).await?),
            1 => drop(t.expunge(&mbox, &at(n * 5 + 2)).await?),
            2 => drop(t.storage().copy(&mbox, &at(n * 3), &other, CopyMode::Move).await?),
            _ => drop(t.flag(&mbox, UidSet::all(), super::flags::replace(system(SystemFlag::Draft))).await?),
        }
        followers.push(Follower::new(t, &mbox).await?);
    }
    for (n, mut follower) in followers.into_iter().enumerate() {
        follower.follow(t, &mbox, [1, 2, 5, usize::MAX][n % 4]).await?;
        follower.compare(t, &mbox).await?;
        if t.caps().modseq > ModSeqs::None {
            same!(follower.since, t.modseq(&mbox).await?, "where a follower arrives");
        }
    }
    Ok(())
}

pub(crate) async fn without_mod_sequences_every_message_is_told(t: &Trial) -> Outcome {
    t.rule(
        "ModSeqs::None: changes() tells every message whatever it is asked since; mod-sequences mean nothing",
    );
    t.needs(t.caps().modseq == ModSeqs::None, "the storage keeps mod-sequences")?;
    let mbox = t.inbox().await?;
    let [a, b, c] = array(t.fill(&mbox, 3).await?)?;
    let loaded = t.modseq(&mbox).await?;
    t.flag(&mbox, set([a]), super::flags::seen()).await?;
    t.expunge(&mbox, &set([b])).await?;
    let d = t.append(&mbox, b"new").await?;
    for since in [ModSeq::ZERO, loaded, t.modseq(&mbox).await?] {
        let changes = t.storage().changes(&mbox, since, 1).await?;
        let told: UidSet = changes.changed.iter().map(|row| row.uid).collect();
        same!(told, set([a, c, d]), "what changes({since}) tells");
        ensure!(changes.removed.contains(b), "the removed message {b} is missing from removed");
        ensure!(changes.removed.intersection(&told).is_empty(), "removed names messages that exist");
        // Where the rest goes on could not be said.
        ensure!(!changes.more, "changes() stops half-way");
        same!(changes.status, t.snapshot(&mbox).await?.status, "Changes::status beside the snapshot's");
    }
    Ok(())
}

pub(crate) async fn a_limit_bounds_an_answer(t: &Trial) -> Outcome {
    t.rule(
        "Storage::changes: at most about limit messages at once; Changes::more says that there are others",
    );
    t.needs_modseqs(ModSeqs::Changes)?;
    let mbox = t.inbox().await?;
    t.fill(&mbox, 40).await?;
    let first = t.storage().changes(&mbox, ModSeq::ZERO, 10).await?;
    if !first.more {
        // One that does not divide tells everything at once.
        same!(first.changed.len(), 40, "messages of an answer without more");
        return Ok(());
    }
    let (mut since, mut seen, mut rounds) = (ModSeq::ZERO, UidSet::new(), 0);
    loop {
        let changes = t.storage().changes(&mbox, since, 10).await?;
        ensure!(
            changes.changed.len() <= 20,
            "changes() with a limit of 10 tells {} rows",
            changes.changed.len()
        );
        ensure!(changes.to > since || !changes.more, "changes() comes no further than {since}");
        changes.changed.iter().for_each(|row| seen.insert(row.uid));
        since = changes.to;
        rounds += 1;
        ensure!(rounds <= 45, "changes() with a limit of 10 does not end");
        if !changes.more {
            break;
        }
    }
    same!(seen, t.snapshot(&mbox).await?.uids, "the messages told piece by piece");
    Ok(())
}

pub(crate) async fn a_long_log_stays_right(t: &Trial) -> Outcome {
    t.rule("Changes::removed may name more that no longer exist unless exact, never one that does (RFC 7162 §3.2.6)");
    t.needs_modseqs(ModSeqs::Changes)?;
    let mbox = t.inbox().await?;
    let kept = t.fill(&mbox, 3).await?;
    let mut early = Follower::new(t, &mbox).await?;
    for _ in 0..100 {
        let [a, b] = array(t.fill(&mbox, 2).await?)?;
        t.flag(&mbox, kept.iter().copied().collect(), super::flags::add(system(SystemFlag::Flagged))).await?;
        t.flag(&mbox, kept.iter().copied().collect(), super::flags::remove(system(SystemFlag::Flagged)))
            .await?;
        t.expunge(&mbox, &set([a])).await?;
        t.expunge(&mbox, &set([b])).await?;
    }
    early.follow(t, &mbox, 7).await?;
    early.compare(t, &mbox).await?;
    let mut late = Follower::default();
    late.follow(t, &mbox, usize::MAX).await?;
    late.compare(t, &mbox).await
}
