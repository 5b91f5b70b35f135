//! What is there after the storage was closed and opened again.

use bytes::Bytes;
use imapper_core::storage::{Attribute, CopyMode, ModSeqs, NewMessage, StorageError, TreeOp};
use imapper_core::types::{Flags, Keyword, ModSeq, SystemFlag, UidSet};

use super::changing::Follower;
use super::trial::{DATE, Outcome, Trial, array, ensure, john, keyword, one, same, set, state, system};

pub(crate) async fn messages_survive(t: &Trial) -> Outcome {
    t.rule("After Ok the change survives a crash: messages, flags, dates, bodies, numbers");
    let mbox = t.inbox().await?;
    let [a, b, c] = array(t.fill(&mbox, 3).await?)?;
    t.flag(&mbox, set([a]), super::flags::seen()).await?;
    if t.needs_keywords(1).is_ok() {
        t.flag(&mbox, set([c]), super::flags::add(keyword("Kept-Case"))).await?;
    }
    t.expunge(&mbox, &set([b])).await?;
    let body = t.text(&mbox, c).await?;
    let (before, rows) = (t.snapshot(&mbox).await?, t.rows(&mbox).await?);
    t.reopen().await?;
    let (after, again) = (t.snapshot(&mbox).await?, t.rows(&mbox).await?);
    same!(after.status, before.status, "the status after the storage was opened again");
    same!(after.uids, before.uids, "the UIDs after the storage was opened again");
    let states = |rows: &[imapper_core::storage::Row]| rows.iter().map(state).collect::<Vec<_>>();
    same!(states(&again), states(&rows), "the rows after the storage was opened again");
    for (old, new) in rows.iter().zip(&again) {
        same!(
            (new.email_id, new.thread_id),
            (old.email_id, old.thread_id),
            "the object ids, opened again (RFC 8474 §5)"
        );
        same!(new.save_date, old.save_date, "the save date, opened again (RFC 8514)");
        let spelled = |row: &imapper_core::storage::Row| {
            row.flags.keywords().iter().map(|word: &Keyword| word.as_str().to_owned()).collect::<Vec<_>>()
        };
        same!(spelled(new), spelled(old), "the keywords as they are spelled, opened again");
    }
    same!(t.text(&mbox, c).await?, body, "the body after the storage was opened again");
    Ok(())
}

pub(crate) async fn numbers_go_on(t: &Trial) -> Outcome {
    t.rule("A UID is never used twice, a MailboxId never at all: also after the storage was opened again (RFC 9051 §2.3.1.1)");
    let (mbox, other) = (t.inbox().await?, t.create("a").await?);
    let [a, b] = array(t.fill(&mbox, 2).await?)?;
    t.expunge(&mbox, &set([a, b])).await?;
    let (modseq, validity) = (t.modseq(&mbox).await?, t.snapshot(&other).await?.status.uid_validity);
    t.delete(&other).await?;
    t.reopen().await?;
    let c = t.append(&mbox, b"x").await?;
    ensure!(c > b, "the UID {c} after {b} was removed and the storage opened again");
    if t.caps().modseq > ModSeqs::None {
        ensure!(
            t.modseq(&mbox).await? > modseq,
            "the mod-sequence begins anew when the storage is opened again"
        );
    }
    let again = t.create("a").await?;
    ensure!(
        again.id != other.id,
        "the MailboxId {} is used again after the storage was opened again",
        other.id
    );
    let new = t.snapshot(&again).await?.status.uid_validity;
    ensure!(new > validity, "the UIDVALIDITY {new} after {validity}, opened again");
    Ok(())
}

