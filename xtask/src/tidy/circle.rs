//! In the core, the files of one folder import each other in one direction only. What a `mod.rs` and
//! its own files have of each other is not counted: one names the other by its nature.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::imports::{modules, named};
use super::tree::Tree;

/// Which file of a folder imports which other, and where.
type Folder = BTreeMap<String, BTreeMap<String, (String, usize)>>;

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for (folder, imports) in folders(tree) {
        let mut told: BTreeSet<&str> = BTreeSet::new();
        for (from, targets) in &imports {
            for (to, (path, line)) in targets {
                let Some(back) = way(&imports, to, from) else { continue };
                if back.iter().all(|name| told.contains(name)) {
                    continue;
                }
                told.extend(&back);
                let message = format!("imports run in a circle in {folder}: {from} → {}", back.join(" → "));
                findings.push(Finding::error(path, *line, message));
            }
        }
    }
}

/// The imports within each folder. The top of the crate is left to the order in lib.rs.
fn folders(tree: &Tree) -> BTreeMap<String, Folder> {
    let mut folders: BTreeMap<String, Folder> = BTreeMap::new();
    let all: BTreeSet<Vec<String>> = modules(tree).map(|(_, _, own)| own).collect();
    for (path, source, own) in modules(tree) {
        for named in named(source, &own) {
            let common = own.iter().zip(&named.path).take_while(|(one, other)| one == other).count();
            let (Some(from), Some(to)) = (own.get(common), named.path.get(common)) else { continue };
            let is_file = named.path.get(..=common).is_some_and(|target| all.contains(target));
            if common == 0 || !is_file {
                continue;
            }
            let folder = own.get(..common).unwrap_or_default().join("::");
            let targets = folders.entry(folder).or_default().entry(from.clone()).or_default();
            targets.entry(to.clone()).or_insert_with(|| (path.to_owned(), named.line));
        }
    }
    folders
}

/// The shortest way along the imports.
fn way<'a>(imports: &'a Folder, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let mut ways = vec![vec![from]];
    let mut seen = BTreeSet::from([from]);
    let mut next = 0;
    while let Some(way) = ways.get(next).cloned() {
        next = next.saturating_add(1);
        let last = *way.last()?;
        if last == to {
            return Some(way);
        }
        for target in imports.get(last).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(target) {
                ways.push(way.iter().copied().chain([target.as_str()]).collect());
            }
        }
    }
    None
}
