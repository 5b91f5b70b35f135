//! RENAME (RFC 3501 §6.3.5).

use std::sync::Arc;

use async_trait::async_trait;

use super::create;
use crate::registry::{Context, Flow, Found, InAuthenticated, Outcome, Row, Run};
use crate::session::{Login, Place, Reject, Rights};
use crate::storage::{AccountId, CopyMode, MailboxId, MailboxInfo, Mbox, StorageError, TreeOp};
use crate::types::{Code, UidSet};
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("RENAME", Run::authenticated(Rename))
}

struct Rename;

#[async_trait]
impl InAuthenticated for Rename {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let from = args.mailbox()?;
        args.sp()?;
        let to = args.mailbox()?;
        args.end()?;
        let from = cx.place(&from, &login.identity)?;
        let mailboxes = cx.storage().list(&from.account).await?;
        let below = format!("{}/", from.name);
        if !mailboxes.iter().any(|mailbox| mailbox.name == from.name) {
            return rename_below(cx, login, &from, &to, &mailboxes).await;
        }
        let found = cx.find_place(from.clone(), login, Rights::DELETE_MAILBOX).await?;
        let to = target(cx, login, &from, &to, &mailboxes).await?;
        if from.name == "INBOX" {
            return move_inbox(cx, login, found, &to).await;
        }
        if to.name.starts_with(&below) {
            return Err(Reject::code(Code::CANNOT, "a mailbox can't be moved below itself"));
        }
        let (storage, account) = (Arc::clone(cx.storage()), from.account);
        let parents = missing_parents(&to, &mailboxes);
        let id = found.info.id;
        cx.finish(async move {
            make_parents(&*storage, &account, parents).await?;
            storage.tree(&account, TreeOp::Rename { id, to: to.name }).await
        })
        .await?;
        Ok(Flow::done())
    }
}

/// What the new name means, and whether it can be given.
async fn target(
    cx: &Context<'_>,
    login: &Login,
    from: &Place,
    to: &str,
    mailboxes: &[MailboxInfo],
) -> Result<Place, Reject> {
    let to = cx.new_place(to, &login.identity)?;
    if to.account != from.account {
        return Err(Reject::code(Code::CANNOT, "a mailbox can't be moved to another owner"));
    }
    let find = |name: &str| mailboxes.iter().find(|mailbox| mailbox.name == name);
    if to.name == "INBOX" || find(&to.name).is_some() {
        return Err(Reject::code(Code::ALREADYEXISTS, "there is a mailbox of that name already"));
    }
    let above = to.parents().filter_map(find).last();
    if !cx.rights(&to, login, above).await?.contains(Rights::CREATE) {
        return Err(Reject::code(Code::NOPERM, "you may not make mailboxes there"));
    }
    Ok(to)
}

fn missing_parents(place: &Place, mailboxes: &[MailboxInfo]) -> Vec<String> {
    let there = |name: &str| mailboxes.iter().any(|mailbox| mailbox.name == name);
    place.parents().filter(|name| !there(name) && *name != "INBOX").map(str::to_owned).collect()
}

async fn make_parents(
    storage: &dyn crate::storage::Storage,
    account: &AccountId,
    parents: Vec<String>,
) -> Result<(), StorageError> {
    for name in parents {
        match storage.tree(account, TreeOp::Create { name, special_use: Vec::new() }).await {
            Ok(_) | Err(StorageError::Exists) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// INBOX stays: its messages move to the new mailbox (RFC 3501 §6.3.5), mailboxes below it stay too.
async fn move_inbox(cx: &Context<'_>, login: &Login, inbox: Found, to: &Place) -> Outcome {
    let made = create::make(cx, login, to, Vec::new()).await?;
    let storage = Arc::clone(cx.storage());
    let to = Mbox { account: to.account.clone(), id: made.id };
    cx.finish(async move {
        let moved = storage.copy(&inbox.mbox, &UidSet::all(), &to, CopyMode::Move).await;
        if moved.is_err() {
            // As before: the new mailbox goes again.
            let _ = storage.tree(&to.account, TreeOp::Delete { id: to.id }).await;
        }
        moved
    })
    .await?;
    Ok(Flow::done())
}

/// A name that is no mailbox, with mailboxes below it: these get other names, each in a step of its own.
async fn rename_below(
    cx: &Context<'_>,
    login: &Login,
    from: &Place,
    to: &str,
    mailboxes: &[MailboxInfo],
) -> Outcome {
    let missing = || Reject::code(Code::NONEXISTENT, "there is no such mailbox");
    let prefix = format!("{}/", from.name);
    let mut below: Vec<&MailboxInfo> =
        mailboxes.iter().filter(|mailbox| mailbox.name.starts_with(&prefix)).collect();
    below.sort_by(|a, b| a.name.cmp(&b.name));
    // Those below others move along with them.
    let mut tops: Vec<&MailboxInfo> = Vec::new();
    for mailbox in below {
        let along = |top: &&MailboxInfo| {
            mailbox.name.strip_prefix(&top.name).is_some_and(|rest| rest.starts_with('/'))
        };
        if !tops.iter().any(along) {
            tops.push(mailbox);
        }
    }
    if tops.is_empty() || !cx.rights(from, login, None).await?.contains(Rights::DELETE_MAILBOX) {
        return Err(missing());
    }
    let to = target(cx, login, from, to, mailboxes).await?;
    if to.name.starts_with(&prefix) {
        return Err(Reject::code(Code::CANNOT, "a name can't be moved below itself"));
    }
    let renames: Vec<(MailboxId, String)> = tops
        .into_iter()
        .filter_map(|top| Some((top.id.clone(), format!("{}/{}", to.name, top.name.strip_prefix(&prefix)?))))
        .collect();
    let mut parents = missing_parents(&to, mailboxes);
    parents.push(to.name);
    let (storage, account) = (Arc::clone(cx.storage()), from.account.clone());
    cx.finish(async move {
        make_parents(&*storage, &account, parents).await?;
        for (id, to) in renames {
            storage.tree(&account, TreeOp::Rename { id, to }).await?;
        }
        Ok(())
    })
    .await?;
    Ok(Flow::done())
}
