//! The search keys of RFC 3501 §6.4.4. They stand in the same slot as those of extensions.

use std::cmp::Ordering;

use crate::message::Digest;
use crate::message::search::{Needle, address_text, decode_header_value, header_values};
use crate::registry::Registry;
use crate::registry::slots::{Cost, Fetching, SearchKey, SearchTest, SearchText, Searching};
use crate::session::Reject;
use crate::types::date::calendar;
use crate::types::{Keyword, SystemFlag, Uid, UidSet};
use crate::wire::Args;
use crate::wire::args::is_atom_char;

/// Puts the keys of the base protocol in their slots.
pub(crate) fn keys(registry: &mut Registry) {
    flags(registry);
    registry.search_key("ALL", Key(|_, _| Ok(Box::new(Always))));
    registry.search_key("UID", Key(uids));
    for (word, order, or_equal) in [
        ("BEFORE", Ordering::Less, false),
        ("ON", Ordering::Equal, false),
        ("SINCE", Ordering::Greater, true),
    ] {
        registry.search_key(word, Dated { order, or_equal, sent: false });
    }
    for (word, order, or_equal) in [
        ("SENTBEFORE", Ordering::Less, false),
        ("SENTON", Ordering::Equal, false),
        ("SENTSINCE", Ordering::Greater, true),
    ] {
        registry.search_key(word, Dated { order, or_equal, sent: true });
    }
    registry.search_key("LARGER", Key(|args, _| Ok(Box::new(Size(Ordering::Greater, size(args)?)))));
    registry.search_key("SMALLER", Key(|args, _| Ok(Box::new(Size(Ordering::Less, size(args)?)))));
    for word in ["BCC", "CC", "FROM", "TO"] {
        registry.search_key(word, Named(word, true));
    }
    registry.search_key("SUBJECT", Named("Subject", false));
    registry.search_key("HEADER", Key(header));
    registry.search_key("BODY", Key(|args, search| text(args, search, Cost::Body)));
    registry.search_key("TEXT", Key(|args, search| text(args, search, Cost::Text)));
}

fn flags(registry: &mut Registry) {
    for (word, flag, set) in [
        ("ANSWERED", SystemFlag::Answered, true),
        ("DELETED", SystemFlag::Deleted, true),
        ("DRAFT", SystemFlag::Draft, true),
        ("FLAGGED", SystemFlag::Flagged, true),
        ("SEEN", SystemFlag::Seen, true),
        ("UNANSWERED", SystemFlag::Answered, false),
        ("UNDELETED", SystemFlag::Deleted, false),
        ("UNDRAFT", SystemFlag::Draft, false),
        ("UNFLAGGED", SystemFlag::Flagged, false),
        ("UNSEEN", SystemFlag::Seen, false),
    ] {
        registry.search_key(word, System(flag, set));
    }
    registry.search_key("NEW", Key(|_, _| Ok(Box::new(Recent { recent: true, unseen: true }))));
    registry.search_key("OLD", Key(|_, _| Ok(Box::new(Recent { recent: false, unseen: false }))));
    registry.search_key("RECENT", Key(|_, _| Ok(Box::new(Recent { recent: true, unseen: false }))));
    registry.search_key("KEYWORD", Key(|args, _| Ok(Box::new(HasKeyword(keyword(args)?, true)))));
    registry.search_key("UNKEYWORD", Key(|args, _| Ok(Box::new(HasKeyword(keyword(args)?, false)))));
}

type Parsed = Result<Box<dyn SearchTest>, Reject>;

/// A key that a function reads.
struct Key(fn(&mut Args<'_>, &Searching<'_>) -> Parsed);

impl SearchKey for Key {
    fn parse(&self, args: &mut Args<'_>, search: &Searching<'_>) -> Parsed {
        (self.0)(args, search)
    }
}

/// ALL, and strings that are found in everything.
struct Always;

impl SearchTest for Always {
    fn test(&self, _message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        true
    }
}

/// A system flag, and whether it is to be set.
#[derive(Clone, Copy)]
struct System(SystemFlag, bool);

impl SearchKey for System {
    fn parse(&self, _args: &mut Args<'_>, _search: &Searching<'_>) -> Parsed {
        Ok(Box::new(*self))
    }
}

impl SearchTest for System {
    fn test(&self, message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        message.flags.contains(self.0) == self.1
    }
}

/// RECENT, OLD, NEW: `\Recent` is a matter of the session, not of the storage.
struct Recent {
    recent: bool,
    unseen: bool,
}

impl SearchTest for Recent {
    fn test(&self, message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        message.recent == self.recent && !(self.unseen && message.flags.contains(SystemFlag::Seen))
    }
}

/// KEYWORD, UNKEYWORD.
struct HasKeyword(Keyword, bool);

impl SearchTest for HasKeyword {
    fn test(&self, message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        message.flags.has_keyword(&self.0) == self.1
    }
}

/// The grammar wants an atom; clients send it in quotes, too.
fn keyword(args: &mut Args<'_>) -> Result<Keyword, Reject> {
    args.sp()?;
    let start = *args;
    let name = args.astring()?;
    if name.is_empty() || !name.iter().all(|&byte| is_atom_char(byte)) {
        return Err(start.malformed("keyword expected").into());
    }
    Ok(Keyword::new(&String::from_utf8_lossy(&name)))
}

