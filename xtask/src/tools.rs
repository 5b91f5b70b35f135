//! What the steps need beside the Rust toolchain: cargo's subcommands from crates.io and programs of
//! the system. What is missing is installed where that is possible, and otherwise told in one error:
//! no step and no test is left out because its tool is not there.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::Result;
use crate::run::{cargo, output, program, root, run};

/// A subcommand of cargo that comes from crates.io.
struct CargoTool {
    /// Its crate.
    name: &'static str,
    /// The word after `cargo`.
    word: &'static str,
    /// What is installed when it is missing.
    version: &'static str,
    /// The beginning of the versions that will do when it is there already.
    series: &'static str,
    /// Switches of `cargo install` that leave out what we don't use.
    features: &'static [&'static str],
}

/// The test runner.
pub(crate) const NEXTEST: &[&str] = &["nextest"];
/// All that `ci` calls.
pub(crate) const ALL: &[&str] = &["nextest", "deny"];
const FUZZ: &[&str] = &["fuzz"];

const CARGO_TOOLS: &[CargoTool] = &[
    CargoTool {
        name: "cargo-nextest",
        word: "nextest",
        version: "0.9.143",
        series: "0.9.",
        features: &["--no-default-features", "--features", "default-no-update"],
    },
    CargoTool { name: "cargo-deny", word: "deny", version: "0.20.2", series: "0.20.", features: &[] },
    CargoTool { name: "cargo-fuzz", word: "fuzz", version: "0.13.2", series: "0.13.", features: &[] },
];

/// A program of the system: its name on the path, and the packages of Debian that bring it.
struct Program {
    name: &'static str,
    packages: &'static [&'static str],
}

/// Extend this list when a test needs another program.
const PROGRAMS: &[Program] = &[
    // aws-lc-sys builds C.
    Program { name: "cc", packages: &["gcc", "libc6-dev"] },
    // tidy asks it which files are ours.
    Program { name: "git", packages: &["git"] },
    // Mail clients that talk to the built server: imaplib, curl, mbsync. And certificates.
    Program { name: "python3", packages: &["python3"] },
    Program { name: "curl", packages: &["curl"] },
    Program { name: "mbsync", packages: &["isync"] },
    Program { name: "openssl", packages: &["openssl"] },
    // What the server has on the disk when it answers, and a disk that is full for it alone.
    Program { name: "strace", packages: &["strace"] },
    Program { name: "unshare", packages: &["util-linux"] },
    Program { name: "mount", packages: &["mount"] },
    // Another program that delivers mail.
    Program { name: "find", packages: &["findutils"] },
    // What shares a Maildir with the built server: Dovecot, NeoMutt.
    Program { name: "dovecot", packages: &["dovecot-imapd"] },
    Program { name: "neomutt", packages: &["neomutt"] },
    // ImapFlow, which comes from npm.
    Program { name: "node", packages: &["nodejs"] },
    Program { name: "npm", packages: &["npm"] },
];

/// Mail clients in JavaScript, for `node` of Debian 12: name and version. They lie in `target/npm`.
const NPM: &[(&str, &str)] = &[("imapflow", "1.0.164")];

/// What only fuzzing needs: libFuzzer is C++.
const PROGRAMS_OF_FUZZING: &[Program] = &[Program { name: "c++", packages: &["g++"] }];

/// Sees to rustfmt and clippy, which a minimal toolchain lacks.
pub(crate) fn components() -> Result {
    for (word, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if output(cargo(&[word, "--version"])).is_err() {
            run(program("rustup", &["component", "add", component]))
                .map_err(|why| format!("cargo {word} is missing and could not be installed: {why}"))?;
        }
    }
    Ok(())
}

/// Sees to the subcommands of cargo with these words.
pub(crate) fn cargo_tools(words: &[&str]) -> Result {
    for tool in CARGO_TOOLS.iter().filter(|tool| words.contains(&tool.word)) {
        if found(tool).is_some() {
            continue;
        }
        println!("cargo {} is missing: installing {} {} from crates.io", tool.word, tool.name, tool.version);
        run(install(tool))?;
        if found(tool).is_none() {
            return Err(format!(
                "{} {} was installed, but `cargo {}` finds another: remove that one from PATH",
                tool.name, tool.version, tool.word
            ));
        }
    }
    Ok(())
}

