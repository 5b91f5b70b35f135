//! All wire scripts of the kit, against servers that are configured as the command is: with mail in memory here, in
//! a Maildir in `maildir`.

use std::net::SocketAddr;

use imapper_bin::{Builtin, Configuration, Server, builtin};
use imapper_core::Address;
use imapper_testkit::{BoxFuture, Connect, NoServer, Setup, Stream, script_tests};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;

mod maildir;

/// Starts a server for each script. It supports whatever a header may ask for, so no script is skipped.
struct Kit;

struct Running {
    _server: Server,
    address: SocketAddr,
}

impl imapper_testkit::Server for Kit {
    fn start<'a>(&'a self, setup: &'a Setup) -> BoxFuture<'a, Result<Box<dyn Connect>, NoServer>> {
        Box::pin(async move {
            let data: Value = serde_json::from_str(&setup.fixture).unwrap();
            let storage = json!({ "plugin": "memory", "data": data });
            start(builtin(), &configuration(setup, &storage)).await
        })
    }
}

async fn start(builtin: Builtin, configuration: &Value) -> Result<Box<dyn Connect>, NoServer> {
    let server = Server::start(builtin, Configuration::from_json(configuration.to_string())).await;
    let server = server.map_err(|failure| NoServer::Failed(failure.to_string()))?;
    let address = match server.addresses().next() {
        Some(Address::Tcp(address)) => *address,
        _ => return Err(NoServer::Failed("it does not listen".to_owned())),
    };
    Ok(Box::new(Running { _server: server, address }))
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

fn configuration(setup: &Setup, storage: &Value) -> Value {
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
        "storage": storage,
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
