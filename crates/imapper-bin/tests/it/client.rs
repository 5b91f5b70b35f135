//! A small client: sends a line, reads until the tagged reply.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

pub(crate) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A connection.
pub(crate) struct Client {
    stream: BufReader<Box<dyn Stream>>,
    socket: TcpStream,
}

impl Client {
    /// Connects, and reads the greeting.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut client = Self::connect_silently(address);
        let greeting = client.line();
        assert!(greeting.starts_with("* OK"), "{greeting:?}");
        client
    }

    fn connect_silently(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let stream = BufReader::new(Box::new(socket.try_clone().unwrap()) as Box<dyn Stream>);
        Self { stream, socket }
    }

    /// Connects to a port that speaks TLS from the first byte.
    pub(crate) fn connect_tls(address: SocketAddr, trusted: &CertificateDer<'static>) -> Self {
        let mut client = Self::connect_silently(address).secure(trusted);
        let greeting = client.line();
        assert!(greeting.starts_with("* OK"), "{greeting:?}");
        client
    }

    /// Speaks TLS from now on, with a server that has that certificate and no other.
    pub(crate) fn secure(self, trusted: &CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = self.socket.try_clone().unwrap();
        let stream = StreamOwned::new(connection, socket);
        Self { stream: BufReader::new(Box::new(stream)), socket: self.socket }
    }

    /// Sends a command; gives all lines up to its tagged reply.
    pub(crate) fn ask(&mut self, command: &str) -> String {
        let tag = format!("{} ", command.split(' ').next().unwrap());
        self.send(command);
        let mut answer = String::new();
        loop {
            let line = self.line();
            answer += &line;
            if line.starts_with(&tag) || line.is_empty() {
                return answer;
            }
        }
    }

    /// Sends a line.
    pub(crate) fn send(&mut self, line: &str) {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    /// The next line; empty at the end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).unwrap();
        String::from_utf8(line).unwrap()
    }

    /// All that still comes.
    pub(crate) fn rest(mut self) -> String {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        String::from_utf8(rest).unwrap()
    }
}
