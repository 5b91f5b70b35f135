//! The server is killed at random moments under eight writers. After its restart all is there that it had
//! acknowledged, and what was in flight is done or not done.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use imapper_testkit::random::{Random, any_seed};

use super::history::{Change, Fault, History, Kind, Mailbox, SHARED, find, message};
use super::session::{Answer, Failed, Flags, Session};
use super::settle::settle;
use super::{PASSWORD, Site, USER, login};
use crate::program::Running;

const WRITERS: usize = 8;
/// Where all write, and the observer looks.
const COMMON: &str = "INBOX";
/// How many messages a writer has about.
const PLENTY: usize = 60;
/// More than the 26 that a letter of a file name stands for.
const KEYWORDS: usize = 40;
const SYSTEM_FLAGS: [&str; 5] = ["\\Seen", "\\Flagged", "\\Answered", "\\Draft", "\\Deleted"];

/// What the writers have in common.
#[derive(Default)]
struct State {
    history: History,
    in_flight: [Option<Change>; WRITERS],
    faults: Vec<Fault>,
    /// How many messages were made.
    tokens: u64,
    /// How many names.
    names: usize,
}

type Shared = Arc<Mutex<State>>;

/// One that changes things as fast as it is answered.
struct Writer {
    number: usize,
    random: Random,
    session: Session,
    shared: Shared,
    ending: Arc<Ending>,
    acknowledged: mpsc::Sender<()>,
}

/// How a round ends.
#[derive(Default)]
struct Ending {
    /// Set before the server is killed.
    killed: AtomicBool,
    /// Set when the writers shall stop by themselves.
    stopped: AtomicBool,
}

/// A change with the command that asks for it.
struct Asked {
    change: Change,
    /// What has to be open.
    open: Option<String>,
    command: String,
    literal: Option<Vec<u8>>,
}

impl Writer {
    /// Until the connection is lost.
    fn run(mut self) {
        while !self.ending.stopped.load(Ordering::SeqCst) {
            if let Err(why) = self.step() {
                // When the server is killed, in flight is what it was.
                if !self.ending.killed.load(Ordering::SeqCst) {
                    let mut state = lock(&self.shared);
                    let text = format!("{why}: {:?}", state.in_flight[self.number]);
                    state.faults.push(Fault::new(Kind::Refused, text));
                }
                return;
            }
        }
    }

    fn step(&mut self) -> Result<(), Failed> {
        let asked = {
            let mut state = lock(&self.shared);
            let Some(asked) = choose(&mut state, self.number, &mut self.random) else { return Ok(()) };
            state.in_flight[self.number] = Some(asked.change.clone());
            asked
        };
        match &asked.open {
            Some(mailbox) => {
                if let Some(told) = self.session.select(mailbox)? {
                    lock(&self.shared).history.told(mailbox, &told);
                }
            }
            None if !matches!(asked.change, Change::Append { .. }) => self.session.unselect()?,
            None => {}
        }
        let answer = match &asked.literal {
            Some(literal) => self.session.with_literal(&asked.command, literal)?,
            None => self.session.command(&asked.command)?,
        };
        {
            let mut state = lock(&self.shared);
            let faults = state.history.acknowledge(&asked.change, &answer);
            state.faults.extend(faults);
            state.in_flight[self.number] = None;
        }
        if let Change::Create { mailbox, .. } = &asked.change {
            let status = format!("STATUS {mailbox} (UIDVALIDITY UIDNEXT HIGHESTMODSEQ)");
            let told = as_codes(&self.session.command(&status)?);
            lock(&self.shared).history.told(mailbox, &told);
        }
        // Nobody counts any more when the server is about to be killed.
        let _ = self.acknowledged.send(());
        Ok(())
    }
}

