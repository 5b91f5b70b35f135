//! What has been acknowledged, so that it must be there whatever happens.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use imapper_testkit::random::Random;

use super::session::{Answer, Failed, Flags, Session};

/// Nobody's in particular: the mailbox in which all write.
pub(super) const SHARED: usize = usize::MAX;

/// A change that is asked for. A writer changes its own messages only, so that it knows what they are.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Append {
        mailbox: String,
        token: u64,
        flags: Flags,
    },
    /// The flags that each shall have then.
    Store {
        mailbox: String,
        flags: BTreeMap<u32, Flags>,
    },
    Copy {
        from: String,
        uids: Vec<u32>,
        to: String,
    },
    Move {
        from: String,
        uids: Vec<u32>,
        to: String,
    },
    Expunge {
        mailbox: String,
        uids: Vec<u32>,
    },
    Create {
        mailbox: String,
        owner: usize,
    },
    /// With all below it.
    Rename {
        from: String,
        to: String,
    },
    Delete {
        mailbox: String,
    },
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Its content is `message(token)`.
    pub(super) token: u64,
    pub(super) flags: Flags,
    /// The highest that was told.
    pub(super) modseq: u64,
}

/// A mailbox.
#[derive(Clone, Debug, Default)]
pub(super) struct Mailbox {
    pub(super) owner: usize,
    /// Not known at once after CREATE.
    pub(super) validity: Option<u32>,
    /// The highest UIDNEXT that was told, or that follows from a UID.
    pub(super) next: u32,
    /// The highest HIGHESTMODSEQ that was told.
    pub(super) highest: u64,
    pub(super) messages: BTreeMap<u32, Message>,
}

/// Mailbox, UIDVALIDITY and UID: they name one content for ever.
pub(super) type Address = (String, u32, u32);

/// All that was acknowledged.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) mailboxes: BTreeMap<String, Mailbox>,
    /// Whose names are free again.
    pub(super) removed: BTreeMap<String, usize>,
    pub(super) contents: HashMap<Address, u64>,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Something acknowledged is gone.
    Lost,
    /// Something is there that nobody put there, or that an acknowledged change took away.
    Undone,
    /// Other octets or other flags.
    Changed,
    /// A UID that has meant another message.
    TwoContents,
    /// A change in flight is neither done nor not done.
    Half,
    /// UIDNEXT, HIGHESTMODSEQ or MODSEQ is below what was told, or something is new below it.
    Back,
    /// A client that asks for what has changed isn't told of all.
    Stale,
    /// NO or BAD to what must be done.
    Refused,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) text: String,
}

impl Fault {
    pub(super) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// The message of a token: a few lines, or a hundred kilobytes.
pub(super) fn message(token: u64) -> Vec<u8> {
    let mut random = Random::new(token);
    let lines = *random.pick(&[1, 4, 30, 120, 600, 3500]).unwrap();
    let mut text =
        format!("From: writer@example.com\r\nMessage-ID: <{token}@crash>\r\nSubject: {token}\r\n\r\n");
    let line = format!("{:016x}{token:016x}\r\n", random.below(usize::MAX));
    text.push_str(&line.repeat(lines));
    text.into_bytes()
}

/// The token that a message bears, whether it is whole or not.
pub(super) fn token(octets: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(&octets[..octets.len().min(1000)]).into_owned();
    let (_, rest) = text.split_once("Message-ID: <")?;
    rest.split_once("@crash>")?.0.parse().ok()
}

/// A mailbox below another, or the same.
pub(super) fn is_within(name: &str, above: &str) -> bool {
    name.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl History {
    /// Notes what was answered OK. Gives what the answer itself shows to be wrong.
    pub(super) fn acknowledge(&mut self, change: &Change, answer: &Answer) -> Vec<Fault> {
        match change {
            Change::Append { mailbox, token, flags } => {
                let new = Message { token: *token, flags: flags.clone(), modseq: 0 };
                self.arrive(mailbox, vec![new], answer)
            }
            Change::Store { mailbox, flags } => {
                let told = answer.messages();
                let messages = &mut self.mailboxes.get_mut(mailbox).unwrap().messages;
                for (uid, flags) in flags {
                    let message = messages.get_mut(uid).unwrap();
                    message.flags.clone_from(flags);
                    message.modseq = told.get(uid).map_or(0, |told| told.modseq).max(message.modseq);
                }
                Vec::new()
            }
            Change::Copy { from, uids, to } | Change::Move { from, uids, to } => {
                let messages = &self.mailboxes[from].messages;
                let new = uids.iter().map(|uid| Message { modseq: 0, ..messages[uid].clone() }).collect();
                if matches!(change, Change::Move { .. }) {
                    self.remove(from, uids);
                }
                self.arrive(to, new, answer)
            }
            Change::Expunge { mailbox, uids } => {
                self.remove(mailbox, uids);
                Vec::new()
            }
            Change::Create { mailbox, owner } => {
                self.removed.remove(mailbox);
                self.mailboxes.insert(mailbox.clone(), Mailbox { owner: *owner, ..Mailbox::default() });
                Vec::new()
            }
            Change::Rename { from, to } => self.rename(from, to),
            Change::Delete { mailbox } => {
                let owner = self.mailboxes.remove(mailbox).unwrap().owner;
                self.removed.insert(mailbox.clone(), owner);
                Vec::new()
            }
        }
    }

    fn remove(&mut self, mailbox: &str, uids: &[u32]) {
        self.mailboxes.get_mut(mailbox).unwrap().messages.retain(|uid, _| !uids.contains(uid));
    }

    /// Messages got the UIDs that the answer tells.
    fn arrive(&mut self, name: &str, new: Vec<Message>, answer: &Answer) -> Vec<Fault> {
        let mailbox = self.mailboxes.get_mut(name).unwrap();
        let (validity, uids) = answer.assigned().unwrap_or_default();
        if uids.len() != new.len() {
            let text = format!("{name}: {} messages, but {}", new.len(), answer.tagged);
            return vec![Fault::new(Kind::Lost, text)];
        }
        let mut faults = Vec::new();
        if *mailbox.validity.get_or_insert(validity) != validity {
            let text = format!("{name}: UIDVALIDITY {validity} after {:?}", mailbox.validity);
            faults.push(Fault::new(Kind::Lost, text));
        }
        for (uid, message) in uids.into_iter().zip(new) {
            faults.extend(keep(&mut self.contents, (name.to_owned(), validity, uid), message.token));
            mailbox.next = mailbox.next.max(uid + 1);
            mailbox.messages.insert(uid, message);
        }
        faults
    }

    /// A mailbox and those below it have other names.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        for name in self.family(from) {
            let mailbox = self.mailboxes.remove(&name).unwrap();
            let new = format!("{to}{}", &name[from.len()..]);
            for (uid, message) in &mailbox.messages {
                let address = (new.clone(), mailbox.validity.unwrap_or_default(), *uid);
                faults.extend(keep(&mut self.contents, address, message.token));
            }
            self.removed.insert(name, mailbox.owner);
            self.removed.remove(&new);
            self.mailboxes.insert(new, mailbox);
        }
        faults
    }

