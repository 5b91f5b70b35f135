//! TLS around a connection's two directions.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use crate::registry::{Reader, Writer};

/// Waits for the client's handshake, no longer than `timeout`.
pub(crate) async fn accept(
    config: Arc<ServerConfig>,
    reader: Reader,
    writer: Writer,
    timeout: Duration,
) -> io::Result<(Reader, Writer)> {
    let plain = tokio::io::join(reader, writer);
    let handshake = TlsAcceptor::from(config).accept(plain);
    let stream = tokio::time::timeout(timeout, handshake)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"))??;
    let (reader, writer) = tokio::io::split(stream);
    Ok((Box::new(reader), Box::new(writer)))
}
