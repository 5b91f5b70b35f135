//! Carries mail from one storage to another, with nothing but what every storage has.

use std::collections::BTreeMap;

use futures_util::{TryStreamExt as _, stream};
use imapper_bin::PluginError;
use imapper_core::message;
use imapper_core::storage::{AccountId, Mbox, NewMessage, Numbers, Row, Storage, StorageError, TreeOp, Want};
use imapper_core::types::{ModSeq, Uid, UidSet};

/// The mailboxes and the subscriptions of an account. A message that lies in several mailboxes does so afterwards.
/// Mod-sequences keep their order, none is lower than it was, and the highest of a mailbox is the same; those without
/// a gap between them are all the same.
pub(super) async fn carry(
    from: &dyn Storage,
    to: &dyn Storage,
    account: &AccountId,
) -> Result<(), PluginError> {
    let import = to.as_import().ok_or_else(|| PluginError::new("the storage takes no imports"))?;
    for mailbox in from.list(account).await? {
        if mailbox.no_select {
            return Err(PluginError::new(format!("{}: is no mailbox", mailbox.name)));
        }
        let old = Mbox { account: account.clone(), id: mailbox.id };
        let status = from.snapshot(&old).await?.status;
        let rows: Vec<Row> = from.rows(&old, &UidSet::all(), Want::ALL).await?.try_concat().await?;
        let mut steps: BTreeMap<ModSeq, Vec<Row>> = BTreeMap::new();
        for row in rows {
            steps.entry(row.modseq).or_default().push(row);
        }
        let numbers = Numbers {
            uid_validity: status.uid_validity,
            uid_next: status.uid_next,
            highest_modseq: ModSeq(status.highest_modseq.0 - steps.len() as u64),
        };
        let id = import.create(account, &mailbox.name, numbers).await?;
        let new = Mbox { account: account.clone(), id };
        if !mailbox.special_use.is_empty() {
            import.set_special_use(&new, mailbox.special_use).await?;
        }
        for rows in steps.into_values() {
            let mut messages = Vec::with_capacity(rows.len());
            for row in rows {
                messages.push(taken_in(from, to, account, row).await?);
            }
            import.put(&new, messages).await?;
        }
    }
    let there = to.subscriptions(account).await?;
    for name in from.subscriptions(account).await?.into_iter().filter(|name| !there.contains(name)) {
        to.tree(account, TreeOp::Subscribe { name, on: true }).await?;
    }
    Ok(())
}

/// A message whose body is in the other storage.
async fn taken_in(
    from: &dyn Storage,
    to: &dyn Storage,
    account: &AccountId,
    row: Row,
) -> Result<(Uid, NewMessage), StorageError> {
    let body = row.body.ok_or(StorageError::Gone)?;
    let octets: Vec<_> = from.read(&body, 0..row.size).await?.try_collect().await?;
    let octets = octets.concat();
    let keys = message::parse(&octets).thread_keys();
    let body = Box::pin(stream::once(async move { Ok(octets.into()) }));
    let staged = to.stage(account, Some(row.size), body).await?;
    let mut message = NewMessage::new(staged, row.flags, row.internal_date);
    message.save_date = row.save_date;
    message.email_id = row.email_id;
    message.thread_keys = keys;
    Ok((row.uid, message))
}
