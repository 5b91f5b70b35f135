//! STORE: how flags change, keywords, UNCHANGEDSINCE.

use std::collections::BTreeSet;

use imapper_core::storage::{CopyMode, FlagChange, FlagOp, ModSeqs, StorageError};
use imapper_core::types::{Flags, Keyword, ModSeq, SystemFlag, SystemFlags, Uid, UidSet};

use super::trial::{Outcome, Trial, array, ensure, keyword, refused, same, set, state, system};

pub(super) fn add(flags: Flags) -> FlagOp {
    FlagOp::Add(flags)
}

pub(super) fn remove(flags: Flags) -> FlagOp {
    FlagOp::Remove(flags)
}

pub(super) fn replace(flags: Flags) -> FlagOp {
    FlagOp::Replace(flags)
}

pub(super) fn seen() -> FlagOp {
    FlagOp::Add(system(SystemFlag::Seen))
}

pub(crate) async fn flags_are_added_removed_and_replaced(t: &Trial) -> Outcome {
    t.rule("FlagOp: these too, not these, these and no others (RFC 9051 §6.4.6)");
    let mbox = t.inbox().await?;
    let both = SystemFlags::from(SystemFlag::Seen) | SystemFlag::Draft.into();
    let uid = t.append_with(&mbox, b"x", Flags::new(both, [])).await?;
    let steps = [
        (add(system(SystemFlag::Flagged)), both | SystemFlag::Flagged.into()),
        (remove(Flags::new(both, [])), SystemFlag::Flagged.into()),
        (replace(Flags::new(SystemFlags::ALL, [])), SystemFlags::ALL),
        (replace(system(SystemFlag::Answered)), SystemFlag::Answered.into()),
        (replace(Flags::default()), SystemFlags::NONE),
    ];
    for (op, wanted) in steps {
        let told = format!("{op:?}");
        let stored = t.flag(&mbox, set([uid]), op).await?;
        let wanted = Flags::new(wanted, []);
        same!(stored.changed, [(uid, wanted.clone())], "what {told} tells as changed");
        same!(t.row(&mbox, uid).await?.flags, wanted, "the flags after {told}");
    }
    Ok(())
}

pub(crate) async fn only_what_changes_is_told_as_changed(t: &Trial) -> Outcome {
    t.rule("Stored: the messages whose flags are others now, with all their flags, in the order of UIDs; those that do not exist are passed over");
    let mbox = t.inbox().await?;
    let [a, b, c, gone] = array(t.fill(&mbox, 4).await?)?;
    t.expunge(&mbox, &set([gone])).await?;
    t.flag(&mbox, set([b]), seen()).await?;
    t.flag(&mbox, set([c]), add(system(SystemFlag::Draft))).await?;
    let before = t.modseq(&mbox).await?;
    let stored = t.flag(&mbox, UidSet::all(), seen()).await?;
    let draft = Flags::new(SystemFlags::from(SystemFlag::Seen) | SystemFlag::Draft.into(), []);
    same!(stored.changed, [(a, system(SystemFlag::Seen)), (c, draft)], "the messages told as changed");
    same!(stored.unchanged, set([b]), "the messages whose flags were so already");
    ensure!(stored.conflict.is_empty(), "conflicts {} without UNCHANGEDSINCE", stored.conflict);
    if t.caps().modseq > ModSeqs::None {
        ensure!(stored.modseq > before, "STORE does not raise the mod-sequence {before} (RFC 7162 §3.1.3)");
        for uid in [a, c] {
            same!(t.row(&mbox, uid).await?.modseq, stored.modseq, "the mod-sequence of the changed {uid}");
        }
        ensure!(t.row(&mbox, b).await?.modseq < stored.modseq, "the unchanged {b} has a new mod-sequence");
    }
    let nothing = t.flag(&mbox, set([gone]), seen()).await?;
    ensure!(
        nothing.changed.is_empty() && nothing.unchanged.is_empty(),
        "a removed message is told: {nothing:?}"
    );
    Ok(())
}

