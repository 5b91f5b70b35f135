//! APPEND: UIDs, what is kept of a message, all or none, the same token again.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use imapper_core::storage::{AccountId, KeptDigest, ModSeqs, NewMessage, Staged, StorageError};
use imapper_core::types::{Flags, InternalDate, SystemFlag, SystemFlags, Uid, UidSet};

use super::trial::{
    DATE, Outcome, Stop, Trial, array, create, ensure, john, missing, one, refused, same, set, system,
};

pub(crate) async fn uids_ascend_and_uidnext_lies_above(t: &Trial) -> Outcome {
    t.rule("UIDs ascend strictly in a mailbox, and UIDNEXT lies above them all (RFC 9051 §2.3.1.1)");
    let mbox = t.inbox().await?;
    let mut last: Option<Uid> = None;
    for _ in 0..5 {
        let next = t.snapshot(&mbox).await?.status.uid_next;
        let uid = t.append(&mbox, b"x").await?;
        ensure!(last < Some(uid), "the UID {uid} came after {last:?}");
        ensure!(uid >= next, "the UID {uid} lies below the UIDNEXT {next} that was told before");
        last = Some(uid);
    }
    let status = t.snapshot(&mbox).await?.status;
    ensure!(Some(status.uid_next) > last, "UIDNEXT {} is not above the UID {last:?}", status.uid_next);
    Ok(())
}

pub(crate) async fn a_uid_is_never_used_again(t: &Trial) -> Outcome {
    t.rule("A UID is never used twice under one UIDVALIDITY (RFC 9051 §2.3.1.1)");
    let mbox = t.inbox().await?;
    let mut used = UidSet::new();
    for round in 0..4 {
        for uid in t.fill(&mbox, 2).await? {
            ensure!(!used.contains(uid), "the UID {uid} is used again after an expunge");
            used.insert(uid);
        }
        let next = t.snapshot(&mbox).await?.status.uid_next;
        // Once the last message alone, once all.
        let gone = if round % 2 == 0 { used.last().into_iter().collect() } else { UidSet::all() };
        t.expunge(&mbox, &gone).await?;
        let after = t.snapshot(&mbox).await?.status.uid_next;
        ensure!(after >= next, "UIDNEXT fell from {next} to {after} by an expunge");
    }
    Ok(())
}

pub(crate) async fn several_messages_are_one_step(t: &Trial) -> Outcome {
    t.rule("Storage::append: adds messages, all or none, in one step; UIDs in their order (RFC 3502)");
    let mbox = t.inbox().await?;
    let before = t.modseq(&mbox).await?;
    let texts = [&b"one"[..], b"two", b"three"];
    let mut messages = Vec::new();
    for text in texts {
        messages.push(t.message(text, Flags::default()).await?);
    }
    let appended = t.storage().append(&mbox, messages).await?;
    let status = t.snapshot(&mbox).await?.status;
    same!(appended.uid_validity, status.uid_validity, "the UIDVALIDITY that append() gives (RFC 4315 §3)");
    let uids: [Uid; 3] = array(appended.uids.clone())?;
    ensure!(uids.is_sorted_by(|a, b| a < b), "the UIDs {uids:?} of one append do not ascend");
    for (uid, text) in uids.into_iter().zip(texts) {
        same!(t.text(&mbox, uid).await?, text, "the body of the message {uid}");
    }
    if t.caps().modseq > ModSeqs::None {
        ensure!(appended.modseq > before, "append() does not raise the mod-sequence {before}");
        same!(status.highest_modseq, appended.modseq, "the mailbox's mod-sequence after append()");
        for row in t.rows(&mbox).await? {
            same!(row.modseq, appended.modseq, "the mod-sequence of the message {}", row.uid);
        }
    }
    Ok(())
}

