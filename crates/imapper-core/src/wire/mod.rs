//! Bytes ↔ tokens: the framing of commands, the cursor over their arguments, the builder of responses.
//! Sync, without I/O and without a clock.

pub mod args;
pub mod frame;
pub mod line;

pub use args::{Args, Malformed};
pub use frame::{Frame, FrameLimits, Framer, NonSync};
pub use line::{Body, Line};
