//! The server: what it is made of, and the loop that takes connections.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::command;
use crate::dispatch::Session;
use crate::limits::Limits;
use crate::net::connection::Connection;
use crate::net::listen::{Address, Listen, Listener, TlsMode};
use crate::net::tls;
use crate::registry::{Door, Extension, Reader, Refused, Registry, RegistryError, Shared, Writer};
use crate::session::{Access, Filter, Hubs, Namespace, Namespaces, Output, Owners, Traffic};
use crate::storage::{QuotaLimits, Storage};
use crate::types::Code;
use crate::users::{ConnectionInfo, Users};

/// Why a server could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is nowhere to keep mail.
    #[error("a server needs a storage")]
    NoStorage,
    /// Nobody could log in.
    #[error("a server needs a user database")]
    NoUsers,
    /// The extensions do not go together.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Accounts are to have limits, and the storage can't enforce them.
    #[error("the storage can't enforce limits of accounts")]
    NoQuota,
    /// A listener asks for TLS, and there is no certificate.
    #[error("listener {0} asks for TLS, but there is no certificate")]
    NoCertificate(Address),
}

/// Puts a server together.
#[derive(Default)]
pub struct Builder {
    storage: Option<Arc<dyn Storage>>,
    users: Option<Arc<dyn Users>>,
    extensions: Vec<Box<dyn Extension>>,
    namespaces: Vec<Namespace>,
    limits: Limits,
    allowance: QuotaLimits,
    access: Option<Arc<dyn Access>>,
    listen: Vec<Listen>,
    tls: Option<Arc<ServerConfig>>,
    traffic: Option<Traffic>,
}

impl Builder {
    /// Where mail is kept.
    #[must_use]
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = Some(storage);
        self
    }

    /// Who may log in.
    #[must_use]
    pub fn users(mut self, users: Arc<dyn Users>) -> Self {
        self.users = Some(users);
        self
    }

    /// Adds an extension.
    #[must_use]
    pub fn extension(mut self, extension: impl Extension + 'static) -> Self {
        self.extensions.push(Box::new(extension));
        self
    }

    /// Adds extensions.
    #[must_use]
    pub fn extensions(mut self, extensions: impl IntoIterator<Item = Box<dyn Extension>>) -> Self {
        self.extensions.extend(extensions);
        self
    }

    /// Adds namespaces. Without a personal one, "" with "/" is.
    #[must_use]
    pub fn namespaces(mut self, namespaces: impl IntoIterator<Item = Namespace>) -> Self {
        self.namespaces.extend(namespaces);
        self
    }

    /// Other bounds than the defaults.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What each account may keep at most, unless the user database says otherwise of one.
    #[must_use]
    pub const fn allowance(mut self, most: QuotaLimits) -> Self {
        self.allowance = most;
        self
    }

    /// Another answer to who may do what; an extension's beats it.
    #[must_use]
    pub fn access(mut self, access: Arc<dyn Access>) -> Self {
        self.access = Some(access);
        self
    }

    /// Listens there.
    #[must_use]
    pub fn listen(mut self, address: Address, tls: TlsMode) -> Self {
        self.listen.push(Listen { address, tls });
        self
    }

    /// The certificate, and how TLS is spoken. A reload goes through the configuration's own resolver.
    #[must_use]
    pub fn tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Shows the traffic: the connection's number, `R`, `S` or `E`, and the line, with secrets masked.
    #[must_use]
    pub fn traffic(mut self, traffic: Traffic) -> Self {
        self.traffic = Some(traffic);
        self
    }

    /// Builds the server. Nothing is opened yet.
    pub fn build(self) -> Result<Server, BuildError> {
        let mut storage = self.storage.ok_or(BuildError::NoStorage)?;
        let users = self.users.ok_or(BuildError::NoUsers)?;
        let wants_tls = self.listen.iter().find(|listen| listen.tls != TlsMode::None);
        if let Some(listen) = wants_tls.filter(|_| self.tls.is_none()) {
            return Err(BuildError::NoCertificate(listen.address.clone()));
        }
        let registry = Registry::new(command::install).install(&self.extensions)?;
        for layer in &registry.layers {
            storage = layer.wrap(storage);
        }
        if self.allowance != QuotaLimits::NONE {
            storage.as_quota().ok_or(BuildError::NoQuota)?.allow(None, self.allowance);
        }
        let access = registry.access.clone().or(self.access).unwrap_or_else(|| Arc::new(Owners));
        let filters: Arc<[Arc<dyn Filter>]> = registry.filters.clone().into();
        let shared = Shared {
            storage,
            users,
            registry,
            namespaces: Namespaces::new(self.namespaces),
            limits: self.limits,
            access,
            hubs: Hubs::new(),
            door: Door::default(),
        };
        let server = Server(Arc::new(Parts {
            shared: Arc::new(shared),
            filters,
            tls: self.tls,
            traffic: self.traffic,
            listen: self.listen,
            connections: AtomicU64::new(0),
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
        }));
        server.learn_allowances();
        Ok(server)
    }
}

