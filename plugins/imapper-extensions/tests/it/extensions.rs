//! What wire scripts can't show: TLS, other machines, two extensions that exclude each other.

use std::sync::Arc;

use async_trait::async_trait;
use imapper_core::Server;
use imapper_core::registry::{Context, Extension, Flow, InAny, Outcome, Registry, Row, Run};
use imapper_core::session::Reply;
use imapper_core::users::{AuthError, ConnectionInfo, CredentialKind, Credentials, Identity, Users};
use imapper_core::wire::Args;
use imapper_extensions::{ClientId, IdFields, Options, find, standard};
use imapper_storage_memory::Memory;
use imapper_testkit::Model;
use imapper_users_static::Static;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use crate::client::{Client, LOCAL, REMOTE, by_name, certificate, server};

fn empty() -> imapper_core::server::Builder {
    let users = Static::builder().plain_password("testuser", "testpass").unwrap().build();
    Server::builder().storage(Arc::new(Memory::new())).users(Arc::new(users))
}

#[tokio::test]
async fn starttls_drops_what_came_behind_it_and_tells_other_capabilities() {
    let (server_config, client_config) = certificate();
    let server = empty().tls(Arc::new(server_config)).extensions(standard()).build().unwrap();
    let mut client = Client::greeted(&server, REMOTE).await;
    let before = client.capabilities().await;
    assert!(before.contains(&"STARTTLS".to_owned()) && before.contains(&"LOGINDISABLED".to_owned()));
    // In one packet, as somebody on the way would put it in.
    client.send("a1 STARTTLS\r\na2 ID NIL\r\n").await;
    assert!(client.line().await.starts_with("a1 OK "));

    let name = ServerName::try_from("localhost").unwrap();
    let stream =
        TlsConnector::from(Arc::new(client_config)).connect(name, client.into_stream()).await.unwrap();
    let mut client = Client::over(stream);
    assert_eq!(client.run("a3 NOOP").await, ["a3 OK NOOP completed"]);
    let after = client.capabilities().await;
    assert!(!after.contains(&"STARTTLS".to_owned()) && !after.contains(&"LOGINDISABLED".to_owned()));
    assert!(after.contains(&"AUTH=PLAIN".to_owned()));
    assert!(client.run("a4 STARTTLS").await.concat().starts_with("a4 BAD "));
    client.ok("a5 LOGIN testuser testpass").await;
}

#[tokio::test]
async fn after_starttls_nothing_is_taken_in_the_clear() {
    let server = server(by_name(&["STARTTLS"], true));
    let mut client = Client::greeted(&server, REMOTE).await;
    assert!(client.run("a1 STARTTLS").await.concat().starts_with("a1 OK "));
    let mut stream = client.into_stream();
    stream.write_all(b"a2 LOGIN testuser testpass\r\na3 NOOP\r\n").await.unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    let got = String::from_utf8_lossy(&got);
    assert!(!got.contains("a2") && !got.contains("a3") && !got.contains("OK"), "{got}");
}

#[tokio::test]
async fn starttls_is_no_where_there_is_no_certificate() {
    let server = empty().extensions(by_name(&["STARTTLS"], true)).build().unwrap();
    let mut client = Client::greeted(&server, LOCAL).await;
    assert!(!client.capabilities().await.contains(&"STARTTLS".to_owned()));
    assert!(client.run("a1 STARTTLS").await.concat().starts_with("a1 NO "));
}

