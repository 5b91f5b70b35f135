//! Responses to a message by hand.

use super::response::Response;
use super::*;
use crate::message::{self, Digest};
use crate::registry::Registry;
use crate::registry::slots::{Fetched, Fetching};
use crate::session::{Policy, Reject};
use crate::storage::Row as Stored;
use crate::types::{BodyRef, Flags, InternalDate, ModSeq, Seq, SystemFlag, Uid};
use crate::wire::Line;
use bytes::Bytes;

const MESSAGE: &str = "From: fred@example.org\r\nSubject: x\r\nDate: Wed, 17 Jul 1996 02:23:25 -0700\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n\
    --b\r\n\r\none\r\n\
    --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nTo: mary@example.org\r\n\r\ninner\r\n\
    --b--\r\n";

struct Given {
    row: Stored,
    digest: Digest,
}

impl Given {
    fn new() -> Self {
        Self::with_limits(message::Limits::default())
    }

    fn with_limits(limits: message::Limits) -> Self {
        let mut parser = message::Parser::new(limits);
        parser.feed(MESSAGE.as_bytes());
        let date = InternalDate { seconds: 0, offset_minutes: 90 };
        let flags = Flags::from(SystemFlag::Flagged);
        let mut row = Stored::new(Uid::new(7).unwrap(), ModSeq(3), flags, date, MESSAGE.len() as u64);
        row.body = Some(BodyRef(Bytes::from_static(b"body")));
        Self { row, digest: parser.finish() }
    }

    fn message(&self) -> Fetching<'_> {
        let seq = Seq::new(2).unwrap();
        let mut message = Fetching::new(seq, self.row.uid, &self.row.flags, true, self.row.modseq);
        message.row = Some(&self.row);
        message.digest = Some(&self.digest);
        message
    }

    /// The response, with the octets of the body where they belong.
    fn told(&self, items: &str, uid: bool) -> String {
        let items = items_of(items);
        let mut response = Response::new(&items, uid);
        response.open(Seq::new(2).unwrap(), self.row.uid);
        for item in &items {
            let read = item.reads(&self.message()).map(|range| octets(&range));
            response.put(&**item, &self.message(), read.as_ref()).unwrap();
        }
        response.close().map(|line| shown(line)).unwrap_or_default()
    }

    fn body(&self, section: &str) -> String {
        let told = self.told(&format!("BODY.PEEK[{section}"), false);
        let told = told.strip_prefix("* 2 FETCH (BODY[").unwrap();
        told.strip_suffix(')').unwrap().to_owned()
    }
}

fn items_of(text: &str) -> Vec<Box<dyn Fetched>> {
    plan::items(&Registry::new(items), &mut Args::new(text.as_bytes(), 32)).unwrap()
}

fn octets(range: &std::ops::Range<u64>) -> Bytes {
    let place = |at: u64| usize::try_from(at).unwrap();
    Bytes::from_static(&MESSAGE.as_bytes()[place(range.start)..place(range.end)])
}

fn shown(line: &Line) -> String {
    let (mut text, mut from) = (Vec::new(), 0);
    for body in line.bodies() {
        text.extend_from_slice(&line.text()[from..body.at]);
        text.extend_from_slice(&octets(&body.range));
        from = body.at;
    }
    text.extend_from_slice(&line.text()[from..]);
    String::from_utf8(text).unwrap()
}

#[test]
fn simple_items() {
    let given = Given::new();
    let size = MESSAGE.len();
    let date = "INTERNALDATE \"01-Jan-1970 01:30:00 +0130\"";
    let fast = format!("* 2 FETCH (FLAGS (\\Flagged \\Recent) {date} RFC822.SIZE {size})");
    assert_eq!(given.told("FAST", false), fast);
    assert_eq!(given.told("UID", true), "* 2 FETCH (UID 7)");
    assert_eq!(given.told("RFC822.SIZE", true), format!("* 2 FETCH (UID 7 RFC822.SIZE {size})"));
    let envelope = given.told("ENVELOPE", false);
    let start = "* 2 FETCH (ENVELOPE (\"Wed, 17 Jul 1996 02:23:25 -0700\" \"x\" ((";
    assert!(envelope.starts_with(start), "{envelope}");
    let (body, structure) = (given.told("BODY", false), given.told("BODYSTRUCTURE", false));
    assert!(body.starts_with("* 2 FETCH (BODY ((\""), "{body}");
    assert!(structure.starts_with("* 2 FETCH (BODYSTRUCTURE ((\"") && structure.len() > body.len());
}

#[test]
fn sections() {
    let given = Given::new();
    assert_eq!(given.body("]"), format!("] {{{}}}\r\n{MESSAGE}", MESSAGE.len()));
    assert_eq!(given.body("1]"), "1] {3}\r\none");
    assert_eq!(given.body("2.1]"), "2.1] {5}\r\ninner");
    assert_eq!(given.body("2.HEADER]"), "2.HEADER] {37}\r\nSubject: in\r\nTo: mary@example.org\r\n\r\n");
    assert_eq!(given.body("2.MIME]"), "2.MIME] {32}\r\nContent-Type: message/rfc822\r\n\r\n");
    // A header under a part that is no message is empty; a part that is not there is NIL.
    assert_eq!(given.body("1.HEADER]"), "1.HEADER] \"\"");
    assert_eq!(given.body("2.1.HEADER]"), "2.1.HEADER] \"\"");
    assert_eq!(given.body("3]"), "3] NIL");
    assert_eq!(given.body("3.TEXT]<0.5>"), "3.TEXT]<0> NIL");
}

