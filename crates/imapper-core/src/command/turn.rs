//! Turns between sessions. A command that computes for long without waiting for anything keeps a thread for
//! itself, and what that thread should read from other clients' sockets lies there meanwhile.

use std::time::Duration;

use tokio::time::Instant;

/// After so much work, other sessions have their turn.
const TURN: Duration = Duration::from_millis(10);

/// Gives way to other sessions now and then.
#[derive(Clone, Copy, Debug)]
pub struct Turn(Instant);

impl Default for Turn {
    fn default() -> Self {
        Self::new()
    }
}

impl Turn {
    /// One that begins now.
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// Whether it has lasted long enough.
    pub fn is_over(&self) -> bool {
        self.0.elapsed() >= TURN
    }

    /// Lets others have their turn, if this one is over, and begins another one.
    pub async fn pause(&mut self) {
        if self.is_over() {
            tokio::task::yield_now().await;
            self.0 = Instant::now();
        }
    }
}
