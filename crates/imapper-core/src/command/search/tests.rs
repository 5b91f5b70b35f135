use std::fmt::Write as _;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::limits::Limits;
use crate::registry::slots::{
    Cost, Fetching, SearchKey, SearchReturn, SearchTerm, SearchTest, SearchText, Searching,
};
use crate::registry::{Door, Shared};
use crate::session::{Data, Hubs, Namespaces, Owners, Rights, View};
use crate::storage::{
    self, AccountId, Appended, BodyRef, ByteStream, Caps, FlagChange, MailboxId, MailboxInfo, Mbox,
    NewMessage, Row as Stored, RowStream, Snapshot, Staged, Status, Storage, StorageError, TreeOp, Want,
};
use crate::types::{Code, Flags, InternalDate, Keyword, ModSeq, SystemFlag, SystemFlags};
use crate::users::Chain;

/// A mailbox in memory that counts what it is asked.
#[derive(Default)]
struct Model {
    messages: Mutex<Vec<(Stored, Bytes)>>,
    rows: AtomicUsize,
    reads: AtomicUsize,
    read_octets: AtomicUsize,
    slow: bool,
}

fn number(n: u32) -> Uid {
    Uid::new(n).unwrap()
}

fn uids(numbers: &[u32]) -> UidSet {
    numbers.iter().map(|n| number(*n)).collect()
}

impl Model {
    fn with(messages: &[(u32, &[&str], &str, &[u8])]) -> Self {
        let messages = messages.iter().map(|(uid, words, date, octets)| {
            let system = words.iter().filter_map(|word| SystemFlag::by_name(word.as_bytes()));
            let system = system.fold(SystemFlags::NONE, |all, flag| all | flag.into());
            let keywords = words.iter().filter(|word| !word.starts_with('\\')).map(|word| Keyword::new(word));
            let date = InternalDate::parse(date.as_bytes()).unwrap();
            let flags = Flags::new(system, keywords);
            let mut row = Stored::new(number(*uid), ModSeq(1), flags, date, octets.len() as u64);
            row.body = Some(BodyRef(Bytes::from(uid.to_string())));
            (row, Bytes::copy_from_slice(octets))
        });
        Self { messages: Mutex::new(messages.collect()), ..Self::default() }
    }

    fn status(&self) -> Status {
        let mut status = Status::empty(std::num::NonZeroU32::MIN);
        let messages = self.messages.lock().unwrap();
        status.messages = messages.len().try_into().unwrap();
        status.uid_next = messages.last().map_or(Uid::MIN, |(row, _)| row.uid.next());
        status
    }
}

