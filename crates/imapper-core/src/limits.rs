//! Every bound of the server, with its default. Each is a configuration key of the same name.

use std::net::IpAddr;
use std::time::Duration;

use crate::message;
use crate::wire::{FrameLimits, NonSync};

/// What a client, a message or a mailbox may cost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Octets of a command's text before login, literals left out.
    pub command_line_before_login: usize,
    /// Octets of a command's text, literals left out.
    pub command_line: usize,
    /// Octets of one literal before login.
    pub literal_before_login: u64,
    /// Octets of all literals of a command before login.
    pub literals_before_login: u64,
    /// Octets of one literal that is held in memory.
    pub literal: u64,
    /// Octets of all literals of a command that are held in memory.
    pub literals: u64,
    /// Literals of a command.
    pub literal_count: usize,
    /// Octets of a message that is appended.
    pub append: u64,
    /// Parentheses in one another before login.
    pub nesting_before_login: usize,
    /// Parentheses in one another.
    pub nesting: usize,
    /// Octets of a mailbox's name, as UTF-8.
    pub mailbox_name: usize,
    /// Levels of a mailbox's name.
    pub mailbox_levels: usize,
    /// Octets of a level of a mailbox's name.
    pub mailbox_level: usize,
    /// Keywords of a mailbox.
    pub keywords: usize,
    /// Octets of a keyword.
    pub keyword: usize,
    /// Octets of a pattern of LIST or LSUB.
    pub list_pattern: usize,
    /// What is parsed of a message.
    pub message: message::Limits,
    /// Bad commands in a row before login, then BYE.
    pub bad_commands_before_login: u32,
    /// Bad commands in a row, then BYE.
    pub bad_commands: u32,
    /// Octets of answers that wait for the client to read; with more, no command is run. Above 64 KiB it makes
    /// no difference: so much is put together before it is written.
    pub unread_output: usize,
    /// How long a client may not read, then the connection is closed.
    pub unread_output_timeout: Duration,
    /// Commands of one client that are answered before their answers are written.
    pub pipelined: usize,
    /// From the greeting to a login.
    pub login_timeout: Duration,
    /// For the handshake of TLS.
    pub tls_handshake_timeout: Duration,
    /// Without a command, then BYE (RFC 9051 §5.4: at least 30 minutes).
    pub idle_timeout: Duration,
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address that are open.
    pub connections_per_address: usize,
    /// New connections of one address in a minute.
    pub connections_per_minute: usize,
    /// Sessions of one user.
    pub sessions_per_user: usize,
    /// Sessions of one user from one address.
    pub sessions_per_user_and_address: usize,
    /// Failed logins of one connection, then BYE.
    pub failed_logins: u32,
    /// Failed logins of one address in a minute, then it is refused.
    pub failed_logins_per_minute: u32,
    /// Failed logins of one address in a day, then it is refused.
    pub failed_logins_per_day: u32,
    /// The answer to a failed login waits that long, twice as long after each, up to 15 s.
    pub failed_login_delay: Duration,
    /// Time of one SEARCH that the CPU works.
    pub search_time: Duration,
    /// Addresses that are exempt from limits per address and from the delay after failed logins.
    pub trusted: Vec<Network>,
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: usize = 1024;
        const MIB: u64 = 1024 * 1024;
        Self {
            command_line_before_login: 8 * KIB,
            command_line: 64 * KIB,
            literal_before_login: 4 * KIB as u64,
            literals_before_login: 8 * KIB as u64,
            literal: 64 * KIB as u64,
            literals: MIB,
            literal_count: 1000,
            append: 50 * MIB,
            nesting_before_login: 4,
            nesting: 32,
            mailbox_name: 1000,
            mailbox_levels: 32,
            mailbox_level: 255,
            keywords: 1024,
            keyword: 100,
            list_pattern: 1000,
            message: message::Limits::default(),
            bad_commands_before_login: 3,
            bad_commands: 20,
            unread_output: 1024 * KIB,
            unread_output_timeout: Duration::from_mins(5),
            pipelined: 16,
            login_timeout: Duration::from_mins(1),
            tls_handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(30),
            connections: 10_000,
            connections_per_address: 60,
            connections_per_minute: 300,
            sessions_per_user: 100,
            sessions_per_user_and_address: 20,
            failed_logins: 3,
            failed_logins_per_minute: 10,
            failed_logins_per_day: 100,
            failed_login_delay: Duration::from_secs(1),
            search_time: Duration::from_secs(30),
            trusted: Network::loopback(),
        }
    }
}

