//! Adding and removing users while the server runs.

use imapper_core::storage::QuotaLimits;
use imapper_core::users::{AuthError, Manage, SecretString, Users};
use imapper_users_static::Static;

use crate::login;

#[tokio::test]
async fn users_come_and_go() {
    let users = Static::builder().cost(4).build();
    let manage = users.as_manage().unwrap();
    assert!(users.lookup("john").await.unwrap().is_none());
    manage.add("john", &SecretString::from("x")).await.unwrap();
    assert_eq!(users.lookup("john").await.unwrap().unwrap().account.as_str(), "john");
    assert!(login(&users, "john", "x").await.is_ok());
    manage.add("john", &SecretString::from("y")).await.unwrap();
    // Not even the password that was remembered.
    assert!(login(&users, "john", "x").await.is_err());
    assert!(login(&users, "john", "y").await.is_ok());
    assert!(manage.remove("john").await.unwrap());
    assert!(!manage.remove("john").await.unwrap());
    assert!(login(&users, "john", "y").await.is_err());
}

#[tokio::test]
async fn who_is_removed_loses_tokens_too() {
    let users = Static::builder().token("john", "one").unwrap().build();
    assert!(users.lookup("john").await.unwrap().is_some());
    assert!(users.remove("john").await.unwrap());
    assert!(users.lookup("john").await.unwrap().is_none());
}

#[tokio::test]
async fn a_password_that_can_not_be_hashed_is_refused() {
    let users = Static::builder().cost(4).build();
    for password in ["", &"x".repeat(73), "a\0"] {
        assert!(matches!(users.add("john", &SecretString::from(password)).await, Err(AuthError::Invalid)));
    }
    assert!(users.add("", &SecretString::from("x")).await.is_err());
}

#[tokio::test]
async fn limits_are_told_of_those_that_have_some() {
    let most = QuotaLimits::new(Some(1024), None);
    let users = Static::builder().plain_password("john", "x").unwrap().token("jill", "one").unwrap();
    let users = users.quota("john", most).unwrap().build();
    assert_eq!(login(&users, "john", "x").await.unwrap().allowance, most);
    assert_eq!(users.lookup("john").await.unwrap().unwrap().allowance, most);
    assert_eq!(users.lookup("jill").await.unwrap().unwrap().allowance, QuotaLimits::NONE);
    assert!(Static::builder().quota("john", most).is_err());
}
