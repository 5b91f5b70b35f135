//! A client that follows RFC 7162 §6, loses its connection whenever it likes, and resynchronises: it must end with
//! what is stored, without asking for anything twice.

use std::collections::BTreeMap;

use imapper_core::Server;
use imapper_testkit::random::Random;

use crate::client::{Client, by_name, server};

/// Its cache: what it remembers from one connection to the next.
#[derive(Debug, Default)]
struct Cache {
    uid_validity: String,
    modseq: u64,
    // In the order of numbers.
    messages: Vec<(u32, String)>,
}

/// The client, with a connection.
struct Follower {
    client: Client,
    cache: Cache,
    // How many messages there are; those that it knows nothing of yet are the last ones.
    exists: usize,
    // A STORE .SILENT under way: whose flags become others without being told, and how.
    silent: Option<(Vec<u32>, Store)>,
}

/// A STORE of messages by number.
#[derive(Clone, Copy, Debug)]
struct Store {
    from: usize,
    to: usize,
    sign: &'static str,
    silent: bool,
    flag: &'static str,
}

impl Store {
    fn random(random: &mut Random, exists: usize) -> Option<Self> {
        if exists == 0 {
            return None;
        }
        let (a, b) = (random.below(exists) + 1, random.below(exists) + 1);
        Some(Self {
            from: a.min(b),
            to: a.max(b),
            sign: random.pick(&["+", "-", ""])?,
            silent: random.percent(50),
            flag: random.pick(&["\\Seen", "\\Flagged", "\\Deleted", "x"])?,
        })
    }

    fn command(&self) -> String {
        let Self { from, to, sign, silent, flag } = self;
        format!("STORE {from}:{to} {sign}FLAGS{} ({flag})", if *silent { ".SILENT" } else { "" })
    }

    fn apply(&self, flags: &str) -> String {
        let others = flags.split(' ').filter(|flag| !flag.is_empty() && *flag != self.flag);
        let mut flags: Vec<&str> = if self.sign.is_empty() { Vec::new() } else { others.collect() };
        if self.sign != "-" {
            flags.push(self.flag);
        }
        sorted(&flags.join(" "))
    }
}

/// Flags in one order, without `\Recent`.
fn sorted(flags: &str) -> String {
    let mut flags: Vec<&str> = flags.split(' ').filter(|flag| !matches!(*flag, "" | "\\Recent")).collect();
    flags.sort_unstable();
    flags.join(" ")
}

fn numbers(set: &str) -> impl Iterator<Item = u32> + '_ {
    set.split(',').flat_map(|range| {
        let (first, last) = range.split_once(':').unwrap_or((range, range));
        first.parse().unwrap()..=last.parse::<u32>().unwrap()
    })
}

/// What stands between two texts.
fn between<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = line.split_once(before)?.1;
    Some(rest.split_once(after)?.0)
}

impl Follower {
    async fn connect(server: &Server, mut cache: Cache, random: &mut Random) -> Self {
        let mut client = Client::logged_in(server).await;
        client.ok("b1 ENABLE QRESYNC").await;
        let known = cache.messages.last().map_or(String::new(), |(last, _)| format!(" 1:{last}"));
        let pairs = cache.messages.iter().enumerate().filter(|_| random.below(3) == 0);
        let (seqs, uids): (Vec<String>, Vec<String>) =
            pairs.map(|(at, (uid, _))| ((at + 1).to_string(), uid.to_string())).unzip();
        let pairs =
            if seqs.is_empty() { String::new() } else { format!(" ({} {})", seqs.join(","), uids.join(",")) };
        let select = if cache.modseq == 0 {
            "b2 SELECT INBOX".to_owned()
        } else {
            format!("b2 SELECT INBOX (QRESYNC ({} {}{known}{pairs}))", cache.uid_validity, cache.modseq)
        };
        let lines = client.run(&select).await;
        let mut exists = 0;
        for line in &lines {
            if let Some(count) = between(line, "* ", " EXISTS") {
                exists = count.parse().unwrap();
            }
            if let Some(validity) = between(line, "[UIDVALIDITY ", "]") {
                validity.clone_into(&mut cache.uid_validity);
            }
        }
        let mut follower = Self { client, cache, exists, silent: None };
        follower.apply(&lines);
        follower.fetch_new().await;
        follower
    }

    /// A command, and what comes of it.
    async fn run(&mut self, command: &str) {
        let lines = self.client.run(&format!("c1 {command}")).await;
        let holds = ["FETCH", "STORE", "SEARCH", "UID SEARCH"].iter().any(|word| command.starts_with(word));
        assert!(!holds || !lines.iter().any(|line| line.starts_with("* VANISHED ")), "{command}: {lines:?}");
        assert!(
            lines.last().is_some_and(|line| line.starts_with("c1 OK ") || line.starts_with("c1 NO ")),
            "{command}: {lines:?}"
        );
        self.apply(&lines);
        self.fetch_new().await;
    }

    async fn store(&mut self, store: Store) {
        if store.silent {
            let named = self.cache.messages.iter().skip(store.from - 1).take(store.to + 1 - store.from);
            self.silent = Some((named.map(|(uid, _)| *uid).collect(), store));
        }
        self.run(&store.command()).await;
        self.silent = None;
    }

