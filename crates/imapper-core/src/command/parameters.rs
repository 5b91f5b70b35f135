//! `(WORD value WORD value …)`: the form of modifiers and parameters (RFC 4466 §2).

use std::sync::Arc;

use crate::registry::Words;
use crate::session::Reject;
use crate::wire::Args;

/// Takes such a list. `take` is given what each word stands for, and reads what follows it. No word may stand there
/// twice.
pub(super) fn each<'a, T: ?Sized>(
    args: &mut Args<'a>,
    known: &Words<T>,
    mut take: impl FnMut(&Arc<T>, &mut Args<'a>) -> Result<(), Reject>,
) -> Result<(), Reject> {
    args.expect(b'(')?;
    let mut seen = Vec::new();
    loop {
        let start = *args;
        let word = args.word()?;
        let what = known.get(&word).ok_or_else(|| start.malformed(format!("no such {}", known.slot())))?;
        if seen.contains(&word) {
            return Err(start.malformed("this word stands there twice").into());
        }
        take(what, args)?;
        seen.push(word);
        if !args.eat(b' ') {
            return Ok(args.expect(b')')?);
        }
    }
}
