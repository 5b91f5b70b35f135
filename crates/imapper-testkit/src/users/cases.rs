//! The cases of the suite for users.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use imapper_core::users::{
    AuthError, ConnectionInfo, CredentialKind, Credentials, Identity, SecretString, Users,
};

use super::{ACCOUNTS, Account, UsersUnderTest};
use crate::case::{Outcome, Stop, Subject, ensure};

/// A case's database. Clones are handed to tasks.
#[derive(Clone)]
pub(crate) struct Trial {
    users: Arc<dyn Users>,
    without_password: Option<&'static str>,
    rule: Arc<Mutex<&'static str>>,
}

/// What somebody once let in, or let through to a database, a directory, a shell, a file or a log.
const INJECTIONS: [&str; 32] = [
    "' OR '1'='1",
    "' OR 1=1 --",
    "john' --",
    "john'/*",
    "\" OR \"\"=\"",
    "'; DROP TABLE users; --",
    "' UNION SELECT 'right password",
    "john' AND '1'='1",
    "\\' OR 1=1 #",
    "%' OR '%'='",
    "_ohn",
    "j%",
    "*",
    "jo*",
    "*)(uid=*",
    "*)(|(uid=*))",
    "john)(|(password=*",
    "john,dc=example",
    "cn=john",
    "\\2a",
    "john\\",
    "(&(uid=john))",
    "${jndi:ldap://localhost/x}",
    "$(id)",
    "`id`",
    "%{user}",
    "%u",
    "../john",
    "john/../john",
    "john:$2b$04$",
    "john\t",
    "john\u{202e}",
];

impl Subject for Trial {
    fn last_rule(&self) -> &'static str {
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trial {
    pub(super) fn new(subject: &impl UsersUnderTest) -> Self {
        let (users, without_password) = (subject.users(), subject.without_password());
        Self { users, without_password, rule: Arc::default() }
    }

    fn rule(&self, rule: &'static str) {
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner) = rule;
    }

    fn verifies(&self, kind: CredentialKind) -> bool {
        self.users.kinds().contains(&kind)
    }

    async fn authenticate(&self, credentials: Credentials) -> Result<Identity, AuthError> {
        self.users.authenticate(&credentials, &ConnectionInfo::new(1, None, true)).await
    }

    async fn login_as(
        &self,
        authzid: Option<&str>,
        user: &str,
        password: &str,
    ) -> Result<Identity, AuthError> {
        let (authzid, user) = (authzid.map(str::to_owned), user.to_owned());
        self.authenticate(Credentials::Password { authzid, user, password: SecretString::from(password) })
            .await
    }

    async fn login(&self, user: &str, password: &str) -> Result<Identity, AuthError> {
        self.login_as(None, user, password).await
    }

    async fn bearer(&self, user: Option<&str>, token: &str) -> Result<Identity, AuthError> {
        let user = user.map(str::to_owned);
        self.authenticate(Credentials::Bearer { user, token: SecretString::from(token) }).await
    }

    /// That a login is refused as invalid, and that the refusal gives nothing away.
    async fn is_invalid(&self, user: &str, password: &str) -> Outcome {
        refused(
            self.login(user, password).await,
            &format!("user {user:?} with the password {password:?}"),
            password,
        )
    }
}

fn refused(login: Result<Identity, AuthError>, who: &str, secret: &str) -> Outcome {
    match login {
        Err(error @ AuthError::Invalid) => {
            let told = format!("{error} {error:?}");
            ensure!(secret.len() < 6 || !told.contains(secret), "the refusal of {who} tells the secret");
            Ok(())
        }
        Err(error) => Err(Stop::Broken(format!("{who} is refused with {error:?}, where Invalid is meant"))),
        Ok(identity) => Err(Stop::Broken(format!("{who} is logged in as {:?}", identity.name))),
    }
}

/// The first of the accounts.
fn john() -> Account {
    ACCOUNTS.first().copied().unwrap_or(Account { name: "", password: "", token: "" })
}

/// Whether the suite can log in by password here.
fn has_passwords(t: &Trial) -> bool {
    t.verifies(CredentialKind::Password)
}

fn needs_passwords(t: &Trial) -> Outcome {
    needs(has_passwords(t), "passwords are not verified")
}

/// Goes on only on that condition.
fn needs(condition: bool, otherwise: &'static str) -> Outcome {
    if condition { Ok(()) } else { Err(Stop::Skipped(otherwise)) }
}

