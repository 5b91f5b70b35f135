//! The commands of a session, chosen at random among those that a well-behaved client may send.

use std::fmt::Write as _;

use super::model::{Flags, Model};
use crate::random::Random;

/// Messages of a mailbox from which on more are removed than come.
const CROWDED: usize = 40;
const FLAGS: &[&str] = &["\\Seen", "\\Deleted", "\\Flagged", "\\Answered", "\\Draft", "Work", "Later"];

/// A command without its tag.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) text: String,
    /// What is sent as a literal at its end.
    pub(super) literal: Option<String>,
    pub(super) kind: Kind,
    /// FETCH, STORE or SEARCH by number: no removal may be told (RFC 3501 §7.4.1).
    pub(super) holds_removals: bool,
    /// It has no reason to fail.
    pub(super) must_succeed: bool,
}

/// What a command means to the client's model.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Nothing beyond what it is told.
    Plain,
    /// Another mailbox is open then.
    Select { mailbox: String, read_only: bool },
    /// No mailbox is open then.
    Close,
    /// Waits for DONE.
    Idle,
    /// Flags; the client reckons with its own silent change.
    Store { set: Set, op: Op, flags: Flags, silent: bool },
    /// Every message of the set is answered. By number only.
    Fetch { set: Set },
    /// Numbers or UIDs come back.
    Search { uid: bool },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Replace,
    Add,
    Remove,
}

/// A set of numbers or UIDs; `u32::MAX` is `*`.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) uid: bool,
    pub(super) ranges: Vec<(u32, u32)>,
}

impl Set {
    fn text(&self) -> String {
        let name = |number: u32| if number == u32::MAX { "*".to_owned() } else { number.to_string() };
        let range = |&(first, last): &(u32, u32)| {
            if first == last { name(first) } else { format!("{}:{}", name(first), name(last)) }
        };
        self.ranges.iter().map(range).collect::<Vec<_>>().join(",")
    }

    /// Whether it names the number, where the last message has `largest`.
    pub(super) fn contains(&self, number: u32, largest: u32) -> bool {
        let fixed = |bound: u32| if bound == u32::MAX { largest } else { bound };
        self.ranges.iter().any(|&(first, last)| {
            let (first, last) = (fixed(first), fixed(last));
            (first.min(last)..=first.max(last)).contains(&number)
        })
    }

    pub(super) fn has_star(&self) -> bool {
        self.ranges.iter().any(|&(first, last)| first == u32::MAX || last == u32::MAX)
    }

    /// Some numbers out of `1..=count`.
    fn numbers(random: &mut Random, count: usize) -> Self {
        let mut ranges = Vec::new();
        let any = |random: &mut Random| u32::try_from(1 + random.below(count)).unwrap_or(1);
        for _ in 0..=random.below(3) {
            let first = any(random);
            ranges.push(match random.below(4) {
                0 | 1 => (first, first),
                2 => (first, any(random)),
                _ => (first, u32::MAX),
            });
        }
        Self { uid: false, ranges }
    }

    fn uids(random: &mut Random, known: &[u32]) -> Self {
        let mut ranges = Vec::new();
        let any = |random: &mut Random| random.pick(known).copied().unwrap_or(1);
        for _ in 0..=random.below(3) {
            let first = any(random);
            ranges.push(match random.below(6) {
                0..=2 => (first, first),
                3 | 4 => (first, any(random)),
                _ => (first, u32::MAX),
            });
        }
        Self { uid: true, ranges }
    }
}

impl Command {
    pub(super) fn new(text: impl Into<String>, kind: Kind) -> Self {
        Self { text: text.into(), literal: None, kind, holds_removals: false, must_succeed: true }
    }

    const fn may_fail(mut self) -> Self {
        self.must_succeed = false;
        self
    }

    const fn holding(mut self, holds: bool) -> Self {
        self.holds_removals = holds;
        self
    }

    pub(super) fn select(mailbox: &str, read_only: bool) -> Self {
        let verb = if read_only { "EXAMINE" } else { "SELECT" };
        Self::new(format!("{verb} {mailbox}"), Kind::Select { mailbox: mailbox.to_owned(), read_only })
    }