#[async_trait]
impl Storage for Model {
    fn caps(&self) -> Caps {
        Caps::least()
    }
    // Asks nothing by itself, which would be counted.
    fn watch(self: Arc<Self>, _: AccountId, _: Vec<MailboxId>) -> stream::BoxStream<'static, storage::Event> {
        stream::pending().boxed()
    }
    async fn list(&self, _: &AccountId) -> storage::Result<Vec<MailboxInfo>> {
        Err(StorageError::Unsupported)
    }
    async fn subscriptions(&self, _: &AccountId) -> storage::Result<Vec<String>> {
        Err(StorageError::Unsupported)
    }
    async fn tree(&self, _: &AccountId, _: TreeOp) -> storage::Result<Option<MailboxInfo>> {
        Err(StorageError::Unsupported)
    }
    async fn status(&self, _: &AccountId, _: &[MailboxId]) -> storage::Result<Vec<Status>> {
        Ok(vec![Model::status(self)])
    }
    async fn snapshot(&self, _: &Mbox) -> storage::Result<Snapshot> {
        let uids = self.messages.lock().unwrap().iter().map(|(row, _)| row.uid).collect();
        Ok(Snapshot { status: Model::status(self), uids, keywords: Vec::new(), new_keywords: true })
    }
    async fn rows(&self, _: &Mbox, uids: &UidSet, _: Want) -> storage::Result<RowStream> {
        self.rows.fetch_add(1, Ordering::SeqCst);
        let messages = self.messages.lock().unwrap();
        let rows: Vec<Stored> =
            messages.iter().map(|(row, _)| row.clone()).filter(|row| uids.contains(row.uid)).collect();
        let chunks: Vec<_> = rows.chunks(3).map(|chunk| Ok(chunk.to_vec())).collect();
        Ok(stream::iter(chunks).boxed())
    }
    async fn read(&self, body: &BodyRef, range: Range<u64>) -> storage::Result<ByteStream> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.slow {
            std::thread::sleep(Duration::from_millis(11));
        }
        let uid = std::str::from_utf8(&body.0).unwrap().parse().unwrap();
        let messages = self.messages.lock().unwrap();
        let (_, octets) =
            messages.iter().find(|(row, _)| row.uid == number(uid)).ok_or(StorageError::Gone)?;
        let at = |place: u64| usize::try_from(place).unwrap().min(octets.len());
        let octets = octets.slice(at(range.start)..at(range.end));
        self.read_octets.fetch_add(octets.len(), Ordering::SeqCst);
        let chunks: Vec<_> = octets.chunks(100_000).map(|chunk| Ok(octets.slice_ref(chunk))).collect();
        Ok(stream::iter(chunks).boxed())
    }
    async fn stage(&self, _: &AccountId, _: Option<u64>, _: ByteStream) -> storage::Result<Staged> {
        Err(StorageError::Unsupported)
    }
    async fn append(&self, _: &Mbox, _: Vec<NewMessage>) -> storage::Result<Appended> {
        Err(StorageError::Unsupported)
    }
    async fn set_flags(&self, _: &Mbox, _: FlagChange) -> storage::Result<storage::Stored> {
        Err(StorageError::Unsupported)
    }
    async fn expunge(&self, _: &Mbox, _: &UidSet, _: bool) -> storage::Result<(UidSet, ModSeq)> {
        Err(StorageError::Unsupported)
    }
}

/// An open mailbox with the base protocol's keys.
struct Session {
    model: Arc<Model>,
    shared: Shared,
    selected: Selected,
}

impl Session {
    async fn new(model: Model) -> Self {
        let model = Arc::new(model);
        let storage: Arc<dyn Storage> = Arc::clone(&model) as _;
        let shared = Shared {
            storage: Arc::clone(&storage),
            users: Arc::new(Chain::new(Vec::new())),
            registry: Registry::new(|registry| {
                keys(registry);
                registry.search_key("FAIL", Unreachable);
                registry.search_key("SLOW", Slow);
                registry.search_key("SEVERAL", Several);
            }),
            namespaces: Namespaces::default(),
            limits: Limits::default(),
            access: Arc::new(Owners),
            hubs: Hubs::new(),
            door: Door::default(),
        };
        let mbox = Mbox { account: "a".into(), id: "1".into() };
        let hub = shared.hubs.open(&storage, &mbox).await.unwrap();
        let view = View::open(hub, false).await.unwrap();
        let (name, rights) = ("INBOX".to_owned(), Rights::ALL);
        let selected = Selected { mbox, name, read_only: false, rights, view, data: Data::default() };
        model.rows.store(0, Ordering::SeqCst);
        Self { model, shared, selected }
    }

    fn parse(&self, keys: &[u8]) -> Result<Program, Reject> {
        let mut args = Args::new(keys, 32);
        Program::read(&self.shared.registry, &self.selected, &mut args, "UTF-8")
    }

    async fn find(&self, keys: &str) -> UidSet {
        let program = self.parse(keys.as_bytes()).unwrap();
        program.run_on(&self.shared, &self.selected).await.unwrap()
    }
}

/// A key that must never be tested.
struct Unreachable;

impl SearchKey for Unreachable {
    fn parse(&self, _: &mut Args<'_>, _: &Searching<'_>) -> Result<Box<dyn SearchTest>, Reject> {
        Ok(Box::new(Self))
    }
}

