//! Whole messages: a corpus with what is expected of it, trees at the limits, and properties.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use proptest::prelude::*;

use super::section::filter_fields;
use super::*;

fn slice(message: &[u8], range: std::ops::Range<u64>) -> &[u8] {
    let at = |n| usize::try_from(n).unwrap();
    &message[at(range.start)..at(range.end)]
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'")
}

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "eml")).collect();
    files.sort();
    assert!(files.len() >= 17, "the corpus is there");
    files
}

/// `[4.2.HEADER.FIELDS (a b)]` as a section.
fn section(text: &str) -> Section {
    let text = text.trim_matches(['[', ']']);
    let (text, names) = text.split_once(" (").unwrap_or((text, ""));
    let names = names.trim_end_matches(')').split(' ').map(|n| n.as_bytes().to_vec()).collect();
    let word = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let part = text[..word].split('.').filter(|n| !n.is_empty()).map(|n| n.parse().unwrap()).collect();
    let what = match &text[word..] {
        "" => What::Whole,
        "HEADER" => What::Header,
        "TEXT" => What::Text,
        "MIME" => What::Mime,
        "HEADER.FIELDS" => What::HeaderFields(names),
        "HEADER.FIELDS.NOT" => What::HeaderFieldsNot(names),
        other => panic!("{other}"),
    };
    Section { part, what }
}

