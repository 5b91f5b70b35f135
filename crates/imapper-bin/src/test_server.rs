//! A server to throw away, for tests of mail clients.

use std::net::SocketAddr;

use imapper_core::Address;
use imapper_extensions::Faults;
use serde_json::{Map, Value, json};

use crate::builtin::{Builtin, builtin};
use crate::error::Failure;
use crate::plugin::testuser_hash;
use crate::server::{Configuration, Server};

/// A server on a free port of this machine, without TLS, with mail in memory. It stops when it is dropped.
pub struct TestServer {
    server: Server,
    address: SocketAddr,
    faults: Faults,
}

/// What a [`TestServer`] is made of. What is not said is: an empty INBOX, every standard extension, and the user
/// `testuser` with the password `testpass` and the bearer token `testtoken`.
pub struct TestServerBuilder {
    builtin: Builtin,
    fixture: String,
    plugins: Option<Vec<String>>,
    disable: Vec<String>,
    users: Vec<(String, String)>,
    limits: Map<String, Value>,
    quota: Map<String, Value>,
}

impl TestServer {
    /// Serves a fixture: JSON with folders and messages, as `--storage` takes it.
    pub async fn start(fixture: &str) -> Result<Self, Failure> {
        Self::builder().fixture(fixture).start().await
    }

    /// Chooses what it is made of.
    pub fn builder() -> TestServerBuilder {
        TestServerBuilder {
            builtin: builtin(),
            fixture: "{}".to_owned(),
            plugins: None,
            disable: Vec::new(),
            users: Vec::new(),
            limits: Map::new(),
            quota: Map::new(),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server without sockets: it serves any stream, and its storage can be looked into.
    pub fn core(&self) -> &imapper_core::Server {
        self.server.core()
    }

    /// What of it fails, to be set while it runs. Nothing does at first.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Lets clients finish what they do, and stops.
    pub async fn stop(self) {
        // Nobody waits for an answer that is late on purpose.
        self.faults.clear();
        self.server.stop().await;
    }
}

impl TestServerBuilder {
    /// Other plugins to choose from than this build's own.
    #[must_use]
    pub fn builtin(mut self, builtin: Builtin) -> Self {
        self.builtin = builtin;
        self
    }

    /// The mail: JSON with folders and messages, as `--storage` takes it.
    #[must_use]
    pub fn fixture(mut self, fixture: &str) -> Self {
        fixture.clone_into(&mut self.fixture);
        self
    }

    /// Exactly these extensions, as `--plugin` takes them; none at all for an empty list.
    #[must_use]
    pub fn plugins<'a>(mut self, plugins: impl IntoIterator<Item = &'a str>) -> Self {
        self.plugins = Some(plugins.into_iter().map(str::to_owned).collect());
        self
    }

    /// Every standard extension but these.
    #[must_use]
    pub fn disable<'a>(mut self, plugins: impl IntoIterator<Item = &'a str>) -> Self {
        self.disable = plugins.into_iter().map(str::to_owned).collect();
        self
    }

    /// A user and its password, in the place of `testuser`. May be said several times.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// A bound, as the key of `[limits]` takes it: `limit("append", "1 KiB")`.
    #[must_use]
    pub fn limit(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.limits.insert(key.to_owned(), value.into());
        self
    }

    /// What each account may keep, as the key of `[quota]` takes it: `quota("storage", "1 MiB")`.
    #[must_use]
    pub fn quota(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.quota.insert(key.to_owned(), value.into());
        self
    }

    /// Starts it. The errors are those of a configuration.
    pub async fn start(self) -> Result<TestServer, Failure> {
        let fixture: Value = serde_json::from_str(&self.fixture)
            .map_err(|error| Failure::configuration(format!("the fixture: {error}")))?;
        let mut accounts = Map::new();
        for (name, password) in self.users {
            accounts.insert(name, hash(password).await?.into());
        }
        let tokens = if accounts.is_empty() {
            accounts.insert("testuser".to_owned(), testuser_hash().into());
            json!({ "testuser": "testtoken" })
        } else {
            json!({})
        };
        let mut protocol = json!({ "disable": self.disable });
        if let Some(plugins) = self.plugins {
            protocol["plugins"] = plugins.into();
        }
        let configuration = json!({
            "listener": [{ "address": "127.0.0.1:0", "tls": "none" }],
            "storage": { "plugin": "memory", "data": fixture },
            "users": { "plugin": "static", "accounts": accounts, "tokens": tokens },
            "protocol": protocol,
            "limits": self.limits,
            "quota": self.quota,
        });
        let faults = Faults::default();
        let at_hand = faults.clone();
        let builtin = self.builtin.always(move || at_hand.clone());
        let server = Server::start(builtin, Configuration::from_json(configuration.to_string())).await?;
        let address = server.addresses().find_map(|address| match address {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        });
        let address = address.ok_or_else(|| Failure::Running("the server listens nowhere".to_owned()))?;
        Ok(TestServer { server, address, faults })
    }
}

/// At the lowest cost: a test has nothing to hide.
async fn hash(password: String) -> Result<String, Failure> {
    const COST: u32 = 4;
    let hashed = tokio::task::spawn_blocking(move || {
        imapper_users_static::hash_password_with_cost(&password.into(), COST)
    });
    let hashed = hashed.await.map_err(|error| Failure::Running(error.to_string()))?;
    hashed.map_err(|error| Failure::configuration(format!("a password: {error}")))
}
