//! The targets over their corpora and over mutations of these. What fails here, fails under `cargo fuzz`, too.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use imapper_fuzz_targets::mutate::{Random, mutate};
use imapper_fuzz_targets::{TARGETS, Target};

const SEED: u64 = 1;
const MUTATIONS: usize = 20_000;
/// Of those that build a server for each input.
const MUTATIONS_OF_SESSIONS: usize = 5_000;

/// The inputs that we wrote, in the order of their names.
fn corpus(folder: &Path, extension: &str) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Runs the target; a failure names the input in hexadecimal digits.
fn run(target: Target, input: &[u8], whence: &str) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        let hex = input.iter().fold(String::new(), |mut hex, octet| {
            let _ = write!(hex, "{octet:02x}");
            hex
        });
        panic!("{whence} fails; `xxd -r -p` makes an input for cargo fuzz of: {hex}");
    }
}

fn check(name: &str, mutations: usize) {
    let (_, target) = *TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut inputs = corpus(&own.join("../corpus").join(name), "txt");
    assert!(inputs.len() >= 5, "the corpus is there");
    assert!(inputs.iter().all(|input| input.len() <= 16 * 1024), "the corpus is small");
    if name == "mime" {
        inputs.extend(corpus(&own.join("../../crates/imapper-core/tests/corpus"), "eml"));
    }
    for (number, input) in inputs.iter().enumerate() {
        run(target, input, &format!("{name}: number {number} of the corpus"));
    }
    run(target, b"", name);
    let long = std::env::var_os("IMAPPER_LONG").is_some();
    let mut random = Random::new(SEED);
    for number in 0..if long { MUTATIONS } else { mutations } {
        let input = mutate(&mut random, &inputs);
        run(target, &input, &format!("{name}: mutation {number} with seed {SEED}"));
    }
}

macro_rules! targets {
    ($($name:ident: $mutations:expr),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name), $mutations);
            }
        )+

        #[test]
        fn every_target_is_tested_and_has_a_fuzzer() {
            let mut names = vec![$(stringify!($name)),+];
            names.sort_unstable();
            assert_eq!(names, TARGETS.map(|(name, _)| name));
            let fuzzers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz_targets");
            let mut found: Vec<String> = std::fs::read_dir(fuzzers)
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
                .collect();
            found.sort();
            assert_eq!(found, names);
        }
    };
}

targets! {
    args: MUTATIONS,
    fetch: MUTATIONS_OF_SESSIONS,
    frame: MUTATIONS,
    list: MUTATIONS_OF_SESSIONS,
    mailbox_name: MUTATIONS,
    mime: MUTATIONS,
    search: MUTATIONS_OF_SESSIONS,
    section: MUTATIONS,
    session: MUTATIONS_OF_SESSIONS,
    sets: MUTATIONS,
}

#[test]
fn mutations_are_the_same_for_the_same_seed() {
    let corpus = [b"a LOGIN {3}\r\nabc".to_vec(), b"1:*,5".to_vec()];
    let made = |seed| {
        let mut random = Random::new(seed);
        (0..100).map(|_| mutate(&mut random, &corpus)).collect::<Vec<_>>()
    };
    assert_eq!(made(7), made(7));
    assert_ne!(made(7), made(8));
    assert!(made(7).iter().any(|input| !corpus.contains(input)));
}
