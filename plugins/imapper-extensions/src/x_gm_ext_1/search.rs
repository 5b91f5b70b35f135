//! SEARCH X-GM-MSGID, X-GM-THRID, X-GM-LABELS and X-GM-RAW.

use std::time::SystemTime;

use async_trait::async_trait;
use imapper_core::message::decode::decode_header_value;
use imapper_core::message::search::Needle;
use imapper_core::registry::Context;
use imapper_core::registry::slots::{
    Cost, Fetching, SearchKey, SearchTerm, SearchTest, SearchText, Searching,
};
use imapper_core::session::{Login, Reject, Selected};
use imapper_core::storage::MailboxId;
use imapper_core::types::date::{calendar, parse_date};
use imapper_core::types::{InternalDate, SystemFlag};
use imapper_core::wire::{Args, Line};

use super::fetch::Number;
use super::label::{Label, Labels, System};
use super::raw::{Field, Node, refuse};
use super::{label, objects, part, raw};

type Parsed = Result<Box<dyn SearchTest>, Reject>;

/// The keys that are one test.
#[derive(Clone, Copy)]
pub(super) enum Key {
    Email,
    Thread,
    Label,
}

impl SearchKey for Key {
    fn parse(&self, args: &mut Args<'_>, _search: &Searching<'_>) -> Parsed {
        args.sp()?;
        Ok(match self {
            Self::Email => Box::new(Numbered(Number::Email, number(args)?)),
            Self::Thread => Box::new(Numbered(Number::Thread, number(args)?)),
            Self::Label => match label::read_any(args)? {
                Ok(label) => labelled(Wanted::Label(label)),
                Err(_) => Box::new(Labelled { wanted: Wanted::Nothing, mailboxes: Vec::new() }),
            },
        })
    }
}

/// 64 bits without a sign, which [`Args::number64`] does not take.
fn number(args: &mut Args<'_>) -> Result<u64, Reject> {
    let start = *args;
    let digits = args.take_while(|byte| byte.is_ascii_digit());
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| start.malformed("a number of 64 bits expected").into())
}

/// X-GM-MSGID, X-GM-THRID.
struct Numbered(Number, u64);

#[async_trait]
impl SearchTest for Numbered {
    fn cost(&self) -> Cost {
        Cost::Row
    }

    async fn prepare(&mut self, cx: &Context<'_>, _: &Login, _: &Selected) -> Result<(), Reject> {
        objects(cx).map(drop)
    }

    fn test(&self, message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        message.row.and_then(|row| self.0.of(row)) == Some(self.1)
    }
}

enum Wanted {
    /// A label with a backslash that means nothing here.
    Nothing,
    Label(Label),
    /// As the search language writes it: in lower case, with hyphens.
    Word(String),
}

fn labelled(wanted: Wanted) -> Box<dyn SearchTest> {
    match wanted {
        Wanted::Label(Label::System(System::Starred)) => Box::new(Starred),
        wanted => Box::new(Labelled { wanted, mailboxes: Vec::new() }),
    }
}

/// `\Starred`, which is a flag.
struct Starred;

impl SearchTest for Starred {
    fn test(&self, message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        message.flags.contains(SystemFlag::Flagged)
    }
}

/// X-GM-LABELS. A label that nobody has is no error.
struct Labelled {
    wanted: Wanted,
    mailboxes: Vec<MailboxId>,
}

#[async_trait]
impl SearchTest for Labelled {
    fn cost(&self) -> Cost {
        Cost::Row
    }

    fn wants_places(&self) -> bool {
        true
    }

    async fn prepare(&mut self, cx: &Context<'_>, login: &Login, selected: &Selected) -> Result<(), Reject> {
        objects(cx)?;
        if matches!(self.wanted, Wanted::Nothing) {
            return Ok(());
        }
        let labels = Labels::load(cx, login, selected).await?;
        let wanted: Vec<_> = match &self.wanted {
            Wanted::Nothing => Vec::new(),
            // One that lies elsewhere, or is no label, no message has.
            Wanted::Label(label) => labels.find(cx, login, label).into_iter().flatten().collect(),
            Wanted::Word(word) => labels
                .mailboxes
                .iter()
                .filter(|mailbox| mailbox.label.as_ref().is_some_and(|label| as_word(label) == *word))
                .collect(),
        };
        let visible = wanted.into_iter().filter(|mailbox| mailbox.label.is_some());
        self.mailboxes = visible.map(|mailbox| mailbox.info.id.clone()).collect();
        Ok(())
    }

    fn test(&self, message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        message.places.iter().any(|place| self.mailboxes.contains(place))
    }
}

