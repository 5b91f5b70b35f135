//! The server that runs: signals, TLS, the console, the log.

use rustls::pki_types::CertificateDer;

use crate::client::Client;
use crate::program::Folder;

const FIXTURE: &str = r#"{"INBOX": {"messages": [{"raw": "Subject: hello\r\n\r\nWorld!"}]}}"#;

/// Two users: `john` with the password `s3cret`, and what is in the file `users`.
const CONFIG: &str = r#"
    [[listener]]
    address = "127.0.0.1:0"
    tls = "starttls"
    [[listener]]
    address = "127.0.0.1:0"
    tls = "implicit"
    [tls]
    certificate = "cert.pem"
    key = "key.pem"
    [storage]
    plugin = "memory"
    [users]
    plugin = "static"
    accounts_file = "users"
    [log]
    level = "trace"
"#;

/// A folder with a configuration, a certificate and a user.
fn folder() -> (Folder, CertificateDer<'static>) {
    let folder = Folder::new();
    folder.write("imapper.toml", CONFIG);
    let certificate = certify(&folder);
    set_password(&folder, "s3cret");
    (folder, certificate)
}

fn certify(folder: &Folder) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    folder.write("cert.pem", &made.cert.pem());
    folder.write("key.pem", &made.signing_key.serialize_pem());
    made.cert.der().clone()
}

fn set_password(folder: &Folder, password: &str) {
    folder.write("users", &format!("john:{}\n", bcrypt::hash(password, 4).unwrap()));
}

#[track_caller]
fn ok(answer: &str) {
    let last = answer.lines().last().unwrap_or_default();
    assert!(last.contains(" OK"), "{answer:?}");
}

#[test]
fn a_fixture_is_served_to_a_user_who_is_told_at_start() {
    let folder = Folder::new();
    folder.write("mailbox.json", FIXTURE);
    let server = folder.serve(["--storage", "mailbox.json", "--port", "0"], 1);
    let mut client = Client::connect(server.addresses[0]);
    ok(&client.ask("a LOGIN testuser testpass"));
    let answer = client.ask("b SELECT INBOX");
    assert!(answer.contains("* 1 EXISTS"), "{answer}");
    let ended = server.stop();
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.out.contains("imapper: user testuser, password testpass, token testtoken"), "{ended:?}");
    let rest = client.rest();
    assert!(rest.starts_with("* BYE"), "{rest:?}");
}

#[test]
fn tls_by_starttls_and_from_the_first_byte() {
    let (folder, certificate) = folder();
    let server = folder.serve([], 2);
    let mut client = Client::connect(server.addresses[0]);
    ok(&client.ask("a STARTTLS"));
    let mut client = client.secure(&certificate);
    ok(&client.ask("b LOGIN john s3cret"));
    let mut client = Client::connect_tls(server.addresses[1], &certificate);
    ok(&client.ask("a LOGIN john s3cret"));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn hangup_reads_certificate_and_users_anew_and_drops_nobody() {
    let (folder, old) = folder();
    let mut server = folder.serve([], 2);
    let mut before = Client::connect_tls(server.addresses[1], &old);
    ok(&before.ask("a LOGIN john s3cret"));

    let new = certify(&folder);
    set_password(&folder, "another");
    server.signal("HUP");
    server.logged("the users have been read anew");
    let mut after = Client::connect_tls(server.addresses[1], &new);
    ok(&after.ask("a LOGIN john another"));
    let refused = after.ask("x NOOP");
    ok(&refused);
    let mut wrong = Client::connect_tls(server.addresses[1], &new);
    assert!(wrong.ask("a LOGIN john s3cret").contains("a NO"));

    folder.write("cert.pem", "rubbish");
    folder.write("users", "john");
    server.signal("HUP");
    let said = server.logged("the old certificate stays in use");
    assert!(said.contains("ERROR") && said.contains("cert.pem: there is no PEM certificate in it"), "{said}");
    server.logged("the old users stay");
    let mut still = Client::connect_tls(server.addresses[1], &new);
    ok(&still.ask("a LOGIN john another"));
    ok(&before.ask("b NOOP"));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn debug_shows_the_traffic_and_neither_it_nor_the_log_a_password() {
    let (folder, certificate) = folder();
    let server = folder.serve(["--debug"], 2);
    let mut client = Client::connect_tls(server.addresses[1], &certificate);
    assert!(client.ask("a LOGIN john wr0ng-one").contains("a NO"));
    ok(&client.ask("b LOGIN john s3cret"));
    assert!(client.ask("c LOGOUT").contains("* BYE"));
    let mut client = Client::connect(server.addresses[0]);
    ok(&client.ask("a STARTTLS"));
    let mut client = client.secure(&certificate);
    // \0john\0s3cret
    ok(&client.ask("b AUTHENTICATE PLAIN AGpvaG4AczNjcmV0"));
    let ended = server.stop();
    for line in ["1 R: b LOGIN", "1 S: * BYE", "1 S: c OK", "2 R: b AUTHENTICATE PLAIN"] {
        assert!(ended.out.contains(line), "{line:?} is not in {}", ended.out);
    }
    for secret in ["s3cret", "wr0ng-one", "AGpvaG4AczNjcmV0", "$2b$"] {
        assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "{secret} in {ended:?}");
    }
}

#[test]
fn exactly_the_named_extensions_are_on() {
    let (folder, certificate) = folder();
    let words = |arguments: &[&str]| {
        let server = match arguments {
            [one] => folder.serve([one], 2),
            [one, two] => folder.serve([one, two], 2),
            _ => folder.serve([], 2),
        };
        let answer = Client::connect_tls(server.addresses[1], &certificate).ask("a CAPABILITY");
        answer.lines().find(|line| line.starts_with("* CAPABILITY ")).unwrap().to_owned()
    };
    let standard = words(&[]);
    for word in ["IDLE", "LITERAL+", "AUTH=PLAIN", "NAMESPACE"] {
        assert!(standard.contains(word), "{standard}");
    }
    let named = words(&["--plugin=AUTH-PLAIN", "--plugin=literalplus,idle"]);
    for word in ["IDLE", "LITERAL+", "AUTH=PLAIN"] {
        assert!(named.contains(word), "{named}");
    }
    assert!(!named.contains("NAMESPACE") && !named.contains("UNSELECT"), "{named}");
    let none = words(&["--plugin="]);
    assert!(!none.contains("IDLE") && !none.contains("LITERAL"), "{none}");
}

#[test]
fn an_address_in_use_is_a_failure_while_running() {
    let (folder, _) = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = folder.run(["--port", &port]);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.err.contains(&format!("can't listen on 127.0.0.1:{port}: ")), "{ended:?}");
}
