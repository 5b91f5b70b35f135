//! A server in this process, reached through pipes in memory.

use std::sync::Arc;

use imapper_core::limits::Limits;
use imapper_core::storage::Storage;
use imapper_core::{Extension, Server, TlsMode};
use imapper_extensions::standard;
use imapper_testkit::{BoxFuture, Connect, Stream};
use imapper_users_static::Static;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};

/// How many octets a pipe holds.
const PIPE: usize = 64 * 1024;

/// The server; its user is `john` with the password `s3cret`.
pub(crate) struct Inside(pub(crate) Server);

impl Inside {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self::with(storage, Vec::new(), Limits::default())
    }

    /// With the standard extensions and those.
    pub(crate) fn with(storage: Arc<dyn Storage>, more: Vec<Box<dyn Extension>>, limits: Limits) -> Self {
        let users = Static::builder().plain_password("john", "s3cret").unwrap();
        let users = users.plain_password("paul", "s3cret").unwrap().build();
        let extensions = standard().into_iter().chain(more);
        let server = Server::builder().storage(storage).users(Arc::new(users)).extensions(extensions);
        Self(server.limits(limits).build().unwrap())
    }

    /// The other end of a new connection.
    pub(crate) fn pipe(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let server = self.0.clone();
        tokio::spawn(async move { server.serve(theirs, None, TlsMode::None).await });
        ours
    }

    /// A client that has read the greeting.
    pub(crate) async fn client(&self) -> PipeClient {
        let mut client = PipeClient(BufReader::new(self.pipe()));
        let greeting = client.line().await;
        assert!(greeting.starts_with("* OK"), "{greeting:?}");
        client
    }

    /// A client that has logged in and opened INBOX.
    pub(crate) async fn selected(&self) -> PipeClient {
        let mut client = self.client().await;
        assert!(client.ask("l LOGIN john s3cret").await.contains("l OK"));
        assert!(client.ask("s SELECT INBOX").await.contains("s OK"));
        client
    }
}

impl Connect for Inside {
    fn connect(&self) -> BoxFuture<'_, std::io::Result<Box<dyn Stream>>> {
        let pipe = self.pipe();
        Box::pin(async move { Ok(Box::new(pipe) as Box<dyn Stream>) })
    }
}

/// A client in this process.
pub(crate) struct PipeClient(pub(crate) BufReader<DuplexStream>);

impl PipeClient {
    pub(crate) async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(octets.as_ref()).await.unwrap();
    }

    /// Sends a command; gives all lines up to its tagged reply, or to the end.
    pub(crate) async fn ask(&mut self, command: impl AsRef<[u8]>) -> String {
        let command = command.as_ref();
        let tag = command.split(|octet| *octet == b' ').next().unwrap();
        let tag = format!("{} ", String::from_utf8_lossy(tag));
        self.send([command, b"\r\n"].concat()).await;
        self.until(&tag).await
    }

    /// All lines up to one that begins so, or to the end.
    pub(crate) async fn until(&mut self, start: &str) -> String {
        let mut answer = String::new();
        loop {
            let line = self.line().await;
            answer += &line;
            if line.starts_with(start) || line.is_empty() {
                return answer;
            }
        }
    }

    /// The next line; empty at the end.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read = self.0.read_until(b'\n', &mut line);
        tokio::time::timeout(std::time::Duration::from_secs(20), read).await.unwrap().unwrap();
        String::from_utf8_lossy(&line).into_owned()
    }
}
