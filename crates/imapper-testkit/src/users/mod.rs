//! The conformance suite for users: what `imapper_core::users` promises, case by case.
//!
//! [`users_conformance!`](crate::users_conformance) makes a `#[test]` of each case. The plugin is given the
//! [`ACCOUNTS`] that there must be; which cases run is decided by what it says that it can do.

mod cases;

use std::fmt;
use std::sync::Arc;

use imapper_core::users::Users;

use crate::case::{self, Case};
pub use crate::case::{Failure, Verdict};
use cases::Trial;

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

    /// One more user, whose stored secret is that of an empty password, where such a database can be made.
    fn without_password(&self) -> Option<&'static str> {
        None
    }
}

impl<U: Users> UsersUnderTest for Arc<U> {
    fn users(&self) -> Arc<dyn Users> {
        Arc::<U>::clone(self)
    }
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
        const CASES: &[Case<Trial>] = &[$(
            Case {
                area: "users",
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
    case::run_all(CASES, async || Trial::new(&factory(ACCOUNTS).await)).await
}

/// Runs the case of that name with a fresh database. That there is no such case is a failure.
pub async fn run_case<F, Fut, U>(name: &str, factory: F) -> Verdict
where
    F: Fn(&'static [Account]) -> Fut,
    Fut: Future<Output = U>,
    U: UsersUnderTest,
{
    case::run_case(CASES, "users", name, async || Trial::new(&factory(ACCOUNTS).await)).await
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
    case::test_case(CASES, "users", name, async || Trial::new(&factory(ACCOUNTS).await));
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
