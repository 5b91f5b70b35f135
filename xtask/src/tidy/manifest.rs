//! Every crate can be published by itself: its manifest says what a registry asks for, and its README
//! is there and is tested as documentation.

use toml::Table;

use super::Finding;
use super::lexer::Kind;
use super::tree::Tree;

/// The one crate that is not published.
const PRIVATE: &str = "xtask/";

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in &tree.files {
        let Some(folder) = file.path.strip_suffix("Cargo.toml") else { continue };
        if folder == PRIVATE || !(folder.starts_with("crates/") || folder.starts_with("plugins/")) {
            continue;
        }
        // A folder of fuzz targets is a workspace of its own and stays here.
        if folder.contains("/fuzz/") {
            continue;
        }
        let faults = match file.text.parse::<Table>() {
            Ok(manifest) => faults(&manifest),
            Err(why) => vec![format!("is no TOML: {}", why.message())],
        };
        findings.extend(faults.into_iter().map(|fault| Finding::error(&file.path, 1, fault)));
        let readme = format!("{folder}README.md");
        if tree.get(&readme).is_none() {
            findings.push(Finding::error(&file.path, 1, "the crate has no README.md beside its Cargo.toml"));
        } else if !includes_readme(tree, folder) {
            let message =
                "README.md is not tested: #![doc = include_str!(\"../README.md\")] belongs in lib.rs";
            findings.push(Finding::error(&format!("{folder}src/lib.rs"), 1, message));
        }
    }
}

/// What a manifest lacks.
fn faults(manifest: &Table) -> Vec<String> {
    let Some(package) = manifest.get("package").and_then(toml::Value::as_table) else {
        return vec!["has no [package]".to_owned()];
    };
    let mut faults = Vec::new();
    let name = package.get("name").and_then(toml::Value::as_str).unwrap_or_default();
    let description = package.get("description").and_then(toml::Value::as_str).unwrap_or_default();
    if description.is_empty() || description == name {
        faults.push("says nothing in its description".to_owned());
    }
    let keywords = package.get("keywords").and_then(toml::Value::as_array).map_or(0, Vec::len);
    // crates.io takes five at most.
    if !(1..=5).contains(&keywords) {
        faults.push(format!("has {keywords} keywords, not 1 to 5"));
    }
    for key in ["version", "license", "rust-version", "repository"] {
        if !package.contains_key(key) {
            faults.push(format!("has no {key}"));
        }
    }
    if package.get("publish").is_some_and(|publish| publish.as_bool() != Some(true)) {
        faults.push("is not published: only xtask may stay here".to_owned());
    }
    faults
}

fn includes_readme(tree: &Tree, folder: &str) -> bool {
    let sources = ["lib.rs", "main.rs"].map(|name| tree.get(&format!("{folder}src/{name}")));
    sources.into_iter().flatten().filter_map(|file| file.rust.as_ref()).any(|source| {
        (0..source.tokens.len()).any(|at| {
            source.is(at, "include_str")
                && source
                    .tokens
                    .get(at.saturating_add(3))
                    .is_some_and(|token| token.kind == Kind::Text && token.text == "../README.md")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_that_a_registry_asks_for_is_missed() {
        let text = "[package]\nname = \"a\"\ndescription = \"a\"\nkeywords = []\npublish = false\nversion = \"1.0.0\"";
        let faults = faults(&text.parse().unwrap());
        for part in
            ["description", "0 keywords", "no license", "no rust-version", "no repository", "not published"]
        {
            assert!(faults.iter().any(|fault| fault.contains(part)), "{part}: {faults:?}");
        }
        assert_eq!(faults.len(), 6);
    }
}