pub(crate) async fn all_are_appended_or_none(t: &Trial) -> Outcome {
    t.rule("Storage::append: all or none (RFC 3502 §6.3.11)");
    let mbox = t.inbox().await?;
    t.append(&mbox, b"there").await?;
    let before = t.snapshot(&mbox).await?;
    let good = t.message(b"good", Flags::default()).await?;
    let unknown = Staged { token: Bytes::from_static(b"no such token"), size: 3 };
    let bad = NewMessage::new(unknown, Flags::default(), DATE);
    let mixed = t.storage().append(&mbox, vec![good.clone(), bad]).await;
    ensure!(mixed.is_err(), "append() of a body that was never staged is done");
    let after = t.snapshot(&mbox).await?;
    same!(
        (&after.uids, &after.status.messages),
        (&before.uids, &before.status.messages),
        "what the mailbox holds after an append that failed"
    );
    same!(
        after.status.highest_modseq,
        before.status.highest_modseq,
        "its mod-sequence after an append that failed"
    );
    // The good one was not used up.
    let uid = one(&t.storage().append(&mbox, vec![good]).await?)?;
    same!(t.text(&mbox, uid).await?, b"good", "the body of a message that is appended at the second attempt");
    let nothing = t.storage().append(&mbox, Vec::new()).await?;
    ensure!(nothing.uids.is_empty(), "append() of nothing gives the UIDs {:?}", nothing.uids);
    Ok(())
}

pub(crate) async fn flags_and_dates_are_kept(t: &Trial) -> Outcome {
    t.rule("An internal date is an instant and the zone in which it was given (RFC 9051 §2.3.3); flags are kept (§2.3.2)");
    let mbox = t.inbox().await?;
    let dates = [
        (1_379_204_548, -180),
        (1_379_204_548, 0),
        (1_600_000_000, 345),
        (1_600_000_000, 840),
        (1_600_000_000, -720),
        (951_782_399, -1),
        (0, 60),
        (4_102_444_800, 0),
    ];
    for (n, (seconds, offset_minutes)) in dates.into_iter().enumerate() {
        let date = InternalDate { seconds, offset_minutes };
        let flags = Flags::new(SystemFlags::from_bits(u8::try_from(n * 5 % 32).unwrap_or_default()), []);
        let mut message = t.message(b"x", flags.clone()).await?;
        message.internal_date = date;
        let uid = one(&t.storage().append(&mbox, vec![message]).await?)?;
        let row = t.row(&mbox, uid).await?;
        same!(row.internal_date, date, "the internal date of a message that came at {date}");
        same!(row.flags, flags, "the flags of a message that was appended with them");
        same!(row.size, 1, "the size of a message of one octet");
    }
    Ok(())
}

pub(crate) async fn the_same_token_gives_the_same_uid(t: &Trial) -> Outcome {
    t.rule("The same Staged body appended twice to the same mailbox gives the same UID");
    let (mbox, other) = (t.inbox().await?, t.create("a").await?);
    t.append(&mbox, b"before").await?;
    let message = t.message(b"x", Flags::default()).await?;
    let first = one(&t.storage().append(&mbox, vec![message.clone()]).await?)?;
    t.append(&mbox, b"after").await?;
    let before = t.snapshot(&mbox).await?.status;
    let again = one(&t.storage().append(&mbox, vec![message.clone()]).await?)?;
    same!(again, first, "the UID of the same token appended again");
    same!(t.snapshot(&mbox).await?.status, before, "the mailbox after the same token came again");
    // Into another mailbox it is another message.
    let there = one(&t.storage().append(&other, vec![message]).await?)?;
    same!(t.snapshot(&other).await?.uids, set([there]), "the other mailbox");
    same!(t.text(&other, there).await?, b"x", "the body in the other mailbox");
    Ok(())
}

pub(crate) async fn the_same_token_at_once_gives_one_message(t: &Trial) -> Outcome {
    t.rule(
        "The same Staged body appended twice to the same mailbox gives the same UID, also at the same time",
    );
    let mbox = t.inbox().await?;
    for _ in 0..5 {
        let message = t.message(b"x", Flags::default()).await?;
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (storage, mbox, message) = (t.storage(), mbox.clone(), message.clone());
                tokio::spawn(async move { storage.append(&mbox, vec![message]).await })
            })
            .collect();
        let mut uids = UidSet::new();
        for task in tasks {
            match task.await {
                Ok(Ok(appended)) => uids.insert(one(&appended)?),
                // Nothing happened: to be tried again.
                Ok(Err(StorageError::Busy)) => {}
                other => return Err(Stop::Broken(format!("append() at the same time failed: {other:?}"))),
            }
        }
        ensure!(uids.len() == 1, "one token appended by four tasks gives the UIDs {uids}");
    }
    same!(t.snapshot(&mbox).await?.status.messages, 5, "messages of five tokens");
    Ok(())
}

