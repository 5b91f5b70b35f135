//! The kit, seen from outside.

mod embedded;
mod fake;
mod runner;
