//! How the server ends: what is in flight is finished, and a second signal cuts it off.

use std::io::Read as _;
use std::net::TcpStream;

use crate::client::Client;
use crate::program::{Folder, Running};

/// More than the buffers of a connection hold, so that it is under way until the client reads.
const LINES: usize = 8 * 1024;

/// A server that serves one large message, and a client that has asked for it and does not read.
fn fetching() -> (Folder, Running, Client) {
    let folder = Folder::new();
    let line = format!("{}\\r\\n", "x".repeat(1022));
    let message = format!("Subject: large\\r\\n\\r\\n{}", line.repeat(LINES));
    folder.write("mailbox.json", &format!(r#"{{"INBOX": {{"messages": [{{"raw": "{message}"}}]}}}}"#));
    let server = folder.serve(["--storage", "mailbox.json", "--port", "0"], 1);
    let mut client = Client::connect(server.addresses[0]);
    assert!(client.ask("a LOGIN testuser testpass").contains("a OK"));
    assert!(client.ask("b SELECT INBOX").contains("b OK"));
    client.send("c FETCH 1 BODY.PEEK[]");
    let first = client.line();
    assert!(first.starts_with("* 1 FETCH ("), "{first:?}");
    (folder, server, client)
}

#[test]
fn sessions_that_wait_are_told_to_go() {
    for signal in ["TERM", "INT"] {
        let folder = Folder::new();
        folder.write("mailbox.json", "{}");
        let server = folder.serve(["--storage", "mailbox.json", "--port", "0"], 1);
        let greeted = Client::connect(server.addresses[0]);
        let mut idle = Client::connect(server.addresses[0]);
        assert!(idle.ask("a LOGIN testuser testpass").contains("a OK"));
        idle.send("b IDLE");
        assert!(idle.line().starts_with("+ "));
        server.signal(signal);
        assert_eq!(server.ended().status, 0);
        for client in [greeted, idle] {
            let rest = client.rest();
            assert!(rest.starts_with("* BYE [UNAVAILABLE]") && rest.lines().count() == 1, "{rest:?}");
        }
    }
}

#[test]
fn a_command_in_flight_is_finished() {
    let (_folder, mut server, client) = fetching();
    server.signal("TERM");
    server.logged("stopping");
    let rest = client.rest();
    assert_eq!(rest.lines().filter(|line| line.len() == 1022).count(), LINES);
    let end: Vec<&str> = rest.lines().rev().take(3).collect();
    assert!(end[0].starts_with("* BYE") && end[1].starts_with("c OK") && end[2] == ")", "{end:?}");
    let ended = server.ended();
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(!ended.err.contains("did not finish"), "{ended:?}");
}

#[test]
fn told_by_a_client_it_lets_nobody_in_and_ends_with_the_last_one() {
    let folder = Folder::new();
    folder.write("mailbox.json", "{}");
    let arguments = ["--storage", "mailbox.json", "--port", "0", "--plugin=XTOYBIRD", "--debug"];
    let server = folder.serve(arguments, 1);
    let (mut first, mut last) = (Client::connect(server.addresses[0]), Client::connect(server.addresses[0]));
    assert!(first.ask("a XTOYBIRD USERADD \"jill\" \"s3cret\"").contains("a OK"));
    assert!(first.ask("b XTOYBIRD SHUTDOWN").contains("b OK"));
    let mut refused = String::new();
    TcpStream::connect(server.addresses[0]).unwrap().read_to_string(&mut refused).unwrap();
    assert!(refused.starts_with("* BYE [UNAVAILABLE] ") && refused.lines().count() == 1, "{refused:?}");
    drop(first);
    assert!(last.ask("a LOGIN jill s3cret").contains("a OK"));
    // One whose literal is refused is masked, too.
    assert!(last.ask("b XTOYBIRD USERADD jill s3cret {9999999}").contains("b BAD [TOOBIG]"));
    drop(last);
    let ended = server.ended();
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.out.contains("R: a XTOYBIRD USERADD \"***\""), "{ended:?}");
    assert!(!ended.out.contains("s3cret") && !ended.err.contains("s3cret"), "{ended:?}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for second in ["TERM", "INT"] {
        let (_folder, mut server, client) = fetching();
        server.signal("TERM");
        server.logged("stopping");
        server.signal(second);
        let ended = server.ended();
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(ended.err.contains("WARN") && ended.err.contains("told to stop once more"), "{ended:?}");
        drop(client);
    }
}
