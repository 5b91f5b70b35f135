//! The same storage held twice, as two nodes or two processes hold it: what one has done, the other sees.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use imapper_core::storage::{Event, FlagChange, ModSeqs, NewMessage, Reach, Storage, StorageError};
use imapper_core::types::{Flags, ModSeq, SystemFlag, UidSet};

use super::changing::Follower;
use super::trial::{DATE, Outcome, Stop, Trial, create, ensure, john, one, same, set, system};

/// The storage once more, or the case is skipped.
fn beside(t: &Trial) -> Outcome<Arc<dyn Storage>> {
    t.beside().ok_or(Stop::Skipped("the storage is held once only"))
}

async fn message(storage: &dyn Storage, octets: &'static [u8]) -> Outcome<NewMessage> {
    let body = stream::iter([Ok(Bytes::from_static(octets))]).boxed();
    Ok(NewMessage::new(storage.stage(&john(), None, body).await?, Flags::default(), DATE))
}

pub(crate) async fn what_one_writes_the_other_reads(t: &Trial) -> Outcome {
    t.rule("After Ok a change is there, for every node: messages, flags, removals, the tree");
    let there = beside(t)?;
    let (mbox, other) = (t.inbox().await?, t.create("new").await?);
    let listed = there.list(&john()).await?;
    ensure!(
        listed.iter().any(|info| info.id == other.id),
        "a mailbox that one has made, the other does not list"
    );
    let uids = t.fill(&mbox, 2).await?;
    let [a, b] = super::trial::array(uids)?;
    same!(there.snapshot(&mbox).await?.uids, set([a, b]), "the UIDs that the other sees");
    let op = super::flags::seen();
    there.set_flags(&mbox, FlagChange { uids: set([a]), op, unchanged_since: None }).await?;
    same!(t.row(&mbox, a).await?.flags, system(SystemFlag::Seen), "the flags that the other has set");
    there.expunge(&mbox, &set([b]), false).await?;
    let (mine, others) = (t.snapshot(&mbox).await?, there.snapshot(&mbox).await?);
    same!(mine.uids, set([a]), "the UIDs after the other has removed one");
    same!(mine.status, others.status, "the status at both");
    t.delete(&other).await?;
    let gone = there.snapshot(&other).await;
    ensure!(
        matches!(gone, Err(StorageError::NoMailbox)),
        "a mailbox that one has removed is there for the other"
    );
    Ok(())
}

pub(crate) async fn both_count_on_from_each_other(t: &Trial) -> Outcome {
    t.rule("UIDs and mod-sequences ascend, a name is given once, a message is recent once: whichever node is asked");
    let there = beside(t)?;
    let mbox = t.inbox().await?;
    let mut last = (None, ModSeq::ZERO);
    for n in 0..6 {
        let storage = if n % 2 == 0 { t.storage() } else { Arc::clone(&there) };
        let appended = storage.append(&mbox, vec![message(&*storage, b"x").await?]).await?;
        let uid = one(&appended)?;
        ensure!(Some(uid) > last.0, "the UID {uid} after {:?}, which the other node gave", last.0);
        let counts = t.caps().modseq > ModSeqs::None;
        ensure!(appended.modseq > last.1 || !counts, "the mod-sequence {} after {}", appended.modseq, last.1);
        last = (Some(uid), appended.modseq);
    }
    t.create("a").await?;
    let again = there.tree(&john(), create("a")).await;
    ensure!(matches!(again, Err(StorageError::Exists)), "a name that one has given, the other gives again");
    if t.storage().claim_recent(&mbox).await?.is_some() {
        same!(
            there.claim_recent(&mbox).await?,
            None,
            "what is recent for the other after one has claimed it"
        );
    }
    Ok(())
}

pub(crate) async fn the_same_token_at_both_gives_one_message(t: &Trial) -> Outcome {
    t.rule(
        "The same Staged body appended twice to the same mailbox gives the same UID, also by another node",
    );
    let there = beside(t)?;
    let mbox = t.inbox().await?;
    let message = message(&*t.storage(), b"x").await?;
    let first = one(&t.storage().append(&mbox, vec![message.clone()]).await?)?;
    let again = one(&there.append(&mbox, vec![message]).await?)?;
    same!(again, first, "the UID of the same token at the other node");
    same!(there.snapshot(&mbox).await?.uids, set([first]), "the mailbox after the same token came again");
    Ok(())
}

pub(crate) async fn followers_at_one_hear_of_writers_at_the_other(t: &Trial) -> Outcome {
    t.rule("Whoever applies Storage::changes ends equal to the snapshot, also while other nodes write");
    let mbox = t.inbox().await?;
    let writers: Vec<_> = [t.storage(), beside(t)?, t.storage(), beside(t)?]
        .into_iter()
        .map(|storage| {
            let mbox = mbox.clone();
            tokio::spawn(async move {
                let mut uids = UidSet::new();
                for round in 0..10 {
                    let new = vec![message(&*storage, b"x").await?];
                    let uid = one(&storage.append(&mbox, new).await?)?;
                    uids.insert(uid);
                    if round % 3 == 0 {
                        storage.expunge(&mbox, &set([uid]), false).await?;
                    }
                }
                Ok::<_, Stop>(uids)
            })
        })
        .collect();
    let mut follower = Follower::default();
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        follower.follow(t, &mbox, 5).await?;
        tokio::task::yield_now().await;
    }
    let mut given = UidSet::new();
    for writer in writers {
        let uids = writer.await.map_err(|error| Stop::Broken(format!("the storage panicked: {error}")))??;
        let twice = given.intersection(&uids);
        ensure!(twice.is_empty(), "two nodes have given the UIDs {twice}");
        given = given.union(&uids);
    }
    follower.follow(t, &mbox, 5).await?;
    follower.compare(t, &mbox).await
}

pub(crate) async fn changes_at_one_are_told_at_the_other(t: &Trial) -> Outcome {
    t.rule("Reach::Cluster: a change raises an event at every node");
    t.needs(t.caps().watch == Reach::Cluster, "changes are told within the process only")?;
    let there = beside(t)?;
    let mbox = t.inbox().await?;
    let mut events = there.watch(john(), vec![mbox.id.clone()]);
    for what in ["append()", "a second append()"] {
        t.append(&mbox, b"x").await?;
        let now = t.modseq(&mbox).await?;
        let counts = t.caps().modseq > ModSeqs::None;
        let told = t
            .within(async {
                while let Some(event) = events.next().await {
                    match event {
                        Event::Lagged => return true,
                        Event::Mailbox { id, modseq } if id == mbox.id && (modseq >= now || !counts) => {
                            return true;
                        }
                        _ => {}
                    }
                }
                false
            })
            .await;
        same!(told, Some(true), "whether the other node is told of {what}");
    }
    Ok(())
}
