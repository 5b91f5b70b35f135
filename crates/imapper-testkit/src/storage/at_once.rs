//! Several tasks at the same mailboxes.

use std::collections::BTreeMap;

use imapper_core::storage::{ModSeqs, StorageError};
use imapper_core::types::{ModSeq, SystemFlag, Uid, UidSet};
use tokio::task::JoinHandle;

use super::changing::Follower;
use super::trial::{Outcome, Stop, Trial, create, ensure, john, same, set, system};

/// What a task gave; a panic is a failure of the storage.
async fn joined<T>(task: JoinHandle<Outcome<T>>) -> Outcome<T> {
    match task.await {
        Ok(outcome) => outcome,
        Err(error) => Err(Stop::Broken(format!("the storage panicked: {error}"))),
    }
}

pub(crate) async fn uids_become_visible_in_ascending_order(t: &Trial) -> Outcome {
    t.rule("UIDs and mod-sequences become visible in ascending order (RFC 9051 §2.3.1.1, RFC 7162 §3.1.1)");
    let mbox = t.inbox().await?;
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (t, mbox) = (t.clone(), mbox.clone());
            tokio::spawn(async move { t.fill(&mbox, 15).await })
        })
        .collect();
    let full = t.caps().modseq > ModSeqs::None;
    let (mut known, mut since, mut next) = (UidSet::new(), ModSeq::ZERO, Uid::MIN);
    let mut told = UidSet::new();
    loop {
        let done = writers.iter().all(JoinHandle::is_finished);
        let snapshot = t.snapshot(&mbox).await?;
        let new = snapshot.uids.difference(&known);
        for uid in new.iter() {
            ensure!(Some(uid) > known.last(), "the UID {uid} became visible after {:?}", known.last());
        }
        ensure!(
            new.first().is_none_or(|uid| uid >= next),
            "a UID below the UIDNEXT {next} became visible later"
        );
        ensure!(
            known.difference(&snapshot.uids).is_empty(),
            "messages vanish from a mailbox that only grows"
        );
        ensure!(snapshot.status.highest_modseq >= since, "the mod-sequence went back from {since}");
        (known, next) = (snapshot.uids, snapshot.status.uid_next);
        if full {
            let changes = t.changes(&mbox, since).await?;
            for row in &changes.changed {
                let (uid, modseq) = (row.uid, row.modseq);
                ensure!(modseq > since, "the mod-sequence {modseq} of {uid} became visible after {since}");
                told.insert(uid);
            }
            // Each has changed once, so that one whose mod-sequence became visible late is never told.
            let missing = known.difference(&told);
            ensure!(
                missing.is_empty(),
                "changes() up to {} have left out the messages {missing}",
                changes.to
            );
            since = changes.to;
        }
        if done {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut given = UidSet::new();
    for writer in writers {
        for uid in joined(writer).await? {
            ensure!(!given.contains(uid), "the UID {uid} was given to two messages");
            given.insert(uid);
        }
    }
    same!(t.snapshot(&mbox).await?.uids, given, "the UIDs that were given, beside the snapshot's");
    same!(given.len(), 60, "messages of four writers");
    Ok(())
}

pub(crate) async fn a_snapshot_is_one_moment(t: &Trial) -> Outcome {
    t.rule("Snapshot::uids is exactly the mailbox at Status::highest_modseq");
    let mbox = t.inbox().await?;
    let writer = {
        let (t, mbox) = (t.clone(), mbox.clone());
        tokio::spawn(async move {
            for _ in 0..40 {
                let uids = t.fill(&mbox, 2).await?;
                t.expunge(&mbox, &uids.into_iter().skip(1).collect()).await?;
            }
            Ok(())
        })
    };
    let mut seen: BTreeMap<ModSeq, UidSet> = BTreeMap::new();
    let full = t.caps().modseq > ModSeqs::None;
    while !writer.is_finished() {
        let snapshot = t.snapshot(&mbox).await?;
        let status = &snapshot.status;
        same!(snapshot.uids.len(), u64::from(status.messages), "UIDs of a snapshot, beside its messages");
        let last = snapshot.uids.last();
        ensure!(
            last.is_none_or(|last| last < status.uid_next),
            "a snapshot holds {last:?}, at or above its UIDNEXT"
        );
        if full {
            let uids = seen.entry(status.highest_modseq).or_insert_with(|| snapshot.uids.clone());
            same!(snapshot.uids, *uids, "the UIDs of two snapshots at the same mod-sequence");
        }
        tokio::task::yield_now().await;
    }
    joined(writer).await
}

pub(crate) async fn followers_miss_nothing_of_many_writers(t: &Trial) -> Outcome {
    t.rule("Whoever applies Storage::changes ends equal to the snapshot, also while others write");
    let (mbox, other) = (t.inbox().await?, t.create("other").await?);
    let writers: Vec<_> = (0..3_usize)
        .map(|n| {
            let (t, mbox, other) = (t.clone(), mbox.clone(), other.clone());
            tokio::spawn(async move {
                for round in 0..12_usize {
                    let uids = t.fill(&mbox, 2).await?;
                    let one: UidSet = uids.iter().copied().skip(round % 2).take(1).collect();
                    match (n + round) % 4 {
                        0 => drop(t.flag(&mbox, UidSet::all(), super::flags::seen()).await?),
                        1 => drop(t.expunge(&mbox, &one).await?),
                        2 => {
                            let mode = imapper_core::storage::CopyMode::Move;
                            drop(t.storage().copy(&mbox, &one, &other, mode).await?);
                        }
                        _ => {
                            let op = super::flags::remove(system(SystemFlag::Seen));
                            drop(t.flag(&mbox, UidSet::all(), op).await?);
                        }
                    }
                }
                Ok(())
            })
        })
        .collect();
    let mut follower = Follower::default();
    while !writers.iter().all(JoinHandle::is_finished) {
        follower.follow(t, &mbox, 5).await?;
        tokio::task::yield_now().await;
    }
    for writer in writers {
        joined(writer).await?;
    }
    follower.follow(t, &mbox, 5).await?;
    follower.compare(t, &mbox).await?;
    let mut there = Follower::default();
    there.follow(t, &other, 5).await?;
    there.compare(t, &other).await
}

pub(crate) async fn a_name_is_given_once(t: &Trial) -> Outcome {
    t.rule("CREATE at the same time: one makes the mailbox, the others are told that it exists (RFC 9051 §6.3.4)");
    for round in 0..4 {
        let name = format!("race {round}");
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (t, name) = (t.clone(), name.clone());
                tokio::spawn(async move {
                    match t.tree(&john(), create(&name)).await {
                        Ok(_) => Ok(1),
                        Err(StorageError::Exists | StorageError::Busy) => Ok(0),
                        Err(error) => Err(error.into()),
                    }
                })
            })
            .collect();
        let mut made = 0;
        for task in tasks {
            made += joined(task).await?;
        }
        same!(made, 1, "how many of four have made the same mailbox");
        let names = t.names().await?;
        same!(names.iter().filter(|other| **other == name).count(), 1, "how often {name} is listed");
    }
    Ok(())
}