pub(crate) async fn a_right_password_opens_the_account(t: &Trial) -> Outcome {
    t.rule("Users::authenticate verifies credentials; Identity has the canonical name and the account");
    needs_passwords(t)?;
    let mut opened = Vec::new();
    for account in ACCOUNTS {
        let first = t.login(account.name, account.password).await;
        let first = first.map_err(|error| format!("{account} can't log in: {error:?}"))?;
        ensure!(first.name == account.name, "{account} is called {:?}", first.name);
        ensure!(!first.anonymous, "{account} is told to be anonymous (RFC 4505)");
        ensure!(!opened.contains(&first.account), "two users open the account {}", first.account);
        let again = t.login(account.name, account.password).await;
        let again = again.map_err(|error| format!("{account} can't log in again: {error:?}"))?;
        ensure!(again == first, "{account} is another at the second login: {again:?}, not {first:?}");
        opened.push(first.account);
    }
    Ok(())
}

pub(crate) async fn a_wrong_password_opens_nothing(t: &Trial) -> Outcome {
    t.rule("AuthError::Invalid: a wrong password (RFC 9051 §6.2.3, RFC 4616 §2)");
    needs_passwords(t)?;
    for round in 0..2 {
        for wrong in [
            "wrong",
            "Right password",
            "RIGHT PASSWORD",
            "right passwor",
            "right password ",
            " right password",
            "right password\0",
            "right password\0x",
            "right password\r\n",
            "another %s {}'\"",
            "john",
            "token-of-john",
        ] {
            t.is_invalid("john", wrong).await?;
        }
        // Also when the right one is remembered.
        let login = t.login("john", john().password).await;
        ensure!(login.is_ok(), "john can't log in, at attempt {round}: {login:?}");
    }
    Ok(())
}

pub(crate) async fn an_empty_password_is_never_right(t: &Trial) -> Outcome {
    t.rule("An empty password is refused before anything is asked (RFC 4513 §5.1.2: it would be an unauthenticated bind)");
    for user in ["john", "jürgen", "nobody", ""].into_iter().chain(t.without_password) {
        for empty in ["", "\0", "\0\0"] {
            let login = t.login(user, empty).await;
            ensure!(login.is_err(), "user {user:?} is logged in with the empty password {empty:?}");
        }
    }
    Ok(())
}

pub(crate) async fn who_is_unknown_is_told_the_same(t: &Trial) -> Outcome {
    t.rule("AuthError::Invalid: no such user, or a wrong password; which of both is told to nobody (RFC 5530 §3)");
    needs_passwords(t)?;
    let wrong = t.login("john", "wrong").await;
    let unknown = t.login("nobody", "wrong").await;
    let told = |login: &Result<Identity, AuthError>| format!("{login:?}");
    ensure!(
        told(&wrong) == told(&unknown),
        "a wrong password is told as {wrong:?}, an unknown user as {unknown:?}"
    );
    for account in ACCOUNTS {
        t.is_invalid("nobody", account.password).await?;
    }
    Ok(())
}

pub(crate) async fn nobody_acts_for_another(t: &Trial) -> Outcome {
    t.rule("AuthError::NotAuthorized: the credentials are right, but not for that identity (RFC 4616 §2)");
    needs_passwords(t)?;
    let password = john().password;
    for same in ["john", ""] {
        let login = t.login_as(Some(same), "john", password).await;
        ensure!(login.as_ref().is_ok_and(|who| who.name == "john"), "john acting as {same:?}: {login:?}");
    }
    for other in ["jill@example.org", "nobody", "root", "john\0jill@example.org", "*"] {
        let login = t.login_as(Some(other), "john", password).await;
        let is_refused = matches!(login, Err(AuthError::NotAuthorized));
        ensure!(is_refused, "john acting as {other:?}: {login:?}, where NotAuthorized is meant");
        let login = t.login_as(Some(other), "john", "wrong").await;
        refused(login, "john with a wrong password, acting for another,", "wrong")?;
    }
    Ok(())
}

pub(crate) async fn names_have_one_canonical_form(t: &Trial) -> Outcome {
    t.rule("Identity::name is the user's canonical name: one user never has two accounts");
    needs_passwords(t)?;
    for (account, forms) in [
        (john(), vec!["John", "JOHN", "john ", " john"]),
        (ACCOUNTS.get(1).copied().unwrap_or(john()), vec!["Jill@Example.ORG", "jill@EXAMPLE.org"]),
        (ACCOUNTS.get(2).copied().unwrap_or(john()), vec!["ju\u{308}rgen", "JÜRGEN", "jurgen"]),
    ] {
        for form in forms {
            match t.login(form, account.password).await {
                Err(AuthError::Invalid) => {}
                Err(error) => return Err(Stop::Broken(format!("{form:?} is refused with {error:?}"))),
                Ok(identity) => {
                    let name = &identity.name;
                    ensure!(*name == account.name, "{form:?} logs in as {name:?}, not as {account}");
                }
            }
        }
    }
    Ok(())
}

