//! The tasks of the workspace, called as `cargo xtask TASK`. Each task is one file.

mod bench;
mod ci;
mod docs;
mod fuzz;
mod rfc;
mod run;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

/// What each task returns: the error is one line for the person at the terminal.
type Result<T = ()> = std::result::Result<T, String>;

const USAGE: &str = "\
usage: cargo xtask TASK

  ci [--long]   everything a change must pass; --long with the large counts of rounds and cases
  test [ARGS]   all tests and doc tests; with ARGS only `cargo nextest run ARGS`
  tidy          the rules of this workspace that neither rustc nor clippy knows
  docs          the API documentation, where a warning is an error
  bench [idle [SESSIONS] | maildir [MESSAGES]]
                what the release build costs: figures, no verdict
  fuzz [--seconds N] [TARGET…]
                libFuzzer on each target of fuzz/, a minute each
  rfc [-v] [--check]
                what of the RFCs is covered, excepted and open; writes the page of the book, or checks it;
                -v lists what is open";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["ci"] => ci::ci(false),
        ["ci", "--long"] => ci::ci(true),
        ["test", rest @ ..] => test::test(rest),
        ["tidy"] => tidy::tidy(),
        ["bench", rest @ ..] => bench::bench(rest),
        ["docs"] => docs::docs(),
        ["fuzz", rest @ ..] => fuzz::fuzz(rest),
        ["rfc", rest @ ..] => rfc::rfc(rest),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
