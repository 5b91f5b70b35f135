//! What SORT and THREAD compare: base subjects (RFC 5256 §2.1) and message ids.

use super::header::unfold;
use super::lex::{Lexer, is_wsp};

/// At most this many octets of a base subject are kept.
const SUBJECT: usize = 4096;
/// At most this many ids of a References field are used: the first, and the last ones.
const REFERENCES: usize = 1000;

/// The base subject of a decoded subject, and whether what was taken off says that the message is
/// a reply or a forward (RFC 5256 §2.1).
pub(super) fn base_subject(subject: &str) -> (String, bool) {
    let words: Vec<&str> = subject.split([' ', '\t', '\r', '\n']).filter(|w| !w.is_empty()).collect();
    let text = words.join(" ");
    let mut rest = text.as_str();
    let mut is_reply = false;
    loop {
        // (2) trailers
        rest = rest.trim_end_matches(' ');
        while let Some(shorter) = cut_suffix(rest, "(fwd)") {
            is_reply = true;
            rest = shorter.trim_end_matches(' ');
        }
        // (3) to (5) leaders
        let (base, cut) = cut_leaders(rest);
        is_reply |= cut;
        // (6) [fwd: …]
        let Some(inner) = cut_prefix(base, "[fwd:").and_then(|inner| inner.strip_suffix(']')) else {
            let end = base.floor_char_boundary(SUBJECT);
            return (base.get(..end).unwrap_or_default().to_owned(), is_reply);
        };
        is_reply = true;
        rest = inner;
    }
}

/// Steps (3) to (5). As a blob never holds a bracket, all blobs at the front are taken at once; so
/// this looks at each octet a constant number of times.
fn cut_leaders(mut rest: &str) -> (&str, bool) {
    let mut is_reply = false;
    loop {
        rest = rest.trim_start_matches(' ');
        let mut after = rest;
        let mut last = rest;
        while let Some(next) = cut_blob(after) {
            last = after;
            after = next;
        }
        if let Some(next) = cut_refwd(after) {
            is_reply = true;
            rest = next;
        } else {
            // (4) keeps the last blob if nothing would be left
            return (if after.is_empty() { last } else { after }, is_reply);
        }
    }
}

/// `subj-blob = "[" *BLOBCHAR "]" *WSP`
fn cut_blob(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?;
    let end = inner.find(['[', ']'])?;
    Some(inner.get(end..)?.strip_prefix(']')?.trim_start_matches(' '))
}

/// `subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"`
fn cut_refwd(text: &str) -> Option<&str> {
    let rest =
        cut_prefix(text, "re").or_else(|| cut_prefix(text, "fwd")).or_else(|| cut_prefix(text, "fw"))?;
    let rest = rest.trim_start_matches(' ');
    cut_blob(rest).unwrap_or(rest).strip_prefix(':')
}

fn cut_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn cut_suffix<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let (rest, tail) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    tail.eq_ignore_ascii_case(suffix).then_some(rest)
}

/// The message ids in a value of Message-ID, In-Reply-To or References: what stands between angle
/// brackets, unquoted and without white space and comments (RFC 5256 §3).
pub(super) fn message_ids(value: &[u8]) -> Vec<Vec<u8>> {
    let value = unfold(value);
    let lex = &mut Lexer::new(&value);
    let mut list: Vec<Vec<u8>> = Vec::new();
    while let Some(b) = lex.peek() {
        match b {
            b'(' => {
                lex.comment();
            }
            b'"' => lex.quoted(&mut Vec::new()),
            b'<' => {
                lex.bump();
                let id = message_id(lex);
                if !id.is_empty() {
                    list.push(id);
                }
            }
            _ => lex.bump(),
        }
    }
    if list.len() > REFERENCES {
        list.drain(1..=list.len() - REFERENCES);
    }
    list
}

