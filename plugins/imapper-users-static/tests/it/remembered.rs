//! A password that was right is remembered for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use imapper_users_static::Static;

use crate::login;

#[tokio::test]
async fn the_clock_decides_how_long() {
    let seconds = Arc::new(AtomicU64::new(0));
    let asked = Arc::new(AtomicU64::new(0));
    let (start, now, count) = (Instant::now(), Arc::clone(&seconds), Arc::clone(&asked));
    let users = Static::builder()
        .plain_password("john", "x")
        .unwrap()
        .clock(move || {
            count.fetch_add(1, Ordering::Relaxed);
            start + Duration::from_secs(now.load(Ordering::Relaxed))
        })
        .build();
    // The clock is read once to look, and once more to note what had to be verified.
    let reads = || asked.swap(0, Ordering::Relaxed);
    assert!(login(&users, "john", "x").await.is_ok());
    assert_eq!(reads(), 2);
    seconds.store(59, Ordering::Relaxed);
    assert!(login(&users, "john", "x").await.is_ok());
    assert_eq!(reads(), 1);
    seconds.store(61, Ordering::Relaxed);
    assert!(login(&users, "john", "x").await.is_ok());
    assert_eq!(reads(), 2);
}