    /// Everything of messages of which not all is known.
    pub(super) fn fetch_unknown(model: &Model) -> Option<Self> {
        let unknown = model.unknown();
        let number = |number: &usize| u32::try_from(*number).ok();
        let ranges: Vec<_> = unknown.iter().filter_map(number).map(|number| (number, number)).collect();
        (!ranges.is_empty()).then(|| Self::fetch(Set { uid: false, ranges }, "(UID FLAGS)"))
    }

    fn fetch(set: Set, items: &str) -> Self {
        let by_uid = set.uid;
        let text = format!("{}FETCH {} {items}", if by_uid { "UID " } else { "" }, set.text());
        let kind = if by_uid { Kind::Plain } else { Kind::Fetch { set } };
        // Bodies that another session has removed are gone.
        Self::new(text, kind).may_fail().holding(!by_uid)
    }

    /// Whether it can't stand among others that are sent at once.
    const fn stands_alone(&self) -> bool {
        matches!(self.kind, Kind::Idle)
    }
}

/// What the server can do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Abilities {
    pub(super) idle: bool,
    pub(super) literal_plus: bool,
    pub(super) uid_plus: bool,
    pub(super) moves: bool,
}

/// Chooses what a session does next: commands that are sent at once.
pub(super) struct Chooser<'a> {
    pub(super) random: &'a mut Random,
    pub(super) model: &'a Model,
    pub(super) can: Abilities,
    pub(super) mailbox: &'a str,
    pub(super) other: &'a str,
    /// Numbers the messages that are appended.
    pub(super) serial: u64,
}

