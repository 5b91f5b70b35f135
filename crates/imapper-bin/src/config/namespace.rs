//! `[[namespace]]`: what a client sees of the storage's tree (RFC 2342).

use super::section::Section;
use super::{Problems, Table};

/// Whose mailboxes a namespace holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The user's own.
    Personal,
    /// Other users' own.
    OtherUsers,
    /// Nobody's in particular.
    Shared,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Namespace {
    pub(crate) kind: Kind,
    pub(crate) prefix: String,
    pub(crate) separator: char,
    /// The owner of a shared tree.
    pub(crate) account: Option<String>,
}

impl Namespace {
    /// All namespaces; one personal where none is configured.
    pub(crate) fn read_all(tables: &[&Table], problems: &Problems) -> Vec<Self> {
        if tables.is_empty() {
            return vec![Self { kind: Kind::Personal, prefix: String::new(), separator: '/', account: None }];
        }
        let mut all: Vec<Self> = Vec::new();
        for table in tables {
            let section = Section::open("namespace", table, problems);
            let namespace = Self::read(&section);
            if all.iter().any(|other| other.prefix == namespace.prefix) {
                problems.add(section.at(), format!("two namespaces have the prefix {:?}", namespace.prefix));
            }
            all.push(namespace);
        }
        if let Some(first) = tables.first()
            && !all.iter().any(|namespace| namespace.kind == Kind::Personal)
        {
            problems.add(first.at, "one [[namespace]] must be of type \"personal\", or there is no place for INBOX");
        }
        all
    }

    fn read(section: &Section<'_>) -> Self {
        let kinds =
            [("personal", Kind::Personal), ("other-users", Kind::OtherUsers), ("shared", Kind::Shared)];
        let kind = section.one_of("type", &kinds);
        if kind.is_none() && !section.has("type") {
            section.problems().add(section.at(), "[[namespace]] needs a `type`: personal, other-users or shared");
        }
        let separator = section.one_of("separator", &[("/", '/'), (".", '.')]).unwrap_or('/');
        let prefix = section.text("prefix").unwrap_or_default();
        if !prefix.is_empty() && !prefix.ends_with(separator) {
            section.wrong("prefix", format!("must end with the separator, {separator:?}"));
        }
        let account = section.text("account");
        match kind {
            Some(Kind::Shared) if account.is_none() => {
                section.problems().add(section.at(), "a shared namespace needs an `account`: who owns its tree");
            }
            Some(Kind::Personal | Kind::OtherUsers) if account.is_some() => {
                section.wrong("account", "is of a shared namespace");
            }
            _ => {}
        }
        Self { kind: kind.unwrap_or(Kind::Personal), prefix, separator, account }
    }
}
