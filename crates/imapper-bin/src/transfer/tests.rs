use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use imapper_core::storage::{
    AccountId, Appended, CopyMode, Import, Mbox, NewMessage, Storage, StorageError, TreeOp, Want,
};
use imapper_core::types::{SystemFlag, SystemFlags, UidSet};
use imapper_storage_memory::Memory;
use imapper_testkit::layer::{Layer, Layered};
use proptest::prelude::*;

use super::*;

fn john() -> AccountId {
    AccountId::from("john")
}

fn memory() -> Arc<dyn Storage> {
    Arc::new(Memory::new())
}

/// A folder that goes when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("imapper-transfer-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A message of a mailbox: UID, flags, date, octets.
type Held = (u32, Vec<String>, String, Bytes);

/// All that an account holds, by mailbox: UIDVALIDITY, UIDNEXT, special uses, messages.
type All = BTreeMap<String, (u32, u32, Vec<String>, Vec<Held>)>;

async fn held(storage: &Arc<dyn Storage>) -> All {
    let mut all = BTreeMap::new();
    for info in storage.list(&john()).await.unwrap() {
        let mbox = Mbox { account: john(), id: info.id };
        let status = storage.snapshot(&mbox).await.unwrap().status;
        let mut messages = Vec::new();
        let rows: Vec<_> =
            storage.rows(&mbox, &UidSet::all(), Want::ALL).await.unwrap().try_concat().await.unwrap();
        for row in rows {
            let pieces = storage.read(row.body.as_ref().unwrap(), 0..u64::MAX).await.unwrap();
            let octets: Vec<Bytes> = pieces.try_collect().await.unwrap();
            let flags = row.flags.names().map(str::to_owned).collect();
            messages.push((row.uid.get(), flags, row.internal_date.to_string(), octets.concat().into()));
        }
        let uses = info.special_use.iter().map(ToString::to_string).collect();
        all.insert(info.name, (status.uid_validity.get(), status.uid_next.get(), uses, messages));
    }
    all
}

/// Adds a message.
async fn add(storage: &Arc<dyn Storage>, mbox: &Mbox, octets: &[u8], flags: Flags, date: &str) {
    let body = stream::iter([Ok(Bytes::copy_from_slice(octets))]).boxed();
    let staged = storage.stage(&john(), None, body).await.unwrap();
    let date = InternalDate::parse(date.as_bytes()).unwrap();
    storage.append(mbox, vec![NewMessage::new(staged, flags, date)]).await.unwrap();
}

async fn inbox(storage: &Arc<dyn Storage>) -> Mbox {
    find(storage, INBOX).await
}

async fn find(storage: &Arc<dyn Storage>, name: &str) -> Mbox {
    let list = storage.list(&john()).await.unwrap();
    let info =
        list.into_iter().find(|info| info.name == name).unwrap_or_else(|| panic!("there is no {name}"));
    Mbox { account: john(), id: info.id }
}

/// An account with all that there is to keep.
async fn sample() -> Arc<dyn Storage> {
    let storage = memory();
    let uses =
        [("Sent", &["\\Sent"][..]), ("Work", &[]), ("Work/2024 Q1", &[]), ("Entwürfe.alt", &["\\Drafts"])];
    for (name, uses) in uses {
        let special_use = uses.iter().map(|one| Arc::from(*one)).collect();
        storage.tree(&john(), TreeOp::Create { name: name.to_owned(), special_use }).await.unwrap();
    }
    for name in ["INBOX", "Work/2024 Q1"] {
        let op = TreeOp::Subscribe { name: name.to_owned(), on: true };
        storage.tree(&john(), op).await.unwrap();
    }
    let inbox = inbox(&storage).await;
    let flags = Flags::new(SystemFlag::Seen.into(), [Keyword::new("$Forwarded"), Keyword::new("b")]);
    for (octets, flags) in [
        (&b"Subject: a\r\n\r\nFrom here\r\n>From there\r\n\r\n"[..], flags),
        (b"Subject: no end\r\n\r\n\xff\0x", Flags::new(SystemFlags::ALL, [])),
        (b"Subject: twice\r\n\r\n.\r\n", Flags::default()),
        (b"Subject: twice\r\n\r\n.\r\n", Flags::default()),
        (b"Subject: gone\r\n\r\n", Flags::default()),
        (b"Status: R\r\nX-UID: 99\r\nX-Imapper: x\r\n\r\nhello\r\n", Flags::default()),
    ] {
        add(&storage, &inbox, octets, flags, "14-Sep-2013 21:22:28 +0000").await;
    }
    let fifth = Uid::new(5).unwrap();
    storage.expunge(&inbox, &UidSet::range(fifth, fifth), false).await.unwrap();
    let work = find(&storage, "Work/2024 Q1").await;
    add(&storage, &work, b"x\r\n", SystemFlag::Flagged.into(), "02-Feb-2020 03:04:05 +0000").await;
    let first = UidSet::range(Uid::MIN, Uid::MIN);
    let sent = find(&storage, "Sent").await;
    storage.copy(&inbox, &first, &sent, CopyMode::Copy).await.unwrap();
    storage
}

