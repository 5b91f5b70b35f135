//! Every key of the configuration, once: what the parser knows, what `docs/configuration.md` lists and what
//! a message about an unknown key names.

use std::fmt;
use std::sync::OnceLock;

use super::limits::{LIMITS, Limit, Unit};

/// Why a key that has a name can't be set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Absent {
    /// It is not there yet: with what it comes.
    Later(&'static str),
    /// Something else holds it: what.
    Held(&'static str),
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later(with) => write!(f, "is not in this version yet: {with}"),
            Self::Held(by) => write!(f, "can't be set: {by}"),
        }
    }
}

/// A key of the configuration.
#[derive(Debug)]
#[cfg_attr(not(test), allow(dead_code, reason = "a test writes the documentation from the rest"))]
pub(crate) struct Key {
    /// The table that it stands in; `""` at the top.
    pub(crate) section: &'static str,
    pub(crate) name: &'static str,
    /// The flag and the variable of the same meaning.
    pub(crate) flag: &'static str,
    pub(crate) variable: &'static str,
    /// What it may hold, as TOML: the first of several is a value that is taken.
    pub(crate) sample: &'static str,
    pub(crate) default: &'static str,
    pub(crate) about: &'static str,
    /// Why it can't be set.
    pub(crate) absent: Option<Absent>,
}

const fn key(
    section: &'static str,
    name: &'static str,
    sample: &'static str,
    default: &'static str,
    about: &'static str,
) -> Key {
    Key { section, name, flag: "", variable: "", sample, default, about, absent: None }
}

impl Key {
    const fn flag(mut self, flag: &'static str, variable: &'static str) -> Self {
        self.flag = flag;
        self.variable = variable;
        self
    }

    const fn later(mut self, reason: &'static str) -> Self {
        self.absent = Some(Absent::Later(reason));
        self
    }
}

/// The tables, in the order of the documentation.
pub(crate) const SECTIONS: [&str; 10] =
    ["", "listener", "tls", "storage", "users", "namespace", "protocol", "quota", "limits", "log"];

const DELIVERY: &str = "it comes with the feature `delivery`";

/// All keys but those of `[limits]`, which are rows of [`LIMITS`].
const KEYS: &[Key] = &[
    key("", "port", "1143", "143, or 993 with `ssl`", "port of the first IMAP listener")
        .flag("-p, --port N", "IMAP_PORT"),
    key("", "host", "\"127.0.0.1\"", "127.0.0.1", "address of the IMAP listeners")
        .flag("--host ADDR", "IMAP_HOST"),
    key("", "ssl", "true", "false", "the first IMAP listener speaks TLS from the first byte")
        .flag("-s, --ssl[=true], --secure", "IMAP_SSL"),
    key(
        "",
        "tls",
        "true",
        "true where `[tls]` is given",
        "the first IMAP listener offers STARTTLS; or the table `[tls]`",
    ),
    key("", "debug", "true", "false", "write the traffic to the console, secrets masked")
        .flag("-d, --debug[=true]", "IMAP_DEBUG"),
    key("", "smtp_port", "1025", "off", "SMTP for testing")
        .flag("--smtp-port N, --smtpPort", "IMAP_SMTPPORT")
        .later(DELIVERY),
    key("", "lmtp", "\"127.0.0.1:24\"", "off", "LMTP for delivery")
        .flag("--lmtp ADDR", "IMAP_LMTP")
        .later(DELIVERY),
    key("", "listener", "[]", "one, of `host`, `port` and `ssl`", "`[[listener]]`: where the server listens"),
    key("", "storage", "{ plugin = \"memory\" }", "none", "`[storage]`: where mail is kept"),
    key(
        "",
        "users",
        "{ plugin = \"static\" }",
        "none",
        "`[users]`, or several `[[users]]`, asked in order: who may log in",
    ),
    key("", "namespace", "[]", "one, personal, `\"\"` with `\"/\"`", "`[[namespace]]`: what a client sees"),
    key("", "protocol", "{}", "", "`[protocol]`: which protocol extensions are spoken"),
    key("", "limits", "{}", "", "`[limits]`: every bound"),
    key("", "log", "{}", "", "`[log]`: what is logged, on standard error"),
    key("", "metrics", "{}", "off", "`[metrics]`: figures for Prometheus")
        .later("metrics come in a later version"),
    key("", "quota", "{}", "no limits", "`[quota]`: how much an account may keep"),
    key(
        "listener",
        "protocol",
        "\"imap\"",
        "\"imap\"",
        "`imap`; `lmtp` and `smtp` come with the feature `delivery`",
    ),
    key("listener", "address", "\"127.0.0.1:1143\"", "required", "address and port, or `unix:/path`"),
    key(
        "listener",
        "tls",
        "\"starttls\"",
        "\"starttls\"; \"none\" on a socket",
        "`starttls`, `implicit` (from the first byte) or `none`",
    ),
    key(
        "tls",
        "certificate",
        "\"fullchain.pem\"",
        "self-signed, in memory",
        "file with the certificate and its chain, PEM",
    ),
    key("tls", "key", "\"key.pem\"", "self-signed, in memory", "file with the private key, PEM"),
    key(
        "storage",
        "plugin",
        "\"memory\"",
        "required",
        "the storage; `imapper plugins` lists those there are",
    )
    .flag("--storage FILE: memory, with that `file`", "IMAP_STORAGE"),
    key(
        "users",
        "plugin",
        "\"static\"",
        "required",
        "the user database; `imapper plugins` lists those there are",
    ),
    key("namespace", "type", "\"personal\"", "required", "`personal`, `other-users` or `shared`"),
    key("namespace", "prefix", "\"\"", "\"\"", "what its mailboxes' names begin with"),
    key("namespace", "separator", "\"/\"", "\"/\"", "`/` or `.`: between the levels of a name"),
    key(
        "namespace",
        "account",
        "\"public\"",
        "the prefix without its separator, or `public`",
        "who owns a shared tree",
    ),
    key(
        "protocol",
        "plugins",
        "[\"IDLE\"]",
        "every standard extension",
        "exactly these extensions; `[]`: none at all",
    )
    .flag("--plugin ID…", "IMAP_PLUGINS"),
    key("protocol", "disable", "[\"IDLE\"]", "[]", "or: all but these"),
    key(
        "protocol",
        "id",
        "{ name = \"imapper\" }",
        "name and version",
        "what ID tells of the server (RFC 2971)",
    ),
    key(
        "protocol",
        "special_use",
        "[\"\\\\Sent\"]",
        "all of RFC 6154 and RFC 8457",
        "special uses that a client may give a mailbox by CREATE",
    ),
    key(
        "protocol",
        "xtoybird_remote",
        "true",
        "false",
        "where XTOYBIRD is on, clients on other machines may use it too, after a login",
    ),
    key("quota", "storage", "\"1 GiB\"", "no limit", "octets of all messages of an account"),
    key("quota", "messages", "100000", "no limit", "messages of an account"),
    key("log", "level", "\"info\"", "\"info\"", "`error`, `warn`, `info`, `debug` or `trace`"),
    key("log", "format", "\"text\"", "\"text\"", "`text` or `json`"),
];

