//! In the core, imports go downward only. The order is that of the `mod` lines in its lib.rs, where the
//! reader comes first to what the bytes of a client reach first.

use std::collections::BTreeMap;

use super::Finding;
use super::lexer::Kind;
use super::rust::{Named, Source};
use super::tree::{CORE, Tree};

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let Some(lib) = tree.get(&format!("{CORE}lib.rs")).and_then(|file| file.rust.as_ref()) else { return };
    let order = order(lib);
    let faces = faces(lib, &order);
    for (path, source, own) in modules(tree) {
        let Some(here) = own.first().and_then(|name| place(&order, name)) else { continue };
        for named in named(source, &own) {
            let Some(first) = named.path.first() else { continue };
            let top = faces.get(first).unwrap_or(first);
            if place(&order, top).is_some_and(|there| there < here) {
                let own = own.first().map_or("", String::as_str);
                let message = format!("{own} imports {top}, which stands above it in lib.rs");
                findings.push(Finding::error(path, named.line, message));
            }
        }
    }
}

/// The files of the core below lib.rs, each with the module it is.
pub(super) fn modules(tree: &Tree) -> impl Iterator<Item = (&str, &Source, Vec<String>)> {
    tree.rust().filter_map(|(path, source)| {
        let inside = path.strip_prefix(CORE)?.strip_suffix(".rs")?;
        let mut own: Vec<String> = inside.split('/').map(str::to_owned).collect();
        if own.last().is_some_and(|last| last == "mod" || last == "lib") {
            own.pop();
        }
        (!own.is_empty()).then_some((path, source, own))
    })
}

/// Every path of the crate that a module names.
pub(super) fn named(source: &Source, own: &[String]) -> Vec<Named> {
    let mut all = source.paths("crate", own);
    all.extend(source.paths("super", own));
    all
}

/// The modules in the order of their lines, from the top of the flow to the bottom.
fn order(lib: &Source) -> Vec<String> {
    (0..lib.tokens.len())
        .filter(|at| lib.is(*at, "mod") && lib.tokens.get(*at).is_some_and(|token| !token.test))
        .filter_map(|at| lib.ident(at.saturating_add(1)).map(str::to_owned))
        .collect()
}

fn place(order: &[String], name: &str) -> Option<usize> {
    order.iter().position(|one| one == name)
}

/// What lib.rs offers at the root of the crate, with the module that it comes from: `crate::Server` is
/// an import of `server`.
fn faces(lib: &Source, order: &[String]) -> BTreeMap<String, String> {
    let mut faces = BTreeMap::new();
    let uses = (0..lib.tokens.len()).filter(|at| lib.is(*at, "use"));
    for at in uses.filter_map(|at| lib.tokens.get(at.saturating_add(1))) {
        if at.kind != Kind::Ident {
            continue;
        }
        for mut named in lib.paths(&at.text, &[]) {
            if !matches!(at.text.as_str(), "crate" | "self") {
                named.path.insert(0, at.text.clone());
            }
            let (Some(first), Some(last)) = (named.path.first(), named.path.last()) else { continue };
            if order.contains(first) {
                faces.insert(named.alias.unwrap_or_else(|| last.clone()), first.clone());
            }
        }
    }
    faces
}
