//! Each rule is broken once in a tree of its own, and must be found at its place; the same tree without
//! the fault must be clean.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::tree::Tree;
use super::{Finding, check};
use crate::run::{output, program, root};

const LIB: &str = "//! The core.\n#![doc = include_str!(\"../README.md\")]\nmod net;\nmod command;\nmod storage;\nmod wire;\n\
    pub use net::Listener;\n";
const IDLE: &str =
    "pub(crate) const WORDS: &[&str] = &[\"IDLE\"];\nstruct Idle;\nimpl Extension for Idle {}\n";
const MANIFEST: &str = "[package]\nname = \"x\"\ndescription = \"What it is\"\nkeywords = [\"imap\"]\nversion = \"1.0.0\"\n\
    license.workspace = true\nrust-version.workspace = true\nrepository.workspace = true\n";

/// A folder with a work tree of git, gone at the end of the test.
struct Planted(PathBuf);

impl Planted {
    /// A workspace in which nothing is to be found.
    fn clean() -> Planted {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("imapper-tidy-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let planted = Planted(folder);
        let mut git = program("git", &["init", "--quiet"]);
        git.current_dir(&planted.0);
        output(git).unwrap();
        for folder in ["crates/imapper-core", "plugins/imapper-extensions"] {
            planted.write(&format!("{folder}/Cargo.toml"), MANIFEST);
            planted.write(&format!("{folder}/README.md"), "# x\n");
            planted.write(&format!("{folder}/src/lib.rs"), LIB);
        }
        planted.write("plugins/imapper-extensions/src/idle.rs", IDLE);
        planted.core("net/mod.rs", "use tokio::net::TcpListener;\nuse crate::command;\n");
        planted.core("command/mod.rs", "use crate::wire::Line;\nmod list;\nmod store;\n");
        planted.core("command/list.rs", "use super::store;\nuse crate::{storage::Idle, wire};\n");
        planted.core(
            "command/store.rs",
            "const S: &str = \"the client is idle\";\nfn idle() -> Idle { Idle }\n",
        );
        planted.core("storage/mod.rs", "pub enum Idle { Poll }\nconst WORD: &str = \"IDLE\";\n");
        planted.core("wire/mod.rs", "//! Knows neither `IDLE` nor [`crate::net`].\n");
        planted
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn core(&self, path: &str, text: &str) {
        self.write(&format!("crates/imapper-core/src/{path}"), text);
    }

    fn findings(&self) -> Vec<Finding> {
        check(&Tree::read(&self.0).unwrap())
    }

    /// The place and the beginning of the message of all that is found.
    fn found(&self) -> Vec<String> {
        self.findings().iter().map(ToString::to_string).collect()
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Exactly one thing is found, at this place and with this in its message.
fn assert_one(found: &[String], place: &str, part: &str) {
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found.iter().all(|line| line.starts_with(place) && line.contains(part)), "{found:?}");
}

/// So many lines of code.
fn lines(count: usize) -> String {
    "const A: u8 = 0;\n".repeat(count)
}

#[test]
fn the_workspace_is_tidy() {
    let errors: Vec<String> = check(&Tree::read(root()).unwrap())
        .iter()
        .filter(|one| !one.warning)
        .map(ToString::to_string)
        .collect();
    assert!(errors.is_empty(), "\n{}", errors.join("\n"));
}

#[test]
fn nothing_is_found_in_a_clean_tree() {
    assert_eq!(Planted::clean().found(), Vec::<String>::new());
}

#[test]
fn a_word_of_an_extension_in_the_core_is_found() {
    for (text, line) in [
        ("const A: &str = \"IDLE\";", 1),
        ("\nconst A: &[u8] = b\"* CAPABILITY IMAP4rev1 IDLE\\r\\n\";", 2),
        ("const A: &str = r#\"idle\"#;", 1),
    ] {
        let planted = Planted::clean();
        planted.core("wire/frame.rs", text);
        assert_one(
            &planted.found(),
            &format!("crates/imapper-core/src/wire/frame.rs:{line}: "),
            "IDLE is a word",
        );
    }
}

#[test]
fn a_type_with_the_name_of_an_extension_in_the_core_is_found() {
    let planted = Planted::clean();
    planted.write("plugins/imapper-extensions/src/idle.rs", &IDLE.replace("\"IDLE\"", "\"COND-STORE\""));
    planted.core("wire/frame.rs", "\n\nstruct CondStore;\n");
    assert_one(&planted.found(), "crates/imapper-core/src/wire/frame.rs:3: ", "COND-STORE is a word");
}

#[test]
fn a_test_of_the_core_may_say_a_word() {
    let planted = Planted::clean();
    planted.core("wire/mod.rs", "#[cfg(test)]\nmod tests;\n#[cfg(test)]\nconst A: &str = \"IDLE\";\n");
    planted.core("wire/tests.rs", "const B: &str = \"IDLE\";\nuse crate::net;\n");
    assert_eq!(planted.found(), Vec::<String>::new());
}

#[test]
fn an_extension_without_words_is_found() {
    let planted = Planted::clean();
    planted.write("plugins/imapper-extensions/src/id.rs", "struct Id;\nimpl Extension for Id {}\n");
    assert_one(&planted.found(), "plugins/imapper-extensions/src/id.rs:2: ", "lists none of its words");
}

#[test]
fn a_file_past_its_budget_is_found_without_counting_tests() {
    let planted = Planted::clean();
    planted.core("wire/frame.rs", &format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(400), lines(300)));
    assert_eq!(planted.found(), Vec::<String>::new());

    planted.core("wire/frame.rs", &lines(401));
    assert_one(&planted.found(), "crates/imapper-core/src/wire/frame.rs:1: warning: ", "401 lines");
    assert!(planted.findings().iter().all(|finding| finding.warning));

    planted.core("wire/frame.rs", &lines(601));
    assert_one(&planted.found(), "crates/imapper-core/src/wire/frame.rs:1: 601 lines", "601 lines");
    assert!(planted.findings().iter().all(|finding| !finding.warning));

    planted.core("wire/frame.rs", "");
    planted.write("crates/imapper-core/tests/it/main.rs", &lines(601));
    assert_eq!(planted.found(), Vec::<String>::new());
}

#[test]
fn a_long_function_is_a_warning() {
    let planted = Planted::clean();
    planted.core("wire/frame.rs", &format!("\nfn long() {{\n{}}}\n", lines(61)));
    assert_one(
        &planted.found(),
        "crates/imapper-core/src/wire/frame.rs:2: warning: ",
        "fn long has 61 lines",
    );
}

#[test]
fn an_upward_import_is_found() {
    for (text, line) in [
        ("use crate::command::list;", 1),
        ("use crate::{\n    storage::Row,\n};", 2),
        ("use super::super::net;", 1),
        ("fn f() {\n    crate::net::close();\n}", 2),
        // lib.rs has it from net.
        ("use crate::Listener;", 1),
    ] {
        let planted = Planted::clean();
        planted.core("wire/frame.rs", text);
        let place = format!("crates/imapper-core/src/wire/frame.rs:{line}: ");
        assert_one(&planted.found(), &place, "stands above it in lib.rs");
    }
}

#[test]
fn a_circle_in_a_folder_is_found() {
    let planted = Planted::clean();
    planted.core("command/store.rs", "\nuse super::list::Pattern;\n");
    assert_one(
        &planted.found(),
        "crates/imapper-core/src/command/list.rs:1: ",
        "in a circle in command: list → store → list",
    );
}

#[test]
fn tokio_net_outside_of_net_is_found() {
    for (text, line) in [
        ("use tokio::net::TcpStream;", 1),
        ("\nuse tokio::{io, net::TcpStream};", 2),
        ("fn f(x: tokio::net::TcpStream) {}", 1),
    ] {
        let planted = Planted::clean();
        planted.core("wire/frame.rs", text);
        let place = format!("crates/imapper-core/src/wire/frame.rs:{line}: ");
        assert_one(&planted.found(), &place, "tokio::net");
    }
    let planted = Planted::clean();
    planted.write("plugins/imapper-storage-maildir/src/watch.rs", "use tokio::net::UnixStream;");
    assert_one(&planted.found(), "plugins/imapper-storage-maildir/src/watch.rs:1: ", "tokio::net");
    planted.write(
        "plugins/imapper-storage-maildir/src/watch.rs",
        "#[cfg(test)]\nmod tests { use tokio::net::UnixStream; }",
    );
    assert_eq!(planted.found(), Vec::<String>::new());
}

#[test]
fn a_place_outside_of_the_project_is_found_in_any_text() {
    for place in [concat!("../", "shared/x"), concat!("/", "work/main")] {
        let planted = Planted::clean();
        planted.write("README.md", &format!("# imapper\n\nSee `{place}`.\n"));
        assert_one(&planted.found(), "README.md:3: ", "no part of this project");
    }
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    for target in ["b.md", "../a.md", "docs", "plugins/imapper-extensions/README.md#y", "#y"] {
        let planted = Planted::clean();
        planted.write("a.md", &format!("# A\n\n[good](#a) [bad]({target})\n"));
        assert_one(&planted.found(), "a.md:3: ", &format!("the link to {target} leads nowhere"));
    }
    let planted = Planted::clean();
    let ours = "https://github.com/imapper/imapper/blob/main";
    planted.write("a.md", &format!("[good]({ours}/a.md)\n[bad]({ours}/b.md)\n"));
    assert_one(&planted.found(), "a.md:2: ", "there is no b.md");
}

#[test]
fn a_page_that_the_book_does_not_list_is_found() {
    let planted = Planted::clean();
    planted.write("docs/SUMMARY.md", "[A](a.md)\n");
    planted.write("docs/a.md", "# A\n");
    assert_eq!(planted.found(), Vec::<String>::new());
    planted.write("docs/b/c.md", "# C\n");
    assert_one(&planted.found(), "docs/b/c.md:1: ", "not listed in docs/SUMMARY.md");
}

#[test]
fn a_crate_that_cannot_be_published_is_found() {
    let planted = Planted::clean();
    planted.write("crates/imapper-core/Cargo.toml", &format!("{MANIFEST}publish = false\n"));
    assert_one(&planted.found(), "crates/imapper-core/Cargo.toml:1: ", "not published");

    let planted = Planted::clean();
    std::fs::remove_file(planted.0.join("crates/imapper-core/README.md")).unwrap();
    assert_one(&planted.found(), "crates/imapper-core/Cargo.toml:1: ", "no README.md");

    let planted = Planted::clean();
    planted.core("lib.rs", &LIB.replace("../README.md", "../LICENSE"));
    assert_one(&planted.found(), "crates/imapper-core/src/lib.rs:1: ", "README.md is not tested");
}
