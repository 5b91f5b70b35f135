//! The suite that every database of users passes.

use std::sync::Arc;

use imapper_testkit::users::Account;
use imapper_users_static::Static;

fn users(accounts: &[Account], with_tokens: bool) -> Static {
    let mut users = Static::builder().cost(4);
    for account in accounts {
        users = users.plain_password(account.name, account.password).unwrap();
        if with_tokens {
            users = users.token(account.name, account.token).unwrap();
        }
    }
    users.build()
}

mod with_tokens {
    use super::*;

    imapper_testkit::users_conformance!(async |accounts| Arc::new(users(accounts, true)));
}

mod without_tokens {
    use super::*;

    imapper_testkit::users_conformance!(async |accounts| Arc::new(users(accounts, false)));
}
