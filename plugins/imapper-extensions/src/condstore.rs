//! CONDSTORE (RFC 7162 §3.1): mod-sequences, by which a client learns what has changed and changes only what
//! has not.

use async_trait::async_trait;
use imapper_core::Bytes;
use imapper_core::registry::slots::{
    Cost, Done, Enabling, FetchItem, FetchModifier, FetchPlan, Fetched, Fetching, OnDone, OnSelect,
    SearchKey, SearchTest, SearchText, Searching, SelectParameter, StatusItem, StoreModifier,
};
use imapper_core::registry::{Context, Extension, Registry};
use imapper_core::session::policy::Told;
use imapper_core::session::{Policy, Reject, Selected};
use imapper_core::storage::{FlagChange, MailboxInfo, ModSeqs, SearchKey as Pushed, Status};
use imapper_core::types::{Code, ModSeq, UidSet};
use imapper_core::wire::{Args, Line};

pub(crate) const WORDS: &[&str] =
    &["CONDSTORE", "MODSEQ", "CHANGEDSINCE", "UNCHANGEDSINCE", "HIGHESTMODSEQ", "NOMODSEQ", "MODIFIED"];

/// The extension.
#[derive(Clone, Copy, Debug, Default)]
pub struct Condstore;

impl Extension for Condstore {
    fn name(&self) -> &'static str {
        "CONDSTORE"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("CONDSTORE");
        registry.policy(|policy| policy.tells_closed = true);
        registry.enable("CONDSTORE", Self);
        registry.select_parameter("CONDSTORE", Self);
        registry.status_item("HIGHESTMODSEQ", Self);
        registry.fetch_item("MODSEQ", Item);
        registry.fetch_modifier("CHANGEDSINCE", Self);
        registry.store_modifier("UNCHANGEDSINCE", Self);
        registry.search_key("MODSEQ", Key);
        registry.on_done(Self);
    }
}

/// A CONDSTORE enabling command (RFC 7162 §3.1): from now on each FETCH that nobody asked for tells the UID and
/// the mod-sequence (§3.2.4, which §3.1.4.2 asks of all servers), and at the end of the first such command the
/// client learns from where on it is told everything.
pub(crate) fn follow(cx: &mut Context<'_>) {
    if cx.policy.known_up_to.is_none() {
        follow_from(cx.policy);
        cx.policy.owes_known_up_to = cx.is_selected;
    }
}

fn follow_from(policy: &mut Policy) {
    policy.known_up_to = Some(highest);
    policy.tells_uid = true;
    policy.told_items.push(|told: &Told<'_>, line| put_modseq(told.modseq, line));
}

/// `* OK [HIGHESTMODSEQ n]`
fn highest(modseq: ModSeq) -> Line {
    let mut line = Line::untagged("OK [HIGHESTMODSEQ ");
    line.number(modseq.0).word("] everything up to here has been told");
    line
}

/// Nothing for a mailbox without mod-sequences, where it is 0.
fn put_modseq(modseq: ModSeq, line: &mut Line) {
    if modseq != ModSeq::ZERO {
        line.raw(b"MODSEQ (").number(modseq.0).raw(b")");
    }
}

/// RFC 7162 §3.1.2.2: a mailbox that answered NOMODSEQ refuses whatever needs mod-sequences.
fn check(has_modseqs: bool) -> Result<(), Reject> {
    if has_modseqs { Ok(()) } else { Err(Reject::bad("this mailbox has no mod-sequences")) }
}

fn has_modseqs(cx: &Context<'_>) -> bool {
    cx.storage().caps().modseq != ModSeqs::None
}

/// Takes ` mod-sequence`. RFC 4551, whose clients are still there, allowed 0 everywhere.
pub(crate) fn modseq(args: &mut Args<'_>) -> Result<ModSeq, Reject> {
    args.sp()?;
    Ok(ModSeq(args.number64()?))
}

impl Enabling for Condstore {
    fn enable(&self, cx: &mut Context<'_>) -> bool {
        follow(cx);
        true
    }
}

impl SelectParameter for Condstore {
    fn parse(&self, _cx: &mut Context<'_>, _args: &mut Args<'_>) -> Result<Box<dyn OnSelect>, Reject> {
        Ok(Box::new(Self))
    }
}

#[async_trait]
impl OnSelect for Condstore {
    async fn opened(&self, cx: &mut Context<'_>, _selected: &mut Selected) -> Result<(), Reject> {
        follow(cx);
        // It has just been told.
        cx.policy.owes_known_up_to = false;
        Ok(())
    }
}

impl StatusItem for Condstore {
    fn begin(&self, cx: &mut Context<'_>) {
        follow(cx);
    }

    fn render(&self, _mailbox: &MailboxInfo, status: &Status, line: &mut Line) {
        line.number(status.highest_modseq.0);
    }
}

/// MODSEQ of FETCH (RFC 7162 §3.1.4.2).
struct Item;

impl FetchItem for Item {
    fn parse(&self, _args: &mut Args<'_>) -> Result<Box<dyn Fetched>, Reject> {
        Ok(Box::new(Self))
    }
}

impl Fetched for Item {
    fn name(&self) -> &'static str {
        "MODSEQ"
    }

    fn begin(&self, cx: &mut Context<'_>, selected: &mut Selected) -> Result<(), Reject> {
        check(selected.view.hub().has_modseqs())?;
        follow(cx);
        Ok(())
    }

    fn render(&self, message: &Fetching<'_>, _read: Option<&Bytes>, line: &mut Line) -> Result<(), Reject> {
        put_modseq(message.modseq, line);
        Ok(())
    }
}

