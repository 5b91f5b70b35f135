//! The files that the rules look at.

use std::path::Path;

use super::rust::Source;
use crate::Result;
use crate::run::{output, program};

/// Where the protocol core lies.
pub(super) const CORE: &str = "crates/imapper-core/src/";

/// Every text file that git tracks, or would track at the next `git add`.
pub(super) struct Tree {
    pub(super) files: Vec<File>,
}

/// One text file.
pub(super) struct File {
    /// From the root of the workspace, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// For a file of Rust: what it says.
    pub(super) rust: Option<Source>,
}

impl Tree {
    /// Reads a work tree. What is not UTF-8 is no text and left out.
    pub(super) fn read(root: &Path) -> Result<Tree> {
        let mut git = program("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        git.current_dir(root);
        let listed = output(git)?;
        let mut paths: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
        paths.sort_unstable();
        paths.dedup();
        let mut files = Vec::new();
        for path in paths {
            // A file that is deleted but still tracked is not there to be read.
            let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let rust = is_rust(path).then(|| Source::read(&text));
            files.push(File { path: path.to_owned(), text, rust });
        }
        let mut tree = Tree { files };
        tree.mark_test_modules();
        Ok(tree)
    }

    /// The files of Rust with what they say.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.files.iter().filter_map(|file| file.rust.as_ref().map(|source| (file.path.as_str(), source)))
    }

    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// A file that stands behind `#[cfg(test)] mod name;` is a test as a whole, and so is what it has below.
    fn mark_test_modules(&mut self) {
        let mut stems: Vec<String> = Vec::new();
        for (path, source) in self.rust() {
            let folder = module_folder(path);
            stems.extend(source.test_modules().map(|name| format!("{folder}/{name}")));
        }
        for file in &mut self.files {
            let below = |stem: &String| {
                file.path
                    .strip_prefix(stem.as_str())
                    .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            };
            if let Some(source) = &mut file.rust
                && (is_test_path(&file.path) || stems.iter().any(below))
            {
                source.mark_all_as_test();
            }
        }
    }
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

/// The folder in which the modules lie that a file declares.
fn module_folder(path: &str) -> &str {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    match stem.rsplit_once('/') {
        Some((folder, "mod" | "lib" | "main")) => folder,
        _ => stem,
    }
}

/// The folders whose files are not part of what we ship.
fn is_test_path(path: &str) -> bool {
    path.split('/').rev().skip(1).any(|folder| matches!(folder, "tests" | "benches" | "fuzz"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_lie_beside_mod_rs_and_below_any_other_file() {
        assert_eq!(module_folder("a/src/lib.rs"), "a/src");
        assert_eq!(module_folder("a/src/fetch/mod.rs"), "a/src/fetch");
        assert_eq!(module_folder("a/src/list.rs"), "a/src/list");
    }

    #[test]
    fn a_folder_makes_a_test_and_a_file_name_does_not() {
        assert!(is_test_path("crates/x/tests/it/main.rs"));
        assert!(is_test_path("fuzz/frame.rs"));
        assert!(!is_test_path("crates/x/src/tests.rs"));
    }
}
