//! Sockets: the only files that name `tokio::net`.

pub mod connection;
pub mod listen;
pub mod tls;
