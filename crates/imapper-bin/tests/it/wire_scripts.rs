//! All wire scripts of the kit, against servers that are configured as the command is.

use std::net::SocketAddr;

use imapper_bin::{Configuration, Server, builtin};
use imapper_core::Address;
use imapper_testkit::{BoxFuture, Connect, NoServer, Setup, Stream, script_tests};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;

/// Starts a server for each script. It supports whatever a header may ask for, so no script is skipped.
struct Kit;

struct Running {
    _server: Server,
    address: SocketAddr,
}

impl imapper_testkit::Server for Kit {
    fn start<'a>(&'a self, setup: &'a Setup) -> BoxFuture<'a, Result<Box<dyn Connect>, NoServer>> {
        Box::pin(async move {
            let configuration = Configuration::from_json(configuration(setup).to_string());
            let server = Server::start(builtin(), configuration).await;
            let server = server.map_err(|failure| NoServer::Failed(failure.to_string()))?;
            let address = match server.addresses().next() {
                Some(Address::Tcp(address)) => *address,
                _ => return Err(NoServer::Failed("it does not listen".to_owned())),
            };
            Ok(Box::new(Running { _server: server, address }) as Box<dyn Connect>)
        })
    }
}

impl Connect for Running {
    fn connect(&self) -> BoxFuture<'_, std::io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

fn configuration(setup: &Setup) -> Value {
    let accounts = setup.users.iter().map(|(name, password)| {
        let hash = bcrypt::hash(password, 4).unwrap();
        (name.clone(), hash.into())
    });
    let tokens = setup.tokens.iter().map(|(name, token)| (name.clone(), token.clone().into()));
    let limits = setup.limits.iter().map(|(key, value)| {
        let value = value.parse::<u64>().map_or_else(|_| value.clone().into(), Value::from);
        (key.clone(), value)
    });
    json!({
        "listener": [{ "address": "127.0.0.1:0", "tls": "starttls" }],
        "storage": {
            "plugin": "memory",
            "data": serde_json::from_str::<Value>(&setup.fixture).unwrap(),
        },
        "users": {
            "plugin": "static",
            "accounts": accounts.collect::<Map<_, _>>(),
            "tokens": tokens.collect::<Map<_, _>>(),
        },
        "protocol": { "plugins": plugins(setup), "disable": setup.without },
        "limits": limits.collect::<Map<_, _>>(),
    })
}

/// The extensions that are named: `None` for the standard ones, unless one more is needed.
fn plugins(setup: &Setup) -> Option<Vec<String>> {
    let all = imapper_extensions::all();
    let needs = |name: &str| setup.needs.iter().any(|needed| needed.eq_ignore_ascii_case(name));
    if setup.plugins.is_some() || !all.iter().any(|entry| !entry.standard && needs(entry.name)) {
        return setup.plugins.clone();
    }
    // LOGINDISABLED, where it is named, would hold for this machine too.
    let named =
        all.iter().filter(|entry| needs(entry.name) || entry.standard && entry.name != "LOGINDISABLED");
    let named = named.filter(|entry| !setup.without.iter().any(|name| name.eq_ignore_ascii_case(entry.name)));
    Some(named.map(|entry| entry.name.to_owned()).collect())
}

script_tests!(Kit);

#[test]
fn no_folder_is_left_out() {
    assert_eq!(imapper_testkit::folders(), scripts::FOLDERS);
}