pub(crate) async fn a_call_that_changes_nothing_takes_no_modseq(t: &Trial) -> Outcome {
    t.rule("Each call that changes something takes one new mod-sequence a mailbox; one that changes nothing takes none");
    t.needs_modseqs(ModSeqs::Changes)?;
    let mbox = t.inbox().await?;
    let [a, b] = array(t.fill(&mbox, 2).await?)?;
    let stored = t.flag(&mbox, set([a, b]), seen()).await?;
    let at = t.modseq(&mbox).await?;
    same!(stored.modseq, at, "the mod-sequence that STORE tells, beside the mailbox's");
    let rows: Vec<_> = t.rows(&mbox).await?.iter().map(state).collect();
    let again = t.flag(&mbox, UidSet::all(), seen()).await?;
    same!(again.modseq, at, "the mod-sequence that a STORE without effect tells");
    let (none, modseq) = t.storage().expunge(&mbox, &UidSet::all(), true).await?;
    ensure!(none.is_empty(), "an expunge of deleted messages removes {none}, which are not deleted");
    same!(modseq, at, "the mod-sequence that an expunge without effect tells");
    same!(t.storage().append(&mbox, Vec::new()).await?.modseq, at, "that of an append of nothing");
    t.storage().claim_recent(&mbox).await?;
    same!(t.modseq(&mbox).await?, at, "the mailbox's mod-sequence after calls without effect");
    let after: Vec<_> = t.rows(&mbox).await?.iter().map(state).collect();
    same!(after, rows, "the rows after calls without effect");
    Ok(())
}

pub(crate) async fn keywords_are_kept_in_their_case(t: &Trial) -> Outcome {
    t.rule("A keyword keeps its case, and compares without regard to it (RFC 9051 §2.3.2)");
    t.needs_keywords(3)?;
    let mbox = t.inbox().await?;
    let words = ["$Forwarded", "MyFlag", "NonJunk"];
    let flags = Flags::new(SystemFlag::Seen.into(), words.map(Keyword::new));
    let uid = t.append_with(&mbox, b"x", flags.clone()).await?;
    let row = t.row(&mbox, uid).await?;
    let spelled: BTreeSet<&str> = row.flags.keywords().iter().map(Keyword::as_str).collect();
    same!(spelled, BTreeSet::from(words), "the keywords as they are spelled");
    let stored = t.flag(&mbox, set([uid]), add(keyword("MYFLAG"))).await?;
    ensure!(stored.changed.is_empty(), "MYFLAG beside MyFlag is told as a change: {:?}", stored.changed);
    let stored = t.flag(&mbox, set([uid]), remove(keyword("myflag"))).await?;
    let left = Flags::new(SystemFlag::Seen.into(), [words[0], words[2]].map(Keyword::new));
    same!(stored.changed, [(uid, left.clone())], "the flags after myflag was taken off");
    same!(t.row(&mbox, uid).await?.flags, left, "the flags after myflag was taken off");
    let known = t.snapshot(&mbox).await?.keywords;
    for word in [words[0], words[2]] {
        ensure!(known.contains(&Keyword::new(word)), "Snapshot::keywords lacks {word}, which is set");
    }
    Ok(())
}

pub(crate) async fn keywords_belong_to_one_mailbox(t: &Trial) -> Outcome {
    t.rule(
        "Snapshot::keywords: the keywords that occur or may be set (RFC 9051 §7.3.5, PERMANENTFLAGS §7.1)",
    );
    t.needs_keywords(1)?;
    let (mbox, other) = (t.inbox().await?, t.create("a").await?);
    let word = Keyword::new("Only-Here");
    let snapshot = t.snapshot(&mbox).await?;
    t.needs(snapshot.new_keywords, "clients can't make keywords here")?;
    ensure!(!snapshot.keywords.contains(&word), "Snapshot::keywords has a word that was never set");
    let uid = t.append(&mbox, b"x").await?;
    let beside = t.append(&mbox, b"y").await?;
    t.flag(&mbox, set([uid]), add(keyword("Only-Here"))).await?;
    ensure!(t.row(&mbox, uid).await?.flags.has_keyword(&Keyword::new("Only-Here")), "the keyword is not set");
    ensure!(t.row(&mbox, beside).await?.flags.is_empty(), "the keyword is set on another message too");
    let there = t.append(&other, b"x").await?;
    ensure!(t.row(&other, there).await?.flags.is_empty(), "the keyword is set in another mailbox too");
    ensure!(t.snapshot(&mbox).await?.keywords.contains(&word), "Snapshot::keywords lacks a word that is set");
    let elsewhere = t.snapshot(&other).await?.keywords;
    ensure!(!elsewhere.contains(&word), "Snapshot::keywords of another mailbox has the word");
    t.storage().copy(&mbox, &set([uid]), &other, CopyMode::Copy).await?;
    let copied = t.snapshot(&other).await?.keywords;
    ensure!(copied.contains(&word), "Snapshot::keywords lacks a word that came with a copy");
    Ok(())
}

