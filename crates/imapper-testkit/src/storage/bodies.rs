//! Bodies: octet by octet, any range, any size.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use imapper_core::storage::{CopyMode, NewMessage, StorageError};
use imapper_core::types::{Flags, UidSet};

use super::trial::{DATE, Outcome, Trial, ensure, john, one, refused, same, set};

/// The octets of a large body.
const SIZE: usize = 3_000_000;

pub(crate) async fn octets_are_kept_one_by_one(t: &Trial) -> Outcome {
    t.rule("Octets are counted as they go over the wire (CRLF); bodies are 8-bit clean, NUL included");
    let mbox = t.inbox().await?;
    let all: Vec<u8> = (0..=255).collect();
    let bodies: [&[u8]; 9] = [
        &all,
        b"",
        b"\0",
        b"\r\n",
        b"Subject: x\r\n\r\nline\r\nline\r\n",
        b"Subject: x\r\n\r\nno end of line",
        b"\xff\xfe\0\r\n8-bit \xe4\r\n",
        b"From the beginning\r\n\r\nFrom a line\r\n.\r\n..\r\n",
        b"a\r\n\r\n\r\n\r\n",
    ];
    let mut total = 0;
    for body in bodies {
        let uid = t.append(&mbox, body).await?;
        let row = t.row(&mbox, uid).await?;
        same!(row.size, body.len() as u64, "the size of the body {body:?}");
        ensure!(
            t.text(&mbox, uid).await? == body,
            "the body {body:?} comes back as {:?}",
            t.text(&mbox, uid).await?
        );
        total += row.size;
    }
    same!(t.snapshot(&mbox).await?.status.size, total, "the sum of the sizes");
    Ok(())
}

pub(crate) async fn bare_ends_of_lines_are_kept(t: &Trial) -> Outcome {
    t.rule(
        "Bodies are 8-bit clean: what a client sent is what it gets, a bare CR or LF too (RFC 9051 §6.3.12)",
    );
    let mbox = t.inbox().await?;
    for body in [&b"a\nb\r\nc\rd\r\r\n\n"[..], b"\n", b"\r", b"\n\r\n\r"] {
        let uid = t.append(&mbox, body).await?;
        let (text, size) = (t.text(&mbox, uid).await?, t.row(&mbox, uid).await?.size);
        ensure!(text == body, "the body {body:?} comes back as {text:?}");
        same!(size, body.len() as u64, "the size of {body:?}");
    }
    Ok(())
}

pub(crate) async fn ranges_are_cut_at_the_end(t: &Trial) -> Outcome {
    t.rule("Storage::read: the octets of a body in range, cut at the body's end (RFC 9051 §6.4.5, partial)");
    let mbox = t.inbox().await?;
    let text = b"Subject: r\r\n\r\nline one\r\nline two\r\n";
    let uid = t.append(&mbox, text).await?;
    let body = t.body(&mbox, uid).await?;
    let size = text.len() as u64;
    for start in 0..=size + 2 {
        for end in start..=size + 2 {
            let cut = |at: u64| usize::try_from(at.min(size)).unwrap_or_default();
            let wanted = text.get(cut(start)..cut(end)).unwrap_or_default();
            let found = t.read(&body, start..end).await?;
            ensure!(found == wanted, "read({start}..{end}) of {size} octets gives {found:?}, not {wanted:?}");
        }
    }
    for range in [size..u64::MAX, u64::MAX..u64::MAX, u64::MAX - 1..u64::MAX] {
        let found = t.read(&body, range.clone()).await?;
        ensure!(found.is_empty(), "read({range:?}) gives {} octets behind the end", found.len());
    }
    same!(t.read(&body, 0..u64::MAX).await?, text, "the whole body");
    #[expect(clippy::reversed_empty_ranges, reason = "a peer may ask for it")]
    let reversed = t.read(&body, 20..10).await?;
    ensure!(reversed.is_empty(), "read(20..10) gives {} octets", reversed.len());
    Ok(())
}

pub(crate) async fn large_bodies_come_and_go_in_pieces(t: &Trial) -> Outcome {
    t.rule("Storage::stage takes in a stream of any pieces; Storage::read gives any range of it");
    t.needs(t.caps().max_message.is_none_or(|most| most >= SIZE as u64), "messages are small here")?;
    let mbox = t.inbox().await?;
    let text: Vec<u8> = (0..SIZE).map(|n| b"0123456789abcdef\r\n"[n % 18]).collect();
    for (announced, piece) in [(Some(SIZE as u64), 65_536), (None, 99_991), (None, SIZE)] {
        let pieces: Vec<_> = text.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        // An empty piece is no end.
        let pieces = std::iter::once(Ok(Bytes::new())).chain(pieces);
        let staged =
            t.storage().stage(&john(), announced, stream::iter(pieces.collect::<Vec<_>>()).boxed()).await?;
        same!(staged.size, SIZE as u64, "the size of a body staged in pieces of {piece}");
        let message = NewMessage::new(staged, Flags::default(), DATE);
        let uid = one(&t.storage().append(&mbox, vec![message]).await?)?;
        let body = t.body(&mbox, uid).await?;
        ensure!(t.read(&body, 0..u64::MAX).await? == text, "a body of {SIZE} octets comes back changed");
        let mut edges =
            vec![0, 1, 4096, 65_535, 65_536, 65_537, 131_072, 1_048_576, 2_097_153, SIZE - 1, SIZE];
        edges.push(piece.min(SIZE));
        for start in edges {
            for length in [1, 17, 65_536] {
                let end = (start + length).min(SIZE);
                let found = t.read(&body, start as u64..(start + length) as u64).await?;
                ensure!(found == text[start..end], "read({start}..{end}) gives other octets");
            }
        }
        t.expunge(&mbox, &set([uid])).await?;
    }
    Ok(())
}

