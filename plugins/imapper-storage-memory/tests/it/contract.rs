//! A test for each sentence of the contract that stands at the head of the trait, and for the promises of
//! its methods.

use super::*;
use imapper_core::storage::{Changes, ModSeqs, Reach};
use imapper_core::types::ModSeq;
use std::collections::BTreeMap;

/// `Snapshot::uids` is exactly the mailbox at `Status::highest_modseq`.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_the_mailbox_at_its_mod_sequence() {
    let memory = Arc::new(Memory::new());
    let mbox = inbox(&memory).await;
    let writer = tokio::spawn({
        let (memory, mbox) = (Arc::clone(&memory), mbox.clone());
        async move {
            for n in 1..=300 {
                append(&memory, &mbox, b"x").await;
                if n % 3 == 0 {
                    memory.expunge(&mbox, &uids([n - 1]), false).await.unwrap();
                }
            }
        }
    });
    let mut seen = BTreeMap::new();
    while !writer.is_finished() {
        let snapshot = memory.snapshot(&mbox).await.unwrap();
        assert_eq!(u64::from(snapshot.status.messages), snapshot.uids.len());
        assert!(snapshot.uids.last().is_none_or(|last| last < snapshot.status.uid_next));
        let uids = seen.entry(snapshot.status.highest_modseq).or_insert_with(|| snapshot.uids.clone());
        assert_eq!(*uids, snapshot.uids);
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

fn apply(held: &mut BTreeMap<Uid, Row>, changes: Changes, since: ModSeq) -> ModSeq {
    for row in changes.changed {
        assert!(row.modseq > since, "a row is older than what was asked for");
        held.insert(row.uid, row);
    }
    held.retain(|uid, _| !changes.vanished.contains(*uid));
    changes.to
}

/// Whoever applies `changes` from any point ends equal to the snapshot.
#[tokio::test]
async fn changes_lead_from_any_point_to_the_snapshot() {
    let memory = Memory::new();
    let mbox = inbox(&memory).await;
    let mut points = Vec::new();
    for n in 1..=40u32 {
        points.push((rows(&memory, &mbox, &UidSet::all()).await, memory.snapshot(&mbox).await.unwrap()));
        append(&memory, &mbox, b"x").await;
        memory.set_flags(&mbox, add(uids([n / 2 + 1]), SystemFlag::Seen)).await.unwrap();
        memory.expunge(&mbox, &uids([n / 3 + 1]), n % 2 == 0).await.unwrap();
    }
    let wanted = rows(&memory, &mbox, &UidSet::all()).await;
    for (rows, snapshot) in points {
        let mut held: BTreeMap<Uid, Row> = rows.into_iter().map(|row| (row.uid, row)).collect();
        let mut since = snapshot.status.highest_modseq;
        loop {
            let changes = memory.changes(&mbox, since, 3).await.unwrap();
            assert!(changes.exact);
            let more = changes.more;
            since = apply(&mut held, changes, since);
            if !more {
                break;
            }
        }
        assert_eq!(since, memory.snapshot(&mbox).await.unwrap().status.highest_modseq);
        let found: Vec<_> = held.values().map(|row| (row.uid, row.modseq, row.flags.clone())).collect();
        let wanted: Vec<_> = wanted.iter().map(|row| (row.uid, row.modseq, row.flags.clone())).collect();
        assert_eq!(found, wanted);
    }
}

/// UIDs and mod-sequences become visible in ascending order.
#[tokio::test(flavor = "multi_thread")]
async fn uids_become_visible_in_ascending_order() {
    let memory = Arc::new(Memory::new());
    let mbox = inbox(&memory).await;
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (memory, mbox) = (Arc::clone(&memory), mbox.clone());
            tokio::spawn(async move {
                for _ in 0..50 {
                    append(&memory, &mbox, b"x").await;
                }
            })
        })
        .collect();
    let (mut at, mut highest) = (ModSeq::ZERO, 0);
    loop {
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let changes = memory.changes(&mbox, at, usize::MAX).await.unwrap();
        for row in &changes.changed {
            assert!(row.uid.get() > highest, "UID {} came after {highest}", row.uid);
            highest = row.uid.get();
        }
        assert!(changes.to >= at);
        at = changes.to;
        if done && changes.changed.is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(highest, 200);
}