async fn subscribed(storage: &Arc<dyn Storage>) -> Vec<String> {
    let mut names = storage.subscriptions(&john()).await.unwrap();
    names.sort();
    names
}

/// Takes out of a storage.
async fn export(storage: &Arc<dyn Storage>, target: &mut dyn Target, which: &Which) -> Tally {
    let source = StorageSource::new(Arc::clone(storage), john());
    let mut tally = Tally::quiet();
    carry(&source, target, which, &mut tally).await.unwrap();
    tally
}

/// Puts into a storage.
async fn import(source: &dyn Source, storage: &Arc<dyn Storage>) -> Tally {
    let mut target = StorageTarget::new(Arc::clone(storage), john(), false);
    let mut tally = Tally::quiet();
    carry(source, &mut target, &Which::All, &mut tally).await.unwrap();
    tally
}

fn counts(tally: &Tally) -> (u64, u64, u64, u64) {
    (tally.mailboxes, tally.messages, tally.skipped, tally.failed)
}

/// There and back by files of one form; a second time nothing is doubled.
async fn round_trip(form: Form, storage: &Arc<dyn Storage>) -> Arc<dyn Storage> {
    let scratch = Scratch::new();
    let path = scratch.path("target");
    let mut target: Box<dyn Target> = match form {
        Form::Maildir => Box::new(MaildirTarget::new(&path, false).unwrap()),
        Form::Mbox => Box::new(MboxTarget::new(&path, false, false).unwrap()),
        Form::Json => {
            Box::new(JsonTarget::new(&path, storage.subscriptions(&john()).await.unwrap(), false).unwrap())
        }
    };
    let out = export(storage, &mut *target, &Which::All).await;
    let source: Box<dyn Source> = match form {
        Form::Maildir => Box::new(MaildirSource::open(&path).unwrap()),
        Form::Mbox => Box::new(MboxSource::open(&path, None).unwrap()),
        Form::Json => Box::new(read_json(&path, "john").unwrap()),
    };
    let back = memory();
    let first = import(&*source, &back).await;
    assert_eq!(
        (first.messages, first.octets, first.skipped, first.failed),
        (out.messages, out.octets, 0, 0),
        "{form:?}"
    );
    let again = import(&*source, &back).await;
    assert_eq!((again.messages, again.skipped, again.failed), (0, out.messages, 0), "{form:?}");
    back
}

#[tokio::test]
async fn json_keeps_everything() {
    let storage = sample().await;
    let back = round_trip(Form::Json, &storage).await;
    assert_eq!(held(&back).await, held(&storage).await);
    assert_eq!(subscribed(&back).await, subscribed(&storage).await);
}

#[tokio::test]
async fn a_maildir_keeps_all_but_special_uses() {
    let storage = sample().await;
    let back = round_trip(Form::Maildir, &storage).await;
    let mut want = held(&storage).await;
    for (_, _, uses, _) in want.values_mut() {
        uses.clear();
    }
    assert_eq!(held(&back).await, want);
    assert_eq!(subscribed(&back).await, subscribed(&storage).await);
}

