//! An extension that is off leaves no trace; each row also shows that the same is there when it is on.

use std::io;
use std::sync::Arc;

use imapper_core::limits::Limits;
use imapper_core::storage::AccountId;
use imapper_core::{Server, TlsMode};
use imapper_extensions::{Options, all};
use imapper_storage_memory::{Dump, Fixture, Memory};
use imapper_testkit::no_trace::{Stage, Switched, Trace, no_trace};
use imapper_testkit::{BoxFuture, Stream};
use imapper_users_static::Static;

use crate::client::{LOCAL, REMOTE, certificate};
use Stage::{Authenticated, NotAuthenticated, Remote, Selected};

/// Extension, stage, command, and what one of the answers begins with when it is on and when it is off.
const TRACES: &[(&str, Stage, &str, &str, &str)] = &[
    ("AUTH=PLAIN", NotAuthenticated, "x AUTHENTICATE PLAIN AHRlc3R1c2VyAHRlc3RwYXNz", "x OK", "x NO"),
    ("CHILDREN", Authenticated, "x LIST \"\" INBOX", "* LIST (\\HasNoChildren)", "* LIST () "),
    ("ENABLE", Authenticated, "x ENABLE X-NONE", "x OK", "x BAD"),
    ("ID", NotAuthenticated, "x ID NIL", "* ID (", "x BAD"),
    ("IDLE", Selected, "x IDLE", "+ idling", "x BAD"),
    ("LITERAL+", NotAuthenticated, "x LOGIN {8+}\r\ntestuser {8+}\r\ntestpass", "x OK", "x BAD"),
    ("LITERAL-", NotAuthenticated, "x LOGIN {8+}\r\ntestuser {8+}\r\ntestpass", "x OK", "x BAD"),
    ("LOGINDISABLED", Remote, "x LOGIN testuser testpass", "x NO [PRIVACYREQUIRED]", "x OK"),
    ("MOVE", Selected, "x MOVE 1 INBOX", "x OK", "x BAD"),
    ("MOVE", Selected, "x UID MOVE 1 INBOX", "x OK", "x BAD"),
    ("NAMESPACE", Authenticated, "x NAMESPACE", "* NAMESPACE ((\"\" \"/\")) NIL NIL", "x BAD"),
    ("SASL-IR", NotAuthenticated, "x AUTHENTICATE PLAIN AHRlc3R1c2VyAHRlc3RwYXNz", "x OK", "x BAD"),
    ("STARTTLS", NotAuthenticated, "x STARTTLS", "x OK", "x BAD"),
    ("UIDPLUS", Selected, "x UID EXPUNGE 1", "x OK", "x BAD"),
    ("UNSELECT", Selected, "x UNSELECT", "x OK", "x BAD"),
    ("XTOYBIRD", NotAuthenticated, "x XTOYBIRD SERVER", "* XTOYBIRD [XJSONDUMP] {", "x BAD"),
    ("XTOYBIRD", Selected, "x XTOYBIRD STORAGE", "* XTOYBIRD [XJSONDUMP] {", "x BAD"),
    ("XTOYBIRD", Remote, "x XTOYBIRD SERVER", "x NO [NOPERM]", "x BAD"),
];

/// The standard extensions with one of them and without it, in two servers that hold the same.
struct Pair {
    on: Server,
    off: Server,
    storage: Arc<Memory>,
}

impl Pair {
    fn new(name: &str) -> Self {
        // LITERAL+ and LITERAL- give way to each other.
        let others = || {
            all().into_iter().filter(|entry| {
                let is_rival = entry.name.starts_with("LITERAL") && name.starts_with("LITERAL");
                entry.standard && entry.name != name && !is_rival
            })
        };
        let itself = all().into_iter().filter(|entry| entry.name == name);
        let fixture = r#"{"INBOX": {"messages": [{"raw": "Subject: x\r\n\r\nx"}]}}"#;
        let storage = Arc::new(Memory::from_fixture(Fixture::from_json(fixture).unwrap()));
        let mut limits = Limits::default();
        limits.bad_commands_before_login = 100;
        let server = |entries: Vec<imapper_extensions::Entry>| {
            let users = Static::builder().plain_password("testuser", "testpass").unwrap().build();
            let storage = Arc::<Memory>::clone(&storage);
            let server = Server::builder().storage(storage).users(Arc::new(users)).limits(limits.clone());
            let extensions = entries.iter().map(|entry| entry.extension(&Options::default()));
            server.extensions(extensions).tls(Arc::new(certificate().0)).build().unwrap()
        };
        let (on, off) = (server(others().chain(itself).collect()), server(others().collect()));
        Self { on, off, storage }
    }
}

impl Switched for Pair {
    fn connect(&self, is_on: bool, remote: bool) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let server = if is_on { self.on.clone() } else { self.off.clone() };
            let (near, far) = tokio::io::duplex(64 * 1024);
            let peer = if remote { REMOTE } else { LOCAL };
            tokio::spawn(async move { server.serve(far, peer, TlsMode::StartTls).await });
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }

    fn dump(&self) -> Option<String> {
        self.storage.dump(&AccountId::from("testuser"), Dump::default()).ok().map(|dump| dump.to_string())
    }
}

#[tokio::test]
async fn what_an_extension_adds_is_gone_when_it_is_off() {
    for entry in all() {
        let traces: Vec<Trace<'_>> = TRACES
            .iter()
            .filter(|row| row.0 == entry.name)
            .map(|(_, stage, command, on, off)| Trace { stage: *stage, command, on, off })
            .collect();
        assert!(!traces.is_empty(), "{} has no row here", entry.name);
        let found = no_trace(&Pair::new(entry.name), entry.words, &traces).await;
        assert_eq!(found, Ok(()), "{}", entry.name);
    }
}
