//! A message's octets, and what IMAP shows of them: pure functions, without I/O and without a clock.
//!
//! ```text
//! octets ─ feed ─> Parser ─ finish ─> Digest ── envelope(), body(), bodystructure()   ready for the wire
//!          │  header, content, address,         ├─ locate(section), part(numbers)        offsets to read
//!          │  envelope, bodystructure           ├─ header_bytes(), sent(), base_subject()  for SEARCH, SORT
//!                                               └─ to_bytes() / from_bytes()              kept by the storage
//! ```
//!
//! A [`Parser`] takes a message in pieces as it streams by and keeps only the header it is in. Every
//! input gives a tree: what is damaged is read as the RFCs advise, or as a leaf. All limits of [`Limits`]
//! are bounds of time and memory, not errors.

mod address;
mod bodystructure;
mod build;
mod content;
mod date;
pub mod decode;
mod digest;
mod envelope;
mod header;
mod lex;
mod node;
mod parse;
pub mod search;
pub mod section;
mod structure;
mod thread;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

pub use date::Sent;
pub use decode::{Encoding, decode_transfer};
pub use digest::{Digest, Part};
pub use header::{Field, Fields, fields};
pub use parse::Parser;
pub use section::{Located, Section, What};

/// Bounds of what the parser keeps of a message. What is beyond is served as it is, but not looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Levels of multiparts and messages in each other; a deeper one is an application/octet-stream.
    pub depth: usize,
    /// Parts of a message. The first part beyond is an application/octet-stream and takes all that follows.
    pub parts: usize,
    /// Octets of a header field.
    pub field: usize,
    /// Octets of all headers of a message together.
    pub header: usize,
    /// Addresses of one kind in ENVELOPE.
    pub addresses: usize,
    /// Parameters of a MIME field.
    pub parameters: usize,
    /// Octets of the message's header that are kept in the digest, if it is no longer.
    pub header_kept: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            depth: 100,
            parts: 10_000,
            field: 1024 * 1024,
            header: 10 * 1024 * 1024,
            addresses: 10_000,
            parameters: 128,
            header_kept: 16 * 1024,
        }
    }
}

impl Limits {
    /// The limits as far as they make sense: a digest's offsets are of 32 bits.
    fn clamped(self) -> Limits {
        let header = self.header.min(64 * 1024 * 1024);
        let field = self.field.min(header);
        Limits {
            depth: self.depth.clamp(1, 10_000),
            parts: self.parts.clamp(1, 1_000_000),
            field,
            header,
            addresses: self.addresses,
            parameters: self.parameters.min(1_000),
            header_kept: self.header_kept.min(field),
        }
    }
}

/// Parses a message that is in memory, with the default limits.
pub fn parse(message: &[u8]) -> Digest {
    let mut parser = Parser::new(Limits::default());
    parser.feed(message);
    parser.finish()
}
