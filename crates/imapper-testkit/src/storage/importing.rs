//! Import: mail that keeps its numbers.

use std::num::NonZeroU32;
use std::sync::Arc;

use imapper_core::storage::{Mbox, ModSeqs, NewMessage, Numbers, StorageError};
use imapper_core::types::{Flags, ModSeq, SystemFlags, Uid};

use super::trial::{DATE, Outcome, Trial, ensure, john, optional, refused, same, set};

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap_or(Uid::MIN)
}

fn numbers(uid_validity: NonZeroU32, uid_next: u32) -> Numbers {
    Numbers { uid_validity, uid_next: uid(uid_next), highest_modseq: ModSeq::ZERO }
}

pub(crate) async fn imported_numbers_are_kept(t: &Trial) -> Outcome {
    t.rule("Import: UIDVALIDITY and UIDs stay, so that clients download nothing again (RFC 9051 §2.3.1.1)");
    let storage = t.storage();
    let import = optional!(storage.as_import());
    let validity = NonZeroU32::new(4_000_000_000).unwrap_or(NonZeroU32::MIN);
    let message = async || t.message(b"x", Flags::default()).await;
    for name in ["INBOX", "moved/in"] {
        let id = import.create(&john(), name, numbers(validity, 100)).await?;
        let mbox = Mbox { account: john(), id };
        same!(t.find(&john(), name).await?.map(|info| info.id), Some(mbox.id.clone()), "the id of {name}");
        import.put(&mbox, vec![(uid(70), message().await?), (uid(7), message().await?)]).await?;
        let snapshot = t.snapshot(&mbox).await?;
        same!(
            snapshot.status.uid_validity,
            validity,
            "the UIDVALIDITY of a mailbox that came from elsewhere"
        );
        same!(snapshot.uids, set([uid(7), uid(70)]), "the UIDs of a mailbox that came from elsewhere");
        same!(snapshot.status.uid_next, uid(100), "its UIDNEXT");
        let put = import.put(&mbox, vec![(uid(8), message().await?), (uid(70), message().await?)]).await;
        refused!(put, StorageError::Exists, "put() of a UID that is taken");
        same!(t.snapshot(&mbox).await?.uids, set([uid(7), uid(70)]), "the UIDs after put() was refused");
        let next = t.append(&mbox, b"y").await?;
        ensure!(next >= uid(100), "the first new UID {next} is below the UIDNEXT 100 that was brought");
        let again = import.create(&john(), name, numbers(validity, 1)).await;
        refused!(again, StorageError::Exists, "create() of a mailbox that is there");
        same!(t.snapshot(&mbox).await?.status.messages, 3, "messages of a mailbox that was to be made again");
    }
    let new = t.create("new").await?;
    let new = t.snapshot(&new).await?.status.uid_validity;
    ensure!(new != validity, "a new mailbox gets the UIDVALIDITY {validity} that was brought");
    Ok(())
}

pub(crate) async fn imported_messages_are_whole(t: &Trial) -> Outcome {
    t.rule("Import::put adds messages as append does: flags, dates, bodies; all or none");
    let storage = t.storage();
    let import = optional!(storage.as_import());
    let id = import.create(&john(), "in", numbers(NonZeroU32::MIN, 10)).await?;
    let mbox = Mbox { account: john(), id };
    let message =
        NewMessage::new(t.stage(&john(), b"hello\0\xff").await?, Flags::new(SystemFlags::ALL, []), DATE);
    let before = t.modseq(&mbox).await?;
    import.put(&mbox, vec![(uid(5), message)]).await?;
    let row = t.row(&mbox, uid(5)).await?;
    same!((row.flags, row.internal_date), (Flags::new(SystemFlags::ALL, []), DATE), "an imported message");
    same!(t.text(&mbox, uid(5)).await?, b"hello\0\xff", "an imported body");
    if t.caps().modseq > ModSeqs::None {
        ensure!(t.modseq(&mbox).await? > before, "put() does not raise the mod-sequence");
        let changes = t.changes(&mbox, before).await?;
        ensure!(
            changes.changed.iter().any(|row| row.uid == uid(5)),
            "changes() does not tell an imported message"
        );
    }
    Ok(())
}