/// The items of STATUS as SELECT gives them.
fn as_codes(status: &Answer) -> Answer {
    let items =
        status.untagged.iter().find_map(|one| one.text.split_once(" (")).map_or("", |(_, items)| items);
    let words: Vec<&str> = items.trim_end_matches(')').split(' ').collect();
    let codes: Vec<String> = words.chunks(2).map(|pair| format!("[{}]", pair.join(" "))).collect();
    Answer { tagged: codes.join(" "), untagged: Vec::new() }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, State> {
    // What a writer that has panicked left behind is looked at all the same.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a writer does next.
fn choose(state: &mut State, number: usize, random: &mut Random) -> Option<Asked> {
    let open = |mailbox: &&Mailbox| mailbox.owner == number || mailbox.owner == SHARED;
    let own: Vec<String> = state
        .history
        .mailboxes
        .iter()
        .filter(|(_, mailbox)| open(mailbox))
        .map(|(name, _)| name.clone())
        .collect();
    let passing: Vec<String> = own.iter().filter(|name| name.contains("-t")).cloned().collect();
    let mine = |message: &u64| message % WRITERS as u64 == number as u64;
    let messages = &state.history.mailboxes;
    let mut full: BTreeMap<&String, Vec<u32>> = BTreeMap::new();
    for name in &own {
        let uids = messages[name].messages.iter().filter(|(_, message)| mine(&message.token));
        let uids: Vec<u32> = uids.map(|(uid, _)| *uid).collect();
        if !uids.is_empty() {
            full.insert(name, uids);
        }
    }
    let count: usize = full.values().map(Vec::len).sum();
    let sources: Vec<&String> = full.keys().copied().collect();
    let some = |random: &mut Random| -> Option<(String, Vec<u32>)> {
        let name = random.pick(&sources)?;
        let uids = &full[*name];
        let chosen: BTreeSet<u32> =
            (0..=random.below(3)).filter_map(|_| random.pick(uids).copied()).collect();
        Some(((*name).clone(), chosen.into_iter().collect()))
    };
    match random.below(100) {
        0..=34 if count < PLENTY => append(state, number, random.pick(&own)?, random),
        0..=9 => append(state, number, random.pick(&own)?, random),
        10..=54 => {
            let (mailbox, uids) = some(random)?;
            Some(store(state, mailbox, &uids, random))
        }
        55..=62 => copy(some(random)?, random.pick(&own)?, false),
        63..=74 => copy(some(random)?, random.pick(&own)?, true),
        75..=84 => {
            let deleted = full.iter().find_map(|(name, uids)| {
                let messages = &messages[*name].messages;
                let deleted = uids.iter().filter(|uid| messages[uid].flags.contains("\\Deleted"));
                let deleted: Vec<u32> = deleted.copied().collect();
                (!deleted.is_empty()).then(|| ((*name).clone(), deleted))
            });
            deleted.map(|(mailbox, uids)| expunge(mailbox, uids))
        }
        85..=91 if passing.len() < 5 => Some(create(state, number, &passing, random)),
        92..=95 => {
            let from = random.pick(&passing)?.clone();
            let to = state.name(number);
            Some(plain(format!("RENAME {from} {to}"), Change::Rename { from, to }))
        }
        96..=99 => {
            let leaf = |name: &&String| state.history.family(name).len() == 1;
            let leaves: Vec<&String> = passing.iter().filter(leaf).collect();
            let mailbox = (*random.pick(&leaves)?).clone();
            Some(plain(format!("DELETE {mailbox}"), Change::Delete { mailbox }))
        }
        _ => None,
    }
}

impl State {
    /// A name that nobody had.
    fn name(&mut self, number: usize) -> String {
        self.names += 1;
        format!("w{number}-t{}", self.names)
    }
}

fn plain(command: String, change: Change) -> Asked {
    Asked { change, open: None, command, literal: None }
}

fn some_flags(random: &mut Random) -> Flags {
    let mut flags: Flags =
        SYSTEM_FLAGS.iter().filter(|_| random.percent(25)).map(|flag| (*flag).to_owned()).collect();
    while random.percent(30) {
        flags.insert(format!("kw{}", random.below(KEYWORDS)));
    }
    flags
}

fn words(flags: &Flags) -> String {
    flags.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn set(uids: &[u32]) -> String {
    uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

#[allow(clippy::unnecessary_wraps, reason = "as the others of its kind that may find nothing to do")]
fn append(state: &mut State, number: usize, mailbox: &str, random: &mut Random) -> Option<Asked> {
    let token = state.tokens * WRITERS as u64 + number as u64;
    state.tokens += 1;
    let flags = some_flags(random);
    Some(Asked {
        command: format!("APPEND {mailbox} ({})", words(&flags)),
        literal: Some(message(token)),
        change: Change::Append { mailbox: mailbox.to_owned(), token, flags },
        open: None,
    })
}

fn store(state: &State, mailbox: String, uids: &[u32], random: &mut Random) -> Asked {
    let given = some_flags(random);
    let how = *random.pick(&["FLAGS", "+FLAGS", "-FLAGS"]).unwrap();
    let messages = &state.history.mailboxes[&mailbox].messages;
    let flags = uids.iter().map(|uid| {
        let now = &messages[uid].flags;
        let then = match how {
            "FLAGS" => given.clone(),
            "+FLAGS" => now | &given,
            _ => now - &given,
        };
        (*uid, then)
    });
    Asked {
        command: format!("UID STORE {} {how} ({})", set(uids), words(&given)),
        change: Change::Store { mailbox: mailbox.clone(), flags: flags.collect() },
        open: Some(mailbox),
        literal: None,
    }
}

fn copy((from, uids): (String, Vec<u32>), to: &str, moved: bool) -> Option<Asked> {
    let (word, to) = (if moved { "MOVE" } else { "COPY" }, to.to_owned());
    if from == to {
        return None;
    }
    let (command, open) = (format!("UID {word} {} {to}", set(&uids)), Some(from.clone()));
    let change = if moved { Change::Move { from, uids, to } } else { Change::Copy { from, uids, to } };
    Some(Asked { change, open, command, literal: None })
}

fn expunge(mailbox: String, uids: Vec<u32>) -> Asked {
    Asked {
        command: format!("UID EXPUNGE {}", set(&uids)),
        open: Some(mailbox.clone()),
        change: Change::Expunge { mailbox, uids },
        literal: None,
    }
}

/// With a new name, with one that was free for a while, or below another.
fn create(state: &mut State, owner: usize, passing: &[String], random: &mut Random) -> Asked {
    let removed: Vec<String> =
        state.history.removed.iter().filter(|(_, of)| **of == owner).map(|(name, _)| name.clone()).collect();
    let tops: Vec<&String> = passing.iter().filter(|name| !name.contains('/')).collect();
    let parent_is_there = |name: &str| match name.rsplit_once('/') {
        Some((parent, _)) => state.history.mailboxes.contains_key(parent),
        None => true,
    };
    let mailbox = match (random.below(3), random.pick(&removed), random.pick(&tops)) {
        (0, Some(again), _) if parent_is_there(again) => again.clone(),
        (1, _, Some(top)) => {
            state.names += 1;
            format!("{top}/-t{}", state.names)
        }
        _ => state.name(owner),
    };
    plain(format!("CREATE {mailbox}"), Change::Create { mailbox, owner })
}

/// A client that keeps the flags of a mailbox, and asks only for what has changed (RFC 7162 §3.1.4, §3.2.6).
#[derive(Clone, Debug, Default)]
struct Cache {
    validity: u64,
    next: u64,
    highest: u64,
    flags: BTreeMap<u32, Flags>,
}

impl Cache {
    /// Brings it up to date.
    fn refresh(&mut self, session: &mut Session) -> Result<Vec<Fault>, Failed> {
        let told = session.command(&format!("SELECT {COMMON} (CONDSTORE)"))?;
        let number = |code| told.number(code).unwrap_or_default();
        let (validity, next, highest) = (number("UIDVALIDITY"), number("UIDNEXT"), number("HIGHESTMODSEQ"));
        if validity != self.validity {
            let flags = known(&session.command("UID FETCH 1:* (FLAGS)")?);
            let lost = self.validity != 0;
            let text = format!("{COMMON}: UIDVALIDITY {validity} after {}", self.validity);
            *self = Self { validity, next, highest, flags };
            return Ok(lost.then(|| Fault::new(Kind::Lost, text)).into_iter().collect());
        }
        let mut faults = Vec::new();
        for (what, now, before) in [("UIDNEXT", next, self.next), ("HIGHESTMODSEQ", highest, self.highest)] {
            if now < before {
                faults.push(Fault::new(Kind::Back, format!("{COMMON}: {what} {now} after {before}")));
            }
        }
        let since = format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {} VANISHED)", self.highest);
        let answer = session.command(&since)?;
        self.flags.extend(known(&answer));
        for (first, last) in answer.vanished() {
            self.flags.retain(|uid, _| !(first..=last).contains(uid));
        }
        (self.next, self.highest) = (next.max(self.next), highest.max(self.highest));
        Ok(faults)
    }

    /// What it has and what there is, when nobody changes anything.
    fn compare(&self, there: &BTreeMap<u32, Flags>) -> Vec<Fault> {
        let all: BTreeSet<&u32> = self.flags.keys().chain(there.keys()).collect();
        let differing = all.into_iter().filter(|uid| self.flags.get(uid) != there.get(uid));
        let text = |uid: &u32| {
            format!("{COMMON} UID {uid}: cached {:?}, there {:?}", self.flags.get(uid), there.get(uid))
        };
        differing.map(|uid| Fault::new(Kind::Stale, text(uid))).collect()
    }
}

fn known(answer: &Answer) -> BTreeMap<u32, Flags> {
    answer.messages().into_iter().filter_map(|(uid, fetched)| Some((uid, fetched.flags?))).collect()
}

/// The cache of a client that looks again and again until it loses its connection.
fn observe(mut cache: Cache, mut session: Session, shared: &Shared, ending: &Ending) -> Cache {
    while !ending.stopped.load(Ordering::SeqCst) {
        let mut newer = cache.clone();
        match newer.refresh(&mut session) {
            Ok(faults) => lock(shared).faults.extend(faults),
            Err(_) => return cache,
        }
        cache = newer;
    }
    cache
}

/// All that goes on from round to round.
struct Run {
    site: Site,
    server: Running,
    random: Random,
    shared: Shared,
    cache: Cache,
    acknowledged: usize,
}

impl Run {
    fn new(site: Site, seed: u64) -> Self {
        let server = site.serve();
        let mut session = login(&server);
        let run = Self {
            site,
            server,
            random: Random::new(seed),
            shared: Shared::default(),
            cache: Cache::default(),
            acknowledged: 0,
        };
        for name in (0..WRITERS).flat_map(|number| [format!("w{number}-a"), format!("w{number}-b")]) {
            session.command(&format!("CREATE {name}")).unwrap();
        }
        let found = find(&mut session).unwrap();
        let mut state = lock(&run.shared);
        for (name, there) in found {
            let owner = name.strip_prefix('w').and_then(|rest| rest.split('-').next()?.parse().ok());
            let mailbox = Mailbox {
                owner: owner.unwrap_or(SHARED),
                validity: Some(there.validity),
                next: there.next,
                highest: there.highest,
                messages: BTreeMap::new(),
            };
            state.history.mailboxes.insert(name, mailbox);
        }
        drop(state);
        run
    }

    /// Writes until the server is killed, or for a while, and looks at what is there then.
    fn round(&mut self, kill: bool) -> Result<(), Vec<Fault>> {
        let address = self.server.addresses[0];
        let ending = Arc::new(Ending::default());
        let (sender, receiver) = mpsc::channel();
        let writers: Vec<JoinHandle<()>> =
            (0..WRITERS).map(|number| self.writer(number, address, &ending, &sender)).collect();
        drop(sender);
        let observer = {
            let (cache, session) = (self.cache.clone(), qresync(address));
            let (shared, ending) = (Arc::clone(&self.shared), Arc::clone(&ending));
            std::thread::spawn(move || observe(cache, session, &shared, &ending))
        };
        let wanted = 20 + self.random.below(600);
        let counted = receiver.iter().take(wanted).count();
        // An acknowledgement has just been read: a little later the others are anywhere.
        std::thread::sleep(Duration::from_micros(self.random.below(20_000) as u64));
        if kill {
            ending.killed.store(true, Ordering::SeqCst);
            self.server.kill();
        } else {
            ending.stopped.store(true, Ordering::SeqCst);
        }
        for writer in writers {
            writer.join().unwrap();
        }
        self.cache = observer.join().unwrap();
        self.acknowledged += counted;
        if kill && self.random.percent(30) {
            self.kill_at_start();
        }
        if kill {
            self.server = self.site.serve();
        }
        self.look()
    }

    fn writer(
        &mut self,
        number: usize,
        address: SocketAddr,
        ending: &Arc<Ending>,
        acknowledged: &mpsc::Sender<()>,
    ) -> JoinHandle<()> {
        let writer = Writer {
            number,
            random: Random::new(self.random.below(usize::MAX) as u64),
            session: Session::login(address, USER, PASSWORD).unwrap(),
            shared: Arc::clone(&self.shared),
            ending: Arc::clone(ending),
            acknowledged: acknowledged.clone(),
        };
        std::thread::spawn(move || writer.run())
    }

    /// Kills a server that is mending what the one before it left.
    fn kill_at_start(&mut self) {
        let mut server = self.site.serve();
        let mut session = login(&server);
        let names: Vec<String> = lock(&self.shared).history.mailboxes.keys().cloned().collect();
        let opened = self.random.below(4);
        for name in names.iter().take(opened) {
            // It may be gone with what was in flight.
            let _ = session.select(name);
        }
        let _ = session.send(&format!("SELECT {COMMON}"));
        std::thread::sleep(Duration::from_micros(self.random.below(5_000) as u64));
        server.kill();
    }

    /// Compares what is there with what must be.
    fn look(&mut self) -> Result<(), Vec<Fault>> {
        let lost = |why: Failed| vec![Fault::new(Kind::Lost, why.to_string())];
        let mut observer = qresync(self.server.addresses[0]);
        let stale = self.cache.refresh(&mut observer).map_err(lost)?;
        let found = find(&mut login(&self.server)).map_err(lost)?;
        let mut state = lock(&self.shared);
        let mut faults = std::mem::take(&mut state.faults);
        faults.extend(stale);
        let there = found.get(COMMON).cloned().unwrap_or_default().messages;
        let there = there.into_iter().map(|(uid, found)| (uid, found.message.flags)).collect();
        faults.extend(self.cache.compare(&there));
        let in_flight: Vec<Change> = std::mem::take(&mut state.in_flight).into_iter().flatten().collect();
        match settle(&state.history, &in_flight, &found) {
            Ok(history) => state.history = history,
            Err(more) => faults.extend(more),
        }
        if faults.is_empty() {
            return Ok(());
        }
        println!("in flight: {in_flight:#?}");
        Err(faults)
    }
}

/// A session that is told of what is gone by VANISHED.
fn qresync(address: SocketAddr) -> Session {
    let mut session = Session::login(address, USER, PASSWORD).unwrap();
    session.command("ENABLE QRESYNC").unwrap();
    session
}

/// The seed of `IMAPPER_SEED`, or any. The same seed asks for the same changes, but threads and the disk have a
/// say in what is in flight.
fn seed() -> u64 {
    match std::env::var("IMAPPER_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => any_seed(),
    }
}

fn describe(faults: &[Fault]) -> String {
    let lines = faults.iter().map(|fault| format!("{:?}: {}", fault.kind, fault.text));
    let lines: Vec<String> = lines.take(50).collect();
    format!("{} faults:\n{}", faults.len(), lines.join("\n"))
}

/// `IMAPPER_LONG=1` plays ten times as many rounds.
fn survive(keys: &str, rounds: usize) {
    let rounds = if std::env::var_os("IMAPPER_LONG").is_some() { rounds * 10 } else { rounds };
    let seed = seed();
    let mut run = Run::new(Site::maildir(keys), seed);
    for round in 1..=rounds {
        if let Err(faults) = run.round(true) {
            panic!("IMAPPER_SEED={seed}, round {round}:\n{}", describe(&faults));
        }
    }
    println!("seed {seed}: {} changes acknowledged, {rounds} kills", run.acknowledged);
    // Otherwise nothing was shown.
    assert!(run.acknowledged > rounds * 10, "{} changes", run.acknowledged);
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    survive("", 5);
}

/// Where a RENAME moves one folder with all below it.
#[test]
fn what_was_acknowledged_survives_a_kill_in_nested_folders() {
    survive("layout = \"fs\"\n", 2);
}

/// What the tests above are worth: with a storage that forgets it must fail.
#[test]
fn a_storage_that_forgets_is_found_out() {
    let mut run = Run::new(Site::forgetful(), seed());
    let faults = run.round(true).unwrap_err();
    let kinds: BTreeSet<Kind> = faults.iter().map(|fault| fault.kind).collect();
    assert!(kinds.contains(&Kind::Lost), "{}", describe(&faults));
    assert!(!kinds.contains(&Kind::Refused), "{}", describe(&faults));
}

/// And without a kill it must not.
#[test]
fn a_server_that_goes_on_is_found_well() {
    let seed = seed();
    let mut run = Run::new(Site::forgetful(), seed);
    for _ in 0..3 {
        if let Err(faults) = run.round(false) {
            panic!("IMAPPER_SEED={seed}:\n{}", describe(&faults));
        }
    }
}

#[test]
fn a_client_that_is_not_told_of_all_is_found_out() {
    let flags = |text: &str| text.split(' ').map(str::to_owned).collect::<Flags>();
    let there = BTreeMap::from([(1, flags("\\Seen")), (2, flags("k"))]);
    let cache = |flags: &BTreeMap<u32, Flags>| Cache { flags: flags.clone(), ..Cache::default() };
    assert_eq!(cache(&there).compare(&there), []);
    for uid in [1, 2, 3] {
        let mut other = there.clone();
        // One is missing, or one is too many.
        if other.remove(&uid).is_none() {
            other.insert(uid, flags("k"));
        }
        let faults = cache(&other).compare(&there);
        assert!(matches!(&faults[..], [Fault { kind: Kind::Stale, .. }]), "{faults:?}");
    }
    let changed = BTreeMap::from([(1, flags("\\Seen k")), (2, flags("k"))]);
    assert_eq!(cache(&changed).compare(&there).len(), 1);
}