pub(crate) async fn a_message_replaces_another_in_one_step(t: &Trial) -> Outcome {
    t.rule("NewMessage::replaces: a message that goes in the same step (RFC 8508 §3)");
    let mbox = t.inbox().await?;
    let [kept, old] = array(t.fill(&mbox, 2).await?)?;
    let before = t.modseq(&mbox).await?;
    let mut message = t.message(b"new", Flags::default()).await?;
    message.replaces = Some(old);
    let appended = t.storage().append(&mbox, vec![message.clone()]).await?;
    let new = one(&appended)?;
    same!(t.snapshot(&mbox).await?.uids, set([kept, new]), "the UIDs after one message replaced another");
    if t.caps().modseq > ModSeqs::None {
        let changes = t.changes(&mbox, before).await?;
        ensure!(changes.removed.contains(old), "changes() does not tell that the replaced message is gone");
        same!(t.modseq(&mbox).await?, appended.modseq, "the mod-sequence of one step");
    }
    // Once more, after an answer that was lost.
    same!(one(&t.storage().append(&mbox, vec![message]).await?)?, new, "the UID of the same token, again");
    let mut late = t.message(b"late", Flags::default()).await?;
    late.replaces = Some(old);
    let refused = t.storage().append(&mbox, vec![late]).await;
    refused!(refused, StorageError::Gone, "append() that replaces a message that is gone");
    same!(t.snapshot(&mbox).await?.uids, set([kept, new]), "the UIDs after a replacement that was refused");
    Ok(())
}

pub(crate) async fn a_digest_is_given_back(t: &Trial) -> Outcome {
    t.rule("KeptDigest is opaque to the plugin, which keeps it beside the row and gives it back");
    let mbox = t.inbox().await?;
    let digest = KeptDigest { version: 513, bytes: Bytes::from((0..=255).collect::<Vec<u8>>()) };
    let mut message = t.message(b"x", Flags::default()).await?;
    message.digest = Some(digest.clone());
    let uid = one(&t.storage().append(&mbox, vec![message]).await?)?;
    same!(t.row(&mbox, uid).await?.digest, Some(digest.clone()), "the digest of a message that brought it");
    let uid = t.append(&mbox, b"y").await?;
    same!(t.row(&mbox, uid).await?.digest, None, "the digest of a message that brought none");
    let before = t.snapshot(&mbox).await?.status;
    t.storage().put_digest(&mbox, uid, digest.clone()).await?;
    // It may be ignored.
    let kept = t.row(&mbox, uid).await?.digest;
    ensure!(kept.is_none() || kept == Some(digest), "put_digest() keeps something else: {kept:?}");
    same!(t.snapshot(&mbox).await?.status, before, "the mailbox after put_digest(), which is no change");
    Ok(())
}

pub(crate) async fn save_dates_are_kept(t: &Trial) -> Outcome {
    t.rule("Row::save_date: when it came into this mailbox (RFC 8514 §4)");
    t.needs(t.caps().save_date, "save dates are not kept")?;
    let (mbox, other) = (t.inbox().await?, t.create("a").await?);
    let given = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    let mut message = t.message(b"x", Flags::default()).await?;
    message.save_date = Some(given);
    let uid = one(&t.storage().append(&mbox, vec![message]).await?)?;
    same!(t.row(&mbox, uid).await?.save_date, Some(given), "the save date that was given");
    // A storage may keep whole seconds.
    let start = SystemTime::now() - Duration::from_secs(2);
    let uid = t.append(&mbox, b"y").await?;
    let now = t.row(&mbox, uid).await?.save_date;
    ensure!(now.is_some_and(|at| at >= start), "the save date of a message that comes now is {now:?}");
    let mode = imapper_core::storage::CopyMode::Copy;
    let copied = t.storage().copy(&mbox, &UidSet::all(), &other, mode).await?;
    for (_, uid) in copied.pairs {
        let now = t.row(&other, uid).await?.save_date;
        ensure!(now.is_some_and(|at| at >= start), "the save date of a copy made now is {now:?}");
    }
    Ok(())
}

