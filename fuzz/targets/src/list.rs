//! LIST over the wire: the names that a pattern finds are those that the definition gives.
//!
//! Input: a line with a pattern, then lines with names of mailboxes.

use std::collections::BTreeSet;

use imapper_core::types::encode_modified_utf7;
use imapper_core::wire::Args;

use crate::client::{is_ok, literal, server, talk};
use crate::response::all;
use crate::split_line;

/// See the module.
pub fn run(input: &[u8]) {
    let (pattern, names) = split_line(input);
    let pattern = text(pattern);
    let mut script = b"l LOGIN user pass\r\n".to_vec();
    for name in names.split(|byte| *byte == b'\n').take(12) {
        command(&mut script, "c CREATE", &text(name));
    }
    script.extend_from_slice(b"x LIST \"\" *\r\n");
    command(&mut script, "p LIST \"\"", &pattern);
    script.extend_from_slice(b"z NOOP\r\n");
    let answers = talk(&server(), &script, usize::MAX);
    let lines = all(&answers);
    assert!(is_ok(&lines, "x") && is_ok(&lines, "z"), "{}", answers.escape_ascii());
    if !is_ok(&lines, "p") || pattern.is_empty() {
        return;
    }
    let mut halves = lines.split(|line| line.starts_with(b"x OK"));
    let (every, found) = (listed(halves.next().unwrap()), listed(halves.next().unwrap()));
    let expected: BTreeSet<&String> = every.iter().filter(|name| matches(&pattern, name)).collect();
    assert_eq!(found.iter().collect::<BTreeSet<_>>(), expected, "{pattern:?}");
}

fn command(script: &mut Vec<u8>, head: &str, text: &str) {
    script.extend_from_slice(format!("{head} ").as_bytes());
    script.extend(literal(encode_modified_utf7(text).as_bytes()));
    script.extend_from_slice(b"\r\n");
}

/// Octets as a name could have them: no control characters.
fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).chars().filter(|c| !c.is_control()).take(200).collect()
}

fn listed(lines: &[&[u8]]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in lines.iter().filter_map(|line| line.strip_prefix(b"* LIST (")) {
        let end = line.iter().position(|byte| *byte == b')').unwrap();
        let mut args = Args::new(&line[end + 1..], 4);
        args.sp().unwrap();
        assert_eq!(args.string().as_deref(), Ok(&b"/"[..]));
        args.sp().unwrap();
        assert!(names.insert(args.mailbox().unwrap()), "a name is listed twice");
        args.end().unwrap();
    }
    names
}

/// RFC 3501 §6.3.8, by a table of which beginnings of the pattern match which beginnings of the name. INBOX is
/// INBOX in any case, also above other names.
fn matches(pattern: &str, name: &str) -> bool {
    let folded = if name == "INBOX" || name.starts_with("INBOX/") { 5 } else { 0 };
    let name: Vec<char> = name.chars().collect();
    let mut row: Vec<bool> = (0..=name.len()).map(|n| n == 0).collect();
    for wanted in pattern.chars() {
        let mut next = vec![false; name.len() + 1];
        for n in 0..=name.len() {
            let before = n.checked_sub(1).map(|before| (next[before], row[before], name[before]));
            next[n] = match (wanted, before) {
                ('*', Some((wild, ..))) => row[n] || wild,
                ('%', Some((wild, _, letter))) => row[n] || wild && letter != '/',
                ('*' | '%', None) => row[n],
                (_, Some((_, so_far, letter))) => {
                    so_far && (letter == wanted || n <= folded && letter.eq_ignore_ascii_case(&wanted))
                }
                (_, None) => false,
            };
        }
        row = next;
    }
    row[name.len()]
}
