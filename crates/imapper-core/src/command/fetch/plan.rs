//! The arguments of FETCH (RFC 9051 §9, fetch; RFC 4466 §2.4 for its modifiers).

use std::sync::Arc;

use super::items::MACROS;
use crate::command::parameters;
use crate::registry::slots::{FetchPlan, Fetched};
use crate::registry::{Context, Registry};
use crate::session::{Reject, Selected};
use crate::types::{Uid, UidSet};
use crate::wire::Args;
use crate::wire::args::is_atom_char;

/// Reads the arguments.
pub(super) fn parse(
    cx: &mut Context<'_>,
    selected: &Selected,
    args: &mut Args<'_>,
) -> Result<FetchPlan, Reject> {
    args.sp()?;
    let set = args.sequence_set()?;
    let mut plan = FetchPlan::default();
    if cx.uid {
        plan.uids = selected.view.resolve_uids(&set);
        // `*` may be meant for a message that is gone already; above it there never was one.
        let last = Uid::new(selected.view.hub().uid_next().get() - 1);
        let given = last.map_or_else(UidSet::new, |last| UidSet::range(Uid::MIN, last));
        plan.named = set.resolve(last).intersection(&given);
    } else {
        plan.uids = selected.view.resolve_seqs(&set).map_err(|bad| Reject::bad(bad.to_string()))?;
    }
    args.sp()?;
    let shared = Arc::clone(cx.shared);
    plan.items = items(&shared.registry, args)?;
    if args.eat(b' ') {
        modifiers(&shared.registry, cx, args, &mut plan)?;
    }
    args.end()?;
    Ok(plan)
}

/// A macro, an item, or a list of items.
pub(super) fn items(registry: &Registry, args: &mut Args<'_>) -> Result<Vec<Box<dyn Fetched>>, Reject> {
    let mut items: Vec<Box<dyn Fetched>> = Vec::new();
    if args.eat(b'(') {
        loop {
            let item = item(registry, args)?;
            // What is always the same is told once, however often a client asks: it may be dear.
            if item.name().is_empty() || items.iter().all(|other| other.name() != item.name()) {
                items.push(item);
            }
            if !args.eat(b' ') {
                break;
            }
        }
        args.expect(b')')?;
        return Ok(items);
    }
    let mut ahead = *args;
    let word = word(&mut ahead);
    match MACROS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        Some((_, names)) => {
            *args = ahead;
            for name in *names {
                items.push(item(registry, &mut Args::new(name.as_bytes(), args.max_depth()))?);
            }
        }
        None => items.push(item(registry, args)?),
    }
    Ok(items)
}

/// The name of an item ends where the brackets of its section begin.
fn word<'a>(args: &mut Args<'a>) -> &'a str {
    let word = args.take_while(|byte| is_atom_char(byte) && byte != b'[');
    std::str::from_utf8(word).unwrap_or_default()
}

fn item(registry: &Registry, args: &mut Args<'_>) -> Result<Box<dyn Fetched>, Reject> {
    let start = *args;
    match registry.fetch_items.get(word(args)) {
        Some(item) => item.parse(args),
        None => Err(start.malformed("there is no such data item").into()),
    }
}

fn modifiers(
    registry: &Registry,
    cx: &mut Context<'_>,
    args: &mut Args<'_>,
    plan: &mut FetchPlan,
) -> Result<(), Reject> {
    parameters::each(args, &registry.fetch_modifiers, |modifier, args| modifier.parse(cx, args, plan))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Want;

    fn parsed(text: &str) -> Result<Vec<Box<dyn Fetched>>, Reject> {
        let registry = Registry::new(super::super::items);
        let mut args = Args::new(text.as_bytes(), 32);
        let items = items(&registry, &mut args)?;
        args.end()?;
        Ok(items)
    }

    fn names(text: &str) -> Vec<&'static str> {
        parsed(text).unwrap().iter().map(|item| item.name()).collect()
    }

    #[test]
    fn macros_and_items() {
        assert_eq!(names("all"), ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"]);
        assert_eq!(names("FAST"), ["FLAGS", "INTERNALDATE", "RFC822.SIZE"]);
        assert_eq!(names("Full"), ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"]);
        assert_eq!(names("uid"), ["UID"]);
        assert_eq!(names("(Body bodystructure FLAGS)"), ["BODY", "BODYSTRUCTURE", "FLAGS"]);
    }

    #[test]
    fn which_items_set_seen() {
        for (text, seen) in [
            ("BODY[]", true),
            ("RFC822", true),
            ("RFC822.TEXT", true),
            ("BODY[HEADER]<0.5>", true),
            ("RFC822.HEADER", false),
            ("RFC822.SIZE", false),
            ("BODY.PEEK[]", false),
            ("BODY", false),
        ] {
            assert_eq!(parsed(text).unwrap()[0].sets_seen(), seen, "{text}");
        }
    }

    #[test]
    fn only_what_is_needed_is_asked_for() {
        let wants = |text: &str| parsed(text).unwrap()[0].wants();
        assert_eq!(wants("FLAGS"), None);
        assert_eq!(wants("UID"), None);
        assert_eq!(wants("INTERNALDATE"), Some(Want::FLAGS));
        assert_eq!(wants("ENVELOPE"), Some(Want { digest: true, body: false }));
        assert_eq!(wants("BODY.PEEK[]<1.2>"), Some(Want { digest: false, body: true }));
        assert_eq!(wants("BODY[1]"), Some(Want::ALL));
    }

    #[test]
    fn what_is_no_item_is_bad() {
        for text in [
            "",
            "()",
            "(",
            ")",
            "( FLAGS)",
            "(FLAGS )",
            "(FLAGS",
            "FLAGS)",
            "FLAGS UID",
            "(FLAGS  UID)",
            "(ALL)",
            "(FLAGS FAST)",
            "ALL FLAGS",
            "FOO",
            "FLAGS[]",
            "ENVELOPE[1]",
            "BODY.PEEK",
            "BODY.PEEK []",
            "BODY []",
            "BODY[]x",
            "BODY[]<0.1>x",
            "BODY<0.1>",
            "BODYSTRUCTURE[]",
            "RFC822[]",
            "RFC822.",
            "\"FLAGS\"",
            "((FLAGS))",
            "(FLAGS(UID))",
            "(BODY[]BODY[])",
            "{5}\r\nFLAGS",
            "*",
            "%",
        ] {
            assert!(matches!(parsed(text), Err(Reject::Bad(_))), "{text:?}");
        }
    }
}
