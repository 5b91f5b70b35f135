//! `[limits]`: every bound that a client meets, with a default that is safe. One row a limit; the row is
//! what the parser, the documentation and the server read.

use std::time::Duration;

use imapper_core::limits::Limits;

use super::section::Section;
use super::value::{Unfit, Value};

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
    /// Where the server keeps it; `None` where nothing holds it yet: then it is refused rather than taken in vain.
    place: Option<fn(&mut Limits) -> &mut dyn Bound>,
    pub(crate) unit: Unit,
    /// The default, for the documentation; a test compares it with the server's.
    pub(crate) default: &'static str,
    pub(crate) about: &'static str,
    /// With what it comes.
    pub(crate) later: Option<&'static str>,
}

const fn limit(
    name: &'static str,
    place: fn(&mut Limits) -> &mut dyn Bound,
    unit: Unit,
    default: &'static str,
    about: &'static str,
) -> Limit {
    Limit { name, place: Some(place), unit, default, about, later: None }
}

const fn later(name: &'static str, unit: Unit, with: &'static str) -> Limit {
    Limit { name, place: None, unit, default: "", about: "", later: Some(with) }
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

/// All limits, in the order of the documentation.
pub(crate) const LIMITS: &[Limit] = &[
    limit(
        "command_line_before_login",
        |limits| &mut limits.command_line_before_login,
        Unit::Size,
        "8 KiB",
        "a command line before login",
    ),
    limit(
        "command_line",
        |limits| &mut limits.command_line,
        Unit::Size,
        "64 KiB",
        "a command line after login, literals not counted",
    ),
    limit(
        "literal_before_login",
        |limits| &mut limits.literal_before_login,
        Unit::Size,
        "4 KiB",
        "one literal before login",
    ),
    limit(
        "literals_before_login",
        |limits| &mut limits.literals_before_login,
        Unit::Size,
        "8 KiB",
        "all literals of a command before login",
    ),
    limit(
        "literal",
        |limits| &mut limits.literal,
        Unit::Size,
        "64 KiB",
        "one literal after login, a message of APPEND not counted",
    ),
    limit(
        "literals",
        |limits| &mut limits.literals,
        Unit::Size,
        "1 MiB",
        "all literals of a command after login",
    ),
    limit("literal_count", |limits| &mut limits.literal_count, Unit::Count, "1000", "literals in a command"),
    limit(
        "append",
        |limits| &mut limits.append,
        Unit::Size,
        "50 MiB",
        "a message that APPEND brings; refused before it is sent",
    ),
    limit(
        "nesting_before_login",
        |limits| &mut limits.nesting_before_login,
        Unit::Count,
        "4",
        "parentheses inside parentheses before login",
    ),
    limit(
        "nesting",
        |limits| &mut limits.nesting,
        Unit::Count,
        "32",
        "parentheses inside parentheses after login",
    ),
    limit("mailbox_name", |limits| &mut limits.mailbox_name, Unit::Size, "1000", "a mailbox name, decoded"),
    limit(
        "mailbox_levels",
        |limits| &mut limits.mailbox_levels,
        Unit::Count,
        "32",
        "levels of a mailbox name",
    ),
    limit(
        "mailbox_level",
        |limits| &mut limits.mailbox_level,
        Unit::Size,
        "255",
        "one level of a mailbox name",
    ),
    limit("keywords", |limits| &mut limits.keywords, Unit::Count, "1024", "different keywords in a mailbox"),
    limit("keyword", |limits| &mut limits.keyword, Unit::Size, "100", "a keyword"),
    limit(
        "mime_depth",
        |limits| &mut limits.message.depth,
        Unit::Count,
        "100",
        "parts inside parts; deeper ones are not taken apart",
    ),
    limit("mime_parts", |limits| &mut limits.message.parts, Unit::Count, "10000", "parts of a message"),
    limit(
        "header_field",
        |limits| &mut limits.message.field,
        Unit::Size,
        "1 MiB",
        "a header field that is parsed; all is served as it is",
    ),
    limit(
        "header",
        |limits| &mut limits.message.header,
        Unit::Size,
        "10 MiB",
        "all header fields of a message that are parsed",
    ),
    limit(
        "addresses",
        |limits| &mut limits.message.addresses,
        Unit::Count,
        "10000",
        "addresses of one field in an ENVELOPE",
    ),
    limit(
        "rfc2231_parameters",
        |limits| &mut limits.message.parameters,
        Unit::Count,
        "128",
        "parameters of a MIME field",
    ),
    limit(
        "bad_commands_before_login",
        |limits| &mut limits.bad_commands_before_login,
        Unit::Count,
        "3",
        "commands in a row that are BAD before login, then BYE",
    ),
    limit(
        "bad_commands",
        |limits| &mut limits.bad_commands,
        Unit::Count,
        "20",
        "commands in a row that are BAD after login, then BYE",
    ),
    later("unread_output", Unit::Size, "its bound is fixed so far"),
    limit(
        "unread_output_timeout",
        |limits| &mut limits.unread_output_timeout,
        Unit::Time,
        "5 min",
        "how long a client may read nothing, then it is closed",
    ),
    later("pipelined", Unit::Size, "its bound is fixed so far"),
    limit(
        "login_timeout",
        |limits| &mut limits.login_timeout,
        Unit::Time,
        "60 s",
        "from the connection to the login",
    ),
    limit(
        "tls_handshake_timeout",
        |limits| &mut limits.tls_handshake_timeout,
        Unit::Time,
        "10 s",
        "for a TLS handshake",
    ),
    limit(
        "idle_timeout",
        |limits| &mut limits.idle_timeout,
        Unit::Time,
        "30 min",
        "without a command after login, IDLE as well",
    ),
    limit("connections", |limits| &mut limits.connections, Unit::Count, "10000", "connections open at once"),
    limit(
        "connections_per_address",
        |limits| &mut limits.connections_per_address,
        Unit::Count,
        "60",
        "connections of one address open at once",
    ),
    limit(
        "connections_per_minute",
        |limits| &mut limits.connections_per_minute,
        Unit::Count,
        "300",
        "connections of one address in a minute",
    ),
    limit(
        "sessions_per_user",
        |limits| &mut limits.sessions_per_user,
        Unit::Count,
        "100",
        "sessions of one user, then NO [LIMIT]",
    ),
    limit(
        "sessions_per_user_and_address",
        |limits| &mut limits.sessions_per_user_and_address,
        Unit::Count,
        "20",
        "sessions of one user from one address, then NO [LIMIT]",
    ),
    limit(
        "failed_logins",
        |limits| &mut limits.failed_logins,
        Unit::Count,
        "3",
        "failed logins of a connection, then BYE",
    ),
    limit(
        "failed_logins_per_minute",
        |limits| &mut limits.failed_logins_per_minute,
        Unit::Count,
        "10",
        "failed logins of an address (IPv6: a /64) in a minute",
    ),
    limit(
        "failed_logins_per_day",
        |limits| &mut limits.failed_logins_per_day,
        Unit::Count,
        "100",
        "failed logins of an address (IPv6: a /64) in a day",
    ),
    limit(
        "failed_login_delay",
        |limits| &mut limits.failed_login_delay,
        Unit::Time,
        "1 s",
        "wait after a failed login; doubles with each, up to 15 s",
    ),
    limit("search_time", |limits| &mut limits.search_time, Unit::Time, "30 s", "computing time of a SEARCH"),
    limit("list_pattern", |limits| &mut limits.list_pattern, Unit::Size, "1000", "a pattern of LIST"),
    later("id_pairs", Unit::Count, "the bounds of ID are fixed so far"),
    later("id_key", Unit::Size, "the bounds of ID are fixed so far"),
    later("id_value", Unit::Size, "the bounds of ID are fixed so far"),
    later("metadata_value", Unit::Size, "it comes with METADATA"),
    later("metadata_entries", Unit::Count, "it comes with METADATA"),
];

/// Reads `[limits]`; what it does not name has its default.
pub(crate) fn read(section: &Section<'_>) -> Limits {
    let mut limits = Limits::default();
    for limit in LIMITS {
        let value = section.read(limit.name, |value| limit.read(value));
        if let (Some(value), Some(place)) = (value, limit.place) {
            place(&mut limits).set(value);
        }
    }
    if let Some(trusted) = section.placed_texts("trusted") {
        limits.trusted.clear();
        for (at, text) in trusted {
            match text.parse() {
                Ok(network) => limits.trusted.push(network),
                Err(wanted) => section.problems().add(at, format!("`trusted`: {wanted}, not {text:?}")),
            }
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Position};
    use super::*;

    #[test]
    fn the_documented_defaults_are_those_of_the_server() {
        let mut limits = Limits::default();
        for limit in LIMITS {
            let Some(place) = limit.place else { continue };
            let kind = match limit.unit {
                Unit::Count => Kind::Integer(limit.default.parse().unwrap()),
                Unit::Size | Unit::Time => Kind::String(limit.default.to_owned()),
            };
            let documented = limit.read(&Value { kind, at: Position::default() });
            assert_eq!(documented, Ok(place(&mut limits).get()), "{}", limit.name);
        }
    }

    #[test]
    fn each_limit_has_a_place_of_its_own() {
        let mut limits = Limits::default();
        for (number, limit) in (1000..).zip(LIMITS) {
            if let Some(place) = limit.place {
                place(&mut limits).set(number);
            }
        }
        for (number, limit) in (1000..).zip(LIMITS) {
            if let Some(place) = limit.place {
                assert_eq!(place(&mut limits).get(), number, "{}", limit.name);
            }
        }
    }
}
