//! An extension that is off leaves no trace; each row also shows that the same is there when it is on.

use imapper_core::Server;
use imapper_extensions::{Options, all};

use crate::client::{Client, LOCAL, REMOTE, server};

#[derive(Clone, Copy)]
enum State {
    /// From another machine.
    Remote,
    NotAuthenticated,
    Authenticated,
    Selected,
}
use State::{Authenticated, NotAuthenticated, Remote, Selected};

/// Extension, state, command, and what one of the answers begins with when it is on and when it is off.
const TRACES: &[(&str, State, &str, &str, &str)] = &[
    ("AUTH=PLAIN", NotAuthenticated, "x AUTHENTICATE PLAIN AHRlc3R1c2VyAHRlc3RwYXNz", "x OK", "x NO"),
    ("CHILDREN", Authenticated, "x LIST \"\" INBOX", "* LIST (\\HasNoChildren)", "* LIST () "),
    ("ENABLE", Authenticated, "x ENABLE X-NONE", "x OK", "x BAD"),
    ("ID", NotAuthenticated, "x ID NIL", "* ID (", "x BAD"),
    ("IDLE", Selected, "x IDLE", "+ idling", "x BAD"),
    ("LITERAL+", NotAuthenticated, "x LOGIN {8+}\r\ntestuser {8+}\r\ntestpass", "x OK", "x BAD"),
    ("LITERAL-", NotAuthenticated, "x LOGIN {8+}\r\ntestuser {8+}\r\ntestpass", "x OK", "x BAD"),
    ("LOGINDISABLED", Remote, "x LOGIN testuser testpass", "x NO [PRIVACYREQUIRED]", "x OK"),
    ("NAMESPACE", Authenticated, "x NAMESPACE", "* NAMESPACE ((\"\" \"/\")) NIL NIL", "x BAD"),
    ("SASL-IR", NotAuthenticated, "x AUTHENTICATE PLAIN AHRlc3R1c2VyAHRlc3RwYXNz", "x OK", "x BAD"),
    ("STARTTLS", NotAuthenticated, "x STARTTLS", "x OK", "x BAD"),
    ("UIDPLUS", Selected, "x UID EXPUNGE 1", "x OK", "x BAD"),
    ("UNSELECT", Selected, "x UNSELECT", "x OK", "x BAD"),
];

/// The standard extensions, with `name` or without it. LITERAL+ and LITERAL- give way to each other.
fn with(name: &str, is_on: bool) -> Server {
    let others = all().into_iter().filter(|entry| {
        let is_rival = entry.name.starts_with("LITERAL") && name.starts_with("LITERAL");
        entry.standard && entry.name != name && !is_rival
    });
    let itself = all().into_iter().filter(|entry| is_on && entry.name == name);
    server(others.chain(itself).map(|entry| entry.extension(&Options::default())).collect())
}

async fn client(server: &Server, state: State) -> Client {
    match state {
        Remote => Client::greeted(server, REMOTE).await,
        NotAuthenticated => Client::greeted(server, LOCAL).await,
        Authenticated => Client::logged_in(server).await,
        Selected => Client::selected(server).await,
    }
}

#[tokio::test]
async fn what_an_extension_adds_is_gone_when_it_is_off() {
    for (name, state, command, on, off) in TRACES {
        for (is_on, want) in [(true, on), (false, off)] {
            let answers = client(&with(name, is_on), *state).await.run(command).await;
            let found = answers.iter().any(|line| line.starts_with(want));
            assert!(found, "{name}, on: {is_on}: {want} is not in {answers:?}");
        }
    }
}

#[tokio::test]
async fn the_words_of_an_extension_are_no_capabilities_when_it_is_off() {
    for entry in all() {
        for is_on in [true, false] {
            let server = with(entry.name, is_on);
            let mut is_shown = false;
            for state in [Remote, NotAuthenticated, Authenticated, Selected] {
                // On another machine LOGINDISABLED hides AUTH=PLAIN; on this one it is hidden itself.
                let shown = client(&server, state).await.capabilities().await;
                is_shown |= entry.words.iter().any(|word| shown.iter().any(|one| one == word));
            }
            assert_eq!(is_shown, is_on, "{}", entry.name);
        }
    }
}

#[test]
fn each_extension_has_a_row_here() {
    let rows: Vec<&str> = TRACES.iter().map(|row| row.0).collect();
    let names: Vec<&str> = all().iter().map(|entry| entry.name).collect();
    assert_eq!(rows, names);
}
