//! The storage `maildir`.

use imapper_core::storage::AccountId;
use imapper_storage_maildir::{Layout, Maildir};

use super::{Builtin, OpenedStorage};
use crate::plugin::{PluginConfig, PluginError};

/// The octets of all messages that are on their way in at once, where one alone may not be larger.
const STAGED: u64 = 1024 * 1024 * 1024;

pub(super) fn add(builtin: Builtin) -> Builtin {
    builtin.storage("maildir", |config| async move { open(&config) })
}

fn open(config: &PluginConfig) -> Result<OpenedStorage, PluginError> {
    let (path, layout) = (config.required_path("path")?, config.text("layout")?);
    let (index_dir, fsync) = (config.path("index_dir")?, config.text("fsync")?);
    let layout = match layout.as_deref() {
        None | Some("maildir++") => Layout::MaildirPlusPlus,
        Some("fs") => Layout::Fs,
        Some(other) => return Err(config.wrong("layout", unfit(other, "maildir++", "fs"))),
    };
    let durable = match fsync.as_deref() {
        None | Some("always") => true,
        Some("never") => false,
        Some(other) => return Err(config.wrong("fsync", unfit(other, "always", "never"))),
    };
    let largest = config.append_limit();
    let mut maildir = Maildir::builder(path)
        .layout(layout)
        .durable(durable)
        .max_message(largest)
        .max_staged(largest.max(STAGED))
        .shared(config.shared_accounts().iter().map(|account| AccountId::from(account.as_str())));
    if let Some(index_dir) = index_dir {
        maildir = maildir.index_dir(index_dir);
    }
    let maildir = maildir.open().map_err(|error| config.wrong("path", error))?;
    if !durable {
        tracing::warn!(
            "fsync = \"never\": what is acknowledged is lost when the power fails; for tests only"
        );
    }
    Ok(OpenedStorage::from(maildir))
}

fn unfit(found: &str, one: &str, other: &str) -> String {
    format!("must be \"{one}\" or \"{other}\", not {found:?}")
}
