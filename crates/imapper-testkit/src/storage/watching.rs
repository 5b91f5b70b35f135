//! Hints.

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use imapper_core::storage::{AccountId, CopyMode, Event, MailboxId, Mbox, ModSeqs, Reach};
use imapper_core::types::{ModSeq, SystemFlag};

use super::trial::{Outcome, Stop, Trial, array, create, ensure, john, set, system};

type Events = BoxStream<'static, Event>;

/// From the call on each change is told; a storage that needs time to begin tells [`Event::Lagged`] then.
fn watch(t: &Trial, account: &AccountId, ids: Vec<MailboxId>) -> Outcome<Events> {
    t.needs(t.caps().watch > Reach::Poll, "changes raise no events")?;
    Ok(t.storage().watch(account.clone(), ids))
}

/// What is to be told.
#[derive(PartialEq)]
enum Told {
    /// That a mailbox has come so far.
    Mailbox(MailboxId, ModSeq),
    Tree,
}

/// That the mailbox has come to where it is now.
async fn now(t: &Trial, mbox: &Mbox) -> Outcome<Told> {
    Ok(Told::Mailbox(mbox.id.clone(), t.modseq(mbox).await?))
}

/// Waits until all of that is told, in any order: an event may stand for several changes, but one of an earlier
/// change for none that came later.
async fn hints(t: &Trial, events: &mut Events, mut wanted: Vec<Told>, what: &str) -> Outcome {
    // Where there are no mod-sequences, it can't be seen which change an event is of.
    let counts = t.caps().modseq > ModSeqs::None;
    let all_told = t
        .within(async {
            while !wanted.is_empty() {
                match events.next().await {
                    // Then everything is looked at.
                    Some(Event::Lagged) => return true,
                    Some(Event::Tree) => wanted.retain(|told| *told != Told::Tree),
                    Some(Event::Mailbox { id, modseq }) => wanted.retain(|told| match told {
                        Told::Mailbox(of, far) => *of != id || counts && *far > modseq,
                        Told::Tree => true,
                    }),
                    None => return false,
                }
            }
            true
        })
        .await;
    match all_told {
        Some(true) => Ok(()),
        Some(false) => Err(Stop::Broken(format!("the events end, while the storage is there, at {what}"))),
        None => Err(Stop::Broken(format!("no event comes within {:?} after {what}", t.patience()))),
    }
}

/// Waits until it is told where the mailbox is now.
async fn hint(t: &Trial, events: &mut Events, mbox: &Mbox, what: &str) -> Outcome {
    let now = now(t, mbox).await?;
    hints(t, events, vec![now], what).await
}

pub(crate) async fn each_change_of_a_mailbox_is_told(t: &Trial) -> Outcome {
    t.rule("Storage::watch: hints that something has changed in the listed mailboxes (Caps::watch)");
    let (mbox, other) = (t.inbox().await?, t.create("other").await?);
    let mut one = watch(t, &john(), vec![mbox.id.clone()])?;
    let mut all = watch(t, &john(), Vec::new())?;
    let mut both = async |what: &str| -> Outcome {
        hint(t, &mut one, &mbox, what).await?;
        hint(t, &mut all, &mbox, what).await
    };
    let a = t.append(&mbox, b"x").await?;
    both("append()").await?;
    let [_, b] = array(t.fill(&mbox, 2).await?)?;
    both("two more append()").await?;
    t.flag(&mbox, set([a]), super::flags::seen()).await?;
    both("set_flags()").await?;
    t.expunge(&mbox, &set([a])).await?;
    both("expunge()").await?;
    t.storage().copy(&mbox, &set([b]), &other, CopyMode::Copy).await?;
    hint(t, &mut all, &other, "copy(), in the target").await?;
    t.storage().copy(&mbox, &set([b]), &other, CopyMode::Move).await?;
    hint(t, &mut one, &mbox, "copy() that moves, in the source").await?;
    let there = t.snapshot(&other).await?.uids;
    t.storage().copy(&other, &there, &mbox, CopyMode::Copy).await?;
    hint(t, &mut one, &mbox, "copy(), in the target").await
}

