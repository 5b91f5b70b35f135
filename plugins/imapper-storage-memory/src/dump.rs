//! Writing what a storage holds as a fixture.

use std::collections::BTreeSet;

use async_trait::async_trait;
use imapper_core::storage::{AccountId, Dump, Dumping, Result, StorageError};
use serde::Serialize as _;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use crate::Memory;
use crate::account::{Account, State};
use crate::fixture::{FixtureNamespace, NamespaceKind};
use crate::mailbox::{Mailbox, Message};
use crate::tree::INBOX;

impl Memory {
    /// All that a user sees, in the format of [`Fixture`](crate::Fixture), which can read it again: the
    /// user's own mailboxes, shared ones, and those of other users that the fixture gave.
    ///
    /// What the format has no words for is left out: attributes, object ids, subscriptions to names that do
    /// not exist. A line feed by itself comes back as CRLF.
    pub fn dump(&self, account: &AccountId, options: Dump) -> Result<Value> {
        self.dump_of(&*self.account(account)?, account, options)
    }

    fn dump_of(&self, own: &Account, account: &AccountId, options: Dump) -> Result<Value> {
        let subscriptions = own.read().subscriptions.clone();
        let mut writer = Writer { options, subscriptions, labelled: BTreeSet::new() };
        let mut top = Map::new();
        let own = own.read();
        if let Some(inbox) = own.by_name(INBOX) {
            let mut folder = Map::new();
            writer.mailbox(&own, inbox, INBOX, Some(true), &mut folder);
            top.insert(INBOX.to_owned(), Value::Object(folder));
        }
        let personal = self.namespaces.iter().filter(|space| space.kind == NamespaceKind::Personal);
        let roots: Vec<&str> =
            personal.map(|space| space.root.as_str()).filter(|root| !root.is_empty()).collect();
        for space in self.namespaces.iter().filter(|space| space.kind == NamespaceKind::Personal) {
            let mut folder = header(space);
            for mailbox in own.names.values().filter_map(|id| own.mailboxes.get(id)) {
                let elsewhere =
                    space.root.is_empty() && roots.iter().any(|root| mailbox.name.starts_with(root));
                let Some(rest) = mailbox.name.strip_prefix(&space.root).filter(|_| !elsewhere) else {
                    continue;
                };
                if rest == INBOX {
                    continue;
                }
                let name = mailbox.name.as_str();
                if let Some(child) = rest.strip_prefix("INBOX/").filter(|_| space.root.is_empty()) {
                    let Some(Value::Object(inbox)) = top.get_mut(INBOX) else { continue };
                    writer.below(&own, mailbox, name, child, Some(true), inbox);
                } else {
                    writer.below(&own, mailbox, name, rest, Some(true), &mut folder);
                }
            }
            top.insert(space.prefix.clone(), Value::Object(folder));
        }
        drop(own);
        writer.options.labels = false;
        self.dump_others(&mut writer, account, &mut top)?;
        Ok(Value::Object(top))
    }

    /// A dump of each account that was used, by its name.
    pub fn dump_all(&self, options: Dump) -> Result<Value> {
        let mut all = Map::new();
        let mut accounts: Vec<AccountId> = self.known_accounts().into_iter().map(|(id, _)| id).collect();
        accounts.sort();
        for id in accounts.into_iter().filter(|id| !self.shared().contains(id)) {
            let dump = self.dump(&id, options)?;
            all.insert(id.to_string(), dump);
        }
        Ok(Value::Object(all))
    }

    /// What there is where nobody in particular asks: see [`Dumping::write`].
    fn dump_any(&self, options: Dump) -> Result<Value> {
        let mut users = self.users();
        match (users.pop(), users.is_empty()) {
            (None, _) => {
                // An account that nobody has. Its mail is made for the dump, and then dropped.
                let nobody = AccountId::from("");
                self.dump_of(&self.new_account(&nobody)?, &nobody, options)
            }
            (Some(only), true) => self.dump(&only, options),
            _ => self.dump_all(options),
        }
    }

    /// The namespaces that are not the user's own.
    fn dump_others(&self, writer: &mut Writer, own: &AccountId, top: &mut Map<String, Value>) -> Result<()> {
        let mut others: Vec<FixtureNamespace> =
            self.namespaces.iter().filter(|space| space.kind != NamespaceKind::Personal).cloned().collect();
        let told: Vec<AccountId> = others.iter().flat_map(|space| space.accounts.clone()).collect();
        for id in self.shared().iter().filter(|id| !told.contains(id)) {
            let mut space = FixtureNamespace::personal(id.as_str(), '/');
            space.kind = NamespaceKind::Shared;
            space.accounts.push(id.clone());
            others.push(space);
        }
        for space in others {
            let mut folder = header(&space);
            for id in space.accounts.iter().filter(|id| *id != own) {
                let account = self.account(id)?;
                let state = account.read();
                for mailbox in state.names.values().filter_map(|id| state.mailboxes.get(id)) {
                    let own_name = mailbox.name.as_str();
                    let (name, qualified) = match (space.kind, own_name) {
                        (NamespaceKind::OtherUsers, INBOX) => (id.to_string(), format!("{id}/{INBOX}")),
                        (NamespaceKind::OtherUsers, name) => (format!("{id}/{name}"), format!("{id}/{name}")),
                        (_, name) => (name.to_owned(), name.to_owned()),
                    };
                    let qualified = format!("{}{qualified}", space.prefix);
                    writer.below(&state, mailbox, &qualified, &name, None, &mut folder);
                }
            }
            top.insert(space.prefix.clone(), Value::Object(folder));
        }
        Ok(())
    }
}

