//! AUTH=PLAIN (RFC 4616): a name and a password in one message.

use imapper_core::registry::{Extension, Registry};
use imapper_core::users::{CredentialKind, Credentials, Exchange, Mechanism, Step};
use secrecy::SecretString;

pub(crate) const WORDS: &[&str] = &["AUTH=PLAIN"];

/// The SASL mechanism. The core shows its capability where a users plugin can verify passwords and nothing
/// holds them back.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuthPlain;

impl Extension for AuthPlain {
    fn name(&self) -> &'static str {
        "AUTH=PLAIN"
    }

    fn install(&self, registry: &mut Registry) {
        registry.mechanism(Self);
    }
}

impl Mechanism for AuthPlain {
    fn name(&self) -> &'static str {
        "PLAIN"
    }

    fn brings(&self) -> CredentialKind {
        CredentialKind::Password
    }

    fn is_plaintext(&self) -> bool {
        true
    }

    fn begin(&self) -> Box<dyn Exchange> {
        Box::new(Plain)
    }
}

/// There is but one message, so there is nothing to remember.
struct Plain;

impl Exchange for Plain {
    fn step(&mut self, response: Option<&[u8]>) -> Step {
        // RFC 4616 §2: the client speaks first; where it can't, it is asked with an empty challenge.
        let Some(message) = response else { return Step::Challenge(Vec::new()) };
        match parse(message) {
            Ok(credentials) => Step::Verify(credentials),
            Err(what) => Step::Malformed(what),
        }
    }
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 §2).
fn parse(message: &[u8]) -> Result<Credentials, &'static str> {
    // Checked as a whole: NUL is no part of any longer character of UTF-8.
    let message = std::str::from_utf8(message).map_err(|_| "the message is not UTF-8")?;
    let mut parts = message.split('\0');
    let (Some(authzid), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("a PLAIN message has two NULs");
    };
    if user.is_empty() || password.is_empty() {
        return Err("neither the name nor the password can be empty");
    }
    // RFC 4013 §2.3 prohibits them in a name; in a log they would be a nuisance.
    if authzid.chars().chain(user.chars()).any(char::is_control) {
        return Err("a name has no control characters");
    }
    Ok(Credentials::Password {
        // Whoever names itself asks to act as nobody else.
        authzid: Some(authzid).filter(|authzid| !authzid.is_empty() && *authzid != user).map(str::to_owned),
        user: user.to_owned(),
        password: SecretString::from(password),
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(message: &[u8]) -> Option<(Option<String>, String, String)> {
        match Plain.step(Some(message)) {
            Step::Verify(Credentials::Password { authzid, user, password }) => {
                Some((authzid, user, password.expose_secret().to_owned()))
            }
            Step::Malformed(_) => None,
            step => panic!("{step:?}"),
        }
    }

    #[test]
    fn the_client_speaks_first() {
        assert!(matches!(Plain.step(None), Step::Challenge(challenge) if challenge.is_empty()));
    }

    #[test]
    fn names_and_passwords() {
        let long = "é".repeat(127) + "x";
        for (message, authzid, user, password) in [
            ("\0tim\0tanstaaftanstaaf", None, "tim", "tanstaaftanstaaf"),
            ("Ursel\0Kurt\0xipj3plmq", Some("Ursel"), "Kurt", "xipj3plmq"),
            ("tim\0tim\0x", None, "tim", "x"),
            ("Tim\0tim\0x", Some("Tim"), "tim", "x"),
            ("\0jürgen\0pass wörd\t", None, "jürgen", "pass wörd\t"),
            (&format!("\0{long}\0{long}"), None, &long, &long),
        ] {
            let want = (authzid.map(str::to_owned), user.to_owned(), password.to_owned());
            assert_eq!(read(message.as_bytes()), Some(want), "{message:?}");
        }
    }

    #[test]
    fn what_is_no_message() {
        for message in [
            &b""[..],
            b"\0",
            b"\0tim",
            b"\0\0",
            b"\0tim\0",
            b"\0\0pass",
            b"tim\0\0pass",
            b"\0tim\0pa\0ss",
            b"\0tim\0pass\0",
            b"\0t\r\nim\0pass",
            b"a\tb\0tim\0pass",
            b"\0tim\0\xff\xfe",
            b"\0t\xc0\x80im\0pass",
        ] {
            assert_eq!(read(message), None, "{message:?}");
        }
    }
}
