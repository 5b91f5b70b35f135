//! A server in this process, and a client that talks to it through a pipe.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use imapper_core::limits::Limits;
use imapper_core::{Extension, Server, TlsMode};
use imapper_extensions::{Options, find};
use imapper_storage_memory::{Fixture, Memory};
use imapper_users_static::Static;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
    DuplexStream,
};

/// Whoever waits that long for a line has lost it.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// On this machine, as far as the server knows.
pub(crate) const LOCAL: Option<IpAddr> = None;
/// On another machine.
pub(crate) const REMOTE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

/// `testuser` with `testpass`, an INBOX of three messages of which the second is deleted.
pub(crate) fn server(extensions: Vec<Box<dyn Extension>>) -> Server {
    let message = |flags: &str| format!(r#"{{"raw": "Subject: x\r\n\r\nx", "flags": [{flags}]}}"#);
    let deleted = message(r#""\\Deleted""#);
    let fixture = format!(r#"{{"INBOX": {{"messages": [{0}, {deleted}, {0}]}}}}"#, message(""));
    let storage = Memory::from_fixture(Fixture::from_json(&fixture).unwrap());
    let users = Static::builder().plain_password("testuser", "testpass").unwrap().build();
    let mut limits = Limits::default();
    limits.bad_commands_before_login = 100;
    let server = Server::builder().storage(Arc::new(storage)).users(Arc::new(users)).limits(limits);
    server.extensions(extensions).tls(Arc::new(certificate().0)).build().unwrap()
}

/// Extensions by name, as if named in the configuration or not.
pub(crate) fn by_name(names: &[&str], named: bool) -> Vec<Box<dyn Extension>> {
    names.iter().map(|name| find(name).unwrap().extension(&Options::new(named))).collect()
}

/// A certificate for `localhost`, for a server and for a client that trusts it.
pub(crate) fn certificate() -> (rustls::ServerConfig, rustls::ClientConfig) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
    let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider);
    let client = client.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    (server.with_single_cert(vec![certificate], key).unwrap(), client.with_no_client_auth())
}

/// One client.
pub(crate) struct Client<S = DuplexStream> {
    stream: BufReader<S>,
}

impl Client {
    /// Connects to a listener with STARTTLS. The greeting has not been read.
    pub(crate) fn connect(server: &Server, peer: Option<IpAddr>) -> Self {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let server = server.clone();
        tokio::spawn(async move { server.serve(theirs, peer, TlsMode::StartTls).await });
        Self::over(ours)
    }

    /// Connects and reads the greeting.
    pub(crate) async fn greeted(server: &Server, peer: Option<IpAddr>) -> Self {
        let mut client = Self::connect(server, peer);
        let greeting = client.line().await;
        assert!(greeting.starts_with("* OK "), "{greeting}");
        client
    }

    /// Connects and logs in.
    pub(crate) async fn logged_in(server: &Server) -> Self {
        let mut client = Self::greeted(server, LOCAL).await;
        client.ok("l1 LOGIN testuser testpass").await;
        client
    }

    /// Connects, logs in and opens INBOX.
    pub(crate) async fn selected(server: &Server) -> Self {
        let mut client = Self::logged_in(server).await;
        client.ok("l2 SELECT INBOX").await;
        client
    }

    /// What it talks over; what was read already must have been used.
    pub(crate) fn into_stream(self) -> DuplexStream {
        assert!(self.stream.buffer().is_empty(), "something came that nobody read");
        self.stream.into_inner()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// A client that talks over that stream.
    pub(crate) fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// Sends octets as they are.
    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next line, without its CRLF; empty at the end.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(TIME_LIMIT, self.stream.read_line(&mut line));
        read.await.expect("no line came").unwrap();
        line.trim_end_matches("\r\n").to_owned()
    }

    /// Whether nothing comes any more.
    pub(crate) async fn has_ended(&mut self) -> bool {
        let more = tokio::time::timeout(TIME_LIMIT, self.stream.fill_buf()).await.expect("nothing came");
        more.unwrap().is_empty()
    }

    /// All that still comes, up to an error.
    pub(crate) async fn rest(&mut self, rest: &mut Vec<u8>) -> std::io::Result<usize> {
        self.stream.read_to_end(rest).await
    }

    /// Sends a command; gives all lines up to the tagged one, a continuation request or the end.
    pub(crate) async fn run(&mut self, command: &str) -> Vec<String> {
        self.send(&format!("{command}\r\n")).await;
        let tag = command.split(' ').next().unwrap();
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            let is_last = line.is_empty() || line.starts_with('+') || line.split(' ').next() == Some(tag);
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }

    /// Runs a command that must be done; gives the untagged lines.
    pub(crate) async fn ok(&mut self, command: &str) -> Vec<String> {
        let mut lines = self.run(command).await;
        let last = lines.pop().unwrap();
        assert_eq!(last.split(' ').nth(1), Some("OK"), "{command}: {last}");
        lines
    }

    /// The words of CAPABILITY.
    pub(crate) async fn capabilities(&mut self) -> Vec<String> {
        let lines = self.ok("c1 CAPABILITY").await;
        let words = lines.iter().find_map(|line| line.strip_prefix("* CAPABILITY ")).unwrap();
        words.split(' ').map(str::to_owned).collect()
    }
}
