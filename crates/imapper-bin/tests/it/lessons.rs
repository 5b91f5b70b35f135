//! What has broken other servers, where no other test of ours holds it; and `docs/lessons.md`, which names the
//! test of each class.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use imapper_core::limits::Limits;
use imapper_core::storage::Storage;
use imapper_core::{Server, TlsMode};
use imapper_storage_memory::{Fixture, Memory};
use imapper_testkit::response::Response;
use imapper_users_static::Static;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;

use crate::inside::Inside;

fn serve(fixture: &serde_json::Value) -> Inside {
    let fixture = Fixture::from_json(&fixture.to_string()).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(Memory::from_fixture(fixture));
    Inside::new(storage)
}

/// Whatever a message or a name contains, the answer has the words that it should have.
#[tokio::test]
async fn content_adds_no_words_to_an_answer() {
    let evil = "x\\\" NIL) UID 99 {5} ";
    let raw = format!(
        "Subject: {evil}\r\n)\r\n* 9 EXPUNGE\r\nFrom: \"a\\\"b)\" <c\"d@example.com>\r\nContent-Type: text/x; \
         name=\"{evil}\"; b)=\"c\\\\\"\r\nContent-ID: <{evil}\0>\r\nContent-Disposition: attachment; \
         filename*0=\"){{9}}\"\r\n\r\n* BYE\r\n"
    );
    let name = "a\"b\\c (d) {3}";
    let server = serve(&json!({ "INBOX": { "messages": [{ "raw": raw }] } }));
    let mut client = server.selected().await;
    for item in ["ENVELOPE", "BODY", "BODYSTRUCTURE", "BODY[HEADER.FIELDS (SUBJECT FROM)]", "BODY[1.MIME]"] {
        client.send(format!("f FETCH 1 ({item})\r\n")).await;
        let answer = client.until("f ").await;
        let untagged = answer.rsplit_once("f OK").unwrap().0;
        let parsed = Response::parse(untagged.trim_end_matches("\r\n").as_bytes());
        let Ok(Response::Data(words)) = parsed else { panic!("{item}: {parsed:?} of {answer:?}") };
        assert_eq!(words.len(), 3, "{item}: {answer:?}");
    }
    let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
    assert!(client.ask(format!("c CREATE \"{quoted}\"")).await.contains("c OK"));
    let answer = client.ask("l LIST \"\" \"a*\"").await;
    let first = answer.lines().next().unwrap();
    let Ok(Response::Data(words)) = Response::parse(first.as_bytes()) else { panic!("{answer}") };
    assert_eq!((words.len(), words[3].octets()), (4, Some(name.as_bytes())), "{answer}");
}

/// Names of mailboxes that are another user's, or that look like a path, lead nowhere.
#[tokio::test]
async fn nobody_reaches_another_users_mail() {
    let server = serve(&json!({}));
    let mut john = server.selected().await;
    assert!(john.ask("a CREATE secret").await.contains("a OK"));
    assert!(john.ask("b SUBSCRIBE secret").await.contains("b OK"));
    let mut paul = server.client().await;
    assert!(paul.ask("l LOGIN paul s3cret").await.contains("l OK"));
    for pattern in ["*", "%", "secret", "../*", "/john/*", "~john/*", "#news.*"] {
        for verb in ["LIST", "LSUB"] {
            let answer = paul.ask(format!("p {verb} \"\" \"{pattern}\"")).await;
            assert!(answer.contains("p OK") && !answer.contains("secret"), "{answer}");
        }
    }
    for name in ["secret", "john/secret", "../john/secret", "/secret", "~john/secret", "user/john/secret"] {
        for command in
            [format!("SELECT {name}"), format!("STATUS {name} (MESSAGES)"), format!("DELETE {name}")]
        {
            let answer = paul.ask(format!("p {command}")).await;
            assert!(answer.contains("p NO") || answer.contains("p BAD"), "{command}: {answer}");
        }
    }
    assert!(john.ask("c SELECT secret").await.contains("c OK"));
}

/// Octets that are no command are BAD, end neither the server nor the connection at once, and the next command
/// is understood.
#[tokio::test]
async fn rubbish_is_bad_and_the_next_command_is_understood() {
    let server = serve(&json!({}));
    let lines: [&[u8]; 12] = [
        b"r NOOP \0",
        b"r LOGIN \"a\0b\" c",
        b"r LOGIN \"\xff\xfe\" \"\x80\"",
        b"r SELECT \"a\rb\"",
        b"r FETCH 4294967297 FLAGS",
        b"r UID FETCH 1:18446744073709551617 FLAGS",
        b"r FETCH 0 FLAGS",
        b"r STORE 1 +FLAGS (\\Recent)",
        b"r LIST \"\" \"\x01\"",
        b"r SEARCH ((((((((((((((((((((((((((((((((((((((((((((ALL",
        b"r FETCH 1 BODY[99999999999999999999]",
        b"r APPEND INBOX (\\) {99999999999999999999999}",
    ];
    for line in lines {
        let mut client = server.selected().await;
        let answer = client.ask(line).await;
        assert!(answer.contains(" BAD ") || answer.contains("r NO "), "{line:?}: {answer}");
        if !answer.contains("* BYE") {
            let answer = client.ask("after NOOP").await;
            assert!(answer.contains("after OK"), "{line:?}: {answer}");
        }
    }
}