impl SearchTest for Unreachable {
    fn cost(&self) -> Cost {
        Cost::Text
    }
    fn test(&self, _: &Fetching<'_>, _: SearchText<'_>) -> bool {
        panic!("tested without need");
    }
}

/// A key that looks into the header for longer than a turn, and finds nothing.
struct Slow;

impl SearchKey for Slow {
    fn parse(&self, _: &mut Args<'_>, _: &Searching<'_>) -> Result<Box<dyn SearchTest>, Reject> {
        Ok(Box::new(Self))
    }
}

impl SearchTest for Slow {
    fn cost(&self) -> Cost {
        Cost::Header
    }
    fn test(&self, _: &Fetching<'_>, text: SearchText<'_>) -> bool {
        assert!(matches!(text, SearchText::Header(_)));
        std::thread::sleep(Duration::from_millis(11));
        false
    }
}

/// A key that stands for `OR (NOT SEEN) (FLAGGED UNSEEN)`.
struct Several;

impl SearchKey for Several {
    fn parse(&self, args: &mut Args<'_>, _: &Searching<'_>) -> Result<Box<dyn SearchTest>, Reject> {
        Err(args.malformed("it is more than one test").into())
    }
    fn terms(&self, _: &mut Args<'_>, search: &Searching<'_>) -> Result<Vec<SearchTerm>, Reject> {
        let test = |key: &str| search.utf8().key(&mut Args::new(key.as_bytes(), 0)).map(SearchTerm::Test);
        let (not, all) = (SearchTerm::Not, SearchTerm::All(2));
        Ok(vec![SearchTerm::Any(2), not, test("SEEN")?, all, test("FLAGGED")?, test("UNSEEN")?])
    }
}

#[tokio::test]
async fn a_key_may_stand_for_several() {
    let session = Session::new(mailbox()).await;
    let whole = "OR (NOT SEEN) (FLAGGED UNSEEN)";
    for keys in
        ["KEY", "NOT KEY", "KEY 1:2", "OR SEEN KEY", "OR KEY SEEN", "(NOT (KEY) NOT NOT KEY)", "KEY KEY"]
    {
        let (short, long) = (keys.replace("KEY", "SEVERAL"), keys.replace("KEY", &format!("({whole})")));
        assert_eq!(session.find(&short).await, session.find(&long).await, "{keys}");
    }
}

const DAY: &str = "14-Sep-2013 23:30:00 -0800";
const OLD: &str = " 1-Feb-1994 00:00:01 +0200";

