//! The data items of the base protocol (RFC 3501 §6.4.5, RFC 9051 §6.4.5).

use bytes::Bytes;

use super::body::Octets;
use crate::message::{Digest, What};
use crate::registry::Registry;
use crate::registry::slots::{FetchItem, Fetched, Fetching};
use crate::session::Reject;
use crate::storage::Want;
use crate::wire::{Args, Line};

/// The macros, which stand alone, and what they stand for.
pub(super) const MACROS: [(&str, &[&str]); 3] = [
    ("ALL", &["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"]),
    ("FAST", &["FLAGS", "INTERNALDATE", "RFC822.SIZE"]),
    ("FULL", &["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"]),
];

/// Puts the items in their slot.
pub(crate) fn items(registry: &mut Registry) {
    registry.fetch_item("FLAGS", Simple(|| Box::new(Flags)));
    registry.fetch_item("UID", Simple(|| Box::new(Uid)));
    registry.fetch_item("INTERNALDATE", Simple(|| Box::new(InternalDate)));
    registry.fetch_item("RFC822.SIZE", Simple(|| Box::new(Size)));
    registry.fetch_item("ENVELOPE", Simple(|| Box::new(ENVELOPE)));
    registry.fetch_item("BODYSTRUCTURE", Simple(|| Box::new(BODYSTRUCTURE)));
    registry.fetch_item("BODY", Body);
    registry.fetch_item("BODY.PEEK", BodyPeek);
    registry.fetch_item("RFC822", Simple(|| Box::new(Octets::named("RFC822", What::Whole, false))));
    registry
        .fetch_item("RFC822.HEADER", Simple(|| Box::new(Octets::named("RFC822.HEADER", What::Header, true))));
    registry.fetch_item("RFC822.TEXT", Simple(|| Box::new(Octets::named("RFC822.TEXT", What::Text, false))));
}

/// A word that nothing follows.
struct Simple(fn() -> Box<dyn Fetched>);

impl FetchItem for Simple {
    fn parse(&self, _args: &mut Args<'_>) -> Result<Box<dyn Fetched>, Reject> {
        Ok(self.0())
    }
}

/// `BODY`, the structure, or `BODY[…]`.
struct Body;

impl FetchItem for Body {
    fn parse(&self, args: &mut Args<'_>) -> Result<Box<dyn Fetched>, Reject> {
        if args.peek() == Some(b'[') { Ok(Box::new(Octets::parse(args, false)?)) } else { Ok(Box::new(BODY)) }
    }
}

/// `BODY.PEEK[…]`
struct BodyPeek;

impl FetchItem for BodyPeek {
    fn parse(&self, args: &mut Args<'_>) -> Result<Box<dyn Fetched>, Reject> {
        Ok(Box::new(Octets::parse(args, true)?))
    }
}

struct Flags;

impl Fetched for Flags {
    fn name(&self) -> &'static str {
        "FLAGS"
    }

    fn render(&self, message: &Fetching<'_>, _read: Option<&Bytes>, line: &mut Line) -> Result<(), Reject> {
        put_flags(message, line);
        Ok(())
    }

    fn tells_flags(&self) -> bool {
        true
    }
}

/// Adds the flags, asked for or not.
pub(super) fn put_flags(message: &Fetching<'_>, line: &mut Line) {
    line.raw(b"FLAGS ").flags(message.flags, message.recent);
}

struct Uid;

impl Fetched for Uid {
    fn name(&self) -> &'static str {
        "UID"
    }

    fn render(&self, message: &Fetching<'_>, _read: Option<&Bytes>, line: &mut Line) -> Result<(), Reject> {
        line.raw(b"UID ").number(message.uid.get());
        Ok(())
    }

    fn tells_uid(&self) -> bool {
        true
    }
}

struct InternalDate;

impl Fetched for InternalDate {
    fn name(&self) -> &'static str {
        "INTERNALDATE"
    }

    fn wants(&self) -> Option<Want> {
        Some(Want::FLAGS)
    }

    fn render(&self, message: &Fetching<'_>, _read: Option<&Bytes>, line: &mut Line) -> Result<(), Reject> {
        if let Some(row) = message.row {
            line.raw(b"INTERNALDATE \"").show(row.internal_date).raw(b"\"");
        }
        Ok(())
    }
}

struct Size;

impl Fetched for Size {
    fn name(&self) -> &'static str {
        "RFC822.SIZE"
    }

    fn wants(&self) -> Option<Want> {
        Some(Want::FLAGS)
    }

    fn render(&self, message: &Fetching<'_>, _read: Option<&Bytes>, line: &mut Line) -> Result<(), Reject> {
        if let Some(row) = message.row {
            line.raw(b"RFC822.SIZE ").number(row.size);
        }
        Ok(())
    }
}

/// What the digest holds ready for the wire.
struct Ready {
    name: &'static str,
    value: fn(&Digest) -> &[u8],
}

const ENVELOPE: Ready = Ready { name: "ENVELOPE", value: Digest::envelope };
const BODY: Ready = Ready { name: "BODY", value: Digest::body };
const BODYSTRUCTURE: Ready = Ready { name: "BODYSTRUCTURE", value: Digest::bodystructure };

impl Fetched for Ready {
    fn name(&self) -> &'static str {
        self.name
    }

    fn wants(&self) -> Option<Want> {
        Some(Want { digest: true, body: false })
    }

    fn render(&self, message: &Fetching<'_>, _read: Option<&Bytes>, line: &mut Line) -> Result<(), Reject> {
        if let Some(digest) = message.digest {
            line.word(self.name).sp().raw((self.value)(digest));
        }
        Ok(())
    }
}