/// A line of the traffic is a line, whatever a client has sent.
#[tokio::test]
async fn no_client_writes_lines_into_the_log() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let (said, storage) = (Arc::clone(&lines), Arc::new(Memory::new()));
    let users = Static::builder().plain_password("john", "s3cret").unwrap().build();
    let server = Server::builder().storage(storage).users(Arc::new(users)).traffic(Arc::new(
        move |_, direction, line| said.lock().unwrap().push(format!("{direction} {line}")),
    ));
    let server = Inside(server.build().unwrap());
    let mut client = server.client().await;
    client.send("a LOGIN {17}\r\n").await;
    assert!(client.line().await.starts_with("+ "));
    client.send("x\r\n9 S: a OK in\r\n {3}\r\n").await;
    client.until("+ ").await;
    client.send("abc\r\n").await;
    assert!(client.until("a ").await.contains("a NO"));
    client.ask("b LOGIN john s3cret").await;
    client.ask("c SELECT \"\x1b[2Jno\x07\"").await;
    let lines = lines.lock().unwrap();
    assert!(lines.len() > 4);
    let broken = |line: &&String| line.contains(['\r', '\n']);
    assert_eq!(lines.iter().find(broken), None);
    assert!(!lines.iter().any(|line| line.contains("s3cret")), "{lines:?}");
}

/// Who connects to a port of TLS and says nothing is let go.
#[tokio::test]
async fn a_handshake_that_does_not_come_has_an_end() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls =
        tls.unwrap().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let mut limits = Limits::default();
    limits.tls_handshake_timeout = Duration::from_millis(20);
    let users = Static::builder().build();
    let server = Server::builder().storage(Arc::new(Memory::new())).users(Arc::new(users));
    let server = server.limits(limits).tls(Arc::new(tls)).build().unwrap();
    let (_ours, theirs) = tokio::io::duplex(1024);
    let served = server.serve(theirs, None, TlsMode::Implicit);
    tokio::time::timeout(Duration::from_secs(20), served).await.unwrap();
}

/// The rows of the tables, but for their headers and rules.
fn rows(page: &str) -> Vec<&str> {
    let lines: Vec<&str> = page.lines().collect();
    let is_header = |next: Option<&&str>| next.is_some_and(|next| next.starts_with("| ---"));
    let rows = lines.iter().enumerate().filter(|(at, line)| {
        line.starts_with('|') && !line.starts_with("| ---") && !is_header(lines.get(at + 1))
    });
    rows.map(|(_, line)| *line).collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The page has a row for each limit, and each row the keys that it is about.
#[test]
fn the_page_of_lessons_has_every_limit() {
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        std::fs::read_to_string(path).unwrap()
    };
    let (page, reference) = (read("lessons.md"), read("configuration.md"));
    // That these are the keys of `Limits` is tested where they are written down.
    let keys = reference.split_once("<!-- keys of limits -->\n").unwrap().1;
    let keys = keys.split_once("<!-- end of keys -->").unwrap().0;
    let mut wanted: Vec<&str> = rows(keys).iter().filter_map(|row| quoted(row).first().copied()).collect();
    let (_, limits) = page.split_once("\n## Limits\n").unwrap();
    let cells: Vec<&str> = rows(limits).iter().map(|row| row.split('|').nth(2).unwrap()).collect();
    for (row, cell) in rows(limits).iter().zip(&cells) {
        assert!(!quoted(cell).is_empty(), "no key in {row}");
    }
    let mut named: Vec<&str> = cells.iter().flat_map(|cell| quoted(cell)).collect();
    wanted.sort_unstable();
    named.sort_unstable();
    assert_eq!(named, wanted);
}

/// Every test that the page names is there. A name is `file.rs::function`, or a script's file.
#[test]
fn the_page_of_lessons_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/lessons.md")).unwrap();
    let rows = rows(&page);
    assert!(rows.len() > 25, "the tables are gone");
    let mut folder = "";
    for row in rows {
        let cell = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        let names = quoted(cell);
        assert!(!names.is_empty(), "no test in {row}");
        for name in names {
            let (file, function) = name.split_once("::").unwrap_or((name, ""));
            // A file without its folder lies where the one before it did.
            let path = if let Some((before, _)) = file.rsplit_once('/') {
                folder = before;
                root.join(file)
            } else {
                root.join(folder).join(file)
            };
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            let is_there = function.is_empty() || text.contains(&format!("fn {function}("));
            assert!(is_there, "there is no {function} in {file}");
        }
    }
}
