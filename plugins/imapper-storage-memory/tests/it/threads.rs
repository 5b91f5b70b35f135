//! Object ids (RFC 8474).

use super::*;
use imapper_core::storage::CopyMode;

async fn with_keys(memory: &Memory, mbox: &Mbox, keys: &[u64]) -> Row {
    let mut message = NewMessage::new(stage(memory, b"x").await, Flags::default(), DATE);
    message.thread_keys = keys.to_vec();
    let number = memory.append(mbox, vec![message]).await.unwrap().uids[0];
    row(memory, mbox, number).await
}

#[tokio::test]
async fn messages_with_a_key_in_common_are_one_conversation() {
    let memory = Memory::new();
    let (mbox, other) = (inbox(&memory).await, create(&memory, "a").await);
    let first = with_keys(&memory, &mbox, &[1]).await;
    let reply = with_keys(&memory, &other, &[2, 1]).await;
    let reply_to_that = with_keys(&memory, &mbox, &[3, 2]).await;
    let stranger = with_keys(&memory, &mbox, &[4]).await;
    assert_eq!(first.thread_id, reply.thread_id);
    assert_eq!(first.thread_id, reply_to_that.thread_id);
    assert_ne!(first.thread_id, stranger.thread_id);
    assert_ne!(first.email_id, reply.email_id);
    // What ties two conversations together changes neither (RFC 8474 §5.2).
    let both = with_keys(&memory, &mbox, &[4, 1]).await;
    assert_eq!(both.thread_id, stranger.thread_id);
    assert_eq!(row(&memory, &mbox, first.uid).await.thread_id, first.thread_id);
}

#[tokio::test]
async fn a_conversation_lives_as_long_as_one_of_its_messages() {
    let memory = Memory::new();
    let (mbox, other) = (inbox(&memory).await, create(&memory, "a").await);
    let first = with_keys(&memory, &mbox, &[1]).await;
    memory.copy(&mbox, &UidSet::all(), &other, CopyMode::Move).await.unwrap();
    assert_eq!(with_keys(&memory, &mbox, &[1]).await.thread_id, first.thread_id);
    memory.expunge(&mbox, &UidSet::all(), false).await.unwrap();
    memory.tree(&john(), TreeOp::Delete { id: other.id }).await.unwrap();
    assert_ne!(with_keys(&memory, &mbox, &[1]).await.thread_id, first.thread_id);
}

#[tokio::test]
async fn an_email_that_is_known_keeps_its_conversation() {
    let memory = Memory::new();
    let mbox = inbox(&memory).await;
    let first = with_keys(&memory, &mbox, &[1]).await;
    let mut message = NewMessage::new(stage(&memory, b"x").await, Flags::default(), DATE);
    (message.email_id, message.thread_keys) = (first.email_id, vec![7]);
    let again = memory.append(&mbox, vec![message]).await.unwrap().uids[0];
    let again = row(&memory, &mbox, again).await;
    assert_eq!((again.email_id, again.thread_id), (first.email_id, first.thread_id));
}