#[tokio::test]
async fn an_mbox_keeps_messages_flags_and_uids() {
    let storage = sample().await;
    let back = held(&round_trip(Form::Mbox, &storage).await).await;
    let want = held(&storage).await;
    assert_eq!(back.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>());
    for (name, (validity, next, _, messages)) in &want {
        let (back_validity, back_next, _, back) = &back[name];
        assert_eq!(back, messages, "{name}");
        // Without a message there is no header to keep them in.
        assert!(messages.is_empty() || (back_validity, back_next) == (validity, next), "{name}");
    }
}

fn flags() -> impl Strategy<Value = Flags> {
    let keywords = prop::collection::vec("[a-c$]{1,2}", 0..3);
    (any::<u8>(), keywords).prop_map(|(bits, keywords)| {
        Flags::new(SystemFlags::from_bits(bits), keywords.iter().map(|word| Keyword::new(word)))
    })
}

/// Messages out of what is hard: lines that look like others' separators, bare CR and LF, octets that are no text.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 10] = [
        b"From ",
        b">",
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
        b"From x Thu Jan  1 00:00:00 1970\r\n",
        b"X-UID: 7\r\n",
        b"a: b\r\n",
    ];
    let piece = prop::sample::select(pieces.to_vec()).prop_map(<[u8]>::to_vec);
    prop::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}

/// Dates of which every form can keep all.
fn date() -> impl Strategy<Value = String> {
    (0i64..4_000_000_000).prop_map(|seconds| InternalDate { seconds, offset_minutes: 0 }.to_string())
}

async fn same_after(form: Form, messages: Vec<(Vec<u8>, Flags, String)>) {
    let storage = memory();
    let inbox = inbox(&storage).await;
    for (octets, flags, date) in messages {
        add(&storage, &inbox, &octets, flags, &date).await;
    }
    let (back, want) = (held(&round_trip(form, &storage).await).await, held(&storage).await);
    assert_eq!(back, want);
}

fn wait(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_messages_come_back_from_an_mbox(messages in prop::collection::vec((octets(), flags(), date()), 1..5)) {
        wait(same_after(Form::Mbox, messages));
    }

    #[test]
    fn messages_with_wire_line_ends_come_back_from_a_maildir_and_from_json(
        messages in prop::collection::vec((octets(), flags(), date()), 1..5),
    ) {
        // A bare LF would become CRLF, and of CR CR LF a CR would go.
        let lines = |(octets, flags, date): (Vec<u8>, Flags, String)| {
            let plain: Vec<u8> = octets.into_iter().filter(|octet| *octet != b'\r').collect();
            (lines::to_wire([plain, b"x".to_vec()].concat()).0.to_vec(), flags, date)
        };
        let messages: Vec<_> = messages.into_iter().map(lines).collect();
        wait(same_after(Form::Maildir, messages.clone()));
        wait(same_after(Form::Json, messages));
    }
}

/// A message file with a date.
fn file(path: &Path, text: &[u8], seconds: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(seconds));
    File::options().write(true).open(path).unwrap().set_times(times).unwrap();
}

/// A tree as Dovecot, Postfix and others leave it.
fn maildir() -> Scratch {
    let scratch = Scratch::new();
    for folder in ["", ".Sent", ".Entw&APw-rfe.x", ".not a mailbox"] {
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir_all(scratch.path(folder).join(sub)).unwrap();
        }
    }
    fs::remove_dir(scratch.path(".not a mailbox/cur")).unwrap();
    file(&scratch.path("cur/1.a.host,S=4:2,FSb"), b"a\nb\n", 1_000_000_001);
    file(&scratch.path("cur/2.b.host:2,"), b"a\r\nb\r\n", 1_000_000_002);
    file(&scratch.path("cur/3.c.host:2,DRTad"), b"From x\n\0\xff", 1_000_000_003);
    file(&scratch.path("new/4.d.host"), b"new\n", 1_000_000_004);
    file(&scratch.path("tmp/5.e.host"), b"not yet", 1_000_000_005);
    file(&scratch.path(".Sent/cur/6.f.host:2,S"), b"sent\n", 1_000_000_006);
    fs::write(
        scratch.path("dovecot-uidlist"),
        "3 V1234 N50 Gabc\n7 :1.a.host,S=4\n9 W6 :2.b.host\n11 :3.c.host\n12 :gone\n",
    )
    .unwrap();
    fs::write(scratch.path("dovecot-keywords"), "0 $Forwarded\n1 b\n").unwrap();
    fs::write(scratch.path(".Sent/courierimapuiddb"), "/1 77 9\n8 6.f.host\n").unwrap();
    fs::write(scratch.path("subscriptions"), "Sent\nGone\n").unwrap();
    scratch
}

