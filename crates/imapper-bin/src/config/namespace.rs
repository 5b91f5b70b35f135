//! `[[namespace]]`: what a client sees of the storage's tree (RFC 2342).

use imapper_core::session::{Namespace, NamespaceKind};
use imapper_core::storage::AccountId;

use super::section::Section;
use super::{Problems, Table};

/// All namespaces, in the order of the file; one personal where there is none.
pub(crate) fn read_all(tables: &[&Table], problems: &Problems) -> Vec<Namespace> {
    let mut all: Vec<Namespace> = Vec::new();
    for table in tables {
        let section = Section::open("namespace", table, problems);
        let namespace = read(&section);
        if all.iter().any(|other| other.prefix == namespace.prefix) {
            problems.add(section.at(), format!("two namespaces have the prefix {:?}", namespace.prefix));
        }
        all.push(namespace);
    }
    if !all.iter().any(|namespace| namespace.kind == NamespaceKind::Personal) {
        if let Some(at) = all.iter().position(|namespace| namespace.prefix.is_empty()) {
            let at = tables.get(at).map(|table| table.at).unwrap_or_default();
            problems.add(
                at,
                "without a personal [[namespace]] there is one with the prefix \"\", so no other can have it",
            );
        }
        all.insert(0, Namespace::new(NamespaceKind::Personal, "", '/'));
    }
    all
}

fn read(section: &Section<'_>) -> Namespace {
    let kinds = [
        ("personal", NamespaceKind::Personal),
        ("other-users", NamespaceKind::OtherUsers),
        ("shared", NamespaceKind::Shared),
    ];
    let kind = section.one_of("type", &kinds);
    if !section.has("type") {
        section.problems().add(section.at(), "[[namespace]] needs a `type`: personal, other-users or shared");
    }
    let separator = section.one_of("separator", &[("/", '/'), (".", '.')]).unwrap_or('/');
    let prefix = section.text("prefix").unwrap_or_default();
    if !prefix.is_empty() && !prefix.ends_with(separator) {
        section.wrong("prefix", format!("must end with the separator, {separator:?}"));
    }
    let mut namespace = Namespace::new(kind.unwrap_or(NamespaceKind::Personal), prefix, separator);
    if let Some(account) = section.text("account") {
        if kind != Some(NamespaceKind::Shared) {
            section.wrong("account", "is of a shared namespace");
        }
        namespace.accounts = vec![AccountId::from(account.as_str())];
    }
    namespace
}
