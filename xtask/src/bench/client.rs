//! A client that waits for each answer, over TCP or TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::Result;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A session.
pub(super) struct Client {
    stream: Box<dyn Stream>,
    seen: Vec<u8>,
}

impl Client {
    /// Connects, and reads the greeting.
    pub(super) fn connect(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Result<Self> {
        Self::connect_for(address, tls, PATIENCE)
    }

    /// The same for answers that may take so long.
    pub(super) fn connect_for(
        address: SocketAddr,
        tls: Option<&Arc<ClientConfig>>,
        patience: Duration,
    ) -> Result<Self> {
        let failed = |error: std::io::Error| format!("{address}: {error}");
        let socket = TcpStream::connect(address).map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        socket.set_read_timeout(Some(patience)).map_err(failed)?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(socket),
            Some(config) => {
                let name = ServerName::from(address.ip());
                let session =
                    ClientConnection::new(Arc::clone(config), name).map_err(|error| error.to_string())?;
                Box::new(StreamOwned::new(session, socket))
            }
        };
        let mut client = Self { stream, seen: Vec::new() };
        client.until("* OK")?;
        Ok(client)
    }

    /// Sends octets.
    pub(super) fn send(&mut self, text: &str) -> Result {
        let sent = self.stream.write_all(text.as_bytes()).and_then(|()| self.stream.flush());
        sent.map_err(|error| format!("sending: {error}"))
    }

    /// Sends a command, and reads up to its OK.
    pub(super) fn command(&mut self, command: &str) -> Result {
        self.send(&format!("x {command}\r\n"))?;
        self.until("x OK")
    }

    /// Reads up to a line that holds the text.
    pub(super) fn until(&mut self, wanted: &str) -> Result {
        let mut room = [0; 16 * 1024];
        loop {
            while let Some(end) = self.seen.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.seen.drain(..end + 2).collect();
                if String::from_utf8_lossy(&line).contains(wanted) {
                    return Ok(());
                }
            }
            match self.stream.read(&mut room) {
                Ok(0) => return Err(format!("the server hung up before {wanted:?}")),
                Ok(count) => self.seen.extend_from_slice(&room[..count]),
                Err(error) => return Err(format!("waiting for {wanted:?}: {error}")),
            }
        }
    }
}

/// TLS with a server whose certificate was made for this run alone.
pub(super) fn tls() -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(Anyone(provider.signature_verification_algorithms));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Anyone(rustls::crypto::WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