/// All files of a tree with their times.
fn files(scratch: &Scratch) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let (mut found, mut open) = (BTreeMap::new(), vec![scratch.0.clone()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                let changed = entry.metadata().unwrap().modified().unwrap();
                found.insert(entry.path(), (fs::read(entry.path()).unwrap(), changed));
            }
        }
    }
    found
}

#[tokio::test]
async fn a_maildir_of_others_comes_in_and_out_byte_for_byte() {
    let scratch = maildir();
    let before = files(&scratch);
    let storage = memory();
    let source = MaildirSource::open(&scratch.0).unwrap();
    assert_eq!(counts(&import(&source, &storage).await), (3, 5, 0, 0));
    assert_eq!(files(&scratch), before, "the source stays as it is");
    let held = held(&storage).await;
    assert_eq!(held.keys().collect::<Vec<_>>(), ["Entwürfe/x", "INBOX", "Sent"]);
    let (validity, next, _, messages) = &held["INBOX"];
    assert_eq!((*validity, *next), (1234, 51));
    let short: Vec<_> =
        messages.iter().map(|(uid, flags, _, octets)| (*uid, flags.join(" "), &octets[..])).collect();
    let want = [
        (7, "\\Flagged \\Seen b".to_owned(), &b"a\r\nb\r\n"[..]),
        (9, String::new(), b"a\r\nb\r\n"),
        (11, "\\Answered \\Deleted \\Draft $Forwarded".to_owned(), b"From x\r\n\0\xff"),
        (50, String::new(), b"new\r\n"),
    ];
    assert_eq!(short, want);
    assert_eq!((held["Sent"].0, held["Sent"].3[0].0), (77, 8));
    assert_eq!(subscribed(&storage).await, ["Gone", "Sent"]);

    let out = Scratch::new();
    let mut target = MaildirTarget::new(&out.path("mail"), false).unwrap();
    assert_eq!(counts(&export(&storage, &mut target, &Which::All).await), (3, 5, 0, 0));
    let texts = |files: BTreeMap<PathBuf, (Vec<u8>, _)>| {
        let mut texts: Vec<_> = files
            .into_iter()
            .filter(|(path, _)| {
                path.parent().unwrap().ends_with("cur") || path.parent().unwrap().ends_with("new")
            })
            .map(|(_, text)| text)
            .collect();
        texts.sort();
        texts
    };
    assert_eq!(texts(files(&out)), texts(before), "each with its own ends of lines and its date");
}