fn mailbox() -> Model {
    Model::with(&[
        (3, &["\\Seen", "Work"], DAY, b"Subject: one\r\nFrom: \"Doe, John\" <j@example.com>\r\n\r\nwords\r\n"),
        (5, &["\\Flagged"], OLD, b"Subject: =?utf-8?q?zw=C3=B6lf?=\r\nDate: Fri, 13 Sep 2013 23:59:00 -0900\r\n\r\nother\r\n"),
        (6, &[], DAY, b"Subject: three\r\nX-Empty:\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
            --b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nK=F6ln =\r\nam Rhein\r\n\
            --b\r\nContent-Type: application/octet-stream; name=plan.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nd29yZHM=\r\n\
            --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ndeep words\r\n--b--\r\n"),
        (9, &["\\Deleted", "\\Seen"], OLD, b"To: a@b (The Boss)\r\n\r\n"),
    ])
}

#[tokio::test]
async fn keys_find_what_they_say() {
    let session = Session::new(mailbox()).await;
    for (keys, expected) in [
        ("ALL", &[3, 5, 6, 9][..]),
        ("SEEN", &[3, 9]),
        ("unseen", &[5, 6]),
        ("SEEN UNDELETED", &[3]),
        ("KEYWORD work", &[3]),
        ("KEYWORD \"Work\"", &[3]),
        ("UNKEYWORD Work", &[5, 6, 9]),
        ("RECENT", &[]),
        ("OLD", &[3, 5, 6, 9]),
        ("NEW", &[]),
        ("2:3", &[5, 6]),
        ("4,17", &[9]),
        ("17", &[]),
        ("17:*", &[9]),
        ("*", &[9]),
        ("UID 5:6,100", &[5, 6]),
        ("UID *", &[9]),
        ("ON 14-Sep-2013", &[3, 6]),
        ("BEFORE 14-sep-2013", &[5, 9]),
        ("SINCE \"2-Feb-1994\"", &[3, 6]),
        ("SINCE 1-Feb-1994", &[3, 5, 6, 9]),
        ("SENTON 13-Sep-2013", &[5]),
        ("SENTBEFORE 13-Sep-2013", &[]),
        ("SENTSINCE 13-Sep-2013", &[5]),
        ("NOT SENTON 13-Sep-2013", &[3, 6, 9]),
        ("SMALLER 23", &[9]),
        ("LARGER 22", &[3, 5, 6]),
        ("SMALLER 22", &[]),
        ("SUBJECT \"ZWÖLF\"", &[5]),
        ("SUBJECT \"\"", &[3, 5, 6]),
        ("HEADER x-empty \"\"", &[6]),
        ("FROM \"doe, john <J@\"", &[3]),
        ("FROM doe", &[3]),
        ("TO boss", &[9]),
        ("TO \"the boss <a@\"", &[9]),
        ("CC boss", &[]),
        ("BODY words", &[3, 6]),
        ("BODY \"köln am rhein\"", &[6]),
        ("BODY d29yZHM", &[]),
        ("BODY inner", &[6]),
        ("BODY three", &[]),
        ("BODY plan", &[]),
        ("BODY \"\"", &[3, 5, 6, 9]),
        ("TEXT three", &[6]),
        ("TEXT plan.pdf", &[6]),
        ("TEXT \"zwölf\"", &[5]),
        ("TEXT other", &[5]),
        ("NOT TEXT words", &[5, 9]),
        ("OR (BODY words SEEN) (TEXT \"zwölf\" SENTON 13-Sep-2013)", &[3, 5]),
        ("NOT (OR SEEN FLAGGED)", &[6]),
        ("((NOT NOT 1))", &[3]),
    ] {
        assert_eq!(session.find(keys).await, uids(expected), "{keys}");
    }
}

#[tokio::test]
async fn what_is_malformed_is_bad() {
    let session = Session::new(mailbox()).await;
    for keys in [
        "",
        "ABCDE",
        "(SEEN",
        "()",
        "SEEN)",
        "SEEN ",
        " SEEN",
        "SEEN  SEEN",
        "(SEEN )",
        "( SEEN)",
        "OR SEEN",
        "OR SEEN ",
        "OR",
        "NOT",
        "NOT ",
        "NOT()",
        "(SEEN)(SEEN)",
        "KEYWORD",
        "KEYWORD \\Seen",
        "KEYWORD \"\"",
        "KEYWORD \"a b\"",
        "HEADER Subject",
        "LARGER -1",
        "LARGER x",
        "LARGER 99999999999999999999",
        "0",
        "1:3,",
        "4294967296",
        "1x",
        "UID",
        "UID x",
        "UID 0",
        "SINCE 32-Jan-2024",
        "BEFORE \"1 Jan 2024\"",
        "ON",
        "SUBJECT",
        "SUBJECT \"a",
        "BODY {3}\r\nab",
        "RETURN (ALL) SEEN",
        "CHARSET UTF-8 ALL",
        "SEENX",
        "ALL ABCDE",
    ] {
        let result = session.parse(keys.as_bytes());
        assert!(matches!(result, Err(Reject::Bad(_))), "{keys}");
    }
    for keys in ["SUBJECT {2}\r\n)(", "SUBJECT \"NOT\"", "NOT 1:*", "OR 1 2", "(1)", "NOT (1 2)", "UID 1,2:3"]
    {
        assert!(session.parse(keys.as_bytes()).is_ok(), "{keys}");
    }
}

#[tokio::test]
async fn parentheses_lie_no_deeper_than_allowed() {
    let session = Session::new(mailbox()).await;
    let nested = |depth: usize| format!("{}ALL{}", "(".repeat(depth), ")".repeat(depth));
    assert!(session.parse(nested(32).as_bytes()).is_ok());
    assert!(matches!(session.parse(nested(33).as_bytes()), Err(Reject::Bad(_))));
    // Parentheses one after the other do not add up.
    assert!(session.parse(vec!["(ALL)"; 100].join(" ").as_bytes()).is_ok());
}

#[tokio::test]
async fn long_programs_take_no_stack_and_linear_time() {
    const KEYS: usize = 100_000;
    let session = Session::new(mailbox()).await;
    for (keys, expected) in [
        (vec!["SEEN"; KEYS].join(" "), &[3, 9][..]),
        (format!("{}FLAGGED", "OR SEEN ".repeat(KEYS)), &[3, 5, 9]),
        (format!("{}SEEN{}", "OR ".repeat(KEYS), " FLAGGED".repeat(KEYS)), &[3, 5, 9]),
        (format!("{}SEEN", "NOT ".repeat(KEYS)), &[3, 9]),
        (format!("{}SEEN", "NOT ".repeat(KEYS + 1)), &[5, 6]),
        (format!("{}BODY words", "OR SEEN ".repeat(KEYS)), &[3, 6, 9]),
    ] {
        assert_eq!(session.find(&keys).await, uids(expected), "{}", &keys[..40]);
    }
}

#[tokio::test]
async fn the_storage_is_asked_no_more_than_needed() {
    let session = Session::new(mailbox()).await;
    let asked = |session: &Session| {
        (session.model.rows.swap(0, Ordering::SeqCst), session.model.reads.swap(0, Ordering::SeqCst))
    };
    for keys in ["SEEN", "NOT (1:2 KEYWORD x)", "OR ALL FAIL", "NOT ALL FAIL", "DRAFT BODY x"] {
        session.find(keys).await;
        assert_eq!(asked(&session), (0, 0), "{keys}");
    }
    assert_eq!(session.find("OR SMALLER 25 (LARGER 9999 FAIL)").await, uids(&[9]));
    assert_eq!(asked(&session), (1, 0));
    // Rows once, then what is still open; its parse, which this model does not keep; a header is enough.
    assert_eq!(session.find("ON 14-Sep-2013 SEEN SUBJECT one NOT SUBJECT one FAIL").await, uids(&[]));
    assert_eq!(asked(&session), (2, 1));
    // The header has it: the body is not read.
    assert_eq!(session.find("1 TEXT one").await, uids(&[3]));
    assert_eq!(asked(&session), (1, 2));
}

#[tokio::test]
async fn a_message_that_is_gone_is_found_by_what_is_known() {
    let session = Session::new(mailbox()).await;
    session.model.messages.lock().unwrap().remove(0);
    assert_eq!(session.find("SEEN").await, uids(&[3, 9]));
    assert_eq!(session.find("SMALLER 1000000").await, uids(&[5, 6, 9]));
    assert_eq!(session.find("OR 1 SUBJECT three").await, uids(&[3, 6]));
    assert_eq!(session.find("NOT BODY xyz").await, uids(&[5, 6, 9]));
}

#[tokio::test]
async fn flags_are_those_of_now_and_numbers_those_of_the_client() {
    let session = Session::new(mailbox()).await;
    {
        let mut messages = session.model.messages.lock().unwrap();
        messages.remove(1);
        messages[0].0.flags = Flags::default();
        let date = InternalDate::parse(DAY.as_bytes()).unwrap();
        messages.push((Stored::new(number(20), ModSeq(1), SystemFlag::Seen.into(), date, 0), Bytes::new()));
    }
    session.selected.view.hub().refresh().await.unwrap();
    // UID 3 has lost \Seen; 5 is gone, and 20 there, which the client does not know yet.
    assert_eq!(session.find("SEEN").await, uids(&[9]));
    assert_eq!(session.find("4").await, uids(&[9]));
    assert_eq!(session.find("ALL").await, uids(&[3, 5, 6, 9]));
}

#[tokio::test]
async fn a_search_has_its_time() {
    let mut model = mailbox();
    model.slow = true;
    let mut session = Session::new(model).await;
    session.shared.limits.search_time = Duration::from_millis(15);
    let program = session.parse(b"BODY nowhere").unwrap();
    let result = program.run_on(&session.shared, &session.selected).await;
    assert!(matches!(result, Err(Reject::No(Some(code), _)) if code == Code::LIMIT));
    let program = session.parse(b"SEEN").unwrap();
    assert!(program.run_on(&session.shared, &session.selected).await.is_ok());
}

#[tokio::test]
async fn many_keys_on_one_message_leave_others_their_turn() {
    let mut session = Session::new(Model::with(&[(3, &[], DAY, b"Subject: one\r\n\r\nwords\r\n")])).await;
    let keys = format!("{}SUBJECT one", "OR SLOW ".repeat(5));
    assert_eq!(session.find(&keys).await, uids(&[3]), "also what is tested in a later turn is found");
    session.shared.limits.search_time = Duration::from_millis(30);
    let program = session.parse(keys.as_bytes()).unwrap();
    let result = program.run_on(&session.shared, &session.selected).await;
    assert!(matches!(result, Err(Reject::No(Some(code), _)) if code == Code::LIMIT));
}

#[tokio::test]
async fn one_damaged_message_does_not_hide_the_others() {
    let session = Session::new(mailbox()).await;
    let messages = &session.model.messages;
    messages.lock().unwrap()[0].1.truncate(10);
    assert_eq!(session.find("TEXT words").await, uids(&[6]));
}

/// Long parts in every encoding, with a word across each place where they could be cut.
#[tokio::test]
async fn long_parts_are_searched_whole() {
    let filler = "lorem ipsum dolor sit amet ÄÖÜ ".repeat(9_000);
    let text = format!("begin {filler} mïddle wörd {filler} the end");
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let mut quoted = String::new();
    for byte in text.bytes() {
        write!(quoted, "={byte:02X}").unwrap();
    }
    let lines: Vec<u8> = quoted
        .as_bytes()
        .chunks(75)
        .flat_map(|line| {
            [
                line, b"=
",
            ]
            .concat()
        })
        .collect();
    for (kind, octets) in [
        ("utf-8\r\nContent-Transfer-Encoding: 8bit", text.clone().into_bytes()),
        ("us-ascii\r\nContent-Transfer-Encoding: 8bit", text.clone().into_bytes()),
        ("iso-8859-1\r\nContent-Transfer-Encoding: 8bit", latin.clone()),
        ("unknown\r\nContent-Transfer-Encoding: 8bit", latin),
        ("utf-8\r\nContent-Transfer-Encoding: quoted-printable", quoted.into_bytes()),
        ("utf-8\r\nContent-Transfer-Encoding: quoted-printable", lines),
        ("utf-16be\r\nContent-Transfer-Encoding: base64", base64_lines(&wide)),
        ("utf-8\r\nContent-Transfer-Encoding: base64", base64_lines(text.as_bytes())),
    ] {
        let head = format!("Subject: x\r\nContent-Type: text/plain; charset={kind}\r\n\r\n");
        let message = [head.as_bytes(), &octets].concat();
        let session = Session::new(Model::with(&[(1, &[], DAY, &message)])).await;
        let size = message.len();
        for keys in
            ["BODY \"begin l\"", "BODY \"MÏDDLE WÖRD\"", "BODY \"amet äöü lorem\"", "BODY \"the end\""]
        {
            assert_eq!(session.find(keys).await, uids(&[1]), "{kind} {size} {keys}");
        }
        let across = &text.char_indices().map(|(at, _)| &text[at..]).nth(230_000).unwrap();
        let across: String = across.chars().take(70_000).collect();
        assert_eq!(session.find(&format!("BODY \"{across}\"")).await, uids(&[1]), "{kind}");
        assert_eq!(session.find(&format!("BODY \"{across}~\"")).await, uids(&[]), "{kind}");
    }
}

fn base64_lines(octets: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(octets);
    text.as_bytes().chunks(75).flat_map(|line| [line, b"\r\n"].concat()).collect()
}

#[tokio::test]
async fn attachments_are_not_read() {
    let big = base64_lines(&vec![7; 3_000_000]);
    let message = [
        &b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"[..],
        &big,
        b"\r\n--b\r\nContent-Type: text/plain\r\n\r\nlast words\r\n--b--\r\n",
    ]
    .concat();
    let session = Session::new(Model::with(&[(1, &[], DAY, &message)])).await;
    {
        let mut messages = session.model.messages.lock().unwrap();
        messages[0].0.digest = Some(crate::command::parsed::kept(&crate::message::parse(&message)));
    }
    assert_eq!(session.find("BODY \"last words\"").await, uids(&[1]));
    assert!(session.model.read_octets.load(Ordering::SeqCst) < 200_000);
}

#[tokio::test]
async fn charset_comes_first_and_must_be_known() {
    let parsed = |text: &'static [u8], utf8| {
        let mut args = Args::new(text, 32);
        charset(&mut args, utf8).map(|name| (name.into_owned(), args.rest()))
    };
    assert_eq!(parsed(b"ALL", false).unwrap(), ("US-ASCII".to_owned(), &b"ALL"[..]));
    assert_eq!(parsed(b"CHARSET koi8-r ALL", false).unwrap(), ("koi8-r".to_owned(), &b"ALL"[..]));
    assert_eq!(parsed(b"charset \"UTF-8\" ALL", false).unwrap(), ("UTF-8".to_owned(), &b"ALL"[..]));
    let unknown = parsed(b"CHARSET X-NONE ALL", false).unwrap_err();
    assert!(matches!(unknown, Reject::No(Some(code), _) if code.as_str() == "BADCHARSET (US-ASCII UTF-8)"));
    assert!(matches!(parsed(b"CHARSET", false), Err(Reject::Bad(_))));
    assert!(matches!(parsed(b"CHARSET UTF-8", false), Err(Reject::Bad(_))));
    assert!(matches!(parsed(b"CHARSET UTF-8 ALL", true), Err(Reject::Bad(_))));
}