#[tokio::test]
async fn logindisabled_holds_on_this_machine_only_if_it_was_named() {
    for (named, peer, holds) in [
        (false, LOCAL, false),
        (false, Some("127.0.0.1".parse().unwrap()), false),
        (false, REMOTE, true),
        (true, LOCAL, true),
        (true, REMOTE, true),
    ] {
        let server = server(by_name(&["LOGINDISABLED", "AUTH=PLAIN", "SASL-IR"], named));
        let mut client = Client::greeted(&server, peer).await;
        let words = client.capabilities().await;
        assert_eq!(words.contains(&"LOGINDISABLED".to_owned()), holds, "{named} {peer:?}");
        assert_eq!(words.contains(&"AUTH=PLAIN".to_owned()), !holds, "{named} {peer:?}");
        for command in ["a1 LOGIN testuser wrong", "a1 AUTHENTICATE PLAIN AHRlc3R1c2VyAHdyb25n"] {
            let want = if holds { "a1 NO [PRIVACYREQUIRED]" } else { "a1 NO [AUTHENTICATIONFAILED]" };
            let answer = client.run(command).await.concat();
            assert!(answer.starts_with(want), "{named} {peer:?} {command}: {answer}");
        }
    }
}

#[test]
fn only_one_of_both_literals_can_be_on() {
    for names in [["LITERAL+", "LITERAL-"], ["LITERAL-", "LITERAL+"]] {
        let error = empty().extensions(by_name(&names, true)).build().err().unwrap();
        assert_eq!(error.to_string(), format!("{} and {} can't both be on", names[0], names[1]));
    }
}

#[tokio::test]
async fn a_literal_that_may_not_come_so_ends_the_connection_unread() {
    let mut client = Client::logged_in(&server(by_name(&["LITERAL-"], true))).await;
    client.send("a1 STATUS {4097+}\r\na2 NOOP\r\n").await;
    assert!(client.line().await.starts_with("* BYE [TOOBIG]"));
    assert_eq!(client.line().await, "");
}

#[tokio::test]
async fn id_tells_what_was_configured() {
    for (fields, want) in
        [(vec![("vendor".to_owned(), "us".to_owned())], "* ID (\"vendor\" \"us\")"), (Vec::new(), "* ID NIL")]
    {
        let options = Options::new(true).id(IdFields::new(fields).unwrap());
        let server = server(vec![find("ID").unwrap().extension(&options)]);
        let mut client = Client::greeted(&server, LOCAL).await;
        assert_eq!(client.ok("a1 ID (\"name\" \"x\")").await, [want]);
    }
}

/// Tells what other extensions can read of the client's ID.
struct Xwho;

impl Extension for Xwho {
    fn name(&self) -> &'static str {
        "XWHO"
    }

    fn install(&self, registry: &mut Registry) {
        registry.command(Row::new("XWHO", Run::any(Self)));
    }
}

#[async_trait]
impl InAny for Xwho {
    async fn run(&self, cx: &mut Context<'_>, _args: &mut Args<'_>) -> Outcome {
        let client = cx.data.get::<ClientId>().cloned();
        Ok(Flow::Done(Reply::text(format!("{:?}", client.map(|client| client.fields)))))
    }
}

#[tokio::test]
async fn the_last_id_of_a_client_stays_on_its_session() {
    let mut extensions = by_name(&["ID"], true);
    extensions.push(Box::new(Xwho));
    let server = server(extensions);
    let mut client = Client::greeted(&server, LOCAL).await;
    assert_eq!(client.run("a1 XWHO").await, ["a1 OK None"]);
    client.ok("a2 ID (\"name\" \"x\" \"os\" NIL)").await;
    client.ok("a3 LOGIN testuser testpass").await;
    assert_eq!(client.run("a4 XWHO").await, ["a4 OK Some([(\"name\", Some(\"x\")), (\"os\", None)])"]);
    assert!(client.run("a5 ID (\"name\")").await.concat().starts_with("a5 BAD "));
    assert!(client.run("a6 XWHO").await.concat().contains("\"x\""));
    client.ok("a7 ID NIL").await;
    assert_eq!(client.run("a8 XWHO").await, ["a8 OK Some([])"]);
    let mut other = Client::greeted(&server, LOCAL).await;
    assert_eq!(other.run("b1 XWHO").await, ["b1 OK None"]);
}

