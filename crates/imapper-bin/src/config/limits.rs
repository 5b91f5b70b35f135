//! `[limits]`: every bound that a client meets, with a default that is safe. One row a limit; the row is
//! what the parser, the documentation and the server read.

use std::time::Duration;

use imapper_core::limits::Limits;
use imapper_extensions::IdLimits;

use super::schema::Absent;
use super::section::Section;
use super::value::{Unfit, Value};

/// All bounds: the core's, and those of single extensions, which it does not know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) core: Limits,
    pub(crate) id: IdLimits,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Things.
    Count,
    /// Octets.
    Size,
    /// A time.
    Time,
}

/// A number of things or octets, or a time, of whatever type.
pub(crate) trait Bound {
    /// Sets it: things, octets or milliseconds.
    fn set(&mut self, value: u64);
    /// What it is.
    #[cfg(test)]
    fn get(&self) -> u64;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Bound for $number {
            fn set(&mut self, value: u64) {
                *self = value.try_into().unwrap_or(Self::MAX);
            }
            #[cfg(test)]
            fn get(&self) -> u64 {
                (*self).try_into().unwrap()
            }
        }
    )*};
}
numbers!(u32, u64, usize);

impl Bound for Duration {
    fn set(&mut self, value: u64) {
        *self = Self::from_millis(value);
    }
    #[cfg(test)]
    fn get(&self) -> u64 {
        self.as_millis().try_into().unwrap()
    }
}

/// One limit.
pub(crate) struct Limit {
    pub(crate) name: &'static str,
    /// Where the server keeps it; `None` where nothing does: then it is refused rather than taken in vain.
    place: Option<fn(&mut Bounds) -> &mut dyn Bound>,
    pub(crate) unit: Unit,
    /// The default, for the documentation; a test compares it with the server's.
    pub(crate) default: &'static str,
    pub(crate) about: &'static str,
    /// Why it can't be set.
    pub(crate) absent: Option<Absent>,
}

const fn limit(
    name: &'static str,
    place: fn(&mut Bounds) -> &mut dyn Bound,
    unit: Unit,
    default: &'static str,
    about: &'static str,
) -> Limit {
    Limit { name, place: Some(place), unit, default, about, absent: None }
}

const fn absent(name: &'static str, unit: Unit, absent: Absent) -> Limit {
    Limit { name, place: None, unit, default: "", about: "", absent: Some(absent) }
}