    /// The names of a mailbox and those below it.
    pub(super) fn family(&self, name: &str) -> Vec<String> {
        self.mailboxes.keys().filter(|other| is_within(other, name)).cloned().collect()
    }

    /// What SELECT or STATUS told of a mailbox.
    pub(super) fn told(&mut self, name: &str, answer: &Answer) {
        let Some(mailbox) = self.mailboxes.get_mut(name) else { return };
        let validity = answer.number("UIDVALIDITY").and_then(|number| u32::try_from(number).ok());
        mailbox.validity = mailbox.validity.or(validity);
        let next = answer.number("UIDNEXT").and_then(|number| u32::try_from(number).ok());
        mailbox.next = mailbox.next.max(next.unwrap_or_default());
        mailbox.highest = mailbox.highest.max(answer.number("HIGHESTMODSEQ").unwrap_or_default());
    }
}

/// Notes the content of a UID.
pub(super) fn keep(contents: &mut HashMap<Address, u64>, address: Address, token: u64) -> Option<Fault> {
    let text = format!("{address:?} is {token} now, and was another message");
    let before = contents.insert(address, token);
    before
        .filter(|before| *before != token)
        .map(|before| Fault::new(Kind::TwoContents, format!("{text}: {before}")))
}

/// What a server has.
pub(super) type Found = BTreeMap<String, FoundMailbox>;

/// A mailbox that is there.
#[derive(Clone, Debug, Default)]
pub(super) struct FoundMailbox {
    pub(super) validity: u32,
    pub(super) next: u32,
    pub(super) highest: u64,
    pub(super) messages: BTreeMap<u32, FoundMessage>,
}

/// A message that is there.
#[derive(Clone, Debug)]
pub(super) struct FoundMessage {
    pub(super) message: Message,
    /// Whether its octets are those of its token.
    pub(super) whole: bool,
}

/// Reads all that a server has.
pub(super) fn find(session: &mut Session) -> Result<Found, Failed> {
    let names: BTreeSet<String> = session.command("LIST \"\" *")?.names().into_iter().collect();
    let mut found = Found::new();
    for name in names {
        session.unselect()?;
        let told = session.select(&name)?.unwrap();
        let answer = session.command("UID FETCH 1:* (FLAGS MODSEQ BODY.PEEK[])")?;
        let messages = answer.messages().into_iter().map(|(uid, fetched)| {
            let octets = fetched.literal.unwrap_or_default();
            let bears = token(&octets);
            let whole = bears.is_some_and(|token| message(token) == octets);
            let flags = fetched.flags.unwrap_or_default();
            let message = Message { token: bears.unwrap_or_default(), flags, modseq: fetched.modseq };
            (uid, FoundMessage { message, whole })
        });
        let number = |code| u32::try_from(told.number(code).unwrap_or_default()).unwrap();
        let mailbox = FoundMailbox {
            validity: number("UIDVALIDITY"),
            next: number("UIDNEXT"),
            highest: told.number("HIGHESTMODSEQ").unwrap_or_default(),
            messages: messages.collect(),
        };
        found.insert(name, mailbox);
    }
    session.unselect()?;
    Ok(found)
}
