//! CREATE (RFC 3501 §6.3.3).

use std::sync::Arc;

use async_trait::async_trait;

use super::parameters;
use crate::registry::slots::{CreateParameter, CreatePlan};
use crate::registry::{Context, Flow, InAuthenticated, Outcome, Row, Run};
use crate::session::{Login, Place, Reject, Rights};
use crate::storage::{MailboxInfo, StorageError, TreeOp};
use crate::types::Code;
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("CREATE", Run::authenticated(Create))
}

struct Create;

#[async_trait]
impl InAuthenticated for Create {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let name = args.mailbox()?;
        let (plan, checks) = plan(cx, args)?;
        args.end()?;
        let place = place_to_make(cx, login, &name)?;
        for parameter in checks {
            parameter.check(&place, &plan)?;
        }
        match (make(cx, login, &place, plan.special_use).await, plan.refusal) {
            (Err(Reject::Storage(StorageError::Unsupported)), Some(code)) => {
                Err(Reject::code(code, "the storage can't make such a mailbox"))
            }
            (Err(reject), _) => Err(reject),
            (Ok(_), _) => Ok(Flow::done()),
        }
    }
}

/// What is to be made, and the parameters that say so.
fn plan(
    cx: &mut Context<'_>,
    args: &mut Args<'_>,
) -> Result<(CreatePlan, Vec<Arc<dyn CreateParameter>>), Reject> {
    let (mut plan, mut checks) = (CreatePlan::default(), Vec::new());
    let shared = Arc::clone(cx.shared);
    if shared.registry.create_parameters.is_empty() || !args.eat(b' ') {
        return Ok((plan, checks));
    }
    parameters::each(args, &shared.registry.create_parameters, |parameter, args| {
        checks.push(Arc::clone(parameter));
        parameter.parse(cx, args, &mut plan)
    })?;
    Ok((plan, checks))
}

/// What the name of a new mailbox means. A separator at its end only says that there will be names below it
/// (RFC 3501 §6.3.3).
fn place_to_make(cx: &Context<'_>, login: &Login, name: &str) -> Result<Place, Reject> {
    let separator = cx.shared.namespaces.place(name, &login.identity).map(|place| place.separator);
    let name = separator.and_then(|separator| name.strip_suffix(separator)).unwrap_or(name);
    cx.new_place(name, &login.identity)
}

/// Makes a mailbox, and those above it that are missing.
pub async fn make(
    cx: &Context<'_>,
    login: &Login,
    place: &Place,
    special_use: Vec<Arc<str>>,
) -> Result<MailboxInfo, Reject> {
    let mailboxes = cx.storage().list(&place.account).await?;
    let find = |name: &str| mailboxes.iter().find(|mailbox| mailbox.name == name);
    if find(&place.name).is_some_and(|mailbox| !mailbox.no_select) || place.name == "INBOX" {
        return Err(Reject::code(Code::ALREADYEXISTS, "there is a mailbox of this name already"));
    }
    let above = place.parents().filter_map(find).last();
    if !cx.rights(place, login, above).await?.contains(Rights::CREATE) {
        return Err(Reject::code(Code::NOPERM, "you may not make mailboxes there"));
    }
    let missing: Vec<String> =
        place.parents().filter(|name| find(name).is_none() && *name != "INBOX").map(str::to_owned).collect();
    let (storage, account, name) = (Arc::clone(cx.storage()), place.account.clone(), place.name.clone());
    let made = cx
        .finish(async move {
            let mut parents = Vec::new();
            for parent in missing {
                match storage.tree(&account, TreeOp::Create { name: parent, special_use: Vec::new() }).await {
                    Ok(made) => parents.extend(made.map(|made| made.id)),
                    // Somebody else was faster.
                    Err(StorageError::Exists) => {}
                    Err(error) => return Err(error),
                }
            }
            let made = storage.tree(&account, TreeOp::Create { name, special_use }).await;
            if matches!(made, Err(StorageError::Unsupported)) {
                // They were made for this one alone.
                for id in parents.into_iter().rev() {
                    storage.tree(&account, TreeOp::Delete { id }).await?;
                }
            }
            made
        })
        .await?;
    made.ok_or_else(|| StorageError::backend("a mailbox was made and not told").into())
}