impl Limit {
    fn read(&self, value: &Value) -> Result<u64, Unfit> {
        match self.unit {
            Unit::Count => value.count(),
            Unit::Size => value.size(),
            Unit::Time => value.duration().map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

const METADATA: Absent = Absent::Later("it comes with METADATA");

/// All limits, in the order of the documentation.
pub(crate) const LIMITS: &[Limit] = &[
    limit(
        "command_line_before_login",
        |bounds| &mut bounds.core.command_line_before_login,
        Unit::Size,
        "8 KiB",
        "a command line before login",
    ),
    limit(
        "command_line",
        |bounds| &mut bounds.core.command_line,
        Unit::Size,
        "64 KiB",
        "a command line after login, literals not counted",
    ),
    limit(
        "literal_before_login",
        |bounds| &mut bounds.core.literal_before_login,
        Unit::Size,
        "4 KiB",
        "one literal before login",
    ),
    limit(
        "literals_before_login",
        |bounds| &mut bounds.core.literals_before_login,
        Unit::Size,
        "8 KiB",
        "all literals of a command before login",
    ),
    limit(
        "literal",
        |bounds| &mut bounds.core.literal,
        Unit::Size,
        "64 KiB",
        "one literal after login, a message of APPEND not counted",
    ),
    limit(
        "literals",
        |bounds| &mut bounds.core.literals,
        Unit::Size,
        "1 MiB",
        "all literals of a command after login",
    ),
    limit(
        "literal_count",
        |bounds| &mut bounds.core.literal_count,
        Unit::Count,
        "1000",
        "literals in a command",
    ),
    limit(
        "append",
        |bounds| &mut bounds.core.append,
        Unit::Size,
        "50 MiB",
        "a message that APPEND brings; refused before it is sent",
    ),
    limit(
        "nesting_before_login",
        |bounds| &mut bounds.core.nesting_before_login,
        Unit::Count,
        "4",
        "parentheses inside parentheses before login",
    ),
    limit(
        "nesting",
        |bounds| &mut bounds.core.nesting,
        Unit::Count,
        "32",
        "parentheses inside parentheses after login",
    ),
    limit(
        "mailbox_name",
        |bounds| &mut bounds.core.mailbox_name,
        Unit::Size,
        "1000",
        "a mailbox name, decoded",
    ),
    limit(
        "mailbox_levels",
        |bounds| &mut bounds.core.mailbox_levels,
        Unit::Count,
        "32",
        "levels of a mailbox name",
    ),
    limit(
        "mailbox_level",
        |bounds| &mut bounds.core.mailbox_level,
        Unit::Size,
        "255",
        "one level of a mailbox name",
    ),
    limit(
        "keywords",
        |bounds| &mut bounds.core.keywords,
        Unit::Count,
        "1024",
        "different keywords in a mailbox",
    ),
    limit("keyword", |bounds| &mut bounds.core.keyword, Unit::Size, "100", "a keyword"),
    limit(
        "mime_depth",
        |bounds| &mut bounds.core.message.depth,
        Unit::Count,
        "100",
        "parts inside parts; deeper ones are not taken apart",
    ),
    limit("mime_parts", |bounds| &mut bounds.core.message.parts, Unit::Count, "10000", "parts of a message"),
    limit(
        "header_field",
        |bounds| &mut bounds.core.message.field,
        Unit::Size,
        "1 MiB",
        "a header field that is parsed; all is served as it is",
    ),
    limit(
        "header",
        |bounds| &mut bounds.core.message.header,
        Unit::Size,
        "10 MiB",
        "all header fields of a message that are parsed",
    ),
    limit(
        "addresses",
        |bounds| &mut bounds.core.message.addresses,
        Unit::Count,
        "10000",
        "addresses of one field in an ENVELOPE",
    ),
    limit(
        "rfc2231_parameters",
        |bounds| &mut bounds.core.message.parameters,
        Unit::Count,
        "128",
        "parameters of a MIME field",
    ),
    limit(
        "bad_commands_before_login",
        |bounds| &mut bounds.core.bad_commands_before_login,
        Unit::Count,
        "3",
        "commands in a row that are BAD before login, then BYE",
    ),
    limit(
        "bad_commands",
        |bounds| &mut bounds.core.bad_commands,
        Unit::Count,
        "20",
        "commands in a row that are BAD after login, then BYE",
    ),
    limit(
        "unread_output",
        |bounds| &mut bounds.core.unread_output,
        Unit::Size,
        "1 MiB",
        "answers that wait for the client to read; with more, its commands wait",
    ),
    limit(
        "unread_output_timeout",
        |bounds| &mut bounds.core.unread_output_timeout,
        Unit::Time,
        "5 min",
        "how long a client may read nothing, then it is closed",
    ),
    limit(
        "pipelined",
        |bounds| &mut bounds.core.pipelined,
        Unit::Count,
        "16",
        "commands sent at once that are answered before the answers are written",
    ),
    limit(
        "login_timeout",
        |bounds| &mut bounds.core.login_timeout,
        Unit::Time,
        "60 s",
        "from the connection to the login",
    ),
    limit(
        "tls_handshake_timeout",
        |bounds| &mut bounds.core.tls_handshake_timeout,
        Unit::Time,
        "10 s",
        "for a TLS handshake",
    ),
    limit(
        "idle_timeout",
        |bounds| &mut bounds.core.idle_timeout,
        Unit::Time,
        "30 min",
        "without a command after login, IDLE as well",
    ),
    limit(
        "connections",
        |bounds| &mut bounds.core.connections,
        Unit::Count,
        "10000",
        "connections open at once",
    ),
    limit(
        "connections_per_address",
        |bounds| &mut bounds.core.connections_per_address,
        Unit::Count,
        "60",
        "connections of one address open at once",
    ),
    limit(
        "connections_per_minute",
        |bounds| &mut bounds.core.connections_per_minute,
        Unit::Count,
        "300",
        "connections of one address in a minute",
    ),
    limit(
        "sessions_per_user",
        |bounds| &mut bounds.core.sessions_per_user,
        Unit::Count,
        "100",
        "sessions of one user, then NO [LIMIT]",
    ),
    limit(
        "sessions_per_user_and_address",
        |bounds| &mut bounds.core.sessions_per_user_and_address,
        Unit::Count,
        "20",
        "sessions of one user from one address, then NO [LIMIT]",
    ),
    limit(
        "failed_logins",
        |bounds| &mut bounds.core.failed_logins,
        Unit::Count,
        "3",
        "failed logins of a connection, then BYE",
    ),
    limit(
        "failed_logins_per_minute",
        |bounds| &mut bounds.core.failed_logins_per_minute,
        Unit::Count,
        "10",
        "failed logins of an address (IPv6: a /64) in a minute",
    ),
    limit(
        "failed_logins_per_day",
        |bounds| &mut bounds.core.failed_logins_per_day,
        Unit::Count,
        "100",
        "failed logins of an address (IPv6: a /64) in a day",
    ),
    limit(
        "failed_login_delay",
        |bounds| &mut bounds.core.failed_login_delay,
        Unit::Time,
        "1 s",
        "wait after a failed login; doubles with each, up to 15 s",
    ),
    limit(
        "search_time",
        |bounds| &mut bounds.core.search_time,
        Unit::Time,
        "30 s",
        "computing time of a SEARCH",
    ),
    limit("list_pattern", |bounds| &mut bounds.core.list_pattern, Unit::Size, "1000", "a pattern of LIST"),
    limit("id_pairs", |bounds| &mut bounds.id.pairs, Unit::Count, "30", "fields that a client tells by ID"),
    limit("id_key", |bounds| &mut bounds.id.key, Unit::Size, "30", "the name of such a field"),
    limit("id_value", |bounds| &mut bounds.id.value, Unit::Size, "1024", "the value of such a field"),
    absent("metadata_value", Unit::Size, METADATA),
    absent("metadata_entries", Unit::Count, METADATA),
    absent("literal_minus", Unit::Size, Absent::Held("RFC 7888 §5 fixes it at 4,096 octets")),
    absent(
        "sequence_set",
        Unit::Size,
        Absent::Held("a sequence set is part of a command, which `command_line` bounds"),
    ),
];

/// Reads `[limits]`; what it does not name has its default.
pub(crate) fn read(section: &Section<'_>) -> Bounds {
    let mut bounds = Bounds::default();
    for limit in LIMITS {
        let value = section.read(limit.name, |value| limit.read(value));
        if let (Some(value), Some(place)) = (value, limit.place) {
            place(&mut bounds).set(value);
        }
    }
    if let Some(trusted) = section.placed_texts("trusted") {
        bounds.core.trusted.clear();
        for (at, text) in trusted {
            match text.parse() {
                Ok(network) => bounds.core.trusted.push(network),
                Err(wanted) => section.problems().add(at, format!("`trusted`: {wanted}, not {text:?}")),
            }
        }
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Position};
    use super::*;

    #[test]
    fn the_documented_defaults_are_those_of_the_server() {
        let mut bounds = Bounds::default();
        for limit in LIMITS {
            let Some(place) = limit.place else { continue };
            let kind = match limit.unit {
                Unit::Count => Kind::Integer(limit.default.parse().unwrap()),
                Unit::Size | Unit::Time => Kind::String(limit.default.to_owned()),
            };
            let documented = limit.read(&Value { kind, at: Position::default() });
            assert_eq!(documented, Ok(place(&mut bounds).get()), "{}", limit.name);
        }
    }

    #[test]
    fn each_limit_has_a_place_of_its_own() {
        let mut bounds = Bounds::default();
        for (number, limit) in (1000..).zip(LIMITS) {
            if let Some(place) = limit.place {
                place(&mut bounds).set(number);
            }
        }
        for (number, limit) in (1000..).zip(LIMITS) {
            if let Some(place) = limit.place {
                assert_eq!(place(&mut bounds).get(), number, "{}", limit.name);
            }
        }
    }
}
