//! Keywords that are new in a mailbox: they get numbers, which names of files have.

use std::collections::{BTreeMap, HashMap, HashSet};

use imapper_core::storage::StorageError;
use imapper_core::types::{Flags, Keyword, SystemFlags};

use super::Slot;
use super::batch::{Batch, Stop};
use super::step::Step;
use crate::format::filename;
use crate::format::keywords::{self, LETTERS};
use crate::home::keyword_files;
use crate::mailbox::entry::Entry;
use crate::mailbox::{MAX_KEYWORDS, Mailbox};

/// How long what follows the base of a name may be. Keywords that need more are one number together.
const MAX_INFO: usize = 120;

/// What a mailbox gets to know in a change.
#[derive(Default)]
pub(super) struct Learned {
    pub(super) entries: Vec<Entry>,
    pub(super) steps: Vec<Step>,
}

/// Keywords and their numbers, with those that a change lets in.
pub(super) struct Words {
    numbers: HashMap<Keyword, u16>,
    names: BTreeMap<u16, String>,
    groups: HashMap<String, u16>,
}

impl Words {
    pub(super) fn new(mailbox: &Mailbox, learned: &Learned) -> Self {
        let mut words = Self { numbers: HashMap::new(), names: BTreeMap::new(), groups: HashMap::new() };
        for (number, name) in mailbox.all_words() {
            words.add(number, name);
        }
        for entry in &learned.entries {
            if let Entry::Keyword { number, name } = entry {
                words.add(*number, name.clone());
            }
        }
        words
    }

    fn add(&mut self, number: u16, name: String) {
        self.remove(number);
        if name.contains(' ') {
            self.groups.insert(name.clone(), number);
        } else {
            self.numbers.insert(Keyword::new(&name), number);
        }
        self.names.insert(number, name);
    }

    fn remove(&mut self, number: u16) {
        let Some(old) = self.names.remove(&number) else { return };
        if self.groups.remove(&old).is_none() {
            self.numbers.remove(&Keyword::new(&old));
        }
    }

    /// The lowest number that is free.
    fn free(&self) -> Result<u16, StorageError> {
        let free = (0..=u16::MAX).find(|number| !self.names.contains_key(number));
        free.ok_or(StorageError::Limit("too many keywords in this mailbox"))
    }

    /// The numbers of the flags' keywords, ascending, one by one.
    fn singles(&self, flags: &Flags) -> Vec<u16> {
        let mut numbers: Vec<u16> =
            flags.keywords().iter().filter_map(|word| self.numbers.get(word)).copied().collect();
        numbers.sort_unstable();
        numbers
    }

    /// The numbers of the flags' keywords, ascending, as a name has them.
    pub(super) fn numbers(&self, flags: &Flags) -> Vec<u16> {
        let singles = self.singles(flags);
        if !is_long(&singles) {
            return singles;
        }
        let mut numbers: Vec<u16> = singles.iter().copied().filter(|number| *number < LETTERS).collect();
        numbers.extend(self.groups.get(&self.group(&singles)));
        numbers
    }

    /// The words that are more than a name has room for, as a group of them is called.
    fn group(&self, singles: &[u16]) -> String {
        let more = singles.iter().filter(|number| **number >= LETTERS);
        more.filter_map(|number| self.names.get(number).map(String::as_str)).collect::<Vec<_>>().join(" ")
    }
}

fn is_long(numbers: &[u16]) -> bool {
    filename::info(SystemFlags::ALL, numbers, "", "").len() > MAX_INFO
}

/// Lets the keywords of flags in: those that are new get numbers, and then the change is alone in its mailbox.
pub(super) fn learn<'a>(
    batch: &mut Batch<'_>,
    slot: &Slot,
    mailbox: &Mailbox,
    flags: impl Iterator<Item = &'a Flags>,
) -> Result<Learned, Stop> {
    learn_in(Some(batch), slot, mailbox, flags)
}

/// The same; without a batch the mailbox is the change's already.
pub(super) fn learn_in<'a>(
    batch: Option<&mut Batch<'_>>,
    slot: &Slot,
    mailbox: &Mailbox,
    flags: impl Iterator<Item = &'a Flags>,
) -> Result<Learned, Stop> {
    let all: Vec<&Flags> = flags.filter(|flags| !flags.keywords().is_empty()).collect();
    if all.is_empty() {
        return Ok(Learned::default());
    }
    let mut learned = Learned::default();
    let mut words = Words::new(mailbox, &learned);
    let mut new: Vec<&Keyword> = Vec::new();
    let mut seen: HashSet<&Keyword> = HashSet::new();
    for word in all.iter().flat_map(|flags| flags.keywords()) {
        if !words.numbers.contains_key(word) && seen.insert(word) {
            new.push(word);
        }
    }
    make_room(&mut words, mailbox, new.len())?;
    for word in new {
        let number = words.free()?;
        words.add(number, word.as_str().to_owned());
        learned.entries.push(Entry::Keyword { number, name: word.as_str().to_owned() });
    }
    for flags in all {
        let singles = words.singles(flags);
        let group = words.group(&singles);
        if is_long(&singles) && !words.groups.contains_key(&group) {
            // Never a letter: those are Dovecot's.
            let number = (LETTERS..=u16::MAX).find(|number| !words.names.contains_key(number));
            let number = number.ok_or(StorageError::Limit("too many keywords in this mailbox"))?;
            words.add(number, group.clone());
            learned.entries.push(Entry::Keyword { number, name: group });
        }
    }
    if learned.entries.is_empty() {
        return Ok(learned);
    }
    if let Some(batch) = batch {
        batch.touch_all(&slot.id)?;
    }
    let all: Vec<(u16, String)> = words.names.into_iter().collect();
    let files = keyword_files(&slot.folder, &all);
    learned.steps =
        files.map(|(path, all)| Step::Write { path, octets: keywords::print(&all).into_bytes() }).collect();
    Ok(learned)
}

/// Forgets keywords that no message has, where there would be too many otherwise.
fn make_room(words: &mut Words, mailbox: &Mailbox, more: usize) -> Result<(), StorageError> {
    let fits = |words: &Words| {
        words.numbers.len().saturating_add(more) <= MAX_KEYWORDS && words.groups.len() <= MAX_KEYWORDS
    };
    if fits(words) {
        return Ok(());
    }
    let used: HashSet<u16> = mailbox
        .messages()
        .flat_map(|(_, message)| {
            let info = mailbox.info(message);
            let (more, _) = filename::extra_keywords(filename::FileName::parse(&info).extra);
            mailbox.numbers_of(&message.flags).into_iter().chain(more)
        })
        .collect();
    let unused: Vec<u16> = words.names.keys().filter(|number| !used.contains(number)).copied().collect();
    for number in unused {
        words.remove(number);
    }
    if fits(words) { Ok(()) } else { Err(StorageError::Limit("too many keywords in this mailbox")) }
}
