//! A file is read in one sitting: its length without tests, and the length of its functions.

use std::collections::BTreeSet;

use super::Finding;
use super::rust::Source;
use super::tree::Tree;

/// Lines of a file without its tests.
const FILE_WARNING: usize = 400;
const FILE_ERROR: usize = 600;
/// Lines of code of a function; the error at 100 is `clippy::too_many_lines`.
const FUNCTION_WARNING: usize = 60;

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, source) in tree.rust() {
        let lines = source.lines.saturating_sub(source.test_lines);
        if lines > FILE_ERROR {
            let message = format!("{lines} lines without tests, more than {FILE_ERROR}: divide the file");
            findings.push(Finding::error(path, 1, message));
        } else if lines > FILE_WARNING {
            let message = format!("{lines} lines without tests, more than {FILE_WARNING}");
            findings.push(Finding::warning(path, 1, message));
        }
        for (line, name, lines) in functions(source) {
            if lines > FUNCTION_WARNING {
                let message = format!("fn {name} has {lines} lines of code, more than {FUNCTION_WARNING}");
                findings.push(Finding::warning(path, line, message));
            }
        }
    }
}

/// Each function outside of tests: its line, its name, how many lines of its body hold code.
fn functions(source: &Source) -> Vec<(usize, &str, usize)> {
    let mut found = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let Some(name) = source.ident(at.saturating_add(1)) else { continue };
        if token.test || !source.is(at, "fn") {
            continue;
        }
        let mut open = at;
        // Arguments and array types have brackets of their own; a declaration ends without a body.
        while !(source.is(open, "{") || source.is(open, ";") || open >= source.tokens.len()) {
            let bracket = source.is(open, "(") || source.is(open, "[");
            open = if bracket { source.closing(open) } else { open }.saturating_add(1);
        }
        let body = source.tokens.get(open.saturating_add(1)..source.closing(open)).unwrap_or_default();
        if source.is(open, "{") {
            let lines: BTreeSet<usize> = body.iter().flat_map(|token| token.line..=token.end_line).collect();
            found.push((token.line, name, lines.len()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_counted_without_comments_and_blank_lines() {
        let text = "trait T { fn a(); }\nfn b(x: [u8; 4]) -> u8 {\n    // why\n\n    let y = b'{';\n    y[0]\n}\ntype F = fn(u8);";
        assert_eq!(functions(&Source::read(text)), [(2, "b", 2)]);
    }
}