impl Limits {
    /// What a client may send before it has logged in.
    pub const fn frame_before_login(&self, non_sync: NonSync) -> FrameLimits {
        FrameLimits {
            line: self.command_line_before_login,
            literal: self.literal_before_login,
            literals: self.literals_before_login,
            literal_count: self.literal_count,
            non_sync,
        }
    }

    /// What a client may send.
    pub const fn frame(&self, non_sync: NonSync) -> FrameLimits {
        FrameLimits {
            line: self.command_line,
            literal: self.literal,
            literals: self.literals,
            literal_count: self.literal_count,
            non_sync,
        }
    }

    /// Whether the peer is exempt from limits per address; `None` is a local socket.
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        self.trusted.iter().any(|network| network.contains(peer))
    }
}

/// A range of addresses, or the local sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Unix sockets and pipes.
    Local,
    /// The addresses that begin with so many bits of this one.
    Ip {
        /// The address.
        address: IpAddr,
        /// How many of its bits count.
        bits: u8,
    },
}

impl Network {
    /// This machine: `127.0.0.0/8`, `::1`, `unix`.
    pub fn loopback() -> Vec<Self> {
        vec![
            Self::Ip { address: IpAddr::from([127, 0, 0, 0]), bits: 8 },
            Self::Ip { address: IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1u16]), bits: 128 },
            Self::Local,
        ]
    }

    /// Whether the peer is in the range; `None` is a local socket.
    pub fn contains(&self, peer: Option<IpAddr>) -> bool {
        fn same(a: u128, b: u128, width: u8, bits: u8) -> bool {
            let ignored = u32::from(width.saturating_sub(bits));
            a.checked_shr(ignored).unwrap_or_default() == b.checked_shr(ignored).unwrap_or_default()
        }
        match (self, peer.map(|peer| peer.to_canonical())) {
            (Self::Local, None) => true,
            (Self::Ip { address: IpAddr::V4(network), bits }, Some(IpAddr::V4(peer))) => {
                same(network.to_bits().into(), peer.to_bits().into(), 32, *bits)
            }
            (Self::Ip { address: IpAddr::V6(network), bits }, Some(IpAddr::V6(peer))) => {
                same(network.to_bits(), peer.to_bits(), 128, *bits)
            }
            _ => false,
        }
    }
}

impl std::str::FromStr for Network {
    type Err = &'static str;

    /// `unix`, an address, or an address with `/` and a number of bits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const ERROR: &str = "an address, a network such as 10.0.0.0/8, or \"unix\" is expected";
        if text == "unix" {
            return Ok(Self::Local);
        }
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| ERROR)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), |bits| bits.parse().map_err(|_| ERROR))?;
        if bits > width { Err(ERROR) } else { Ok(Self::Ip { address, bits }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        let limits = Limits::default();
        for peer in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(limits.trusts(Some(peer.parse().unwrap())), "{peer}");
        }
        assert!(limits.trusts(None));
        for peer in ["128.0.0.1", "::2", "10.0.0.1"] {
            assert!(!limits.trusts(Some(peer.parse().unwrap())), "{peer}");
        }
        let any: Network = "0.0.0.0/0".parse().unwrap();
        assert!(any.contains(Some("203.0.113.9".parse().unwrap())) && !any.contains(None));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
    }
}
