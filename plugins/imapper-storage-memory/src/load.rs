//! Filling an account from a fixture. Bodies are kept once, however many accounts get a copy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use imapper_core::message;
use imapper_core::storage::{AccountId, Result};
use imapper_core::types::{Flags, InternalDate, ModSeq, SystemFlag, Uid};

use crate::account::{Ids, State};
use crate::body::{Bodies, Body};
use crate::copy::MAX_THREAD_KEYS;
use crate::fixture::{self, Fixture};
use crate::mailbox::{Mailbox, Message};
use crate::tree::INBOX;

/// What accounts hold at first.
#[derive(Debug)]
pub(crate) struct Template {
    /// For every user.
    personal: Vec<Filled>,
    subscriptions: Vec<String>,
    /// For accounts of shared trees and of other users.
    accounts: BTreeMap<AccountId, Vec<Filled>>,
    /// When messages came that do not say so.
    loaded: SystemTime,
}

/// A mailbox of the fixture, and the bodies of its messages, each with what ties it to a conversation.
#[derive(Debug)]
struct Filled {
    mailbox: fixture::Mailbox,
    bodies: Vec<(Arc<Body>, Arc<[u64]>)>,
}

impl Template {
    pub(crate) fn new(fixture: Fixture, bodies: &Arc<Bodies>, loaded: SystemTime) -> Self {
        let fill = |mut mailbox: fixture::Mailbox| {
            let keep = |message: &mut fixture::Message| {
                let raw = std::mem::take(&mut message.raw);
                let keys = message::parse(&raw).thread_keys();
                (bodies.keep(raw), keys.into_iter().take(MAX_THREAD_KEYS).collect())
            };
            let bodies = mailbox.messages.iter_mut().map(keep).collect();
            Filled { mailbox, bodies }
        };
        let fill = |mailboxes: Vec<fixture::Mailbox>| mailboxes.into_iter().map(fill).collect();
        Self {
            personal: fill(fixture.personal),
            subscriptions: fixture.subscriptions,
            accounts: fixture.accounts.into_iter().map(|(id, mailboxes)| (id, fill(mailboxes))).collect(),
            loaded,
        }
    }

    /// The accounts that the fixture names.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &AccountId> {
        self.accounts.keys()
    }

    /// Fills an account that is new.
    pub(crate) fn load(&self, state: &mut State, ids: &Ids, account: &AccountId) -> Result<()> {
        let mailboxes = match self.accounts.get(account) {
            Some(own) => own,
            None if state.personal => {
                state.subscriptions.extend(self.subscriptions.iter().cloned());
                &self.personal
            }
            None => return Ok(()),
        };
        for validity in mailboxes.iter().filter_map(|filled| filled.mailbox.uid_validity) {
            state.use_validity(validity);
        }
        let mut labelled = Vec::new();
        for filled in mailboxes {
            self.load_mailbox(state, ids, filled, &mut labelled)?;
        }
        for (label, message) in labelled {
            add_label(state, ids, &label, message)?;
        }
        Ok(())
    }

    fn load_mailbox(
        &self,
        state: &mut State,
        ids: &Ids,
        filled: &Filled,
        labelled: &mut Vec<(String, Message)>,
    ) -> Result<()> {
        let given = &filled.mailbox;
        let validity = match given.uid_validity {
            Some(validity) => validity,
            None => state.new_validity()?,
        };
        let mut mailbox = Mailbox::new(ids.mailbox(), given.name.clone(), validity);
        mailbox.no_select = given.no_select;
        mailbox.special_use.clone_from(&given.special_use);
        let above = given.messages.iter().filter_map(|message| message.uid).map(Uid::next).max();
        let mut next = given.uid_next.into_iter().chain(above).max().unwrap_or(Uid::MIN);
        let mut modseq = ModSeq::ZERO;
        let mut messages = Vec::with_capacity(given.messages.len());
        for (message, (body, keys)) in given.messages.iter().zip(&filled.bodies) {
            let uid = message.uid.unwrap_or(next);
            if message.uid.is_none() {
                next = next.next();
            }
            let own = message.modseq.unwrap_or_else(|| modseq.next());
            modseq = modseq.max(own);
            let email_id = ids.next();
            let mut loaded = Message {
                flags: message.flags.clone(),
                modseq: own,
                internal_date: message
                    .internal_date
                    .unwrap_or_else(|| InternalDate::from_system_time(self.loaded)),
                save_date: self.loaded,
                email_id,
                thread_id: state.enter(ids, email_id, keys, &mailbox.id, (uid, body.size())),
                body: Arc::clone(body),
            };
            for label in &message.labels {
                if label.eq_ignore_ascii_case("\\Starred") {
                    loaded.flags = loaded.flags.with(&Flags::from(SystemFlag::Flagged));
                }
            }
            labelled.extend(message.labels.iter().map(|label| (label.clone(), loaded.clone())));
            messages.push((uid, loaded));
        }
        mailbox.admit(messages.iter().map(|(_, message)| &message.flags))?;
        mailbox.load(messages);
        mailbox.uid_next = mailbox.uid_next.max(next);
        mailbox.begin_at(given.highest_modseq);
        mailbox.new_keywords = given.new_keywords;
        state.add(mailbox);
        Ok(())
    }
}

/// Puts a copy of a message into the mailbox that a label names, which is made when needed.
fn add_label(state: &mut State, ids: &Ids, label: &str, message: Message) -> Result<()> {
    let Some(id) = labelled_mailbox(state, ids, label)? else { return Ok(()) };
    if state.places(message.email_id).iter().any(|(place, _)| *place == id) {
        return Ok(());
    }
    let mailbox = state.mailbox_mut(&id)?;
    let (uid, email_id) = (mailbox.uid_next, message.email_id);
    mailbox.admit(std::iter::once(&message.flags))?;
    let size = message.body.size();
    mailbox.insert(vec![(uid, message)]);
    state.enter(ids, email_id, &Arc::default(), &id, (uid, size));
    Ok(())
}

/// The mailbox of a label: by name; `\Inbox` and those of RFC 6154 by their use. `None` for one that is a flag.
fn labelled_mailbox(
    state: &mut State,
    ids: &Ids,
    label: &str,
) -> Result<Option<imapper_core::storage::MailboxId>> {
    let (name, use_attribute) = match label.strip_prefix('\\') {
        None => (label, None),
        Some(word) if word.eq_ignore_ascii_case(INBOX) => (INBOX, None),
        Some(word) if word.eq_ignore_ascii_case("Starred") => return Ok(None),
        Some(word) if word.eq_ignore_ascii_case("Draft") => ("Drafts", Some("\\Drafts")),
        Some(word) if word.eq_ignore_ascii_case("Spam") => ("Spam", Some("\\Junk")),
        Some(word) => (word, Some(label)),
    };
    if let Some(wanted) = use_attribute {
        let has_use =
            |mailbox: &&Mailbox| mailbox.special_use.iter().any(|one| one.eq_ignore_ascii_case(wanted));
        // The first by name, as several may be for the same.
        let mut mailboxes = state.names.values().filter_map(|id| state.mailboxes.get(id));
        if let Some(mailbox) = mailboxes.find(|mailbox| !mailbox.no_select && has_use(mailbox)) {
            return Ok(Some(mailbox.id.clone()));
        }
    }
    if let Some(mailbox) = state.by_name(name).filter(|mailbox| !mailbox.no_select) {
        return Ok(Some(mailbox.id.clone()));
    }
    let special_use = use_attribute.map(Arc::from).into_iter().collect();
    Ok(Some(state.create(ids, name.to_owned(), special_use)?.id.clone()))
}
