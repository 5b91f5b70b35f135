//! What a client knows of its mailbox from untagged responses alone, and what must hold of them at each.

use std::collections::BTreeSet;

use crate::response::Value;

/// Flags by name, in lower case, without `\Recent`.
pub(super) type Flags = BTreeSet<String>;

/// A message as the client knows it.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Its UID, once it was told.
    pub uid: Option<u32>,
    /// Its flags in lower case, once they were told and as long as they are certain.
    pub flags: Option<BTreeSet<String>>,
    /// Whether it is `\Recent`, once that was told.
    pub recent: Option<bool>,
    /// The command during which its flags were told last.
    pub(super) told: u64,
    /// The command during which anything of it was told last.
    pub(super) answered: u64,
    /// The command that last named it.
    pub(super) named: u64,
    /// The command that last may have named it: a range of UIDs, when its own is not known.
    pub(super) perhaps: u64,
}

/// An open mailbox as the client knows it.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Its messages, the first at 0.
    pub messages: Vec<Message>,
    pub(super) name: String,
    pub(super) read_only: bool,
    /// What RECENT said last.
    pub(super) recent: Option<usize>,
    pub(super) exists_told: bool,
    pub(super) uid_validity: Option<u32>,
    pub(super) uid_next: Option<u32>,
    /// How many messages there were when the mailbox was opened.
    pub(super) at_first: usize,
    /// UIDs that were told and then removed.
    pub(super) gone: BTreeSet<u32>,
    /// Messages that were removed before their UID was known.
    pub(super) nameless: usize,
}

/// What a FETCH response says of what the model holds.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) uid: Option<u32>,
    pub(super) flags: Option<Flags>,
    pub(super) recent: bool,
    pub(super) body: Option<Vec<u8>>,
}

impl Fetched {
    pub(super) fn parse(items: &[Value]) -> Result<Self, String> {
        let mut fetched = Self::default();
        let mut items = items.iter();
        while let Some(name) = items.next() {
            let name = name.atom().ok_or("an item of FETCH that is no word")?.to_ascii_uppercase();
            let value = items.next().ok_or_else(|| format!("{name} without a value"))?;
            match name.as_str() {
                "UID" => {
                    let uid = value.atom().and_then(|uid| uid.parse().ok()).filter(|uid| *uid != 0);
                    fetched.uid = Some(uid.ok_or("a UID that is none")?);
                }
                "FLAGS" => {
                    let Value::List { items, .. } = value else { return Err("FLAGS without a list".into()) };
                    let mut flags: Flags =
                        items.iter().filter_map(Value::atom).map(str::to_ascii_lowercase).collect();
                    if flags.len() != items.len() {
                        return Err("a flag that is told twice, or is no word".into());
                    }
                    fetched.recent = flags.remove("\\recent");
                    fetched.flags = Some(flags);
                }
                "BODY[]" => fetched.body = value.octets().map(<[u8]>::to_vec),
                _ => {}
            }
        }
        Ok(fetched)
    }
}

impl Model {
    pub(super) fn opened(name: &str, read_only: bool) -> Self {
        Self { name: name.to_owned(), read_only, ..Self::default() }
    }

    /// `* n EXISTS`. The number never shrinks: only removals make it smaller (RFC 3501 §7.3.1, §5.5).
    pub(super) fn exists(&mut self, count: usize) -> Result<(), String> {
        if count < self.messages.len() {
            return Err(format!("EXISTS went from {} to {count} without EXPUNGE", self.messages.len()));
        }
        self.messages.resize_with(count, Message::default);
        if !self.exists_told {
            (self.exists_told, self.at_first) = (true, count);
        }
        Ok(())
    }

    /// `* n RECENT`.
    pub(super) fn recent(&mut self, count: usize) -> Result<(), String> {
        if count > self.messages.len() {
            return Err(format!("{count} RECENT of {} messages", self.messages.len()));
        }
        self.recent = Some(count);
        Ok(())
    }

    /// The message of a number counted from 1.
    pub(super) fn at(&mut self, number: usize) -> Result<&mut Message, String> {
        let count = self.messages.len();
        let message = number.checked_sub(1).and_then(|index| self.messages.get_mut(index));
        message.ok_or_else(|| format!("number {number} is told, but the client knows of {count} messages"))
    }

