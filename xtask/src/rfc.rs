//! `cargo xtask rfc`: which requirements of the RFCs are shown by a wire script or a test, which are no duty of
//! ours, and which are open. The register holds the ids and levels, the scripts say in `req:` what they show, and
//! `exceptions.toml` gives the rest, each with its reason.

mod exceptions;
mod page;
mod register;
mod scripts;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::Result;
use crate::run::root;
use exceptions::Exception;
use register::{Level, Register};

/// Where the lists lie, and the page that is made of them.
const FOLDER: &str = "docs/rfc";
const PAGE: &str = "docs/rfc/coverage.md";

/// Prints the table, checks the lists and writes the page of the book; with `--check` it only compares the page.
/// `-v` lists what is open.
pub(crate) fn rfc(args: &[&str]) -> Result {
    if let Some(unknown) = args.iter().find(|arg| !["-v", "--check"].contains(arg)) {
        return Err(format!("cargo xtask rfc knows -v and --check, not {unknown}"));
    }
    let (coverage, mut problems) = Coverage::read(root())?;
    print!("{}", page::table(&coverage));
    if args.contains(&"-v") {
        for (id, level) in coverage.open() {
            println!("open: {id} {}", level.word());
        }
    }
    problems.extend(coverage.open_where_required());
    page_of(&coverage, args.contains(&"--check"), &mut problems)?;
    for problem in &problems {
        println!("{problem}");
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(format!("{} things are wrong, listed above", problems.len()))
    }
}

/// Writes the page, or finds that it is not what it would be.
fn page_of(coverage: &Coverage, check: bool, problems: &mut Vec<String>) -> Result {
    let path = root().join(PAGE);
    let page = page::page(coverage);
    // What is not there is stale, too.
    if std::fs::read_to_string(&path).is_ok_and(|old| old == page) {
        return Ok(());
    }
    if check {
        problems.push(format!("{PAGE} is stale: run `cargo xtask rfc`"));
        return Ok(());
    }
    std::fs::write(&path, page).map_err(|why| format!("{PAGE}: {why}"))
}

/// All requirements, and what is known of each.
struct Coverage {
    register: Register,
    /// The scripts that show a requirement, by its id.
    scripts: BTreeMap<String, Vec<String>>,
    exceptions: BTreeMap<String, Exception>,
}

/// How a requirement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// A script or a test shows it.
    Covered,
    /// There is a reason why none does.
    Excepted,
    Open,
}

impl Coverage {
    /// Reads the lists of a workspace; gives what is wrong with them, too.
    fn read(root: &Path) -> Result<(Self, Vec<String>)> {
        let folder = root.join(FOLDER);
        let register = Register::read(&folder)?;
        let scripts = scripts::read(root)?;
        let exceptions = exceptions::read(&folder)?;
        let coverage = Coverage { register, scripts, exceptions };
        let mut problems = coverage.problems();
        problems.extend(coverage.missing_tests(root));
        Ok((coverage, problems))
    }

    fn standing(&self, id: &str) -> Standing {
        match self.exceptions.get(id) {
            _ if self.scripts.contains_key(id) => Standing::Covered,
            Some(Exception::Test(_)) => Standing::Covered,
            Some(Exception::Reason(..)) => Standing::Excepted,
            None => Standing::Open,
        }
    }

    /// Each MUST and SHOULD that nothing is known of. A MAY asks for nothing.
    fn open(&self) -> impl Iterator<Item = (&str, Level)> {
        let asks = self.register.requirements.iter().filter(|(_, level)| **level != Level::May);
        asks.filter(|(id, _)| self.standing(id) == Standing::Open).map(|(id, level)| (id.as_str(), *level))
    }

    fn open_where_required(&self) -> Vec<String> {
        let required = |id: &str| self.register.scope_of(id).is_some_and(|rfc| rfc.required);
        self.open()
            .filter(|(id, _)| required(id))
            .map(|(id, level)| {
                format!("{id} ({}) is open: no script shows it, and it is not excepted", level.word())
            })
            .collect()
    }

    /// Ids that lead nowhere, and exceptions that are none.
    fn problems(&self) -> Vec<String> {
        let known = |id: &&String| self.register.requirements.contains_key(*id);
        let mut problems = Vec::new();
        for (id, names) in self.scripts.iter().filter(|(id, _)| !known(id)) {
            problems.push(format!("{}: {id} is not in the register", names.join(", ")));
        }
        for id in self.exceptions.keys().filter(|id| !known(id)) {
            problems.push(format!("exceptions.toml: {id} is not in the register"));
        }
        for id in self.exceptions.keys() {
            if let Some(names) = self.scripts.get(id) {
                problems.push(format!("exceptions.toml: {id} is covered by {}", names.join(", ")));
            }
        }
        let rfcs: BTreeSet<u32> =
            self.register.requirements.keys().filter_map(|id| register::number(id)).collect();
        for rfc in rfcs.iter().filter(|rfc| !self.register.scope.contains_key(rfc)) {
            problems.push(format!("scope.toml: RFC {rfc} is in the register, but not in the scope"));
        }
        for rfc in self.register.scope.keys().filter(|rfc| !rfcs.contains(rfc)) {
            problems.push(format!("register.tsv: RFC {rfc} is in the scope, but not in the register"));
        }
        problems
    }

    /// The tests that an exception names, but that are not there.
    fn missing_tests(&self, root: &Path) -> Vec<String> {
        let named = self.exceptions.iter().filter_map(|(id, exception)| match exception {
            Exception::Test(tests) => Some((id, tests)),
            Exception::Reason(..) => None,
        });
        named
            .flat_map(|(id, tests)| tests.iter().map(move |test| (id, test)))
            .filter_map(|(id, test)| {
                let why = exceptions::find_test(root, test).err()?;
                Some(format!("exceptions.toml: {id}: {why}"))
            })
            .collect()
    }
}