pub(crate) async fn renames_at_once_lose_no_mailbox(t: &Trial) -> Outcome {
    t.rule(
        "RENAME is one step: of two to the same name one is done, and no mailbox is lost (RFC 9051 §6.3.6)",
    );
    for round in 0..4 {
        let mut boxes = Vec::new();
        for n in 0..3 {
            boxes.push(t.create(&format!("from {round}.{n}")).await?);
        }
        let tasks: Vec<_> = boxes
            .iter()
            .map(|mbox| {
                let (t, mbox) = (t.clone(), mbox.clone());
                tokio::spawn(async move {
                    match t.rename(&mbox, &format!("to {round}")).await {
                        Ok(()) => Ok(1),
                        Err(StorageError::Exists | StorageError::Busy) => Ok(0),
                        Err(error) => Err(error.into()),
                    }
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += joined(task).await?;
        }
        same!(done, 1, "how many of three mailboxes got the same name");
        let list = t.storage().list(&john()).await?;
        let mut names: Vec<&str> = Vec::new();
        for mbox in &boxes {
            let found = list.iter().find(|info| info.id == mbox.id);
            ensure!(found.is_some(), "a mailbox is lost by renames at the same time");
            names.extend(found.map(|info| info.name.as_str()));
        }
        names.sort_unstable();
        names.dedup();
        same!(names.len(), 3, "names of three mailboxes");
    }
    Ok(())
}

pub(crate) async fn a_delete_leaves_no_late_message(t: &Trial) -> Outcome {
    t.rule("APPEND while the mailbox is deleted: done before, or NoMailbox; nothing comes to light in one made anew (RFC 9051 §6.3.5)");
    for _ in 0..5 {
        let mbox = t.create("brief").await?;
        let writer = {
            let (t, mbox) = (t.clone(), mbox.clone());
            tokio::spawn(async move {
                for _ in 0..50 {
                    let staged = t.message(b"x", imapper_core::types::Flags::default()).await?;
                    match t.storage().append(&mbox, vec![staged]).await {
                        Ok(_) => tokio::task::yield_now().await,
                        Err(StorageError::NoMailbox) => return Ok(()),
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(())
            })
        };
        tokio::task::yield_now().await;
        t.delete(&mbox).await?;
        let again = t.create("brief").await?;
        joined(writer).await?;
        same!(t.snapshot(&again).await?.status.messages, 0, "messages in a mailbox made anew");
        ensure!(t.snapshot(&mbox).await.is_err(), "the deleted mailbox is there again");
        t.delete(&again).await?;
    }
    Ok(())
}

pub(crate) async fn of_two_conditional_stores_one_is_done(t: &Trial) -> Outcome {
    t.rule("UNCHANGEDSINCE is tested and the flags set in one step: of several at once one is done (RFC 7162 §3.1.3)");
    t.needs_modseqs(ModSeqs::Changes)?;
    let mbox = t.inbox().await?;
    let uid = t.append(&mbox, b"x").await?;
    for round in 0..6 {
        let since = t.modseq(&mbox).await?;
        let flag = if round % 2 == 0 { SystemFlag::Seen } else { SystemFlag::Flagged };
        let op =
            if round % 4 < 2 { super::flags::add(system(flag)) } else { super::flags::remove(system(flag)) };
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (storage, mbox, op) = (t.storage(), mbox.clone(), op.clone());
                let change =
                    imapper_core::storage::FlagChange { uids: set([uid]), op, unchanged_since: Some(since) };
                tokio::spawn(async move { Ok(storage.set_flags(&mbox, change).await?) })
            })
            .collect();
        let mut changed = 0;
        for task in tasks {
            let stored = joined(task).await?;
            changed += stored.changed.len();
            ensure!(stored.unchanged.is_empty(), "a STORE that came late is told as one that was so already");
        }
        same!(changed, 1, "how many of four conditional changes at once are done");
    }
    Ok(())
}
