//! Bodies of messages, as the wire and the storage both name them.

use bytes::Bytes;

/// Where a body lies. Opaque to the core; valid until the message is removed, also when it is renamed or
/// moved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BodyRef(pub Bytes);
