//! FETCH over the wire against where the digest says that a section lies.
//!
//! Input: a line with what is fetched, then a message.

use std::borrow::Cow;

use imapper_core::message::section::filter_fields;
use imapper_core::message::{Located, Section, What, parse};
use imapper_core::wire::Args;

use crate::client::{append, is_ok, is_one_command, server, talk};
use crate::mime::slice;
use crate::response::all;
use crate::split_line;

/// See the module.
pub fn run(input: &[u8]) {
    let (items, message) = split_line(input);
    let command = [b"f FETCH 1 ", items, b"\r\n"].concat();
    if !is_one_command(&command) {
        return;
    }
    let mut script = b"l LOGIN user pass\r\n".to_vec();
    append(&mut script, &[message]);
    script.extend_from_slice(b"s SELECT INBOX\r\n");
    script.extend_from_slice(&command);
    script.extend_from_slice(b"z NOOP\r\n");
    let answers = talk(&server(), &script, usize::MAX);
    let lines = all(&answers);
    assert!(is_ok(&lines, "s") && is_ok(&lines, "z"), "{}", answers.escape_ascii());
    if !is_ok(&lines, "f") {
        return;
    }
    let mut told = lines.iter().filter_map(|line| line.strip_prefix(b"* 1 FETCH ("));
    let first = told.next().unwrap_or_else(|| panic!("nothing told: {}", answers.escape_ascii()));
    let head = items.to_ascii_uppercase();
    if head.starts_with(b"BODY[") || head.starts_with(b"BODY.PEEK[") {
        // No list: it is the only item, and ends in its partial if it has one.
        compare(message, first, partial(items));
    }
}

/// `<origin.count>` at the end, as the client wrote it.
fn partial(items: &[u8]) -> Option<(u64, u64)> {
    let inside = items.strip_suffix(b">")?;
    let open = inside.iter().rposition(|byte| *byte == b'<')?;
    let (origin, count) = std::str::from_utf8(&inside[open + 1..]).ok()?.split_once('.')?;
    Some((origin.parse().ok()?, count.parse().ok()?))
}

/// The value that was told, against the octets of the message.
fn compare(message: &[u8], told: &[u8], partial: Option<(u64, u64)>) {
    let mut args = Args::new(told, 4);
    let section = label(&mut args, partial.map(|(origin, _)| origin));
    let digest = parse(message);
    let whole = match (digest.locate(&section), &section.what) {
        (Located::Nothing, _) => None,
        (Located::Range(range), _) => Some(slice(message, &range)),
        (Located::Fields { within }, What::HeaderFields(names)) => {
            Some(filter_fields(&slice(message, &within), names, false))
        }
        (Located::Fields { within }, What::HeaderFieldsNot(names)) => {
            Some(filter_fields(&slice(message, &within), names, true))
        }
        (Located::Fields { .. }, what) => panic!("fields of {what:?}"),
    };
    let expected = whole.map(|whole| match partial {
        None => whole,
        Some((origin, count)) => {
            let most = |number| usize::try_from(number).unwrap_or(usize::MAX);
            whole.into_iter().skip(most(origin)).take(most(count)).collect()
        }
    });
    assert_eq!(value(&mut args), expected, "{section:?} {partial:?}");
    assert!(args.peek() == Some(b')') || args.eat_prefix(" FLAGS ("), "{}", told.escape_ascii());
}

/// The section as the answer names it, with its space.
fn label(args: &mut Args<'_>, origin: Option<u64>) -> Section {
    assert!(args.eat_prefix("BODY["));
    let mut part = Vec::new();
    while args.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        part.push(args.number().unwrap());
        args.eat(b'.');
    }
    let word = args.take_while(|byte| byte.is_ascii_alphabetic() || byte == b'.');
    let mut names = || {
        args.sp().unwrap();
        args.list(|args| args.astring().map(Cow::into_owned)).unwrap()
    };
    let what = match word {
        b"" => What::Whole,
        b"HEADER" => What::Header,
        b"TEXT" => What::Text,
        b"MIME" => What::Mime,
        b"HEADER.FIELDS" => What::HeaderFields(names()),
        b"HEADER.FIELDS.NOT" => What::HeaderFieldsNot(names()),
        _ => panic!("{}", word.escape_ascii()),
    };
    args.expect(b']').unwrap();
    if let Some(origin) = origin {
        args.expect(b'<').unwrap();
        assert_eq!(args.number64(), Ok(origin));
        args.expect(b'>').unwrap();
    }
    args.sp().unwrap();
    Section { part, what }
}

/// An `nstring` that may hold NUL: what is stored is told.
fn value(args: &mut Args<'_>) -> Option<Vec<u8>> {
    if args.peek() != Some(b'{') {
        return args.nstring().unwrap().map(Cow::into_owned);
    }
    let size = usize::try_from(args.literal_size().unwrap()).unwrap();
    let octets = args.rest()[..size].to_vec();
    *args = Args::new(&args.rest()[size..], 4);
    Some(octets)
}
