//! A mailbox that its reader may not change (RFC 3501 §6.3.1).

use async_trait::async_trait;
use imapper_core::registry::{Extension, Registry};
use imapper_core::session::{Access, Place, Rights};
use imapper_core::storage::{MailboxId, Result, Storage};
use imapper_core::users::Identity;

use crate::client::{Client, by_name, server};

/// Gives everybody these rights, everywhere.
struct Grant(Rights);

impl Extension for Grant {
    fn name(&self) -> &'static str {
        "X-GRANT"
    }

    fn install(&self, registry: &mut Registry) {
        registry.access(Self(self.0));
    }
}

#[async_trait]
impl Access for Grant {
    async fn rights(
        &self,
        _storage: &dyn Storage,
        _identity: &Identity,
        _place: &Place,
        _id: Option<&MailboxId>,
    ) -> Result<Rights> {
        Ok(self.0)
    }
}

const LOOK: Rights = Rights::LOOKUP;

async fn client(rights: Rights) -> Client {
    let mut extensions = by_name(&["MOVE"], true);
    extensions.push(Box::new(Grant(rights)));
    Client::logged_in(&server(extensions)).await
}

#[tokio::test]
async fn who_may_only_read_gets_the_mailbox_read_only() {
    let mut client = client(LOOK | Rights::READ).await;
    let mut lines = client.run("a1 SELECT INBOX").await;
    assert!(lines.pop().unwrap().starts_with("a1 OK [READ-ONLY] "));
    assert!(lines.iter().any(|line| line.starts_with("* OK [PERMANENTFLAGS ()]")), "{lines:?}");
    for command in ["a2 STORE 1 +FLAGS (\\Seen)", "a3 EXPUNGE"] {
        let answer = client.run(command).await.pop().unwrap();
        assert_eq!(answer.split(' ').nth(1), Some("NO"), "{answer}");
    }
    // The second message is \Deleted, and stays; the first is read, and not marked so.
    client.ok("a4 FETCH 1 BODY[TEXT]").await;
    client.ok("a5 CLOSE").await;
    let status = client.ok("a6 STATUS INBOX (MESSAGES UNSEEN)").await;
    assert_eq!(status, ["* STATUS INBOX (MESSAGES 3 UNSEEN 3)"]);
}

#[tokio::test]
async fn one_right_to_change_something_is_enough() {
    for right in [Rights::SEEN, Rights::WRITE, Rights::DELETE, Rights::INSERT, Rights::EXPUNGE] {
        let mut client = client(LOOK | Rights::READ | right).await;
        let answer = client.run("a1 SELECT INBOX").await.pop().unwrap();
        assert!(answer.starts_with("a1 OK [READ-WRITE] "), "{right:?}: {answer}");
    }
}

#[tokio::test]
async fn who_may_not_read_can_not_select() {
    let mut client = client(LOOK | Rights::INSERT).await;
    for command in ["a1 SELECT INBOX", "a2 EXAMINE INBOX"] {
        let answer = client.run(command).await.concat();
        assert_eq!(answer.split(' ').nth(1), Some("NO"), "{answer}");
    }
}

#[tokio::test]
async fn who_may_not_read_learns_no_uids() {
    for (rights, is_told) in [(Rights::READ | Rights::INSERT, true), (Rights::INSERT, false)] {
        let mut extensions = by_name(&["UIDPLUS", "LITERAL+"], true);
        extensions.push(Box::new(Grant(LOOK | rights)));
        let mut client = Client::logged_in(&server(extensions)).await;
        let answer = client.run("a1 APPEND INBOX {1+}\r\nx").await.pop().unwrap();
        assert!(answer.starts_with("a1 OK ") && answer.contains("[APPENDUID ") == is_told, "{answer}");
    }
    // The mailbox that is copied from can be read, the other one can't.
    for is_told in [true, false] {
        let mut extensions = by_name(&["UIDPLUS"], true);
        extensions.push(Box::new(Drop(is_told)));
        let mut client = Client::selected(&server(extensions)).await;
        client.ok("a1 CREATE Drop").await;
        let answer = client.run("a2 COPY 1 Drop").await.pop().unwrap();
        assert!(answer.starts_with("a2 OK ") && answer.contains("[COPYUID ") == is_told, "{answer}");
    }
}

/// Whether the mailbox `Drop` may be read; everything else is allowed.
struct Drop(bool);

impl Extension for Drop {
    fn name(&self) -> &'static str {
        "X-DROP"
    }

    fn install(&self, registry: &mut Registry) {
        registry.access(Self(self.0));
    }
}

#[async_trait]
impl Access for Drop {
    async fn rights(
        &self,
        _storage: &dyn Storage,
        _identity: &Identity,
        place: &Place,
        _id: Option<&MailboxId>,
    ) -> Result<Rights> {
        Ok(if place.name == "Drop" && !self.0 { LOOK | Rights::INSERT | Rights::CREATE } else { Rights::ALL })
    }
}

/// RFC 6851 §4.2: the rights that UID STORE of `\Deleted`, UID COPY and UID EXPUNGE need together.
#[tokio::test]
async fn moving_needs_the_rights_to_delete_to_expunge_and_to_insert() {
    let needed = [Rights::DELETE, Rights::EXPUNGE, Rights::INSERT];
    for missing in 0..needed.len() {
        let others = needed.iter().enumerate().filter(|(at, _)| *at != missing);
        let rights = others.fold(LOOK | Rights::READ, |all, (_, right)| all | *right);
        let mut client = client(rights).await;
        client.ok("a1 SELECT INBOX").await;
        for command in ["a2 MOVE 1 INBOX", "a3 UID MOVE 1 INBOX"] {
            let answer = client.run(command).await.concat();
            assert!(answer.contains(" NO [NOPERM] "), "{rights:?}: {answer}");
        }
    }
    let mut client = client(needed.into_iter().fold(LOOK | Rights::READ, |all, right| all | right)).await;
    client.ok("a1 SELECT INBOX").await;
    assert_eq!(client.ok("a2 MOVE 1 INBOX").await[..2], ["* 1 EXPUNGE", "* 3 EXISTS"]);
}
