//! Wakes the thread where there is no inotify to wait for.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    ringing: Condvar,
}

impl Bell {
    /// Ends a [`Bell::wait`], or the next one if there is none now.
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ringing.notify_one();
    }

    /// Waits until it rings, or for so long.
    pub(super) fn wait(&self, timeout: Option<Duration>) {
        let silent = |rung: &mut bool| !*rung;
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rung = match timeout {
            None => self.ringing.wait_while(rung, silent).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                let waited = self.ringing.wait_timeout_while(rung, timeout, silent);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        *rung = false;
    }
}
