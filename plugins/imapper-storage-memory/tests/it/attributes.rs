//! Attributes of mailboxes and accounts.

use super::*;
use imapper_core::storage::Attribute;
use imapper_core::types::ModSeq;

fn attribute(mbox: Option<&Mbox>, key: &str, value: Option<&'static str>) -> Attribute {
    Attribute {
        mbox: mbox.map(|mbox| mbox.id.clone()),
        key: key.to_owned(),
        value: value.map(|value| Bytes::from_static(value.as_bytes())),
        modseq: ModSeq::ZERO,
    }
}

#[tokio::test]
async fn they_are_set_found_and_removed() {
    let memory = Memory::new();
    let mbox = inbox(&memory).await;
    let attributes = memory.as_attributes().unwrap();
    let set = vec![
        attribute(Some(&mbox), "/private/comment", Some("mine")),
        attribute(Some(&mbox), "/shared/comment", Some("ours")),
        attribute(None, "/private/comment", Some("the server's")),
    ];
    let at = attributes.set(&john(), set).await.unwrap();
    let found = attributes.get(&john(), Some(&mbox.id), "/private/").await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].value.as_deref(), found[0].modseq), (Some(&b"mine"[..]), at));
    assert_eq!(attributes.get(&john(), Some(&mbox.id), "").await.unwrap().len(), 2);
    assert_eq!(attributes.get(&john(), None, "").await.unwrap().len(), 1);

    let same = attributes.set(&john(), vec![attribute(None, "/private/comment", Some("the server's"))]).await;
    assert_eq!(same.unwrap(), at);
    let gone = attributes.set(&john(), vec![attribute(None, "/private/comment", None)]).await;
    assert_eq!(gone.unwrap(), at.next());
    assert!(attributes.get(&john(), None, "").await.unwrap().is_empty());
}

#[tokio::test]
async fn all_are_set_or_none() {
    let memory = Memory::new();
    let missing = Mbox { account: john(), id: MailboxId::from("none") };
    let attributes = memory.as_attributes().unwrap();
    let set = vec![attribute(None, "a", Some("x")), attribute(Some(&missing), "a", Some("x"))];
    assert!(matches!(attributes.set(&john(), set).await, Err(StorageError::NoMailbox)));
    assert!(attributes.get(&john(), None, "").await.unwrap().is_empty());
}

#[tokio::test]
async fn they_go_with_the_mailbox_and_stay_through_a_rename() {
    let memory = Memory::new();
    let mbox = create(&memory, "a").await;
    let attributes = memory.as_attributes().unwrap();
    attributes.set(&john(), vec![attribute(Some(&mbox), "acl/jill", Some("lr"))]).await.unwrap();
    memory.tree(&john(), TreeOp::Rename { id: mbox.id.clone(), to: "b".into() }).await.unwrap();
    assert_eq!(attributes.holders("acl/jill").await.unwrap(), [(john(), mbox.id.clone())]);
    memory.tree(&john(), TreeOp::Delete { id: mbox.id }).await.unwrap();
    assert!(attributes.holders("acl/jill").await.unwrap().is_empty());
}
