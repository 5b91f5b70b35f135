//! STORE (RFC 3501 §6.4.6). Words beside FLAGS, and modifiers, come from their slots.

use std::sync::Arc;

use async_trait::async_trait;

use super::append::check_flags;
use super::copy::resolve;
use super::parameters;
use crate::registry::slots::{Done, StoreModifier, Storing};
use crate::registry::{Context, Flow, InSelected, Outcome, Row, Run, UidForm, Updates};
use crate::session::{Login, Reject, Reply, Rights, Selected};
use crate::storage::{FlagChange, FlagOp, Stored};
use crate::types::{Code, Flags, Keyword, ModSeq, SystemFlag, SystemFlags, Uid, UidSet};
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
        let modifiers = modifiers(cx, args, &mut change)?;
        let wish = wish(cx, args)?;
        args.end()?;
        if matches!(wish, Wish::Other(_)) && change.unchanged_since.is_some() {
            return Err(Reject::bad("this modifier is for flags alone"));
        }
        for modifier in modifiers {
            modifier.begin(cx);
        }
        change.uids = resolve(cx, selected, &set)?;
        if selected.read_only {
            return Err(Reject::code(Code::READ_ONLY, "the mailbox is selected read-only"));
        }
        match wish {
            Wish::Other(storing) => {
                let code = storing.run(cx, login, selected, &change.uids).await?;
                Ok(Flow::Done(Reply { code, ..Reply::completed() }))
            }
            Wish::Flags { op, silent } => {
                change.op = op;
                store(cx, selected, change, silent).await
            }
        }
    }
}

fn modifiers(
    cx: &mut Context<'_>,
    args: &mut Args<'_>,
    change: &mut FlagChange,
) -> Result<Vec<Arc<dyn StoreModifier>>, Reject> {
    let shared = Arc::clone(cx.shared);
    let known = &shared.registry.store_modifiers;
    let mut modifiers = Vec::new();
    if known.is_empty() || args.peek() != Some(b'(') {
        return Ok(modifiers);
    }
    parameters::each(args, known, |modifier, args| {
        modifiers.push(Arc::clone(modifier));
        modifier.parse(cx, args, change)
    })?;
    args.sp()?;
    Ok(modifiers)
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
    let mut outcome = Steps::default();
    for uids in slices(&all) {
        let slice = FlagChange { uids, op: change.op.clone(), unchanged_since: change.unchanged_since };
        let mut stored = set_flags(cx, selected, slice).await?;
        if let Some(again) = unaffected(selected, &change, &stored.conflict).await? {
            stored.conflict = stored.conflict.difference(&again.uids);
            outcome.add(selected, &change.op, silent, &stored);
            stored = set_flags(cx, selected, again).await?;
        }
        outcome.add(selected, &change.op, silent, &stored);
    }
    let touched = outcome.unchanged.union(&outcome.changed);
    if !silent {
        selected.view.retell(&touched);
    } else if cx.policy.known_up_to.is_some() && selected.view.hub().has_modseqs() {
        // RFC 7162 §3.1.3: told in spite of .SILENT; on a condition also what was so already.
        let of = if change.unchanged_since.is_some() { &touched } else { &outcome.changed };
        selected.view.retell_modseqs(of);
    }
    // So that the client need not ask why (RFC 7162 §3.1.3).
    selected.view.retell(&outcome.conflict);
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

async fn set_flags(cx: &Context<'_>, selected: &Selected, change: FlagChange) -> Result<Stored, Reject> {
    let (storage, mbox) = (Arc::clone(cx.storage()), selected.mbox.clone());
    Ok(cx.finish(async move { storage.set_flags(&mbox, change).await }).await?)
}

/// What the steps of one STORE have done.
#[derive(Default)]
struct Steps {
    changed: UidSet,
    unchanged: UidSet,
    conflict: UidSet,
    modseq: ModSeq,
}

impl Steps {
    fn add(&mut self, selected: &mut Selected, op: &FlagOp, silent: bool, stored: &Stored) {
        if silent {
            selected.view.expect(op, stored);
        } else {
            // So that the answer does not hang on whether the storage can be asked once more.
            selected.view.told_flags(stored);
        }
        self.changed = self.changed.union(&stored.changed.iter().map(|(uid, _)| *uid).collect());
        self.unchanged = self.unchanged.union(&stored.unchanged);
        self.conflict = self.conflict.union(&stored.conflict);
        self.modseq = self.modseq.max(stored.modseq);
    }
}

/// Of the messages that were held back, those that somebody has changed in other flags than these: +FLAGS and
/// -FLAGS are in no conflict with that (RFC 7162 §3.1.12). The change of them, on the condition that nothing
/// happens to them meanwhile.
async fn unaffected(
    selected: &Selected,
    change: &FlagChange,
    held_back: &UidSet,
) -> Result<Option<FlagChange>, Reject> {
    let Some(since) = change.unchanged_since.filter(|_| !held_back.is_empty()) else { return Ok(None) };
    let (FlagOp::Add(flags) | FlagOp::Remove(flags)) = &change.op else { return Ok(None) };
    let hub = selected.view.hub();
    if hub.refresh().await.is_err() {
        // What has been changed already has to be told.
        return Ok(None);
    }
    // The table may be newer than that, in which case the message is held back again.
    let (modseq, now) = (hub.modseq(), hub.table());
    let of_these = |all: &Flags| all.without(&all.without(flags));
    let known = selected.view.told().iter_uids(held_back).filter(|(_, told)| told.modseq <= since);
    let uids: UidSet = known
        .filter(|(_, told)| {
            now.find(told.uid).is_some_and(|(_, entry)| of_these(&told.flags) == of_these(&entry.flags))
        })
        .map(|(_, told)| told.uid)
        .collect();
    Ok((!uids.is_empty()).then(|| FlagChange { uids, op: change.op.clone(), unchanged_since: Some(modseq) }))
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
    let mut known = hub.keywords();
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
    let new = |known: &[Keyword]| op.flags().keywords().iter().filter(|word| !known.contains(word)).count();
    let is_too_many =
        |known: &[Keyword]| new(known) > 0 && known.len() + new(known) > cx.shared.limits.keywords;
    if hub.new_keywords() && is_too_many(&known) {
        hub.forget_keywords();
        known = hub.keywords();
        if is_too_many(&known) {
            return Err(Reject::code(Code::LIMIT, "the mailbox has too many keywords"));
        }
    }
    let is_new = |keyword: &&Keyword| !known.contains(keyword);
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
