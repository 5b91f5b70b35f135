//! QRESYNC (RFC 7162 §3.2): what has happened to a mailbox since a client last saw it, removals included, in one
//! round trip.

use async_trait::async_trait;
use imapper_core::command::turn::Turn;
use imapper_core::registry::slots::{
    BeforeFetch, Enabling, FetchModifier, FetchPlan, OnSelect, SelectParameter,
};
use imapper_core::registry::{Context, Extension, Registry};
use imapper_core::session::table::Table;
use imapper_core::session::{Reject, Selected};
use imapper_core::storage::StorageError;
use imapper_core::types::{ModSeq, Seq, SequenceSet, Uid, UidSet};
use imapper_core::wire::{Args, Line};

use crate::condstore;

pub(crate) const WORDS: &[&str] = &["QRESYNC", "VANISHED", "EARLIER"];

/// How many changed messages the storage is asked for at once.
const STEP: usize = 10_000;

/// The extension.
#[derive(Clone, Copy, Debug, Default)]
pub struct Qresync;

impl Extension for Qresync {
    fn name(&self) -> &'static str {
        "QRESYNC"
    }

    fn requires(&self) -> &[&'static str] {
        &["ENABLE", "CONDSTORE"]
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("QRESYNC");
        registry.enable("QRESYNC", Self);
        registry.select_parameter("QRESYNC", Self);
        registry.fetch_modifier("VANISHED", Self);
    }
}

impl Enabling for Qresync {
    /// RFC 7162 §3.2.3: turns on what CONDSTORE does too, and from now on removals are told by UID.
    fn enable(&self, cx: &mut Context<'_>) -> bool {
        condstore::follow(cx);
        cx.policy.removal = Some(|selected, removed| {
            // RFC 7162 §3.2.10: not in a mailbox that answered NOMODSEQ.
            selected.view.hub().has_modseqs().then(|| vanished(removed, false))
        });
        true
    }
}

/// RFC 7162 §3.2.3: BAD for whoever has not asked for it.
fn check(cx: &Context<'_>) -> Result<(), Reject> {
    if cx.policy.is_enabled("QRESYNC") { Ok(()) } else { Err(Reject::bad("ENABLE QRESYNC comes first")) }
}

/// `* VANISHED (EARLIER) uids` (RFC 7162 §3.2.10).
fn vanished(uids: &UidSet, earlier: bool) -> Line {
    let mut line = Line::untagged("VANISHED ");
    line.word(if earlier { "(EARLIER) " } else { "" }).show(uids);
    line
}

/// What has happened since a mod-sequence.
struct Missed {
    changed: UidSet,
    vanished: UidSet,
}

/// Asks the storage what has happened. What the client counts still among its messages is not among those
/// removed: it is told so like everybody else, at the end of the command (RFC 7162 §3.2.10).
async fn missed(cx: &Context<'_>, selected: &Selected, mut since: ModSeq) -> Result<Missed, Reject> {
    let mut missed = Missed { changed: UidSet::new(), vanished: UidSet::new() };
    let mut turn = Turn::new();
    loop {
        turn.pause().await;
        let mut changes = cx.storage().changes(&selected.mbox, since, STEP).await?;
        missed.changed = missed.changed.union(&changes.changed.iter().map(|row| row.uid).collect());
        missed.vanished = missed.vanished.union(&std::mem::take(&mut changes.removed));
        if !changes.more {
            break;
        }
        if changes.to <= since {
            return Err(StorageError::Corrupt(format!("changes since {since} do not move on")).into());
        }
        since = changes.to;
    }
    let told = selected.view.told().iter_uids(&missed.vanished).map(|(_, entry)| entry.uid).collect();
    missed.vanished = missed.vanished.difference(&told);
    Ok(missed)
}

// ------------------------------------------------------------------------------------- SELECT and EXAMINE

/// What a client knows of the mailbox that it selects (RFC 7162 §3.2.5).
struct Known {
    uid_validity: u32,
    modseq: ModSeq,
    uids: Option<SequenceSet>,
    pairs: Vec<Pairs>,
}

/// The message of number `seq` has UID `uid`, and so on for so many more of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pairs {
    seq: u32,
    uid: u32,
    more: u32,
}