#[tokio::test]
async fn an_export_that_is_run_again_adds_what_is_new() {
    let (storage, out) = (sample().await, Scratch::new());
    let path = out.path("mail");
    let run = async || {
        let mut target = MaildirTarget::new(&path, false).unwrap();
        counts(&export(&storage, &mut target, &Which::All).await)
    };
    assert_eq!(run().await, (5, 7, 0, 0));
    let before = files(&out);
    assert_eq!(run().await, (5, 0, 7, 0));
    assert_eq!(files(&out).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    let inbox = inbox(&storage).await;
    let flags = Flags::new(SystemFlags::NONE, [Keyword::new("later")]);
    add(&storage, &inbox, b"later\r\n", flags, "14-Sep-2013 21:22:28 +0000").await;
    // As if it had been killed before the list was written.
    fs::remove_file(path.join("dovecot-uidlist")).unwrap();
    assert_eq!(run().await, (5, 1, 7, 0));
    let back = memory();
    import(&MaildirSource::open(&path).unwrap(), &back).await;
    assert_eq!(held(&back).await["INBOX"], held(&storage).await["INBOX"]);
}

#[tokio::test]
async fn a_maildir_with_uids_of_its_own_keeps_them() {
    let (scratch, storage) = (maildir(), sample().await);
    let list = fs::read(scratch.path("dovecot-uidlist")).unwrap();
    let mut target = MaildirTarget::new(&scratch.0, false).unwrap();
    let tally = export(&storage, &mut target, &Which::Only(INBOX.to_owned())).await;
    assert_eq!(counts(&tally), (1, 5, 0, 0));
    assert_eq!(fs::read(scratch.path("dovecot-uidlist")).unwrap(), list);
    let keywords = fs::read_to_string(scratch.path("dovecot-keywords")).unwrap();
    assert_eq!(keywords, "0 $Forwarded\n1 b\n", "they had their numbers");
    fs::create_dir(scratch.path("other")).unwrap();
    fs::write(scratch.path("other/x"), "").unwrap();
    assert!(MaildirTarget::new(&scratch.path("other"), false).is_err());
}

/// What a storage does on the way to a full disk, and how often it is asked.
struct Failing {
    below: Arc<dyn Storage>,
    /// Calls of `append` and `put` that go well.
    left: AtomicI64,
    calls: AtomicU64,
    imports: bool,
}

impl Failing {
    fn new(left: i64, imports: bool) -> Arc<Layered<Self>> {
        let (left, calls) = (AtomicI64::new(left), AtomicU64::new(0));
        Arc::new(Layered(Self { below: memory(), left, calls, imports }))
    }

    fn count(&self) -> Result<(), StorageError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.left.fetch_sub(1, Ordering::Relaxed) > 0 { Ok(()) } else { Err(StorageError::OverQuota) }
    }
}

#[async_trait]
impl Layer for Failing {
    type Below = dyn Storage;

    fn below(&self) -> &Arc<dyn Storage> {
        &self.below
    }

    async fn append(&self, mbox: &Mbox, messages: Vec<NewMessage>) -> Result<Appended, StorageError> {
        self.count()?;
        self.below.append(mbox, messages).await
    }

    fn as_import(&self) -> Option<&dyn Import> {
        self.imports.then_some(self)
    }
}

#[async_trait]
impl Import for Failing {
    async fn create(
        &self,
        account: &AccountId,
        name: &str,
        numbers: Numbers,
    ) -> Result<imapper_core::storage::MailboxId, StorageError> {
        self.below.as_import().unwrap().create(account, name, numbers).await
    }

    async fn put(&self, mbox: &Mbox, messages: Vec<(Uid, NewMessage)>) -> Result<(), StorageError> {
        self.count()?;
        self.below.as_import().unwrap().put(mbox, messages).await
    }
}

/// A storage with so many messages, some of them the same.
async fn many(count: usize) -> Arc<dyn Storage> {
    let storage = memory();
    let inbox = inbox(&storage).await;
    for number in 0..count {
        let text = format!("Subject: {}\r\n\r\n", number / 2 * 2);
        add(&storage, &inbox, text.as_bytes(), Flags::default(), "14-Sep-2013 21:22:28 +0000").await;
    }
    storage
}

#[tokio::test]
async fn an_import_that_was_interrupted_goes_on_without_doubling() {
    let source = StorageSource::new(many(450).await, john());
    let want = held(&many(450).await).await;
    for imports in [true, false] {
        let layer = Failing::new(2, imports);
        let storage: Arc<dyn Storage> = Arc::clone(&layer) as _;
        let mut target = StorageTarget::new(Arc::clone(&storage), john(), false);
        let mut tally = Tally::quiet();
        let error = carry(&source, &mut target, &Which::All, &mut tally).await.unwrap_err();
        assert_eq!(error.to_string(), "INBOX: over quota");
        assert_eq!(counts(&tally), (0, 200, 0, 0));
        layer.0.left.store(1000, Ordering::Relaxed);
        assert_eq!(counts(&import(&source, &storage).await), (1, 250, 200, 0));
        assert_eq!(counts(&import(&source, &storage).await), (1, 0, 450, 0));
        assert_eq!(layer.0.calls.load(Ordering::Relaxed), 3 + 3, "one step for a hundred");
        let texts = |all: &All| all["INBOX"].3.iter().map(|held| held.3.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&held(&storage).await), texts(&want));
    }
}