/// The version that is there, if it will do.
fn found(tool: &CargoTool) -> Option<String> {
    let told = output(cargo(&[tool.word, "--version"])).ok()?;
    version(&told).filter(|version| version.starts_with(tool.series)).map(str::to_owned)
}

/// `cargo-deny 0.20.2` and `cargo-nextest 0.9.143 (60fa45f63 2026-08-04)` alike.
fn version(told: &str) -> Option<&str> {
    told.split_whitespace().nth(1)
}

/// Without optimisation: the tool runs for seconds, and building it is what takes long.
fn install(tool: &CargoTool) -> Command {
    let mut command = cargo(&["install", tool.name, "--version", tool.version, "--locked", "--debug"]);
    command.args(tool.features).env("CARGO_PROFILE_DEV_DEBUG", "false");
    command
}

/// Sees to the programs of the system that the steps need.
pub(crate) fn programs() -> Result {
    install_programs(PROGRAMS)
}

/// Sees to what comes from npm.
pub(crate) fn npm() -> Result {
    let folder = root().join("target/npm");
    for (name, wanted) in NPM {
        let manifest = std::fs::read_to_string(folder.join(format!("node_modules/{name}/package.json")));
        let there: Option<Value> = manifest.ok().and_then(|text| serde_json::from_str(&text).ok());
        if there.as_ref().and_then(|there| there.get("version")?.as_str()) == Some(wanted) {
            continue;
        }
        std::fs::create_dir_all(&folder)
            .map_err(|why| format!("{} can't be made: {why}", folder.display()))?;
        let mut command =
            program("npm", &["install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund"]);
        command.arg("--prefix").arg(&folder).arg(format!("{name}@{wanted}"));
        run(command)?;
    }
    Ok(())
}

/// Sees to what fuzzing needs.
pub(crate) fn fuzzing() -> Result {
    install_programs(PROGRAMS_OF_FUZZING)?;
    cargo_tools(FUZZ)
}

/// By apt-get where we are root, otherwise one error names them all.
fn install_programs(wanted: &'static [Program]) -> Result {
    let missing = missing(wanted, on_path);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|program| program.name).collect();
    let packages: Vec<&str> = missing.iter().flat_map(|program| program.packages).copied().collect();
    let (names, line) =
        (names.join(", "), format!("apt-get install -y --no-install-recommends {}", packages.join(" ")));
    if !(on_path("apt-get") && is_root()) {
        return Err(format!("missing: {names}. Install them; on Debian, as root: {line}"));
    }
    println!("missing: {names}. {line}");
    run(apt_get(&["update"]))?;
    run(apt_get(&[&["install", "-y", "--no-install-recommends"], packages.as_slice()].concat()))
        .map_err(|why| format!("missing: {names}, and {why}"))
}

fn missing(wanted: &'static [Program], there: impl Fn(&str) -> bool) -> Vec<&'static Program> {
    wanted.iter().filter(|program| !there(program.name)).collect()
}

fn apt_get(args: &[&str]) -> Command {
    let mut command = program("apt-get", args);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    output(program("id", &["-u"])).is_ok_and(|uid| uid.trim() == "0")
}

fn on_path(name: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else { return false };
    // Where Debian puts servers, which is not on every user's path.
    let of_servers = PathBuf::from("/usr/sbin");
    std::env::split_paths(&path).chain([of_servers]).any(|folder| folder.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_found_missing() {
        let names: Vec<&str> =
            missing(PROGRAMS, |name| name != "mbsync").iter().map(|program| program.name).collect();
        assert_eq!(names, ["mbsync"]);
        assert!(on_path("sh"));
        assert!(!on_path("no-such-program-here"));
    }

    #[test]
    fn the_version_named_for_installing_is_of_the_series_that_will_do() {
        for tool in CARGO_TOOLS {
            assert!(tool.version.starts_with(tool.series), "{}", tool.name);
        }
        for word in ALL.iter().chain(FUZZ) {
            assert!(CARGO_TOOLS.iter().any(|tool| tool.word == *word), "{word}");
        }
    }

    #[test]
    fn the_version_is_the_second_word() {
        assert_eq!(version("cargo-nextest 0.9.143 (60fa45f63 2026-08-04)\n"), Some("0.9.143"));
        assert_eq!(version(""), None);
    }
}
