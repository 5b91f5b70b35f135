//! The tree of mailboxes: CREATE, RENAME, DELETE, SUBSCRIBE, special uses.

use std::sync::Arc;

use imapper_core::storage::{StorageError, TreeOp, Want};
use imapper_core::types::UidSet;

use super::trial::{Outcome, Trial, create, ensure, john, missing, refused, same};

pub(crate) async fn an_unused_account_has_an_empty_inbox(t: &Trial) -> Outcome {
    t.rule("Storage::list: an account that was never used has its INBOX (RFC 9051 §5.1)");
    same!(t.names().await?, ["INBOX"], "the mailboxes of an account that was never used");
    let inbox = t.inbox().await?;
    let snapshot = t.snapshot(&inbox).await?;
    same!(snapshot.status.messages, 0, "messages in an INBOX that was never used");
    ensure!(snapshot.uids.is_empty(), "the INBOX of an unused account holds {}", snapshot.uids);
    same!(t.inbox().await?, inbox, "the id of INBOX, asked again");
    Ok(())
}

pub(crate) async fn create_makes_a_mailbox(t: &Trial) -> Outcome {
    t.rule("TreeOp::Create makes a mailbox; tree() gives the one that it made (RFC 9051 §6.3.4)");
    let made = t.create("Work").await?;
    same!(t.names().await?, ["INBOX", "Work"], "the mailboxes after CREATE Work");
    let listed = t.find(&john(), "Work").await?;
    same!(listed.map(|info| info.id), Some(made.id.clone()), "the id that list() tells of Work");
    ensure!(made != t.inbox().await?, "the new mailbox has the id of INBOX");
    same!(t.snapshot(&made).await?.status.messages, 0, "messages in a new mailbox");
    Ok(())
}

pub(crate) async fn create_of_a_taken_name_is_refused(t: &Trial) -> Outcome {
    t.rule("TreeOp::Create: Exists if the name is taken (RFC 9051 §6.3.4)");
    let made = t.create("Work").await?;
    let uid = t.append(&made, b"x").await?;
    refused!(t.tree(&john(), create("Work")).await, StorageError::Exists, "CREATE of a name that is taken");
    refused!(t.tree(&john(), create("INBOX")).await, StorageError::Exists, "CREATE INBOX");
    same!(t.find(&john(), "Work").await?.map(|info| info.id), Some(made.id.clone()), "the id of Work");
    same!(t.snapshot(&made).await?.uids.first(), Some(uid), "what the mailbox held before");
    Ok(())
}

pub(crate) async fn create_makes_no_level_above(t: &Trial) -> Outcome {
    t.rule("TreeOp::Create: levels above it that are missing stay missing");
    t.create("a/b/c").await?;
    same!(t.names().await?, ["INBOX", "a/b/c"], "the mailboxes after CREATE a/b/c");
    t.create("a/b").await?;
    same!(t.names().await?, ["INBOX", "a/b", "a/b/c"], "the mailboxes after CREATE a/b");
    Ok(())
}

pub(crate) async fn special_uses_are_kept_in_order(t: &Trial) -> Outcome {
    t.rule("MailboxInfo::special_use is a list, in the order of its making (RFC 6154 §3)");
    let uses: Vec<Arc<str>> = vec!["\\Sent".into(), "\\Archive".into()];
    let op = TreeOp::Create { name: "Mail".into(), special_use: uses.clone() };
    let made = match t.tree(&john(), op).await {
        Err(StorageError::Unsupported) => return t.needs(false, "special uses are not kept"),
        made => made?,
    };
    same!(made.map(|info| info.special_use), Some(uses.clone()), "the special uses that CREATE gives");
    let found = t.find(&john(), "Mail").await?;
    same!(found.as_ref().map(|info| &info.special_use), Some(&uses), "the special uses that list() tells");
    let Some(found) = found else { return Ok(()) };
    let rename = TreeOp::Rename { id: found.id, to: "Post".into() };
    t.tree(&john(), rename).await?;
    let found = t.find(&john(), "Post").await?;
    same!(found.map(|info| info.special_use), Some(uses), "the special uses after RENAME");
    Ok(())
}

pub(crate) async fn rename_keeps_the_mailbox(t: &Trial) -> Outcome {
    t.rule("MailboxId stays when the mailbox is renamed (RFC 8474 §4.1, RFC 9051 §6.3.6)");
    let mbox = t.create("old").await?;
    let uid = t.append(&mbox, b"x").await?;
    let before = t.snapshot(&mbox).await?;
    let op = TreeOp::Rename { id: mbox.id.clone(), to: "new".into() };
    let info = t.tree(&john(), op).await?;
    same!(info.map(|info| (info.id, info.name)), Some((mbox.id.clone(), "new".into())), "what RENAME gives");
    same!(t.names().await?, ["INBOX", "new"], "the mailboxes after RENAME");
    same!(t.find(&john(), "new").await?.map(|info| info.id), Some(mbox.id.clone()), "the id after RENAME");
    let after = t.snapshot(&mbox).await?;
    same!(after.status.uid_validity, before.status.uid_validity, "UIDVALIDITY after RENAME");
    same!(after.uids, before.uids, "the UIDs after RENAME");
    same!(t.text(&mbox, uid).await?, b"x", "the body after RENAME");
    Ok(())
}

