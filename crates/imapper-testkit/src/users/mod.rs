//! The conformance suite for users: what `imapper_core::users` promises, case by case.
//!
//! [`users_conformance!`](crate::users_conformance) makes a `#[test]` of each case. The plugin is given the
//! [`ACCOUNTS`] that there must be; which cases run is decided by what it says that it can do.

mod cases;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use imapper_core::users::Users;

use crate::BoxFuture;
use crate::storage::Failure;
use cases::Trial;

/// How long a case may take.
const TIME_LIMIT: Duration = Duration::from_mins(2);

/// A user that there must be.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Account {
    /// The canonical name.
    pub name: &'static str,
    /// The password.
    pub password: &'static str,
    /// The bearer token, for plugins that verify such.
    pub token: &'static str,
}

/// The users that there must be, and no others.
pub const ACCOUNTS: &[Account] = &[
    Account { name: "john", password: "right password", token: "token-of-john" },
    Account { name: "jill@example.org", password: "another %s {}'\"", token: "token-of-jill" },
    Account { name: "jürgen", password: "pässwörd ✓", token: "token-of-juergen" },
];

/// A database of users that the suite may do with as it likes. Every `Arc` of one is one.
pub trait UsersUnderTest: Send + 'static {
    /// The database.
    fn users(&self) -> Arc<dyn Users>;
}

impl<U: Users> UsersUnderTest for Arc<U> {
    fn users(&self) -> Arc<dyn Users> {
        Arc::<U>::clone(self)
    }
}

/// A case of the suite.
struct Case {
    name: &'static str,
    run: fn(Trial) -> BoxFuture<'static, cases::Outcome>,
}

/// Hands the cases on: to the table, or to the `#[test]`s.
#[doc(hidden)]
#[macro_export]
macro_rules! __users_cases {
    ($($given:tt)*) => {
        $crate::__users_each! { $($given)*
            a_right_password_opens_the_account
            a_wrong_password_opens_nothing
            an_empty_password_is_never_right
            who_is_unknown_is_told_the_same
            nobody_acts_for_another
            names_have_one_canonical_form
            names_are_utf_8
            odd_names_and_passwords_are_refused
            injected_text_logs_nobody_in
            tokens_log_their_users_in
            kinds_tells_what_is_verified
            lookup_knows_who_there_is
            users_come_and_go
            logins_at_once_are_told_apart
            an_unknown_user_takes_its_time
        }
    };
}

/// Makes the table of the cases, or a `#[test]` of each.
#[doc(hidden)]
#[macro_export]
macro_rules! __users_each {
    (table $($case:ident)*) => {
        /// Every case of the suite.
        const CASES: &[Case] = &[$(
            Case {
                name: stringify!($case),
                run: |trial| Box::pin(async move { cases::$case(&trial).await }),
            },
        )*];
    };
    (tests ($factory:expr) $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::users::test_case(stringify!($case), $factory);
            }
        )*
    };
}

crate::__users_cases! { table }

/// Runs every case, each with a fresh database; gives what is broken.
pub async fn run_all<F, Fut, U>(factory: F) -> Vec<Failure>
where
    F: Fn(&'static [Account]) -> Fut,
    Fut: Future<Output = U>,
    U: UsersUnderTest,
{
    let mut failures = Vec::new();
    for case in CASES {
        failures.extend(run(case, factory(ACCOUNTS).await.users()).await);
    }
    failures
}

/// Runs one case; gives what is broken.
async fn run(case: &'static Case, users: Arc<dyn Users>) -> Option<Failure> {
    let trial = Trial::new(users);
    // In a task of its own, so that a panic of the plugin is a failure of this case only.
    let task = tokio::spawn(tokio::time::timeout(TIME_LIMIT, (case.run)(trial.clone())));
    let what = match task.await {
        Ok(Ok(Ok(()))) => return None,
        Ok(Ok(Err(what))) => what,
        Ok(Err(_)) => format!("did not come to an end within {} s", TIME_LIMIT.as_secs()),
        Err(error) => format!("the plugin panicked: {error}"),
    };
    Some(Failure { case: format!("users::{}", case.name), rule: trial.last_rule().to_owned(), what })
}

/// Runs one case in a runtime of its own: the body of a `#[test]`.
///
/// # Panics
/// When the case fails.
pub fn test_case<F, Fut, U>(name: &str, factory: F)
where
    F: Fn(&'static [Account]) -> Fut,
    Fut: Future<Output = U>,
    U: UsersUnderTest,
{
    let case = CASES.iter().find(|case| case.name == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let failure = match (case, runtime) {
        (Some(case), Ok(runtime)) => runtime
            .block_on(async { run(case, factory(ACCOUNTS).await.users()).await })
            .map(|failure| failure.to_string()),
        (None, _) => Some(format!("there is no case {name}")),
        (_, Err(error)) => Some(format!("no runtime: {error}")),
    };
    assert!(failure.is_none(), "{}", failure.unwrap_or_default());
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Makes a `#[test]` of each case of the suite. The expression is a closure that is given the [`ACCOUNTS`] and
/// gives a database that holds them and nobody else: an `Arc` of one, or another [`UsersUnderTest`].
///
/// ```ignore
/// imapper_testkit::users_conformance!(async |accounts| Arc::new(my_users(accounts)));
/// ```
#[macro_export]
macro_rules! users_conformance {
    ($factory:expr) => {
        $crate::__users_cases! { tests ($factory) }
    };
}
