//! A server that says what a test tells it to, so that the runner can be seen to fail.

use imapper_testkit::{BoxFuture, Connect, NoServer, Server, Setup, Stream};
use std::io;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// For each connection, in order: what to wait for, and what to say then. Afterwards the server waits
/// for the client to go, or closes where the last text is `close`.
pub(crate) type Talk = Vec<Vec<(&'static str, &'static str)>>;

pub(crate) struct Fake(pub(crate) Talk);

impl Server for Fake {
    fn start<'a>(&'a self, setup: &'a Setup) -> BoxFuture<'a, Result<Box<dyn Connect>, NoServer>> {
        Box::pin(async move {
            if setup.needs.iter().any(|word| word == "XMISSING") {
                return Err(NoServer::Unsupported("XMISSING".into()));
            }
            let mut talk = self.0.clone();
            talk.reverse();
            Ok(Box::new(Running(Mutex::new(talk))) as Box<dyn Connect>)
        })
    }
}

struct Running(Mutex<Talk>);

impl Connect for Running {
    fn connect(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let turns = self.0.lock().unwrap().pop().ok_or_else(|| io::Error::other("no connection left"))?;
            let (near, far) = duplex(16);
            tokio::spawn(serve(far, turns));
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }
}

async fn serve(mut pipe: DuplexStream, turns: Vec<(&'static str, &'static str)>) {
    let mut heard = Vec::new();
    for (wait, say) in turns {
        while !heard.windows(wait.len().max(1)).any(|part| part == wait.as_bytes()) && !wait.is_empty() {
            if pipe.read_buf(&mut heard).await.unwrap_or(0) == 0 {
                return;
            }
        }
        if say == "close" || pipe.write_all(say.as_bytes()).await.is_err() {
            return;
        }
    }
    while pipe.read_buf(&mut heard).await.unwrap_or(0) > 0 {}
}
