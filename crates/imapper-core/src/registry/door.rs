//! The door: counts who is inside, and how often somebody has knocked in vain. Bounds are per address and per
//! user, never by locking a user out, which would be an attack of its own.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::limits::Limits;

/// The most that a failed login waits for its answer.
const LONGEST_DELAY: Duration = Duration::from_secs(15);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
/// How many addresses are remembered; beyond, the oldest failures are forgotten.
const MOST_ADDRESSES: usize = 100_000;

/// Why somebody is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The door is closed for good.
    #[error("the server is shutting down")]
    Closed,
    /// The server has as many connections as it takes.
    #[error("too many connections")]
    Connections,
    /// The address has too many connections open, or opens them too fast.
    #[error("too many connections from your address")]
    Address,
    /// The user has too many sessions.
    #[error("too many sessions of this user")]
    Sessions,
    /// Too many failed logins came from the address.
    #[error("too many failed logins from your address; try again later")]
    Guessing,
}

#[derive(Default)]
struct Counts {
    closed: bool,
    connections: usize,
    addresses: HashMap<IpAddr, Address>,
    users: HashMap<String, HashMap<Option<IpAddr>, usize>>,
}

struct Address {
    open: usize,
    /// When the minute of `opened` began.
    minute: Instant,
    opened: usize,
    failed_minute: Instant,
    failed_in_minute: u32,
    failed_day: Instant,
    failed_in_day: u32,
}

/// See the module.
#[derive(Clone, Default)]
pub struct Door {
    counts: Arc<Mutex<Counts>>,
    emptied: CancellationToken,
}

/// Somebody who is inside; leaves when dropped.
pub struct Ticket {
    door: Door,
    peer: Option<IpAddr>,
    user: Option<String>,
    /// How many logins have failed on this connection.
    pub failed_logins: u32,
}

/// An address, or for IPv6 the network that one customer usually has.
fn key(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::from((address.to_bits() & (u128::MAX << 64)).to_be_bytes()),
    }
}

impl Address {
    fn new(now: Instant) -> Self {
        Self {
            open: 0,
            minute: now,
            opened: 0,
            failed_minute: now,
            failed_in_minute: 0,
            failed_day: now,
            failed_in_day: 0,
        }
    }

    fn renew(&mut self, now: Instant) {
        if now.duration_since(self.minute) >= MINUTE {
            (self.minute, self.opened) = (now, 0);
        }
        if now.duration_since(self.failed_minute) >= MINUTE {
            (self.failed_minute, self.failed_in_minute) = (now, 0);
        }
        if now.duration_since(self.failed_day) >= DAY {
            (self.failed_day, self.failed_in_day) = (now, 0);
        }
    }

    /// Whether forgetting it changes nothing.
    fn is_idle(&self) -> bool {
        self.open == 0 && self.opened == 0 && self.failed_in_day == 0
    }
}

