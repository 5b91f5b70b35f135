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

/// `user=testuser^Aauth=Bearer testtoken^A^A`
const XOAUTH2: &str = "x AUTHENTICATE XOAUTH2 dXNlcj10ZXN0dXNlcgFhdXRoPUJlYXJlciB0ZXN0dG9rZW4BAQ==";

/// Extension, stage, command, and what one of the answers begins with when it is on and when it is off.
const TRACES: &[(&str, Stage, &str, &str, &str)] = &[
    ("AUTH=PLAIN", NotAuthenticated, "x AUTHENTICATE PLAIN AHRlc3R1c2VyAHRlc3RwYXNz", "x OK", "x NO"),
    ("AUTH=XOAUTH2", NotAuthenticated, XOAUTH2, "x OK", "x NO"),
    ("CHILDREN", Authenticated, "x LIST \"\" INBOX", "* LIST (\\HasNoChildren)", "* LIST () "),
    ("CHILDREN", Authenticated, "x LIST \"\" a", "* LIST (\\HasChildren)", "* LIST () "),
    ("CONDSTORE", Selected, "x FETCH 1 MODSEQ", "* 1 FETCH (MODSEQ (", "x BAD"),
    ("CONDSTORE", Authenticated, "x SELECT INBOX (CONDSTORE)", "* OK [HIGHESTMODSEQ ", "x BAD"),
    ("CONDSTORE", Authenticated, "x SELECT INBOX", "* OK [HIGHESTMODSEQ ", "x OK"),
    ("CONDSTORE", Authenticated, "x STATUS INBOX (HIGHESTMODSEQ)", "* STATUS INBOX (HIGHESTMODSEQ", "x BAD"),
    ("CONDSTORE", Selected, "x FETCH 1 FLAGS (CHANGEDSINCE 0)", "* 1 FETCH (FLAGS ", "x BAD"),
    ("CONDSTORE", Selected, "x STORE 1 (UNCHANGEDSINCE 0) +FLAGS (x)", "x OK [MODIFIED 1]", "x BAD"),
    ("CONDSTORE", Selected, "x SEARCH MODSEQ 1", "* SEARCH 1 (MODSEQ ", "x BAD"),
    ("CONDSTORE", Selected, "x SELECT INBOX", "* OK [CLOSED]", "x OK"),
    ("CREATE-SPECIAL-USE", Authenticated, "x CREATE new (USE (\\Sent))", "x OK", "x BAD"),
    ("CREATE-SPECIAL-USE", Authenticated, "x CREATE other (USE (\\X))", "x NO [USEATTR]", "x BAD"),
    ("ENABLE", Authenticated, "x ENABLE X-NONE", "x OK", "x BAD"),
    ("ID", NotAuthenticated, "x ID NIL", "* ID (", "x BAD"),
    ("IDLE", Selected, "x IDLE", "+ idling", "x BAD"),
    ("LITERAL+", NotAuthenticated, "x LOGIN {8+}\r\ntestuser {8+}\r\ntestpass", "x OK", "x BAD"),
    ("LITERAL-", NotAuthenticated, "x LOGIN {8+}\r\ntestuser {8+}\r\ntestpass", "x OK", "x BAD"),
    ("LOGINDISABLED", Remote, "x LOGIN testuser testpass", "x NO [PRIVACYREQUIRED]", "x OK"),
    ("MOVE", Selected, "x MOVE 1 INBOX", "x OK", "x BAD"),
    ("MOVE", Selected, "x UID MOVE 1 INBOX", "x OK", "x BAD"),
    ("NAMESPACE", Authenticated, "x NAMESPACE", "* NAMESPACE ((\"\" \"/\")) NIL NIL", "x BAD"),
    ("QRESYNC", Authenticated, "x ENABLE QRESYNC", "* ENABLED QRESYNC", "* ENABLED"),
    ("QRESYNC", Authenticated, "x SELECT INBOX (QRESYNC (1 1))", "x BAD ENABLE QRESYNC", "x BAD"),
    ("QRESYNC", Selected, "x UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)", "x BAD ENABLE QRESYNC", "x BAD"),
    ("QUOTA", Authenticated, "x GETQUOTA testuser", "* QUOTA testuser (", "x BAD"),
    ("QUOTA", Authenticated, "x GETQUOTAROOT INBOX", "* QUOTAROOT INBOX testuser", "x BAD"),
    ("QUOTA", Authenticated, "x STATUS INBOX (DELETED)", "* STATUS INBOX (DELETED 0)", "x BAD"),
    (
        "QUOTA",
        Authenticated,
        "x STATUS INBOX (DELETED-STORAGE)",
        "* STATUS INBOX (DELETED-STORAGE 0)",
        "x BAD",
    ),
    (
        "QUOTASET",
        Authenticated,
        "x SETQUOTA testuser (STORAGE 99)",
        "* QUOTA testuser (STORAGE 1 99)",
        "x BAD",
    ),
    ("SASL-IR", NotAuthenticated, "x AUTHENTICATE PLAIN AHRlc3R1c2VyAHRlc3RwYXNz", "x OK", "x BAD"),
    (
        "SPECIAL-USE",
        Authenticated,
        "x LIST \"\" Sent",
        "* LIST (\\HasNoChildren \\Sent) ",
        "* LIST (\\HasNoChildren) ",
    ),
    (
        "SPECIAL-USE",
        Authenticated,
        "x LIST (SPECIAL-USE) \"\" *",
        "* LIST (\\HasNoChildren \\Sent) ",
        "x BAD",
    ),
    ("SPECIAL-USE", Authenticated, "x LIST \"\" * RETURN (SPECIAL-USE)", "x OK", "x BAD"),
    ("STARTTLS", NotAuthenticated, "x STARTTLS", "x OK", "x BAD"),
    ("UIDPLUS", Selected, "x UID EXPUNGE 1", "x OK", "x BAD"),
    ("UIDPLUS", Selected, "x COPY 1 INBOX", "x OK [COPYUID ", "x OK "),
    ("UIDPLUS", Selected, "x APPEND INBOX {1+}\r\nx", "x OK [APPENDUID ", "x OK "),
    ("UNSELECT", Selected, "x UNSELECT", "x OK", "x BAD"),
    ("X-FAULTS", NotAuthenticated, "x XTOYBIRD FAULT CLEAR", "x OK", "x BAD"),
    ("X-FAULTS", NotAuthenticated, "x XTOYBIRD SERVER", "    \"X-FAULTS\"", "x OK"),
    ("X-FAULTS", Remote, "x XTOYBIRD FAULT CLEAR", "x NO [NOPERM]", "x BAD"),
    ("X-GM-EXT-1", Selected, "x FETCH 1 X-GM-MSGID", "* 1 FETCH (X-GM-MSGID ", "x BAD"),
    ("X-GM-EXT-1", Selected, "x FETCH 1 X-GM-THRID", "* 1 FETCH (X-GM-THRID ", "x BAD"),
    ("X-GM-EXT-1", Selected, "x FETCH 1 X-GM-LABELS", "* 1 FETCH (X-GM-LABELS (\\Inbox))", "x BAD"),
    (
        "X-GM-EXT-1",
        Selected,
        "x STORE 1 +X-GM-LABELS (\\Inbox)",
        "* 1 FETCH (X-GM-LABELS (\\Inbox))",
        "x BAD",
    ),
    ("X-GM-EXT-1", Selected, "x SEARCH X-GM-MSGID 1", "* SEARCH", "x BAD"),
    ("X-GM-EXT-1", Selected, "x SEARCH X-GM-THRID 1", "* SEARCH", "x BAD"),
    ("X-GM-EXT-1", Selected, "x SEARCH X-GM-LABELS \\Inbox", "* SEARCH 1", "x BAD"),
    ("X-GM-EXT-1", Selected, "x SEARCH X-GM-RAW in:inbox", "* SEARCH 1", "x BAD"),
    ("XTOYBIRD", NotAuthenticated, "x XTOYBIRD SERVER", "* XTOYBIRD [XJSONDUMP] {", "x BAD"),
    ("XTOYBIRD", Selected, "x XTOYBIRD STORAGE", "* XTOYBIRD [XJSONDUMP] {", "x BAD"),
    ("XTOYBIRD", Remote, "x XTOYBIRD SERVER", "x NO [NOPERM]", "x BAD"),
];

