//! Every method of the cursor over arguments, at every place where a command may ask for it; and what can be
//! printed reads back as the same.
//!
//! Input: an octet that chooses where the cursor stands, then arguments.

use std::borrow::Cow;

use imapper_core::types::{Uid, decode_modified_utf7, encode_modified_utf7};
use imapper_core::wire::args::{Str, is_astring_char, is_atom_char};
use imapper_core::wire::{Args, Line, Malformed};

/// See the module.
pub fn run(input: &[u8]) {
    let [skip, octets @ ..] = input else { return };
    let mut args = Args::new(octets, 4);
    args.take_while(|byte| byte != *skip);
    numbers(args);
    strings(args);
    words(args);
    names(args);
    flags(args);
    dates(args);
    lists(args);
}

/// Runs a method: the cursor goes forward, a failure lies in the octets, and what follows is still all there.
fn parsed<'a, T>(start: Args<'a>, method: impl FnOnce(&mut Args<'a>) -> Result<T, Malformed>) -> Option<T> {
    let mut args = start;
    let parsed = method(&mut args);
    assert!(args.position() >= start.position());
    assert!(args.position() <= start.position() + start.rest().len());
    assert_eq!(args.rest(), &start.rest()[args.position() - start.position()..]);
    assert_eq!(args.is_end(), args.rest().is_empty());
    assert_eq!(args.peek(), args.rest().first().copied());
    match &parsed {
        Err(error) => {
            assert!(error.at >= start.position() && error.at <= args.position(), "{error} in {start:?}");
            assert!(error.to_string().bytes().all(|byte| matches!(byte, b' '..=b'~')), "{error}");
        }
        Ok(_) => assert!(args.position() > start.position(), "something was taken"),
    }
    parsed.ok()
}

/// What a method gives for a text, which it takes up to its end.
fn again<'a, T>(line: &'a Line, method: impl FnOnce(&mut Args<'a>) -> Result<T, Malformed>) -> T {
    let mut args = Args::new(line.text(), 4);
    let value = method(&mut args);
    assert!(args.is_end() && args.end().is_ok(), "{}", line.text().escape_ascii());
    value.unwrap_or_else(|error| panic!("{error} in {}", line.text().escape_ascii()))
}

fn numbers(args: Args<'_>) {
    let digits = args.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = std::str::from_utf8(&args.rest()[..digits]).unwrap();
    let wide = digits.parse::<u64>().ok().filter(|number| i64::try_from(*number).is_ok());
    assert_eq!(parsed(args, Args::number64), wide);
    let number = wide.and_then(|wide| u32::try_from(wide).ok());
    assert_eq!(parsed(args, Args::number), number);
    assert_eq!(parsed(args, Args::nz_number), number.filter(|number| *number > 0));
    if let Some(wide) = wide {
        let mut line = Line::new();
        line.number(wide);
        assert_eq!(again(&line, Args::number64), wide);
    }
    if let Some(set) = parsed(args, Args::sequence_set) {
        for largest in [Uid::MIN, Uid::MAX] {
            let uids = set.resolve(Some(largest));
            let mut line = Line::new();
            line.show(&uids);
            assert_eq!(again(&line, Args::sequence_set).resolve(None), uids);
        }
    }
}

fn strings(args: Args<'_>) {
    if let Some(octets) = parsed(args, Args::string) {
        if !octets.contains(&0) {
            let mut line = Line::new();
            line.string(&octets);
            assert_eq!(again(&line, Args::string), octets);
            assert_eq!(again(&line, Args::nstring), Some(octets.clone()));
        }
        assert_eq!(parsed(args, Args::astring), Some(octets));
    }
    if let Some(octets) = parsed(args, Args::astring) {
        let mut line = Line::new();
        line.astring(&octets);
        assert_eq!(again(&line, Args::astring), octets);
    }
    match parsed(args, Args::astring_as_written) {
        Some(Str::Atom(atom)) => assert!(atom.iter().all(|byte| is_astring_char(*byte))),
        Some(Str::String(string)) => assert_eq!(parsed(args, Args::string), Some(string)),
        None => assert_eq!(parsed(args, Args::astring), None),
    }
    if let Some(None) = parsed(args, Args::nstring) {
        assert!(args.rest()[..3].eq_ignore_ascii_case(b"NIL"));
    }
    if let Some(literal) = parsed(args, Args::literal) {
        let mut line = Line::new();
        line.literal(literal);
        assert_eq!(again(&line, Args::literal), literal);
        assert_eq!(parsed(args, Args::literal_size), Some(literal.len() as u64));
    }
    parsed(args, Args::literal_size);
}