#[tokio::test]
async fn idle_tells_no_removal_once_it_is_over() {
    let server = server(by_name(&["IDLE"], true));
    let (mut idle, mut other) = (Client::selected(&server).await, Client::selected(&server).await);
    assert_eq!(idle.run("a1 IDLE").await, ["+ idling"]);
    other.ok("b1 STORE 1 +FLAGS (\\Answered)").await;
    let told = idle.line().await;
    assert!(told.starts_with("* 1 FETCH (") && told.contains("\\Answered"), "{told}");
    // The client's DONE and the command behind it were on their way when the removal happened.
    idle.send("DONE\r\na2 FETCH 3 UID\r\n").await;
    other.ok("b2 EXPUNGE").await;
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line.starts_with("a2 ")) {
        lines.push(idle.line().await);
    }
    // Either it was told before the end of IDLE, or not before the end of FETCH.
    let at = |start: &str| lines.iter().position(|line| line.starts_with(start));
    let (idled, fetched) = (at("a1 OK").unwrap(), at("a2 "));
    let removed = at("* 2 EXPUNGE");
    assert!(removed.is_none_or(|removed| removed < idled) && fetched > Some(idled), "{lines:?}");
}

#[tokio::test]
async fn a_server_that_is_told_something_else_than_done_says_bad_and_goes_on() {
    let mut client = Client::selected(&server(by_name(&["IDLE"], true))).await;
    assert_eq!(client.run("a1 IDLE").await, ["+ idling"]);
    assert_eq!(client.run("a1 LOGOUT").await, ["a1 BAD DONE expected"]);
    client.ok("a3 NOOP").await;
}

#[tokio::test]
async fn unselect_removes_nothing() {
    let mut client = Client::selected(&server(by_name(&["UNSELECT"], true))).await;
    client.ok("a1 UNSELECT").await;
    assert!(client.run("a2 CHECK").await.concat().starts_with("a2 BAD "));
    let status = client.ok("a3 STATUS INBOX (MESSAGES)").await;
    assert_eq!(status, ["* STATUS INBOX (MESSAGES 3)"]);
}

#[tokio::test]
async fn xtoybird_elsewhere_is_refused_unless_it_is_allowed_and_somebody_has_logged_in() {
    for allowed in [false, true] {
        let options = Options::new(true).xtoybird_remote(allowed);
        let server = server(vec![find("XTOYBIRD").unwrap().extension(&options)]);
        let mut client = Client::greeted(&server, REMOTE).await;
        assert!(!client.capabilities().await.contains(&"XTOYBIRD".to_owned()));
        for command in ["a1 XTOYBIRD STORAGE", "a1 XTOYBIRD USERADD jill x", "a1 XTOYBIRD SHUTDOWN"] {
            let answer = client.run(command).await.concat();
            assert!(answer.starts_with("a1 NO [NOPERM] "), "{command}: {answer}");
        }
        client.ok("a2 LOGIN testuser testpass").await;
        assert_eq!(client.capabilities().await.contains(&"XTOYBIRD".to_owned()), allowed);
        let answer = client.run("a3 XTOYBIRD USERADD jill x").await.concat();
        assert!(answer.starts_with(if allowed { "a3 OK " } else { "a3 NO [NOPERM] " }), "{answer}");
    }
}

#[tokio::test]
async fn what_storage_and_users_can_not_do_xtoybird_can_not_do() {
    struct Nobody;

    #[async_trait]
    impl Users for Nobody {
        fn kinds(&self) -> &[CredentialKind] {
            &[]
        }

        async fn authenticate(&self, _: &Credentials, _: &ConnectionInfo) -> Result<Identity, AuthError> {
            Err(AuthError::Unsupported)
        }
    }

    let builder = Server::builder().storage(Arc::new(Model::new())).users(Arc::new(Nobody));
    let server = builder.extensions(by_name(&["XTOYBIRD"], true)).build().unwrap();
    let mut client = Client::greeted(&server, LOCAL).await;
    for command in ["a1 XTOYBIRD STORAGE", "a1 XTOYBIRD USERADD jill x", "a1 XTOYBIRD USERDEL jill"] {
        let answer = client.run(command).await.concat();
        assert!(answer.starts_with("a1 NO [CANNOT] "), "{command}: {answer}");
    }
}