pub(crate) async fn keywords_have_their_bound(t: &Trial) -> Outcome {
    t.rule("Caps::keywords: how many keywords a mailbox may have (RFC 9051 §7.1, PERMANENTFLAGS)");
    let Some(most) = t.caps().keywords.filter(|most| (1..=4096).contains(most)) else {
        return t.needs(false, "keywords have no bound that can be reached here");
    };
    let mbox = t.inbox().await?;
    let word = |n: usize| Keyword::new(&format!("word{n}"));
    let flags = Flags::new(SystemFlags::NONE, (0..most).map(word));
    let uid = t.append_with(&mbox, b"x", flags.clone()).await?;
    same!(
        t.row(&mbox, uid).await?.flags,
        flags,
        "the flags of a message with as many keywords as there may be"
    );
    let one_more = t.flag(&mbox, set([uid]), add(keyword("one-more"))).await;
    refused!(one_more, StorageError::Limit(_), "a keyword above the bound");
    same!(t.row(&mbox, uid).await?.flags, flags, "the flags after a keyword was refused");
    let message = t.message(b"y", keyword("one-more")).await?;
    let appended = t.storage().append(&mbox, vec![message]).await;
    refused!(appended, StorageError::Limit(_), "append() with a keyword above the bound");
    same!(t.snapshot(&mbox).await?.status.messages, 1, "messages after an append was refused");
    Ok(())
}

pub(crate) async fn where_there_are_no_keywords_none_is_kept(t: &Trial) -> Outcome {
    t.rule(
        "Caps::keywords: Some(0) for no keywords (RFC 9051 §2.3.2: a server may support system flags only)",
    );
    t.needs(t.caps().keywords == Some(0), "keywords are kept")?;
    let mbox = t.inbox().await?;
    let uid = t.append_with(&mbox, b"x", system(SystemFlag::Seen)).await?;
    let snapshot = t.snapshot(&mbox).await?;
    ensure!(!snapshot.new_keywords, "Snapshot::new_keywords says that clients may make keywords");
    ensure!(snapshot.keywords.is_empty(), "Snapshot::keywords has {:?}", snapshot.keywords);
    for op in [add(keyword("one")), replace(keyword("one"))] {
        let stored = t.flag(&mbox, set([uid]), op).await;
        refused!(stored, StorageError::Limit(_), "a keyword where there are none");
    }
    let message = t.message(b"y", keyword("one")).await?;
    let appended = t.storage().append(&mbox, vec![message]).await;
    refused!(appended, StorageError::Limit(_), "append() with a keyword where there are none");
    let after = t.snapshot(&mbox).await?;
    same!(after.status, snapshot.status, "the mailbox after keywords were refused");
    same!(t.row(&mbox, uid).await?.flags, system(SystemFlag::Seen), "the flags after keywords were refused");
    let stored = t.flag(&mbox, set([uid]), remove(keyword("one"))).await?;
    ensure!(stored.changed.is_empty(), "a keyword is taken off where there are none");
    Ok(())
}

