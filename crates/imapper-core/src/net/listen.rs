//! Listeners: who may connect, and from where.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};

use crate::registry::{Reader, Writer};

/// How long to wait when the system has no sockets left.
const BREATH: Duration = Duration::from_millis(100);

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    #[default]
    None,
    /// When the client asks for it, by STARTTLS.
    StartTls,
    /// With the first octet.
    Implicit,
}

/// A listener that is to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where.
    pub address: Address,
    /// When TLS begins.
    pub tls: TlsMode,
}

/// An open listener.
pub(crate) struct Listener {
    socket: Socket,
    pub(crate) tls: TlsMode,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// Somebody who has connected.
pub(crate) struct Accepted {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    /// `None` for a Unix socket.
    pub(crate) peer: Option<IpAddr>,
}

impl Listener {
    pub(crate) async fn bind(listen: &Listen) -> io::Result<Self> {
        let socket = match &listen.address {
            Address::Tcp(address) => Socket::Tcp(TcpListener::bind(address).await?),
            Address::Unix(path) => {
                remove_stale(path);
                Socket::Unix(UnixListener::bind(path)?, path.clone())
            }
        };
        Ok(Self { socket, tls: listen.tls })
    }

    pub(crate) fn address(&self) -> io::Result<Address> {
        Ok(match &self.socket {
            Socket::Tcp(listener) => Address::Tcp(listener.local_addr()?),
            Socket::Unix(_, path) => Address::Unix(path.clone()),
        })
    }

    /// The next one who connects. Errors of single connections are passed over; when the system has no
    /// sockets left, others must close first.
    pub(crate) async fn accept(&self) -> Accepted {
        loop {
            let accepted = match &self.socket {
                Socket::Tcp(listener) => listener.accept().await.and_then(|(stream, peer)| {
                    stream.set_nodelay(true)?;
                    let (reader, writer) = stream.into_split();
                    Ok(Accepted { reader: Box::new(reader), writer: Box::new(writer), peer: Some(peer.ip()) })
                }),
                Socket::Unix(listener, _) => listener.accept().await.map(|(stream, _)| {
                    let (reader, writer) = stream.into_split();
                    Accepted { reader: Box::new(reader), writer: Box::new(writer), peer: None }
                }),
            };
            match accepted {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Socket::Unix(_, path) = &self.socket {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A socket that an earlier run left behind, and that nobody listens on, is in the way.
fn remove_stale(path: &Path) {
    if std::os::unix::net::UnixStream::connect(path).is_err()
        && std::fs::symlink_metadata(path)
            .is_ok_and(|meta| std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type()))
    {
        let _ = std::fs::remove_file(path);
    }
}
