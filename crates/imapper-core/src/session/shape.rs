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

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets so many octets out at once, and fails when none are left.
    struct UpTo(usize, usize);

    impl Shape for UpTo {
        fn connection(&self, _connection: u64) -> Box<dyn Shaper> {
            Box::new(Self(self.0, self.1))
        }
    }

    #[async_trait]
    impl Shaper for UpTo {
        async fn next(&mut self, _ready: usize, is_first: bool) -> io::Result<usize> {
            Ok(if is_first { 0 } else { self.0 })
        }

        fn gone(&mut self, octets: usize) -> io::Result<()> {
            self.1 = self.1.checked_sub(octets).ok_or(io::ErrorKind::ConnectionReset)?;
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_least_that_one_lets_out_goes_and_at_least_an_octet() {
        let shapes: [Arc<dyn Shape>; 2] = [Arc::new(UpTo(7, 10)), Arc::new(UpTo(5, 20))];
        let mut shapers = Shapers::new(&shapes, 1);
        assert_eq!(shapers.next(9).await.unwrap(), 1);
        assert_eq!(shapers.next(9).await.unwrap(), 5);
        assert_eq!(shapers.next(3).await.unwrap(), 3);
        shapers.pause();
        assert_eq!(shapers.next(9).await.unwrap(), 1);
        assert!(shapers.gone(10).is_ok() && shapers.gone(1).is_err());
        let mut none = Shapers::new(&[], 1);
        assert!(none.is_empty() && none.next(9).await.unwrap() == 9);
    }
}
