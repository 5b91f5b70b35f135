//! What clients that err, or that nobody wrote as a client, make the server write: never a password.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::client::Client;

use super::{PASSWORD, Site, USER, WRONG_PASSWORD};

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A password in each place in which it can come.
fn commands(password: &str) -> Vec<String> {
    let word = quoted(password);
    let initial = STANDARD.encode(format!("\0{USER}\0{password}"));
    let alone = STANDARD.encode(password);
    let size = password.len();
    let user = USER.len();
    vec![
        format!("a LOGIN {USER} {word} more"),
        format!("a LOGIN {word}"),
        format!("a LOGIN {USER}  {word}"),
        format!("a  LOGIN {USER} {word}"),
        format!("a login \"{USER}\" {word}x"),
        format!("a LOGIN {USER} {}", &word[..word.len() - 1]),
        format!("a LOGIN {{{user}+}}\r\n{USER} {{{size}+}}\r\n{password} more"),
        format!("a LOGN {USER} {word}"),
        format!("LOGIN {USER} {word}"),
        format!("USER {USER}\r\nPASS {password}"),
        format!("a UID LOGIN {USER} {word}"),
        format!("a AUTHENTICATE PLAIN {initial} more"),
        format!("a AUTHENTICATE PLAIN {initial}x"),
        format!("a AUTHENTICATE PLAIN ={initial}"),
        format!("a AUTHENTICATE X-UNKNOWN {initial}"),
        format!("a AUTHENTICATE X-UNKNOWN\r\n{initial}"),
        format!("a AUTHENTICATE LOGIN\r\n{}\r\n{alone}", STANDARD.encode(USER)),
        format!("a AUTHENTICATE {initial}"),
        format!("a AUTHENTICATE PLAIN\r\n{initial}x"),
        format!("a AUTHENTICATE PLAIN\r\n{initial} {initial}"),
        initial,
        alone,
        password.to_owned(),
    ]
}

/// Sends all at once; gives what comes until the server closes.
fn talk(address: SocketAddr, octets: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.write_all(octets.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A server that has seen enough closes before it has read all: a reset.
    if let Err(error) = socket.read_to_end(&mut answer) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{octets}");
    }
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_password_in_the_wrong_place() {
    let site = Site::new();
    for password in [WRONG_PASSWORD, PASSWORD] {
        for command in commands(password) {
            // `*` ends what AUTHENTICATE has begun; elsewhere it is one more error.
            let answer = talk(site.server.addresses[0], &format!("{command}\r\n*\r\nz LOGOUT\r\n"));
            assert!(
                answer.contains(" BAD ") || answer.contains(" NO ") || answer.contains("* BYE"),
                "{command}: {answer}"
            );
        }
    }
    // So that there is traffic of a login that works.
    let mut client = Client::connect(site.server.addresses[0]);
    let answer = client.ask(&format!("a LOGIN {USER} {}", quoted(PASSWORD)));
    assert!(answer.starts_with("a OK"), "{answer}");
    // And once more when it is too late for it.
    client.ask(&format!("b LOGIN {USER} {}", quoted(PASSWORD)));
    client.ask(&format!("c AUTHENTICATE PLAIN {}", STANDARD.encode(format!("\0{USER}\0{PASSWORD}"))));
    site.stop();
}
