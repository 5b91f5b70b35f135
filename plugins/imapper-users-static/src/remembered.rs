//! Passwords that were right a moment ago. A client that opens ten connections pays for one bcrypt.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many are remembered at most.
const MOST: usize = 1024;

/// 128 bits of a hash whose key is random and known to nobody outside this process, so that neither can two
/// passwords be made to meet, nor one be read out of it.
type Print = (u64, u64);

/// What was right, and until when.
pub(crate) struct Remembered {
    keys: (RandomState, RandomState),
    lifetime: Duration,
    clock: Box<dyn Fn() -> Instant + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    prints: HashSet<Print>,
    /// In the order in which they end.
    ends: VecDeque<(Instant, Print)>,
    /// Grows whenever something was forgotten on purpose.
    age: u64,
}

impl Remembered {
    pub(crate) fn new(lifetime: Duration, clock: Box<dyn Fn() -> Instant + Send + Sync>) -> Self {
        Self { keys: (RandomState::new(), RandomState::new()), lifetime, clock, state: Mutex::default() }
    }

    fn print(&self, user: &str, password: &str) -> Print {
        let both = (user, password);
        (self.keys.0.hash_one(both), self.keys.1.hash_one(both))
    }

    /// Whether this was right a moment ago; else the age to give to [`Remembered::note`].
    pub(crate) fn knows(&self, user: &str, password: &str) -> Result<(), u64> {
        let print = self.print(user, password);
        let now = (self.clock)();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.expire(now);
        if state.prints.contains(&print) { Ok(()) } else { Err(state.age) }
    }

    /// Notes that it was right, unless users have changed since it was asked.
    pub(crate) fn note(&self, user: &str, password: &str, age: u64) {
        let print = self.print(user, password);
        let Some(end) = (self.clock)().checked_add(self.lifetime) else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lifetime.is_zero() || state.age != age || !state.prints.insert(print) {
            return;
        }
        state.ends.push_back((end, print));
        if state.ends.len() > MOST {
            state.drop_first();
        }
    }

    /// Forgets all, also what is being verified just now.
    pub(crate) fn forget(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let age = state.age.wrapping_add(1);
        *state = State { age, ..State::default() };
    }
}

impl State {
    fn expire(&mut self, now: Instant) {
        while self.ends.front().is_some_and(|(end, _)| *end <= now) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, print)) = self.ends.pop_front() {
            self.prints.remove(&print);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn remembered() -> (Remembered, Arc<AtomicU64>) {
        let seconds = Arc::new(AtomicU64::new(0));
        let (start, now) = (Instant::now(), Arc::clone(&seconds));
        let clock = move || start + Duration::from_secs(now.load(Ordering::Relaxed));
        (Remembered::new(Duration::from_mins(1), Box::new(clock)), seconds)
    }

    #[test]
    fn a_password_is_forgotten_after_its_time() {
        let (remembered, seconds) = remembered();
        let age = remembered.knows("john", "x").unwrap_err();
        remembered.note("john", "x", age);
        seconds.store(59, Ordering::Relaxed);
        assert!(remembered.knows("john", "x").is_ok());
        assert!(remembered.knows("john", "y").is_err());
        assert!(remembered.knows("johnx", "").is_err());
        seconds.store(60, Ordering::Relaxed);
        assert!(remembered.knows("john", "x").is_err());
    }

    #[test]
    fn what_was_verified_before_a_change_is_not_noted_after_it() {
        let (remembered, _) = remembered();
        let age = remembered.knows("john", "x").unwrap_err();
        remembered.forget();
        remembered.note("john", "x", age);
        assert!(remembered.knows("john", "x").is_err());
    }

    #[test]
    fn there_is_a_bound() {
        let (remembered, _) = remembered();
        for n in 0..=MOST {
            remembered.note("john", &n.to_string(), 0);
        }
        assert!(remembered.knows("john", "0").is_err());
        assert!(remembered.knows("john", "1").is_ok());
        assert_eq!(remembered.state.lock().unwrap().ends.len(), MOST);
    }
}