#[async_trait]
impl Dumping for Memory {
    async fn write(&self, account: Option<&AccountId>, what: Dump) -> Result<String> {
        let dump = match account {
            Some(account) => self.dump(account, what)?,
            None => self.dump_any(what)?,
        };
        let mut json = Vec::new();
        // In the form of the original's dumps.
        let mut serializer = Serializer::with_formatter(&mut json, PrettyFormatter::with_indent(b"    "));
        dump.serialize(&mut serializer).map_err(StorageError::backend)?;
        String::from_utf8(json).map_err(StorageError::backend)
    }
}

fn header(space: &FixtureNamespace) -> Map<String, Value> {
    let kind = match space.kind {
        NamespaceKind::Personal => "personal",
        NamespaceKind::OtherUsers => "user",
        NamespaceKind::Shared => "shared",
    };
    let mut folder = Map::new();
    folder.insert("type".to_owned(), kind.into());
    folder.insert("separator".to_owned(), space.separator.to_string().into());
    folder.insert("folders".to_owned(), json!({}));
    folder
}

struct Writer {
    options: Dump,
    subscriptions: BTreeSet<String>,
    /// Emails that have been written, where each is written once.
    labelled: BTreeSet<u64>,
}

impl Writer {
    /// Writes a mailbox some levels below a folder. A level that does not exist is a placeholder.
    fn below(
        &mut self,
        state: &State,
        mailbox: &Mailbox,
        qualified: &str,
        levels: &str,
        subscribed: Option<bool>,
        folder: &mut Map<String, Value>,
    ) {
        let mut folder = folder;
        for level in levels.split('/') {
            if folder.is_empty() {
                folder.insert("flags".to_owned(), json!(["\\Noselect"]));
                folder.insert("subscribed".to_owned(), false.into());
            }
            let folders = folder.entry("folders").or_insert_with(|| json!({}));
            let Some(folders) = folders.as_object_mut() else { return };
            let next = folders.entry(level).or_insert_with(|| json!({}));
            let Some(next) = next.as_object_mut() else { return };
            folder = next;
        }
        self.mailbox(state, mailbox, qualified, subscribed, folder);
    }

    /// Writes what a mailbox is and holds. `qualified` is how it is called in subscriptions, `subscribed` what
    /// goes without saying about them.
    fn mailbox(
        &mut self,
        state: &State,
        mailbox: &Mailbox,
        qualified: &str,
        subscribed: Option<bool>,
        folder: &mut Map<String, Value>,
    ) {
        let is_subscribed = self.subscriptions.contains(qualified);
        if is_subscribed != subscribed.unwrap_or(false) {
            folder.insert("subscribed".to_owned(), is_subscribed.into());
        }
        if self.options.special_use && !mailbox.special_use.is_empty() {
            let uses: Vec<&str> = mailbox.special_use.iter().map(AsRef::as_ref).collect();
            folder.insert("special-use".to_owned(), uses.into());
        }
        if mailbox.no_select {
            folder.insert("flags".to_owned(), json!(["\\Noselect"]));
            return;
        }
        if !mailbox.new_keywords {
            folder.insert("allowPermanentFlags".to_owned(), false.into());
        }
        folder.insert("uidvalidity".to_owned(), mailbox.uid_validity.get().into());
        folder.insert("uidnext".to_owned(), mailbox.uid_next.get().into());
        if self.options.modseq {
            folder.insert("highestmodseq".to_owned(), mailbox.modseq().0.into());
        }
        let mut messages = Vec::new();
        for (uid, message) in mailbox.messages() {
            if self.options.labels && !self.labelled.insert(message.email_id) {
                continue;
            }
            let mut object = Map::new();
            object.insert("raw".to_owned(), raw(message).into());
            object.insert("internaldate".to_owned(), message.internal_date.to_string().into());
            object.insert("flags".to_owned(), message.flags.names().collect::<Vec<_>>().into());
            object.insert("uid".to_owned(), uid.get().into());
            if self.options.modseq {
                object.insert("modseq".to_owned(), message.modseq.0.into());
            }
            let labels = if self.options.labels { labels(state, mailbox, message) } else { Vec::new() };
            if !labels.is_empty() {
                object.insert("labels".to_owned(), labels.into());
            }
            messages.push(Value::Object(object));
        }
        folder.insert("messages".to_owned(), messages.into());
    }
}

/// The other mailboxes that an email lies in.
fn labels(state: &State, mailbox: &Mailbox, message: &Message) -> Vec<String> {
    let others = state.places(message.email_id).iter().filter(|(id, _)| *id != mailbox.id);
    let names: BTreeSet<&str> =
        others.filter_map(|(id, _)| state.mailboxes.get(id)).map(|mailbox| mailbox.name.as_str()).collect();
    names.into_iter().map(|name| if name == INBOX { "\\Inbox".to_owned() } else { name.to_owned() }).collect()
}

/// A character for each octet, as the format wants it.
fn raw(message: &Message) -> String {
    message.body.octets().iter().copied().map(char::from).collect()
}