fn words(mut args: Args<'_>) {
    if let Some(atom) = parsed(args, Args::atom) {
        let word = parsed(args, Args::word).unwrap();
        assert!(word.as_bytes().eq_ignore_ascii_case(atom) && !word.bytes().any(|b| b.is_ascii_lowercase()));
        let mut after = args;
        assert!(after.eat_word(&word) && after.position() == args.position() + word.len());
        let mut after = args;
        assert!(after.eat_prefix(&word));
        assert!(parsed(args, Args::keyword).is_some());
    }
    if let Some(tag) = parsed(args, Args::tag) {
        assert!(!tag.contains(&b'+'));
    }
    parsed(args, Args::sp);
    parsed(args, |args| args.expect(0));
    assert_eq!(args.end().is_ok(), args.rest().is_empty());
    for depth in 0..8 {
        assert_eq!(args.deeper(depth).is_ok(), depth <= args.max_depth());
    }
    let before = args;
    for word in ["NIL", "NOT", "", "\u{fc}"] {
        let mut after = before;
        if after.eat_word(word) {
            assert!(!after.peek().is_some_and(is_atom_char));
        } else {
            assert_eq!(after.position(), before.position());
        }
    }
    let (first, left) = (args.peek(), args.rest().len());
    assert_eq!(args.eat(b'('), first == Some(b'('));
    assert_eq!(left - args.rest().len(), usize::from(first == Some(b'(')));
}

fn names(args: Args<'_>) {
    if let Some(name) = parsed(args, Args::mailbox) {
        assert!(name == "INBOX" || !name.eq_ignore_ascii_case("INBOX"));
        let mut line = Line::new();
        line.mailbox(&name);
        assert_eq!(again(&line, Args::mailbox), name);
    }
    if let Some(name) = parsed(args, Args::mailbox_or_empty) {
        let octets = parsed(args, Args::astring).map(Cow::into_owned);
        assert_eq!(octets, Some(encode_modified_utf7(&name).into_bytes()));
    }
    if let Some(pattern) = parsed(args, Args::list_mailbox) {
        let encoded = encode_modified_utf7(&pattern);
        assert_eq!(decode_modified_utf7(encoded.as_bytes()), Ok(pattern));
    }
}

fn flags(args: Args<'_>) {
    let list = parsed(args, Args::flag_list);
    if let Some(flags) = list.iter().chain(&parsed(args, Args::flags)).next() {
        let mut line = Line::new();
        line.flags(flags, false);
        let read = again(&line, Args::flag_list);
        assert_eq!(read, *flags);
        assert_eq!(flags.with(&read), read);
        assert!(flags.without(&read).is_empty());
        assert!(flags.names().all(|name| !name.eq_ignore_ascii_case("\\Recent")));
    }
}

fn dates(args: Args<'_>) {
    if let Some(date) = parsed(args, Args::date_time) {
        let mut line = Line::new();
        line.raw(b"\"").show(date).raw(b"\"");
        let read = again(&line, Args::date_time);
        assert_eq!(read, date, "{date}");
        assert_eq!(read.day(), date.day());
    }
    if let Some(day) = parsed(args, Args::date) {
        // From the year 0 to the year 9999.
        assert!((-719_528..=2_932_896).contains(&day), "{day}");
    }
}

fn lists(args: Args<'_>) {
    let items = parsed(args, |args| args.list(|args| args.astring().map(Cow::into_owned)));
    if let Some(items) = items {
        let mut line = Line::new();
        line.raw(b"(");
        for (at, item) in items.iter().enumerate() {
            line.raw(if at == 0 { b"" } else { b" " }).astring(item);
        }
        line.raw(b")");
        assert_eq!(again(&line, |args| args.list(|args| args.astring().map(Cow::into_owned))), items);
    }
    parsed(args, |args| args.list(Args::number));
}
