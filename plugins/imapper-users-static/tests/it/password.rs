//! Passwords and their hashes.

use imapper_core::users::AuthError;
use imapper_users_static::{SetupError, Static};

use crate::{login, login_as};

/// Made by other programs: the vectors of `crypt_blowfish`'s own tests, and `htpasswd -B`'s form.
const VECTORS: &[(&str, &str)] = &[
    ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"),
    ("U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"),
];

#[tokio::test]
async fn hashes_of_other_programs_work() {
    for (password, hash) in VECTORS {
        for version in ["2a", "2b", "2y", "2x"] {
            let hash = hash.replacen("2a", version, 1);
            let users = Static::builder().account("john", &hash).unwrap().build();
            let john = login(&users, "john", password).await.unwrap();
            assert_eq!((john.name.as_str(), john.account.as_str()), ("john", "john"));
            assert!(matches!(login(&users, "john", "wrong").await, Err(AuthError::Invalid)));
        }
    }
}

#[tokio::test]
async fn who_is_unknown_is_told_the_same_as_who_has_a_wrong_password() {
    let users = Static::builder().plain_password("john", "x").unwrap().build();
    for (user, password) in [("john", "y"), ("jill", "x"), ("John", "x"), ("", "x"), ("john\0", "x")] {
        assert!(matches!(login(&users, user, password).await, Err(AuthError::Invalid)), "{user}");
    }
    // The decoy is the costliest known hash; that its password is right helps nobody.
    assert!(login(&users, "nobody", "x").await.is_err());
}

#[tokio::test]
async fn an_empty_password_is_never_right() {
    let hash_of_nothing = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy";
    assert!(bcrypt::verify("", hash_of_nothing).unwrap());
    let users = Static::builder().account("john", hash_of_nothing).unwrap().build();
    assert!(matches!(login(&users, "john", "").await, Err(AuthError::Invalid)));
    assert!(matches!(login(&users, "john", "\0").await, Err(AuthError::Invalid)));
}

#[tokio::test]
async fn octets_after_the_72nd_do_not_count() {
    let long = "x".repeat(72);
    let users = Static::builder().plain_password("john", &long).unwrap().build();
    assert!(login(&users, "john", &format!("{long}y")).await.is_ok());
    assert!(login(&users, "john", &long[1..]).await.is_err());
}

#[tokio::test]
async fn names_and_passwords_are_utf_8() {
    let users = Static::builder().plain_password("jürgen", "pässwörd ✓").unwrap().build();
    assert!(login(&users, "jürgen", "pässwörd ✓").await.is_ok());
    assert!(login(&users, "jurgen", "pässwörd ✓").await.is_err());
}

#[tokio::test]
async fn nobody_acts_for_another() {
    let users = Static::builder().plain_password("john", "x").unwrap().build();
    assert!(login_as(&users, Some("john"), "john", "x").await.is_ok());
    assert!(login_as(&users, Some(""), "john", "x").await.is_ok());
    assert!(matches!(login_as(&users, Some("jill"), "john", "x").await, Err(AuthError::NotAuthorized)));
    assert!(matches!(login_as(&users, Some("jill"), "john", "y").await, Err(AuthError::Invalid)));
}

#[test]
fn what_is_no_hash_is_not_repeated() {
    let error = Static::builder().account("john", "my-password").unwrap_err();
    assert!(matches!(error, SetupError::NoHash(_)));
    assert!(!error.to_string().contains("my-password"));
    let twice = Static::builder().plain_password("john", "x").unwrap().plain_password("john", "y");
    assert!(matches!(twice, Err(SetupError::Twice(_))));
}

#[test]
fn no_secret_is_shown() {
    let builder = Static::builder().plain_password("john", "x").unwrap().token("john", "t0ken").unwrap();
    let shown = format!("{builder:?}");
    let users = builder.build();
    let shown = format!("{shown} {users:?}");
    assert!(shown.contains("john") && !shown.contains("$2b$") && !shown.contains("t0ken"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn many_at_once_leave_the_async_thread_free() {
    let users = std::sync::Arc::new(Static::builder().plain_password("john", "x").unwrap().build());
    let logins: Vec<_> = (0..64)
        .map(|n| {
            let users = std::sync::Arc::clone(&users);
            tokio::spawn(async move { login(&users, "john", &format!("wrong {n}")).await.is_err() })
        })
        .collect();
    for login in logins {
        assert!(login.await.unwrap());
    }
}
