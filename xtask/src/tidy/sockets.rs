//! `tokio::net` is named where sockets are opened and nowhere else: in the core's `net/`, the programs
//! and the kit. All other code works on streams, so that it can be tested without a network.

use super::Finding;
use super::tree::Tree;

const ALLOWED: &[&str] = &[
    "crates/imapper-core/src/net/",
    "crates/imapper-core/src/net.rs",
    "crates/imapper-testkit/",
    "crates/imapper-bin/",
    "crates/imapper-delivery/",
];

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, source) in tree.rust() {
        if ALLOWED.iter().any(|place| path.starts_with(place)) {
            continue;
        }
        for named in source.paths("tokio", &[]) {
            if named.path.first().is_some_and(|first| first == "net") {
                findings.push(Finding::error(path, named.line, "tokio::net stands only in the core's net/"));
            }
        }
    }
}
