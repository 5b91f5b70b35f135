//! Moving in from another server.

use super::*;
use std::num::NonZeroU32;

async fn message(memory: &Memory) -> NewMessage {
    NewMessage::new(stage(memory, b"x").await, Flags::default(), DATE)
}

#[tokio::test]
async fn numbers_are_kept() {
    let memory = Memory::new();
    let import = memory.as_import().unwrap();
    let validity = NonZeroU32::new(4_000_000_000).unwrap();
    for name in ["INBOX", "a"] {
        let id = import.create(&john(), name, validity, uid(100)).await.unwrap();
        let mbox = Mbox { account: john(), id };
        let messages = vec![(uid(70), message(&memory).await), (uid(7), message(&memory).await)];
        import.put(&mbox, messages).await.unwrap();
        let snapshot = memory.snapshot(&mbox).await.unwrap();
        assert_eq!((snapshot.status.uid_validity, snapshot.uids), (validity, uids([7, 70])));
        assert_eq!(append(&memory, &mbox, b"x").await, uid(100));
        memory.expunge(&mbox, &uids([7]), false).await.unwrap();
        for taken in [7, 70] {
            let put = import
                .put(&mbox, vec![(uid(8), message(&memory).await), (uid(taken), message(&memory).await)]);
            assert!(matches!(put.await, Err(StorageError::Exists)));
        }
        assert_eq!(memory.snapshot(&mbox).await.unwrap().uids, uids([70, 100]));
    }
    // A new mailbox never gets a UIDVALIDITY that came in.
    let new = create(&memory, "b").await;
    assert!(memory.snapshot(&new).await.unwrap().status.uid_validity > validity);
}

#[tokio::test]
async fn a_mailbox_that_is_there_is_not_touched() {
    let memory = Memory::new();
    append(&memory, &inbox(&memory).await, b"x").await;
    create(&memory, "a").await;
    for name in ["INBOX", "a"] {
        let made = memory.as_import().unwrap().create(&john(), name, NonZeroU32::MIN, uid(1)).await;
        assert!(matches!(made, Err(StorageError::Exists)));
    }
}
