//! Compares what is there with what was acknowledged, and with what was asked for when the server went.

use std::collections::BTreeMap;

use super::history::{Change, Fault, Found, FoundMailbox, FoundMessage, History, Kind, Mailbox, keep};
use super::session::Flags;

/// What goes on from here, or all that is wrong. Each of the changes in flight may have been done or not.
pub(super) fn settle(history: &History, in_flight: &[Change], found: &Found) -> Result<History, Vec<Fault>> {
    let mut settled = Settling { history: history.clone(), in_flight, found, faults: Vec::new() };
    for change in in_flight {
        settled.decide(change);
    }
    settled.names();
    for (name, mailbox) in &settled.history.mailboxes.clone() {
        if let Some(there) = found.get(name) {
            settled.mailbox(name, mailbox, there);
        }
    }
    for change in in_flight {
        settled.moved(change);
    }
    let Settling { mut history, mut faults, .. } = settled;
    if faults.is_empty() {
        adopt(&mut history, found);
        return Ok(history);
    }
    faults.sort();
    faults.dedup();
    Err(faults)
}

struct Settling<'a> {
    /// With those changes of mailboxes that turn out to have been done.
    history: History,
    in_flight: &'a [Change],
    found: &'a Found,
    faults: Vec<Fault>,
}

impl Settling<'_> {
    fn fault(&mut self, kind: Kind, text: impl Into<String>) {
        self.faults.push(Fault::new(kind, text));
    }

    /// Whether a change of mailboxes was done.
    fn decide(&mut self, change: &Change) {
        match change {
            Change::Create { mailbox, owner } if self.found.contains_key(mailbox) => {
                let created = Mailbox { owner: *owner, ..Mailbox::default() };
                self.history.mailboxes.entry(mailbox.clone()).or_insert(created);
                self.history.removed.remove(mailbox);
            }
            Change::Delete { mailbox } if !self.found.contains_key(mailbox) => {
                if let Some(gone) = self.history.mailboxes.remove(mailbox) {
                    self.history.removed.insert(mailbox.clone(), gone.owner);
                }
            }
            Change::Rename { from, to } => {
                let family = self.history.family(from);
                let new = |name: &String| format!("{to}{}", &name[from.len()..]);
                let left = family.iter().filter(|name| self.found.contains_key(*name)).count();
                let come = family.iter().filter(|name| self.found.contains_key(&new(name))).count();
                match (left, come) {
                    (0, come) if come == family.len() => {
                        let faults = self.history.rename(from, to);
                        self.faults.extend(faults);
                    }
                    (left, 0) if left == family.len() => {}
                    _ => self.fault(
                        Kind::Half,
                        format!(
                            "RENAME {from} {to}: of {} mailboxes, {left} are left and {come} have come",
                            family.len()
                        ),
                    ),
                }
            }
            _ => {}
        }
    }

    /// Which mailboxes there are.
    fn names(&mut self) {
        let renamed = |name: &str| {
            let within = super::history::is_within;
            self.in_flight.iter().any(|change| match change {
                Change::Rename { from, to } => within(name, from) || within(name, to),
                _ => false,
            })
        };
        let known = &self.history.mailboxes;
        let lost = known.iter().filter(|(name, _)| !self.found.contains_key(*name) && !renamed(name));
        let lost = lost.map(|(name, mailbox)| {
            Fault::new(Kind::Lost, format!("mailbox {name} with {} messages", mailbox.messages.len()))
        });
        let more = self.found.keys().filter(|name| !known.contains_key(*name) && !renamed(name));
        let more = more.map(|name| Fault::new(Kind::Undone, format!("mailbox {name} is there")));
        let faults: Vec<Fault> = lost.chain(more).collect();
        self.faults.extend(faults);
    }

    fn mailbox(&mut self, name: &str, mailbox: &Mailbox, there: &FoundMailbox) {
        let validity = mailbox.validity.unwrap_or(there.validity);
        if validity != there.validity {
            let text = format!("{name}: UIDVALIDITY {} after {validity}", there.validity);
            self.fault(Kind::Lost, text);
            return;
        }
        if there.next < mailbox.next {
            self.fault(Kind::Back, format!("{name}: UIDNEXT {} after {}", there.next, mailbox.next));
        }
        if there.highest < mailbox.highest {
            self.fault(
                Kind::Back,
                format!("{name}: HIGHESTMODSEQ {} after {}", there.highest, mailbox.highest),
            );
        }
        for (uid, message) in &mailbox.messages {
            let place = format!("{name} UID {uid} ({})", message.token);
            match there.messages.get(uid) {
                Some(found) => self.known(&place, name, *uid, &message.flags, message.modseq, found),
                None if self.may_be_gone(name, *uid) => {}
                None => self.fault(self.gone(name), place),
            }
        }
        let mut arriving = self.arriving(name);
        for (uid, found) in &there.messages {
            let address = (name.to_owned(), validity, *uid);
            let fault = keep(&mut self.history.contents, address, found.message.token);
            let second = fault.is_some();
            self.faults.extend(fault);
            if !found.whole {
                self.fault(
                    Kind::Changed,
                    format!("{name} UID {uid} ({}): other octets", found.message.token),
                );
            } else if !mailbox.messages.contains_key(uid) && !second {
                self.arrived(name, *uid, found, &mut arriving);
            }
        }
    }

    /// A message that is missing from a mailbox is lost, or its mailbox is half deleted.
    fn gone(&self, name: &str) -> Kind {
        let deleted = |change: &Change| matches!(change, Change::Delete { mailbox } if mailbox == name);
        if self.in_flight.iter().any(deleted) { Kind::Half } else { Kind::Lost }
    }

    fn may_be_gone(&self, name: &str, uid: u32) -> bool {
        self.in_flight.iter().any(|change| match change {
            Change::Expunge { mailbox, uids } => mailbox == name && uids.contains(&uid),
            // Whether it has arrived then is looked at in the end.
            Change::Move { from, uids, .. } => from == name && uids.contains(&uid),
            _ => false,
        })
    }

    /// A message that was there before.
    fn known(&mut self, place: &str, name: &str, uid: u32, flags: &Flags, modseq: u64, found: &FoundMessage) {
        let wanted = self.in_flight.iter().find_map(|change| match change {
            Change::Store { mailbox, flags } if mailbox == name => flags.get(&uid),
            _ => None,
        });
        let is = &found.message.flags;
        if is != flags && Some(is) != wanted {
            let kind = if wanted.is_some() { Kind::Half } else { Kind::Changed };
            self.fault(kind, format!("{place}: {is:?}, not {flags:?}; in flight: {wanted:?}"));
        }
        if found.message.modseq < modseq {
            self.fault(Kind::Back, format!("{place}: MODSEQ {} after {modseq}", found.message.modseq));
        }
    }

    /// What may have arrived in a mailbox: tokens with their flags.
    fn arriving(&self, name: &str) -> Vec<(u64, Flags)> {
        let mut arriving = Vec::new();
        for change in self.in_flight {
            match change {
                Change::Append { mailbox, token, flags } if mailbox == name => {
                    arriving.push((*token, flags.clone()));
                }
                Change::Copy { from, uids, to } | Change::Move { from, uids, to } if to == name => {
                    let messages = self.history.mailboxes.get(from).map(|mailbox| &mailbox.messages);
                    let messages = uids.iter().filter_map(|uid| messages?.get(uid));
                    arriving.extend(messages.map(|message| (message.token, message.flags.clone())));
                }
                _ => {}
            }
        }
        arriving
    }

    /// A message that was not there before. It may be below a UIDNEXT that was told: what is made durable together is
    /// shown together, and the kill may come between two answers.
    fn arrived(&mut self, name: &str, uid: u32, found: &FoundMessage, arriving: &mut Vec<(u64, Flags)>) {
        let message = &found.message;
        let place = format!("{name} UID {uid} ({})", message.token);
        // Two copies of one message may be on their way, with flags of their own.
        let same =
            arriving.iter().position(|(token, flags)| (*token, flags) == (message.token, &message.flags));
        let at = same.or_else(|| arriving.iter().position(|(token, _)| *token == message.token));
        let Some(at) = at else {
            self.fault(Kind::Undone, format!("{place} is there: expunged, or put there twice"));
            return;
        };
        let (_, flags) = arriving.swap_remove(at);
        if message.flags != flags {
            self.fault(Kind::Half, format!("{place}: {:?}, not {flags:?}", message.flags));
        }
    }

    /// A MOVE is done for all its messages, or for none.
    fn moved(&mut self, change: &Change) {
        let Change::Move { from, uids, to } = change else { return };
        let before = |name: &str| self.history.mailboxes.get(name).map(|mailbox| &mailbox.messages);
        let after = |name: &str| self.found.get(name).map(|mailbox| &mailbox.messages);
        let (Some(source), Some(left), Some(target), Some(come)) =
            (before(from), after(from), before(to), after(to))
        else {
            return;
        };
        let mut places = BTreeMap::new();
        for uid in uids {
            let is_it = |found: &FoundMessage| found.message.token == source[uid].token;
            let arrived = come.iter().any(|(uid, found)| !target.contains_key(uid) && is_it(found));
            *places.entry((left.contains_key(uid), arrived)).or_insert(0) += 1;
        }
        let text = format!("MOVE of {uids:?} from {from} to {to}: {places:?} (is left, has come)");
        if places.contains_key(&(false, false)) {
            self.fault(Kind::Lost, text);
        } else if places.contains_key(&(true, true)) || places.len() > 1 {
            self.fault(Kind::Half, text);
        }
    }
}

