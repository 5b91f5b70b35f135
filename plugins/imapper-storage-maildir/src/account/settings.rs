//! What an account keeps beside its mailboxes: attributes, what mailboxes are for, limits of its own, and the last
//! UIDVALIDITY that was given. A log like that of a mailbox; another process sees by its length that the account has
//! changed.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use imapper_core::storage::{MailboxId, QuotaLimits, Result, StorageError};
use imapper_core::types::{ModSeq, UidValidity};
use serde::{Deserialize, Serialize};

use crate::mailbox::validity_now;

/// The file of an account.
pub(crate) const SETTINGS: &str = "imapper.account";

/// A change of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Setting {
    /// An attribute of a mailbox or of the account; without a value it goes.
    Attribute { mailbox: Option<String>, key: String, value: Option<Vec<u8>>, modseq: u64 },
    /// What a mailbox is for.
    Uses { mailbox: String, uses: Vec<String> },
    /// A mailbox has gone, with all that is its.
    Gone { mailbox: String },
    /// The account's own limits.
    Limits { octets: Option<u64>, messages: Option<u64> },
    /// No new mailbox gets a UIDVALIDITY up to there.
    Validity { last: u32 },
    /// The tree of mailboxes is another one.
    Tree,
    /// Messages are on their way to a mailbox of another account.
    Moving(Moving),
    /// They have arrived, or never left. Named by their first file.
    Moved { first: String },
}

/// Messages that are moved to another account: their files there are named here, so that after a crash it can be
/// seen whether they have arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moving {
    pub(crate) from: String,
    pub(crate) uids: Vec<(u32, u32)>,
    pub(crate) to_account: String,
    pub(crate) to: String,
    /// The base of the first file: all arrive in one step.
    pub(crate) first: String,
}

/// An attribute's place: whose it is, and its key.
pub(crate) type Place = (Option<MailboxId>, String);

/// All that is set.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) attributes: BTreeMap<Place, (Bytes, ModSeq)>,
    pub(crate) modseq: ModSeq,
    pub(crate) uses: BTreeMap<MailboxId, Vec<Arc<str>>>,
    pub(crate) limits: QuotaLimits,
    pub(crate) moving: Vec<Moving>,
    last_validity: u32,
    pub(crate) entries: u64,
}

impl Settings {
    pub(crate) fn apply(&mut self, settings: &[Setting]) {
        self.entries = self.entries.saturating_add(settings.len() as u64);
        for setting in settings {
            match setting {
                Setting::Attribute { mailbox, key, value, modseq } => {
                    let place = (mailbox.as_deref().map(MailboxId::from), key.clone());
                    let modseq = ModSeq(*modseq);
                    self.modseq = self.modseq.max(modseq);
                    match value {
                        Some(value) => self.attributes.insert(place, (Bytes::copy_from_slice(value), modseq)),
                        None => self.attributes.remove(&place),
                    };
                }
                Setting::Uses { mailbox, uses } => {
                    let uses = uses.iter().map(|word| word.as_str().into()).collect();
                    self.uses.insert(MailboxId::from(mailbox.as_str()), uses);
                }
                Setting::Gone { mailbox } => {
                    let id = MailboxId::from(mailbox.as_str());
                    self.uses.remove(&id);
                    self.attributes.retain(|(owner, _), _| owner.as_ref() != Some(&id));
                }
                Setting::Limits { octets, messages } => self.limits = QuotaLimits::new(*octets, *messages),
                Setting::Validity { last } => self.last_validity = self.last_validity.max(*last),
                Setting::Tree => {}
                Setting::Moving(moving) => self.moving.push(moving.clone()),
                Setting::Moved { first } => self.moving.retain(|moving| moving.first != *first),
            }
        }
    }

    /// A UIDVALIDITY that no mailbox of the account ever had.
    pub(crate) fn next_validity(&self) -> Result<UidValidity> {
        let next = self.last_validity.checked_add(1).map(|next| next.max(validity_now().get()));
        next.and_then(NonZeroU32::new).ok_or(StorageError::Limit("UIDVALIDITY is used up"))
    }

    /// All that is set, as few entries as can be.
    pub(crate) fn to_settings(&self) -> Vec<Setting> {
        let mut all = vec![
            Setting::Validity { last: self.last_validity },
            Setting::Limits { octets: self.limits.octets, messages: self.limits.messages },
        ];
        all.extend(self.attributes.iter().map(|((mailbox, key), (value, modseq))| Setting::Attribute {
            mailbox: mailbox.as_ref().map(ToString::to_string),
            key: key.clone(),
            value: Some(value.to_vec()),
            modseq: modseq.0,
        }));
        all.extend(self.uses.iter().map(|(id, uses)| Setting::Uses {
            mailbox: id.to_string(),
            uses: uses.iter().map(ToString::to_string).collect(),
        }));
        all.extend(self.moving.iter().cloned().map(Setting::Moving));
        all
    }
}
