//! The list of the extensions: one line each.

use imapper_core::registry::Extension;

use crate::{
    AuthPlain, Children, Condstore, CreateSpecialUse, Enable, Faults, Id, IdFields, IdLimits, Idle,
    LiteralMinus, LiteralPlus, LoginDisabled, Move, Namespace, Qresync, Quota, QuotaSet, SaslIr, SpecialUse,
    SpecialUses, StartTls, UidPlus, Unselect, XGmExt1, XToyBird, Xoauth2,
};
use crate::{
    auth_plain, children, condstore, enable, id, idle, literal, logindisabled, r#move, namespace, qresync,
    quota, sasl_ir, special_use, starttls, uidplus, unselect, x_faults, x_gm_ext_1, xoauth2, xtoybird,
};

/// What the extensions can be told.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Whether the extension was asked for by its name, and is not just one of the standard ones.
    /// LOGINDISABLED holds for clients on this machine then too.
    pub named: bool,
    /// What ID says of the server; `None` is its name and version.
    pub id: Option<IdFields>,
    /// What a client may tell of itself by ID.
    pub id_limits: IdLimits,
    /// The special uses that a client may set.
    pub special_use: SpecialUses,
    /// Whether clients on other machines may use XTOYBIRD, too, when they have logged in.
    pub xtoybird_remote: bool,
}

impl Options {
    /// For extensions that were asked for by name, or for the standard ones.
    pub fn new(named: bool) -> Self {
        Self { named, ..Self::default() }
    }

    /// With what ID says of the server.
    #[must_use]
    pub fn id(mut self, fields: IdFields) -> Self {
        self.id = Some(fields);
        self
    }

    /// With XTOYBIRD for clients on other machines or not.
    #[must_use]
    pub const fn xtoybird_remote(mut self, remote: bool) -> Self {
        self.xtoybird_remote = remote;
        self
    }

    /// With other bounds on what a client tells of itself by ID.
    #[must_use]
    pub const fn id_limits(mut self, limits: IdLimits) -> Self {
        self.id_limits = limits;
        self
    }

    /// With the special uses that a client may set.
    #[must_use]
    pub fn special_use(mut self, uses: SpecialUses) -> Self {
        self.special_use = uses;
        self
    }
}

/// An extension that this crate holds.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its name: the capability.
    pub name: &'static str,
    /// Other names by which it may be asked for: those of the original imapper.
    pub aliases: &'static [&'static str],
    /// Whether it is on where nobody has chosen.
    pub standard: bool,
    /// The words of the wire that are gone when it is off.
    pub words: &'static [&'static str],
    make: fn(&Options) -> Box<dyn Extension>,
}

impl Entry {
    /// Makes the extension.
    pub fn extension(&self, options: &Options) -> Box<dyn Extension> {
        (self.make)(options)
    }
}

/// Shorter, so that each extension is a line.
const fn entry(
    name: &'static str,
    aliases: &'static [&'static str],
    standard: bool,
    words: &'static [&'static str],
    make: fn(&Options) -> Box<dyn Extension>,
) -> Entry {
    Entry { name, aliases, standard, words, make }
}

