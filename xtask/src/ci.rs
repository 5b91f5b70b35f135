//! `cargo xtask ci`: every step that a change must pass, in order; the first failure ends it.

use std::time::Instant;

use serde_json::Value;

use crate::run::{cargo, output, run};
use crate::{Result, docs, fuzz, rfc, test, tidy, tools};

/// Runs the steps. `long`: with the large counts of rounds and cases.
pub(crate) fn ci(long: bool) -> Result {
    let begin = Instant::now();
    // The doc tests come before the other tests, so that the summary of those is the last one printed.
    let steps: &[(&str, &dyn Fn() -> Result)] = &[
        ("tools", &install_tools),
        ("format", &|| run(cargo(&["fmt", "--all", "--", "--check"]))),
        ("clippy", &clippy),
        ("tidy", &tidy::tidy),
        ("requirements of the RFCs", &|| rfc::rfc(&["--check"])),
        ("doc tests", &test::doc_tests),
        ("tests", &|| test::tests(long)),
        ("licences, bans and sources", &deny),
        ("documentation", &docs::docs),
        ("each feature alone", &features),
    ];
    let fuzzing: (&str, &dyn Fn() -> Result) = ("fuzzing, a minute for each target", &|| fuzz::fuzz(&[]));
    let steps: Vec<_> = steps.iter().chain(long.then_some(&fuzzing)).collect();
    for (number, (name, step)) in steps.iter().enumerate() {
        println!("\n=== {}/{} {name}", number.saturating_add(1), steps.len());
        let begin = Instant::now();
        step().map_err(|why| format!("the step \"{name}\" failed: {why}"))?;
        println!("=== {name}: done in {} s", begin.elapsed().as_secs());
    }
    println!("\n=== all {} steps are done in {} s", steps.len(), begin.elapsed().as_secs());
    Ok(())
}

fn install_tools() -> Result {
    tools::programs()?;
    tools::npm()?;
    tools::components()?;
    tools::cargo_tools(tools::ALL)
}

fn clippy() -> Result {
    run(cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))
}

/// Not `advisories`: these change while our code stands still, and need another server than crates.io.
fn deny() -> Result {
    run(cargo(&["deny", "--all-features", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"]))
}

/// The program with no plugin and with each feature by itself: clippy shows also what would be unused then.
fn features() -> Result {
    let metadata = output(cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    for feature in std::iter::once(None).chain(features_of("imapper-bin", &metadata)?.into_iter().map(Some)) {
        println!("--- {}", feature.as_deref().unwrap_or("no feature"));
        let mut command = cargo(&["clippy", "--quiet", "-p", "imapper-bin", "--no-default-features"]);
        if let Some(feature) = &feature {
            command.args(["--features", feature]);
        }
        command.args(["--", "-D", "warnings"]);
        run(command)?;
    }
    Ok(())
}

/// The features of a crate, as `cargo metadata` tells them, without `default`.
fn features_of(name: &str, metadata: &str) -> Result<Vec<String>> {
    let metadata: Value = serde_json::from_str(metadata).map_err(|why| format!("cargo metadata: {why}"))?;
    let packages = metadata.get("packages").and_then(Value::as_array);
    let package = packages
        .and_then(|all| all.iter().find(|one| one.get("name").and_then(Value::as_str) == Some(name)))
        .ok_or_else(|| format!("cargo metadata names no {name}"))?;
    let features = package.get("features").and_then(Value::as_object);
    let mut names: Vec<String> = features.into_iter().flat_map(|all| all.keys().cloned()).collect();
    names.retain(|feature| feature != "default");
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_from_the_metadata() {
        let metadata = r#"{"packages": [
            {"name": "other", "features": {"x": []}},
            {"name": "imapper-bin", "features": {"default": ["memory"], "memory": [], "static": []}}]}"#;
        assert_eq!(features_of("imapper-bin", metadata).unwrap(), ["memory", "static"]);
        assert!(features_of("imapper-lost", metadata).unwrap_err().contains("imapper-lost"));
    }
}
