//! What must hold for every input, as functions of octets. Each target is fed by libFuzzer (`fuzz/fuzz_targets`)
//! and by the tests of this crate, which take the corpus and its mutations.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a target fails by panicking")]
#![allow(clippy::missing_panics_doc, reason = "a target fails by panicking")]

pub mod args;
pub mod client;
pub mod fetch;
pub mod frame;
pub mod list;
pub mod mailbox_name;
pub mod mime;
pub mod mutate;
pub mod response;
pub mod search;
pub mod section;
pub mod session;
pub mod sets;

/// A target: panics if something does not hold for the octets.
pub type Target = fn(&[u8]);

/// All targets by name, which is that of the module, of the fuzzer and of the folder of the corpus.
pub const TARGETS: [(&str, Target); 10] = [
    ("args", args::run),
    ("fetch", fetch::run),
    ("frame", frame::run),
    ("list", list::run),
    ("mailbox_name", mailbox_name::run),
    ("mime", mime::run),
    ("search", search::run),
    ("section", section::run),
    ("session", session::run),
    ("sets", sets::run),
];

/// The first line of an input, and what follows it: targets that take two things take them so.
pub(crate) fn split_line(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|&byte| byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[]),
    }
}

/// A number that depends on all of an input, for choices that the input itself does not spell out.
pub(crate) fn hash(input: &[u8]) -> u64 {
    // FNV-1a.
    input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