/// Bodies that are read.
struct Reading(Arc<dyn Storage>, AtomicU64);

#[async_trait]
impl Layer for Reading {
    type Below = dyn Storage;

    fn below(&self) -> &Arc<dyn Storage> {
        &self.0
    }

    async fn read(
        &self,
        body: &imapper_core::types::BodyRef,
        range: std::ops::Range<u64>,
    ) -> Result<imapper_core::storage::ByteStream, StorageError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.read(body, range).await
    }

    fn as_import(&self) -> Option<&dyn Import> {
        None
    }
}

#[tokio::test]
async fn messages_of_one_second_and_one_size_are_told_apart_by_reading_each_twice_at_most() {
    let source = memory();
    let mbox = inbox(&source).await;
    for number in 0..300 {
        let text = format!("Subject: {number:03}\r\n\r\n");
        add(&source, &mbox, text.as_bytes(), Flags::default(), "14-Sep-2013 21:22:28 +0000").await;
    }
    let source = StorageSource::new(source, john());
    let layer = Arc::new(Layered(Reading(memory(), AtomicU64::new(0))));
    let storage: Arc<dyn Storage> = Arc::clone(&layer) as _;
    assert_eq!(counts(&import(&source, &storage).await), (1, 300, 0, 0));
    assert_eq!(layer.0.1.load(Ordering::Relaxed), 0);
    assert_eq!(counts(&import(&source, &storage).await), (1, 0, 300, 0));
    assert!(layer.0.1.load(Ordering::Relaxed) <= 600);
}