struct Shaped(&'static str);

impl SearchReturn for Shaped {
    fn parse(&self, _: &mut Args<'_>) -> Result<Box<dyn SearchShape>, Reject> {
        Ok(Box::new(Self(self.0)))
    }
}

#[async_trait]
impl SearchShape for Shaped {
    async fn shape(
        &self,
        _: &mut Context<'_>,
        _: &mut Selected,
        found: &UidSet,
        line: &mut Line,
    ) -> Result<(), Reject> {
        line.sp().word(self.0).sp().show(found);
        Ok(())
    }
}

#[test]
fn return_options_are_there_only_with_their_words() {
    let with = Registry::new(|registry| {
        registry.search_return("ALL", Shaped("ALL"));
        registry.search_return("MIN", Shaped("MIN"));
    });
    let without = Registry::new(|_| {});
    let parsed = |registry: &Registry, text: &'static [u8]| {
        let mut args = Args::new(text, 32);
        shapes(registry, &mut args).map(|shapes| (shapes.map(|shapes| shapes.len()), args.rest()))
    };
    assert_eq!(parsed(&with, b"RETURN (MIN ALL) SEEN").unwrap(), (Some(2), &b"SEEN"[..]));
    assert_eq!(parsed(&with, b"return () SEEN").unwrap(), (Some(1), &b"SEEN"[..]));
    assert_eq!(parsed(&with, b"SEEN").unwrap(), (None, &b"SEEN"[..]));
    assert_eq!(parsed(&without, b"RETURN (MIN) SEEN").unwrap(), (None, &b"RETURN (MIN) SEEN"[..]));
    for bad in [
        &b"RETURN (MAX) SEEN"[..],
        b"RETURN (MIN) ",
        b"RETURN MIN SEEN",
        b"RETURN (MIN SEEN",
        b"RETURN (MIN )",
    ] {
        let whole = parsed(&with, bad).is_ok_and(|(_, rest)| !rest.is_empty());
        assert!(!whole, "{}", String::from_utf8_lossy(bad));
    }
}

