//! APPEND (RFC 3501 §6.3.11). The message goes by from the socket to the storage, and is parsed on its way.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::oneshot;

use super::parsed::kept;
use crate::message::{Digest, Limits, Parser};
use crate::registry::slots::Done;
use crate::registry::{Context, Flow, Found, InAuthenticated, Outcome, Row, Run};
use crate::session::{Login, Reject, Reply, Rights, upload::Text};
use crate::storage::{ByteStream, NewMessage, Staged, StorageError};
use crate::types::{Code, Flags, InternalDate};
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("APPEND", Run::authenticated(Append)).streams(is_message)
}

struct Append;

#[async_trait]
impl InAuthenticated for Append {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let name = args.mailbox()?;
        args.sp()?;
        let (flags, date) = attributes(args)?;
        let size = args.literal_size()?;
        args.end()?;
        let found = target(cx, login, &name).await?;
        check_flags(cx, &flags)?;
        if size == 0 {
            return Err(Reject::code(Code::CANNOT, "a message has at least one octet"));
        }
        let (staged, digest) = receive(cx, &found, size).await?;
        let mut message = NewMessage::new(staged, flags, date);
        message.thread_keys = digest.thread_keys();
        message.digest = Some(kept(&digest));
        let (storage, mbox) = (Arc::clone(cx.storage()), found.mbox);
        let appended = cx.finish(async move { storage.append(&mbox, vec![message]).await }).await;
        let appended = appended.map_err(try_create)?;
        let code = cx.done(&Done::Appended(&appended, found.rights)).await?;
        Ok(Flow::Done(Reply { code, ..Reply::completed() }))
    }
}

/// Whether the literal that follows `text`, the command behind its name, is the message: all that comes before
/// is short.
fn is_message(text: &[u8]) -> bool {
    let mut args = Args::new(text, 1);
    args.sp().is_ok() && args.astring().is_ok() && args.sp().is_ok()
}

/// `[flag-list SP] [date-time SP]`.
fn attributes(args: &mut Args<'_>) -> Result<(Flags, InternalDate), Reject> {
    let mut flags = Flags::default();
    if args.peek() == Some(b'(') {
        flags = args.flag_list()?;
        args.sp()?;
    }
    let mut date = None;
    if args.peek() == Some(b'"') {
        date = Some(args.date_time()?);
        args.sp()?;
    }
    Ok((flags, date.unwrap_or_else(|| InternalDate::from_system_time(SystemTime::now()))))
}

/// The mailbox that messages are added to; NO with `[TRYCREATE]` if there is none (RFC 3501 §6.3.11).
pub(super) async fn target(cx: &Context<'_>, login: &Login, name: &str) -> Result<Found, Reject> {
    let missing = || Reject::code(Code::TRYCREATE, "there is no such mailbox");
    match cx.find(name, login, Rights::INSERT).await {
        Ok(found) if found.info.no_select => Err(missing()),
        Err(Reject::No(Some(code), _)) if code == Code::NONEXISTENT => Err(missing()),
        found => found,
    }
}

/// The mailbox has gone meanwhile.
pub(super) fn try_create(error: StorageError) -> Reject {
    match error {
        StorageError::NoMailbox => Reject::code(Code::TRYCREATE, "there is no such mailbox"),
        error => error.into(),
    }
}

/// Refuses keywords above the bounds.
pub(super) fn check_flags(cx: &Context<'_>, flags: &Flags) -> Result<(), Reject> {
    let limits = &cx.shared.limits;
    if flags.keywords().len() > limits.keywords {
        return Err(Reject::code(Code::LIMIT, "too many keywords"));
    }
    if flags.keywords().iter().any(|keyword| keyword.as_str().len() > limits.keyword) {
        return Err(Reject::code(Code::LIMIT, "a keyword is too long"));
    }
    Ok(())
}