/// How the search language writes a label.
fn as_word(label: &Label) -> String {
    match label {
        Label::System(system) => hyphened(system.word().trim_start_matches('\\')),
        Label::Named(name) => hyphened(name),
    }
}

fn hyphened(name: &str) -> String {
    name.to_lowercase().chars().map(|sign| if sign.is_alphanumeric() { sign } else { '-' }).collect()
}

/// X-GM-RAW.
pub(super) struct Raw;

impl SearchKey for Raw {
    fn parse(&self, args: &mut Args<'_>, _search: &Searching<'_>) -> Parsed {
        Err(args.malformed("X-GM-RAW can't stand here").into())
    }

    fn terms(&self, args: &mut Args<'_>, search: &Searching<'_>) -> Result<Vec<SearchTerm>, Reject> {
        args.sp()?;
        let nodes = raw::read(&search.text(args)?, args.max_depth())?;
        if nodes.is_empty() {
            return Ok(vec![SearchTerm::Test(key(search, "ALL", None)?)]);
        }
        let terms = nodes.into_iter().map(|node| match node {
            Node::Word(field, text) => word(search, field, &text).map(SearchTerm::Test),
            Node::Not => Ok(SearchTerm::Not),
            Node::All(count) => Ok(SearchTerm::All(count)),
            Node::Any(count) => Ok(SearchTerm::Any(count)),
        });
        terms.collect()
    }
}

/// The test of a key of SEARCH, with a text behind it.
fn key(search: &Searching<'_>, key: &str, text: Option<&str>) -> Parsed {
    let mut line = Line::new();
    line.word(key);
    if let Some(text) = text {
        line.sp().string(text);
    }
    search.utf8().key(&mut Args::new(line.text(), 0))
}

/// The test of a word of the search language.
fn word(search: &Searching<'_>, field: Field, text: &str) -> Parsed {
    let lower = text.to_lowercase();
    match field {
        Field::Text => key(search, "TEXT", Some(text)),
        // Which addresses are the user's own is not known.
        Field::Key("FROM" | "TO" | "CC" | "BCC") if lower == "me" => Err(refuse("me")),
        Field::Key(name) => key(search, name, Some(text)),
        Field::MessageId => {
            key(search, "HEADER Message-ID", Some(text.trim_start_matches('<').trim_end_matches('>')))
        }
        Field::Label | Field::Is => state(search, field, &lower),
        Field::Has if matches!(&*lower, "attachment" | "attachments") => Ok(Box::new(Attached)),
        Field::Has => Err(refuse(&format!("has:{lower}"))),
        Field::Filename => Ok(Box::new(Filename(Needle::new(text)))),
        Field::Before => key(search, &format!("BEFORE {}", day(text)?), None),
        Field::After => key(search, &format!("SINCE {}", day(text)?), None),
        Field::OlderThan => key(search, &format!("BEFORE {}", day_before(&lower)?), None),
        Field::NewerThan => key(search, &format!("SINCE {}", day_before(&lower)?), None),
        Field::Larger => key(search, &format!("LARGER {}", size(&lower)?), None),
        Field::Smaller => key(search, &format!("SMALLER {}", size(&lower)?), None),
    }
}

/// `is:` and `in:`. The first knows states alone, the second knows labels, too.
fn state(search: &Searching<'_>, field: Field, text: &str) -> Parsed {
    let wanted = match text {
        "unread" => return key(search, "UNSEEN", None),
        "read" => return key(search, "SEEN", None),
        "starred" => return key(search, "FLAGGED", None),
        "unstarred" if field == Field::Is => return key(search, "UNFLAGGED", None),
        "important" => "important",
        _ if field == Field::Is => return Err(refuse(&format!("is:{text}"))),
        "anywhere" | "all" => return key(search, "ALL", None),
        "draft" => "drafts",
        "bin" => "trash",
        "junk" => "spam",
        other => other,
    };
    Ok(labelled(Wanted::Word(hyphened(wanted.trim_start_matches('\\')))))
}

/// `2004/04/16`, `2004-04-16` or `04/16/2004`, as SEARCH writes it.
fn day(text: &str) -> Result<String, Reject> {
    let bad = || Reject::bad(format!("X-GM-RAW: {text:.40} is no date such as 2004/04/16"));
    // Seconds since 1970, which Gmail knows as well.
    if text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() > 4 {
        return Err(refuse(text));
    }
    let mut parts = text.split(['/', '-']);
    let parts: [Option<&str>; 4] = std::array::from_fn(|_| parts.next());
    let [Some(one), Some(two), Some(three), None] = parts else { return Err(bad()) };
    let (year, month, day) = if one.len() == 4 { (one, two, three) } else { (three, one, two) };
    let [year, month, day] = [year, month, day].map(|digits| digits.parse::<u16>().ok());
    let (Some(year), Some(month), Some(day)) = (year, month, day) else { return Err(bad()) };
    written(year, month, day).ok_or_else(bad)
}

