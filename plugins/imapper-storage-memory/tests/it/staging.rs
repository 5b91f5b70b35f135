//! Bodies between `stage` and `append`.

use super::*;
use imapper_core::storage::KeptDigest;

#[tokio::test]
async fn pieces_become_one_body() {
    let memory = Memory::new();
    let staged =
        memory.stage(&john(), None, stream_of(&[b"Subject: x\r\n", b"", b"\r\nhello"])).await.unwrap();
    assert_eq!(staged.size, 19);
    let pieces: Vec<Bytes> = memory.read_staged(&staged).await.unwrap().try_collect().await.unwrap();
    assert_eq!(pieces.concat(), b"Subject: x\r\n\r\nhello");
}

#[tokio::test]
async fn a_broken_stream_leaves_nothing() {
    let memory = Memory::builder().max_staged(10).build();
    let broken = stream::iter(vec![Ok(Bytes::from_static(b"12345678")), Err(StorageError::Busy)]).boxed();
    assert!(memory.stage(&john(), None, broken).await.is_err());
    stage(&memory, b"1234567890").await;
}

#[tokio::test]
async fn a_message_has_a_bound_whatever_was_announced() {
    let memory = Memory::builder().max_message(10).build();
    assert_eq!(memory.caps().max_message, Some(10));
    let announced = memory.stage(&john(), Some(11), stream_of(&[])).await;
    let silent = memory.stage(&john(), None, stream_of(&[b"123456", b"78901"])).await;
    let lied = memory.stage(&john(), Some(1), stream_of(&[b"123456", b"78901"])).await;
    for refused in [announced, silent, lied] {
        assert!(matches!(refused, Err(StorageError::Limit(_))));
    }
    assert_eq!(stage(&memory, b"1234567890").await.size, 10);
    // Nothing is set aside for what does not come.
    assert!(Memory::new().stage(&john(), Some(200 << 20), stream_of(&[b"x"])).await.is_ok());
}

#[tokio::test]
async fn what_is_staged_and_dropped_makes_room() {
    let memory = Memory::builder().max_staged(10).build();
    let first = stage(&memory, b"1234567890").await;
    assert!(matches!(memory.stage(&john(), None, stream_of(&[b"x"])).await, Err(StorageError::Busy)));
    let copy = first.clone();
    drop(first);
    assert!(memory.stage(&john(), None, stream_of(&[b"x"])).await.is_err());
    let token = Bytes::copy_from_slice(&copy.token);
    drop(copy);
    stage(&memory, b"x").await;
    let late = NewMessage::new(Staged { token, size: 10 }, Flags::default(), DATE);
    assert!(matches!(memory.append(&inbox(&memory).await, vec![late]).await, Err(StorageError::Gone)));
}

#[tokio::test]
async fn a_body_is_taken_in_once_for_many_accounts() {
    let memory = Memory::new();
    let jill = AccountId::from("jill");
    let staged = stage(&memory, b"to all").await;
    let shared = memory.share(&staged, &john(), &jill).await.unwrap();
    let (mine, hers) = (inbox(&memory).await, mbox_of(&memory, &jill, "INBOX").await);
    for (mbox, staged) in [(&mine, staged), (&hers, shared)] {
        let message = NewMessage::new(staged, Flags::default(), DATE);
        assert_eq!(memory.append(mbox, vec![message]).await.unwrap().uids, [uid(1)]);
        assert_eq!(text(&memory, mbox, uid(1)).await, b"to all");
    }
}

#[tokio::test]
async fn one_unknown_token_and_nothing_is_appended() {
    let memory = Memory::new();
    let mbox = inbox(&memory).await;
    let good = NewMessage::new(stage(&memory, b"x").await, Flags::default(), DATE);
    let bad = Staged { token: Bytes::from_static(b"12345678"), size: 1 };
    let bad = NewMessage::new(bad, Flags::default(), DATE);
    assert!(memory.append(&mbox, vec![good, bad]).await.is_err());
    assert_eq!(memory.snapshot(&mbox).await.unwrap().status.messages, 0);
}

#[tokio::test]
async fn a_digest_is_given_back() {
    let memory = Memory::new();
    let mbox = inbox(&memory).await;
    let number = append(&memory, &mbox, b"x").await;
    assert_eq!(row(&memory, &mbox, number).await.digest, None);
    let before = memory.snapshot(&mbox).await.unwrap().status;
    let digest = KeptDigest { version: 3, bytes: Bytes::from_static(b"parsed") };
    memory.put_digest(&mbox, number, digest.clone()).await.unwrap();
    assert_eq!(row(&memory, &mbox, number).await.digest, Some(digest.clone()));
    assert_eq!(memory.snapshot(&mbox).await.unwrap().status, before);
    assert!(matches!(memory.put_digest(&mbox, uid(9), digest).await, Err(StorageError::Gone)));
}

#[tokio::test]
async fn a_body_stays_readable_while_it_is_referred_to() {
    let memory = Memory::new();
    let mbox = inbox(&memory).await;
    let number = append(&memory, &mbox, b"hello").await;
    let body = row(&memory, &mbox, number).await.body.unwrap();
    memory.expunge(&mbox, &UidSet::all(), false).await.unwrap();
    assert_eq!(read(&memory, &body, 0..5).await, b"hello");
    let name = BodyRef(Bytes::copy_from_slice(&body.0));
    drop(body);
    assert!(matches!(memory.read(&name, 0..5).await, Err(StorageError::Gone)));
}
