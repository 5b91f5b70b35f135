//! `cargo xtask test`: the tests of every crate, with all that they need put in place.

use crate::Result;
use crate::run::{cargo, run};
use crate::tools;

/// All tests; or with arguments, `cargo nextest run` with these.
pub(crate) fn test(args: &[&str]) -> Result {
    tools::programs()?;
    tools::npm()?;
    tools::cargo_tools(tools::NEXTEST)?;
    if !args.is_empty() {
        return run(cargo(&[&["nextest", "run"], args].concat()));
    }
    doc_tests()?;
    tests(false)
}

/// Unit and integration tests. `long` asks for the large counts: tests of crashes, faults and
/// interleavings read `IMAPPER_LONG`, and proptest its own variable.
pub(crate) fn tests(long: bool) -> Result {
    let mut command = cargo(&["nextest", "run", "--workspace", "--all-features", "--no-fail-fast"]);
    if long {
        command.env("IMAPPER_LONG", "1").env("PROPTEST_CASES", "20000");
    }
    run(command)
}

/// The examples in documentation, which nextest does not run; each README is one of them.
pub(crate) fn doc_tests() -> Result {
    run(cargo(&["test", "--doc", "--workspace", "--all-features"]))
}