pub(crate) async fn names_are_utf_8(t: &Trial) -> Outcome {
    t.rule("Names and passwords are UTF-8 (RFC 4616 §2)");
    needs_passwords(t)?;
    let login = t.login("jürgen", "pässwörd ✓").await;
    ensure!(login.is_ok(), "a user whose name and password are not ASCII can't log in: {login:?}");
    for near in ["password ✓", "pässwörd ?", "pässwörd", "p\u{fffd}ssw\u{fffd}rd ✓"] {
        t.is_invalid("jürgen", near).await?;
    }
    t.is_invalid("j?rgen", "pässwörd ✓").await
}

pub(crate) async fn odd_names_and_passwords_are_refused(t: &Trial) -> Outcome {
    t.rule("Whatever a client sends as a name is refused, and harms nobody");
    let long = "x".repeat(100_000);
    for user in [
        "",
        "\0",
        "john\0",
        "\0john",
        "jo\0hn",
        "john\r\n",
        "john\r\nx OK",
        "\u{feff}john",
        "\u{1f4ec}",
        &long,
    ] {
        let login = t.login(user, john().password).await;
        let short: String = user.chars().take(20).collect();
        ensure!(login.is_err(), "the name {short:?} is logged in");
    }
    for password in [long.as_str(), "\u{1f4ec}", "\r\n", "\u{feff}right password"] {
        let login = t.login("john", password).await;
        ensure!(login.is_err(), "john is logged in with a wrong password of {} octets", password.len());
    }
    if has_passwords(t) {
        let login = t.login("john", john().password).await;
        ensure!(login.is_ok(), "john can't log in any more: {login:?}");
    }
    Ok(())
}

pub(crate) async fn injected_text_logs_nobody_in(t: &Trial) -> Outcome {
    t.rule("A name, a password and a token are data: what looks like a query logs nobody in");
    for text in INJECTIONS {
        for (user, password) in [(text, john().password), ("john", text), (text, text), (text, "")] {
            let login = t.login(user, password).await;
            ensure!(login.is_err(), "user {user:?} with the password {password:?} is logged in: {login:?}");
        }
        let login = t.login_as(Some(text), "john", john().password).await;
        ensure!(login.is_err(), "john is logged in as {text:?}");
        for user in [None, Some("john"), Some(text)] {
            let login = t.bearer(user, text).await;
            ensure!(login.is_err(), "the token {text:?} of {user:?} logs in");
        }
        match t.users.lookup(text).await {
            Ok(None) | Err(_) => {}
            Ok(Some(found)) => return Err(Stop::Broken(format!("lookup({text:?}) finds {:?}", found.name))),
        }
    }
    if has_passwords(t) {
        let login = t.login("john", john().password).await;
        ensure!(login.is_ok(), "john can't log in any more: {login:?}");
    }
    Ok(())
}

pub(crate) async fn tokens_log_their_users_in(t: &Trial) -> Outcome {
    t.rule("Credentials::Bearer: the user that the client names, if it does, must be the token's (RFC 7628 §3.1)");
    needs(t.verifies(CredentialKind::Bearer), "tokens are not verified")?;
    for account in ACCOUNTS {
        for user in [None, Some(""), Some(account.name)] {
            let login = t.bearer(user, account.token).await;
            let is_right = login.as_ref().is_ok_and(|identity| identity.name == account.name);
            ensure!(is_right, "the token of {account}, with the name {user:?}: {login:?}");
        }
    }
    let login = t.bearer(Some("jill@example.org"), john().token).await;
    ensure!(login.is_err(), "john's token logs in as {login:?}");
    for wrong in
        ["", "token", "token-of-joh", "token-of-john ", "TOKEN-OF-JOHN", "token-of-john\0", "right password"]
    {
        refused(t.bearer(None, wrong).await, &format!("the token {wrong:?}"), wrong)?;
    }
    Ok(())
}

pub(crate) async fn kinds_tells_what_is_verified(t: &Trial) -> Outcome {
    t.rule("Users::kinds: the kinds of credentials that authenticate() can verify");
    let kinds = t.users.kinds();
    ensure!(!kinds.is_empty(), "kinds() is empty: nobody could log in");
    for (n, kind) in kinds.iter().enumerate() {
        ensure!(!kinds.iter().skip(n + 1).any(|other| other == kind), "{kind:?} is there twice");
    }
    let (password, bearer) =
        (t.login("john", john().password).await, t.bearer(Some("john"), john().token).await);
    for (kind, login) in [(CredentialKind::Password, password), (CredentialKind::Bearer, bearer)] {
        if t.verifies(kind) {
            ensure!(
                login.is_ok(),
                "{kind:?} is one of kinds(), but right credentials are refused: {login:?}"
            );
        } else {
            let is_refused = matches!(login, Err(AuthError::Unsupported | AuthError::Invalid));
            ensure!(is_refused, "{kind:?} is none of kinds(), and gives {login:?}");
        }
    }
    Ok(())
}