pub(crate) async fn rename_takes_children_along(t: &Trial) -> Outcome {
    t.rule("TreeOp::Rename: those below it move along, all in one step (RFC 9051 §6.3.6)");
    let top = t.create("a").await?;
    let child = t.create("a/b").await?;
    let grandchild = t.create("a/b/c").await?;
    for beside in ["ab", "a b", "a.b", "A/b", "x/a/b"] {
        t.create(beside).await?;
    }
    t.append(&grandchild, b"x").await?;
    t.rename(&top, "y/z").await?;
    let names = t.names().await?;
    let wanted = ["A/b", "INBOX", "a b", "a.b", "ab", "x/a/b", "y/z", "y/z/b", "y/z/b/c"];
    same!(names, wanted, "the mailboxes after RENAME a y/z");
    for (mbox, name) in [(&top, "y/z"), (&child, "y/z/b"), (&grandchild, "y/z/b/c")] {
        same!(t.find(&john(), name).await?.map(|info| info.id), Some(mbox.id.clone()), "the id of {name}");
    }
    same!(t.snapshot(&grandchild).await?.status.messages, 1, "messages in a mailbox that moved along");
    Ok(())
}

pub(crate) async fn rename_to_a_taken_name_changes_nothing(t: &Trial) -> Outcome {
    t.rule(
        "TreeOp::Rename is one step: refused if a name is taken (RFC 9051 §6.3.6), and then nothing moved",
    );
    let top = t.create("a").await?;
    for name in ["a/b", "a/c", "x", "y/c"] {
        t.create(name).await?;
    }
    let before = t.names().await?;
    refused!(t.rename(&top, "x").await, StorageError::Exists, "RENAME to a name that is taken");
    refused!(t.rename(&top, "INBOX").await, StorageError::Exists, "RENAME to INBOX");
    same!(t.names().await?, before, "the mailboxes after a RENAME that was refused");
    refused!(
        t.rename(&top, "y").await,
        StorageError::Exists,
        "RENAME whose child meets a name that is taken"
    );
    same!(t.names().await?, before, "the mailboxes after a RENAME that was refused for a child");
    refused!(t.rename(&missing(), "z").await, StorageError::NoMailbox, "RENAME of a mailbox that is missing");
    Ok(())
}

pub(crate) async fn delete_removes_the_mailbox_alone(t: &Trial) -> Outcome {
    t.rule("TreeOp::Delete removes a mailbox and its messages; those below it stay (RFC 9051 §6.3.5)");
    let parent = t.create("a").await?;
    let child = t.create("a/b").await?;
    t.append(&parent, b"x").await?;
    t.append(&child, b"y").await?;
    t.delete(&parent).await?;
    same!(t.names().await?, ["INBOX", "a/b"], "the mailboxes after DELETE a");
    same!(t.snapshot(&child).await?.status.messages, 1, "messages in the child of a deleted mailbox");
    refused!(t.delete(&parent).await, StorageError::NoMailbox, "DELETE of a mailbox that is deleted");
    same!(t.names().await?, ["INBOX", "a/b"], "the mailboxes after a second DELETE");
    Ok(())
}

pub(crate) async fn a_deleted_mailbox_is_gone_for_every_call(t: &Trial) -> Outcome {
    t.rule("StorageError::NoMailbox: there is no such mailbox (any more)");
    let (inbox, deleted) = (t.inbox().await?, t.create("a").await?);
    t.append(&inbox, b"x").await?;
    t.append(&deleted, b"x").await?;
    t.delete(&deleted).await?;
    let storage = t.storage();
    for mbox in [&deleted, &missing()] {
        refused!(t.snapshot(mbox).await, StorageError::NoMailbox, "snapshot() of a missing mailbox");
        let ids = [inbox.id.clone(), mbox.id.clone()];
        let status = storage.status(&john(), &ids).await;
        refused!(status, StorageError::NoMailbox, "status() of INBOX and a missing mailbox");
        let rows = storage.rows(mbox, &UidSet::all(), Want::FLAGS).await;
        refused!(rows, StorageError::NoMailbox, "rows() of a missing mailbox");
        let message = t.message(b"x", imapper_core::types::Flags::default()).await?;
        let appended = storage.append(mbox, vec![message]).await;
        refused!(appended, StorageError::NoMailbox, "append() to a missing mailbox");
        let stored = t.flag(mbox, UidSet::all(), super::flags::seen()).await;
        refused!(stored, StorageError::NoMailbox, "set_flags() in a missing mailbox");
        let expunged = t.expunge(mbox, &UidSet::all()).await;
        refused!(expunged, StorageError::NoMailbox, "expunge() in a missing mailbox");
    }
    Ok(())
}

