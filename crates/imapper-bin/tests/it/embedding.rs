//! The library: a server inside of a program, with a plugin of the program's own.

use imapper_bin::{Configuration, Failure, PluginError, Server, builtin};
use imapper_core::{Address, Extension, Registry};

use crate::client::Client;
use crate::program::Folder;

/// An extension that shows a word.
struct Hello;

impl Extension for Hello {
    fn name(&self) -> &'static str {
        "XHELLO"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("XHELLO");
    }
}

const CONFIG: &str = r#"
    [[listener]]
    address = "127.0.0.1:0"
    tls = "none"
    [storage]
    plugin = "mine"
    size = "1 KiB"
    [users]
    plugin = "static"
    accounts = { john = "$2b$04$VenCN0/MMzxIeBEH2/wax.mjw4kstctNhRI28WX/lo7trABdAEwXq" }
"#;

async fn start(configuration: String) -> Result<Server, Failure> {
    let builtin = builtin().extension(|| Hello).storage("mine", |config| async move {
        match config.size("size")? {
            Some(1024) => Ok(imapper_storage_memory::Memory::new()),
            other => Err(PluginError::new(format!("a size of 1 KiB is wanted, not {other:?}"))),
        }
    });
    Server::start(builtin, Configuration::from_toml(configuration)).await
}

fn capabilities(server: &Server) -> String {
    let Some(Address::Tcp(address)) = server.addresses().next() else { panic!("it does not listen") };
    Client::connect(*address).ask("a CAPABILITY")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_and_an_extension_of_ones_own() {
    let server = start(CONFIG.to_owned()).await.unwrap();
    assert!(capabilities(&server).contains(" XHELLO"));
    assert!(server.stop().await);
    let without = start(format!("{CONFIG}[protocol]\ndisable = [\"xhello\"]\n")).await.unwrap();
    assert!(!capabilities(&without).contains("XHELLO"));
}

#[tokio::test]
async fn what_a_plugin_says_is_told_with_its_place() {
    let said = start(CONFIG.replace("1 KiB", "2 KiB")).await.err().unwrap().to_string();
    let place = "the configuration:6:14: storage plugin \"mine\"";
    assert_eq!(said, format!("{place}: a size of 1 KiB is wanted, not Some(2048)"));
    let said = start(CONFIG.replace("size =", "sise =")).await.err().unwrap().to_string();
    assert!(
        said.starts_with("the configuration:7:5: unknown key `sise` in [storage]; did you mean `size`?"),
        "{said}"
    );
}

#[tokio::test]
async fn a_server_that_is_dropped_lets_its_clients_go() {
    let server = start(CONFIG.to_owned()).await.unwrap();
    let (near, far) = tokio::io::duplex(4096);
    let core = server.core().clone();
    let session = tokio::spawn(async move { core.serve(far, None, imapper_core::TlsMode::None).await });
    drop(server);
    session.await.unwrap();
    drop(near);
}

#[test]
fn a_unix_socket() {
    use std::io::{BufRead as _, BufReader};
    let folder = Folder::new();
    let path = folder.path().join("socket");
    folder.write("mailbox.json", "{}");
    let config = CONFIG.replace("127.0.0.1:0", &format!("unix:{}", path.display())).replace("mine", "memory");
    folder.write("imapper.toml", &config.replace("size = \"1 KiB\"", ""));
    let mut server = folder.serve_silently([]);
    assert_eq!(server.line(), format!("imapper: listening on unix:{} (imap, none)", path.display()));
    let stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let mut greeting = String::new();
    BufReader::new(stream).read_line(&mut greeting).unwrap();
    assert!(greeting.starts_with("* OK"), "{greeting:?}");
    assert_eq!(server.stop().status, 0);
    assert!(!path.exists());
}
