//! The user database `static`.

use std::collections::BTreeMap;

use imapper_core::storage::QuotaLimits;
use imapper_users_static::Static;
use secrecy::ExposeSecret as _;

use super::Builtin;
use crate::plugin::{PluginConfig, PluginError};

pub(super) fn add(builtin: Builtin) -> Builtin {
    builtin.users("static", |config| async move { open(&config) })
}

fn open(config: &PluginConfig) -> Result<Static, PluginError> {
    let (accounts, tokens) = (config.secrets("accounts")?, config.secrets("tokens")?);
    if accounts.is_none() && tokens.is_none() {
        // The same words as of any other key that must be there.
        config.required_text("accounts")?;
    }
    let mut users = Static::builder();
    for (name, hash) in accounts.unwrap_or_default() {
        users = users
            .account(&name, hash.expose_secret())
            .map_err(|error| config.wrong("accounts", format!("is wrong: {error}")))?;
    }
    for (name, token) in tokens.unwrap_or_default() {
        users = users
            .token(&name, token.expose_secret())
            .map_err(|error| config.wrong("tokens", format!("is wrong: {error}")))?;
    }
    let mut quotas: BTreeMap<String, QuotaLimits> = BTreeMap::new();
    for (name, octets) in config.sizes("quota_storage")? {
        quotas.entry(name).or_default().octets = Some(octets);
    }
    for (name, messages) in config.counts("quota_messages")? {
        quotas.entry(name).or_default().messages = Some(messages);
    }
    for (name, most) in quotas {
        users = users.quota(&name, most)?;
    }
    Ok(users.build())
}
