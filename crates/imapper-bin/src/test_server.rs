//! A server to throw away, for tests of mail clients.

use std::net::SocketAddr;

use imapper_core::Address;

use crate::builtin::builtin;
use crate::error::Failure;
use crate::plugin::testuser_hash;
use crate::server::{Configuration, Server};

/// A server on a free port of this machine, without TLS, with mail in memory and every standard extension. The
/// user is `testuser`, with the password `testpass` and the bearer token `testtoken`. It stops when it is dropped.
pub struct TestServer {
    server: Server,
    address: SocketAddr,
}

impl TestServer {
    /// Serves a fixture: JSON with folders and messages, as `--storage` takes it.
    pub async fn start(fixture: &str) -> Result<Self, Failure> {
        let fixture: serde_json::Value = serde_json::from_str(fixture)
            .map_err(|error| Failure::configuration(format!("the fixture: {error}")))?;
        let configuration = serde_json::json!({
            "listener": [{ "address": "127.0.0.1:0", "tls": "none" }],
            "storage": { "plugin": "memory", "data": fixture },
            "users": {
                "plugin": "static",
                "accounts": { "testuser": testuser_hash() },
                "tokens": { "testuser": "testtoken" },
            },
        });
        let server = Server::start(builtin(), Configuration::from_json(configuration.to_string())).await?;
        let address = server.addresses().find_map(|address| match address {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        });
        let address = address.ok_or_else(|| Failure::Running("the server listens nowhere".to_owned()))?;
        Ok(Self { server, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets clients finish what they do, and stops.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}
