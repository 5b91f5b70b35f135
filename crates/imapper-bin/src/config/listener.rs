//! `[[listener]]` and the top-level keys and flags that stand for one: where the server listens.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use imapper_core::TlsMode;

use super::Problems;
use super::section::Section;
use super::value::{Table, Unfit, Value};

/// When TLS begins, as the configuration writes it.
pub(crate) const fn word(mode: TlsMode) -> &'static str {
    match mode {
        TlsMode::None => "none",
        TlsMode::StartTls => "starttls",
        TlsMode::Implicit => "implicit",
    }
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A host, by name or number, and a port; 0 for any free one.
    Tcp(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return (!path.is_empty()).then(|| Self::Unix(path.into()));
        }
        let (host, port) = text.rsplit_once(':')?;
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // `::1:143` would be an address without a port.
        let host = inner.or_else(|| (!host.contains(':')).then_some(host))?;
        (!host.is_empty()).then_some(Self::Tcp(host.to_owned(), port.parse().ok()?))
    }

    /// The address to listen on: of a host's name, the first IPv4 address, else the first one.
    pub(crate) fn resolve(&self) -> std::io::Result<imapper_core::Address> {
        match self {
            Self::Tcp(host, port) => {
                let mut addresses: Vec<SocketAddr> = (host.as_str(), *port).to_socket_addrs()?.collect();
                addresses.sort_by_key(SocketAddr::is_ipv6);
                let first = addresses.first().copied().ok_or(std::io::ErrorKind::NotFound)?;
                Ok(imapper_core::Address::Tcp(first))
            }
            Self::Unix(path) => Ok(imapper_core::Address::Unix(path.clone())),
        }
    }

    /// Whether only this machine can reach it.
    pub(crate) fn is_local(&self) -> bool {
        match self.resolve() {
            Ok(imapper_core::Address::Tcp(address)) => address.ip().to_canonical().is_loopback(),
            Ok(imapper_core::Address::Unix(_)) => true,
            Err(_) => false,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// A listener for IMAP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) address: Address,
    pub(crate) tls: TlsMode,
}

impl Listener {
    pub(crate) fn read(table: &Table, problems: &Problems) -> Option<Self> {
        let section = Section::open("listener", table, problems);
        section.read("protocol", imap_only);
        let address = section.read("address", |value| {
            value.text().ok().and_then(Address::parse).ok_or_else(|| {
                Unfit::wanted(
                    "an address with a port, such as \"127.0.0.1:143\" or \"[::]:143\", or \"unix:/path\"",
                    value,
                )
            })
        });
        if table.get("address").is_none() {
            problems.add(section.at(), "[[listener]] needs an `address`");
        }
        let modes =
            [("starttls", TlsMode::StartTls), ("implicit", TlsMode::Implicit), ("none", TlsMode::None)];
        let tls = section.one_of("tls", &modes);
        let address = address?;
        let otherwise = if matches!(address, Address::Unix(_)) { TlsMode::None } else { TlsMode::StartTls };
        Some(Self { tls: tls.unwrap_or(otherwise), address })
    }
}

fn imap_only(value: &Value) -> Result<(), Unfit> {
    match value.text() {
        Ok("imap") => Ok(()),
        Ok("lmtp" | "smtp") => Err(Unfit(format!(
            "{:?} is not in this version yet: it comes with the feature `delivery`",
            value.text().unwrap_or_default()
        ))),
        _ => Err(Unfit::wanted("\"imap\"", value)),
    }
}

/// What flags, variables and top-level keys say of listening, each if it is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    pub(crate) port: Option<u16>,
    pub(crate) host: Option<String>,
    pub(crate) ssl: Option<bool>,
    /// The top-level `tls`, where it is a boolean.
    pub(crate) starttls: Option<bool>,
}

