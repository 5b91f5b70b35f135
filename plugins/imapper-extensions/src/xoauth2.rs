//! AUTH=XOAUTH2, Google's (developers.google.com/workspace/gmail/imap/xoauth2-protocol): a name and an OAuth 2.0
//! bearer token in one message.

use imapper_core::registry::{Extension, Registry};
use imapper_core::users::{AuthError, CredentialKind, Credentials, Exchange, Identity, Mechanism, Step};
use secrecy::SecretString;

pub(crate) const WORDS: &[&str] = &["AUTH=XOAUTH2"];

/// Tells a client that it needs another token.
const REFUSED: &str = r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#;

/// The SASL mechanism. The core shows its capability where a users plugin can verify bearer tokens and nothing
/// holds them back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Xoauth2;

impl Extension for Xoauth2 {
    fn name(&self) -> &'static str {
        "AUTH=XOAUTH2"
    }

    fn install(&self, registry: &mut Registry) {
        registry.mechanism(Self);
    }
}

impl Mechanism for Xoauth2 {
    fn name(&self) -> &'static str {
        "XOAUTH2"
    }

    fn brings(&self) -> CredentialKind {
        CredentialKind::Bearer
    }

    fn is_plaintext(&self) -> bool {
        true
    }

    fn begin(&self) -> Box<dyn Exchange> {
        Box::new(Token)
    }
}

/// There is but one message, so there is nothing to remember.
struct Token;

impl Exchange for Token {
    fn step(&mut self, response: Option<&[u8]>) -> Step {
        let Some(message) = response else { return Step::Challenge(Vec::new()) };
        match parse(message) {
            Ok(credentials) => Step::Verify(credentials),
            Err(what) => Step::Malformed(what),
        }
    }

    fn verified(&mut self, outcome: Result<&Identity, &AuthError>) -> Option<Vec<u8>> {
        // Where the users are not available, another token would not help.
        matches!(outcome, Err(AuthError::Invalid | AuthError::NotAuthorized)).then(|| REFUSED.into())
    }
}

/// `user=NAME ^A auth=Bearer TOKEN ^A ^A`, without the spaces, in any order. Other fields mean nothing here.
fn parse(message: &[u8]) -> Result<Credentials, &'static str> {
    let message = std::str::from_utf8(message).map_err(|_| "the message is not UTF-8")?;
    let fields = message.strip_suffix("\x01\x01").ok_or("an XOAUTH2 message ends in two ^A")?;
    let (mut user, mut auth) = (None, None);
    for field in fields.split('\x01') {
        let (name, value) = field.split_once('=').ok_or("a field is a name, = and a value")?;
        let place = match name {
            "user" => &mut user,
            "auth" => &mut auth,
            _ => continue,
        };
        if place.replace(value).is_some() {
            return Err("a field stands there twice");
        }
    }
    let (Some(user), Some(auth)) = (user, auth) else { return Err("user and auth are needed") };
    // In a log they would be a nuisance.
    if user.is_empty() || user.contains(char::is_control) {
        return Err("a name is not empty and has no control characters");
    }
    let token = match auth.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => token,
        _ => return Err("auth is Bearer and a token"),
    };
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a token is not empty and has no spaces");
    }
    Ok(Credentials::Bearer { user: Some(user.to_owned()), token: SecretString::from(token) })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(message: &str) -> Option<(String, String)> {
        match Token.step(Some(message.as_bytes())) {
            Step::Verify(Credentials::Bearer { user: Some(user), token }) => {
                Some((user, token.expose_secret().to_owned()))
            }
            Step::Malformed(_) => None,
            step => panic!("{step:?}"),
        }
    }

    #[test]
    fn the_client_speaks_first() {
        assert!(matches!(Token.step(None), Step::Challenge(challenge) if challenge.is_empty()));
    }

    #[test]
    fn names_and_tokens() {
        for (message, user, token) in [
            // The example of Google's page.
            (
                "user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01",
                "someuser@example.com",
                "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg",
            ),
            ("auth=Bearer a=b/c+d==\x01user=jürgen x\x01\x01", "jürgen x", "a=b/c+d=="),
            ("host=h\x01user=u=v\x01port=993\x01auth=bearer t\x01\x01", "u=v", "t"),
        ] {
            assert_eq!(read(message), Some((user.to_owned(), token.to_owned())), "{message:?}");
        }
    }

    #[test]
    fn what_is_no_message() {
        for message in [
            "",
            "\x01",
            "\x01\x01",
            "user=u\x01\x01",
            "auth=Bearer t\x01\x01",
            "user=u\x01auth=Bearer t",
            "user=u\x01auth=Bearer t\x01",
            "user=u\x01auth=Bearer t\x01\x01\x01",
            "user=u\x01\x01auth=Bearer t\x01\x01",
            "user=u\x01auth=Bearer t\x01\x01x",
            "user=u\x01user=u\x01auth=Bearer t\x01\x01",
            "user=u\x01auth=Bearer t\x01auth=Bearer t\x01\x01",
            "user=\x01auth=Bearer t\x01\x01",
            "user=a\r\nb\x01auth=Bearer t\x01\x01",
            "user=u\x01auth=Bearer\x01\x01",
            "user=u\x01auth=Bearer \x01\x01",
            "user=u\x01auth=Bearer a b\x01\x01",
            "user=u\x01auth=Bearer a\0b\x01\x01",
            "user=u\x01auth=Basic t\x01\x01",
            "user=u\x01auth=t\x01\x01",
            "user=u\x01x\x01auth=Bearer t\x01\x01",
        ] {
            assert_eq!(read(message), None, "{message:?}");
        }
        assert!(matches!(Token.step(Some(b"user=\xff\x01auth=Bearer t\x01\x01")), Step::Malformed(_)));
    }

    #[test]
    fn only_a_token_that_is_not_taken_is_answered_with_a_challenge() {
        let challenge = |error: AuthError| Token.verified(Err(&error));
        assert_eq!(challenge(AuthError::Invalid), Some(REFUSED.into()));
        assert_eq!(challenge(AuthError::NotAuthorized), Some(REFUSED.into()));
        assert_eq!(challenge(AuthError::Unavailable("away".into())), None);
        assert_eq!(Token.verified(Ok(&Identity::new("u"))), None);
    }

    #[test]
    fn no_token_is_shown() {
        let step = Token.step(Some(b"user=u\x01auth=Bearer s3cret\x01\x01"));
        assert!(!format!("{step:?}").contains("s3cret"));
    }
}
