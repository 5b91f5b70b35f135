//! `exceptions.toml`: for each requirement that no script shows, why. A table per RFC and kind of reason, in it
//! the rest of the id with the reason; under `test` the tests that show it, as `path::name`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::Result;

/// The kinds of reasons, and what the page says of each.
pub(super) const KINDS: &[(&str, &str)] = &[
    ("client", "a duty of clients"),
    ("mail", "a duty of whoever writes the messages"),
    ("site", "a duty of whoever runs a server"),
    ("text", "no rule by itself: history, an index, advice for other documents"),
    ("absent", "about something that this server does not have"),
    ("otherwise", "not followed"),
];

/// Why no script shows a requirement.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Exception {
    /// Tests show it.
    Test(Vec<String>),
    /// One of [`KINDS`], and the reason.
    Reason(&'static str, String),
}

/// The exceptions by id.
pub(super) fn read(folder: &Path) -> Result<BTreeMap<String, Exception>> {
    let text = std::fs::read_to_string(folder.join("exceptions.toml"))
        .map_err(|why| format!("exceptions.toml: {why}"))?;
    parse(&text).map_err(|why| format!("exceptions.toml: {why}"))
}

fn parse(text: &str) -> Result<BTreeMap<String, Exception>> {
    let rfcs: toml::Table = text.parse().map_err(|why| format!("{why}"))?;
    let mut all = BTreeMap::new();
    for (rfc, kinds) in &rfcs {
        let kinds = kinds.as_table().ok_or_else(|| format!("{rfc} is no table"))?;
        for (kind, entries) in kinds {
            let entries = entries.as_table().ok_or_else(|| format!("{rfc}.{kind} is no table"))?;
            for (rest, value) in entries {
                let id = format!("{rfc}-{rest}");
                let exception = exception(kind, value).map_err(|why| format!("{id}: {why}"))?;
                if all.insert(id.clone(), exception).is_some() {
                    return Err(format!("{id} stands there twice"));
                }
            }
        }
    }
    Ok(all)
}

fn exception(kind: &str, value: &toml::Value) -> Result<Exception> {
    if kind == "test" {
        let tests: Option<Vec<String>> = match value {
            toml::Value::String(test) => Some(vec![test.clone()]),
            toml::Value::Array(tests) => tests.iter().map(|test| test.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        return tests
            .filter(|tests| !tests.is_empty())
            .map(Exception::Test)
            .ok_or_else(|| "`path::name` of a test, or a list of these, is expected".to_owned());
    }
    let known = KINDS.iter().find(|(name, _)| *name == kind);
    let (kind, _) = known.ok_or_else(|| format!("`{kind}` is no kind of reason"))?;
    let reason = value.as_str().filter(|reason| !reason.trim().is_empty());
    Ok(Exception::Reason(kind, reason.ok_or("a reason is expected")?.to_owned()))
}

/// Finds the test `path::name` in a workspace.
pub(super) fn find_test(root: &Path, test: &str) -> Result {
    let (path, name) = test.rsplit_once("::").ok_or_else(|| format!("{test} is not `path::name`"))?;
    let text = std::fs::read_to_string(root.join(path)).map_err(|why| format!("{path}: {why}"))?;
    if has_test(&text, name) { Ok(()) } else { Err(format!("{path} has no test {name}")) }
}

/// Whether the file has a function of that name with `#[test]`, or an attribute such as `#[tokio::test]`, above it.
fn has_test(text: &str, name: &str) -> bool {
    let call = format!("fn {name}(");
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line.contains("test]") || line.contains("test(");
        } else if line.contains(&call) && is_test {
            return true;
        } else if !line.starts_with("//") {
            is_test = false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_in_a_table_per_rfc_and_kind() {
        let read = parse(
            "[rfc1.client]\n\"2-1\" = \"theirs\"\n[rfc1.test]\n\"2-2\" = \"a.rs::b\"\n\"2-3\" = [\"a.rs::b\", \"a.rs::c\"]\n",
        )
        .unwrap();
        assert_eq!(read.get("rfc1-2-1"), Some(&Exception::Reason("client", "theirs".into())));
        assert_eq!(read.get("rfc1-2-2"), Some(&Exception::Test(vec!["a.rs::b".into()])));
        assert!(matches!(read.get("rfc1-2-3"), Some(Exception::Test(tests)) if tests.len() == 2));
        for (text, why) in [
            ("[rfc1.whim]\n\"2-1\" = \"x\"", "`whim` is no kind"),
            ("[rfc1.client]\n\"2-1\" = \" \"", "rfc1-2-1: a reason"),
            ("[rfc1.client]\n\"2-1\" = \"x\"\n[rfc1.mail]\n\"2-1\" = \"x\"", "rfc1-2-1 stands there twice"),
            ("[rfc1.test]\n\"2-1\" = []", "rfc1-2-1: `path::name`"),
            ("[rfc1]\nx = 1", "rfc1.x is no table"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_test_is_a_function_with_the_attribute() {
        let text = "#[tokio::test(start_paused = true)]\n// why\nasync fn one() {}\n\n#[test]\nfn two() {}\nfn three() {}\n";
        assert!(has_test(text, "one") && has_test(text, "two"));
        assert!(!has_test(text, "three") && !has_test(text, "on") && !has_test(text, "four"));
    }
}