pub(crate) async fn lookup_knows_who_there_is(t: &Trial) -> Outcome {
    t.rule(
        "Users::lookup: the user of that name, without logging in; the account is the same (RFC 5321 §3.3)",
    );
    for account in ACCOUNTS {
        let found = match t.users.lookup(account.name).await {
            Err(AuthError::Unsupported) => return needs(false, "the plugin can't tell who there is"),
            found => found.map_err(|error| format!("lookup({account}) fails: {error}"))?,
        };
        let Some(found) = found else {
            return Err(Stop::Broken(format!("lookup() does not find {account}")));
        };
        ensure!(found.name == account.name, "lookup({account}) gives {:?}", found.name);
        if has_passwords(t) {
            let login = t.login(account.name, account.password).await;
            let login = login.map_err(|error| format!("{account} can't log in: {error:?}"))?;
            ensure!(login.account == found.account, "lookup({account}) gives another account than a login");
        }
    }
    for unknown in ["nobody", "", "joh", "johnn", "john\0", "jill", "example.org", "@example.org"] {
        let found = t.users.lookup(unknown).await;
        ensure!(!matches!(found, Ok(Some(_))), "lookup({unknown:?}) finds {found:?}");
    }
    Ok(())
}

pub(crate) async fn users_come_and_go(t: &Trial) -> Outcome {
    t.rule("Manage: adds a user, or gives it another password; removes a user, false if there is none");
    let manage = t.users.as_manage().ok_or(Stop::Skipped("users can't be added"))?;
    let failed = |error: AuthError| format!("adding or removing a user fails: {error}");
    t.is_invalid("new", "first one").await?;
    manage.add("new", &SecretString::from("first one")).await.map_err(failed)?;
    let login = t.login("new", "first one").await;
    ensure!(login.as_ref().is_ok_and(|who| who.name == "new"), "a new user can't log in: {login:?}");
    manage.add("new", &SecretString::from("second one")).await.map_err(failed)?;
    t.is_invalid("new", "first one").await?;
    ensure!(t.login("new", "second one").await.is_ok(), "the new password is refused");
    ensure!(manage.remove("new").await.map_err(failed)?, "remove() does not tell that there was a user");
    ensure!(!manage.remove("new").await.map_err(failed)?, "remove() tells that a removed user was there");
    t.is_invalid("new", "second one").await?;
    ensure!(!matches!(t.users.lookup("new").await, Ok(Some(_))), "lookup() finds a removed user");
    ensure!(manage.add("", &SecretString::from("x")).await.is_err(), "a user without a name is added");
    ensure!(
        manage.add("new", &SecretString::from("")).await.is_err(),
        "a user with an empty password is added"
    );
    for account in ACCOUNTS {
        ensure!(t.login(account.name, account.password).await.is_ok(), "{account} can't log in any more");
    }
    Ok(())
}

pub(crate) async fn logins_at_once_are_told_apart(t: &Trial) -> Outcome {
    t.rule("Users::authenticate: logins at the same time have each its own answer");
    needs_passwords(t)?;
    let tasks: Vec<_> = (0..32_usize)
        .map(|n| {
            let t = t.clone();
            tokio::spawn(async move {
                let account = ACCOUNTS.get(n % ACCOUNTS.len()).copied().unwrap_or(john());
                let other = ACCOUNTS.get((n + 1) % ACCOUNTS.len()).copied().unwrap_or(john());
                let is_right = n % 2 == 0;
                let password = if is_right { account.password } else { other.password };
                let login = t.login(account.name, password).await;
                let is_told = match &login {
                    Ok(identity) => is_right && identity.name == account.name,
                    Err(error) => !is_right && matches!(error, AuthError::Invalid),
                };
                if is_told {
                    Ok(())
                } else {
                    Err(format!("one of 32 logins at once, of {account}: {login:?}"))
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.map_err(|error| format!("a login panicked: {error}"))??;
    }
    Ok(())
}

pub(crate) async fn an_unknown_user_takes_its_time(t: &Trial) -> Outcome {
    t.rule("Failures take the same time whether or not the user exists (RFC 4616 §6)");
    needs_passwords(t)?;
    let median = async |user: &str| {
        let mut times = Vec::new();
        for n in 0..7 {
            let start = Instant::now();
            let _ = t.login(user, &format!("wrong {n}")).await;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        times.get(3).copied().unwrap_or_default()
    };
    let (known, unknown) = (median("john").await, median("nobody").await);
    needs(known > Duration::from_millis(10), "a failure takes too little time to be measured")?;
    // Coarse, as a machine may have other things to do: a hash that is left out is plain to see.
    ensure!(unknown * 4 >= known, "a wrong password takes {known:?}, an unknown user {unknown:?}");
    Ok(())
}
