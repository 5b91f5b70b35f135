//! Where sections of a message lie, and which fields of a header are picked, against a model that picks by lines.
//!
//! Input: a line with part numbers and a word (`4.2.HEADER`) and names after it, then a message.

use imapper_core::message::section::{FieldNames, filter_fields};
use imapper_core::message::{Digest, Located, Section, What, parse};

use crate::mime::slice;
use crate::split_line;

/// See the module.
pub fn run(input: &[u8]) {
    let (line, message) = split_line(input);
    let digest = parse(message);
    let mut words = line.split(|byte| *byte == b' ');
    let spec = words.next().unwrap_or_default();
    let names: Vec<Vec<u8>> = words.map(<[u8]>::to_vec).collect();
    let part: Vec<u32> = spec
        .split(|byte| *byte == b'.')
        .map_while(|number| std::str::from_utf8(number).ok()?.parse().ok())
        .collect();
    for part in [&part[..], &[]] {
        located(message, &digest, part, &names);
    }
    for not in [false, true] {
        let picked = filter_fields(message, &names, not);
        assert_eq!(picked, slowly(message, &names, not), "not: {not}");
        assert_eq!(FieldNames::new(&names).filter(message, not), picked);
        // More names than are compared one by one.
        let more: Vec<Vec<u8>> = (0..9).map(|n| format!("x:{n}").into_bytes()).chain(names.clone()).collect();
        assert_eq!(filter_fields(message, &more, not), picked);
    }
}

fn located(message: &[u8], digest: &Digest, part: &[u32], names: &[Vec<u8>]) {
    let locate = |what| digest.locate(&Section { part: part.to_vec(), what });
    let there = digest.part(part);
    let whole = match locate(What::Whole) {
        Located::Range(range) => range,
        Located::Nothing => {
            assert!(there.is_none() && !part.is_empty());
            for what in [What::Header, What::Text, What::Mime, What::HeaderFields(names.to_vec())] {
                assert_eq!(locate(what), Located::Nothing);
            }
            return;
        }
        Located::Fields { .. } => panic!("fields of a whole"),
    };
    assert!(whole.start <= whole.end && whole.end <= message.len() as u64);
    let (Located::Range(header), Located::Range(text)) = (locate(What::Header), locate(What::Text)) else {
        panic!("a part without a header or a text");
    };
    let has_header = part.is_empty() || there.as_ref().is_some_and(|part| part.is_message);
    if has_header {
        // Header and text make up the whole.
        assert_eq!((header.start, header.end, text.end), (whole.start, text.start, whole.end));
    } else {
        assert!(header.is_empty() && text.is_empty());
    }
    for what in [What::HeaderFields(names.to_vec()), What::HeaderFieldsNot(names.to_vec())] {
        match locate(what) {
            Located::Fields { within } => assert!(has_header && within == header),
            Located::Range(range) => assert!(!has_header && range.is_empty()),
            Located::Nothing => panic!("a part without fields"),
        }
    }
    match locate(What::Mime) {
        Located::Range(mime) => assert_eq!(mime.end, whole.start, "{part:?}"),
        Located::Nothing => assert!(part.is_empty()),
        Located::Fields { .. } => panic!("fields of a part's header"),
    }
    // What is picked and what is left make up the header.
    let header = slice(message, &header);
    let blank = |octets: &[u8]| {
        octets.ends_with(b"\n\n") || octets.ends_with(b"\n\r\n") || matches!(octets, b"\n" | b"\r\n")
    };
    let end = if blank(&header) { 2 } else { 0 };
    let (some, others) = (filter_fields(&header, names, false), filter_fields(&header, names, true));
    let fields = some.len() + others.len() - 2 * end;
    assert!(fields <= header.len() && header.len() - fields <= 2, "{}", header.escape_ascii());
}

/// Lines, joined to fields by their first octet, compared by name as text.
fn slowly(header: &[u8], names: &[Vec<u8>], not: bool) -> Vec<u8> {
    let mut picked = Vec::new();
    let mut takes = false;
    let mut first = true;
    for line in header.split_inclusive(|byte| *byte == b'\n') {
        let folded = !first && matches!(line[0], b' ' | b'\t');
        if !folded {
            if matches!(line, b"\n" | b"\r\n") {
                break;
            }
            let name = line.iter().position(|byte| *byte == b':').map_or(&line[..0], |end| &line[..end]);
            let name = trim_end(name);
            let is_name = !name.is_empty() && !name.iter().any(|byte| b" \t\r\n".contains(byte));
            let wanted = is_name && names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name));
            takes = wanted != not;
        }
        first = false;
        if takes {
            picked.extend_from_slice(line);
        }
    }
    let is_whole =
        matches!(header, b"\n" | b"\r\n") || header.ends_with(b"\n\n") || header.ends_with(b"\n\r\n");
    if is_whole {
        picked.extend_from_slice(b"\r\n");
    }
    picked
}

/// Without the white space before the colon (RFC 5322 §4.5.1, obs-optional).
fn trim_end(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| !b" \t\r\n".contains(byte)).map_or(0, |last| last + 1);
    &name[..end]
}
