//! Whose mail it is, and in which storage.

use std::sync::Arc;

use imapper_core::storage::{AccountId, Storage};
use imapper_core::users::AuthError;

use crate::builtin::Builtin;
use crate::config::Config;
use crate::error::Failure;
use crate::parts;

/// The names of the users that stand in the configuration.
pub(super) fn static_users(config: &Config) -> Vec<String> {
    let accounts = config.users.iter().filter(|users| users.plugin() == "static");
    let accounts = accounts.filter_map(|users| users.secrets("accounts").ok().flatten());
    accounts.flatten().map(|(name, _)| name).collect()
}

/// The storage of the configuration, and the account of a user. Quotas hold here as they do for clients.
pub(super) async fn open(
    builtin: &Builtin,
    config: &Config,
    user: Option<&str>,
) -> Result<(Arc<dyn Storage>, AccountId), Failure> {
    let user = match user {
        Some(user) => user.to_owned(),
        None => only_user(config)?,
    };
    let users = builtin.open_users(&config.users).await?;
    let account = match users.lookup(&user).await {
        Ok(Some(identity)) => identity.account,
        Ok(None) if !parts::shared_accounts(config).contains(&user) => {
            return Err(Failure::configuration(format!("there is no user {user:?}")));
        }
        Ok(None) | Err(AuthError::Unsupported) => AccountId::from(user.as_str()),
        Err(error) => return Err(Failure::Running(error.to_string())),
    };
    let storage = parts::open_storage(builtin, config).await?.storage;
    if let Some(quota) = storage.as_quota() {
        quota.allow(None, config.quota);
        for (account, most) in users.allowances() {
            quota.allow(Some(&account), most);
        }
    }
    Ok((storage, account))
}

fn only_user(config: &Config) -> Result<String, Failure> {
    let mut users = static_users(config);
    let is_all = config.users.iter().all(|users| users.plugin() == "static");
    match users.pop() {
        Some(only) if users.is_empty() && is_all => Ok(only),
        _ => Err(Failure::configuration("say whose mail it is: `--user NAME`")),
    }
}
