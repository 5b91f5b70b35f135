//! COPY and MOVE.

use super::*;
use imapper_core::storage::CopyMode;
use imapper_core::types::Keyword;

async fn filled(memory: &Memory) -> (Mbox, Mbox) {
    let (from, to) = (inbox(memory).await, create(memory, "a").await);
    append(memory, &to, b"there").await;
    for word in ["One", "Two", "Three"] {
        let flags = Flags::new(SystemFlag::Seen.into(), [Keyword::new(word)]);
        append_with(memory, &from, word.as_bytes(), flags).await;
    }
    (from, to)
}

#[tokio::test]
async fn a_copy_keeps_flags_dates_ids_and_body() {
    let memory = Memory::new();
    let (from, to) = filled(&memory).await;
    let copied = memory.copy(&from, &uids([1, 3, 8]), &to, CopyMode::Copy).await.unwrap();
    assert_eq!(copied.pairs, [(uid(1), uid(2)), (uid(3), uid(3))]);
    assert_eq!(copied.from_modseq, None);
    assert_eq!(copied.uid_validity, memory.snapshot(&to).await.unwrap().status.uid_validity);
    for (old, new) in copied.pairs {
        let (old, new) = (row(&memory, &from, old).await, row(&memory, &to, new).await);
        assert_eq!((&old.flags, old.internal_date, old.size), (&new.flags, new.internal_date, new.size));
        assert_eq!((old.email_id, old.thread_id), (new.email_id, new.thread_id));
        assert_eq!(new.modseq, copied.to_modseq);
        assert_eq!(old.body, new.body);
        let objects = memory.as_objects().unwrap();
        let places = objects.places(&john(), &[old.email_id.unwrap(), 0]).await.unwrap();
        assert_eq!(places.len(), 2);
    }
}

#[tokio::test]
async fn a_move_is_one_step() {
    let memory = Memory::new();
    let (from, to) = filled(&memory).await;
    let body = row(&memory, &from, uid(2)).await.body.unwrap();
    let moved = memory.copy(&from, &uids([2]), &to, CopyMode::Move).await.unwrap();
    let source = memory.snapshot(&from).await.unwrap();
    assert_eq!((source.uids, Some(source.status.highest_modseq)), (uids([1, 3]), moved.from_modseq));
    assert_eq!(text(&memory, &to, uid(2)).await, b"Two");
    assert_eq!(read(&memory, &body, 0..9).await, b"Two");
}

#[tokio::test]
async fn within_one_mailbox_a_move_is_one_mod_sequence() {
    let memory = Memory::new();
    let (from, _) = filled(&memory).await;
    let before = memory.snapshot(&from).await.unwrap().status.highest_modseq;
    let moved = memory.copy(&from, &uids([1]), &from, CopyMode::Move).await.unwrap();
    assert_eq!((moved.to_modseq, moved.from_modseq), (before.next(), Some(before.next())));
    assert_eq!(memory.snapshot(&from).await.unwrap().uids, uids([2, 3, 4]));
    let copied = memory.copy(&from, &UidSet::all(), &from, CopyMode::Copy).await.unwrap();
    assert_eq!(copied.pairs.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn moves_between_accounts_in_both_directions_lose_nothing() {
    let memory = Arc::new(Memory::new());
    let (mine, hers) = (inbox(&memory).await, mbox_of(&memory, &AccountId::from("jill"), "INBOX").await);
    for _ in 0..20 {
        append(&memory, &mine, b"x").await;
    }
    let movers: Vec<_> = [(&mine, &hers), (&hers, &mine)]
        .into_iter()
        .cycle()
        .take(4)
        .map(|(from, to)| {
            let (memory, from, to) = (Arc::clone(&memory), from.clone(), to.clone());
            tokio::spawn(async move {
                for _ in 0..100 {
                    memory.copy(&from, &UidSet::all(), &to, CopyMode::Move).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for mover in movers {
        mover.await.unwrap();
    }
    let mut ids: Vec<Option<u64>> = Vec::new();
    for mbox in [&mine, &hers] {
        ids.extend(rows(&memory, mbox, &UidSet::all()).await.iter().map(|row| row.email_id));
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}