impl FetchModifier for Condstore {
    fn parse(&self, cx: &mut Context<'_>, args: &mut Args<'_>, plan: &mut FetchPlan) -> Result<(), Reject> {
        plan.changed_since = Some(modseq(args)?);
        check(has_modseqs(cx))?;
        // RFC 7162 §3.1.4.1: it "implicitly adds the MODSEQ FETCH message data item".
        if !plan.items.iter().any(|item| item.name() == Item.name()) {
            plan.items.push(Box::new(Item));
        }
        Ok(())
    }
}

impl StoreModifier for Condstore {
    fn parse(
        &self,
        cx: &mut Context<'_>,
        args: &mut Args<'_>,
        change: &mut FlagChange,
    ) -> Result<(), Reject> {
        change.unchanged_since = Some(modseq(args)?);
        check(has_modseqs(cx))
    }

    fn begin(&self, cx: &mut Context<'_>) {
        follow(cx);
    }
}

/// MODSEQ of SEARCH (RFC 7162 §3.1.5). The name and type of a metadata item are read and passed over, as one
/// mod-sequence stands for all items of a message.
struct Key;

impl SearchKey for Key {
    fn parse(&self, args: &mut Args<'_>, search: &Searching<'_>) -> Result<Box<dyn SearchTest>, Reject> {
        check(search.selected.view.hub().has_modseqs())?;
        let mut ahead = *args;
        ahead.sp()?;
        if ahead.peek() == Some(b'"') {
            *args = ahead;
            entry(args)?;
        }
        Ok(Box::new(Since(modseq(args)?)))
    }
}

/// `"/flags/…"` and `priv`, `shared` or `all`.
fn entry(args: &mut Args<'_>) -> Result<(), Reject> {
    let start = *args;
    let name = args.string()?;
    let prefix = name.get(..7).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"/flags/"));
    if !prefix || name.len() == 7 {
        return Err(start.malformed("the name of a metadata item is \"/flags/\" and a flag").into());
    }
    args.sp()?;
    let start = *args;
    match args.word()?.as_str() {
        "PRIV" | "SHARED" | "ALL" => Ok(()),
        _ => Err(start.malformed("priv, shared or all expected").into()),
    }
}

struct Since(ModSeq);

impl SearchTest for Since {
    fn cost(&self) -> Cost {
        Cost::Table
    }

    fn test(&self, message: &Fetching<'_>, _text: SearchText<'_>) -> bool {
        message.modseq >= self.0
    }

    fn begin(&self, cx: &mut Context<'_>) {
        follow(cx);
    }

    /// The highest mod-sequence of what was found (RFC 7162 §3.1.6, RFC 4731 §3.2).
    fn adds(&self, selected: &Selected, found: &UidSet, extended: bool, line: &mut Line) {
        let (told, now) = (selected.view.told(), selected.view.hub().table());
        let modseqs = told.iter_uids(found).map(|(_, entry)| {
            let newer = now.find(entry.uid).map_or(ModSeq::ZERO, |(_, entry)| entry.modseq);
            newer.max(entry.modseq)
        });
        let Some(highest) = modseqs.max() else { return };
        if extended {
            line.raw(b" MODSEQ ").number(highest.0);
        } else {
            line.raw(b" (MODSEQ ").number(highest.0).raw(b")");
        }
    }

    fn pushed(&self) -> Option<Pushed> {
        Some(Pushed::ModSeq(self.0))
    }
}

#[async_trait]
impl OnDone for Condstore {
    async fn done(&self, cx: &mut Context<'_>, done: &Done<'_>) -> Result<Option<Code>, Reject> {
        match done {
            Done::Selected(selected) if selected.view.hub().has_modseqs() => {
                cx.send(&mut highest(selected.view.known_up_to())).await?;
                Ok(None)
            }
            Done::Selected(_) => {
                cx.send(&mut Line::untagged("OK [NOMODSEQ] this mailbox has no mod-sequences")).await?;
                Ok(None)
            }
            Done::Stored { conflicts, .. } if !conflicts.is_empty() => {
                Ok(Some(Code::new(format!("MODIFIED {conflicts}"))))
            }
            // RFC 7162 §3.2.7 and §3.2.9, RFC 6851 §4.4: for all that follow mod-sequences, as removals of one's
            // own are no news to them.
            Done::Expunged(removed, modseq)
                if !removed.is_empty() && cx.policy.known_up_to.is_some() && has_modseqs(cx) =>
            {
                Ok(Some(Code::new(format!("HIGHESTMODSEQ {}", modseq.0))))
            }
            _ => Ok(None),
        }
    }
}