pub(crate) async fn counts_follow_each_change(t: &Trial) -> Outcome {
    t.rule("Status: messages, unseen, deleted, size are those of the mailbox (RFC 9051 §6.3.11, RFC 9208 §4.1.4)");
    let mbox = t.inbox().await?;
    let seen = t.append_with(&mbox, b"12345", system(SystemFlag::Seen)).await?;
    let deleted = t.append_with(&mbox, b"123", system(SystemFlag::Deleted)).await?;
    let plain = t.append(&mbox, b"1").await?;
    let counts = async || -> Outcome<(u32, u32, u32, u64, u64)> {
        let status = t.snapshot(&mbox).await?.status;
        let other = t.storage().status(&mbox.account, std::slice::from_ref(&mbox.id)).await?;
        same!(other, std::slice::from_ref(&status), "status() beside the status of snapshot()");
        Ok((status.messages, status.unseen, status.deleted, status.size, status.deleted_size))
    };
    same!(
        counts().await?,
        (3, 2, 1, 9, 3),
        "messages, unseen, deleted, size and size of the deleted of three messages"
    );
    t.flag(&mbox, set([plain]), super::flags::seen()).await?;
    same!(counts().await?, (3, 1, 1, 9, 3), "the counts after one more is seen");
    t.flag(&mbox, set([seen, plain, deleted]), super::flags::remove(system(SystemFlag::Seen))).await?;
    same!(counts().await?, (3, 3, 1, 9, 3), "the counts after none is seen");
    t.flag(&mbox, set([seen]), super::flags::replace(system(SystemFlag::Deleted))).await?;
    same!(counts().await?, (3, 3, 2, 9, 8), "the counts after one more is deleted");
    t.expunge(&mbox, &set([seen])).await?;
    same!(counts().await?, (2, 2, 1, 4, 3), "the counts after an expunge");
    t.expunge(&mbox, &UidSet::all()).await?;
    same!(counts().await?, (0, 0, 0, 0, 0), "the counts of an empty mailbox");
    Ok(())
}

pub(crate) async fn a_body_is_carried_to_another_account(t: &Trial) -> Outcome {
    t.rule("Storage::share carries a staged body over to another account");
    let jill = AccountId::from("jill");
    let (mine, hers) = (t.inbox().await?, t.inbox_of(&jill).await?);
    let staged = t.stage(&john(), b"to all").await?;
    let shared = match t.storage().share(&staged, &john(), &jill).await {
        Err(StorageError::Unsupported) => return t.needs(false, "bodies are not shared"),
        shared => shared?,
    };
    same!(shared.size, 6, "the size of a shared body");
    for (mbox, staged) in [(&hers, shared), (&mine, staged)] {
        let message = NewMessage::new(staged, Flags::default(), DATE);
        let uid = one(&t.storage().append(mbox, vec![message]).await?)?;
        same!(t.text(mbox, uid).await?, b"to all", "the body in {}'s INBOX", mbox.account);
    }
    t.expunge(&mine, &UidSet::all()).await?;
    let uid = t.snapshot(&hers).await?.uids.first();
    let Some(uid) = uid else { return Err(Stop::Broken("jill's message went with john's".to_owned())) };
    same!(t.text(&hers, uid).await?, b"to all", "jill's body after john's message was removed");
    Ok(())
}

pub(crate) async fn appending_to_what_is_missing_takes_nothing(t: &Trial) -> Outcome {
    t.rule("APPEND to a mailbox that does not exist is refused; the mailbox is not made (RFC 9051 §6.3.12)");
    let message = t.message(b"x", system(SystemFlag::Seen)).await?;
    let appended = t.storage().append(&missing(), vec![message.clone()]).await;
    refused!(appended, StorageError::NoMailbox, "append() to a missing mailbox");
    same!(t.names().await?, ["INBOX"], "the mailboxes after APPEND to a missing one");
    // TRYCREATE: the client makes the mailbox, and the same body goes there.
    let made = t.tree(&john(), create("made")).await?;
    let Some(made) = made else { return Ok(()) };
    let mbox = imapper_core::storage::Mbox { account: john(), id: made.id };
    let uid = one(&t.storage().append(&mbox, vec![message]).await?)?;
    same!(t.text(&mbox, uid).await?, b"x", "the body after the mailbox was made");
    Ok(())
}