    /// Takes out the message of a number counted from 1: what `* n EXPUNGE` does.
    ///
    /// # Errors
    /// If there is no message of that number.
    pub fn remove(&mut self, number: usize) -> Result<(), String> {
        self.at(number)?;
        let message = self.messages.remove(number - 1);
        self.at_first -= usize::from(number <= self.at_first);
        match message.uid {
            Some(uid) => _ = self.gone.insert(uid),
            None => self.nameless += 1,
        }
        Ok(())
    }

    /// Takes out the message of a UID. Where the client does not know which one that is, all that it may be are as
    /// good as each other, and nothing is certain of those that stay.
    ///
    /// # Errors
    /// If no message can have that UID.
    pub fn remove_uid(&mut self, uid: u32) -> Result<(), String> {
        if let Some(index) = self.messages.iter().position(|message| message.uid == Some(uid)) {
            return self.remove(index + 1);
        }
        if self.gone.contains(&uid) {
            return Err(format!("UID {uid} is told as removed once more"));
        }
        let below = self.messages.iter().rposition(|message| message.uid.is_some_and(|known| known < uid));
        let above = self.messages.iter().position(|message| message.uid.is_some_and(|known| known > uid));
        let mut from = below.map_or(0, |below| below + 1);
        let mut to = above.unwrap_or(self.messages.len());
        match self.uid_next {
            Some(next) if uid < next => to = to.min(self.at_first),
            Some(_) => from = from.max(self.at_first),
            None => {}
        }
        if from >= to {
            return Err(format!("UID {uid} is told as removed, and the client knows of no such message"));
        }
        if to - from > 1 {
            for message in &mut self.messages[from..to] {
                *message = Message::default();
            }
        }
        self.remove(from + 1)?;
        self.nameless -= 1;
        self.gone.insert(uid);
        Ok(())
    }

    /// `* n FETCH`, during the command of that serial number.
    pub(super) fn fetch(&mut self, number: usize, fetched: &Fetched, serial: u64) -> Result<(), String> {
        self.at(number)?;
        let index = number - 1;
        if let Some(uid) = fetched.uid {
            self.name(index, uid)?;
        }
        let message = self.at(number)?;
        message.answered = serial;
        if let Some(flags) = &fetched.flags {
            message.flags = Some(flags.clone());
            message.recent = Some(fetched.recent);
            message.told = serial;
        }
        Ok(())
    }

    /// A number has a UID: the same for ever, and larger than those below it (RFC 3501 §2.3.1.1).
    fn name(&mut self, index: usize, uid: u32) -> Result<(), String> {
        let number = index + 1;
        match self.messages.get(index).and_then(|message| message.uid) {
            Some(known) if known == uid => return Ok(()),
            Some(known) => return Err(format!("number {number} is UID {known}, and is told as UID {uid}")),
            None => {}
        }
        if self.gone.contains(&uid) {
            return Err(format!("number {number} is told as UID {uid}, which was told as removed"));
        }
        let below = self.messages.iter().take(index).rev().find_map(|message| message.uid);
        let above = self.messages.iter().skip(number).find_map(|message| message.uid);
        if below.is_some_and(|below| below >= uid) || above.is_some_and(|above| above <= uid) {
            return Err(format!("number {number} is told as UID {uid}, between {below:?} and {above:?}"));
        }
        if let Some(next) = self.uid_next
            && (index < self.at_first) != (uid < next)
        {
            return Err(format!("number {number} is UID {uid}, where UIDNEXT was {next}"));
        }
        if let Some(message) = self.messages.get_mut(index) {
            message.uid = Some(uid);
        }
        Ok(())
    }

    /// What RECENT has said is what the flags say, where all are known.
    pub(super) fn check_recent(&self) -> Result<(), String> {
        let Some(told) = self.recent else { return Ok(()) };
        let known: Option<Vec<bool>> = self.messages.iter().map(|message| message.recent).collect();
        let count = known.map(|known| known.iter().filter(|recent| **recent).count());
        match count {
            Some(count) if count != told => Err(format!("{told} RECENT, but {count} messages are \\Recent")),
            _ => Ok(()),
        }
    }

