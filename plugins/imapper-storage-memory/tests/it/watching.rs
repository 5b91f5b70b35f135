//! Hints.

use super::*;
use futures_util::FutureExt as _;
use imapper_core::storage::{Attribute, Event};

fn now(events: &mut (impl futures_util::Stream<Item = Event> + Unpin)) -> Vec<Event> {
    std::iter::from_fn(|| events.next().now_or_never().flatten()).collect()
}

#[tokio::test]
async fn what_is_watched_is_told_and_nothing_else() {
    let memory = Arc::new(Memory::new());
    let (mbox, other) = (inbox(&memory).await, create(&memory, "a").await);
    let mut one = Arc::clone(&memory).watch(john(), vec![mbox.id.clone()]);
    let mut all = Arc::clone(&memory).watch(john(), Vec::new());
    let modseq = append_with(&memory, &mbox, b"x", Flags::default()).await.modseq;
    append(&memory, &other, b"x").await;
    memory.set_flags(&mbox, add(uids([9]), SystemFlag::Seen)).await.unwrap();
    assert_eq!(now(&mut one), [Event::Mailbox { id: mbox.id.clone(), modseq }]);
    assert_eq!(now(&mut all).len(), 2);
    create(&memory, "b").await;
    assert_eq!(now(&mut one), [Event::Tree]);
    assert_eq!(now(&mut all), [Event::Tree]);
    append(&memory, &mbox_of(&memory, &AccountId::from("jill"), "INBOX").await, b"x").await;
    assert!(now(&mut all).is_empty());
}

#[tokio::test]
async fn who_is_too_slow_is_told_so() {
    let memory = Arc::new(Memory::new());
    let mbox = inbox(&memory).await;
    let mut events = Arc::clone(&memory).watch(john(), Vec::new());
    for _ in 0..1000 {
        append(&memory, &mbox, b"x").await;
    }
    let told = now(&mut events);
    assert_eq!(told[0], Event::Lagged);
    assert!(told.len() < 100);
}

#[tokio::test]
async fn a_watch_ends_with_the_storage() {
    let memory = Arc::new(Memory::new());
    let mut events = Arc::clone(&memory).watch(john(), Vec::new());
    drop(memory);
    assert_eq!(events.next().now_or_never(), Some(None));
}

#[tokio::test]
async fn a_right_is_told_to_who_gets_it() {
    let memory = Arc::new(Memory::new());
    let mbox = inbox(&memory).await;
    let (jill, jack) = (AccountId::from("jill"), AccountId::from("jack"));
    let mut hers = Arc::clone(&memory).watch(jill, Vec::new());
    let mut his = Arc::clone(&memory).watch(jack, Vec::new());
    let give = |key: &str| Attribute {
        mbox: Some(mbox.id.clone()),
        key: key.to_owned(),
        value: Some(Bytes::from_static(b"lr")),
        modseq: imapper_core::types::ModSeq::ZERO,
    };
    let attributes = memory.as_attributes().unwrap();
    attributes.set(&john(), vec![give("acl/jill")]).await.unwrap();
    assert_eq!((now(&mut hers).len(), now(&mut his).len()), (1, 0));
    attributes.set(&john(), vec![give("acl/jill")]).await.unwrap();
    assert_eq!(now(&mut hers).len(), 0);
    attributes.set(&john(), vec![give("acl/anyone")]).await.unwrap();
    assert_eq!((now(&mut hers).len(), now(&mut his).len()), (1, 1));
}
