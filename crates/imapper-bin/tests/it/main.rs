//! Tests of the built binary.

mod client;
mod command_line;
mod embedding;
mod program;
mod serving;
