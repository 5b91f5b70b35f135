//! The small values of the protocol: numbers, sets, flags, names, dates, response codes.

pub mod body;
pub mod code;
pub mod date;
pub mod flag;
pub mod mailbox_name;
pub mod set;
pub mod uid;

pub use body::BodyRef;
pub use code::Code;
pub use date::InternalDate;
pub use flag::{Flags, Keyword, SystemFlag, SystemFlags};
pub use mailbox_name::{NameError, decode_modified_utf7, encode_modified_utf7};
pub use set::{SequenceSet, UidSet};
pub use uid::{ModSeq, Seq, Uid, UidValidity};
