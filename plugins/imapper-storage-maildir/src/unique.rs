//! Names that nobody else makes: on this machine, on another one, before or after.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Random for each process: the keys of the standard library's hash maps come from the system's random numbers.
static PROCESS: LazyLock<u64> = LazyLock::new(random);
static NEXT: AtomicU64 = AtomicU64::new(0);

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A name for a file: seconds since 1970, and what tells it from all others (maildir(5)).
pub(crate) fn name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros, pid) = (now.as_secs(), now.subsec_micros(), std::process::id());
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{seconds}.M{micros:06}P{pid}Q{next}R{:016x}", *PROCESS)
}

/// 32 hexadecimal digits.
pub(crate) fn guid() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let low = random() ^ next.rotate_left(32);
    format!("{:08x}{:08x}{low:016x}", now.as_secs() & 0xffff_ffff, now.subsec_nanos())
}
