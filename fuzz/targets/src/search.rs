//! SEARCH over the wire: what is found and what its NOT finds are all messages, none twice; and OR of the same twice
//! finds the same.
//!
//! Input: search keys.

use std::collections::BTreeSet;

use crate::client::{append, is_ok, is_one_command, server, talk};
use crate::response::all;

const MESSAGES: [&[u8]; 4] = [
    b"From: Anna <a@example.org>\r\nSubject: =?utf-8?q?J=C3=B6rg?=\r\nDate: Wed, 17 Jul 1996 02:23:25 -0700\r\n\r\nHello World\r\n",
    b"To: b@example.org, \"C (d\" <c@d>\r\nX-List: yes\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n--b--\r\n",
    b"x",
    b"Subject\r\n\r\n\xff",
];

/// See the module.
pub fn run(input: &[u8]) {
    if !is_one_command(&[b"s SEARCH ", input, b"\r\n"].concat()) {
        return;
    }
    let mut script = b"l LOGIN user pass\r\n".to_vec();
    append(&mut script, &MESSAGES);
    script.extend_from_slice(b"o SELECT INBOX\r\nt STORE 1,3 FLAGS (\\Seen $Junk)\r\n");
    let (one, not, or): (&[u8], _, _) = (b"1 SEARCH ", b"2 SEARCH NOT (", b"3 SEARCH OR (");
    script.extend([one, input, b"\r\n", not, input, b")\r\n", or, input, b") (", input, b")\r\n"].concat());
    script.extend_from_slice(b"z NOOP\r\n");
    let answers = talk(&server(), &script, usize::MAX);
    let lines = all(&answers);
    // Twice the octets may be over a limit, which ends the connection; then there is nothing to compare.
    if !is_ok(&lines, "z") {
        assert!(lines.iter().any(|line| line.starts_with(b"* BYE [TOOBIG]")), "{}", answers.escape_ascii());
        return;
    }
    assert!(is_ok(&lines, "t"), "{}", answers.escape_ascii());
    let [plain, inverse, twice] = ["1", "2", "3"].map(|tag| found(&lines, tag));
    if let (Some(plain), Some(inverse)) = (&plain, &inverse) {
        assert!(plain.is_disjoint(inverse), "{plain:?} and not: {inverse:?}");
        assert_eq!(plain.union(inverse).copied().collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
    if let (Some(plain), Some(twice)) = (&plain, &twice) {
        assert_eq!(plain, twice);
    }
}

/// The numbers of the last `* SEARCH` before that command's OK.
fn found(lines: &[&[u8]], tag: &str) -> Option<BTreeSet<u32>> {
    if !is_ok(lines, tag) {
        return None;
    }
    let end = lines.iter().position(|line| line.starts_with(format!("{tag} OK").as_bytes()))?;
    let numbers = lines[..end].iter().rev().find_map(|line| line.strip_prefix(b"* SEARCH"))?;
    let numbers: Vec<u32> = numbers
        .split(|byte| *byte == b' ')
        .filter(|number| !number.is_empty())
        .map(|number| std::str::from_utf8(number).unwrap().parse().unwrap())
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    Some(numbers.into_iter().collect())
}