pub(crate) async fn inbox_is_always_there(t: &Trial) -> Outcome {
    t.rule("INBOX is always there (RFC 9051 §5.1); to delete it is an error (§6.3.5)");
    let inbox = t.inbox().await?;
    let uid = t.append(&inbox, b"x").await?;
    ensure!(t.delete(&inbox).await.is_err(), "DELETE INBOX is done, where it must be refused");
    let inbox = t.inbox().await?;
    same!(t.snapshot(&inbox).await?.uids.first(), Some(uid), "what INBOX holds after a DELETE was refused");
    Ok(())
}

pub(crate) async fn a_mailbox_made_anew_is_another_one(t: &Trial) -> Outcome {
    t.rule(
        "A MailboxId is never used twice; UIDVALIDITY grows when a name is used again (RFC 9051 §2.3.1.1)",
    );
    let mut before: Vec<(imapper_core::storage::Mbox, imapper_core::types::UidValidity)> = Vec::new();
    for round in 0..4 {
        let mbox = t.create("a").await?;
        let snapshot = t.snapshot(&mbox).await?;
        same!(snapshot.status.messages, 0, "messages in a mailbox made anew");
        for (old, validity) in &before {
            ensure!(mbox.id != old.id, "the MailboxId {} is used again", old.id);
            let new = snapshot.status.uid_validity;
            ensure!(new > *validity, "UIDVALIDITY {new} of a name made anew is not above {validity}");
        }
        before.push((mbox.clone(), snapshot.status.uid_validity));
        t.append(&mbox, b"x").await?;
        // The name comes free by DELETE, or by RENAME.
        if round % 2 == 0 {
            t.delete(&mbox).await?;
        } else {
            t.rename(&mbox, &format!("away {round}")).await?;
        }
    }
    Ok(())
}

pub(crate) async fn a_name_that_another_mailbox_takes_has_another_uidvalidity(t: &Trial) -> Outcome {
    t.rule("Mailbox name, UIDVALIDITY and UID name one message for ever (RFC 9051 §2.3.1.1)");
    let (first, second) = (t.create("a").await?, t.create("b").await?);
    t.append(&first, b"first").await?;
    t.append(&second, b"second").await?;
    let first_validity = t.snapshot(&first).await?.status.uid_validity;
    t.delete(&first).await?;
    t.rename(&second, "a").await?;
    let second_validity = t.snapshot(&second).await?.status.uid_validity;
    ensure!(
        first_validity != second_validity,
        "a renamed mailbox has the UIDVALIDITY {first_validity} of the one whose name it takes"
    );
    Ok(())
}

pub(crate) async fn subscriptions_are_names(t: &Trial) -> Outcome {
    t.rule("Subscriptions are names, whether or not they exist; the rest is opaque (RFC 9051 §6.3.7)");
    ensure!(t.subscriptions().await?.is_empty(), "an account that was never used has subscriptions");
    t.subscribe("INBOX", true).await?;
    t.subscribe("#shared/team/ä b", true).await?;
    t.subscribe("nowhere", true).await?;
    t.subscribe("nowhere", true).await?;
    same!(t.subscriptions().await?, ["#shared/team/ä b", "INBOX", "nowhere"], "the subscriptions");
    same!(t.names().await?, ["INBOX"], "the mailboxes after SUBSCRIBE of a name that does not exist");
    t.subscribe("nowhere", false).await?;
    same!(t.subscriptions().await?, ["#shared/team/ä b", "INBOX"], "the subscriptions after UNSUBSCRIBE");
    Ok(())
}

pub(crate) async fn subscriptions_survive_delete(t: &Trial) -> Outcome {
    t.rule("A subscription stays when the mailbox is deleted (RFC 3501 §6.3.6, RFC 9051 §6.3.7)");
    let mbox = t.create("a").await?;
    t.subscribe("a", true).await?;
    t.delete(&mbox).await?;
    same!(t.subscriptions().await?, ["a"], "the subscriptions after DELETE of the mailbox");
    t.create("a").await?;
    same!(t.subscriptions().await?, ["a"], "the subscriptions after the mailbox was made anew");
    Ok(())
}

pub(crate) async fn status_answers_in_the_order_of_ids(t: &Trial) -> Outcome {
    t.rule("Storage::status: in the order of ids");
    let (inbox, a, b) = (t.inbox().await?, t.create("a").await?, t.create("b").await?);
    t.fill(&a, 1).await?;
    t.fill(&b, 2).await?;
    let ids = [b.id.clone(), inbox.id, a.id.clone(), b.id.clone()];
    let counts: Vec<u32> = t.storage().status(&john(), &ids).await?.iter().map(|s| s.messages).collect();
    same!(counts, [2, 0, 1, 2], "the messages of four mailboxes");
    for mbox in [&a, &b] {
        let status = t.storage().status(&john(), std::slice::from_ref(&mbox.id)).await?;
        let snapshot = t.snapshot(mbox).await?.status;
        same!(status, [snapshot], "status() beside the status of snapshot()");
    }
    Ok(())
}
