//! COPY and MOVE.

use imapper_core::storage::{AccountId, CopyMode, KeptDigest, ModSeqs, StorageError};
use imapper_core::types::{Flags, InternalDate, Keyword, SystemFlag, SystemFlags, Uid, UidSet};

use super::trial::{Outcome, Stop, Trial, array, ensure, letter, missing, one, refused, same, set};

/// Three messages of different flags and dates in INBOX, one in the target before them.
async fn filled(t: &Trial) -> Outcome<(imapper_core::storage::Mbox, imapper_core::storage::Mbox, [Uid; 3])> {
    let (from, to) = (t.inbox().await?, t.create("target").await?);
    t.append(&to, b"there before").await?;
    let words = t.caps().keywords.is_none_or(|most| most >= 3);
    let mut uids = Vec::new();
    for (n, flag) in [SystemFlag::Seen, SystemFlag::Flagged, SystemFlag::Deleted].into_iter().enumerate() {
        let word = words.then(|| Keyword::new(["One", "Two", "Three"][n]));
        let mut message = t.message(&letter(n), Flags::new(flag.into(), word)).await?;
        let hours = i16::try_from(n).unwrap_or_default();
        message.internal_date =
            InternalDate { seconds: 1_000_000_000 + i64::from(hours), offset_minutes: 60 * hours - 60 };
        message.digest = Some(KeptDigest { version: 1, bytes: bytes::Bytes::from(format!("digest {n}")) });
        uids.push(one(&t.storage().append(&from, vec![message]).await?)?);
    }
    Ok((from, to, array(uids)?))
}

pub(crate) async fn a_copy_keeps_everything(t: &Trial) -> Outcome {
    t.rule("Storage::copy: to the end of another mailbox, in the order of UIDs; flags, internal dates and object ids are kept (RFC 9051 §6.4.7)");
    let (from, to, [a, b, c]) = filled(t).await?;
    let before = t.snapshot(&to).await?.status;
    let source = t.snapshot(&from).await?.status;
    let mut wanted = set([a, c]);
    wanted.insert(Uid::MAX);
    let copied = t.storage().copy(&from, &wanted, &to, CopyMode::Copy).await?;
    let old: Vec<Uid> = copied.pairs.iter().map(|(old, _)| *old).collect();
    same!(old, [a, c], "the messages that copy() tells as copied (COPYUID, RFC 4315 §3)");
    same!(copied.uid_validity, before.uid_validity, "the UIDVALIDITY that copy() tells");
    same!(copied.from_modseq, None, "the source's mod-sequence of a copy");
    same!(t.snapshot(&from).await?.status, source, "the source after a copy");
    ensure!(
        copied.pairs.is_sorted_by(|x, y| x.1 < y.1),
        "the copies {:?} are not in the order of UIDs",
        copied.pairs
    );
    for (old, new) in &copied.pairs {
        ensure!(*new >= before.uid_next, "the copy {new} is below the target's UIDNEXT {}", before.uid_next);
        let (x, y) = (t.row(&from, *old).await?, t.row(&to, *new).await?);
        same!(y.flags, x.flags, "the flags of a copy");
        same!(y.internal_date, x.internal_date, "the internal date of a copy");
        same!(y.size, x.size, "the size of a copy");
        same!((y.email_id, y.thread_id), (x.email_id, x.thread_id), "the object ids of a copy (RFC 8474 §5)");
        ensure!(y.digest.is_none() || y.digest == x.digest, "the digest of a copy is another's");
        same!(t.text(&to, *new).await?, t.text(&from, *old).await?, "the body of a copy");
        if t.caps().modseq > ModSeqs::None {
            same!(y.modseq, copied.to_modseq, "the mod-sequence of a copy");
        }
    }
    let _ = b;
    same!(t.snapshot(&to).await?.status.messages, 3, "messages in the target");
    Ok(())
}

pub(crate) async fn keywords_are_copied_in_their_case(t: &Trial) -> Outcome {
    t.rule("COPY keeps keywords (RFC 9051 §6.4.7), and a keyword keeps its case (§2.3.2)");
    t.needs_keywords(3)?;
    let (from, to, [a, b, c]) = filled(t).await?;
    let copied = t.storage().copy(&from, &UidSet::all(), &to, CopyMode::Copy).await?;
    for ((_, new), word) in copied.pairs.iter().zip(["One", "Two", "Three"]) {
        let flags = t.row(&to, *new).await?.flags;
        let words: Vec<&str> = flags.keywords().iter().map(Keyword::as_str).collect();
        same!(words, [word], "the keywords of a copy");
    }
    same!(copied.pairs.len(), [a, b, c].len(), "messages that were copied");
    Ok(())
}