/// Takes the message in.
async fn receive(cx: &mut Context<'_>, found: &Found, size: u64) -> Result<(Staged, Digest), Reject> {
    let most = cx.storage().caps().max_message.unwrap_or(u64::MAX).min(cx.shared.limits.append);
    let too_big = "the message is larger than the server takes";
    let Some(upload) = cx.upload.as_deref_mut() else {
        return Err(Reject::bad("the message must be a literal"));
    };
    if size > most {
        // Refused before it is asked for; one that is on its way anyway can't be read off for ever.
        let code = Some(Code::TOOBIG);
        return Err(if upload.is_held() {
            Reject::No(code, too_big.into())
        } else {
            Reject::Bye(code, too_big.into())
        });
    }
    if let Some(room) = cx.shared.storage.as_quota()
        && !room.usage(&found.mbox.account).await?.has_room(size, 1)
    {
        // Not asked for either; one that is on its way anyway is read off. Whether it fits in the end, among others
        // that come at the same time, says `append`.
        return Err(StorageError::OverQuota.into());
    }
    let octets = upload.accept(cx.out).await?;
    let (octets, outcome) = parse_along(octets, cx.shared.limits.message);
    let staged = match cx.shared.storage.stage(&found.mbox.account, Some(size), octets).await {
        // Not the storage's fault, and nobody is there to be told.
        Err(_) if upload.was_cut() => return Err(Reject::Gone(std::io::ErrorKind::UnexpectedEof.into())),
        staged => staged?,
    };
    let Text::End(rest) = upload.text().await? else {
        return Err(Reject::bad("end of command expected after the message"));
    };
    if !rest.is_empty() {
        return Err(Reject::bad("end of command expected after the message"));
    }
    let parsed = outcome.await.map_err(|_| StorageError::backend("a staged body was not read to its end"))?;
    if parsed.has_nul {
        // RFC 3501 §9: CHAR8 is any octet but NUL.
        return Err(Reject::bad("NUL can't stand in a literal"));
    }
    Ok((staged, parsed.digest))
}

struct Parsed {
    digest: Digest,
    has_nul: bool,
}

/// Parses the octets that go by.
fn parse_along(octets: ByteStream, limits: Limits) -> (ByteStream, oneshot::Receiver<Parsed>) {
    let (sender, receiver) = oneshot::channel();
    let state = Some((octets, Parser::new(limits), false, sender));
    let along = stream::unfold(state, |state| async move {
        let (mut octets, mut parser, has_nul, sender) = state?;
        match octets.next().await {
            Some(Ok(chunk)) => {
                parser.feed(&chunk);
                let has_nul = has_nul || memchr::memchr(0, &chunk).is_some();
                Some((Ok(chunk), Some((octets, parser, has_nul, sender))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                let _ = sender.send(Parsed { digest: parser.finish(), has_nul });
                None
            }
        }
    });
    (along.boxed(), receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_message_goes_by() {
        for (text, goes_by) in [
            (" {5}\r\n", false),
            (" INBOX {5}\r\n", true),
            (" {5}\r\nINBOX {5}\r\n", true),
            (" \"a b\" (\\Seen) {5}\r\n", true),
            ("{5}\r\n", false),
        ] {
            assert_eq!(is_message(text.as_bytes()), goes_by, "{text:?}");
        }
    }

    #[test]
    fn flags_and_date_may_be_left_out() {
        let (flags, date) =
            attributes(&mut Args::new(b"(\\Seen) \"14-Sep-2013 21:22:28 -0300\" {1}", 1)).unwrap();
        assert_eq!(flags.names().collect::<Vec<_>>(), ["\\Seen"]);
        assert_eq!(date.to_string(), "14-Sep-2013 21:22:28 -0300");
        assert!(attributes(&mut Args::new(b"{1}", 1)).unwrap().0.is_empty());
        assert!(attributes(&mut Args::new(b"(\\Seen){1}", 1)).is_err());
        assert!(attributes(&mut Args::new(b"\"yesterday\" {1}", 1)).is_err());
    }
}
