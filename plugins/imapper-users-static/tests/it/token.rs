//! Bearer tokens.

use imapper_core::users::{
    AuthError, ConnectionInfo, CredentialKind, Credentials, Identity, SecretString, Users,
};
use imapper_users_static::{SetupError, Static};

async fn bearer(users: &Static, user: Option<&str>, token: &str) -> Result<Identity, AuthError> {
    let credentials = Credentials::Bearer { user: user.map(str::to_owned), token: SecretString::from(token) };
    users.authenticate(&credentials, &ConnectionInfo::new(1, None, true)).await
}

#[tokio::test]
async fn a_token_logs_its_user_in() {
    let users = Static::builder().token("john", "one").unwrap().token("jill", "two").unwrap().build();
    assert_eq!(bearer(&users, None, "one").await.unwrap().name, "john");
    assert_eq!(bearer(&users, Some("jill"), "two").await.unwrap().name, "jill");
    assert!(matches!(bearer(&users, Some("jill"), "one").await, Err(AuthError::NotAuthorized)));
    for wrong in ["", "on", "one ", "One", "onetwo"] {
        assert!(matches!(bearer(&users, None, wrong).await, Err(AuthError::Invalid)), "{wrong}");
    }
}

#[test]
fn tokens_are_announced_only_where_there_are_any() {
    let without = Static::builder().plain_password("john", "x").unwrap().build();
    assert_eq!(without.kinds(), [CredentialKind::Password]);
    let with = Static::builder().token("john", "one").unwrap().build();
    assert_eq!(with.kinds(), [CredentialKind::Password, CredentialKind::Bearer]);
    assert!(matches!(Static::builder().token("john", ""), Err(SetupError::NoToken(_))));
}