/// A set of message numbers. Those above the number of messages match nothing.
pub(super) fn numbers(args: &mut Args<'_>, search: &Searching<'_>) -> Parsed {
    let largest = Uid::new(search.selected.view.exists());
    // Resolved, it is a set of numbers, whatever its type says.
    Ok(Box::new(Numbers(args.sequence_set()?.resolve(largest))))
}

struct Numbers(UidSet);

impl SearchTest for Numbers {
    fn test(&self, message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        Uid::new(message.seq.get()).is_some_and(|number| self.0.contains(number))
    }

    fn names_numbers(&self) -> bool {
        true
    }
}

/// UID. The last message's is `*`.
fn uids(args: &mut Args<'_>, search: &Searching<'_>) -> Parsed {
    args.sp()?;
    let largest = search.selected.view.told().last_uid();
    Ok(Box::new(Uids(args.sequence_set()?.resolve(largest))))
}

struct Uids(UidSet);

impl SearchTest for Uids {
    fn test(&self, message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        self.0.contains(message.uid)
    }
}

/// The six keys of dates, which compare days, "disregarding time and timezone".
struct Dated {
    order: Ordering,
    or_equal: bool,
    sent: bool,
}

impl SearchKey for Dated {
    fn parse(&self, args: &mut Args<'_>, _search: &Searching<'_>) -> Parsed {
        args.sp()?;
        let day = args.date()?;
        let Self { order, or_equal, .. } = *self;
        Ok(if self.sent {
            Box::new(Sent { order, or_equal, day: ymd(day) })
        } else {
            Box::new(Came { order, or_equal, day })
        })
    }
}

struct Came {
    order: Ordering,
    or_equal: bool,
    day: i64,
}

impl SearchTest for Came {
    fn cost(&self) -> Cost {
        Cost::Row
    }

    fn test(&self, message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        message.row.is_some_and(|row| {
            let order = row.internal_date.day().cmp(&self.day);
            order == self.order || self.or_equal && order == Ordering::Equal
        })
    }
}

struct Sent {
    order: Ordering,
    or_equal: bool,
    day: (u16, u8, u8),
}

impl SearchTest for Sent {
    fn cost(&self) -> Cost {
        Cost::Digest
    }

    fn test(&self, message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        message.digest.and_then(Digest::sent).is_some_and(|sent| {
            let order = sent.ymd().cmp(&self.day);
            order == self.order || self.or_equal && order == Ordering::Equal
        })
    }
}

/// Year, month and day of a number of days since 1970-01-01.
fn ymd(day: i64) -> (u16, u8, u8) {
    let date = calendar(day);
    let small = |number: i8| u8::try_from(number).unwrap_or_default();
    (u16::try_from(date.year()).unwrap_or_default(), small(date.month()), small(date.day()))
}

/// LARGER, SMALLER.
struct Size(Ordering, u64);

impl SearchTest for Size {
    fn cost(&self) -> Cost {
        Cost::Row
    }

    fn test(&self, message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        message.row.is_some_and(|row| row.size.cmp(&self.1) == self.0)
    }
}

fn size(args: &mut Args<'_>) -> Result<u64, Reject> {
    args.sp()?;
    Ok(args.number64()?)
}

/// A key that is named like its header field; whether that holds addresses.
struct Named(&'static str, bool);

impl SearchKey for Named {
    fn parse(&self, args: &mut Args<'_>, search: &Searching<'_>) -> Parsed {
        args.sp()?;
        let needle = Needle::new(&search.text(args)?);
        Ok(Box::new(Field { name: self.0.to_owned(), needle, addresses: self.1 }))
    }
}

/// HEADER. An empty string matches every message that has the field.
fn header(args: &mut Args<'_>, search: &Searching<'_>) -> Parsed {
    args.sp()?;
    let name = String::from_utf8_lossy(&args.astring()?).into_owned();
    args.sp()?;
    Ok(Box::new(Field { name, needle: Needle::new(&search.text(args)?), addresses: false }))
}

struct Field {
    name: String,
    needle: Needle,
    addresses: bool,
}

impl SearchTest for Field {
    fn cost(&self) -> Cost {
        Cost::Header
    }

    fn test(&self, _message: &Fetching<'_>, text: SearchText<'_>) -> bool {
        let SearchText::Header(header) = text else { return false };
        header_values(header, &self.name).any(|value| {
            self.needle.found_in(&decode_header_value(value))
                // Quotes and comments are not part of what an address says.
                || self.addresses
                    && value.iter().any(|byte| matches!(byte, b'"' | b'(' | b'\\'))
                    && self.needle.found_in(&address_text(value))
        })
    }
}

fn text(args: &mut Args<'_>, search: &Searching<'_>, cost: Cost) -> Parsed {
    args.sp()?;
    let text = search.text(args)?;
    if text.is_empty() {
        return Ok(Box::new(Always));
    }
    // Folding may make a string longer or shorter, but not by more than this.
    Ok(Box::new(Text { needle: Needle::new(&text), cost, overlap: text.len().saturating_mul(4) }))
}

/// BODY, TEXT.
struct Text {
    needle: Needle,
    cost: Cost,
    overlap: usize,
}

impl SearchTest for Text {
    fn cost(&self) -> Cost {
        self.cost
    }

    fn test(&self, _message: &Fetching<'_>, text: SearchText<'_>) -> bool {
        match text {
            SearchText::Fields(text) => self.cost == Cost::Text && self.needle.found_in(text),
            SearchText::Body(text) => self.needle.found_in(text),
            SearchText::Nothing | SearchText::Header(_) => false,
        }
    }

    fn overlap(&self) -> usize {
        self.overlap
    }
}