    /// The known UIDs, in the order of their messages.
    pub fn uids(&self) -> Vec<u32> {
        self.messages.iter().filter_map(|message| message.uid).collect()
    }

    /// The numbers, counted from 1, of messages of which not all is known.
    pub(super) fn unknown(&self) -> Vec<usize> {
        let unknown = |message: &Message| message.uid.is_none() || message.flags.is_none();
        let numbered = self.messages.iter().enumerate();
        numbered.filter(|(_, message)| unknown(message)).map(|(index, _)| index + 1).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::values;

    fn fetched(text: &str) -> Fetched {
        Fetched::parse(&values(text.as_bytes()).unwrap()).unwrap()
    }

    fn model() -> Model {
        let mut model = Model::opened("INBOX", false);
        model.exists(3).unwrap();
        model.uid_next = Some(9);
        model.fetch(1, &fetched("UID 2 FLAGS (\\Seen \\Recent)"), 1).unwrap();
        model.fetch(3, &fetched("UID 7"), 1).unwrap();
        model
    }

    #[test]
    fn what_is_right_is_taken() {
        let mut model = model();
        model.recent(1).unwrap();
        model.remove(2).unwrap();
        model.exists(4).unwrap();
        model.fetch(4, &fetched("FLAGS () UID 12"), 2).unwrap();
        assert_eq!(model.uids(), [2, 7, 12]);
        assert_eq!(model.unknown(), [2, 3]);
        assert_eq!(model.messages[0].flags, Some(Flags::from(["\\seen".to_owned()])));
        assert_eq!(model.messages[0].recent, Some(true));
    }

    #[test]
    fn a_removal_by_uid_takes_out_one_that_it_may_be() {
        let mut model = model();
        model.exists(5).unwrap();
        // The second lies between 2 and 7; the last two are not below 9.
        model.remove_uid(5).unwrap();
        assert_eq!(model.uids(), [2, 7]);
        model.fetch(4, &fetched("FLAGS (\\Seen)"), 2).unwrap();
        model.remove_uid(10).unwrap();
        assert_eq!((model.messages.len(), &model.messages[2].flags), (3, &None));
        for uid in [5, 3, 8, 10] {
            assert!(model.remove_uid(uid).is_err(), "{uid}");
        }
        model.remove_uid(7).unwrap();
        assert_eq!(model.uids(), [2]);
    }

    #[test]
    fn what_is_wrong_is_found() {
        type Wrong = fn(&mut Model) -> Result<(), String>;
        let wrong: [(&str, Wrong); 10] = [
            ("shrinks", |model| model.exists(2)),
            ("too many recent", |model| model.recent(4)),
            ("expunge 0", |model| model.remove(0)),
            ("expunge above", |model| model.remove(4)),
            ("fetch above", |model| model.fetch(4, &fetched("FLAGS ()"), 1)),
            ("another UID", |model| model.fetch(1, &fetched("UID 3"), 1)),
            ("not ascending", |model| model.fetch(2, &fetched("UID 7"), 1)),
            ("above UIDNEXT", |model| model.remove(3).and_then(|()| model.fetch(2, &fetched("UID 9"), 1))),
            ("reused", |model| {
                model.remove(3)?;
                model.fetch(2, &fetched("UID 7"), 1)
            }),
            ("old UID", |model| {
                model.exists(4)?;
                model.fetch(4, &fetched("UID 8"), 1)
            }),
        ];
        for (what, wrong) in wrong {
            assert!(wrong(&mut model()).is_err(), "{what}");
        }
        assert!(Fetched::parse(&values(b"FLAGS (a a)").unwrap()).is_err());
        let mut model = model();
        model.recent(0).unwrap();
        model.check_recent().unwrap();
        model.fetch(2, &fetched("FLAGS ()"), 1).unwrap();
        model.fetch(3, &fetched("FLAGS ()"), 1).unwrap();
        assert!(model.check_recent().is_err());
    }
}
