//! LOGIN (RFC 3501 §6.2.3), and what it has in common with AUTHENTICATE.

use async_trait::async_trait;

use super::capability;
use crate::registry::{Context, Flow, InNotAuthenticated, Outcome, Row, Run};
use crate::session::{Login as LoggedIn, Reject, Reply, State};
use crate::storage::QuotaLimits;
use crate::types::Code;
use crate::users::{AuthError, Credentials, Identity, SecretString};
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("LOGIN", Run::not_authenticated(Login)).secret()
}

struct Login;

#[async_trait]
impl InNotAuthenticated for Login {
    async fn run(&self, cx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let user = args.astring()?;
        args.sp()?;
        let password = args.astring()?;
        args.end()?;
        if cx.shared.registry.is_plaintext_held(cx.connection) {
            return Err(plaintext_held());
        }
        // A name or password that is no UTF-8 is nobody's.
        let (Ok(user), Ok(password)) = (String::from_utf8(user.into()), String::from_utf8(password.into()))
        else {
            return Err(failed(cx, AuthError::Invalid).await);
        };
        let credentials =
            Credentials::Password { authzid: None, user, password: SecretString::from(password) };
        match verify(cx, &credentials).await {
            Ok(identity) => enter(cx, identity),
            Err(error) => Err(failed(cx, error).await),
        }
    }
}

/// A password may not be sent over this connection (RFC 3501 §6.2.3, LOGINDISABLED).
pub(super) fn plaintext_held() -> Reject {
    Reject::code(Code::PRIVACYREQUIRED, "a password may be sent only over TLS")
}

/// Asks the user database, unless the address has guessed too often.
pub(super) async fn verify(cx: &Context<'_>, credentials: &Credentials) -> Result<Identity, AuthError> {
    if cx.shared.door.may_try(cx.connection.peer, &cx.shared.limits).is_err() {
        tracing::warn!(connection = cx.connection.id, peer = ?cx.connection.peer, "too many failed logins from this address");
        return Err(AuthError::Invalid);
    }
    cx.shared.users.authenticate(credentials, cx.connection).await
}

/// Somebody has shown who it is: the session goes on as that user's.
pub(super) fn enter(cx: &mut Context<'_>, identity: Identity) -> Outcome {
    if let Err(refused) = cx.ticket.log_in(&identity.name, cx.connection.peer, &cx.shared.limits) {
        return Err(Reject::code(Code::LIMIT, refused.to_string()));
    }
    tracing::info!(connection = cx.connection.id, user = identity.name, peer = ?cx.connection.peer, tls = cx.connection.tls, "logged in");
    match cx.storage().as_quota() {
        Some(room) => room.allow(Some(&identity.account), identity.allowance),
        None if identity.allowance == QuotaLimits::NONE => {}
        None => tracing::warn!(
            connection = cx.connection.id,
            user = identity.name,
            "the storage can't enforce the user's limits"
        ),
    }
    cx.next = Some(State::Authenticated(LoggedIn { identity }));
    let code = capability::code(cx.shared, cx.connection, true);
    Ok(Flow::Done(Reply { code: Some(code), text: "logged in".into() }))
}

/// Makes whoever guesses wait, and cuts it off in the end.
pub(super) async fn failed(cx: &mut Context<'_>, error: AuthError) -> Reject {
    if !matches!(error, AuthError::Invalid | AuthError::NotAuthorized) {
        return error.into();
    }
    tracing::info!(connection = cx.connection.id, peer = ?cx.connection.peer, tls = cx.connection.tls, %error, "login failed");
    let limits = &cx.shared.limits;
    let delay = cx.shared.door.failed(cx.connection.peer, limits);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    cx.ticket.failed_logins += 1;
    error.into()
}
