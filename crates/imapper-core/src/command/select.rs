//! SELECT (RFC 3501 §6.3.1), and what it has in common with EXAMINE.

use async_trait::async_trait;

use super::parameters;
use crate::registry::slots::{Done, OnSelect};
use crate::registry::{Context, Flow, Found, InAuthenticated, Outcome, Row, Run};
use crate::session::{Data, Login, Reject, Reply, Rights, Selected, State, View};
use crate::storage::StorageError;
use crate::types::{Code, Flags, Keyword, SystemFlag, SystemFlags};
use crate::wire::{Args, Line};

pub(super) fn row() -> Row {
    Row::new("SELECT", Run::authenticated(Select))
}

struct Select;

#[async_trait]
impl InAuthenticated for Select {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        open(cx, login, args, false).await
    }
}

pub(super) async fn open(cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>, examine: bool) -> Outcome {
    args.sp()?;
    let name = args.mailbox()?;
    let parameters = given(cx, args)?;
    args.end()?;
    // The mailbox that was open is closed first, whether or not this one can be opened.
    cx.next = Some(State::Authenticated(login.clone()));
    if cx.is_selected && cx.policy.tells_closed {
        // RFC 7162 §3.2.11: what comes from here on is about the other mailbox.
        cx.out.status(cx.name, "OK", Some(&Code::CLOSED), "the mailbox that was selected is closed").await?;
    }
    let found = cx.find(&name, login, Rights::READ).await?;
    if found.info.no_select {
        return Err(Reject::code(Code::NONEXISTENT, "this name is no mailbox that can be selected"));
    }
    let mut selected = Box::new(opened(cx, name, found, examine).await?);
    tell(cx, &selected).await?;
    cx.done(&Done::Selected(&selected)).await?;
    for parameter in parameters {
        parameter.opened(cx, &mut selected).await?;
    }
    let code = if selected.read_only { Code::READ_ONLY } else { Code::READ_WRITE };
    cx.next = Some(State::Selected(login.clone(), selected));
    Ok(Flow::Done(Reply::code(code)))
}

fn given(cx: &mut Context<'_>, args: &mut Args<'_>) -> Result<Vec<Box<dyn OnSelect>>, Reject> {
    let mut given = Vec::new();
    let shared = std::sync::Arc::clone(cx.shared);
    if shared.registry.select_parameters.is_empty() || !args.eat(b' ') {
        return Ok(given);
    }
    parameters::each(args, &shared.registry.select_parameters, |parameter, args| {
        given.push(parameter.parse(cx, args)?);
        Ok(())
    })?;
    Ok(given)
}

async fn opened(
    cx: &Context<'_>,
    name: String,
    found: Found,
    examine: bool,
) -> Result<Selected, StorageError> {
    let read_only = examine || !found.rights.intersects(Rights::CHANGES);
    let hub = cx.shared.hubs.open(cx.storage(), &found.mbox).await?;
    hub.refresh().await?;
    let view = View::open(hub, read_only).await?;
    Ok(Selected { mbox: found.mbox, name, read_only, rights: found.rights, view, data: Data::default() })
}

/// The required untagged responses (RFC 3501 §6.3.1).
async fn tell(cx: &mut Context<'_>, selected: &Selected) -> Result<(), Reject> {
    let hub = selected.view.hub();
    let all = Flags::new(SystemFlags::ALL, hub.keywords().iter().cloned());
    let mut line = Line::untagged("FLAGS ");
    line.flags(&all, false);
    cx.send(&mut line).await?;
    line = Line::untagged("OK [PERMANENTFLAGS ");
    let permanent = permanent_flags(selected, &all);
    let more = !selected.read_only && hub.new_keywords();
    line.list(permanent.names().chain(more.then_some("\\*"))).word("] flags that stay");
    cx.send(&mut line).await?;
    cx.send(&mut Line::numbered(selected.view.exists(), "EXISTS")).await?;
    if !cx.policy.no_recent {
        cx.send(&mut Line::numbered(selected.view.recent_count(), "RECENT")).await?;
        if let Some(unseen) = selected.view.first_unseen() {
            line = Line::untagged("OK [UNSEEN ");
            line.number(unseen.get()).word("] the first message that is unseen");
            cx.send(&mut line).await?;
        }
    }
    line = Line::untagged("OK [UIDVALIDITY ");
    line.number(hub.uid_validity().get()).word("] UIDs are valid");
    cx.send(&mut line).await?;
    line = Line::untagged("OK [UIDNEXT ");
    line.number(selected.view.uid_next().get()).word("] the next UID, or one above it");
    cx.send(&mut line).await?;
    Ok(())
}

/// The flags that this user can change for good (RFC 3501 §7.1, PERMANENTFLAGS).
fn permanent_flags(selected: &Selected, all: &Flags) -> Flags {
    if selected.read_only {
        return Flags::default();
    }
    let mut system = SystemFlags::ALL;
    for (flags, right) in [
        (SystemFlags::from(SystemFlag::Seen), Rights::SEEN),
        (SystemFlags::from(SystemFlag::Deleted), Rights::DELETE),
        (!(SystemFlags::from(SystemFlag::Seen) | SystemFlag::Deleted.into()), Rights::WRITE),
    ] {
        if !selected.rights.contains(right) {
            system = system & !flags;
        }
    }
    let keywords: &[Keyword] = if selected.rights.contains(Rights::WRITE) { all.keywords() } else { &[] };
    Flags::new(system, keywords.iter().cloned())
}