#[tokio::test]
async fn uids_are_kept_in_what_is_new_or_empty_and_not_beside_other_mail() {
    let source = StorageSource::new(sample().await, john());
    // An empty mailbox gives way, with what it is for.
    let storage = memory();
    let special_use = vec![Arc::from("\\Archive")];
    storage.tree(&john(), TreeOp::Create { name: "Work".to_owned(), special_use }).await.unwrap();
    import(&source, &storage).await;
    let (all, want) = (held(&storage).await, held(&sample().await).await);
    assert_eq!(all["INBOX"].3, want["INBOX"].3);
    assert_eq!(all["Work"].2, ["\\Archive"]);
    assert_eq!(all["Sent"].2, ["\\Sent"]);
    // Other mail stays, and is not taken for the source's, though it may have the same UIDVALIDITY.
    let validity = want["INBOX"].0;
    for validity in [7, validity] {
        let first = std::num::NonZeroU32::new(validity).unwrap();
        let storage: Arc<dyn Storage> = Arc::new(Memory::builder().first_uid_validity(first).build());
        let mbox = inbox(&storage).await;
        add(&storage, &mbox, b"mine\r\n", Flags::default(), "14-Sep-2013 21:22:28 +0000").await;
        assert_eq!(counts(&import(&source, &storage).await), (5, 7, 0, 0));
        assert_eq!(counts(&import(&source, &storage).await), (5, 0, 7, 0));
        let all = held(&storage).await;
        assert_eq!(all["INBOX"].3.iter().map(|held| held.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(&all["INBOX"].3[0].3[..], b"mine\r\n");
    }
}

#[tokio::test]
async fn a_message_that_was_removed_after_the_import_does_not_come_back() {
    let source = StorageSource::new(sample().await, john());
    let storage = memory();
    import(&source, &storage).await;
    let mbox = inbox(&storage).await;
    storage.expunge(&mbox, &UidSet::range(Uid::MIN, Uid::MIN), false).await.unwrap();
    assert_eq!(counts(&import(&source, &storage).await), (5, 0, 7, 0));
    assert_eq!(held(&storage).await["INBOX"].3.len(), 4);
}

#[tokio::test]
async fn new_mail_of_the_source_comes_in_though_its_uid_was_used_and_removed_at_the_target() {
    let (from, storage) = (sample().await, memory());
    let source = StorageSource::new(Arc::clone(&from), john());
    import(&source, &storage).await;
    let (there, here) = (inbox(&from).await, inbox(&storage).await);
    let date = "14-Sep-2013 21:22:28 +0000";
    for octets in [&b"own 7\r\n"[..], b"own 8\r\n"] {
        add(&storage, &here, octets, Flags::default(), date).await;
    }
    let seventh = UidSet::range(Uid::new(7).unwrap(), Uid::new(7).unwrap());
    storage.expunge(&here, &seventh, false).await.unwrap();
    add(&from, &there, b"new at the source\r\n", Flags::default(), date).await;
    assert_eq!(counts(&import(&source, &storage).await), (5, 1, 7, 0));
    let last = held(&storage).await["INBOX"].3.last().cloned().unwrap();
    assert_eq!((last.0, &last.3[..]), (9, &b"new at the source\r\n"[..]));
    assert_eq!(counts(&import(&source, &storage).await), (5, 0, 8, 0), "nothing is doubled");
    let ninth = UidSet::range(Uid::new(9).unwrap(), Uid::new(9).unwrap());
    storage.expunge(&here, &ninth, false).await.unwrap();
    assert_eq!(counts(&import(&source, &storage).await), (5, 0, 8, 0), "and what was removed stays so");
    assert_eq!(held(&storage).await["INBOX"].3.len(), 6);
}

#[tokio::test]
async fn new_mail_is_exported_though_its_uid_is_another_messages_at_the_target() {
    let (storage, out) = (sample().await, Scratch::new());
    let export_to = async |storage| {
        let mut target = MaildirTarget::new(&out.path("b"), false).unwrap();
        counts(&export(storage, &mut target, &Which::All).await)
    };
    assert_eq!(export_to(&storage).await, (5, 7, 0, 0));
    // Somebody has delivered there, and a server has given the next UID.
    let list = fs::read_to_string(out.path("b/dovecot-uidlist")).unwrap();
    fs::write(out.path("b/dovecot-uidlist"), list.replace("N7", "N8") + "7 :local\n").unwrap();
    file(&out.path("b/cur/local:2,"), b"local\n", 1);
    add(&storage, &inbox(&storage).await, b"new\r\n", Flags::default(), "14-Sep-2013 21:22:28 +0000").await;
    assert_eq!(export_to(&storage).await, (5, 1, 7, 0));
    assert_eq!(export_to(&storage).await, (5, 0, 8, 0), "nothing is doubled");
    let list = fs::read_to_string(out.path("b/dovecot-uidlist")).unwrap();
    assert!(list.contains("\n7 :local\n"), "it keeps its UID: {list}");
    let again = memory();
    import(&MaildirSource::open(&out.path("b")).unwrap(), &again).await;
    let bodies: Vec<Bytes> = held(&again).await["INBOX"].3.iter().map(|held| held.3.clone()).collect();
    assert!(bodies.contains(&"new\r\n".into()) && bodies.contains(&"local\r\n".into()));
}

#[test]
fn a_maildir_that_a_storage_has_open_is_no_target() {
    let out = Scratch::new();
    MaildirTarget::new(&out.path("b"), false).unwrap();
    file(&out.path("b/imapper.lock"), b"", 1);
    let refused = MaildirTarget::new(&out.path("b"), false).err().unwrap().to_string();
    assert!(refused.contains("imapper import"), "{refused}");
}

#[tokio::test]
async fn what_is_malformed_is_left_out_and_the_others_go_on() {
    let scratch = maildir();
    file(&scratch.path("cur/0.empty:2,"), b"", 1);
    fs::create_dir_all(scratch.path(".Inbox/cur")).unwrap();
    fs::create_dir_all(scratch.path(".Inbox/new")).unwrap();
    let storage = memory();
    let tally = import(&MaildirSource::open(&scratch.0).unwrap(), &storage).await;
    assert_eq!(counts(&tally), (3, 5, 0, 2));
}

#[tokio::test]
async fn a_dry_run_tells_the_same_and_changes_nothing() {
    let (scratch, storage) = (maildir(), sample().await);
    let before = held(&storage).await;
    let mut target = StorageTarget::new(Arc::clone(&storage), john(), true);
    let mut tally = Tally::quiet();
    carry(&MaildirSource::open(&scratch.0).unwrap(), &mut target, &Which::All, &mut tally).await.unwrap();
    assert_eq!(counts(&tally), (3, 5, 0, 0));
    assert_eq!(held(&storage).await, before);
    assert_eq!(subscribed(&storage).await, ["INBOX", "Work/2024 Q1"]);
    let out = Scratch::new();
    let targets: [Box<dyn Target>; 3] = [
        Box::new(MaildirTarget::new(&out.path("maildir"), true).unwrap()),
        Box::new(MboxTarget::new(&out.path("mboxes"), false, true).unwrap()),
        Box::new(JsonTarget::new(&out.path("a.json"), Vec::new(), true).unwrap()),
    ];
    for mut target in targets {
        assert_eq!(counts(&export(&storage, &mut *target, &Which::All).await), (5, 7, 0, 0));
    }
    assert_eq!(fs::read_dir(&out.0).unwrap().count(), 0);
}

#[tokio::test]
async fn a_mailbox_is_chosen_by_name() {
    let storage = sample().await;
    let out = Scratch::new();
    let mut target = MboxTarget::new(&out.path("one.mbox"), true, false).unwrap();
    assert_eq!(export(&storage, &mut target, &Which::Only("Work/2024 Q1".to_owned())).await.messages, 1);
    let back = memory();
    import(&MboxSource::open(&out.path("one.mbox"), Some("Old/Mail")).unwrap(), &back).await;
    assert_eq!(held(&back).await["Old/Mail"].3.len(), 1);
    import(&MboxSource::open(&out.path("one.mbox"), None).unwrap(), &back).await;
    assert_eq!(held(&back).await["one"].3.len(), 1);

    let source = StorageSource::new(Arc::clone(&storage), john());
    let mut target = StorageTarget::new(Arc::clone(&back), john(), false);
    carry(&source, &mut target, &Which::Below("From/Elsewhere".to_owned()), &mut Tally::quiet())
        .await
        .unwrap();
    let all = held(&back).await;
    assert_eq!(all["From/Elsewhere"].3.len(), 5);
    assert_eq!(all["From/Elsewhere/Work/2024 Q1"].3.len(), 1);
    assert_eq!(subscribed(&back).await, ["From/Elsewhere", "From/Elsewhere/Work/2024 Q1"]);
    let none = Which::Only("None".to_owned());
    let mut target = MboxTarget::new(&out.path("none.mbox"), true, false).unwrap();
    assert!(carry(&source, &mut target, &none, &mut Tally::quiet()).await.is_err());
}

#[tokio::test]
async fn an_mbox_that_is_written_is_there_whole_or_not_at_all() {
    let storage = sample().await;
    let out = Scratch::new();
    let path = out.path("one.mbox");
    let mut target = MboxTarget::new(&path, true, false).unwrap();
    let source = StorageSource::new(Arc::clone(&storage), john());
    let folder = source.folders().await.unwrap().into_iter().find(|folder| folder.name == INBOX).unwrap();
    let mut tally = Tally::quiet();
    target.open(&folder, &mut tally).await.unwrap();
    let first = source.messages(&folder).next().await.unwrap().unwrap();
    target.put(first, &mut tally).await.unwrap();
    assert!(!path.exists());
    drop(target);
    assert_eq!(fs::read_dir(&out.0).unwrap().count(), 0, "nothing is left of it");
    fs::write(&path, "mine").unwrap();
    assert!(MboxTarget::new(&path, true, false).is_err());
    assert!(JsonTarget::new(&path, Vec::new(), false).is_err());
}