impl SelectParameter for Qresync {
    /// ` (uidvalidity mod-sequence [known-uids] [(numbers uids)])`
    fn parse(&self, cx: &mut Context<'_>, args: &mut Args<'_>) -> Result<Box<dyn OnSelect>, Reject> {
        check(cx)?;
        args.sp()?;
        args.expect(b'(')?;
        let uid_validity = args.nz_number()?;
        let modseq = condstore::modseq(args)?;
        let (mut uids, mut pairs) = (None, Vec::new());
        if args.eat(b' ') {
            let mut more = true;
            if args.peek() != Some(b'(') {
                uids = Some(without_star(args)?);
                more = args.eat(b' ');
            }
            if more {
                pairs = match_data(args)?;
            }
        }
        args.expect(b')')?;
        Ok(Box::new(Known { uid_validity, modseq, uids, pairs }))
    }
}

/// A set whose numbers are all written out.
fn without_star(args: &mut Args<'_>) -> Result<SequenceSet, Reject> {
    let start = *args;
    let set = args.sequence_set()?;
    if set.has_star() { Err(start.malformed("`*` can't stand here").into()) } else { Ok(set) }
}

/// `(known-sequence-set known-uid-set)`, "both MUST be provided in ascending order" (RFC 7162 §3.2.5.2).
fn match_data(args: &mut Args<'_>) -> Result<Vec<Pairs>, Reject> {
    args.expect(b'(')?;
    let seqs = without_star(args)?;
    args.sp()?;
    let start = *args;
    let uids = without_star(args)?;
    if !seqs.is_ascending() || !uids.is_ascending() {
        return Err(start.malformed("both sets must ascend").into());
    }
    let pairs = pairs(&seqs.resolve(None), &uids.resolve(None));
    let pairs = pairs.ok_or_else(|| start.malformed("as many UIDs as numbers expected"))?;
    args.expect(b')')?;
    Ok(pairs)
}

/// Pairs the members of two sets, range by range; `None` if one has more of them.
fn pairs(seqs: &UidSet, uids: &UidSet) -> Option<Vec<Pairs>> {
    let bounds = |(first, last): (Uid, Uid)| (first.get(), last.get());
    let (mut seqs, mut uids) = (seqs.ranges().map(bounds), uids.ranges().map(bounds));
    let mut pairs = Vec::new();
    let (mut left, mut right) = (seqs.next(), uids.next());
    while let (Some((seq, seq_end)), Some((uid, uid_end))) = (left, right) {
        let more = (seq_end - seq).min(uid_end - uid);
        pairs.push(Pairs { seq, uid, more });
        left = if seq + more < seq_end { Some((seq + more + 1, seq_end)) } else { seqs.next() };
        right = if uid + more < uid_end { Some((uid + more + 1, uid_end)) } else { uids.next() };
    }
    (left.is_none() && right.is_none()).then_some(pairs)
}

impl Pairs {
    /// The highest UID of these that stands at its number.
    fn highest(&self, told: &Table) -> Option<Uid> {
        let last = self.seq.saturating_add(self.more).min(told.len());
        // How far a UID lies above its number does not fall from one message to the next.
        let lead = |seq: u32| {
            let uid = Seq::new(seq).and_then(|seq| told.get(seq)).map_or(u32::MAX, |entry| entry.uid.get());
            i64::from(uid) - i64::from(seq)
        };
        let wanted = i64::from(self.uid) - i64::from(self.seq);
        let (mut low, mut high) = (self.seq, last.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            if lead(middle) <= wanted { low = middle + 1 } else { high = middle }
        }
        let seq = low.checked_sub(1).filter(|seq| *seq >= self.seq && lead(*seq) == wanted)?;
        Uid::new(self.uid + (seq - self.seq))
    }
}

#[async_trait]
impl OnSelect for Known {
    async fn opened(&self, cx: &mut Context<'_>, selected: &mut Selected) -> Result<(), Reject> {
        let hub = selected.view.hub();
        if !hub.has_modseqs() || hub.uid_validity().get() != self.uid_validity {
            // RFC 7162 §3.2.5 and §3.2.5.1: what the client knows is of another mailbox, or of no use here.
            return Ok(());
        }
        // RFC 7162 §3.2.5.1: without known UIDs, all up to the last one that was given.
        let given = Uid::new(selected.view.uid_next().get() - 1);
        let mut uids = given.map_or_else(UidSet::new, |last| UidSet::range(Uid::MIN, last));
        if let Some(known) = &self.uids {
            uids = uids.intersection(&known.resolve(None));
        }
        let missed = missed(cx, selected, self.modseq).await?;
        let mut removed = missed.vanished.intersection(&uids);
        // RFC 7162 §3.2.5.2: up to a message that stands where the client thinks, it knows all removals.
        if let Some(uid) = self.pairs.iter().rev().find_map(|pairs| pairs.highest(selected.view.told())) {
            removed = removed.difference(&UidSet::range(Uid::MIN, uid));
        }
        if !removed.is_empty() {
            cx.send(&mut vanished(&removed, true)).await?;
        }
        let changed = missed.changed.intersection(&uids);
        let mut turn = Turn::new();
        for (seq, entry) in selected.view.told().iter_uids(&changed) {
            if entry.modseq > self.modseq {
                let mut line = Line::numbered(seq.get(), "FETCH (UID ");
                let recent = !cx.policy.no_recent && selected.view.is_recent(entry.uid);
                line.number(entry.uid.get()).word(" FLAGS ").flags(&entry.flags, recent);
                line.word(" MODSEQ (").number(entry.modseq.0).word("))");
                cx.send(&mut line).await?;
                turn.pause().await;
            }
        }
        Ok(())
    }
}

