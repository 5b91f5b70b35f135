//! `[limits]`: every bound that a client meets, with a default that is safe. One row a limit; the row is
//! what the parser, the documentation and the server read.

use std::collections::BTreeMap;
use std::time::Duration;

use imapper_core::limits::Network;

use super::section::Section;
use super::value::{Unfit, Value};

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Things.
    Count,
    /// Octets.
    Size,
    /// Milliseconds.
    Time,
}

/// One limit.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) default: &'static str,
    pub(crate) about: &'static str,
    /// With what it comes, where nothing holds it yet: then it is refused rather than taken in vain.
    pub(crate) later: Option<&'static str>,
}

const fn limit(name: &'static str, unit: Unit, default: &'static str, about: &'static str) -> Limit {
    Limit { name, unit, default, about, later: None }
}

impl Limit {
    const fn later(mut self, with: &'static str) -> Self {
        self.later = Some(with);
        self
    }

    fn read(&self, value: &Value) -> Result<u64, Unfit> {
        match self.unit {
            Unit::Count => value.count(),
            Unit::Size => value.size(),
            Unit::Time => value.duration().map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        }
    }

    /// The default as a number of things, octets or milliseconds.
    fn default_value(&self) -> u64 {
        let value = match self.unit {
            Unit::Count => self.default.parse().ok(),
            Unit::Size => super::units::size(self.default),
            Unit::Time => super::units::duration(self.default).and_then(|time| time.as_millis().try_into().ok()),
        };
        value.unwrap_or_default() // a test reads each of them
    }
}

/// All limits, in the order of the documentation.
pub(crate) const LIMITS: &[Limit] = &[
    limit("command_line_before_login", Unit::Size, "8 KiB", "a command line before login"),
    limit("command_line", Unit::Size, "64 KiB", "a command line after login, literals not counted"),
    limit("literal_before_login", Unit::Size, "4 KiB", "one literal before login"),
    limit("literals_before_login", Unit::Size, "8 KiB", "all literals of a command before login"),
    limit("literal", Unit::Size, "64 KiB", "one literal after login, a message of APPEND not counted"),
    limit("literals", Unit::Size, "1 MiB", "all literals of a command after login"),
    limit("literal_count", Unit::Count, "1000", "literals in a command"),
    limit("append", Unit::Size, "50 MiB", "a message that APPEND brings; refused before it is sent"),
    limit("nesting_before_login", Unit::Count, "4", "parentheses inside parentheses before login"),
    limit("nesting", Unit::Count, "32", "parentheses inside parentheses after login"),
    limit("mailbox_name", Unit::Size, "1000", "a mailbox name, decoded"),
    limit("mailbox_levels", Unit::Count, "32", "levels of a mailbox name"),
    limit("mailbox_level", Unit::Size, "255", "one level of a mailbox name"),
    limit("keywords", Unit::Count, "1024", "different keywords in a mailbox"),
    limit("keyword", Unit::Size, "100", "a keyword"),
    limit("mime_depth", Unit::Count, "100", "parts inside parts; deeper ones are not taken apart"),
    limit("mime_parts", Unit::Count, "10000", "parts of a message"),
    limit("header_field", Unit::Size, "1 MiB", "a header field that is parsed; all is served as it is"),
    limit("header", Unit::Size, "10 MiB", "all header fields of a message that are parsed"),
    limit("addresses", Unit::Count, "10000", "addresses of one field in an ENVELOPE"),
    limit("rfc2231_parameters", Unit::Count, "128", "parameters of a MIME field"),
    limit("bad_commands_before_login", Unit::Count, "3", "commands in a row that are BAD before login, then BYE"),
    limit("bad_commands", Unit::Count, "20", "commands in a row that are BAD after login, then BYE"),
    limit("unread_output", Unit::Size, "1 MiB", "output that the client has not read, then no command is taken"),
    limit("unread_output_timeout", Unit::Time, "5 min", "how long a client may read nothing, then it is closed"),
    limit("pipelined", Unit::Size, "64 KiB", "commands that are read ahead while one runs"),
    limit("login_timeout", Unit::Time, "60 s", "from the connection to the login"),
    limit("tls_handshake_timeout", Unit::Time, "10 s", "for a TLS handshake"),
    limit("idle_timeout", Unit::Time, "30 min", "without a command after login, IDLE as well"),
    limit("connections", Unit::Count, "10000", "connections open at once"),
    limit("connections_per_address", Unit::Count, "60", "connections of one address open at once"),
    limit("connections_per_minute", Unit::Count, "300", "connections of one address in a minute"),
    limit("sessions_per_user", Unit::Count, "100", "sessions of one user, then NO [LIMIT]"),
    limit("sessions_per_user_and_address", Unit::Count, "20", "sessions of one user from one address, then NO [LIMIT]"),
    limit("failed_logins", Unit::Count, "3", "failed logins of a connection, then BYE"),
    limit("failed_logins_per_minute", Unit::Count, "10", "failed logins of an address (IPv6: a /64) in a minute"),
    limit("failed_logins_per_day", Unit::Count, "100", "failed logins of an address (IPv6: a /64) in a day"),
    limit("failed_login_delay", Unit::Time, "1 s", "wait after a failed login; doubles with each, up to 15 s"),
    limit("search_time", Unit::Time, "30 s", "computing time of a SEARCH"),
    limit("list_pattern", Unit::Size, "1000", "a pattern of LIST"),
    limit("id_pairs", Unit::Count, "30", "pairs in ID (RFC 2971 §3.3)").later("the bounds of ID are fixed so far"),
    limit("id_key", Unit::Size, "30", "a key in ID").later("the bounds of ID are fixed so far"),
    limit("id_value", Unit::Size, "1024", "a value in ID").later("the bounds of ID are fixed so far"),
    limit("metadata_value", Unit::Size, "64 KiB", "a value of SETMETADATA").later("it comes with METADATA"),
    limit("metadata_entries", Unit::Count, "100", "entries of a mailbox").later("it comes with METADATA"),
];

/// Peers that are trusted where nothing else is said.
pub(crate) const TRUSTED: [&str; 3] = ["127.0.0.0/8", "::1", "unix"];

/// The limits of a server.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    values: BTreeMap<&'static str, u64>,
    pub(crate) trusted: Vec<Network>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            values: LIMITS.iter().map(|limit| (limit.name, limit.default_value())).collect(),
            trusted: TRUSTED.iter().filter_map(|text| text.parse().ok()).collect(),
        }
    }
}

impl Limits {
    pub(crate) fn read(section: &Section<'_>) -> Self {
        let mut limits = Self::default();
        for limit in LIMITS {
            if let Some(value) = section.read(limit.name, |value| limit.read(value)) {
                limits.values.insert(limit.name, value);
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

    /// A limit by its name: things, octets or milliseconds.
    pub(crate) fn get(&self, name: &str) -> u64 {
        self.values.get(name).copied().unwrap_or(u64::MAX)
    }

    /// The same as a size in memory.
    pub(crate) fn size(&self, name: &str) -> usize {
        usize::try_from(self.get(name)).unwrap_or(usize::MAX)
    }

    /// A limit that is a time.
    pub(crate) fn time(&self, name: &str) -> Duration {
        Duration::from_millis(self.get(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_readable_and_not_nothing() {
        for limit in LIMITS {
            assert!(limit.default_value() > 0, "{}", limit.name);
        }
        let limits = Limits::default();
        assert_eq!(limits.get("append"), 50 << 20);
        assert_eq!(limits.time("login_timeout"), Duration::from_secs(60));
        assert_eq!(limits.trusted.len(), 3);
    }
}