pub(crate) async fn a_body_that_breaks_off_leaves_nothing(t: &Trial) -> Outcome {
    t.rule("Storage::stage: a body whose stream fails is no body; nothing refers to it");
    let mbox = t.inbox().await?;
    let before = t.snapshot(&mbox).await?.status;
    for error in [StorageError::Busy, StorageError::Gone] {
        let broken = stream::iter(vec![Ok(Bytes::from_static(b"half of ")), Err(error)]).boxed();
        let staged = t.storage().stage(&john(), Some(16), broken).await;
        ensure!(staged.is_err(), "a body that broke off is staged with {:?} octets", staged.map(|s| s.size));
    }
    same!(t.snapshot(&mbox).await?.status, before, "the mailbox after a body broke off");
    t.append(&mbox, b"whole").await?;
    Ok(())
}

pub(crate) async fn a_message_above_the_bound_is_refused(t: &Trial) -> Outcome {
    t.rule("Caps::max_message: the largest message, in octets (StorageError::Limit)");
    let Some(most) = t.caps().max_message else { return t.needs(false, "messages have no bound") };
    t.needs(most <= 16 << 20, "the bound is too high to be reached here")?;
    let octets = |size: u64| vec![b'x'; usize::try_from(size).unwrap_or_default()];
    let mbox = t.inbox().await?;
    refused!(t.stage(&john(), &octets(most + 1)).await, StorageError::Limit(_), "a body above max_message");
    let uid = t.append(&mbox, &octets(most)).await?;
    same!(t.row(&mbox, uid).await?.size, most, "the size of the largest message");
    Ok(())
}

pub(crate) async fn a_body_ref_outlives_other_changes(t: &Trial) -> Outcome {
    t.rule("BodyRef: valid until the message is removed, also when it is renamed or moved");
    let mbox = t.create("a").await?;
    let uid = t.append(&mbox, b"hello").await?;
    let body = t.body(&mbox, uid).await?;
    t.flag(&mbox, set([uid]), super::flags::seen()).await?;
    same!(t.read(&body, 0..9).await?, b"hello", "a body after its message's flags changed");
    t.rename(&mbox, "b/c").await?;
    same!(t.read(&body, 0..9).await?, b"hello", "a body after its mailbox was renamed");
    let other = t.inbox().await?;
    t.storage().copy(&mbox, &UidSet::all(), &other, CopyMode::Copy).await?;
    same!(t.read(&body, 1..3).await?, b"el", "a body after its message was copied");
    if t.caps().atomic_move {
        t.storage().copy(&mbox, &UidSet::all(), &other, CopyMode::Move).await?;
        same!(t.read(&body, 0..9).await?, b"hello", "a body after its message was moved");
    }
    Ok(())
}

pub(crate) async fn a_copy_outlives_its_original(t: &Trial) -> Outcome {
    t.rule("A copy is a message of its own: its body stays when the original is removed (RFC 9051 §6.4.7)");
    let (mbox, other) = (t.create("a").await?, t.create("b").await?);
    t.append(&mbox, b"hello").await?;
    t.storage().copy(&mbox, &UidSet::all(), &other, CopyMode::Copy).await?;
    t.expunge(&mbox, &UidSet::all()).await?;
    t.delete(&mbox).await?;
    for row in t.rows(&other).await? {
        same!(t.text(&other, row.uid).await?, b"hello", "the copy's body after the original is gone");
    }
    same!(t.snapshot(&other).await?.status.messages, 1, "messages after the original is gone");
    Ok(())
}

pub(crate) async fn a_removed_body_is_gone_or_itself(t: &Trial) -> Outcome {
    t.rule("A body that was removed is told as Gone, or still read as it was; never another's octets");
    let mbox = t.inbox().await?;
    let uid = t.append(&mbox, b"first").await?;
    let name = imapper_core::types::BodyRef(Bytes::copy_from_slice(&t.body(&mbox, uid).await?.0));
    t.expunge(&mbox, &UidSet::all()).await?;
    for n in 0..5 {
        t.append(&mbox, format!("other {n}").as_bytes()).await?;
        match t.read(&name, 0..u64::MAX).await {
            Ok(octets) => same!(octets, b"first", "the body of a removed message"),
            Err(StorageError::Gone) => {}
            Err(error) => ensure!(false, "reading a removed body fails with {error:?}, where Gone is meant"),
        }
    }
    Ok(())
}