pub(crate) async fn a_move_leaves_nothing_behind(t: &Trial) -> Outcome {
    t.rule(
        "CopyMode::Move: the messages are in the target and not in the source (RFC 9051 §6.4.8, RFC 6851 §3)",
    );
    let (from, to, [a, b, c]) = filled(t).await?;
    let (before, text) = (t.modseq(&from).await?, t.text(&from, b).await?);
    let row = t.row(&from, b).await?;
    let moved = t.storage().copy(&from, &set([b]), &to, CopyMode::Move).await?;
    let [(old, new)] = moved.pairs[..] else {
        return Err(Stop::Broken(format!("the move of one message tells {:?}", moved.pairs)));
    };
    same!(old, b, "the message that was moved");
    let source = t.snapshot(&from).await?;
    same!(source.uids, set([a, c]), "the source after a move");
    let there = t.row(&to, new).await?;
    same!(
        (there.flags, there.internal_date),
        (row.flags, row.internal_date),
        "the flags and date after a move"
    );
    same!(there.email_id, row.email_id, "the EMAILID after a move (RFC 8474 §5.1)");
    same!(t.text(&to, new).await?, text, "the body after a move");
    if t.caps().modseq > ModSeqs::None {
        ensure!(source.status.highest_modseq > before, "a move does not raise the source's mod-sequence");
        same!(moved.from_modseq, Some(source.status.highest_modseq), "the source's mod-sequence of a move");
        same!(moved.to_modseq, t.modseq(&to).await?, "the target's mod-sequence of a move");
        let changes = t.changes(&from, before).await?;
        ensure!(changes.removed.contains(b), "changes() of the source does not tell that {b} was moved away");
    }
    Ok(())
}

pub(crate) async fn within_one_mailbox_copies_are_messages(t: &Trial) -> Outcome {
    t.rule("The target may be the source: copies get UIDs of their own (RFC 9051 §6.4.7, RFC 6851 §3.3)");
    let (mbox, _, [a, b, c]) = filled(t).await?;
    let copied = t.storage().copy(&mbox, &set([a, b]), &mbox, CopyMode::Copy).await?;
    let new: Vec<Uid> = copied.pairs.iter().map(|(_, new)| *new).collect();
    let [d, e] = array(new)?;
    same!(t.snapshot(&mbox).await?.uids, set([a, b, c, d, e]), "the UIDs after a copy within one mailbox");
    same!(t.text(&mbox, d).await?, t.text(&mbox, a).await?, "the body of a copy within one mailbox");
    let before = t.modseq(&mbox).await?;
    let moved = t.storage().copy(&mbox, &set([b]), &mbox, CopyMode::Move).await?;
    let [f] = array(moved.pairs.iter().map(|(_, new)| *new).collect())?;
    ensure!(f > e, "a message that is moved within one mailbox has the UID {f}, not a new one");
    same!(t.snapshot(&mbox).await?.uids, set([a, c, d, e, f]), "the UIDs after a move within one mailbox");
    if t.caps().modseq == ModSeqs::Full {
        let changes = t.changes(&mbox, before).await?;
        ensure!(changes.removed.contains(b), "changes() does not tell that {b} was moved");
        ensure!(changes.changed.iter().any(|row| row.uid == f), "changes() does not tell that {f} is new");
    }
    Ok(())
}

pub(crate) async fn nothing_to_copy_changes_nothing(t: &Trial) -> Outcome {
    t.rule("UIDs that do not exist are passed over (RFC 9051 §6.4.9); a call that changes nothing takes no mod-sequence");
    let (from, to, _) = filled(t).await?;
    let before = (t.snapshot(&from).await?.status, t.snapshot(&to).await?.status);
    for mode in [CopyMode::Copy, CopyMode::Move] {
        let copied = t.storage().copy(&from, &set([Uid::MAX]), &to, mode).await?;
        ensure!(copied.pairs.is_empty(), "a message that does not exist is copied: {:?}", copied.pairs);
    }
    let after = (t.snapshot(&from).await?.status, t.snapshot(&to).await?.status);
    same!(after, before, "source and target after nothing was copied");
    Ok(())
}

pub(crate) async fn a_missing_target_leaves_the_source_alone(t: &Trial) -> Outcome {
    t.rule("Storage::copy: all or none; NoMailbox if source or target is missing (RFC 9051 §6.4.7)");
    let (from, to, _) = filled(t).await?;
    let before = t.snapshot(&from).await?;
    for mode in [CopyMode::Copy, CopyMode::Move] {
        let copied = t.storage().copy(&from, &UidSet::all(), &missing(), mode).await;
        refused!(copied, StorageError::NoMailbox, "{mode:?} to a missing mailbox");
        let copied = t.storage().copy(&missing(), &UidSet::all(), &to, mode).await;
        refused!(copied, StorageError::NoMailbox, "{mode:?} from a missing mailbox");
    }
    let after = t.snapshot(&from).await?;
    same!(
        (after.uids, after.status),
        (before.uids, before.status),
        "the source after copies that were refused"
    );
    same!(t.snapshot(&to).await?.status.messages, 1, "messages in the target after copies that were refused");
    Ok(())
}