fn message_id(lex: &mut Lexer) -> Vec<u8> {
    let mut id = Vec::new();
    while let Some(b) = lex.peek() {
        match b {
            b'>' => {
                lex.bump();
                return id;
            }
            b'<' => return Vec::new(), // not closed: the next one may be
            b'"' => lex.quoted(&mut id),
            b'(' => {
                lex.comment();
            }
            _ => {
                if !is_wsp(b) {
                    id.push(b);
                }
                lex.bump();
            }
        }
    }
    Vec::new()
}

/// A key of a thread: two messages that share a key belong together. It joins an id with the base
/// subject, so that a reply under a new subject starts a thread of its own (as in RFC 8621 §3).
///
/// FNV-1a, 64 bits, over the id, NUL, and the base subject in lower case without white space. Fixed for
/// ever: plugins keep these.
pub(super) fn thread_key(id: &[u8], base_subject: &str) -> u64 {
    let subject = base_subject.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase);
    let mut utf8 = [0; 4];
    let mut hash = fnv1a(FNV_START, id);
    hash = fnv1a(hash, &[0]);
    for c in subject {
        hash = fnv1a(hash, c.encode_utf8(&mut utf8).as_bytes());
    }
    hash
}

pub(super) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

pub(super) fn fnv1a(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(subject: &str) -> String {
        base_subject(subject).0
    }

    #[test]
    fn artifacts_of_replies_and_forwards_go() {
        for subject in [
            "hello",
            "Re: hello",
            "RE : hello",
            "Fwd: hello",
            "fw: hello",
            "Re[2]: hello",
            "re [x] : hello",
            "hello (fwd)",
            "hello (FWD) (fwd) ",
            "[list] hello",
            "[list] Re: hello",
            "[a] [b] Re: [c] re: hello",
            "[fwd: hello]",
            "Re: [Fwd: Re: hello (fwd)]",
            "  Re:\thello\r\n ",
            "[fwd: [fwd: hello]]",
        ] {
            assert_eq!(base(subject), "hello", "{subject}");
        }
    }

    #[test]
    fn what_is_no_artifact_stays() {
        assert_eq!(base("[blob]"), "[blob]");
        assert_eq!(base("[a][b]"), "[b]");
        assert_eq!(base("Re: [b]"), "[b]");
        assert_eq!(base("regarding: x"), "regarding: x");
        assert_eq!(base("a  b\tc"), "a b c");
        assert_eq!(base("hello [x]"), "hello [x]");
        assert_eq!(base("Re:"), "");
        assert_eq!(base("(fwd)"), "");
        assert_eq!(base("[[a] b"), "[[a] b");
    }

    #[test]
    fn whether_it_is_a_reply() {
        assert!(!base_subject("[x] hello").1);
        assert!(base_subject("Re: hello").1);
        assert!(base_subject("hello (fwd)").1);
        assert!(base_subject("[fwd: hello]").1);
    }

    #[test]
    fn long_runs_are_linear() {
        assert_eq!(base(&"[a]".repeat(300_000)), "[a]");
        assert_eq!(base(&format!("{}x", "re: ".repeat(300_000))), "x");
        assert_eq!(base(&"é".repeat(10_000)).len(), SUBJECT);
    }

    #[test]
    fn ids_are_normalised() {
        assert_eq!(
            message_ids(b"<a@b> (c <x@y>) <\"q r\"@z>\r\n <un <d@e>"),
            [&b"a@b"[..], b"q r@z", b"d@e"]
        );
        assert_eq!(message_ids(b"no id"), Vec::<Vec<u8>>::new());
        let many = (0..2_000).map(|i| format!("<{i}>")).collect::<Vec<_>>().concat();
        let ids = message_ids(many.as_bytes());
        assert_eq!(
            (ids.len(), &*ids[0], &*ids[1], &*ids[999]),
            (1000, &b"0"[..], &b"1001"[..], &b"1999"[..])
        );
    }

    #[test]
    fn keys_are_fixed_for_ever() {
        assert_eq!(fnv1a(FNV_START, b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(thread_key(b"a@b", "Hello World"), thread_key(b"a@b", "hello  world"));
        assert_ne!(thread_key(b"a@b", "x"), thread_key(b"a@b", "y"));
    }
}