/// A UID is never used twice under one UIDVALIDITY, a `MailboxId` never at all.
#[tokio::test]
async fn nothing_is_used_twice() {
    let memory = Memory::new();
    let mbox = inbox(&memory).await;
    let first = append(&memory, &mbox, b"x").await;
    memory.expunge(&mbox, &UidSet::all(), false).await.unwrap();
    assert!(append(&memory, &mbox, b"x").await > first);
    let mut ids = Vec::new();
    let mut validities = vec![memory.snapshot(&mbox).await.unwrap().status.uid_validity];
    for _ in 0..5 {
        let mbox = create(&memory, "a").await;
        validities.push(memory.snapshot(&mbox).await.unwrap().status.uid_validity);
        memory.tree(&john(), TreeOp::Delete { id: mbox.id.clone() }).await.unwrap();
        assert!(matches!(memory.snapshot(&mbox).await, Err(StorageError::NoMailbox)));
        ids.push(mbox.id);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
    assert!(validities.is_sorted() && validities.windows(2).all(|pair| pair[0] != pair[1]));
}

/// The same `Staged` body appended twice to the same mailbox gives the same UID.
#[tokio::test]
async fn a_token_has_one_uid_in_a_mailbox() {
    let memory = Memory::new();
    let (mbox, other) = (inbox(&memory).await, create(&memory, "a").await);
    let message = NewMessage::new(stage(&memory, b"x").await, Flags::default(), DATE);
    let first = memory.append(&mbox, vec![message.clone()]).await.unwrap();
    let again = memory.append(&mbox, vec![message.clone()]).await.unwrap();
    assert_eq!(first, again);
    let both = memory.append(&other, vec![message.clone(), message]).await.unwrap();
    assert_eq!(both.uids, [uid(1), uid(1)]);
    for mbox in [&mbox, &other] {
        assert_eq!(memory.snapshot(mbox).await.unwrap().status.messages, 1);
    }
}

/// A call that changes something takes one mod-sequence, one that changes nothing takes none.
#[tokio::test]
async fn a_change_is_one_mod_sequence() {
    let memory = Memory::new();
    let (mbox, other) = (inbox(&memory).await, create(&memory, "a").await);
    let staged = [stage(&memory, b"a").await, stage(&memory, b"b").await, stage(&memory, b"c").await];
    let messages = staged.into_iter().map(|staged| NewMessage::new(staged, Flags::default(), DATE)).collect();
    let at = memory.append(&mbox, messages).await.unwrap().modseq;
    assert!(rows(&memory, &mbox, &UidSet::all()).await.iter().all(|row| row.modseq == at));

    let stored = memory.set_flags(&mbox, add(uids([1, 3, 9]), SystemFlag::Seen)).await.unwrap();
    assert_eq!((stored.changed.len(), stored.modseq), (2, at.next()));
    let stored = memory.set_flags(&mbox, add(uids([1, 3]), SystemFlag::Seen)).await.unwrap();
    assert_eq!((stored.changed.len(), stored.unchanged, stored.modseq), (0, uids([1, 3]), at.next()));
    let (gone, modseq) = memory.expunge(&mbox, &UidSet::all(), true).await.unwrap();
    assert_eq!((gone.is_empty(), modseq), (true, at.next()));
    let copied = memory.copy(&mbox, &uids([7]), &other, imapper_core::storage::CopyMode::Move).await.unwrap();
    assert_eq!((copied.pairs.len(), copied.from_modseq), (0, Some(at.next())));
    assert_eq!(memory.append(&mbox, Vec::new()).await.unwrap().modseq, at.next());
    let (gone, modseq) = memory.expunge(&mbox, &uids([1, 2]), false).await.unwrap();
    assert_eq!((gone, modseq), (uids([1, 2]), at.next().next()));
}

/// Octets are counted as they go over the wire; bodies are 8-bit clean, NUL included.
#[tokio::test]
async fn bodies_are_kept_octet_by_octet() {
    let memory = Memory::new();
    let mbox = inbox(&memory).await;
    let all: Vec<u8> = (0..=255).chain(*b"\n\r\r\n\0").collect();
    let number = append(&memory, &mbox, &all).await;
    let row = row(&memory, &mbox, number).await;
    let body = row.body.unwrap();
    assert_eq!(row.size, 261);
    assert_eq!(read(&memory, &body, 0..u64::MAX).await, all);
    assert_eq!(read(&memory, &body, 10..20).await, all[10..20]);
    assert_eq!(read(&memory, &body, 250..900).await, all[250..]);
    assert_eq!(read(&memory, &body, 900..950).await, b"");
    #[expect(clippy::reversed_empty_ranges, reason = "a peer may ask for it")]
    let reversed = read(&memory, &body, 20..10).await;
    assert_eq!(reversed, b"");
    assert_eq!(memory.snapshot(&mbox).await.unwrap().status.size, 261);
}

#[tokio::test]
async fn what_it_can_do_is_announced() {
    let caps = Memory::new().caps();
    assert_eq!((caps.modseq, caps.watch), (ModSeqs::Full, Reach::Process));
    assert!(caps.atomic_move && caps.object_ids && caps.save_date);
}

#[tokio::test]
async fn rows_come_in_chunks_in_the_order_of_uids() {
    let memory = Memory::new();
    let mbox = inbox(&memory).await;
    for _ in 0..3 {
        let mut messages = Vec::new();
        for _ in 0..200 {
            messages.push(NewMessage::new(stage(&memory, b"x").await, Flags::default(), DATE));
        }
        memory.append(&mbox, messages).await.unwrap();
    }
    memory.expunge(&mbox, &uids([5, 256, 257]), false).await.unwrap();
    let chunks: Vec<Vec<Row>> =
        memory.rows(&mbox, &UidSet::all(), Want::FLAGS).await.unwrap().try_collect().await.unwrap();
    assert!(chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= 256) && chunks.len() > 1);
    let found: Vec<u32> = chunks.concat().iter().map(|row| row.uid.get()).collect();
    assert!(found.is_sorted());
    assert_eq!(found.len(), 597);
    let odd = uids((1..=600).filter(|n| n % 2 == 1).chain([5000]));
    assert_eq!(rows(&memory, &mbox, &odd).await.len(), 298);
}

