//! Attributes, limits, and which messages are recent: small things that are written down and nothing else.

use std::sync::Arc;

use imapper_core::storage::{Attribute, MailboxId, QuotaLimits, Result};
use imapper_core::types::{ModSeq, Uid};

use super::batch::{Batch, Change, Stop};
use super::settings::Setting;
use super::{Account, State};
use crate::mailbox::entry::Entry;

type Planned<T> = std::result::Result<(Change, T), Stop>;

/// Plans that attributes are set, all or none; gives the keys whose value is another then.
pub(crate) fn set(batch: &mut Batch<'_>, attributes: &[Attribute]) -> Planned<(ModSeq, Vec<String>)> {
    batch.touch_all(&MailboxId::from("attributes"))?;
    let account = batch.account;
    let state = account.read();
    for id in attributes.iter().filter_map(|attribute| attribute.mbox.as_ref()) {
        state.slot(id)?;
    }
    let before = state.settings.modseq.max(ModSeq(1));
    let modseq = before.next();
    let (mut change, mut changed) = (Change::default(), Vec::new());
    for Attribute { mbox, key, value, .. } in attributes {
        let place = (mbox.clone(), key.clone());
        if state.settings.attributes.get(&place).map(|(value, _)| value) == value.as_ref() {
            continue;
        }
        changed.push(key.clone());
        change.settings.push(Setting::Attribute {
            mailbox: mbox.as_ref().map(ToString::to_string),
            key: key.clone(),
            value: value.as_ref().map(|value| value.to_vec()),
            modseq: modseq.0,
        });
    }
    let modseq = if changed.is_empty() { before } else { modseq };
    Ok((change, (modseq, changed)))
}

/// Plans what a mailbox is for.
pub(crate) fn set_uses(batch: &mut Batch<'_>, id: &MailboxId, uses: &[Arc<str>]) -> Planned<()> {
    batch.touch_all(&MailboxId::from("attributes"))?;
    batch.account.read().slot(id)?;
    let mut change = Change::default();
    let uses = uses.iter().map(ToString::to_string).collect();
    change.settings.push(Setting::Uses { mailbox: id.to_string(), uses });
    Ok((change, ()))
}

/// Plans the account's own limits.
pub(crate) fn set_limits(batch: &mut Batch<'_>, limits: QuotaLimits) -> Planned<()> {
    batch.touch_all(&MailboxId::from("limits"))?;
    let mut change = Change::default();
    change.settings.push(Setting::Limits { octets: limits.octets, messages: limits.messages });
    Ok((change, ()))
}

/// Plans that what is recent is told to one session: gives the first and the last of it.
pub(crate) fn claim_recent(batch: &mut Batch<'_>, id: &MailboxId) -> Planned<Option<(Uid, Uid)>> {
    batch.open(id)?;
    batch.touch_all(id)?;
    let account = batch.account;
    let state = account.read();
    let mailbox = state.mailbox(id)?;
    let claimed = mailbox.recent();
    let mut change = Change::default();
    if claimed.is_some() {
        change.entries.push((id.clone(), vec![Entry::Recent { from: mailbox.uid_next.get() }]));
    }
    Ok((change, claimed))
}

impl Account {
    /// The attributes whose key begins with `prefix`.
    pub(crate) fn attributes(&self, mailbox: Option<&MailboxId>, prefix: &str) -> Result<Vec<Attribute>> {
        let state: &State = &self.read();
        if let Some(id) = mailbox {
            state.slot(id)?;
        }
        let found = state
            .settings
            .attributes
            .range((mailbox.cloned(), prefix.to_owned())..)
            .take_while(|((owner, key), _)| owner.as_ref() == mailbox && key.starts_with(prefix));
        let found = found.map(|((mbox, key), (value, modseq))| Attribute {
            mbox: mbox.clone(),
            key: key.clone(),
            value: Some(value.clone()),
            modseq: *modseq,
        });
        Ok(found.collect())
    }

    /// The mailboxes that carry a key.
    pub(crate) fn holders(&self, key: &str) -> Vec<MailboxId> {
        let state = self.read();
        let owners = state.settings.attributes.keys().filter(|(_, at)| at == key);
        owners.filter_map(|(owner, _)| owner.clone()).collect()
    }
}