    fn apply(&mut self, lines: &[String]) {
        let (mut told, mut seen) = (None, 0);
        for line in lines {
            assert!(!line.ends_with(" EXPUNGE"), "{line}");
            if let Some(set) = line.strip_prefix("* VANISHED (EARLIER) ") {
                let gone: Vec<u32> = numbers(set).collect();
                self.cache.messages.retain(|(uid, _)| !gone.contains(uid));
            } else if let Some(set) = line.strip_prefix("* VANISHED ") {
                for uid in numbers(set) {
                    let known = self.cache.messages.iter().position(|(known, _)| *known == uid);
                    if let Some(at) = known {
                        self.cache.messages.remove(at);
                    }
                    self.exists -= 1;
                }
            } else if let Some(count) = between(line, "* ", " EXISTS") {
                self.exists = count.parse().unwrap();
            } else if let Some(seq) = between(line, "* ", " FETCH (") {
                let at = seq.parse::<usize>().unwrap() - 1;
                let uid = between(line, "UID ", " ").map(|uid| uid.trim_end_matches(')').parse().unwrap());
                let Some(uid) = uid.or_else(|| Some(self.cache.messages.get(at)?.0)) else { continue };
                let flags = between(line, "FLAGS (", ")").map(sorted);
                let known = self.cache.messages.iter_mut().find(|(known, _)| *known == uid);
                match (known, flags) {
                    (Some(known), Some(flags)) => known.1 = flags,
                    (None, Some(flags)) => {
                        self.cache.messages.push((uid, flags));
                        self.cache.messages.sort_unstable();
                    }
                    (Some(known), None) => {
                        if let Some((named, store)) = &self.silent
                            && named.contains(&uid)
                        {
                            known.1 = store.apply(&known.1);
                        }
                    }
                    (None, None) => {}
                }
                if let Some(modseq) = between(line, "MODSEQ (", ")") {
                    seen = seen.max(modseq.parse().unwrap());
                }
            }
            if let Some(modseq) = between(line, "[HIGHESTMODSEQ ", "]") {
                told = Some(modseq.parse().unwrap());
            }
        }
        self.cache.modseq = told.unwrap_or_else(|| self.cache.modseq.max(seen));
    }

    /// New messages lie above those that it knows.
    async fn fetch_new(&mut self) {
        while self.cache.messages.len() < self.exists {
            let next = self.cache.messages.last().map_or(1, |(uid, _)| uid + 1);
            let lines = self.client.run(&format!("d1 UID FETCH {next}:* (UID FLAGS)")).await;
            self.apply(&lines);
        }
    }
}

async fn truth(server: &Server) -> BTreeMap<u32, String> {
    let mut client = Client::selected(server).await;
    let lines = client.ok("a1 UID FETCH 1:* (FLAGS)").await;
    let mut truth = BTreeMap::new();
    for line in lines.iter().filter(|line| line.contains(" FETCH (")) {
        let flags = sorted(between(line, "FLAGS (", ")").unwrap());
        truth.insert(between(line, "UID ", " ").unwrap().parse().unwrap(), flags);
    }
    truth
}

async fn follow(seed: u64, steps: u32) {
    let server = server(by_name(&["ENABLE", "CONDSTORE", "QRESYNC", "LITERAL+", "UIDPLUS"], true));
    let mut random = Random::new(seed);
    let mut writer = Client::selected(&server).await;
    let mut follower = Follower::connect(&server, Cache::default(), &mut random).await;
    for step in 0..steps {
        match random.below(10) {
            0 => drop(writer.ok("w1 APPEND INBOX (\\Seen) {1+}\r\nx").await),
            1 => drop(writer.ok("w1 EXPUNGE").await),
            2..=4 => {
                let exists = writer.ok("w1 UID SEARCH ALL").await[0].split(' ').count() - 2;
                writer.ok("w1 NOOP").await;
                if let Some(store) = Store::random(&mut random, exists) {
                    writer.run(&format!("w1 {}", store.command())).await;
                }
            }
            5 => {
                if let Some(store) = Store::random(&mut random, follower.exists) {
                    follower.store(store).await;
                }
            }
            6 if follower.exists > 0 => {
                let command = ["FETCH 1:* (MODSEQ)", "FETCH 1 (FLAGS)", "SEARCH MODSEQ 1", "UID SEARCH 1:*"];
                follower.run(random.pick(&command).unwrap()).await;
            }
            7 => {
                let command = ["NOOP", "EXPUNGE", "UID FETCH 1:* (FLAGS MODSEQ)"];
                follower.run(random.pick(&command).unwrap()).await;
            }
            8 => {
                let cache = std::mem::take(&mut follower.cache);
                follower = Follower::connect(&server, cache, &mut random).await;
            }
            _ => continue,
        }
        if random.below(8) == 0 {
            // Whatever it missed, one more connection tells it.
            let cache = std::mem::take(&mut follower.cache);
            follower = Follower::connect(&server, cache, &mut random).await;
            let known: BTreeMap<u32, String> = follower.cache.messages.iter().cloned().collect();
            assert_eq!(known, truth(&server).await, "seed {seed}, step {step}");
        }
    }
}

/// `IMAPPER_LONG=1` plays 200 runs.
#[tokio::test]
async fn a_client_that_loses_its_connections_loses_no_change() {
    let runs = if std::env::var_os("IMAPPER_LONG").is_some() { 200 } else { 10 };
    for seed in 0..runs {
        follow(seed, 300).await;
    }
}
