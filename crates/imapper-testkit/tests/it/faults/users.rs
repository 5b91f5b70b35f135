//! A list of users, with one fault.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use imapper_core::users::{
    AuthError, ConnectionInfo, CredentialKind, Credentials, ExposeSecret as _, Identity, Users,
};
use imapper_testkit::users::{Account, UsersUnderTest, Verdict, run_all, run_case};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    NoDecoy,
    AuthzidIgnored,
    UnknownTold,
    Lowered,
    EmptyAccepted,
}

#[derive(Clone)]
struct Faulty {
    accounts: &'static [Account],
    fault: Fault,
    /// What a hash would take.
    cost: Duration,
}

/// Its secret is the empty one.
const OPEN: &str = "open";

#[async_trait]
impl Users for Faulty {
    fn kinds(&self) -> &[CredentialKind] {
        &[CredentialKind::Password]
    }

    async fn authenticate(
        &self,
        credentials: &Credentials,
        _connection: &ConnectionInfo,
    ) -> Result<Identity, AuthError> {
        let Credentials::Password { authzid, user, password } = credentials else {
            return Err(AuthError::Unsupported);
        };
        let password = password.expose_secret();
        if password.is_empty() && self.fault != Fault::EmptyAccepted {
            return Err(AuthError::Invalid);
        }
        let lowered = user.to_lowercase();
        let asked = if self.fault == Fault::Lowered { lowered.as_str() } else { user };
        let all = self.accounts.iter().map(|account| (account.name, account.password));
        let known = all.chain([(OPEN, "")]).find(|(name, _)| *name == asked);
        if known.is_some() || self.fault != Fault::NoDecoy {
            tokio::time::sleep(self.cost).await;
        }
        match known {
            None if self.fault == Fault::UnknownTold => return Err(AuthError::NotAuthorized),
            Some((_, secret)) if secret == password => {}
            _ => return Err(AuthError::Invalid),
        }
        let other = authzid.as_ref().is_some_and(|authzid| !authzid.is_empty() && authzid != user);
        if other && self.fault != Fault::AuthzidIgnored {
            return Err(AuthError::NotAuthorized);
        }
        // As the client has spelled it: one user, two accounts.
        Ok(Identity::new(user.as_str()))
    }
}

impl UsersUnderTest for Faulty {
    fn users(&self) -> Arc<dyn Users> {
        Arc::new(self.clone())
    }

    fn without_password(&self) -> Option<&'static str> {
        Some(OPEN)
    }
}

async fn found(fault: Fault, case: &str, word: &str, cost: Duration) {
    let verdict = run_case(case, async |accounts| Faulty { accounts, fault, cost }).await;
    let Verdict::Failed(failure) = verdict else { panic!("{case} does not find {fault:?}: {verdict:?}") };
    assert!(failure.what.contains(word), "{failure}");
    assert!(!failure.rule.is_empty(), "{failure}");
}

macro_rules! faults {
    ($($name:ident: $fault:ident, $case:literal, $word:literal, $cost:expr;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                found(Fault::$fault, $case, $word, Duration::from_millis($cost)).await;
            }
        )*
    };
}

faults! {
    a_hash_that_is_left_out: NoDecoy, "an_unknown_user_takes_its_time", "an unknown user", 20;
    anybody_acts_for_another: AuthzidIgnored, "nobody_acts_for_another", "where NotAuthorized", 0;
    who_is_unknown_is_told: UnknownTold, "who_is_unknown_is_told_the_same", "an unknown user as", 0;
    one_user_with_two_names: Lowered, "names_have_one_canonical_form", "logs in as", 0;
    an_empty_password: EmptyAccepted, "an_empty_password_is_never_right", "\"open\" is logged in", 0;
}

#[tokio::test]
async fn without_a_fault_none_is_found() {
    let users = async |cost| {
        run_all(async |accounts| Faulty { accounts, fault: Fault::None, cost: Duration::from_millis(cost) })
            .await
    };
    assert_eq!(users(0).await, []);
    let timed = async |accounts| Faulty { accounts, fault: Fault::None, cost: Duration::from_millis(20) };
    assert_eq!(run_case("an_unknown_user_takes_its_time", timed).await, Verdict::Passed);
}
