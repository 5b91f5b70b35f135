//! `[limits]` that the command hands on to plugins, or to the system.

use imapper_bin::{Configuration, Server, builtin};
use imapper_core::Address;

use crate::client::Client;
use crate::program::Folder;

/// A configuration with one user: `john` with the password `s3cret`.
fn configuration(limits: &str) -> String {
    let hash = bcrypt::hash("s3cret", 4).unwrap();
    format!(
        r#"
        [[listener]]
        address = "127.0.0.1:0"
        tls = "none"
        [storage]
        plugin = "memory"
        [users]
        plugin = "static"
        accounts = {{ john = "{hash}" }}
        [limits]
        {limits}
        "#
    )
}

async fn serve(limits: &str) -> (Server, Client) {
    let configuration = Configuration::from_toml(configuration(limits));
    let server = Server::start(builtin(), configuration).await.unwrap();
    let Some(Address::Tcp(address)) = server.addresses().next() else { panic!("it does not listen") };
    let client = Client::connect(*address);
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_above_what_the_memory_storage_takes_by_itself() {
    let (_server, mut client) = serve("append = \"300 MiB\"").await;
    let answer = client.ask("a LOGIN john s3cret");
    assert!(answer.contains("a OK"), "{answer}");
    let answer = client.ask("b APPEND INBOX {314572801}");
    assert!(answer.starts_with("b NO [TOOBIG]"), "{answer}");
    client.send("c APPEND INBOX {314572800}");
    let answer = client.line();
    assert!(answer.starts_with("+ "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_tells_by_id() {
    let (_server, mut client) = serve("id_pairs = 2\nid_key = 3\nid_value = 4").await;
    for (command, is_taken) in [
        ("a ID (\"abc\" \"1234\" \"d\" NIL)", true),
        ("b ID (\"a\" NIL \"b\" NIL \"c\" NIL)", false),
        ("c ID (\"abcd\" NIL)", false),
        ("d ID NIL", true),
        ("e ID (\"a\" \"12345\")", false),
    ] {
        let answer = client.ask(command);
        assert_eq!(
            (answer.contains(" OK"), answer.contains(" BAD")),
            (is_taken, !is_taken),
            "{command}: {answer}"
        );
    }
}

#[test]
fn files_may_be_open_for_each_connection() {
    let folder = Folder::new();
    folder.write("imapper.toml", &configuration("connections = 200"));
    let server = folder.serve_under("-Sn 64", 1);
    let clients: Vec<Client> = (0..150).map(|_| Client::connect(server.addresses[0])).collect();
    assert_eq!(clients.len(), 150);
    let ended = server.stop();
    assert!(ended.status == 0 && !ended.err.contains("open files"), "{ended:?}");
}

#[test]
fn a_system_that_allows_fewer_files_is_told_of_at_start() {
    let folder = Folder::new();
    folder.write("imapper.toml", &configuration(""));
    let mut server = folder.serve_under("-n 64", 1);
    let line = server.logged("open files");
    let said = "`[limits] connections = 10000` needs 10256 open files, and only 64 are allowed";
    assert!(line.contains("WARN") && line.contains(said), "{line}");
    let mut client = Client::connect(server.addresses[0]);
    assert!(client.ask("a NOOP").contains("a OK"));
    assert_eq!(server.stop().status, 0);
}
