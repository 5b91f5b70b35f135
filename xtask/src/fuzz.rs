//! `cargo xtask fuzz`: libFuzzer on every target of `fuzz/`, beginning with our corpus. What it finds stays in
//! `fuzz/target/corpus`, what fails in `fuzz/artifacts`.

use std::path::Path;
use std::process::Command;

use crate::Result;
use crate::run::{cargo, root, run};
use crate::tools;

const USAGE: &str = "usage: cargo xtask fuzz [--seconds N] [TARGET…]";
/// For each target.
const SECONDS: u32 = 60;
/// One input that takes longer, in seconds, is a failure.
const TIMEOUT: u32 = 10;
/// Longer inputs find little that shorter ones don't, and take longer.
const MAX_LEN: u32 = 4096;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted<'a> {
    seconds: u32,
    /// None of them: all.
    targets: Vec<&'a str>,
}

/// Fuzzes the named targets, or all.
pub(crate) fn fuzz(args: &[&str]) -> Result {
    let wanted = wanted(args)?;
    let folder = root().join("fuzz");
    let known = targets(&folder.join("fuzz_targets"))?;
    if let Some(unknown) = wanted.targets.iter().find(|name| !known.iter().any(|one| one == *name)) {
        return Err(format!("there is no target {unknown}; there are: {}", known.join(", ")));
    }
    tools::fuzzing()?;
    // The versions of the workspace; cargo adds what the fuzzers need beside.
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock"))
        .map_err(|why| format!("Cargo.lock could not be copied to fuzz: {why}"))?;
    run(cargo_fuzz(&folder, &["build"]))?;
    for target in
        known.iter().filter(|name| wanted.targets.is_empty() || wanted.targets.contains(&name.as_str()))
    {
        println!("--- {target}, {} s", wanted.seconds);
        run(fuzzer(&folder, target, wanted.seconds)?)
            .map_err(|why| format!("{why}\nthe input that fails lies in fuzz/artifacts/{target}"))?;
    }
    Ok(())
}

fn wanted<'a>(args: &[&'a str]) -> Result<Wanted<'a>> {
    let mut wanted = Wanted { seconds: SECONDS, targets: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if *arg == "--seconds" {
            let seconds = args.next().and_then(|seconds| seconds.parse().ok()).filter(|seconds| *seconds > 0);
            wanted.seconds = seconds.ok_or(USAGE)?;
        } else if arg.starts_with('-') {
            return Err(USAGE.to_owned());
        } else {
            wanted.targets.push(arg);
        }
    }
    Ok(wanted)
}

/// The targets, by their files.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let files = std::fs::read_dir(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
    let mut names: Vec<String> =
        files.filter_map(|file| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// `cargo fuzz`; a stable compiler has what it needs, but says so only when it is told to.
fn cargo_fuzz(folder: &Path, args: &[&str]) -> Command {
    let mut command = cargo(&[&["fuzz"], args].concat());
    command.current_dir(folder).env("RUSTC_BOOTSTRAP", "1");
    command
}

fn fuzzer(folder: &Path, target: &str, seconds: u32) -> Result<Command> {
    // The first folder is the one to which libFuzzer adds what it finds.
    let found = folder.join("target/corpus").join(target);
    std::fs::create_dir_all(&found).map_err(|why| format!("{}: {why}", found.display()))?;
    let mut command = cargo_fuzz(folder, &["run", target]);
    command.arg(found).arg(folder.join("corpus").join(target));
    if target == "mime" {
        command.arg(root().join("crates/imapper-core/tests/corpus"));
    }
    let switches = [
        format!("-max_total_time={seconds}"),
        format!("-timeout={TIMEOUT}"),
        format!("-max_len={MAX_LEN}"),
        "-print_final_stats=1".to_owned(),
        "-verbosity=0".to_owned(),
    ];
    command.arg("--").args(switches);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_targets_are_read() {
        let of = |seconds, targets: &[&'static str]| Ok(Wanted { seconds, targets: targets.to_vec() });
        assert_eq!(wanted(&[]), of(60, &[]));
        assert_eq!(wanted(&["--seconds", "5"]), of(5, &[]));
        assert_eq!(wanted(&["mime", "--seconds", "5", "args"]), of(5, &["mime", "args"]));
        for bad in [&["--seconds"][..], &["--seconds", "0"], &["--seconds", "x"], &["--all"]] {
            assert_eq!(wanted(bad), Err(USAGE.to_owned()));
        }
    }

    #[test]
    fn a_target_is_a_file() {
        let found = targets(&root().join("fuzz/fuzz_targets")).unwrap();
        assert!(found.is_sorted() && found.iter().any(|name| name == "frame"), "{found:?}");
    }
}