struct Parts {
    shared: Arc<Shared>,
    filters: Arc<[Arc<dyn Filter>]>,
    tls: Option<Arc<ServerConfig>>,
    traffic: Option<Traffic>,
    listen: Vec<Listen>,
    connections: AtomicU64,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// A server. Cheap to clone: all clones are the same server.
#[derive(Clone)]
pub struct Server(Arc<Parts>);

impl Server {
    /// Begins to put a server together.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// What all its sessions share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Asks the users once more what single accounts may keep at most: after they have been read anew.
    pub fn learn_allowances(&self) {
        if let Some(room) = self.0.shared.storage.as_quota() {
            for (account, most) in self.0.shared.users.allowances() {
                room.allow(Some(&account), most);
            }
        }
    }

    /// Opens the listeners. The error names the address.
    pub async fn bind(&self) -> io::Result<Bound> {
        let mut listeners = Vec::new();
        for listen in &self.0.listen {
            let listener = Listener::bind(listen).await;
            let listener = listener.map_err(|error| {
                io::Error::new(error.kind(), format!("can't listen on {}: {error}", listen.address))
            })?;
            listeners.push(listener);
        }
        Ok(Bound { server: self.clone(), listeners })
    }

    /// Serves one client over any stream, as if it had connected from `peer` (`None`: a local socket) to a
    /// listener of that mode. Returns when the client leaves.
    pub async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Sync + 'static,
        peer: Option<std::net::IpAddr>,
        mode: TlsMode,
    ) {
        let (reader, writer) = tokio::io::split(stream);
        let (reader, writer): (Reader, Writer) = (Box::new(reader), Box::new(writer));
        // Counted as those from listeners are, so that a stop waits for it.
        self.0.tracker.track_future(self.handle(reader, writer, peer, mode)).await;
    }

    /// Tells all sessions to end: what is in flight is finished, then BYE. Resolves when the last one has
    /// left.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tracker.close();
        self.0.tracker.wait().await;
    }

    async fn handle(&self, reader: Reader, writer: Writer, peer: Option<std::net::IpAddr>, mode: TlsMode) {
        let parts = &*self.0;
        let id = parts.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let since = Instant::now();
        tracing::debug!(connection = id, ?peer, "connected");
        let mut connection = ConnectionInfo::new(id, peer, mode == TlsMode::Implicit);
        connection.can_start_tls = mode == TlsMode::StartTls && parts.tls.is_some();
        let ticket = parts.shared.door.enter(peer, &parts.shared.limits);
        let (reader, writer) = match (&parts.tls, mode) {
            (Some(config), TlsMode::Implicit) if ticket.is_ok() => {
                let timeout = parts.shared.limits.tls_handshake_timeout;
                match tls::accept(Arc::clone(config), reader, writer, timeout).await {
                    Ok(secured) => secured,
                    Err(error) => {
                        tracing::info!(connection = id, %error, "TLS handshake failed");
                        return;
                    }
                }
            }
            _ => (reader, writer),
        };
        let mut out = Output::new(
            writer,
            Arc::clone(&parts.shared.storage),
            Arc::clone(&parts.filters),
            parts.traffic.clone(),
            id,
            &parts.shared.limits,
        );
        out.shape(&parts.shared.registry.shapes);
        let ticket = match ticket {
            Ok(ticket) => ticket,
            Err(refused) => {
                tracing::info!(connection = id, ?peer, %refused, "turned away");
                if mode != TlsMode::Implicit {
                    let code = if refused == Refused::Closed { Code::UNAVAILABLE } else { Code::LIMIT };
                    let _ = out.status("", "BYE", Some(&code), &refused.to_string()).await;
                }
                out.shutdown().await;
                return;
            }
        };
        let session = Session::new(Arc::clone(&parts.shared), connection, out, ticket);
        let (tls, stop) = (parts.tls.clone(), parts.stop.clone());
        Box::pin(Connection { session, reader, tls, stop, since }.run()).await;
    }
}

/// A server whose listeners are open.
pub struct Bound {
    server: Server,
    listeners: Vec<Listener>,
}

impl Bound {
    /// The addresses, in the order of the listeners, with the ports that were free.
    pub fn addresses(&self) -> io::Result<Vec<Address>> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// Takes connections until [`Server::stop`] is called, or the [door](Door::close) was closed and the last
    /// client has left.
    pub async fn run(self) {
        let Self { server, listeners } = self;
        let mut loops = tokio::task::JoinSet::new();
        for listener in listeners {
            let server = server.clone();
            loops.spawn(async move {
                loop {
                    tokio::select! {
                        accepted = listener.accept() => {
                            let (session, mode) = (server.clone(), listener.tls);
                            server.0.tracker.spawn(async move {
                                session.handle(accepted.reader, accepted.writer, accepted.peer, mode).await;
                            });
                        }
                        () = server.0.stop.cancelled() => return,
                        () = server.0.shared.door.emptied() => return,
                    }
                }
            });
        }
        while loops.join_next().await.is_some() {}
    }
}