pub(crate) async fn imported_uids_lie_below_uidnext_and_are_new(t: &Trial) -> Outcome {
    t.rule(
        "Import::put raises UIDNEXT above what it adds; Exists if a UID is taken or was (RFC 9051 §2.3.1.1)",
    );
    let storage = t.storage();
    let import = optional!(storage.as_import());
    let message = async || t.message(b"x", Flags::default()).await;
    let id = import.create(&john(), "in", numbers(NonZeroU32::MIN, 10)).await?;
    let mbox = Mbox { account: john(), id };
    // At UIDNEXT, and above it.
    for number in [10, 20] {
        import.put(&mbox, vec![(uid(number), message().await?)]).await?;
        let next = t.snapshot(&mbox).await?.status.uid_next;
        ensure!(next > uid(number), "UIDNEXT is {next} after put() of the UID {number}");
    }
    let new = t.append(&mbox, b"y").await?;
    ensure!(new > uid(20), "the first new UID after put() of 20 is {new}");
    t.expunge(&mbox, &set([uid(20), new])).await?;
    for number in [uid(20), new] {
        let put = import.put(&mbox, vec![(number, message().await?)]).await;
        refused!(put, StorageError::Exists, "put() of the UID {number}, whose message is gone");
    }
    same!(t.snapshot(&mbox).await?.uids, set([uid(10)]), "the UIDs after put() was refused");
    Ok(())
}

pub(crate) async fn imported_mod_sequences_go_on_above_the_old_ones(t: &Trial) -> Outcome {
    t.rule(
        "Numbers::highest_modseq: all that are given lie above it, and what was removed before is not known",
    );
    let storage = t.storage();
    let import = optional!(storage.as_import());
    if t.caps().modseq < ModSeqs::Changes {
        return Ok(());
    }
    let old = ModSeq(715_194_045_007);
    let numbers = Numbers { highest_modseq: old, ..numbers(NonZeroU32::MIN, 10) };
    let id = import.create(&john(), "in", numbers).await?;
    let mbox = Mbox { account: john(), id };
    import.put(&mbox, vec![(uid(5), t.message(b"x", Flags::default()).await?)]).await?;
    let modseq = t.row(&mbox, uid(5)).await?.modseq;
    ensure!(modseq > old, "an imported message has mod-sequence {modseq}, and clients have seen {old}");
    let new = t.append(&mbox, b"y").await?;
    let modseq = t.row(&mbox, new).await?.modseq;
    ensure!(modseq > old, "a new message has mod-sequence {modseq}, and clients have seen {old}");
    let removed = t.changes(&mbox, ModSeq(old.0 - 1)).await?.removed;
    for number in (1..10).filter(|number| *number != 5) {
        ensure!(
            removed.contains(uid(number)),
            "UID {number} may have been removed on the old server, and whoever saw it there is not told"
        );
    }
    ensure!(!removed.contains(uid(5)) && !removed.contains(new), "{removed} names messages that are there");
    Ok(())
}

pub(crate) async fn imported_mailboxes_are_for_what_is_said(t: &Trial) -> Outcome {
    t.rule("Import::set_special_use says what a mailbox is for, in the place of what was said before, or is Unsupported");
    let storage = t.storage();
    let import = optional!(storage.as_import());
    let id = import.create(&john(), "in", numbers(NonZeroU32::MIN, 10)).await?;
    let mbox = Mbox { account: john(), id };
    for uses in [vec!["\\Sent", "\\Archive"], vec!["\\Junk"], Vec::new()] {
        let uses: Vec<Arc<str>> = uses.into_iter().map(Arc::from).collect();
        match import.set_special_use(&mbox, uses.clone()).await {
            Err(StorageError::Unsupported) => return Ok(()),
            result => result?,
        }
        let shown = t.find(&john(), "in").await?.map(|info| info.special_use);
        same!(shown, Some(uses), "what the mailbox is for");
    }
    Ok(())
}