pub(crate) async fn each_change_of_the_tree_is_told(t: &Trial) -> Outcome {
    t.rule("Event::Tree: mailboxes, subscriptions or attributes have changed");
    let mut events = watch(t, &john(), Vec::new())?;
    let mut told = async |what: &str| hints(t, &mut events, vec![Told::Tree], what).await;
    let mbox = t.create("a").await?;
    told("CREATE").await?;
    t.rename(&mbox, "b").await?;
    told("RENAME").await?;
    t.subscribe("b", true).await?;
    told("SUBSCRIBE").await?;
    t.subscribe("b", false).await?;
    told("UNSUBSCRIBE").await?;
    t.delete(&mbox).await?;
    told("DELETE").await
}

pub(crate) async fn a_hint_comes_after_its_change(t: &Trial) -> Outcome {
    t.rule("Whoever gets an Event asks changes(): what it hints at is there by then");
    let mbox = t.inbox().await?;
    let mut events = watch(t, &john(), vec![mbox.id.clone()])?;
    let writer = {
        let (t, mbox) = (t.clone(), mbox.clone());
        tokio::spawn(async move { t.fill(&mbox, 20).await })
    };
    let counts = t.caps().modseq > ModSeqs::None;
    let mut messages = 0;
    while messages < 20 {
        let Some(Some(event)) = t.within(events.next()).await else {
            let told = t.snapshot(&mbox).await?.status.messages;
            return Err(Stop::Broken(format!("no event comes any more, at {messages} of {told} messages")));
        };
        let status = t.snapshot(&mbox).await?.status;
        if let Event::Mailbox { modseq, .. } = event {
            let there = status.highest_modseq;
            ensure!(modseq <= there || !counts, "an event tells {modseq}, while the mailbox is at {there}");
        }
        messages = status.messages;
    }
    drop(writer.await.map_err(|error| Stop::Broken(format!("append() panicked: {error}")))??);
    Ok(())
}

pub(crate) async fn a_slow_watcher_loses_nothing_for_good(t: &Trial) -> Outcome {
    t.rule(
        "Event::Lagged: something may have been missed. A lost or doubled Event changes nothing but latency",
    );
    let (mbox, other) = (t.inbox().await?, t.create("other").await?);
    let mut events = watch(t, &john(), Vec::new())?;
    let uid = t.append(&mbox, b"x").await?;
    // What is told of the beginning does not count for what follows.
    hint(t, &mut events, &mbox, "append()").await?;
    for n in 0..200 {
        let op = if n % 2 == 0 { super::flags::add } else { super::flags::remove };
        t.flag(&mbox, set([uid]), op(system(SystemFlag::Seen))).await?;
    }
    t.append(&other, b"x").await?;
    // Whatever was left out, the last change of each is told, or that something may have been missed.
    let wanted = vec![now(t, &mbox).await?, now(t, &other).await?];
    hints(t, &mut events, wanted, "200 changes and one of another mailbox").await
}

pub(crate) async fn who_stops_watching_disturbs_nobody(t: &Trial) -> Outcome {
    t.rule("Storage::watch: ends only when the storage does; watchers come and go");
    let mbox = t.inbox().await?;
    let mut stays = watch(t, &john(), vec![mbox.id.clone()])?;
    for _ in 0..20 {
        drop(watch(t, &john(), Vec::new())?);
        drop(t.storage().watch(AccountId::from("jill"), vec![MailboxId::from("0-none")]));
    }
    t.append(&mbox, b"x").await?;
    hint(t, &mut stays, &mbox, "append(), after others have stopped watching").await
}

pub(crate) async fn a_deleted_mailbox_may_be_watched(t: &Trial) -> Outcome {
    t.rule("Storage::watch: a mailbox that goes takes no other's hints along");
    let (inbox, mbox) = (t.inbox().await?, t.create("a").await?);
    let mut events = watch(t, &john(), vec![mbox.id.clone(), inbox.id.clone()])?;
    t.delete(&mbox).await?;
    t.tree(&john(), create("a")).await?;
    t.append(&inbox, b"x").await?;
    hint(t, &mut events, &inbox, "append(), after another watched mailbox was deleted").await
}
