//! Names of mailboxes and accounts: data, never paths or patterns.

use imapper_core::storage::{AccountId, Mbox, StorageError};

use super::trial::{Outcome, Trial, create, ensure, john, refused, same};

/// Names that some storage once took for something else.
const NAMES: &[&str] = &[
    "日本語/台北",
    "Entwürfe",
    "📬 in",
    "Ελληνικά",
    "שלום",
    "a.b",
    "a\\b",
    "with \"quotes\"",
    "it's",
    "50% off_",
    "*star*",
    "per%cent",
    "~tilde",
    "#hash",
    "&ampersand-",
    "&Jjo-",
    "a&-b",
    " space before",
    "space after ",
    "-dash",
    "cur",
    "new",
    "tmp",
    "dovecot-uidlist",
    "x'); DROP TABLE mailbox; --",
    "${HOME}",
    "NUL",
    "con.txt",
    "semi;colon:and|more<>?",
];

pub(crate) async fn names_are_kept_as_they_are(t: &Trial) -> Outcome {
    t.rule("Names are UTF-8 with '/' between levels, and data (RFC 9051 §5.1)");
    for name in NAMES {
        let mbox = t.create(name).await?;
        t.append(&mbox, name.as_bytes()).await?;
    }
    let mut wanted: Vec<&str> = NAMES.to_vec();
    wanted.push("INBOX");
    wanted.sort_unstable();
    same!(t.names().await?, wanted, "the names of the mailboxes");
    for name in NAMES {
        let Some(info) = t.find(&john(), name).await? else { continue };
        let mbox = Mbox { account: john(), id: info.id };
        let snapshot = t.snapshot(&mbox).await?;
        same!(snapshot.status.messages, 1, "messages in {name:?}");
        let Some(uid) = snapshot.uids.first() else { continue };
        same!(t.text(&mbox, uid).await?, name.as_bytes(), "the body in {name:?}");
        t.delete(&mbox).await?;
    }
    same!(t.names().await?, ["INBOX"], "the mailboxes after all were deleted");
    Ok(())
}

pub(crate) async fn names_that_look_like_paths_lead_nowhere(t: &Trial) -> Outcome {
    t.rule("A name is data: it is kept as it is, or refused, and never read as a path");
    let inbox = t.inbox().await?;
    t.append(&inbox, b"mine").await?;
    let long = "x".repeat(400);
    for name in ["..", "../INBOX", "a/../INBOX", ".", "./INBOX", ".hidden", "a//b", "/etc", "a/", &long] {
        let before = t.names().await?;
        match t.tree(&john(), create(name)).await {
            Ok(Some(info)) => {
                same!(info.name, name, "the name of the mailbox that was made");
                let mbox = Mbox { account: john(), id: info.id };
                same!(t.snapshot(&mbox).await?.status.messages, 0, "messages in the new mailbox {name:?}");
                ensure!(t.names().await?.iter().any(|other| other == name), "{name:?} is not listed");
                t.delete(&mbox).await?;
            }
            Ok(None) => ensure!(false, "CREATE of {name:?} gives no mailbox"),
            Err(_) => same!(t.names().await?, before, "the mailboxes after CREATE of {name:?} was refused"),
        }
        same!(t.snapshot(&inbox).await?.status.messages, 1, "messages in INBOX after CREATE of {name:?}");
    }
    Ok(())
}

pub(crate) async fn names_in_another_case_are_told_apart_or_refused(t: &Trial) -> Outcome {
    t.rule("Names are kept in their case; two mailboxes never share what they hold (RFC 9051 §5.1)");
    let upper = t.create("Work").await?;
    t.append(&upper, b"x").await?;
    match t.tree(&john(), create("work")).await {
        Err(StorageError::Exists) => same!(t.names().await?, ["INBOX", "Work"], "the mailboxes"),
        made => {
            let id = made?.map(|info| info.id);
            same!(t.names().await?, ["INBOX", "Work", "work"], "the mailboxes");
            ensure!(id.as_ref() != Some(&upper.id), "Work and work are the same mailbox");
            let Some(id) = id else { return Ok(()) };
            let lower = Mbox { account: john(), id };
            same!(t.snapshot(&lower).await?.status.messages, 0, "messages in work, which is not Work");
        }
    }
    Ok(())
}

pub(crate) async fn accounts_share_nothing(t: &Trial) -> Outcome {
    t.rule("AccountId is the owner of a tree of its own");
    let jill = AccountId::from("jill");
    let (mine, hers) = (t.inbox().await?, t.inbox_of(&jill).await?);
    ensure!(mine.id != hers.id, "two accounts have the same MailboxId {}", mine.id);
    t.append(&mine, b"mine").await?;
    t.create("secret").await?;
    t.subscribe("secret", true).await?;
    same!(t.snapshot(&hers).await?.status.messages, 0, "messages in another account's INBOX");
    same!(t.storage().list(&jill).await?.len(), 1, "mailboxes of another account");
    ensure!(t.storage().subscriptions(&jill).await?.is_empty(), "another account has the subscriptions");
    t.create_in(&jill, "secret").await?;
    Ok(())
}

pub(crate) async fn a_mailbox_is_reached_by_its_owner_only(t: &Trial) -> Outcome {
    t.rule("Mbox is a mailbox and its owner: with another owner there is no such mailbox");
    let mine = t.inbox().await?;
    let uid = t.append(&mine, b"mine").await?;
    let jill = AccountId::from("jill");
    t.inbox_of(&jill).await?;
    let wrong = Mbox { account: jill.clone(), id: mine.id.clone() };
    refused!(t.snapshot(&wrong).await, StorageError::NoMailbox, "snapshot() of another's mailbox");
    refused!(t.expunge(&wrong, &super::trial::set([uid])).await, StorageError::NoMailbox, "expunge() there");
    refused!(t.delete(&wrong).await, StorageError::NoMailbox, "DELETE of another's mailbox");
    let status = t.storage().status(&jill, std::slice::from_ref(&mine.id)).await;
    refused!(status, StorageError::NoMailbox, "status() of another's mailbox");
    same!(t.snapshot(&mine).await?.status.messages, 1, "messages of the owner");
    Ok(())
}

pub(crate) async fn account_names_are_data(t: &Trial) -> Outcome {
    t.rule("An AccountId is data: kept apart from all others, or refused");
    let names =
        ["john", "John", "../john", "john/INBOX", "john%", "j_hn", "jürgen@example.org", "..", "john "];
    for (n, name) in names.iter().enumerate() {
        let account = AccountId::from(*name);
        let Ok(list) = t.storage().list(&account).await else { continue };
        let Some(inbox) = list.into_iter().find(|info| info.name == "INBOX") else {
            ensure!(false, "the account {name:?} has no INBOX");
            continue;
        };
        let mbox = Mbox { account, id: inbox.id };
        same!(t.snapshot(&mbox).await?.status.messages, 0, "messages in the unused account {name:?}");
        for round in 0..=n {
            t.append(&mbox, format!("{name} {round}").as_bytes()).await?;
        }
    }
    let inbox = t.inbox().await?;
    same!(t.snapshot(&inbox).await?.status.messages, 1, "messages in john's INBOX");
    Ok(())
}
