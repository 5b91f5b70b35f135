//! EXPUNGE, and rows of what is left.

use imapper_core::storage::{ModSeqs, Want};
use imapper_core::types::{SystemFlag, Uid, UidSet};

use futures_util::TryStreamExt as _;

use super::trial::{Outcome, Trial, array, ensure, same, set, system};

pub(crate) async fn only_what_is_asked_for_is_removed(t: &Trial) -> Outcome {
    t.rule("Storage::expunge removes those messages of the set that exist (RFC 9051 §6.4.3, RFC 4315 §2.1)");
    let mbox = t.inbox().await?;
    let [a, b, c, d] = array(t.fill(&mbox, 4).await?)?;
    let before = t.modseq(&mbox).await?;
    let mut wanted = set([b, d]);
    wanted.insert(Uid::MAX);
    let (removed, modseq) = t.storage().expunge(&mbox, &wanted, false).await?;
    same!(removed, set([b, d]), "the messages that expunge() tells as removed");
    let snapshot = t.snapshot(&mbox).await?;
    same!(snapshot.uids, set([a, c]), "the UIDs after an expunge");
    same!(snapshot.status.messages, 2, "messages after an expunge");
    let rows: Vec<Uid> = t.rows(&mbox).await?.iter().map(|row| row.uid).collect();
    same!(rows, [a, c], "the rows after an expunge");
    if t.caps().modseq > ModSeqs::None {
        ensure!(modseq > before, "an expunge does not raise the mod-sequence (RFC 7162 §3.2.7)");
        same!(snapshot.status.highest_modseq, modseq, "the mailbox's mod-sequence after an expunge");
    }
    let (again, _) = t.storage().expunge(&mbox, &set([b, d]), false).await?;
    ensure!(again.is_empty(), "the messages {again} are removed a second time");
    Ok(())
}

pub(crate) async fn only_deleted_spares_the_others(t: &Trial) -> Outcome {
    t.rule("Storage::expunge with only_deleted: only those of them that are \\Deleted at that moment (RFC 9051 §6.4.3)");
    let mbox = t.inbox().await?;
    let deleted = t.append_with(&mbox, b"x", system(SystemFlag::Deleted)).await?;
    let [plain, other] = array(t.fill(&mbox, 2).await?)?;
    t.flag(&mbox, set([other]), super::flags::add(system(SystemFlag::Deleted))).await?;
    let (removed, _) = t.storage().expunge(&mbox, &set([deleted, plain]), true).await?;
    same!(removed, set([deleted]), "the removed of one deleted and one other");
    same!(t.snapshot(&mbox).await?.uids, set([plain, other]), "the UIDs after UID EXPUNGE");
    t.flag(&mbox, set([other]), super::flags::remove(system(SystemFlag::Deleted))).await?;
    let (removed, _) = t.storage().expunge(&mbox, &UidSet::all(), true).await?;
    ensure!(removed.is_empty(), "the messages {removed}, which are not \\Deleted any more, are removed");
    Ok(())
}

pub(crate) async fn only_deleted_looks_at_that_moment(t: &Trial) -> Outcome {
    t.rule("Storage::expunge with only_deleted: who took \\Deleted off before keeps the message (RFC 9051 §6.4.3)");
    let mbox = t.inbox().await?;
    let uids = t.fill(&mbox, 40).await?;
    let never = t.append(&mbox, b"never deleted").await?;
    let expunger = {
        let (t, mbox) = (t.clone(), mbox.clone());
        tokio::spawn(async move {
            let mut all = UidSet::new();
            for _ in 0..60 {
                all = all.union(&t.storage().expunge(&mbox, &UidSet::all(), true).await?.0);
                tokio::task::yield_now().await;
            }
            Ok::<_, imapper_core::storage::StorageError>(all)
        })
    };
    let deleted = system(SystemFlag::Deleted);
    let mut saved = UidSet::new();
    for uid in uids {
        t.flag(&mbox, set([uid]), super::flags::add(deleted.clone())).await?;
        tokio::task::yield_now().await;
        let stored = t.flag(&mbox, set([uid]), super::flags::remove(deleted.clone())).await?;
        if stored.changed.iter().any(|(changed, _)| *changed == uid) {
            saved.insert(uid);
        }
    }
    let removed = match expunger.await {
        Ok(removed) => removed?,
        Err(error) => return Err(super::trial::Stop::Broken(format!("expunge() panicked: {error}"))),
    };
    let lost = saved.intersection(&removed);
    ensure!(lost.is_empty(), "the messages {lost} were removed although \\Deleted had been taken off");
    ensure!(!removed.contains(never), "a message that never was \\Deleted is removed");
    let left = t.snapshot(&mbox).await?.uids;
    ensure!(saved.difference(&left).is_empty(), "messages that nobody removed are missing");
    Ok(())
}

pub(crate) async fn rows_come_in_the_order_of_uids(t: &Trial) -> Outcome {
    t.rule("Storage::rows: the rows of those messages that exist, in chunks, in the order of UIDs");
    let mbox = t.inbox().await?;
    let mut uids = Vec::new();
    for round in 0..3 {
        let mut messages = Vec::new();
        for n in 0..150 {
            messages.push(
                t.message(&super::trial::letter(round * 150 + n), super::trial::system(SystemFlag::Seen))
                    .await?,
            );
        }
        uids.extend(t.storage().append(&mbox, messages).await?.uids);
    }
    let gone: UidSet = uids.iter().copied().skip(3).step_by(7).collect();
    t.expunge(&mbox, &gone).await?;
    let wanted: Vec<Uid> = uids.iter().copied().filter(|uid| !gone.contains(*uid)).collect();
    for want in [Want::FLAGS, Want::ALL] {
        let rows: Vec<_> = t.storage().rows(&mbox, &UidSet::all(), want).await?.try_concat().await?;
        let found: Vec<Uid> = rows.iter().map(|row| row.uid).collect();
        ensure!(found.is_sorted_by(|a, b| a < b), "the rows do not come in the order of UIDs, or one twice");
        same!(found, wanted, "the rows of {want:?}");
        ensure!(
            !want.body || rows.iter().all(|row| row.body.is_some()),
            "rows() lacks bodies that are asked for"
        );
    }
    let some: UidSet = wanted.iter().copied().step_by(3).collect();
    let found: UidSet = t.rows_of(&mbox, &some.union(&gone)).await?.iter().map(|row| row.uid).collect();
    same!(found, some, "the rows of a set with holes");
    Ok(())
}

pub(crate) async fn who_reads_rows_is_not_stopped_by_an_expunge(t: &Trial) -> Outcome {
    t.rule("A row that was begun to be read is given or left out when its message goes; the others come (RFC 9051 §7.5.1)");
    let mbox = t.inbox().await?;
    let uids = t.fill(&mbox, 60).await?;
    let kept: UidSet = uids.iter().copied().step_by(2).collect();
    let gone: UidSet = uids.iter().copied().skip(1).step_by(2).collect();
    let rows = t.storage().rows(&mbox, &UidSet::all(), Want::ALL).await?;
    t.expunge(&mbox, &gone).await?;
    let found: UidSet = rows.try_concat().await?.iter().map(|row| row.uid).collect();
    let lost = kept.difference(&found);
    ensure!(lost.is_empty(), "rows() leaves out {lost}, which nobody removed");
    Ok(())
}