// ---------------------------------------------------------------------------------------------- UID FETCH

impl FetchModifier for Qresync {
    fn parse(&self, cx: &mut Context<'_>, _args: &mut Args<'_>, plan: &mut FetchPlan) -> Result<(), Reject> {
        check(cx)?;
        if !cx.uid {
            return Err(Reject::bad("VANISHED goes with UID FETCH only"));
        }
        plan.before.push(Box::new(Self));
        Ok(())
    }
}

#[async_trait]
impl BeforeFetch for Qresync {
    /// Before the first FETCH, or the client would be misled about numbers (RFC 7162 §3.2.6).
    async fn run(
        &self,
        cx: &mut Context<'_>,
        selected: &mut Selected,
        plan: &mut FetchPlan,
    ) -> Result<(), Reject> {
        let since = plan.changed_since.ok_or_else(|| Reject::bad("VANISHED goes with CHANGEDSINCE only"))?;
        let removed = missed(cx, selected, since).await?.vanished.intersection(&plan.named);
        if !removed.is_empty() {
            cx.send(&mut vanished(&removed, true)).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use imapper_core::session::table::Entry;
    use imapper_core::types::Flags;

    use super::*;

    fn set(text: &str) -> UidSet {
        Args::new(text.as_bytes(), 0).sequence_set().unwrap().resolve(None)
    }

    fn table(uids: &str) -> Table {
        set(uids).iter().map(|uid| Entry { uid, modseq: ModSeq(1), flags: Flags::default() }).collect()
    }

    #[test]
    fn sets_of_one_size_are_paired_without_counting_them_out() {
        let found = pairs(&set("1:3,5,10:4294967295"), &set("2:5,7:4294967292")).unwrap();
        assert_eq!(
            found,
            [
                Pairs { seq: 1, uid: 2, more: 2 },
                Pairs { seq: 5, uid: 5, more: 0 },
                Pairs { seq: 10, uid: 7, more: 4_294_967_285 },
            ]
        );
        assert_eq!(pairs(&set("1:3"), &set("1:2")), None);
        assert_eq!(pairs(&set("1"), &set("1:4294967295")), None);
    }

    #[test]
    fn the_highest_match_is_found_as_by_looking_at_each() {
        for uids in ["1:9", "3,6,9,12,15", "1:4,6:9", "2:5,100:120", "7"] {
            let told = table(uids);
            for (seq, uid, more) in (1..7).flat_map(|seq| (1..13).map(move |uid| (seq, uid, 12 - uid))) {
                let pairs = Pairs { seq, uid, more };
                let slow = (0..=more).rev().find(|at| {
                    Seq::new(seq + at).and_then(|seq| told.get(seq)).is_some_and(|e| e.uid.get() == uid + at)
                });
                assert_eq!(pairs.highest(&told), slow.and_then(|at| Uid::new(uid + at)), "{uids} {pairs:?}");
            }
        }
        let far = Pairs { seq: 1, uid: 1, more: u32::MAX - 1 };
        assert_eq!(far.highest(&table("1:9")), Uid::new(9));
        assert_eq!(far.highest(&Table::new()), None);
    }

    #[test]
    fn match_data_is_two_ascending_sets_of_one_size() {
        let read = |text: &str| match_data(&mut Args::new(text.as_bytes(), 1)).ok();
        assert_eq!(read("(5000,7500:7501 15000,22500,27000)").map(|pairs| pairs.len()), Some(3));
        for text in [
            "(1:* 1:5)",
            "(1:5 1:*)",
            "(1:5 1:4)",
            "(5,1 1,5)",
            "(1,5 5,1)",
            "(5:1 1:5)",
            "(1)",
            "(1 1",
            "1 1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