#[test]
fn partials() {
    let given = Given::new();
    assert_eq!(given.body("]<6.4>"), "]<6> {4}\r\nfred");
    assert_eq!(given.body("1]<1.99>"), "1]<1> {2}\r\nne");
    assert_eq!(given.body("1]<3.1>"), "1]<3> \"\"");
    let far = u64::MAX / 2;
    assert_eq!(given.body(&format!("1]<{far}.{far}>")), format!("1]<{far}> \"\""));
    assert_eq!(given.body("HEADER]<6.4>"), "HEADER]<6> {4}\r\nfred");
    assert_eq!(given.body("HEADER.FIELDS (Subject)]<2.3>"), "HEADER.FIELDS (Subject)]<2> {3}\r\nbje");
    assert_eq!(given.body("HEADER.FIELDS (Subject)]<99.3>"), "HEADER.FIELDS (Subject)]<99> \"\"");
}

#[test]
fn fields_of_a_header_that_is_kept_or_read() {
    let read = Given::with_limits(message::Limits { header_kept: 0, ..message::Limits::default() });
    assert!(read.digest.header_bytes().is_none());
    for given in [Given::new(), read] {
        for (section, value) in [
            ("HEADER.FIELDS (subject X)]", "{14}\r\nSubject: x\r\n\r\n"),
            ("HEADER.FIELDS.NOT (From Content-Type Date)]", "{14}\r\nSubject: x\r\n\r\n"),
            ("2.HEADER.FIELDS (to)]", "{24}\r\nTo: mary@example.org\r\n\r\n"),
            ("HEADER.FIELDS (X)]", "{2}\r\n\r\n"),
            ("1.HEADER.FIELDS (X)]", "\"\""),
            ("3.HEADER.FIELDS (X)]", "NIL"),
        ] {
            assert_eq!(given.body(section), format!("{section} {value}"));
        }
        let header = &MESSAGE[..MESSAGE.find("\r\n\r\n").unwrap() + 4];
        assert_eq!(given.body("HEADER]"), format!("HEADER] {{{}}}\r\n{header}", header.len()));
    }
}

#[test]
fn the_old_words_say_the_same() {
    let given = Given::new();
    let value = |word: &str, item: &str| {
        let told = given.told(item, false);
        told.strip_prefix(&format!("* 2 FETCH ({word} ")).map(str::to_owned).unwrap()
    };
    assert_eq!(value("RFC822", "rfc822"), value("BODY[]", "BODY[]"));
    assert_eq!(value("RFC822.HEADER", "RFC822.HEADER"), value("BODY[HEADER]", "BODY[HEADER]"));
    assert_eq!(value("RFC822.TEXT", "RFC822.TEXT"), value("BODY[TEXT]", "BODY[TEXT]"));
}

#[test]
fn a_body_is_not_read_into_memory() {
    let given = Given::new();
    for item in items_of("(BODY[] BODY[TEXT] BODY[1])") {
        let mut line = Line::new();
        assert_eq!(item.reads(&given.message()), None);
        item.render(&given.message(), None, &mut line).unwrap();
        assert_eq!(line.bodies().len(), 1);
    }
}

#[test]
fn a_failure_leaves_nothing_in_the_response() {
    let mut given = Given::new();
    given.row.body = None;
    let items = items_of("(UID BODY[] FLAGS)");
    let mut response = Response::new(&items, true);
    response.open(Seq::MIN, given.row.uid);
    let failed: Vec<bool> =
        items.iter().map(|item| response.put(&**item, &given.message(), None).is_err()).collect();
    assert_eq!(failed, [false, true, false]);
    assert_eq!(shown(response.close().unwrap()), "* 1 FETCH (UID 7 FLAGS (\\Flagged \\Recent))");
}

struct Silent;

impl Fetched for Silent {
    fn render(&self, _: &Fetching<'_>, _: Option<&Bytes>, _: &mut Line) -> Result<(), Reject> {
        Ok(())
    }
}

#[test]
fn an_item_may_have_nothing_to_say() {
    let given = Given::new();
    let items: Vec<Box<dyn Fetched>> = vec![Box::new(Silent)];
    let mut response = Response::new(&items, false);
    response.open(Seq::MIN, given.row.uid);
    response.put(&Silent, &given.message(), None).unwrap();
    assert!(response.close().is_none());
}

#[test]
fn flags_that_the_command_has_changed_are_told_once() {
    let given = Given::new();
    let changed = |text: &str, uid: bool| {
        let items = items_of(text);
        let mut response = Response::new(&items, uid);
        response.open(Seq::MIN, given.row.uid);
        for item in &items {
            response.put(&**item, &given.message(), None).unwrap();
        }
        let mut policy = Policy { tells_uid: true, ..Policy::default() };
        policy.told_items.push(|told, line| {
            line.raw(b"X-SUM (").number(told.modseq.0).raw(b")");
        });
        policy.told_items.push(|_, _| ());
        response.put_change(&given.message(), &policy, &items);
        shown(response.close().unwrap())
    };
    let flags = "FLAGS (\\Flagged \\Recent)";
    assert_eq!(changed("BODY[3]", false), format!("* 1 FETCH (BODY[3] NIL UID 7 {flags} X-SUM (3))"));
    assert_eq!(changed("(FLAGS BODY[3])", false), format!("* 1 FETCH ({flags} BODY[3] NIL UID 7 X-SUM (3))"));
    assert_eq!(changed("BODY[3]", true), format!("* 1 FETCH (UID 7 BODY[3] NIL {flags} X-SUM (3))"));
    assert_eq!(changed("(BODY[3] UID)", true), format!("* 1 FETCH (BODY[3] NIL UID 7 {flags} X-SUM (3))"));
}
