//! `\Recent`.

use imapper_core::types::UidSet;

use super::trial::{Outcome, Stop, Trial, array, ensure, same, set};

/// Goes on only where messages become recent.
async fn first_recent(t: &Trial) -> Outcome<(imapper_core::storage::Mbox, imapper_core::types::Uid)> {
    let mbox = t.inbox().await?;
    let uid = t.append(&mbox, b"x").await?;
    if t.snapshot(&mbox).await?.status.first_recent.is_none() {
        same!(t.storage().claim_recent(&mbox).await?, None, "what is claimed where no message is recent");
        return Err(Stop::Skipped("no message is recent here"));
    }
    Ok((mbox, uid))
}

pub(crate) async fn a_message_is_recent_once(t: &Trial) -> Outcome {
    t.rule("Storage::claim_recent: two sessions never get the same message (RFC 3501 §2.3.2)");
    let (mbox, first) = first_recent(t).await?;
    let second = t.append(&mbox, b"y").await?;
    let status = t.snapshot(&mbox).await?.status;
    same!(
        (status.first_recent, status.recent),
        (Some(first), 2),
        "the recent messages, told without claiming"
    );
    let status = t.snapshot(&mbox).await?.status;
    same!((status.first_recent, status.recent), (Some(first), 2), "the same, told again");
    same!(t.storage().claim_recent(&mbox).await?, Some((first, second)), "what the first session claims");
    same!(t.storage().claim_recent(&mbox).await?, None, "what a second session claims");
    let status = t.snapshot(&mbox).await?.status;
    same!((status.first_recent, status.recent), (None, 0), "the recent messages after they were claimed");
    let third = t.append(&mbox, b"z").await?;
    let status = t.snapshot(&mbox).await?.status;
    same!((status.first_recent, status.recent), (Some(third), 1), "the recent messages after a new one");
    same!(t.storage().claim_recent(&mbox).await?, Some((third, third)), "what is claimed of the new one");
    Ok(())
}

pub(crate) async fn what_is_removed_is_not_recent(t: &Trial) -> Outcome {
    t.rule("Status::first_recent: the first UID that no session was told as \\Recent, of those that exist (RFC 3501 §2.3.2)");
    let (mbox, first) = first_recent(t).await?;
    let [second, third] = array(t.fill(&mbox, 2).await?)?;
    t.expunge(&mbox, &set([first, third])).await?;
    let status = t.snapshot(&mbox).await?.status;
    same!((status.first_recent, status.recent), (Some(second), 1), "the recent messages after an expunge");
    same!(t.storage().claim_recent(&mbox).await?, Some((second, second)), "what is claimed after an expunge");
    Ok(())
}

pub(crate) async fn sessions_at_once_share_none(t: &Trial) -> Outcome {
    t.rule("Storage::claim_recent: two sessions never get the same message, also at the same time (RFC 3501 §2.3.2)");
    let (mbox, _) = first_recent(t).await?;
    t.storage().claim_recent(&mbox).await?;
    let mut told = UidSet::new();
    for _ in 0..10 {
        let uid = t.append(&mbox, b"x").await?;
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (storage, mbox) = (t.storage(), mbox.clone());
                tokio::spawn(async move { storage.claim_recent(&mbox).await })
            })
            .collect();
        let mut claims = 0;
        for task in tasks {
            let claimed =
                task.await.map_err(|error| Stop::Broken(format!("claim_recent() panicked: {error}")))??;
            if let Some((first, last)) = claimed {
                claims += 1;
                let claimed = UidSet::range(first, last);
                ensure!(
                    told.intersection(&claimed).is_empty(),
                    "the message {first} is recent in two sessions"
                );
                told = told.union(&claimed);
            }
        }
        same!(claims, 1, "how many of four sessions get the one recent message {uid}");
    }
    Ok(())
}
