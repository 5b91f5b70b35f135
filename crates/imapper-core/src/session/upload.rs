//! A literal that goes by instead of being held in memory: the message of APPEND on its way from the socket
//! to the storage. The command asks; whoever reads the socket answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::{mpsc, oneshot};

use super::{Output, Reject};
use crate::storage::{ByteStream, StorageError};

/// How many pieces of a literal may wait for the storage.
const PIECES: usize = 4;

/// What a command asks of the one that reads the socket.
pub enum Request {
    /// The octets of the literal.
    Literal(mpsc::Sender<Bytes>),
    /// The text behind it.
    Text(oneshot::Sender<Text>),
}

/// The text behind a literal.
#[derive(Debug)]
pub enum Text {
    /// Up to the end of the command.
    End(Bytes),
    /// Up to another literal.
    Literal {
        /// The text, with the head of the literal.
        text: Bytes,
        /// The literal's size in octets.
        size: u64,
        /// Whether the client waits for a continuation request.
        waits: bool,
    },
}

/// A literal that has been announced and not been taken.
pub struct Upload {
    size: u64,
    waits: bool,
    taken: bool,
    cut: Arc<AtomicBool>,
    requests: mpsc::Sender<Request>,
}

impl Upload {
    /// A literal of `size` octets. Its requests come out at the other end.
    pub fn new(size: u64, waits: bool) -> (Self, mpsc::Receiver<Request>) {
        let (requests, asked) = mpsc::channel(1);
        (Self { size, waits, taken: false, cut: Arc::default(), requests }, asked)
    }

    /// Its size in octets.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Whether the client is still waiting for a continuation request, and sends nothing until it comes.
    pub const fn is_held(&self) -> bool {
        self.waits && !self.taken
    }

    /// Whether the client hung up before all octets had come.
    pub fn was_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Lets the client send, and gives the octets. The stream ends with an error when the client hangs up
    /// before all have come.
    pub async fn accept(&mut self, out: &mut Output) -> Result<ByteStream, Reject> {
        if self.is_held() {
            out.proceed(b"Ready for the literal").await?;
        }
        self.taken = true;
        let (sender, receiver) = mpsc::channel::<Bytes>(PIECES);
        let _ = self.requests.send(Request::Literal(sender)).await;
        let state = (receiver, self.size, Arc::clone(&self.cut));
        let octets = stream::unfold(state, |(mut receiver, left, cut)| async move {
            if left == 0 {
                return None;
            }
            let Some(octets) = receiver.recv().await else {
                cut.store(true, Ordering::Release);
                let error = StorageError::Unavailable("the client hung up".into());
                return Some((Err(error), (receiver, 0, cut)));
            };
            let left = left.saturating_sub(octets.len() as u64);
            Some((Ok(octets), (receiver, left, cut)))
        });
        Ok(octets.boxed())
    }

    /// The text behind the literal, which must have been taken whole.
    pub async fn text(&mut self) -> Result<Text, Reject> {
        let (sender, receiver) = oneshot::channel();
        let _ = self.requests.send(Request::Text(sender)).await;
        let text = receiver.await.map_err(|_| Reject::Gone(std::io::ErrorKind::UnexpectedEof.into()))?;
        if let Text::Literal { size, waits, .. } = &text {
            (self.size, self.waits, self.taken) = (*size, *waits, false);
        }
        Ok(text)
    }
}