pub(crate) async fn unchanged_since_holds_back(t: &Trial) -> Outcome {
    t.rule("FlagChange::unchanged_since: only messages whose mod-sequence is not above it (RFC 7162 §3.1.3)");
    t.needs_modseqs(ModSeqs::Changes)?;
    let mbox = t.inbox().await?;
    let [old, new] = array(t.fill(&mbox, 2).await?)?;
    let seen_at = t.modseq(&mbox).await?;
    t.flag(&mbox, set([new]), add(system(SystemFlag::Answered))).await?;
    let held = t.row(&mbox, new).await?;
    let change =
        |uids: UidSet, since: ModSeq, op: FlagOp| FlagChange { uids, op, unchanged_since: Some(since) };
    let storage = t.storage();
    let stored = storage.set_flags(&mbox, change(UidSet::all(), seen_at, seen())).await?;
    same!(stored.conflict, set([new]), "the messages held back by UNCHANGEDSINCE");
    same!(stored.changed, [(old, system(SystemFlag::Seen))], "the messages changed under UNCHANGEDSINCE");
    same!(state(&t.row(&mbox, new).await?), state(&held), "the message that was held back");
    // Also a message whose flags are so already has changed meanwhile.
    let stored =
        storage.set_flags(&mbox, change(set([new]), seen_at, add(system(SystemFlag::Answered)))).await?;
    same!(stored.conflict, set([new]), "a message held back whose flags are so already");
    let stored = storage.set_flags(&mbox, change(UidSet::all(), ModSeq::ZERO, seen())).await?;
    same!(stored.conflict, set([old, new]), "the messages held back by UNCHANGEDSINCE 0");
    let now = t.modseq(&mbox).await?;
    let stored = storage.set_flags(&mbox, change(UidSet::all(), now, replace(Flags::default()))).await?;
    same!(stored.changed.len(), 2, "messages changed when nothing is newer");
    ensure!(stored.conflict.is_empty(), "held back although nothing is newer: {}", stored.conflict);
    Ok(())
}

pub(crate) async fn huge_sets_cost_what_there_is(t: &Trial) -> Outcome {
    t.rule(
        "Sets are ranges and may name every UID; those that do not exist are passed over (RFC 9051 §6.4.9)",
    );
    let mbox = t.inbox().await?;
    let uids = t.fill(&mbox, 3).await?;
    let [first, _, last] = array(uids.clone())?;
    let mut wide = UidSet::range(first, first);
    wide.insert_range(last, Uid::MAX);
    let found: Vec<Uid> = t.rows_of(&mbox, &wide).await?.iter().map(|row| row.uid).collect();
    same!(found, [first, last], "the rows of {wide}");
    let stored = t.flag(&mbox, wide.clone(), seen()).await?;
    same!(stored.changed.len(), 2, "messages changed of {wide}");
    let nothing = t.rows_of(&mbox, &UidSet::new()).await?;
    ensure!(nothing.is_empty(), "rows() of no UIDs gives {} rows", nothing.len());
    let found: Vec<Uid> = t.rows(&mbox).await?.iter().map(|row| row.uid).collect();
    same!(found, uids, "the rows of all UIDs");
    Ok(())
}

pub(crate) async fn changes_at_once_are_all_kept(t: &Trial) -> Outcome {
    t.rule("Each call that changes something is one atomic step: two that add flags lose none of them");
    t.needs_keywords(8)?;
    let mbox = t.inbox().await?;
    let uid = t.append(&mbox, b"x").await?;
    let words: Vec<String> = (0..8).map(|n| format!("task{n}")).collect();
    let tasks: Vec<_> = words
        .iter()
        .map(|word| {
            let (t, mbox, flags) = (t.clone(), mbox.clone(), keyword(word));
            tokio::spawn(async move { t.flag(&mbox, set([uid]), add(flags)).await })
        })
        .collect();
    let mut modseqs = BTreeSet::new();
    for task in tasks {
        match task.await {
            Ok(stored) => modseqs.insert(stored?.modseq),
            Err(error) => return Err(super::trial::Stop::Broken(format!("set_flags() panicked: {error}"))),
        };
    }
    let flags = t.row(&mbox, uid).await?.flags;
    let lost: Vec<_> = words.iter().filter(|word| !flags.has_keyword(&Keyword::new(word))).collect();
    ensure!(lost.is_empty(), "eight keywords set at once, and {lost:?} are lost");
    if t.caps().modseq > ModSeqs::None {
        same!(modseqs.len(), 8, "mod-sequences of eight changes");
    }
    Ok(())
}