fn answer(message: &[u8], digest: &Digest, key: &str) -> String {
    match key {
        "ENVELOPE" => show(digest.envelope()),
        "BODY" => show(digest.body()),
        "BODYSTRUCTURE" => show(digest.bodystructure()),
        "SIZE" => digest.size().to_string(),
        "LINES" => digest.lines().to_string(),
        "SENT" => format!("{:?}", digest.sent().map(|s| (s.ymd(), s.unix))),
        "SUBJECT" => format!("{:?} {}", digest.base_subject(), digest.is_reply()),
        "IDS" => {
            let ids: Vec<_> = digest.message_id().into_iter().chain(digest.references()).map(show).collect();
            format!("{} keys {}", ids.join(" "), digest.thread_keys().len())
        }
        _ => {
            let section = section(key);
            match (digest.locate(&section), section.what) {
                (Located::Nothing, _) => "NIL".to_owned(),
                (Located::Range(range), _) => format!("|{}|", show(slice(message, range))),
                (Located::Fields { within }, What::HeaderFields(names)) => {
                    format!("|{}|", show(&filter_fields(slice(message, within), &names, false)))
                }
                (Located::Fields { within }, What::HeaderFieldsNot(names)) => {
                    format!("|{}|", show(&filter_fields(slice(message, within), &names, true)))
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Each line of `x.expected` is `what = answer` for the message `x.eml`.
#[test]
fn the_corpus_answers_as_expected() {
    let mut wrong = String::new();
    for file in corpus() {
        let message = std::fs::read(&file).unwrap();
        let digest = parse(&message);
        let name = file.file_stem().unwrap().to_string_lossy();
        for line in std::fs::read_to_string(file.with_extension("expected")).unwrap().lines() {
            let (key, expected) = line.split_once(" = ").unwrap();
            let got = answer(&message, &digest, key);
            if got != expected {
                let _ = write!(wrong, "{name}: {key}\n  expected {expected}\n  got      {got}\n");
            }
        }
        check(&message);
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What holds for every input.
fn check(message: &[u8]) -> Digest {
    let digest = parse(message);
    assert_eq!(digest.size(), message.len() as u64);
    assert_eq!(digest.header().start, 0);
    assert_eq!(digest.header().end, digest.text().start);
    assert_eq!(digest.text().end, digest.size());
    assert_eq!(Digest::from_bytes(digest.to_bytes()).as_ref(), Some(&digest));
    if let Some(header) = digest.header_bytes() {
        assert_eq!(show(header), show(slice(message, digest.header())));
    }
    for rendered in [digest.envelope(), digest.body(), digest.bodystructure()] {
        well_formed(rendered);
    }
    let whole = Part { body: 0..digest.size(), ..digest.part(&[1]).unwrap() };
    children(message, &digest, &whole, &mut Vec::new());
    for part in digest.text_parts() {
        search::decode_text(slice(message, part.body), part.encoding, part.charset);
    }
    for range in digest.nested_headers().chain(digest.part_headers()) {
        slice(message, range);
    }
    digest
}

/// Checks that the parts under `path` lie in their parent, one after the other.
fn children(message: &[u8], digest: &Digest, parent: &Part, path: &mut Vec<u32>) {
    let mut from = parent.body.start;
    for number in 1.. {
        path.push(number);
        let part = digest.part(path);
        if let Some(part) = &part {
            if !path.is_empty() && path != &[1] || part.is_multipart {
                assert!(part.mime_header.start >= from, "{path:?} {part:?}");
            }
            assert!(part.mime_header.end == part.body.start && part.body.start <= part.body.end);
            assert!(part.body.end <= parent.body.end, "{path:?} {part:?} in {parent:?}");
            assert_eq!(part.lines, lines(slice(message, part.body.clone())), "{path:?} {part:?}");
            from = part.body.end;
            if let (Some(header), Some(text)) = (&part.header, &part.text) {
                assert_eq!(
                    (header.start, header.end, text.end),
                    (part.body.start, text.start, part.body.end)
                );
            }
            if part.is_message || part.is_multipart {
                // The one part of an inner message without parts has that message's header.
                let inner = Part { body: part.body.clone(), ..part.clone() };
                children(message, digest, &inner, path);
            }
        }
        path.pop();
        if part.is_none() {
            break;
        }
    }
}

fn lines(body: &[u8]) -> u64 {
    body.split_inclusive(|&b| b == b'\n').count() as u64
}

/// Parentheses match, strings end, literals are as long as they say.
fn well_formed(mut rest: &[u8]) {
    let mut depth = 0i64;
    while let [b, tail @ ..] = rest {
        rest = tail;
        match b {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'"' => loop {
                let [b, tail @ ..] = rest else { panic!("a string without end") };
                rest = if *b == b'\\' { &tail[1..] } else { tail };
                if *b == b'"' {
                    break;
                }
            },
            b'{' => {
                let end = rest.iter().position(|&b| b == b'}').unwrap();
                let n: usize = std::str::from_utf8(&rest[..end]).unwrap().parse().unwrap();
                rest = &rest[end + 3 + n..];
            }
            _ => assert!(b.is_ascii_alphanumeric() || *b == b' ', "{}", char::from(*b)),
        }
        assert!(depth > 0 || rest.is_empty());
    }
    assert_eq!(depth, 0);
}

fn in_pieces(message: &[u8], sizes: &[usize]) -> Digest {
    let mut parser = Parser::new(Limits::default());
    let mut sizes = sizes.iter().cycle();
    let mut rest = message;
    while !rest.is_empty() {
        let n = (*sizes.next().unwrap()).clamp(1, rest.len());
        parser.feed(&rest[..n]);
        rest = &rest[n..];
    }
    parser.finish()
}

/// Pieces that mean something to the parser, so that random messages have trees.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(&b"\r\n"[..]),
        2 => Just(&b"\n"[..]),
        1 => Just(&b"\r"[..]),
        3 => Just(&b"\r\n--a\r\n"[..]),
        2 => Just(&b"\r\n--b\r\n"[..]),
        2 => Just(&b"--a--\r\n"[..]),
        1 => Just(&b"--b--"[..]),
        2 => Just(&b"--"[..]),
        1 => Just(&b"-"[..]),
        3 => Just(&b"Content-Type: multipart/mixed; boundary=a\r\n\r\n"[..]),
        2 => Just(&b"Content-Type: multipart/digest; boundary=b\r\n\r\n"[..]),
        1 => Just(&b"Content-Type: multipart/mixed; boundary=a--\n\n"[..]),
        2 => Just(&b"Content-Type: message/rfc822\r\n\r\n"[..]),
        1 => Just(&b"Content-Type: text/plain; charset=\"x\r\n"[..]),
        1 => Just(&b"Subject: =?utf-8?q?a?= [x] re: (fwd)\r\n"[..]),
        1 => Just(&b"To: g: a <b@c>, \"d\" <@e:f@g>; h (i\\\r\n"[..]),
        1 => Just(&b"Date: Fri, 13 Sep 2013 15:01:00 +0300\r\n"[..]),
        1 => Just(&b"text"[..]),
        1 => Just(&b" \t"[..]),
        1 => Just(&b"\0\xff\xc3"[..]),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets_give_a_tree(message in proptest::collection::vec(any::<u8>(), 0..400)) {
        check(&message);
    }

    #[test]
    fn any_soup_gives_a_tree_however_it_is_cut(
        message in soup(), sizes in proptest::collection::vec(1usize..30, 1..8)
    ) {
        let digest = check(&message);
        prop_assert_eq!(&in_pieces(&message, &sizes), &digest);
        prop_assert_eq!(&in_pieces(&message, &[1]), &digest);
        prop_assert_eq!(digest.shape(), reference::shape(&message));
    }

    #[test]
    fn a_damaged_digest_does_no_harm(
        message in soup(), at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<prop::sample::Index>()
    ) {
        let mut bytes = parse(&message).to_bytes().to_vec();
        let i = at.index(bytes.len());
        bytes[i] ^= with;
        use_all(&Bytes::from(bytes.clone()));
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(Digest::from_bytes(bytes.into()).is_none());
    }

    #[test]
    fn any_octets_as_a_digest_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Digest::from_bytes(bytes.into()).is_none());
    }

    #[test]
    fn any_header_value_decodes(value in proptest::collection::vec(any::<u8>(), 0..100)) {
        search::decode_header_value(&value);
        search::address_text(&value);
        Sent::parse(&value);
    }

    #[test]
    fn a_needle_is_found_as_by_the_slow_way(text in "[aAbBäÄ ]{0,40}", needle in "[aAbBäÄ]{0,3}") {
        let slow = text.to_lowercase().contains(&needle.to_lowercase());
        prop_assert_eq!(search::Needle::new(&needle).found_in(&text), slow);
    }
}

fn use_all(bytes: &Bytes) {
    let Some(digest) = Digest::from_bytes(bytes.clone()) else { return };
    for part in [&[1][..], &[2], &[1, 1], &[1, 1, 1], &[u32::MAX]] {
        digest.part(part);
    }
    digest.leaves().for_each(drop);
    digest.nested_headers().for_each(drop);
    digest.references().for_each(drop);
    let _ = (
        digest.sent(),
        digest.base_subject(),
        digest.thread_keys(),
        digest.header_bytes(),
        digest.envelope(),
    );
}

#[test]
fn mutations_of_the_corpus_give_a_tree_however_they_are_cut() {
    let mut random = proptest::test_runner::TestRunner::deterministic();
    for file in corpus() {
        let message = std::fs::read(file).unwrap();
        for _ in 0..50 {
            let mut now = message.clone();
            for _ in 0..random.rng().random_range(1..4) {
                let (from, to) =
                    (random.rng().random_range(0..now.len()), random.rng().random_range(0..now.len()));
                let end = now.len().min(from + random.rng().random_range(0..20));
                let piece = now[from..end].to_vec();
                now.splice(to..to, piece);
                let drop = random.rng().random_range(0..now.len());
                now.drain(drop..now.len().min(drop + 3));
            }
            let digest = check(&now);
            assert_eq!(digest.shape(), reference::shape(&now));
            assert_eq!(in_pieces(&now, &[random.rng().random_range(1..9), 1]), digest);
        }
    }
}

#[test]
fn nesting_ends_at_the_limit() {
    let multipart = |i: usize| format!("Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n");
    let message = |n| (0..n).map(multipart).collect::<String>() + "\r\ninnermost";
    let path = |n: usize| vec![1; n];
    let digest = check(message(99).as_bytes());
    assert_eq!(digest.part(&path(99)).unwrap().media_type, "text");
    let digest = check(message(100).as_bytes());
    assert_eq!(digest.part(&path(99)).unwrap().subtype, "octet-stream");
    assert_eq!(digest.part(&path(100)), None);
    check(message(20_000).as_bytes());
    let forwards = "Content-Type: message/rfc822\r\n\r\n".repeat(20_000);
    let digest = check(forwards.as_bytes());
    assert_eq!(digest.nested_headers().count(), 99);
}

#[test]
fn parts_end_at_the_limit() {
    let message = |n| {
        let parts = "--b\r\n\r\nx\r\n".repeat(n);
        format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n")
    };
    // The message itself is one of them.
    let whole = message(9_999);
    let digest = parse(whole.as_bytes());
    assert_eq!(digest.part(&[9_999]).unwrap().media_type, "text");
    let more = message(10_500);
    let digest = parse(more.as_bytes());
    let last = digest.part(&[10_000]).unwrap();
    assert_eq!(
        (last.media_type, last.subtype, last.body.end),
        ("application", "octet-stream", digest.size())
    );
    assert_eq!(digest.part(&[10_001]), None);
}

#[test]
fn headers_end_at_the_limit() {
    let long = format!("Subject: {}\r\nTo: a@b\r\n\r\nbody", "x".repeat(2_000_000));
    let digest = check(long.as_bytes());
    assert!(digest.envelope().len() < 1_100_000 && digest.envelope().len() > 1_000_000);
    assert!(digest.envelope().ends_with(b"((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL)"));
    assert_eq!(digest.header_bytes(), None);
    let many = format!("{}To: a@b\r\n\r\nbody", format!("X: {}\r\n", "y".repeat(1_000)).repeat(11_000));
    let digest = check(many.as_bytes());
    assert_eq!(digest.envelope(), b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
    assert_eq!(slice(many.as_bytes(), digest.text()), b"body");
}

#[test]
fn the_header_is_kept_up_to_16_kib() {
    let message = |n: usize| format!("X: {}\r\n\r\nbody", "y".repeat(n - 7));
    assert_eq!(check(message(16_384).as_bytes()).header_bytes().unwrap().len(), 16_384);
    assert_eq!(check(message(16_385).as_bytes()).header_bytes(), None);
}

#[test]
fn threads_join_by_id_and_subject() {
    let keys = |header: &str| parse(format!("{header}\r\n\r\n").as_bytes()).thread_keys();
    let first = keys("Message-ID: <1@x>\r\nSubject: Plan");
    let reply = keys("Message-ID: <2@x>\r\nReferences: <0@x> <1@x>\r\nSubject: Re: plan");
    let other = keys("Message-ID: <3@x>\r\nIn-Reply-To: <1@x>\r\nSubject: Another");
    assert_eq!(first.len(), 1);
    assert!(reply.contains(&first[0]) && reply.len() == 3);
    assert!(!other.contains(&first[0]) && other.len() == 2);
    assert!(keys("Subject: Plan").is_empty());
}

#[test]
fn text_parts_reach_into_messages() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/two-forwards.eml");
    let message = std::fs::read(path).unwrap();
    let digest = parse(&message);
    let found: Vec<_> = digest
        .text_parts()
        .map(|p| search::decode_text(slice(&message, p.body.clone()), p.encoding, p.charset))
        .collect();
    assert_eq!(found, ["Hello world 1!", "Hello world 2!", "<b>Hello world 3!</b>"]);
    assert_eq!(digest.nested_headers().count(), 2);
}

#[test]
fn another_version_is_refused() {
    let mut bytes = parse(b"").to_bytes().to_vec();
    bytes[0] += 1;
    assert_eq!(Digest::from_bytes(bytes.into()), None);
}