impl Door {
    fn with<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        let (changed, is_over) = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = change(&mut counts);
            (changed, counts.closed && counts.connections == 0)
        };
        if is_over {
            self.emptied.cancel();
        }
        changed
    }

    /// Lets nobody in any more. Those inside stay until they leave.
    pub fn close(&self) {
        self.with(|counts| counts.closed = true);
    }

    /// Whether nobody is let in any more.
    pub fn is_closed(&self) -> bool {
        self.with(|counts| counts.closed)
    }

    /// Resolves when the door is closed and the last one has left.
    pub async fn emptied(&self) {
        self.emptied.cancelled().await;
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.with(|counts| counts.connections)
    }

    /// The users that have logged in, and how many sessions each has.
    pub fn sessions(&self) -> BTreeMap<String, usize> {
        self.with(|counts| {
            counts.users.iter().map(|(user, sessions)| (user.clone(), sessions.values().sum())).collect()
        })
    }

    /// Somebody connects. `None` for a local socket.
    pub fn enter(&self, peer: Option<IpAddr>, limits: &Limits) -> Result<Ticket, Refused> {
        let trusted = limits.trusts(peer);
        self.with(|counts| {
            if counts.closed {
                return Err(Refused::Closed);
            }
            if counts.connections >= limits.connections {
                return Err(Refused::Connections);
            }
            if let Some(peer) = peer.filter(|_| !trusted) {
                let now = Instant::now();
                forget(&mut counts.addresses, now);
                let address = counts.addresses.entry(key(peer)).or_insert_with(|| Address::new(now));
                address.renew(now);
                if address.open >= limits.connections_per_address
                    || address.opened >= limits.connections_per_minute
                {
                    return Err(Refused::Address);
                }
                address.open += 1;
                address.opened += 1;
            }
            counts.connections += 1;
            Ok(())
        })?;
        Ok(Ticket { door: self.clone(), peer: peer.filter(|_| !trusted), user: None, failed_logins: 0 })
    }

    /// Whether somebody from that address may try to log in.
    pub fn may_try(&self, peer: Option<IpAddr>, limits: &Limits) -> Result<(), Refused> {
        let Some(peer) = peer.filter(|_| !limits.trusts(peer)) else { return Ok(()) };
        self.with(|counts| {
            let Some(address) = counts.addresses.get_mut(&key(peer)) else { return Ok(()) };
            address.renew(Instant::now());
            let is_over = address.failed_in_minute >= limits.failed_logins_per_minute
                || address.failed_in_day >= limits.failed_logins_per_day;
            if is_over { Err(Refused::Guessing) } else { Ok(()) }
        })
    }

    /// A login has failed: how long the answer has to wait.
    pub fn failed(&self, peer: Option<IpAddr>, limits: &Limits) -> Duration {
        let Some(peer) = peer.filter(|_| !limits.trusts(peer)) else { return Duration::ZERO };
        let failures = self.with(|counts| {
            let now = Instant::now();
            let address = counts.addresses.entry(key(peer)).or_insert_with(|| Address::new(now));
            address.renew(now);
            address.failed_in_minute = address.failed_in_minute.saturating_add(1);
            address.failed_in_day = address.failed_in_day.saturating_add(1);
            address.failed_in_minute
        });
        let factor = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        limits.failed_login_delay.saturating_mul(factor).min(LONGEST_DELAY)
    }
}

/// Keeps the number of addresses bounded.
fn forget(addresses: &mut HashMap<IpAddr, Address>, now: Instant) {
    if addresses.len() < MOST_ADDRESSES {
        return;
    }
    addresses.retain(|_, address| {
        address.renew(now);
        !address.is_idle()
    });
    if addresses.len() >= MOST_ADDRESSES {
        addresses.retain(|_, address| address.open > 0);
    }
}

impl Ticket {
    /// The one inside has logged in. `peer` is its address, `None` a local socket.
    pub fn log_in(&mut self, user: &str, peer: Option<IpAddr>, limits: &Limits) -> Result<(), Refused> {
        let trusted = limits.trusts(peer);
        self.door.with(|counts| {
            let sessions = counts.users.entry(user.to_owned()).or_default();
            let all: usize = sessions.values().sum();
            let here = sessions.get(&self.peer).copied().unwrap_or_default();
            if all >= limits.sessions_per_user || (!trusted && here >= limits.sessions_per_user_and_address) {
                return Err(Refused::Sessions);
            }
            *sessions.entry(self.peer).or_default() += 1;
            Ok(())
        })?;
        self.user = Some(user.to_owned());
        Ok(())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let (peer, user) = (self.peer, self.user.take());
        self.door.with(|counts| {
            counts.connections = counts.connections.saturating_sub(1);
            if let Some(address) = peer.and_then(|peer| counts.addresses.get_mut(&key(peer))) {
                address.open = address.open.saturating_sub(1);
            }
            let Some(user) = user else { return };
            let Some(sessions) = counts.users.get_mut(&user) else { return };
            if let Some(here) = sessions.get_mut(&peer) {
                *here = here.saturating_sub(1);
            }
            sessions.retain(|_, here| *here > 0);
            if sessions.is_empty() {
                counts.users.remove(&user);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            connections: 3,
            connections_per_address: 2,
            connections_per_minute: 4,
            sessions_per_user: 2,
            sessions_per_user_and_address: 1,
            failed_logins_per_minute: 3,
            trusted: Vec::new(),
            ..Limits::default()
        }
    }

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const THERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));

