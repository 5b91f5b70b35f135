//! The shape of what leaves for a client: when, in what pieces, and how much of it. Octets of the conversation
//! are counted, inside of TLS.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;

/// Shapes what leaves for the clients.
pub trait Shape: Send + Sync + 'static {
    /// For the connection of that number, which has just been made.
    fn connection(&self, connection: u64) -> Box<dyn Shaper>;
}

/// Shapes what leaves for one client. An error of it ends the connection as a network that fails does: with no
/// word more, not even of TLS.
#[async_trait]
pub trait Shaper: Send + Sync {
    /// So many octets are ready: how many of them go out in the next write. Whoever wants them later waits.
    /// `is_first`: the client was waited for since the last ones.
    async fn next(&mut self, ready: usize, is_first: bool) -> io::Result<usize>;

    /// So many octets have gone out.
    fn gone(&mut self, octets: usize) -> io::Result<()>;
}

/// All that shape one connection.
pub(crate) struct Shapers {
    shapers: Vec<Box<dyn Shaper>>,
    is_first: bool,
}

impl Shapers {
    /// Of the connection of that number.
    pub(crate) fn new(shapes: &[Arc<dyn Shape>], connection: u64) -> Self {
        let shapers = shapes.iter().map(|shape| shape.connection(connection)).collect();
        Self { shapers, is_first: true }
    }

    /// Whether nothing is shaped.
    pub(crate) fn is_empty(&self) -> bool {
        self.shapers.is_empty()
    }

    /// The client is waited for.
    pub(crate) const fn pause(&mut self) {
        self.is_first = true;
    }

    /// How many of so many octets go out in the next write: at least one, as none would be for ever.
    pub(crate) async fn next(&mut self, ready: usize) -> io::Result<usize> {
        let is_first = std::mem::take(&mut self.is_first);
        let mut next = ready;
        for shaper in &mut self.shapers {
            next = next.min(shaper.next(ready, is_first).await?.max(1));
        }
        Ok(next)
    }

    pub(crate) fn gone(&mut self, octets: usize) -> io::Result<()> {
        self.shapers.iter_mut().try_for_each(|shaper| shaper.gone(octets))
    }
}
