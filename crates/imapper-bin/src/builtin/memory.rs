//! The storage `memory`.

use std::path::Path;

use imapper_core::session::{Namespace, NamespaceKind};
use imapper_core::storage::AccountId;
use imapper_storage_memory::{Fixture, FixtureNamespace, Memory};

use super::{Builtin, OpenedStorage};
use crate::plugin::{PluginConfig, PluginError};

/// The octets of all messages that are on their way in at once, where one alone may not be larger.
const STAGED: u64 = 1024 * 1024 * 1024;

pub(super) fn add(builtin: Builtin) -> Builtin {
    builtin.storage("memory", |config| async move { open(&config) })
}

fn open(config: &PluginConfig) -> Result<OpenedStorage, PluginError> {
    let (file, data) = (config.path("file")?, config.json("data")?);
    let fixture = match (file, data) {
        (Some(_), Some(_)) => return Err(config.wrong("data", "and `file` can't both be given")),
        (Some(file), None) => Some(Fixture::from_file(file)?),
        (None, Some(json)) => Some(
            Fixture::from_json(&json).map_err(|error| config.wrong("data", format!("is wrong: {error}")))?,
        ),
        (None, None) => None,
    };
    let namespaces = fixture.as_ref().map(|fixture| fixture.namespaces().iter().map(namespace).collect());
    let largest = config.append_limit();
    let mut memory = Memory::builder().max_message(largest).max_staged(largest.max(STAGED));
    if let Some(fixture) = fixture {
        memory = memory.fixture(fixture);
    }
    for account in config.shared_accounts() {
        memory = memory.shared_account(AccountId::from(account.as_str()));
    }
    Ok(OpenedStorage { namespaces, ..OpenedStorage::from(memory.build()) })
}

/// A storage that holds a fixture. Messages that do not say when they came did so when the file was changed: whoever
/// reads it again finds the same.
pub(super) fn fixture(path: &Path) -> Result<Memory, PluginError> {
    let mut memory = Memory::builder().fixture(Fixture::from_file(path)?);
    if let Ok(changed) = std::fs::metadata(path).and_then(|about| about.modified()) {
        memory = memory.loaded(changed);
    }
    Ok(memory.build())
}

fn namespace(of: &FixtureNamespace) -> Namespace {
    use imapper_storage_memory::NamespaceKind as Kind;
    let kind = match of.kind {
        Kind::Personal => NamespaceKind::Personal,
        Kind::OtherUsers => NamespaceKind::OtherUsers,
        Kind::Shared => NamespaceKind::Shared,
    };
    let mut prefix = of.prefix.clone();
    if !prefix.is_empty() && !prefix.ends_with(of.separator) {
        prefix.push(of.separator);
    }
    let mut namespace = Namespace::new(kind, prefix, of.separator);
    namespace.accounts.clone_from(&of.accounts);
    namespace
}
