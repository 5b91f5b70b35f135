//! What lies in `scripts/` is what the crate holds, and it is in order.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn files(ending: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut open: Vec<PathBuf> = vec![root.clone()];
    let mut found = BTreeSet::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if let Some(name) = path.strip_prefix(&root).unwrap().to_str().unwrap().strip_suffix(ending) {
            found.insert(name.to_owned());
        }
    }
    found
}

#[test]
fn every_script_is_part_of_the_crate_and_readable() {
    let scripts = imapper_testkit::scripts().unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<&str> = scripts.iter().map(|script| script.name.as_str()).collect();
    assert!(names.is_sorted(), "src/scripts.rs is not sorted");
    let embedded: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
    assert_eq!(embedded, files(".imap"), "src/scripts.rs and scripts/ differ");
}

#[test]
fn every_fixture_is_json_and_every_title_is_there_once() {
    let mut titles = BTreeSet::new();
    for script in imapper_testkit::scripts().unwrap() {
        let fixture: Result<serde_json::Value, _> = serde_json::from_str(&script.setup.fixture);
        assert!(
            fixture.is_ok_and(|fixture| fixture.is_object()),
            "{}: the fixture is no JSON object",
            script.name
        );
        assert!(
            titles.insert(script.title.clone()),
            "{}: its title is another's: {}",
            script.name,
            script.title
        );
    }
}
