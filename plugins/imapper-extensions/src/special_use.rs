//! SPECIAL-USE and CREATE-SPECIAL-USE (RFC 6154), with `\Important` (RFC 8457): LIST tells what a mailbox is for, and
//! CREATE says it.

use std::sync::Arc;

use imapper_core::registry::slots::{
    CreateParameter, CreatePlan, ListAttribute, ListEntry, ListReturn, ListReturning, ListSelection,
};
use imapper_core::registry::{Context, Extension, Registry};
use imapper_core::session::{NamespaceKind, Place, Reject};
use imapper_core::types::Code;
use imapper_core::wire::{Args, Malformed};

/// The first is SPECIAL-USE's, the others are those of CREATE-SPECIAL-USE.
pub(crate) const WORDS: &[&str] = &["SPECIAL-USE", "CREATE-SPECIAL-USE", "USEATTR"];

/// RFC 6154 §2, RFC 8457 §3. No others are told (RFC 6154 §6).
const USES: [&str; 8] =
    ["\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Important", "\\Junk", "\\Sent", "\\Trash"];

/// The special use is at fault (RFC 6154 §3).
fn useattr() -> Code {
    Code::new("USEATTR")
}

/// The use of that name, in any case, as it is told.
fn known(name: &str) -> Option<&'static str> {
    USES.into_iter().find(|known| known.eq_ignore_ascii_case(name))
}

/// What a mailbox is for.
fn uses(entry: &ListEntry) -> impl Iterator<Item = &'static str> {
    entry.info.iter().flat_map(|info| &info.special_use).filter_map(|name| known(name))
}

/// SPECIAL-USE: the attributes, and the two options of LIST.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpecialUse;

impl Extension for SpecialUse {
    fn name(&self) -> &'static str {
        "SPECIAL-USE"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("SPECIAL-USE");
        registry.list_attribute(Self);
        registry.list_selection("SPECIAL-USE", Self);
        registry.list_return("SPECIAL-USE", Self);
    }
}

/// Told by every LIST, asked for or not (RFC 6154 §2).
impl ListAttribute for SpecialUse {
    fn decorate(&self, entry: &mut ListEntry) {
        for name in uses(entry).collect::<Vec<_>>() {
            // A fixture may say the same twice.
            if !entry.attributes.iter().any(|attribute| attribute == name) {
                entry.attributes.push(name.to_owned());
            }
        }
    }

    fn in_lsub(&self) -> bool {
        false
    }
}

impl ListSelection for SpecialUse {
    fn selects(&self, entry: &ListEntry) -> bool {
        uses(entry).next().is_some()
    }
}

impl ListReturn for SpecialUse {
    fn parse(&self, _cx: &mut Context<'_>, _args: &mut Args<'_>) -> Result<Box<dyn ListReturning>, Reject> {
        Ok(Box::new(Self))
    }
}

/// What it asks for is there already.
impl ListReturning for SpecialUse {}

/// The special uses that clients may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialUses(Vec<&'static str>);

/// A name that is none of a special use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no special use (there are: {all})", all = USES.join(", "))]
pub struct UnknownUse(String);

impl SpecialUses {
    /// By name, with the backslash, in any case.
    pub fn new(names: &[String]) -> Result<Self, UnknownUse> {
        let each = names.iter().map(|name| known(name).ok_or_else(|| UnknownUse(name.clone())));
        each.collect::<Result<_, _>>().map(Self)
    }
}

impl Default for SpecialUses {
    /// All of them.
    fn default() -> Self {
        Self(USES.to_vec())
    }
}

/// CREATE-SPECIAL-USE: the parameter of CREATE. Several mailboxes may be for the same (RFC 6154 §3).
#[derive(Clone, Debug, Default)]
pub struct CreateSpecialUse {
    may_set: SpecialUses,
}

impl CreateSpecialUse {
    /// With those that clients may set.
    pub const fn new(may_set: SpecialUses) -> Self {
        Self { may_set }
    }
}

impl Extension for CreateSpecialUse {
    fn name(&self) -> &'static str {
        "CREATE-SPECIAL-USE"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("CREATE-SPECIAL-USE");
        registry.create_parameter("USE", self.clone());
    }
}

