//! The users as the core sees them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod conformance;
mod manage;
mod password;
mod remembered;
mod token;

use imapper_core::users::{AuthError, ConnectionInfo, Credentials, Identity, SecretString, Users};
use imapper_users_static::Static;

/// Logs in with a password.
async fn login(users: &Static, user: &str, password: &str) -> Result<Identity, AuthError> {
    login_as(users, None, user, password).await
}

async fn login_as(
    users: &Static,
    authzid: Option<&str>,
    user: &str,
    password: &str,
) -> Result<Identity, AuthError> {
    let credentials = Credentials::Password {
        authzid: authzid.map(str::to_owned),
        user: user.to_owned(),
        password: SecretString::from(password),
    };
    users.authenticate(&credentials, &ConnectionInfo::new(1, None, true)).await
}