// Keep it sorted by name.
const ENTRIES: &[Entry] = &[
    entry("AUTH=PLAIN", &["AUTH-PLAIN"], true, auth_plain::WORDS, |_| Box::new(AuthPlain)),
    entry("AUTH=XOAUTH2", &["XOAUTH2"], true, xoauth2::WORDS, |_| Box::new(Xoauth2)),
    entry("CHILDREN", &[], true, children::WORDS, |_| Box::new(Children)),
    entry("CONDSTORE", &[], true, condstore::WORDS, |_| Box::new(Condstore)),
    entry("CREATE-SPECIAL-USE", &[], true, special_use::WORDS.split_at(1).1, |options| {
        Box::new(CreateSpecialUse::new(options.special_use.clone()))
    }),
    entry("ENABLE", &[], true, enable::WORDS, |_| Box::new(Enable)),
    entry("ID", &[], true, id::WORDS, |options| {
        let fields = options.id.clone().unwrap_or_else(IdFields::imapper);
        Box::new(Id::new(fields).limits(options.id_limits))
    }),
    entry("IDLE", &[], true, idle::WORDS, |_| Box::new(Idle)),
    entry("LITERAL+", &["LITERALPLUS"], true, literal::WORDS.split_at(1).0, |_| Box::new(LiteralPlus)),
    entry("LITERAL-", &["LITERALMINUS"], false, literal::WORDS.split_at(1).1, |_| Box::new(LiteralMinus)),
    entry("LOGINDISABLED", &[], true, logindisabled::WORDS, |options| {
        Box::new(LoginDisabled { on_loopback: options.named })
    }),
    entry("MOVE", &[], true, r#move::WORDS, |_| Box::new(Move)),
    entry("NAMESPACE", &[], true, namespace::WORDS, |_| Box::new(Namespace)),
    entry("QRESYNC", &[], true, qresync::WORDS, |_| Box::new(Qresync)),
    entry("QUOTA", &[], true, quota::WORDS.split_at(2).1, |_| Box::new(Quota)),
    entry("QUOTASET", &[], true, quota::WORDS.split_at(2).0, |_| Box::new(QuotaSet)),
    entry("SASL-IR", &[], true, sasl_ir::WORDS, |_| Box::new(SaslIr)),
    entry("SPECIAL-USE", &[], true, special_use::WORDS.split_at(1).0, |_| Box::new(SpecialUse)),
    entry("STARTTLS", &[], true, starttls::WORDS, |_| Box::new(StartTls)),
    entry("UIDPLUS", &[], true, uidplus::WORDS, |_| Box::new(UidPlus)),
    entry("UNSELECT", &[], true, unselect::WORDS, |_| Box::new(Unselect)),
    entry("X-FAULTS", &[], false, x_faults::WORDS, |_| Box::new(Faults::default())),
    entry("X-GM-EXT-1", &[], false, x_gm_ext_1::WORDS, |_| Box::new(XGmExt1)),
    entry("XTOYBIRD", &[], false, xtoybird::WORDS, |options| {
        Box::new(XToyBird { remote: options.xtoybird_remote })
    }),
];

/// Every extension, by name.
pub fn all() -> Vec<Entry> {
    ENTRIES.to_vec()
}

/// The extension of that name or alias, in any case.
pub fn find(id: &str) -> Option<Entry> {
    let is_called = |entry: &&Entry| {
        let mut names = std::iter::once(&entry.name).chain(entry.aliases);
        names.any(|name| name.eq_ignore_ascii_case(id))
    };
    ENTRIES.iter().find(is_called).copied()
}

/// The extensions that are on where nobody has chosen.
pub fn standard() -> Vec<Box<dyn Extension>> {
    let options = Options::default();
    ENTRIES.iter().filter(|entry| entry.standard).map(|entry| entry.extension(&options)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_the_name_of_its_extension_and_no_other_has_it() {
        let mut names: Vec<&str> = Vec::new();
        for entry in all() {
            assert_eq!(entry.extension(&Options::default()).name(), entry.name);
            assert!(entry.words.contains(&entry.name), "{}", entry.name);
            names.extend(std::iter::once(&entry.name).chain(entry.aliases));
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(all().is_sorted_by_key(|entry| entry.name));
    }

    #[test]
    fn names_are_found_in_any_case_and_by_those_of_the_original() {
        let found = |id: &str| find(id).map(|entry| entry.name);
        for (id, name) in [
            ("idle", "IDLE"),
            ("AUTH-PLAIN", "AUTH=PLAIN"),
            ("auth=plain", "AUTH=PLAIN"),
            ("xoauth2", "AUTH=XOAUTH2"),
            ("LiteralPlus", "LITERAL+"),
            ("literal-", "LITERAL-"),
        ] {
            assert_eq!(found(id), Some(name));
        }
        for id in ["", "PLAIN", "LITERAL", "IDLE "] {
            assert_eq!(found(id), None);
        }
    }

    #[test]
    fn the_standard_ones_need_and_exclude_nothing_that_is_missing_or_there() {
        let standard = standard();
        let names: Vec<&str> = standard.iter().map(|extension| extension.name()).collect();
        assert!(names.contains(&"LITERAL+") && !names.contains(&"LITERAL-"));
        for extension in &standard {
            assert!(extension.requires().iter().all(|name| names.contains(name)));
            assert!(!extension.excludes().iter().any(|name| names.contains(name)));
        }
    }
}
