//! Maildir: a file for each message, in `cur/` or `new/`. Sub-folders lie beside them as `.Folder.Sub` (Maildir++),
//! or are folders in folders.
//!
//! UIDs and keywords are those of Dovecot's `dovecot-uidlist` and `dovecot-keywords`, or of Courier's
//! `courierimapuiddb`; the internal date is the time at which the file was changed, as both have it. All of that is
//! read without a change, and written so that Dovecot and imapper take it up.
//!
//! Lines of a file end in LF, as everybody writes them, or in CRLF. On the wire all end in CRLF. Which it was is
//! remembered, so that a file comes out as it went in; one that mixes both comes out with LF.

mod files;
mod flags;
mod read;
mod tree;
mod write;

pub(crate) use files::is_keyword;
pub(crate) use read::MaildirSource;
pub(crate) use tree::is_maildir;
pub(crate) use write::MaildirTarget;