impl CreateParameter for CreateSpecialUse {
    fn parse(&self, _cx: &mut Context<'_>, args: &mut Args<'_>, plan: &mut CreatePlan) -> Result<(), Reject> {
        for name in names(args)? {
            // Of more than there are, one is unknown: that is enough to refuse them.
            let is_full = plan.special_use.len() > USES.len();
            if !is_full && !plan.special_use.iter().any(|other| other.eq_ignore_ascii_case(&name)) {
                plan.special_use.push(known(&name).map_or(name, Arc::from));
            }
        }
        if !plan.special_use.is_empty() {
            plan.refusal = Some(useattr());
        }
        Ok(())
    }

    fn check(&self, place: &Place, plan: &CreatePlan) -> Result<(), Reject> {
        let refused = plan.special_use.iter().find(|name| !self.may_set.0.contains(&name.as_ref()));
        if let Some(name) = refused {
            return Err(Reject::code(useattr(), format!("{name} can't be set here")));
        }
        // RFC 6154 §7: what clients then put there, such as sent mail or junk, others would see.
        if !plan.special_use.is_empty() && place.kind != NamespaceKind::Personal {
            return Err(Reject::code(useattr(), "only mailboxes of one's own are for a special use"));
        }
        Ok(())
    }
}

/// ` (\Sent \Drafts)`; the list may be empty (RFC 6154 §6).
fn names(args: &mut Args<'_>) -> Result<Vec<Arc<str>>, Malformed> {
    args.sp()?;
    args.expect(b'(')?;
    let mut names = Vec::new();
    if args.eat(b')') {
        return Ok(names);
    }
    loop {
        args.expect(b'\\')?;
        names.push(format!("\\{}", String::from_utf8_lossy(args.atom()?)).into());
        if !args.eat(b' ') {
            args.expect(b')')?;
            return Ok(names);
        }
    }
}

#[cfg(test)]
mod tests {
    use imapper_core::storage::{MailboxId, MailboxInfo};

    use super::*;

    fn entry(uses: &[&str]) -> ListEntry {
        let mut info = MailboxInfo::new(MailboxId::from("1"), "a");
        info.special_use = uses.iter().copied().map(Arc::from).collect();
        let mut entry = ListEntry::new("a".to_owned(), '/');
        entry.info = Some(info);
        entry
    }

    #[test]
    fn uses_are_told_once_and_as_the_rfc_writes_them() {
        for (uses, told) in [
            (&[][..], &[][..]),
            (&["\\Sent", "\\Drafts"], &["\\Sent", "\\Drafts"]),
            (&["\\IMPORTANT", "\\sent", "\\Sent"], &["\\Important", "\\Sent"]),
            (&["\\Inbox", "Sent", "\\Noselect"], &[]),
        ] {
            let mut entry = entry(uses);
            ListAttribute::decorate(&SpecialUse, &mut entry);
            assert_eq!(entry.attributes, told);
            assert_eq!(SpecialUse.selects(&entry), !told.is_empty());
        }
        assert!(!SpecialUse.selects(&ListEntry::new("a".to_owned(), '/')));
    }

    #[test]
    fn lists_of_uses() {
        let read = |text: &str| names(&mut Args::new(text.as_bytes(), 0)).ok();
        assert_eq!(read(" ()"), Some(Vec::new()));
        assert_eq!(read(" (\\Sent \\x-y)"), Some(vec!["\\Sent".into(), "\\x-y".into()]));
        for text in ["", " ", " \\Sent", " (Sent)", " (\\)", " (\\Sent", " (\\Sent )", " ( \\Sent)", " (\\*)"]
        {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_clients_may_set() {
        let new =
            |names: &[&str]| SpecialUses::new(&names.iter().copied().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(new(&["\\sent", "\\ALL"]), Ok(SpecialUses(vec!["\\Sent", "\\All"])));
        assert_eq!(new(&[]), Ok(SpecialUses(Vec::new())));
        assert_eq!(new(&USES), Ok(SpecialUses::default()));
        let error = new(&["Sent"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "\"Sent\" is no special use (there are: \\All, \\Archive, \\Drafts, \\Flagged, \\Important, \
             \\Junk, \\Sent, \\Trash)"
        );
    }
}
