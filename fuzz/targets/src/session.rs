//! A whole session: whatever a client sends, each answer is well formed, the server lives on for the next client, and
//! what stands in a literal is never run.
//!
//! Input: an octet for the state in which the octets come (not logged in, logged in, selected, or within a literal
//! of the commands that take one or don't), an octet for how they are cut, then the octets.

use crate::client::{append, literal, server, tagged, talk};
use crate::response::all;

const MESSAGE: &[u8] = b"From: a@b\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n";

/// Commands around a literal: of no command, held in memory, streamed, streamed for nothing.
const AROUND: [&str; 6] =
    ["XUNKNOWN", "LOGIN user", "APPEND INBOX", "APPEND nowhere", "APPEND INBOX (\\Foo)", "NOOP"];

/// See the module.
pub fn run(input: &[u8]) {
    let [state, cut, octets @ ..] = input else { return };
    // Much of the time of a run is that of building the server, and little is found by more octets.
    let octets = &octets[..octets.len().min(4000)];
    let server = server();
    let mut script = Vec::new();
    if state % 4 > 0 {
        script.extend_from_slice(b"l LOGIN user pass\r\n");
        append(&mut script, &[MESSAGE, b"\0", b"\r\nx"]);
    }
    if state % 4 > 1 {
        script.extend_from_slice(b"s SELECT INBOX\r\n");
    }
    let piece = if *cut == 0 { usize::MAX } else { usize::from(*cut) };
    if state % 4 == 3 || state & 64 != 0 {
        in_literal(&server, script, octets, *state, piece);
    } else {
        script.extend_from_slice(octets);
        all(&talk(&server, &script, piece));
    }
    let next = talk(&server, b"l LOGIN user x\r\nn LIST \"\" *\r\nz NOOP\r\n", usize::MAX);
    let lines = all(&next);
    assert!(tagged(&lines, "z").iter().any(|answer| answer.starts_with(b"OK")), "the next client is served");
}

/// Every answer with a tag is one to what stands outside of the literal.
fn in_literal(server: &imapper_core::Server, mut script: Vec<u8>, octets: &[u8], state: u8, piece: usize) {
    let around = AROUND[usize::from(state >> 2) % AROUND.len()];
    script.extend_from_slice(format!("1 {around} ").as_bytes());
    script.extend(literal(octets));
    script.extend_from_slice(b"\r\n2 NOOP\r\n");
    let answers = talk(server, &script, piece);
    let lines = all(&answers);
    for line in &lines {
        let tag = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        assert!(matches!(tag, b"*" | b"+" | b"l" | b"a" | b"s" | b"1" | b"2"), "{}", line.escape_ascii());
    }
    let count = |tag| tagged(&lines, tag).len();
    let has_left = lines.iter().any(|line| line.starts_with(b"* BYE"));
    assert!(has_left || (count("1"), count("2")) == (1, 1), "{}", answers.escape_ascii());
}