/// A tree as a naive program would have it.
#[derive(Clone, Debug)]
enum Tree {
    Leaf(&'static str),
    Not(Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
    And(Vec<Tree>),
}

const LEAVES: [&str; 12] = [
    "SEEN",
    "1:2",
    "UID 6",
    "FLAGGED",
    "ON 14-Sep-2013",
    "LARGER 100",
    "SENTON 13-Sep-2013",
    "SUBJECT e",
    "FROM doe",
    "BODY words",
    "TEXT three",
    "ALL",
];

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop::sample::select(&LEAVES[..]).prop_map(Tree::Leaf);
    leaf.prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|tree| Tree::Not(Box::new(tree))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Tree::Or(Box::new(a), Box::new(b))),
            vec(inner, 1..4).prop_map(Tree::And),
        ]
    })
}

impl Tree {
    fn text(&self) -> String {
        match self {
            Self::Leaf(word) => (*word).to_owned(),
            Self::Not(tree) => format!("NOT {}", tree.text()),
            Self::Or(a, b) => format!("OR {} {}", a.text(), b.text()),
            Self::And(trees) => {
                format!("({})", trees.iter().map(Self::text).collect::<Vec<_>>().join(" "))
            }
        }
    }

    /// In the logic of Kleene, with the leaves' values in their order.
    fn eval(&self, leaf: &mut impl FnMut(&'static str) -> Option<bool>) -> Option<bool> {
        let or = |a: Option<bool>, b: Option<bool>| match (a, b) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        };
        match self {
            Self::Leaf(word) => leaf(word),
            Self::Not(tree) => tree.eval(leaf).map(|value| !value),
            Self::Or(a, b) => {
                let a = a.eval(leaf);
                or(a, b.eval(leaf))
            }
            Self::And(trees) => {
                let mut any_false = Some(false);
                for tree in trees {
                    any_false = or(any_false, tree.eval(leaf).map(|value| !value));
                }
                any_false.map(|value| !value)
            }
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #[test]
    fn programs_decide_as_a_naive_evaluation_does(
        tree in tree(),
        values in vec(prop::option::of(any::<bool>()), 64),
    ) {
        let runtime = runtime();
        let session = runtime.block_on(Session::new(mailbox()));
        let program = session.parse(tree.text().as_bytes()).unwrap();
        let values = |at: usize| values[at % values.len()];
        let mut next = 0..;
        let expected = tree.eval(&mut |_| values(next.next().unwrap()));
        prop_assert_eq!(program.decide(&mut Vec::new(), |at, _, _| values(at)), expected);
        // With all values known, the short way says the same.
        let mut next = 0..;
        let expected = tree.eval(&mut |_| Some(values(next.next().unwrap()) == Some(true)));
        prop_assert_eq!(Some(program.holds(|at, _| values(at) == Some(true))), expected);
    }

    #[test]
    fn searches_find_what_sets_would_say(tree in tree()) {
        let runtime = runtime();
        runtime.block_on(async {
            let session = Session::new(mailbox()).await;
            let mut leaves = std::collections::HashMap::new();
            for leaf in LEAVES {
                leaves.insert(leaf, session.find(leaf).await);
            }
            let found = session.find(&tree.text()).await;
            for uid in [3, 5, 6, 9].map(number) {
                let expected = tree.eval(&mut |leaf| Some(leaves[leaf].contains(uid)));
                assert_eq!(Some(found.contains(uid)), expected, "{} {uid}", tree.text());
            }
        });
    }

    #[test]
    fn no_input_makes_the_parser_fail_otherwise_than_by_bad(text in "[ ()A-Z0-9:*\"\\\\,a{}-]{0,60}") {
        let runtime = runtime();
        let session = runtime.block_on(Session::new(mailbox()));
        if let Err(error) = session.parse(text.as_bytes()) {
            prop_assert!(matches!(error, Reject::Bad(_)));
        }
    }
}
