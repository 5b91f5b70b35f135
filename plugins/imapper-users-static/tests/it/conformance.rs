//! The suite that every database of users passes.

use std::sync::Arc;

use imapper_core::users::{SecretString, Users};
use imapper_testkit::users::{Account, UsersUnderTest, Verdict, run_case};
use imapper_users_static::{Static, hash_password_with_cost};

/// Other programs make such a hash, of an empty password.
const HASH_OF_NOTHING: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy";

fn users(accounts: &[Account], with_tokens: bool, cost: u32) -> Listed {
    let mut users = Static::builder().cost(cost).account("open", HASH_OF_NOTHING).unwrap();
    for account in accounts {
        let hash = hash_password_with_cost(&SecretString::from(account.password), cost).unwrap();
        users = users.account(account.name, &hash).unwrap();
        if with_tokens {
            users = users.token(account.name, account.token).unwrap();
        }
    }
    Listed(Arc::new(users.build()))
}

struct Listed(Arc<Static>);

impl UsersUnderTest for Listed {
    fn users(&self) -> Arc<dyn Users> {
        Arc::<Static>::clone(&self.0)
    }

    fn without_password(&self) -> Option<&'static str> {
        Some("open")
    }
}

mod with_tokens {
    use super::*;

    imapper_testkit::users_conformance!(async |accounts| users(accounts, true, 4));
}

mod without_tokens {
    use super::*;

    imapper_testkit::users_conformance!(async |accounts| users(accounts, false, 4));
}

/// At a cost that can be measured.
#[tokio::test]
async fn an_unknown_user_takes_its_time() {
    let costly = async |accounts: &'static [Account]| users(accounts, false, 10);
    assert_eq!(run_case("an_unknown_user_takes_its_time", costly).await, Verdict::Passed);
}