/// The listeners, with `overrides` laid over them. `certificate`: whether one is configured.
pub(crate) fn resolve(
    mut listeners: Vec<Listener>,
    overrides: &Overrides,
    certificate: bool,
) -> Result<Vec<Listener>, String> {
    if listeners.is_empty() {
        let host = overrides.host.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
        let port = if overrides.ssl == Some(true) { 993 } else { 143 };
        let address = Address::Tcp(host, port);
        // Off this machine nobody could log in without TLS.
        let tls = if certificate || !address.is_local() { TlsMode::StartTls } else { TlsMode::None };
        listeners.push(Listener { address, tls });
    }
    if let Some(wanted) = &overrides.host {
        for listener in &mut listeners {
            if let Address::Tcp(host, _) = &mut listener.address {
                host.clone_from(wanted);
            }
        }
    }
    let first = listeners.iter_mut().find(|listener| matches!(listener.address, Address::Tcp(..)));
    match (first, overrides) {
        (None, Overrides { port: None, ssl: None, starttls: None, .. }) => {}
        (None, _) => {
            return Err("`port`, `ssl` and `tls` are of a TCP listener, and there is none".to_owned());
        }
        (Some(listener), _) => {
            if let (Address::Tcp(_, port), Some(wanted)) = (&mut listener.address, overrides.port) {
                *port = wanted;
            }
            let is_implicit = overrides.ssl.unwrap_or(listener.tls == TlsMode::Implicit);
            listener.tls = match (overrides.starttls, listener.tls) {
                _ if is_implicit => TlsMode::Implicit,
                (Some(false), _) => TlsMode::None,
                (Some(true), _) | (None, TlsMode::Implicit) => TlsMode::StartTls,
                (None, mode) => mode,
            };
        }
    }
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16, tls: TlsMode) -> Listener {
        Listener { address: Address::Tcp(host.to_owned(), port), tls }
    }

    #[test]
    fn addresses() {
        assert_eq!(Address::parse("0.0.0.0:143"), Some(Address::Tcp("0.0.0.0".to_owned(), 143)));
        assert_eq!(Address::parse("[::1]:993"), Some(Address::Tcp("::1".to_owned(), 993)));
        assert_eq!(Address::parse("localhost:0"), Some(Address::Tcp("localhost".to_owned(), 0)));
        assert_eq!(Address::parse("unix:/run/x"), Some(Address::Unix("/run/x".into())));
        for wrong in ["", "143", ":143", "::1:143", "localhost", "localhost:", "localhost:65536", "unix:"] {
            assert_eq!(Address::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Address::parse("[::1]:993").unwrap().to_string(), "[::1]:993");
    }

    #[test]
    fn where_nothing_is_said_the_port_depends_on_ssl() {
        let none = Overrides::default();
        assert_eq!(resolve(vec![], &none, false), Ok(vec![tcp("127.0.0.1", 143, TlsMode::None)]));
        assert_eq!(resolve(vec![], &none, true), Ok(vec![tcp("127.0.0.1", 143, TlsMode::StartTls)]));
        let ssl = Overrides { ssl: Some(true), ..Overrides::default() };
        assert_eq!(resolve(vec![], &ssl, false), Ok(vec![tcp("127.0.0.1", 993, TlsMode::Implicit)]));
        let port = Overrides { port: Some(1143), starttls: Some(true), ..Overrides::default() };
        assert_eq!(resolve(vec![], &port, false), Ok(vec![tcp("127.0.0.1", 1143, TlsMode::StartTls)]));
        let wide = Overrides { host: Some("0.0.0.0".to_owned()), ..Overrides::default() };
        assert_eq!(resolve(vec![], &wide, false), Ok(vec![tcp("0.0.0.0", 143, TlsMode::StartTls)]));
    }

    #[test]
    fn port_is_of_the_first_listener_and_host_of_all() {
        let both = vec![tcp("0.0.0.0", 143, TlsMode::StartTls), tcp("0.0.0.0", 993, TlsMode::Implicit)];
        let said = Overrides { port: Some(1143), host: Some("::1".to_owned()), ..Overrides::default() };
        assert_eq!(
            resolve(both.clone(), &said, true),
            Ok(vec![tcp("::1", 1143, TlsMode::StartTls), tcp("::1", 993, TlsMode::Implicit)])
        );
        let ssl = Overrides { ssl: Some(true), ..Overrides::default() };
        assert_eq!(resolve(both.clone(), &ssl, true).unwrap()[0].tls, TlsMode::Implicit);
        let tls = Overrides { starttls: Some(false), ..Overrides::default() };
        let modes: Vec<_> = resolve(both, &tls, true).unwrap().iter().map(|listener| listener.tls).collect();
        assert_eq!(modes, [TlsMode::None, TlsMode::Implicit]);
    }

    #[test]
    fn a_port_needs_a_tcp_listener() {
        let socket = vec![Listener { address: Address::Unix("/x".into()), tls: TlsMode::None }];
        let said = Overrides { port: Some(1), ..Overrides::default() };
        assert!(resolve(socket.clone(), &said, false).is_err());
        assert_eq!(resolve(socket.clone(), &Overrides::default(), false), Ok(socket));
    }
}
