//! STORE (RFC 3501 §6.4.6). Words beside FLAGS, and modifiers, come from their slots.

use std::sync::Arc;

use async_trait::async_trait;

use super::append::check_flags;
use super::copy::resolve;
use crate::registry::slots::{Done, Storing};
use crate::registry::{Context, Flow, InSelected, Outcome, Row, Run, UidForm, Updates};
use crate::session::{Login, Reject, Reply, Rights, Selected};
use crate::storage::{FlagChange, FlagOp, Stored};
use crate::types::{Code, Flags, SystemFlag, SystemFlags, Uid, UidSet};
use crate::wire::Args;

/// How many messages are changed in one step, so that a huge STORE does not keep others from the mailbox.
const SLICE: usize = 5000;

pub(super) fn row() -> Row {
    Row::new("STORE", Run::selected(Store)).uid(UidForm::Also).updates(Updates::HoldRemovals)
}

struct Store;

/// What comes behind the set.
enum Wish {
    Flags { op: FlagOp, silent: bool },
    Other(Box<dyn Storing>),
}

#[async_trait]
impl InSelected for Store {
    async fn run(
        &self,
        cx: &mut Context<'_>,
        login: &Login,
        selected: &mut Selected,
        args: &mut Args<'_>,
    ) -> Outcome {
        args.sp()?;
        let set = args.sequence_set()?;
        args.sp()?;
        let mut change =
            FlagChange { uids: UidSet::new(), op: FlagOp::Add(Flags::default()), unchanged_since: None };
        modifiers(cx, args, &mut change)?;
        let wish = wish(cx, args)?;
        args.end()?;
        change.uids = resolve(cx, selected, &set)?;
        if selected.read_only {
            return Err(Reject::code(Code::READ_ONLY, "the mailbox is selected read-only"));
        }
        match wish {
            Wish::Other(storing) => {
                storing.run(cx, login, selected, &change.uids).await?;
                Ok(Flow::done())
            }
            Wish::Flags { op, silent } => {
                change.op = op;
                store(cx, selected, change, silent).await
            }
        }
    }
}

fn modifiers(cx: &mut Context<'_>, args: &mut Args<'_>, change: &mut FlagChange) -> Result<(), Reject> {
    let shared = Arc::clone(cx.shared);
    let known = &shared.registry.store_modifiers;
    if known.is_empty() || !args.eat(b'(') {
        return Ok(());
    }
    loop {
        let start = *args;
        let modifier =
            known.get(&args.word()?).ok_or_else(|| start.malformed("no such modifier of STORE"))?;
        modifier.parse(cx, args, change)?;
        if !args.eat(b' ') {
            args.expect(b')')?;
            return Ok(args.sp()?);
        }
    }
}

fn wish(cx: &Context<'_>, args: &mut Args<'_>) -> Result<Wish, Reject> {
    let start = *args;
    let sign = args.peek().filter(|byte| matches!(byte, b'+' | b'-'));
    if let Some(sign) = sign {
        args.eat(sign);
    }
    let word = args.word()?;
    let (word, silent) = word.strip_suffix(".SILENT").map_or((word.as_str(), false), |word| (word, true));
    args.sp()?;
    if word != "FLAGS" {
        let item = cx.shared.registry.store_items.get(word);
        let item = item.ok_or_else(|| start.malformed("no such item of STORE"))?;
        return Ok(Wish::Other(item.parse(args, sign, silent)?));
    }
    let flags = if args.peek() == Some(b'(') { args.flag_list()? } else { args.flags()? };
    let op = match sign {
        Some(b'+') => FlagOp::Add(flags),
        Some(_) => FlagOp::Remove(flags),
        None => FlagOp::Replace(flags),
    };
    Ok(Wish::Flags { op, silent })
}

