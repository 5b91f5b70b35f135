//! Tests of the built binary.

mod client;
mod command_line;
mod program;
mod serving;