pub(crate) async fn the_tree_survives(t: &Trial) -> Outcome {
    t.rule(
        "After Ok the change survives a crash: CREATE, RENAME, DELETE, SUBSCRIBE, special uses, attributes",
    );
    let a = t.create("a").await?;
    t.create("a/b").await?;
    let gone = t.create("gone").await?;
    t.append(&gone, b"x").await?;
    let uses = TreeOp::Create { name: "Sent".into(), special_use: vec!["\\Sent".into()] };
    let special = t.tree(&john(), uses).await.is_ok();
    t.subscribe("gone", true).await?;
    t.subscribe("a", true).await?;
    t.subscribe("a", false).await?;
    t.rename(&a, "c").await?;
    t.delete(&gone).await?;
    let attribute = Attribute {
        mbox: None,
        key: "/private/comment".into(),
        value: Some(Bytes::from_static(b"mine")),
        modseq: ModSeq::ZERO,
    };
    if let Some(attributes) = t.storage().as_attributes() {
        attributes.set(&john(), vec![attribute]).await?;
    }
    let before = t.storage().list(&john()).await?;
    t.reopen().await?;
    let mut after = t.storage().list(&john()).await?;
    let mut wanted = before;
    wanted.sort_by(|x, y| x.name.cmp(&y.name));
    after.sort_by(|x, y| x.name.cmp(&y.name));
    same!(after, wanted, "the mailboxes after the storage was opened again");
    let names = if special { vec!["INBOX", "Sent", "c", "c/b"] } else { vec!["INBOX", "c", "c/b"] };
    same!(t.names().await?, names, "their names");
    same!(t.subscriptions().await?, ["gone"], "the subscriptions after the storage was opened again");
    if let Some(attributes) = t.storage().as_attributes() {
        let found = attributes.get(&john(), None, "/private/").await?;
        same!(found.len(), 1, "attributes after the storage was opened again");
    }
    Ok(())
}

pub(crate) async fn followers_go_on(t: &Trial) -> Outcome {
    t.rule("Whoever applies changes() from any point ends equal to the snapshot: from before the storage was opened again (RFC 7162 §3.2.5)");
    let (mbox, other) = (t.inbox().await?, t.create("a").await?);
    let [a, b, c] = array(t.fill(&mbox, 3).await?)?;
    let mut follower = Follower::new(t, &mbox).await?;
    t.expunge(&mbox, &set([a])).await?;
    t.reopen().await?;
    t.flag(&mbox, set([b]), super::flags::seen()).await?;
    t.storage().copy(&mbox, &set([c]), &other, CopyMode::Move).await?;
    t.reopen().await?;
    t.append(&mbox, b"x").await?;
    follower.follow(t, &mbox, 1).await?;
    follower.compare(t, &mbox).await
}

pub(crate) async fn tokens_survive(t: &Trial) -> Outcome {
    t.rule("The token of a Staged body is the key for retries after Indeterminate: the same UID, also after a crash");
    let mbox = t.inbox().await?;
    let message = NewMessage::new(t.stage(&john(), b"x").await?, Flags::default(), DATE);
    let first = one(&t.storage().append(&mbox, vec![message.clone()]).await?)?;
    let early = NewMessage::new(t.stage(&john(), b"y").await?, Flags::default(), DATE);
    t.reopen().await?;
    let again = one(&t.storage().append(&mbox, vec![message]).await?)?;
    same!(again, first, "the UID of a token that comes again after a crash");
    same!(t.snapshot(&mbox).await?.uids, set([first]), "the mailbox after a token came again");
    // What nothing refers to may be reclaimed meanwhile.
    match t.storage().append(&mbox, vec![early]).await {
        Ok(new) => same!(t.text(&mbox, one(&new)?).await?, b"y", "a body that was staged before a crash"),
        Err(StorageError::Gone) => same!(t.snapshot(&mbox).await?.uids, set([first]), "the mailbox then"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

pub(crate) async fn what_is_removed_stays_removed(t: &Trial) -> Outcome {
    t.rule("After Ok the change survives a crash: EXPUNGE and MOVE bring nothing back");
    let (mbox, other) = (t.inbox().await?, t.create("a").await?);
    let [a, b, c] = array(t.fill(&mbox, 3).await?)?;
    t.flag(&mbox, set([a]), super::flags::add(system(SystemFlag::Deleted))).await?;
    t.storage().expunge(&mbox, &UidSet::all(), true).await?;
    let moved = t.storage().copy(&mbox, &set([b]), &other, CopyMode::Move).await?;
    t.reopen().await?;
    same!(t.snapshot(&mbox).await?.uids, set([c]), "the source, opened again");
    let there: UidSet = moved.pairs.iter().map(|(_, new)| *new).collect();
    same!(t.snapshot(&other).await?.uids, there, "the target of the move, opened again");
    for uid in there.iter() {
        same!(t.text(&other, uid).await?, super::trial::letter(2), "the moved body, opened again");
    }
    Ok(())
}