#[tokio::test]
async fn two_sessions_are_never_told_the_same_message_as_recent() {
    let memory = Memory::new();
    let mbox = inbox(&memory).await;
    assert_eq!(memory.claim_recent(&mbox).await.unwrap(), None);
    append(&memory, &mbox, b"x").await;
    append(&memory, &mbox, b"x").await;
    let status = memory.status(&john(), std::slice::from_ref(&mbox.id)).await.unwrap().remove(0);
    assert_eq!((status.first_recent, status.recent), (Some(uid(1)), 2));
    let modseq = status.highest_modseq;
    assert_eq!(memory.claim_recent(&mbox).await.unwrap(), Some((uid(1), uid(2))));
    assert_eq!(memory.claim_recent(&mbox).await.unwrap(), None);
    append(&memory, &mbox, b"x").await;
    let status = memory.snapshot(&mbox).await.unwrap().status;
    assert_eq!((status.first_recent, status.recent, status.highest_modseq), (Some(uid(3)), 1, modseq.next()));
}

#[tokio::test]
async fn what_is_gone_is_told_as_gone() {
    let memory = Memory::new();
    let missing = Mbox { account: john(), id: MailboxId::from("none") };
    let known = inbox(&memory).await;
    assert!(matches!(memory.snapshot(&missing).await, Err(StorageError::NoMailbox)));
    assert!(matches!(memory.rows(&missing, &UidSet::all(), Want::FLAGS).await, Err(StorageError::NoMailbox)));
    let status = memory.status(&john(), &[known.id.clone(), missing.id.clone()]).await;
    assert!(matches!(status, Err(StorageError::NoMailbox)));
    let staged = stage(&memory, b"x").await;
    let mut message = NewMessage::new(staged, Flags::default(), DATE);
    assert!(matches!(memory.append(&missing, vec![message.clone()]).await, Err(StorageError::NoMailbox)));
    message.replaces = Some(uid(1));
    assert!(matches!(memory.append(&known, vec![message]).await, Err(StorageError::Gone)));
    assert_eq!(memory.snapshot(&known).await.unwrap().uids, UidSet::new());
}

#[tokio::test]
async fn a_message_replaces_another_in_one_step() {
    let memory = Memory::new();
    let mbox = inbox(&memory).await;
    let old = append(&memory, &mbox, b"old").await;
    let before = memory.snapshot(&mbox).await.unwrap().status.highest_modseq;
    let mut message = NewMessage::new(stage(&memory, b"new").await, Flags::default(), DATE);
    message.replaces = Some(old);
    let appended = memory.append(&mbox, vec![message.clone()]).await.unwrap();
    assert_eq!((appended.uids.as_slice(), appended.modseq), (&[uid(2)][..], before.next()));
    let changes = memory.changes(&mbox, before, 10).await.unwrap();
    assert_eq!((changes.to, changes.changed.len(), changes.vanished), (before.next(), 1, uids([1])));
    // Once more, after an answer that was lost.
    assert_eq!(memory.append(&mbox, vec![message]).await.unwrap(), appended);
}

#[tokio::test]
async fn subscriptions_are_names_and_stay() {
    let memory = Memory::new();
    let mbox = create(&memory, "a").await;
    for name in ["a", "#news.b"] {
        memory.tree(&john(), TreeOp::Subscribe { name: name.into(), on: true }).await.unwrap();
    }
    memory.tree(&john(), TreeOp::Delete { id: mbox.id }).await.unwrap();
    assert_eq!(memory.subscriptions(&john()).await.unwrap(), ["#news.b", "a"]);
    memory.tree(&john(), TreeOp::Subscribe { name: "a".into(), on: false }).await.unwrap();
    assert_eq!(memory.subscriptions(&john()).await.unwrap(), ["#news.b"]);
}

#[tokio::test]
async fn inbox_can_neither_be_deleted_nor_renamed() {
    let memory = Memory::new();
    let id = inbox(&memory).await.id;
    let delete = memory.tree(&john(), TreeOp::Delete { id: id.clone() }).await;
    let rename = memory.tree(&john(), TreeOp::Rename { id, to: "a".into() }).await;
    assert!(matches!((delete, rename), (Err(StorageError::Denied), Err(StorageError::Denied))));
}

#[tokio::test]
async fn a_parent_goes_and_its_children_stay() {
    let memory = Memory::new();
    let parent = create(&memory, "a").await;
    create(&memory, "a/b").await;
    memory.tree(&john(), TreeOp::Delete { id: parent.id }).await.unwrap();
    let mut names: Vec<String> =
        memory.list(&john()).await.unwrap().into_iter().map(|info| info.name).collect();
    names.sort();
    assert_eq!(names, ["INBOX", "a/b"]);
}