fn written(year: u16, month: u16, day: u16) -> Option<String> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.get(usize::from(month.checked_sub(1)?))?;
    let date = format!("{day}-{month}-{year:04}");
    parse_date(date.as_bytes()).map(|_| date)
}

/// The day so many days, months or years ago: `2d`, `3m`, `1y`.
fn day_before(text: &str) -> Result<String, Reject> {
    before(text, InternalDate::from_system_time(SystemTime::now()).day())
        .ok_or_else(|| Reject::bad(format!("X-GM-RAW: {text:.40} is no time such as 2d, 3m or 1y")))
}

fn before(text: &str, today: i64) -> Option<String> {
    let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: u16 = count.parse().ok()?;
    let days = if unit == "d" { i64::from(count) } else { 0 };
    let date = calendar(today.checked_sub(days)?);
    let small = |number: i8| u16::try_from(number).ok();
    let (year, month, day) = (u16::try_from(date.year()).ok()?, small(date.month())?, small(date.day())?);
    let back = match unit {
        "d" => 0,
        "m" => u32::from(count),
        "y" => u32::from(count).checked_mul(12)?,
        _ => return None,
    };
    let months = (u32::from(year) * 12 + u32::from(month) - 1).checked_sub(back)?;
    let (year, month) = (u16::try_from(months / 12).ok()?, u16::try_from(months % 12 + 1).ok()?);
    // The last day of a month that is shorter.
    (1..=day).rev().find_map(|day| written(year, month, day))
}

/// `1000`, `10k`, `5M`, `1G`.
fn size(text: &str) -> Result<u64, Reject> {
    let bad = || Reject::bad(format!("X-GM-RAW: {text:.40} is no size such as 10M"));
    let text = text.strip_suffix('b').unwrap_or(text);
    let (digits, unit) = match text.strip_suffix(['k', 'm', 'g']) {
        Some(digits) => (digits, text.get(digits.len()..).unwrap_or_default()),
        None => (text, ""),
    };
    let factor = match unit {
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        _ => 1,
    };
    digits.parse::<u64>().ok().and_then(|count| count.checked_mul(factor)).ok_or_else(bad)
}

/// `has:attachment`
struct Attached;

impl SearchTest for Attached {
    fn cost(&self) -> Cost {
        Cost::Digest
    }

    fn test(&self, message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        message.digest.is_some_and(|digest| part::has_attachment(digest.bodystructure()))
    }
}

/// `filename:`
struct Filename(Needle);

impl SearchTest for Filename {
    fn cost(&self) -> Cost {
        Cost::Digest
    }

    fn test(&self, message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        message.digest.is_some_and(|digest| {
            let mut names = part::file_names(digest.bodystructure());
            names.any(|name| self.0.found_in(&decode_header_value(name.as_bytes())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_three_forms() {
        for (text, date) in [
            ("2004/04/16", Some("16-Apr-2004")),
            ("2004-4-6", Some("6-Apr-2004")),
            ("04/16/2004", Some("16-Apr-2004")),
            ("2004/02/30", None),
            ("2004/13/01", None),
            ("2004/00/01", None),
            ("2004/04", None),
            ("2004/04/16/1", None),
            ("99999/1/1", None),
            ("1388552400", None),
            ("", None),
        ] {
            assert_eq!(day(text).ok().as_deref(), date, "{text}");
        }
    }

    #[test]
    fn times_ago() {
        let today = parse_date(b"31-Mar-2024").unwrap();
        for (text, date) in [
            ("0d", Some("31-Mar-2024")),
            ("31d", Some("29-Feb-2024")),
            ("1m", Some("29-Feb-2024")),
            ("13m", Some("28-Feb-2023")),
            ("1y", Some("31-Mar-2023")),
            ("65535y", None),
            ("99999d", None),
            ("1h", None),
            ("1ü", None),
            ("d", None),
            ("", None),
        ] {
            assert_eq!(before(text, today).as_deref(), date, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, octets) in
            [("1000", Some(1000)), ("10k", Some(10_240)), ("1mb", Some(1 << 20)), ("2g", Some(2 << 30))]
        {
            assert_eq!(size(text).ok(), octets, "{text}");
        }
        for text in ["", "m", "b", "1t", "-1", "1.5m", "99999999999999999999", "18446744073709551615k"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn labels_in_the_search_language() {
        assert_eq!(as_word(&Label::Named("Muy Importante/2024".to_owned())), "muy-importante-2024");
        assert_eq!(as_word(&Label::System(System::Spam)), "spam");
    }
}
