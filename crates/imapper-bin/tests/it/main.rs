//! Tests of the built binary.

mod command_line;
mod program;
