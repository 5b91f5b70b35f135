//! `imapper check`: reads the configuration, opens every plugin, checks the certificate.

use super::print;
use crate::builtin::Builtin;
use crate::config::tls_word;
use crate::error::Failure;
use crate::parts::Parts;
use crate::server::Configuration;

pub(crate) async fn run(builtin: &Builtin, configuration: &Configuration) -> Result<(), Failure> {
    let config = configuration.load()?;
    let parts = Parts::open(builtin, &config).await?;
    let (warnings, notes, extensions) =
        (parts.warnings.clone(), parts.notes.clone(), parts.extension_names());
    parts.build(&config)?;
    for warning in warnings {
        print(&format!("warning: {warning}"));
    }
    for note in notes {
        print(&format!("note: {note}"));
    }
    for listener in &config.listeners {
        print(&format!("listener: {} (imap, {})", listener.address, tls_word(listener.tls)));
    }
    print(&format!("storage: {}", config.storage.plugin()));
    for users in &config.users {
        print(&format!("users: {}", users.plugin()));
    }
    print(&format!("extensions: {}", extensions.join(", ")));
    print("all is well");
    Ok(())
}