/// What is there is what goes on.
fn adopt(history: &mut History, found: &Found) {
    for (name, there) in found {
        let mailbox = history.mailboxes.entry(name.clone()).or_default();
        mailbox.validity = Some(there.validity);
        mailbox.next = there.next;
        mailbox.highest = there.highest;
        mailbox.messages = there.messages.iter().map(|(uid, found)| (*uid, found.message.clone())).collect();
    }
}

/// Made-up histories: each fault that there can be is found, and what is allowed is none.
#[cfg(test)]
mod tests {
    use super::super::history::{Message, SHARED};
    use super::*;

    fn flags(text: &str) -> Flags {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn there(token: u64, text: &str) -> FoundMessage {
        FoundMessage { message: Message { token, flags: flags(text), modseq: 5 }, whole: true }
    }

    /// `a` has the messages 1 and 2 as UIDs 1 and 2, `b` and `b/c` the messages 3 and 4 as UIDs 7.
    fn before() -> (History, Found) {
        let mailbox = |messages: &[(u32, u64)], next| FoundMailbox {
            validity: 9,
            next,
            highest: 5,
            messages: messages.iter().map(|(uid, token)| (*uid, there(*token, "\\Seen"))).collect(),
        };
        let found = Found::from([
            ("a".to_owned(), mailbox(&[(1, 1), (2, 2)], 3)),
            ("b".to_owned(), mailbox(&[(7, 3)], 8)),
            ("b/c".to_owned(), mailbox(&[(7, 4)], 8)),
        ]);
        let mut history = History::default();
        adopt(&mut history, &found);
        for (name, mailbox) in &history.mailboxes {
            let addresses =
                mailbox.messages.iter().map(|(uid, message)| ((name.clone(), 9, *uid), message.token));
            history.contents.extend(addresses.collect::<Vec<_>>());
        }
        history.contents.insert(("a".to_owned(), 9, 99), 50);
        history.removed.insert("gone".to_owned(), SHARED);
        (history, found)
    }

    fn in_mailbox<'a>(found: &'a mut Found, name: &str) -> &'a mut FoundMailbox {
        found.get_mut(name).unwrap()
    }

    fn kinds(in_flight: &[Change], change: impl FnOnce(&mut Found)) -> Vec<Kind> {
        let (history, mut found) = before();
        change(&mut found);
        let faults = settle(&history, in_flight, &found).err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.kind).collect()
    }

    fn append() -> Change {
        Change::Append { mailbox: "a".to_owned(), token: 8, flags: flags("k") }
    }

    fn store() -> Change {
        Change::Store { mailbox: "a".to_owned(), flags: BTreeMap::from([(1, flags("\\Seen new"))]) }
    }

    fn moving() -> Change {
        Change::Move { from: "a".to_owned(), uids: vec![1, 2], to: "b".to_owned() }
    }

    fn rename() -> Change {
        Change::Rename { from: "b".to_owned(), to: "n".to_owned() }
    }

    fn delete() -> Change {
        Change::Delete { mailbox: "a".to_owned() }
    }

    fn move_message(found: &mut Found, uid: u32, new: u32) {
        let message = in_mailbox(found, "a").messages.remove(&uid).unwrap();
        let target = in_mailbox(found, "b");
        target.messages.insert(new, message);
        target.next = target.next.max(new + 1);
    }

    fn rename_mailbox(found: &mut Found, from: &str, to: &str) {
        let mailbox = found.remove(from).unwrap();
        found.insert(to.to_owned(), mailbox);
    }

    #[test]
    fn what_is_in_flight_may_have_been_done_or_not() {
        let create = Change::Create { mailbox: "gone".to_owned(), owner: 3 };
        let expunge = Change::Expunge { mailbox: "a".to_owned(), uids: vec![1, 2] };
        let copy = Change::Copy { from: "a".to_owned(), uids: vec![1, 2], to: "b".to_owned() };
        let all = [append(), store(), moving(), rename(), delete(), create, expunge, copy];
        for change in &all {
            assert_eq!(kinds(std::slice::from_ref(change), |_| ()), [], "{change:?}");
        }
        let [append, store, moving, rename, delete, create, expunge, copy] = all;
        let none: [Kind; 0] = [];
        assert_eq!(
            kinds(&[append], |found| {
                in_mailbox(found, "a").messages.insert(3, there(8, "k"));
                in_mailbox(found, "a").next = 4;
            }),
            none
        );
        assert_eq!(
            kinds(&[store], |found| {
                in_mailbox(found, "a").messages.insert(1, there(1, "\\Seen new"));
            }),
            none
        );
        assert_eq!(
            kinds(&[moving], |found| {
                move_message(found, 1, 8);
                move_message(found, 2, 9);
            }),
            none
        );
        assert_eq!(
            kinds(&[rename], |found| {
                rename_mailbox(found, "b", "n");
                rename_mailbox(found, "b/c", "n/c");
            }),
            none
        );
        assert_eq!(kinds(&[delete], |found| drop(found.remove("a"))), none);
        assert_eq!(
            kinds(&[create], |found| {
                found.insert("gone".to_owned(), FoundMailbox { validity: 10, ..FoundMailbox::default() });
            }),
            none
        );
        assert_eq!(kinds(&[expunge], |found| in_mailbox(found, "a").messages.clear()), none);
        assert_eq!(
            kinds(&[copy], |found| {
                let target = in_mailbox(found, "b");
                target.messages.extend([(8, there(1, "\\Seen")), (9, there(2, "\\Seen"))]);
                target.next = 10;
            }),
            none
        );
    }

    #[test]
    fn what_is_lost_is_found_out() {
        assert_eq!(kinds(&[], |found| drop(found.remove("a"))), [Kind::Lost]);
        assert_eq!(kinds(&[], |found| drop(in_mailbox(found, "a").messages.remove(&1))), [Kind::Lost]);
        assert_eq!(kinds(&[], |found| in_mailbox(found, "a").validity = 10), [Kind::Lost]);
        assert_eq!(kinds(&[store()], |found| drop(in_mailbox(found, "a").messages.remove(&1))), [Kind::Lost]);
        let neither = kinds(&[moving()], |found| {
            move_message(found, 1, 8);
            in_mailbox(found, "a").messages.remove(&2);
        });
        assert_eq!(neither, [Kind::Lost]);
    }

    #[test]
    fn what_is_back_or_came_by_itself_is_found_out() {
        let mailbox = FoundMailbox { validity: 1, ..FoundMailbox::default() };
        assert_eq!(kinds(&[], |found| drop(found.insert("gone".to_owned(), mailbox))), [Kind::Undone]);
        let again = |found: &mut Found| {
            in_mailbox(found, "a").messages.insert(99, there(50, ""));
            in_mailbox(found, "a").next = 100;
        };
        assert_eq!(kinds(&[], again), [Kind::Undone]);
        let twice = |found: &mut Found| {
            in_mailbox(found, "a").messages.extend([(3, there(8, "k")), (4, there(8, "k"))]);
            in_mailbox(found, "a").next = 5;
        };
        assert_eq!(kinds(&[append()], twice), [Kind::Undone]);
    }

    #[test]
    fn what_is_changed_is_found_out() {
        let other = |found: &mut Found| {
            in_mailbox(found, "a").messages.insert(1, there(1, "\\Seen new"));
        };
        assert_eq!(kinds(&[], other), [Kind::Changed]);
        assert_eq!(
            kinds(&[], |found| in_mailbox(found, "a").messages.get_mut(&1).unwrap().whole = false),
            [Kind::Changed]
        );
        let torn = |found: &mut Found| {
            in_mailbox(found, "a").messages.insert(3, FoundMessage { whole: false, ..there(8, "k") });
            in_mailbox(found, "a").next = 4;
        };
        assert_eq!(kinds(&[append()], torn), [Kind::Changed]);
    }

    #[test]
    fn two_copies_on_their_way_are_told_apart_by_their_flags() {
        let coming = |words| Change::Append { mailbox: "a".to_owned(), token: 8, flags: flags(words) };
        let came = |found: &mut Found| {
            in_mailbox(found, "a").messages.extend([(3, there(8, "\\Seen")), (4, there(8, "k"))]);
            in_mailbox(found, "a").next = 5;
        };
        assert_eq!(kinds(&[coming("k"), coming("\\Seen")], came), []);
        assert_eq!(kinds(&[coming("k"), coming("k")], came), [Kind::Half]);
    }

    #[test]
    fn a_uid_with_two_contents_is_found_out() {
        let other = |found: &mut Found| drop(in_mailbox(found, "a").messages.insert(1, there(2, "\\Seen")));
        assert_eq!(kinds(&[], other), [Kind::TwoContents]);
        // The one that had it was expunged.
        let reused = |found: &mut Found| {
            in_mailbox(found, "a").messages.insert(99, there(8, "k"));
            in_mailbox(found, "a").next = 100;
        };
        assert_eq!(kinds(&[append()], reused), [Kind::TwoContents]);
    }

    #[test]
    fn what_is_half_done_is_found_out() {
        let half = |found: &mut Found| {
            in_mailbox(found, "a").messages.insert(1, there(1, "new"));
        };
        assert_eq!(kinds(&[store()], half), [Kind::Half]);
        let both = |found: &mut Found| {
            in_mailbox(found, "b").messages.extend([(8, there(1, "\\Seen")), (9, there(2, "\\Seen"))]);
            in_mailbox(found, "b").next = 10;
        };
        assert_eq!(kinds(&[moving()], both), [Kind::Half]);
        assert_eq!(kinds(&[moving()], |found| move_message(found, 1, 8)), [Kind::Half]);
        assert_eq!(kinds(&[rename()], |found| rename_mailbox(found, "b", "n")), [Kind::Half]);
        assert_eq!(kinds(&[rename()], |found| drop((found.remove("b"), found.remove("b/c")))), [Kind::Half]);
        assert_eq!(
            kinds(&[delete()], |found| drop(in_mailbox(found, "a").messages.remove(&2))),
            [Kind::Half]
        );
        let bare = |found: &mut Found| {
            in_mailbox(found, "a").messages.insert(3, there(8, ""));
            in_mailbox(found, "a").next = 4;
        };
        assert_eq!(kinds(&[append()], bare), [Kind::Half]);
    }

    #[test]
    fn a_number_that_goes_back_is_found_out() {
        assert_eq!(kinds(&[], |found| in_mailbox(found, "a").next = 2), [Kind::Back]);
        assert_eq!(kinds(&[], |found| in_mailbox(found, "a").highest = 4), [Kind::Back]);
        let modseq =
            |found: &mut Found| in_mailbox(found, "a").messages.get_mut(&1).unwrap().message.modseq = 4;
        assert_eq!(kinds(&[], modseq), [Kind::Back]);
    }
}