impl Chooser<'_> {
    pub(super) fn choose(&mut self) -> Vec<Command> {
        if self.random.percent(25)
            && let Some(fetch) = Command::fetch_unknown(self.model)
        {
            return vec![fetch];
        }
        match self.random.below(100) {
            0..=2 => vec![Command::new("CLOSE", Kind::Close), Command::select(self.mailbox, false)],
            3 => vec![Command::select(self.mailbox, true)],
            4 | 5 => vec![Command::select(self.mailbox, false)],
            6..=8 => {
                let copy = Command::new(format!("COPY 1:2 {}", self.mailbox), Kind::Plain);
                vec![Command::select(self.other, false), copy, Command::select(self.mailbox, false)]
            }
            9..=14 if self.can.idle => vec![Command::new("IDLE", Kind::Idle)],
            15..=34 => self.batch(),
            _ => vec![self.one(true)],
        }
    }

    /// Commands that are sent at once. After one that may tell a removal, numbers are not certain any more
    /// (RFC 3501 §5.5).
    fn batch(&mut self) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        let mut numbers_hold = true;
        for _ in 0..2 + self.random.below(5) {
            let command = self.one(numbers_hold);
            if command.literal.is_some() && !self.can.literal_plus || command.stands_alone() {
                continue;
            }
            numbers_hold &= command.holds_removals;
            commands.push(command);
        }
        if commands.is_empty() { vec![Command::new("NOOP", Kind::Plain)] } else { commands }
    }

    fn one(&mut self, numbers: bool) -> Command {
        let crowded = self.model.messages.len() > CROWDED;
        match self.random.below(100) {
            0..=13 if !crowded => self.append(),
            14..=18 if !crowded => self.copy(numbers),
            14..=18 | 41..=46 => self.delete(numbers),
            47 | 48 => self.remove(numbers),
            30..=32 => Command::new("CHECK", Kind::Plain),
            33..=40 => self.expunge(),
            49..=69 => self.store(numbers),
            70..=84 => self.fetch(numbers),
            85..=99 => self.search(numbers),
            _ => Command::new("NOOP", Kind::Plain),
        }
    }

    fn set(&mut self, numbers: bool) -> Option<Set> {
        let known = self.model.uids();
        let count = self.model.messages.len();
        if numbers && count > 0 && (known.is_empty() || self.random.percent(50)) {
            return Some(Set::numbers(self.random, count));
        }
        (!known.is_empty()).then(|| Set::uids(self.random, &known))
    }

    fn append(&mut self) -> Command {
        let flags =
            if self.random.percent(50) { format!("({}) ", self.flags().join(" ")) } else { String::new() };
        let mut command = Command::new(format!("APPEND {} {flags}", self.mailbox), Kind::Plain);
        let mut literal =
            format!("Subject: message {}\r\nMessage-ID: <{}@example>\r\n\r\n", self.serial, self.serial);
        let filling = "x".repeat(self.random.below(70));
        for _ in 0..self.random.below(20) {
            let _ = write!(literal, "{filling}\r\n");
        }
        command.literal = Some(literal);
        command
    }

    fn copy(&mut self, numbers: bool) -> Command {
        let Some(set) = self.set(numbers) else { return self.append() };
        let uid = if set.uid { "UID " } else { "" };
        Command::new(format!("{uid}COPY {} {}", set.text(), self.mailbox), Kind::Plain).may_fail()
    }

    /// Messages go to another mailbox, or to the end of this one.
    fn remove(&mut self, numbers: bool) -> Command {
        if !self.can.moves {
            return self.delete(numbers);
        }
        let Some(set) = self.set(numbers) else { return self.append() };
        let uid = if set.uid { "UID " } else { "" };
        let target = if self.random.percent(50) { self.mailbox } else { self.other };
        Command::new(format!("{uid}MOVE {} {target}", set.text()), Kind::Plain).may_fail()
    }

    fn expunge(&mut self) -> Command {
        let known = self.model.uids();
        if self.can.uid_plus && !known.is_empty() && self.random.percent(30) {
            let set = Set::uids(self.random, &known);
            return Command::new(format!("UID EXPUNGE {}", set.text()), Kind::Plain).may_fail();
        }
        Command::new("EXPUNGE", Kind::Plain).may_fail()
    }

    fn delete(&mut self, numbers: bool) -> Command {
        self.store_of(numbers, Op::Add, &["\\Deleted"])
    }

    fn store(&mut self, numbers: bool) -> Command {
        let op = match self.random.below(5) {
            0 => Op::Replace,
            1 | 2 => Op::Add,
            _ => Op::Remove,
        };
        let flags = self.flags();
        self.store_of(numbers, op, &flags)
    }

    fn store_of(&mut self, numbers: bool, op: Op, flags: &[&str]) -> Command {
        let Some(set) = self.set(numbers) else { return self.append() };
        let silent = self.random.percent(50);
        let text = format!(
            "{}STORE {} {}FLAGS{} ({})",
            if set.uid { "UID " } else { "" },
            set.text(),
            match op {
                Op::Replace => "",
                Op::Add => "+",
                Op::Remove => "-",
            },
            if silent { ".SILENT" } else { "" },
            flags.join(" "),
        );
        let holds = !set.uid;
        let flags = flags.iter().map(|flag| flag.to_ascii_lowercase()).collect();
        Command::new(text, Kind::Store { set, op, flags, silent }).may_fail().holding(holds)
    }

    fn fetch(&mut self, numbers: bool) -> Command {
        let Some(set) = self.set(numbers) else { return Command::new("NOOP", Kind::Plain) };
        let items = [
            "(FLAGS)",
            "(UID FLAGS)",
            "UID",
            "(UID BODY.PEEK[])",
            "(UID BODY[])",
            "(RFC822.SIZE)",
            "ENVELOPE",
        ];
        Command::fetch(set, self.random.pick(&items).copied().unwrap_or("UID"))
    }

    fn search(&mut self, numbers: bool) -> Command {
        let uid = !numbers || self.random.percent(50);
        let keys =
            ["ALL", "UNSEEN", "DELETED", "NOT FLAGGED", "KEYWORD Work", "RECENT", "SUBJECT 1", "UID 1:*"];
        let key = self.random.pick(&keys).copied().unwrap_or("ALL");
        let text = format!("{}SEARCH {key}", if uid { "UID " } else { "" });
        Command::new(text, Kind::Search { uid }).holding(!uid)
    }

    fn flags(&mut self) -> Vec<&'static str> {
        FLAGS.iter().filter(|_| self.random.percent(30)).copied().collect()
    }
}