async fn store(
    cx: &mut Context<'_>,
    selected: &mut Selected,
    mut change: FlagChange,
    silent: bool,
) -> Outcome {
    check_flags(cx, change.op.flags())?;
    change.op = allowed(cx, selected, &change.op)?;
    let all = change.uids.clone();
    let mut outcome = Stored::default();
    for uids in slices(&all) {
        let (storage, mbox) = (Arc::clone(cx.storage()), selected.mbox.clone());
        let slice = FlagChange { uids, op: change.op.clone(), unchanged_since: change.unchanged_since };
        let op = change.op.clone();
        let stored = cx.finish(async move { storage.set_flags(&mbox, slice).await }).await?;
        if silent {
            selected.view.expect(&op, &stored);
        }
        outcome.modseq = outcome.modseq.max(stored.modseq);
        outcome.conflict = outcome.conflict.union(&stored.conflict);
        outcome.unchanged = outcome.unchanged.union(&stored.unchanged);
        outcome.changed.extend(stored.changed);
    }
    let touched = outcome.unchanged.union(&outcome.changed.iter().map(|(uid, _)| *uid).collect());
    if !silent {
        selected.view.retell(&touched);
    }
    let conflicts = if cx.uid { outcome.conflict.clone() } else { numbers(selected, &outcome.conflict) };
    let mut code = cx.done(&Done::Stored { conflicts: &conflicts, modseq: outcome.modseq }).await?;
    let there = touched.union(&outcome.conflict);
    let gone = !cx.uid && there != all;
    if gone && !silent && there.is_empty() {
        // RFC 2180 §4.2.2: nothing was changed, and no FETCH would show it.
        return Err(Reject::code(Code::EXPUNGEISSUED, "the messages have been removed"));
    }
    // What still exists has been changed; the rest is told (RFC 2180 §4.2.1 and §4.2.3, RFC 5530).
    if gone && code.is_none() {
        code = Some(Code::EXPUNGEISSUED);
    }
    Ok(Flow::Done(Reply { code, ..Reply::completed() }))
}

/// UIDs as the numbers of this session.
fn numbers(selected: &Selected, uids: &UidSet) -> UidSet {
    selected.view.told().iter_uids(uids).filter_map(|(seq, _)| Uid::new(seq.get())).collect()
}

fn slices(uids: &UidSet) -> Vec<UidSet> {
    if uids.len() <= SLICE as u64 {
        return vec![uids.clone()];
    }
    // The set holds messages of the view only, so that it may be counted out.
    let all: Vec<Uid> = uids.iter().collect();
    all.chunks(SLICE).map(|chunk| chunk.iter().copied().collect()).collect()
}

/// The change without flags that this user can't change, or that the mailbox can't keep: these stay as they
/// are, and the answer shows it (RFC 3501 §7.1, PERMANENTFLAGS).
fn allowed(cx: &Context<'_>, selected: &Selected, op: &FlagOp) -> Result<FlagOp, Reject> {
    let hub = selected.view.hub();
    let known = hub.keywords();
    let rights = selected.rights;
    let mut system = SystemFlags::NONE;
    for flag in op.flags().system.iter() {
        let right = match flag {
            SystemFlag::Seen => Rights::SEEN,
            SystemFlag::Deleted => Rights::DELETE,
            _ => Rights::WRITE,
        };
        if rights.contains(right) {
            system = system | flag.into();
        }
    }
    let is_new = |keyword: &&crate::types::Keyword| !known.contains(keyword);
    let new = op.flags().keywords().iter().filter(is_new).count();
    if new > 0 && hub.new_keywords() && known.len() + new > cx.shared.limits.keywords {
        return Err(Reject::code(Code::LIMIT, "the mailbox has too many keywords"));
    }
    let may_write = rights.contains(Rights::WRITE);
    let keywords =
        op.flags().keywords().iter().filter(|keyword| may_write && (hub.new_keywords() || !is_new(keyword)));
    let flags = Flags::new(system, keywords.cloned());
    if flags.is_empty()
        && !op.flags().is_empty()
        && !rights.intersects(Rights::SEEN | Rights::WRITE | Rights::DELETE)
    {
        return Err(Reject::code(Code::NOPERM, "you may not change these flags"));
    }
    Ok(match op {
        FlagOp::Replace(_) => FlagOp::Replace(flags),
        FlagOp::Add(_) => FlagOp::Add(flags),
        FlagOp::Remove(_) => FlagOp::Remove(flags),
    })
}