pub(crate) async fn a_copy_that_fails_half_way_did_nothing(t: &Trial) -> Outcome {
    t.rule("Storage::copy: all or none: a target without room for the last message's keywords gets no message (RFC 9051 §6.4.7)");
    let Some(most) = t.caps().keywords.filter(|most| (3..=4096).contains(most)) else {
        return t.needs(false, "keywords have no bound that can be reached here");
    };
    let (from, to, _) = filled(t).await?;
    // Room for the keyword of the first message only.
    let many = Flags::new(SystemFlags::NONE, (1..most).map(|n| Keyword::new(&format!("word{n}"))));
    t.append_with(&to, b"x", many).await?;
    let before = (t.snapshot(&from).await?, t.snapshot(&to).await?);
    for mode in [CopyMode::Copy, CopyMode::Move] {
        let copied = t.storage().copy(&from, &UidSet::all(), &to, mode).await;
        refused!(copied, StorageError::Limit(_), "{mode:?} of more keywords than the target takes");
        let after = (t.snapshot(&from).await?, t.snapshot(&to).await?);
        same!(after.0.uids, before.0.uids, "the source's UIDs after {mode:?} failed");
        same!(after.1.uids, before.1.uids, "the target's UIDs after {mode:?} failed: half was copied");
        same!(after.0.status, before.0.status, "the source after {mode:?} failed");
    }
    Ok(())
}

pub(crate) async fn messages_go_to_another_account(t: &Trial) -> Outcome {
    t.rule("Storage::copy: source and target may have different owners");
    let (from, _, [a, b, c]) = filled(t).await?;
    let to = t.inbox_of(&AccountId::from("jill")).await?;
    let text = t.text(&from, a).await?;
    let copied = t.storage().copy(&from, &set([a]), &to, CopyMode::Copy).await?;
    let moved = t.storage().copy(&from, &set([b]), &to, CopyMode::Move).await?;
    let new: UidSet = copied.pairs.iter().chain(&moved.pairs).map(|(_, new)| *new).collect();
    same!(t.snapshot(&to).await?.uids, new, "the other account's INBOX");
    same!(t.snapshot(&from).await?.uids, set([a, c]), "the source after one message was moved");
    let Some((_, first)) = copied.pairs.first() else {
        return Err(Stop::Broken("copy() tells no message".to_owned()));
    };
    t.expunge(&from, &UidSet::all()).await?;
    same!(t.text(&to, *first).await?, text, "the body of a copy in another account");
    Ok(())
}

pub(crate) async fn moves_in_both_directions_lose_nothing(t: &Trial) -> Outcome {
    t.rule("Each call is one atomic step: messages moved to and fro are neither lost nor doubled (RFC 6851 §3.3)");
    t.needs(t.caps().atomic_move, "MOVE is not one step here")?;
    let (a, b) = (t.inbox().await?, t.create("other").await?);
    t.fill(&a, 12).await?;
    let tasks: Vec<_> = [(&a, &b), (&b, &a), (&a, &b), (&b, &a)]
        .into_iter()
        .map(|(from, to)| {
            let (t, from, to) = (t.clone(), from.clone(), to.clone());
            tokio::spawn(async move {
                for _ in 0..15 {
                    match t.storage().copy(&from, &UidSet::all(), &to, CopyMode::Move).await {
                        // What is doubled each time would soon fill the machine.
                        Ok(moved) => {
                            ensure!(moved.pairs.len() <= 12, "12 messages became {}", moved.pairs.len());
                        }
                        Err(StorageError::Busy) => {}
                        Err(error) => return Err(error.into()),
                    }
                    tokio::task::yield_now().await;
                }
                Ok(())
            })
        })
        .collect();
    for task in tasks {
        match task.await {
            Ok(done) => done?,
            Err(error) => return Err(Stop::Broken(format!("copy() panicked: {error}"))),
        }
    }
    let mut bodies = Vec::new();
    for mbox in [&a, &b] {
        for uid in t.snapshot(mbox).await?.uids.iter() {
            bodies.push(t.text(mbox, uid).await?);
        }
    }
    bodies.sort();
    let mut wanted: Vec<Vec<u8>> = (1..=12).map(letter).collect();
    wanted.sort();
    ensure!(bodies == wanted, "of 12 messages moved to and fro {} are left, or others", bodies.len());
    Ok(())
}
