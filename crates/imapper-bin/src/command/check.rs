//! `imapper check`: reads the configuration, opens every plugin, checks the certificate.

use super::print;
use crate::builtin::Builtin;
use crate::cli::Options;
use crate::config::Config;
use crate::error::Failure;
use crate::parts::Parts;

pub(crate) async fn run(builtin: &Builtin, options: &Options, folder: &std::path::Path) -> Result<(), Failure> {
    let config = Config::load(options, folder)?;
    let parts = Parts::open(builtin, &config).await?;

    for warning in &parts.warnings {
        print(&format!("warning: {warning}"));
    }
    for listener in &config.listeners {
        print(&format!("listener {}: {}", listener.address, listener.tls));
    }
    print(&format!("storage: {}", config.storage.plugin()));
    for users in &config.users {
        print(&format!("users: {}", users.plugin()));
    }
    print(&format!("extensions: {}", parts.extension_names().join(", ")));
    print("all is well");
    Ok(())
}
