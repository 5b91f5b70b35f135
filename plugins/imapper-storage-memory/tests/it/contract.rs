//! What this storage promises beyond the contract.

use super::*;
use imapper_core::storage::{ModSeqs, Reach};

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
async fn inbox_can_neither_be_deleted_nor_renamed() {
    let memory = Memory::new();
    let id = inbox(&memory).await.id;
    let delete = memory.tree(&john(), TreeOp::Delete { id: id.clone() }).await;
    let rename = memory.tree(&john(), TreeOp::Rename { id, to: "a".into() }).await;
    assert!(matches!((delete, rename), (Err(StorageError::Denied), Err(StorageError::Denied))));
}
