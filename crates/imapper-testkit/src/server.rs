//! What a caller supplies: a way to start a server for a script and to connect to it.

use crate::Setup;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};

/// A future that can be stored, as the methods of the traits here return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A connection to the server: a pipe in memory, TCP, TLS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Starts servers. Each script gets one of its own.
pub trait Server: Send + Sync {
    /// Starts a server as the setup wants it. What it returns keeps the server alive; when it is
    /// dropped, the server may stop.
    ///
    /// Connections count as coming from this machine, without TLS.
    fn start<'a>(&'a self, setup: &'a Setup) -> BoxFuture<'a, Result<Box<dyn Connect>, NoServer>>;
}

/// A running server.
pub trait Connect: Send + Sync {
    /// Opens a connection; nothing has been read from it yet.
    fn connect(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;
}

/// Why there is no server for a script.
#[derive(Debug)]
pub enum NoServer {
    /// This server can not be as the script wants it, for example a needed extension is not part of
    /// it. The script is skipped.
    Unsupported(String),
    /// It should have started and did not. The script fails.
    Failed(String),
}

impl fmt::Display for NoServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(why) => write!(f, "not supported: {why}"),
            Self::Failed(why) => write!(f, "the server did not start: {why}"),
        }
    }
}

impl std::error::Error for NoServer {}
