use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A small workspace in which every requirement is covered or excepted.
struct Planted(PathBuf);

impl Drop for Planted {
    fn drop(&mut self) {
        // A folder that stays in the temporary one does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Planted {
    fn clean() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("imapper-rfc-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let planted = Planted(std::env::temp_dir().join(name));
        planted.write(
            "docs/rfc/scope.toml",
            "rfc1 = { title = \"ONE\", required = true }\nrfc2 = { title = \"TWO\", required = false }\n",
        );
        planted.write(
            "docs/rfc/register.tsv",
            "rfc1-6.9-1\tMUST\nrfc1-6.10-1\tSHOULD\nrfc1-6.10-2\tMUST\nrfc1-6.10-3\tMAY\nrfc2-1-1\tMUST\n",
        );
        planted.write("docs/rfc/exceptions.toml", CLEAN);
        planted.write("a/tests/x.rs", "#[tokio::test]\nasync fn shows_it() {}\nfn shows_none() {}\n");
        planted.script("one", "rfc1-6.9-1");
        planted
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn script(&self, name: &str, ids: &str) {
        let text = format!("title: x\nrfc: 1\nreq: {ids}\n\nC: a1 NOOP\nS: a1 OK\n");
        self.write(&format!("crates/imapper-testkit/scripts/rfc1/{name}.imap"), &text);
    }

    /// What is wrong, as the task would print it.
    fn found(&self) -> Vec<String> {
        let (coverage, mut problems) = self.read();
        problems.extend(coverage.open_where_required());
        problems
    }

    fn read(&self) -> (Coverage, Vec<String>) {
        Coverage::read(Path::new(&self.0)).unwrap()
    }
}

const CLEAN: &str = "\
[rfc1.client]
\"6.10-1\" = \"they | ask\"
[rfc1.test]
\"6.10-2\" = \"a/tests/x.rs::shows_it\"
";

fn assert_one(found: &[String], parts: &[&str]) {
    assert_eq!(found.len(), 1, "{found:?}");
    for part in parts {
        assert!(found[0].contains(part), "{part:?} is not in {found:?}");
    }
}

#[test]
fn a_requirement_is_covered_excepted_or_open() {
    let (coverage, problems) = Planted::clean().read();
    assert_eq!(problems, Vec::<String>::new());
    for (id, standing) in [
        ("rfc1-6.9-1", Standing::Covered),
        ("rfc1-6.10-1", Standing::Excepted),
        ("rfc1-6.10-2", Standing::Covered),
        ("rfc2-1-1", Standing::Open),
    ] {
        assert_eq!(coverage.standing(id), standing, "{id}");
    }
    // A MAY asks for nothing, and what is not required may be open.
    assert_eq!(coverage.open().collect::<Vec<_>>(), [("rfc2-1-1", Level::Must)]);
    assert_eq!(coverage.open_where_required(), Vec::<String>::new());
}

#[test]
fn what_is_open_is_found_where_it_is_required() {
    let planted = Planted::clean();
    planted.script("one", "");
    assert_one(&planted.found(), &["rfc1-6.9-1 (MUST) is open"]);
    planted.write(
        "docs/rfc/scope.toml",
        "rfc1 = { title = \"ONE\", required = false }\nrfc2 = { title = \"TWO\", required = false }\n",
    );
    assert_eq!(planted.found(), Vec::<String>::new());
}

#[test]
fn ids_that_lead_nowhere_are_found() {
    let planted = Planted::clean();
    planted.script("two", "rfc1-6.9-2");
    assert_one(&planted.found(), &["rfc1/two: rfc1-6.9-2 is not in the register"]);

    let planted = Planted::clean();
    planted.write("docs/rfc/exceptions.toml", &format!("{CLEAN}[rfc1.mail]\n\"7-1\" = \"x\"\n"));
    assert_one(&planted.found(), &["exceptions.toml: rfc1-7-1 is not in the register"]);
}

#[test]
fn an_exception_for_what_is_covered_is_found() {
    for id in ["rfc1-6.10-1", "rfc1-6.10-2"] {
        let planted = Planted::clean();
        planted.script("two", id);
        assert_one(&planted.found(), &["exceptions.toml", id, "is covered by rfc1/two"]);
    }
}

#[test]
fn a_test_that_is_not_there_is_found() {
    for (test, why) in [
        ("a/tests/x.rs::shows_none", "a/tests/x.rs has no test shows_none"),
        ("a/tests/x.rs::shows", "a/tests/x.rs has no test shows"),
        ("a/tests/y.rs::shows_it", "a/tests/y.rs: "),
        ("shows_it", "is not `path::name`"),
    ] {
        let planted = Planted::clean();
        planted.write("docs/rfc/exceptions.toml", &CLEAN.replace("a/tests/x.rs::shows_it", test));
        assert_one(&planted.found(), &["rfc1-6.10-2", why]);
    }
}

#[test]
fn scope_and_register_hold_the_same_rfcs() {
    let planted = Planted::clean();
    planted.write("docs/rfc/scope.toml", "rfc1 = { title = \"ONE\", required = true }\n");
    assert_one(&planted.found(), &["RFC 2 is in the register, but not in the scope"]);

    let planted = Planted::clean();
    planted.write("docs/rfc/register.tsv", "rfc1-6.9-1\tMUST\nrfc1-6.10-1\tSHOULD\nrfc1-6.10-2\tMUST\n");
    assert_one(&planted.found(), &["RFC 2 is in the scope, but not in the register"]);
}

#[test]
fn table_and_page_tell_the_same() {
    let (coverage, _) = Planted::clean().read();
    let table = page::table(&coverage);
    let line = table.lines().find(|line| line.starts_with("1 ")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["1", "2", "0", "0", "0", "1", "0", "required"]);
    let page = page::page(&coverage);
    assert!(page.contains("| [1](#rfc-1) | ONE | 2 | 0 | 0 | 0 | 1 | 0 | complete |"), "{page}");
    assert!(page.contains("| [2](#rfc-2) | TWO | 0 | 0 | 1 | 0 | 0 | 0 |  |"), "{page}");
    let rows: Vec<&str> =
        page.lines().filter(|line| line.starts_with("| 6.") || line.starts_with("| 1-")).collect();
    assert_eq!(
        rows,
        [
            "| 6.9-1 | MUST | `rfc1/one` |",
            "| 6.10-1 | SHOULD | *a duty of clients:* they \\| ask |",
            "| 6.10-2 | MUST | `a/tests/x.rs::shows_it` |",
            "| 1-1 | MUST | **open** |",
        ]
    );
}
