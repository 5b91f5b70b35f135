//! The mbox format (RFC 4155, and what is in use beyond it): messages one after the other, each behind a line that
//! begins with `From `.
//!
//! What is written is mboxrd: a `>` is put before each line of a message that begins with `From ` behind any
//! number of `>`. It is taken off again on reading; of an mboxo file, that is right for `>From ` too. Lines end in LF.
//!
//! Flags and UIDs stand in header fields, as Dovecot, UW IMAP and mutt have them: `Status`, `X-Status`,
//! `X-Keywords`, `X-UID`, and `X-IMAPbase` in the first message. Those that were written here stand before all of
//! the message's own, and end with a field `X-Imapper`, which keeps the internal date with its zone and what would
//! be lost on the way. These are no part of the message and are taken off again. Such fields of anybody else are
//! read, and stay part of the message: whether its sender wrote them can't be seen, and they may be signed.

mod date;
mod fields;
mod lines;
mod read;
mod write;

pub(crate) use read::MboxSource;
pub(crate) use write::MboxTarget;
