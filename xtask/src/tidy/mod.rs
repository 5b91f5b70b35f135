//! `cargo xtask tidy`: the rules of this workspace that neither rustc nor clippy knows. Each is a file.

mod budget;
mod circle;
mod imports;
mod lexer;
mod links;
mod manifest;
mod references;
mod rust;
mod sockets;
mod tree;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;

use crate::Result;
use crate::run::root;
use tree::Tree;

/// One thing that a rule found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// From the root of the workspace, with `/`.
    path: String,
    /// Counted from 1.
    line: usize,
    /// A warning is printed, an error fails the task.
    warning: bool,
    message: String,
}

impl Finding {
    fn error(path: &str, line: usize, message: impl Into<String>) -> Self {
        Finding { path: path.to_owned(), line, warning: false, message: message.into() }
    }

    fn warning(path: &str, line: usize, message: impl Into<String>) -> Self {
        Finding { warning: true, ..Finding::error(path, line, message) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.warning { "warning: " } else { "" };
        write!(f, "{}:{}: {kind}{}", self.path, self.line, self.message)
    }
}

/// Checks the workspace, prints what was found.
pub(crate) fn tidy() -> Result {
    let tree = Tree::read(root())?;
    let findings = check(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings.iter().filter(|finding| !finding.warning).count();
    let warnings = findings.len().saturating_sub(errors);
    println!("tidy: {} files, {errors} errors, {warnings} warnings", tree.files.len());
    if errors > 0 { Err(format!("tidy found {errors} errors, listed above")) } else { Ok(()) }
}

/// All rules over one tree, ordered by place.
fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    budget::check(tree, &mut findings);
    imports::check(tree, &mut findings);
    circle::check(tree, &mut findings);
    words::check(tree, &mut findings);
    sockets::check(tree, &mut findings);
    references::check(tree, &mut findings);
    links::check(tree, &mut findings);
    manifest::check(tree, &mut findings);
    findings.sort();
    findings.dedup();
    findings
}