    #[tokio::test(start_paused = true)]
    async fn connections_have_bounds() {
        let (door, limits) = (Door::default(), limits());
        let first = door.enter(HERE, &limits).unwrap();
        let _second = door.enter(HERE, &limits).unwrap();
        assert_eq!(door.enter(HERE, &limits).err(), Some(Refused::Address));
        let _third = door.enter(THERE, &limits).unwrap();
        assert_eq!(door.enter(THERE, &limits).err(), Some(Refused::Connections));
        drop(first);
        let again = door.enter(HERE, &limits).unwrap();
        drop(again);
        drop(door.enter(HERE, &limits).unwrap());
        assert_eq!(door.enter(HERE, &limits).err(), Some(Refused::Address), "four in a minute");
        tokio::time::advance(MINUTE).await;
        door.enter(HERE, &limits).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_have_bounds() {
        let (door, limits) = (Door::default(), limits());
        let (mut a, mut b, mut c) = (
            door.enter(HERE, &limits).unwrap(),
            door.enter(HERE, &limits).unwrap(),
            door.enter(THERE, &limits).unwrap(),
        );
        a.log_in("john", HERE, &limits).unwrap();
        assert_eq!(b.log_in("john", HERE, &limits), Err(Refused::Sessions));
        b.log_in("jill", HERE, &limits).unwrap();
        c.log_in("john", THERE, &limits).unwrap();
        drop(a);
        drop(b);
        let mut d = door.enter(HERE, &limits).unwrap();
        d.log_in("john", HERE, &limits).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn failures_wait_longer_and_then_are_refused() {
        let (door, limits) = (Door::default(), limits());
        let waits: Vec<u64> = (0..3).map(|_| door.failed(HERE, &limits).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4]);
        assert_eq!(door.may_try(HERE, &limits), Err(Refused::Guessing));
        assert_eq!(door.may_try(THERE, &limits), Ok(()));
        tokio::time::advance(MINUTE).await;
        assert_eq!(door.may_try(HERE, &limits), Ok(()));
        assert_eq!(door.failed(None, &Limits::default()), Duration::ZERO, "a local socket is trusted");
    }

    #[tokio::test(start_paused = true)]
    async fn closed_it_lets_nobody_in_and_waits_for_those_inside() {
        let (door, limits) = (Door::default(), limits());
        let (mut first, second) = (door.enter(HERE, &limits).unwrap(), door.enter(HERE, &limits).unwrap());
        first.log_in("john", HERE, &limits).unwrap();
        assert_eq!((door.connections(), door.sessions()), (2, BTreeMap::from([("john".to_owned(), 1)])));
        drop(second);
        door.close();
        assert_eq!(door.enter(None, &limits).err(), Some(Refused::Closed));
        assert!(door.is_closed() && tokio::time::timeout(MINUTE, door.emptied()).await.is_err());
        drop(first);
        door.emptied().await;
        let empty = Door::default();
        assert!(tokio::time::timeout(MINUTE, empty.emptied()).await.is_err());
        empty.close();
        empty.emptied().await;
    }

    #[test]
    fn an_ipv6_customer_is_one_address() {
        assert_eq!(key("2001:db8::1".parse().unwrap()), key("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(key("2001:db8::1".parse().unwrap()), key("2001:db8:0:1::1".parse().unwrap()));
    }
}
