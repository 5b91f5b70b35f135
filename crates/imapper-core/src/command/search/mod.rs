//! SEARCH and UID SEARCH (RFC 3501 §6.4.4 and §6.4.8, RFC 9051 §6.4.4 and §6.4.9).
//!
//! `program` reads the keys, `keys` are those of the base protocol, `eval` runs them, `text` decodes what the
//! costly ones look into.

mod eval;
mod keys;
mod program;
mod text;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use async_trait::async_trait;

use crate::message::search::charset_supported;
use crate::registry::slots::{SearchShape, SearchTest, bad_charset};
use crate::registry::{Context, Flow, InSelected, Outcome, Registry, Row, Run, UidForm, Updates};
use crate::session::view::Removals;
use crate::session::{Login, Reject, Selected};
use crate::types::{Uid, UidSet};
use crate::wire::{Args, Line};

pub(crate) use keys::keys;
pub use program::Program;

pub(super) fn row() -> Row {
    Row::new("SEARCH", Run::selected(Search)).uid(UidForm::Also).updates(Updates::HoldRemovals)
}

struct Search;

#[async_trait]
impl InSelected for Search {
    async fn run(
        &self,
        cx: &mut Context<'_>,
        login: &Login,
        selected: &mut Selected,
        args: &mut Args<'_>,
    ) -> Outcome {
        args.sp()?;
        let shapes = shapes(&cx.shared.registry, args)?;
        let charset = charset(args, cx.policy.utf8)?;
        let mut program = Program::parse(cx, selected, args, &charset)?;
        for test in program.tests() {
            test.begin(cx);
        }
        if program.tests().any(SearchTest::names_numbers) {
            cx.removals = Removals::Hold;
        }
        program.prepare(cx, login, selected).await?;
        let found = program.run(cx, selected).await?;
        match shapes {
            None => tell(cx, selected, &program, &found).await?,
            Some(shapes) => tell_extended(cx, selected, &program, &found, &shapes).await?,
        }
        Ok(Flow::done())
    }
}

/// `RETURN (…)` (RFC 4466 §2.6), which is in the grammar only where there is something to be returned.
fn shapes(registry: &Registry, args: &mut Args<'_>) -> Result<Option<Vec<Box<dyn SearchShape>>>, Reject> {
    let words = &registry.search_returns;
    if words.is_empty() || !args.eat_word("RETURN") {
        return Ok(None);
    }
    args.sp()?;
    args.expect(b'(')?;
    let mut shapes = Vec::new();
    if args.eat(b')') {
        // RFC 4731 §3.1: an empty list stands for ALL.
        if let Some(all) = words.get("ALL") {
            shapes.push(all.parse(args)?);
        }
        args.sp()?;
        return Ok(Some(shapes));
    }
    loop {
        let start = *args;
        let word = args.word()?;
        let option = words.get(&word).ok_or_else(|| start.malformed("no such return option"))?;
        shapes.push(option.parse(args)?);
        if !args.eat(b' ') {
            args.expect(b')')?;
            args.sp()?;
            return Ok(Some(shapes));
        }
    }
}

/// `CHARSET`, which is to come before the keys. Without it, strings are US-ASCII; UTF-8 is understood, too.
fn charset<'a>(args: &mut Args<'a>, is_utf8: bool) -> Result<Cow<'a, str>, Reject> {
    let start = *args;
    if !args.eat_word("CHARSET") {
        return Ok(if is_utf8 { "UTF-8" } else { "US-ASCII" }.into());
    }
    if is_utf8 {
        // RFC 6855 §3: the question is settled.
        return Err(start.malformed("strings are in UTF-8 already").into());
    }
    args.sp()?;
    let charset = match args.astring()? {
        Cow::Borrowed(octets) => String::from_utf8_lossy(octets),
        Cow::Owned(octets) => String::from_utf8_lossy(&octets).into_owned().into(),
    };
    args.sp()?;
    if charset_supported(&charset) { Ok(charset) } else { Err(bad_charset()) }
}

/// UIDs or message numbers, as the command was given.
fn as_given(cx: &Context<'_>, selected: &Selected, found: &UidSet) -> UidSet {
    if cx.uid {
        return found.clone();
    }
    let mut numbers = UidSet::new();
    for (seq, _) in selected.view.told().iter_uids(found) {
        // A set of numbers, whatever its type says.
        if let Some(number) = Uid::new(seq.get()) {
            numbers.insert(number);
        }
    }
    numbers
}

/// `* SEARCH`, which is sent also when nothing is found (RFC 3501 §7.2.5).
async fn tell(
    cx: &mut Context<'_>,
    selected: &Selected,
    program: &Program,
    found: &UidSet,
) -> Result<(), Reject> {
    let mut line = Line::untagged("SEARCH");
    for number in as_given(cx, selected, found).iter() {
        line.sp().number(number.get());
    }
    add(selected, program, found, false, &mut line);
    Ok(cx.send(&mut line).await?)
}

/// The answer in the form of RFC 4466 §2.6.2, of what was asked to be returned.
async fn tell_extended(
    cx: &mut Context<'_>,
    selected: &mut Selected,
    program: &Program,
    found: &UidSet,
    shapes: &[Box<dyn SearchShape>],
) -> Result<(), Reject> {
    let mut line = Line::untagged("ESEARCH (TAG ");
    line.string(cx.tag).word(")");
    if cx.uid {
        line.word(" UID");
    }
    let given = as_given(cx, selected, found);
    for shape in shapes {
        shape.shape(cx, selected, &given, &mut line).await?;
    }
    if !shapes.iter().any(|shape| shape.answers()) {
        return Ok(());
    }
    add(selected, program, found, true, &mut line);
    Ok(cx.send(&mut line).await?)
}

/// Adds what keys add because they were used; the same thing only once.
fn add(selected: &Selected, program: &Program, found: &UidSet, extended: bool, line: &mut Line) {
    let mut added: Vec<Line> = Vec::new();
    for test in program.tests() {
        let mut more = Line::new();
        test.adds(selected, found, extended, &mut more);
        if !more.is_empty() && !added.contains(&more) {
            line.raw(more.text());
            added.push(more);
        }
    }
}
