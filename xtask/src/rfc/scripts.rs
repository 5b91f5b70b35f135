//! What the wire scripts say in `req:`. That they pass is shown by the tests that play them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::Result;

/// Where the scripts lie, a folder a feature.
const SCRIPTS: &str = "crates/imapper-testkit/scripts";

/// The names of the scripts (`folder/file`) that show a requirement, by its id.
pub(super) fn read(root: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in entries(&root.join(SCRIPTS))?.iter().filter(|path| path.is_dir()) {
        for path in entries(folder)?.iter().filter(|path| path.extension().is_some_and(|end| end == "imap")) {
            let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
            let name = format!("{}/{}", stem(folder), stem(path));
            for id in shown(&text) {
                let names = all.entry(id.to_owned()).or_default();
                if !names.contains(&name) {
                    names.push(name.clone());
                }
            }
        }
    }
    Ok(all)
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let wrong = |why: std::io::Error| format!("{}: {why}", folder.display());
    let listed = std::fs::read_dir(folder).map_err(wrong)?;
    let mut paths = listed
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(wrong)?;
    paths.sort();
    Ok(paths)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The ids of a script's header, which ends where somebody speaks.
fn shown(script: &str) -> impl Iterator<Item = &str> {
    let header = script.lines().take_while(|line| !speaks(line));
    let values = header.filter_map(|line| line.strip_prefix("req:"));
    values.flat_map(|value| value.split([',', ' '])).filter(|id| !id.is_empty())
}

/// `C:`, `S2:`, `X:`
fn speaks(line: &str) -> bool {
    let Some((who, _)) = line.split_once(':') else { return false };
    matches!(who.as_bytes(), [b'C' | b'S' | b'X'] | [b'C' | b'S' | b'X', b'1'..=b'9'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_ends_where_somebody_speaks() {
        let script = "title: x\nreq: rfc1-1-1, rfc1-1-2\nreq: rfc1-2-1\n\nC1: a1 NOOP\nreq: rfc1-3-1\n";
        assert_eq!(shown(script).collect::<Vec<_>>(), ["rfc1-1-1", "rfc1-1-2", "rfc1-2-1"]);
        assert!(speaks("X: closes") && speaks("S9: x") && !speaks("Subject: x") && !speaks("C"));
    }
}