const TRUSTED: Key = key(
    "limits",
    "trusted",
    "[\"127.0.0.0/8\", \"::1\", \"unix\"]",
    "[\"127.0.0.0/8\", \"::1\", \"unix\"]",
    "exempt from the limits of an address and from the wait after a failed login",
);

fn of_limit(limit: &'static Limit) -> Key {
    let sample = match limit.unit {
        Unit::Count => "7",
        Unit::Size => "\"7 KiB\"",
        Unit::Time => "\"7 s\"",
    };
    Key { absent: limit.absent, ..key("limits", limit.name, sample, limit.default, limit.about) }
}

/// All keys.
pub(crate) fn all() -> &'static [Key] {
    static ALL: OnceLock<Vec<Key>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all: Vec<Key> = KEYS.iter().map(|key| Key { ..*key }).collect();
        all.extend(LIMITS.iter().map(of_limit));
        all.push(TRUSTED);
        all.sort_by_key(|key| SECTIONS.iter().position(|section| *section == key.section));
        all
    })
}

/// The keys of a table.
pub(crate) fn keys(section: &str) -> &'static [Key] {
    let start = all().iter().position(|key| key.section == section).unwrap_or_default();
    let end = all().iter().rposition(|key| key.section == section).map_or(start, |last| last + 1);
    all().get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The table of a section as `docs/configuration.md` holds it.
    fn documented(section: &str) -> String {
        let mut table =
            String::from("| key | default | flag, variable | meaning |\n| --- | --- | --- | --- |\n");
        for key in keys(section).iter().filter(|key| key.absent.is_none()) {
            let flag = match (key.flag, key.variable) {
                ("", "") => String::new(),
                (flag, variable) => format!("`{flag}`, `{variable}`"),
            };
            let default = if section == "limits" && key.name != "trusted" {
                format!("`{}`", key.default)
            } else if key.default.starts_with(['"', '[']) {
                format!("`{}`", key.default.replace("; ", "`; `"))
            } else {
                key.default.to_owned()
            };
            writeln!(table, "| `{}` | {default} | {flag} | {} |", key.name, key.about).unwrap();
        }
        table
    }

    /// `UPDATE_DOCS=1` writes the tables anew.
    #[test]
    fn the_documentation_lists_every_key() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let text = std::fs::read_to_string(path).unwrap();
        let mut wanted = text.clone();
        for section in SECTIONS {
            let name = if section.is_empty() { "top" } else { section };
            let (begin, end) = (format!("<!-- keys of {name} -->\n"), "<!-- end of keys -->");
            let (before, rest) = wanted.split_once(&begin).unwrap_or_else(|| panic!("no table of {name}"));
            let (_, after) = rest.split_once(end).unwrap();
            wanted = format!("{before}{begin}{}{end}{after}", documented(section));
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &wanted).unwrap();
        } else {
            assert!(text == wanted, "docs/configuration.md is stale: run the test with UPDATE_DOCS=1");
        }
    }

    #[test]
    fn every_key_is_in_one_section_and_has_a_default() {
        assert_eq!(all().len(), KEYS.len() + LIMITS.len() + 1);
        assert_eq!(SECTIONS.iter().map(|section| keys(section).len()).sum::<usize>(), all().len());
    }
}