/// Words that no row shows and no capability tells.
// No storage here is without mod-sequences; a mailbox has vanished by itself only.
const UNANNOUNCED: &[&str] = &["NOMODSEQ", "EARLIER"];

/// The standard extensions with one of them and without it, in two servers that held the same at first.
struct Pair {
    on: (Server, Arc<Memory>),
    off: (Server, Arc<Memory>),
}

impl Pair {
    fn new(name: &str) -> Self {
        // LITERAL+ and LITERAL- give way to each other; what needs an extension is off with it.
        let others = || {
            all().into_iter().filter(|entry| {
                let is_rival = entry.name.starts_with("LITERAL") && name.starts_with("LITERAL");
                let needs_it = entry.extension(&Options::default()).requires().contains(&name);
                // X-FAULTS shows through XTOYBIRD only.
                let is_on = entry.standard || (name == "X-FAULTS" && entry.name == "XTOYBIRD");
                is_on && entry.name != name && !is_rival && !needs_it
            })
        };
        let itself = all().into_iter().filter(|entry| entry.name == name);
        let fixture = r#"{"INBOX": {"messages": [{"raw": "Subject: x\r\n\r\nx"}]},
            "": {"folders": {"a": {"folders": {"b": {}}}, "Sent": {"special-use": "\\Sent"}}}}"#;
        let mut limits = Limits::default();
        limits.bad_commands_before_login = 100;
        let server = |entries: Vec<imapper_extensions::Entry>| {
            let users = Static::builder().plain_password("testuser", "testpass").unwrap();
            let users = users.token("testuser", "testtoken").unwrap().build();
            let storage = Arc::new(Memory::from_fixture(Fixture::from_json(fixture).unwrap()));
            let server = Server::builder()
                .storage(Arc::<Memory>::clone(&storage))
                .users(Arc::new(users))
                .limits(limits.clone());
            let extensions = entries.iter().map(|entry| entry.extension(&Options::default()));
            (server.extensions(extensions).tls(Arc::new(certificate().0)).build().unwrap(), storage)
        };
        let (on, off) = (server(others().chain(itself).collect()), server(others().collect()));
        Self { on, off }
    }

    const fn side(&self, is_on: bool) -> &(Server, Arc<Memory>) {
        if is_on { &self.on } else { &self.off }
    }
}

impl Switched for Pair {
    fn connect(&self, is_on: bool, remote: bool) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let server = self.side(is_on).0.clone();
            let (near, far) = tokio::io::duplex(64 * 1024);
            let peer = if remote { REMOTE } else { LOCAL };
            tokio::spawn(async move { server.serve(far, peer, TlsMode::StartTls).await });
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }

    fn dump(&self, is_on: bool) -> Result<String, String> {
        let dump = self.side(is_on).1.dump(&AccountId::from("testuser"), Dump::default());
        dump.map(|dump| dump.to_string()).map_err(|error| error.to_string())
    }

    fn unannounced(&self) -> &[&str] {
        UNANNOUNCED
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
