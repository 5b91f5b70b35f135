//! The table at the terminal, and the page of the book.

use std::fmt::Write as _;

use super::exceptions::{Exception, KINDS};
use super::register::{Level, number};
use super::{Coverage, Standing};

/// How many requirements of an RFC and a level stand how: covered, excepted, open.
fn count(coverage: &Coverage, rfc: u32, level: Level) -> [usize; 3] {
    let of_rfc =
        coverage.register.requirements.iter().filter(|(id, one)| **one == level && number(id) == Some(rfc));
    let mut counts = [0_usize; 3];
    for (id, _) in of_rfc {
        let [covered, excepted, open] = &mut counts;
        let count = match coverage.standing(id) {
            Standing::Covered => covered,
            Standing::Excepted => excepted,
            Standing::Open => open,
        };
        *count = count.saturating_add(1);
    }
    counts
}

/// A line for each RFC, for the terminal.
pub(super) fn table(coverage: &Coverage) -> String {
    let mut text = String::from("            MUST                      SHOULD\n");
    text.push_str("RFC         covered excepted open     covered excepted open\n");
    for (rfc, of) in &coverage.register.scope {
        let mut line = format!("{rfc:<11}");
        for level in [Level::Must, Level::Should] {
            let [covered, excepted, open] = count(coverage, *rfc, level);
            let _ = write!(line, " {covered:>7} {excepted:>8} {open:>4}    ");
        }
        line.push_str(if of.required { " required" } else { "" });
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

const INTRODUCTION: &str = "\
<!-- Written by `cargo xtask rfc`; what it is made of lies beside this page. -->

# What the RFCs ask for

Each MUST and SHOULD of these RFCs has an id: `rfc3501-6.3.1-2` is the second of RFC 3501 §6.3.1. *Covered* are those that
a [wire script](../plugins/wire-scripts.md) or a test shows, *excepted* those that are no duty of this server, or that it
does not follow; the reasons stand below. With an RFC that is *complete* nothing may be open.
";

/// The page of the book.
pub(super) fn page(coverage: &Coverage) -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n| RFC | | MUST covered | excepted | open | SHOULD covered | excepted | open | |\n");
    page.push_str("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n");
    for (rfc, of) in &coverage.register.scope {
        let counts = [Level::Must, Level::Should].map(|level| count(coverage, *rfc, level));
        let counts: Vec<String> = counts.iter().flatten().map(usize::to_string).collect();
        let complete = if of.required { "complete" } else { "" };
        let _ =
            writeln!(page, "| [{rfc}](#rfc-{rfc}) | {} | {} | {complete} |", of.title, counts.join(" | "));
    }
    for rfc in coverage.register.scope.keys() {
        section(coverage, *rfc, &mut page);
    }
    page
}

/// The requirements of one RFC.
fn section(coverage: &Coverage, rfc: u32, page: &mut String) {
    let _ = write!(page, "\n## RFC {rfc}\n\n| id | level | shown by, or why not |\n| --- | --- | --- |\n");
    // As numbers in the text: §6.3.10 comes after §6.3.9.
    let mut ids: Vec<(&String, &Level)> =
        coverage.register.requirements.iter().filter(|(id, _)| number(id) == Some(rfc)).collect();
    ids.sort_by_key(|(id, _)| order(id));
    for (id, level) in ids {
        let evidence = evidence(coverage, id);
        if *level == Level::May && evidence == OPEN {
            continue;
        }
        let short = id.split_once('-').map_or(id.as_str(), |(_, rest)| rest);
        let _ = writeln!(page, "| {short} | {} | {evidence} |", level.word());
    }
}

/// What is written for a requirement of which nothing is known.
const OPEN: &str = "**open**";

fn evidence(coverage: &Coverage, id: &str) -> String {
    if let Some(scripts) = coverage.scripts.get(id) {
        return code(scripts);
    }
    match coverage.exceptions.get(id) {
        Some(Exception::Test(tests)) => code(tests),
        Some(Exception::Reason(kind, reason)) => {
            let known = KINDS.iter().find(|(name, _)| name == kind);
            format!("*{}:* {}", known.map_or(*kind, |(_, told)| told), reason.replace('|', "\\|"))
        }
        None => OPEN.to_owned(),
    }
}

fn code(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The pieces of an id, each number as such.
fn order(id: &str) -> Vec<(u32, &str)> {
    id.split(['-', '.']).map(|piece| (piece.parse().unwrap_or(u32::MAX), piece)).collect()
}
