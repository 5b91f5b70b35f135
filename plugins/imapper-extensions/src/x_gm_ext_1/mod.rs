//! X-GM-EXT-1, what Gmail adds to IMAP: an email and its thread have numbers, and the mailboxes that hold it are its
//! labels. Google describes it in its guide for developers; there is no RFC. Written from knowledge of that.
//!
//! `label` says which mailbox is which label, `fetch`, `store` and `search` are the commands, `raw` reads the search
//! language and `part` looks for attachments.

mod fetch;
mod label;
mod part;
mod raw;
mod search;
mod store;

use std::collections::HashMap;

use imapper_core::registry::{Context, Extension, Registry};
use imapper_core::session::Reject;
use imapper_core::storage::{AccountId, MailboxId, Objects, Storage, StorageError};
use imapper_core::types::{Code, Uid};

pub(crate) const WORDS: &[&str] = &["X-GM-EXT-1", "X-GM-MSGID", "X-GM-THRID", "X-GM-LABELS", "X-GM-RAW"];

/// How many emails the storage is asked for at once.
const BATCH: usize = 256;

/// The extension.
#[derive(Clone, Copy, Debug, Default)]
pub struct XGmExt1;

impl Extension for XGmExt1 {
    fn name(&self) -> &'static str {
        "X-GM-EXT-1"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability_when("X-GM-EXT-1", |moment| objects_of(moment.storage).is_some());
        registry.fetch_item("X-GM-MSGID", fetch::Number::Email);
        registry.fetch_item("X-GM-THRID", fetch::Number::Thread);
        registry.fetch_item("X-GM-LABELS", fetch::Item);
        registry.store_item("X-GM-LABELS", store::Item::default());
        registry.search_key("X-GM-MSGID", search::Key::Email);
        registry.search_key("X-GM-THRID", search::Key::Thread);
        registry.search_key("X-GM-LABELS", search::Key::Label);
        registry.search_key("X-GM-RAW", search::Raw);
    }
}

/// The look-up of copies, where the storage knows which messages are copies of one another.
fn objects_of(storage: &dyn Storage) -> Option<&dyn Objects> {
    storage.as_objects().filter(|_| storage.caps().object_ids)
}

/// The same, or NO.
fn objects<'a>(cx: &'a Context<'_>) -> Result<&'a dyn Objects, Reject> {
    let missing = || Reject::code(Code::CANNOT, "this storage does not know which messages are the same");
    objects_of(&**cx.storage()).ok_or_else(missing)
}

/// Where each of these emails lies in the account.
type Places = HashMap<u64, Vec<(MailboxId, Uid)>>;

async fn places(
    objects: &dyn Objects,
    account: &AccountId,
    emails: impl Iterator<Item = u64>,
) -> Result<Places, StorageError> {
    let emails: Vec<u64> = emails.collect();
    let mut places = Places::new();
    for batch in emails.chunks(BATCH) {
        for (email, mailbox, uid) in objects.places(account, batch).await? {
            places.entry(email).or_default().push((mailbox, uid));
        }
    }
    Ok(places)
}
