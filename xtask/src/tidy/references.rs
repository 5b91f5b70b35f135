//! What we publish is whole by itself: no file points to a place or to a tool that only the machine of
//! one of us has.

use super::Finding;
use super::tree::Tree;

/// In pieces, so that this file does not find itself.
const ELSEWHERE: &[&str] = &[
    concat!("../", "shared"),
    concat!("shared", "/design"),
    concat!("shared", "/rfc"),
    concat!("shared", "/tools"),
    concat!("seed_", "cases"),
    concat!("conformance", ".py"),
    concat!("requirements", ".tsv"),
    concat!("/", "work/"),
    concat!("/", "root/"),
];

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for file in &tree.files {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(found) = ELSEWHERE.iter().find(|place| names(line, place)) {
                let message = format!("{found} is no part of this project");
                findings.push(Finding::error(&file.path, number.saturating_add(1), message));
            }
        }
    }
}

/// Whether a line names it. An absolute path begins there: a mailbox or an address may go on with the same.
fn names(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !place.starts_with('/')
            || before.is_none_or(|sign| {
                !(sign.is_alphanumeric() || matches!(sign, '/' | '.' | '_' | '-' | '~' | '}'))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_path_begins_where_it_is_named() {
        let place = concat!("/", "work/");
        assert!(names(&format!("see {place}x"), place));
        assert!(names(&format!("({place}x)"), place));
        assert!(names(place, place));
        assert!(!names(&format!("Projects{place}2024"), place));
    }
}
