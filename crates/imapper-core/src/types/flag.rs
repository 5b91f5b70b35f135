//! Flags (RFC 9051 §2.3.2): the five system flags as bits, keywords as shared strings.

use std::hash::{Hash, Hasher};
use std::ops::{BitAnd, BitOr, Not};
use std::sync::Arc;

/// One of the system flags that are stored. `\Recent` is none of them: it belongs to a session, not to a
/// message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SystemFlag {
    /// `\Seen`
    Seen = 1,
    /// `\Answered`
    Answered = 2,
    /// `\Flagged`
    Flagged = 4,
    /// `\Deleted`
    Deleted = 8,
    /// `\Draft`
    Draft = 16,
}

impl SystemFlag {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Answered, Self::Flagged, Self::Deleted, Self::Seen, Self::Draft];

    /// The word on the wire, with its backslash.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seen => "\\Seen",
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Draft => "\\Draft",
        }
    }

    /// The flag of that name, in any case.
    pub fn by_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|flag| flag.name().as_bytes().eq_ignore_ascii_case(name))
    }
}

/// A set of system flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SystemFlags(u8);

impl SystemFlags {
    /// None.
    pub const NONE: Self = Self(0);
    /// All five.
    pub const ALL: Self = Self(31);

    /// The bits, as plugins may keep them: 1 Seen, 2 Answered, 4 Flagged, 8 Deleted, 16 Draft.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From bits; those that mean nothing are left out.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Whether the flag is in the set.
    pub const fn contains(self, flag: SystemFlag) -> bool {
        self.0 & flag as u8 != 0
    }

    /// The flags of the set, in the order in which they are shown.
    pub fn iter(self) -> impl Iterator<Item = SystemFlag> {
        SystemFlag::ALL.into_iter().filter(move |flag| self.contains(*flag))
    }
}

impl From<SystemFlag> for SystemFlags {
    fn from(flag: SystemFlag) -> Self {
        Self(flag as u8)
    }
}

impl BitOr for SystemFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for SystemFlags {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for SystemFlags {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0 & Self::ALL.0)
    }
}

/// A keyword: a flag that users and programs define (`$Forwarded`, `MyFlag`). Keeps its case, compares
/// without regard to it.
#[derive(Clone, Debug)]
pub struct Keyword(Arc<str>);

impl Keyword {
    /// A keyword. The caller has seen to it that it is an atom (RFC 9051 §9, flag-keyword).
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The word as it was first given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl Hash for Keyword {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let lower = |word: &Self| word.0.bytes().map(|byte| byte.to_ascii_lowercase()).collect::<Vec<_>>();
        lower(self).cmp(&lower(other))
    }
}

/// The flags of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// The system flags.
    pub system: SystemFlags,
    // Sorted, without duplicates; `None` for none, which is the usual case and costs no allocation.
    keywords: Option<Arc<[Keyword]>>,
}

impl Flags {
    /// From system flags and keywords, in any order.
    pub fn new(system: SystemFlags, keywords: impl IntoIterator<Item = Keyword>) -> Self {
        let mut keywords: Vec<Keyword> = keywords.into_iter().collect();
        keywords.sort();
        keywords.dedup();
        Self { system, keywords: (!keywords.is_empty()).then(|| keywords.into()) }
    }

    /// The keywords, sorted.
    pub fn keywords(&self) -> &[Keyword] {
        self.keywords.as_deref().unwrap_or_default()
    }

    /// Whether the system flag is set.
    pub fn contains(&self, flag: SystemFlag) -> bool {
        self.system.contains(flag)
    }

    /// Whether the keyword is set.
    pub fn has_keyword(&self, keyword: &Keyword) -> bool {
        self.keywords().contains(keyword)
    }

    /// Whether no flag is set.
    pub fn is_empty(&self) -> bool {
        self.system == SystemFlags::NONE && self.keywords.is_none()
    }

    /// These flags and the others.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        let system = self.system | others.system;
        if others.keywords.is_none() {
            return Self { system, keywords: self.keywords.clone() };
        }
        Self::new(system, self.keywords().iter().chain(others.keywords()).cloned())
    }

    /// These flags without the others.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        let system = self.system & !others.system;
        if self.keywords.is_none() || others.keywords.is_none() {
            return Self { system, keywords: self.keywords.clone() };
        }
        Self::new(system, self.keywords().iter().filter(|keyword| !others.has_keyword(keyword)).cloned())
    }

    /// The words on the wire, system flags first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.system
            .iter()
            .map(|flag| -> &str { flag.name() })
            .chain(self.keywords().iter().map(Keyword::as_str))
    }
}

impl From<SystemFlag> for Flags {
    fn from(flag: SystemFlag) -> Self {
        Self { system: flag.into(), keywords: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_keep_their_case_and_compare_without_it() {
        let flags = Flags::new(SystemFlag::Seen.into(), [Keyword::new("MyFlag"), Keyword::new("myflag")]);
        assert_eq!(flags.names().collect::<Vec<_>>(), ["\\Seen", "MyFlag"]);
        assert!(flags.has_keyword(&Keyword::new("MYFLAG")));
        let others = Flags::new(SystemFlag::Draft.into(), [Keyword::new("MYFLAG")]);
        assert_eq!(flags.without(&others), Flags::from(SystemFlag::Seen));
        assert_eq!(flags.with(&others).names().count(), 3);
    }

    #[test]
    fn system_flags_have_names_in_any_case() {
        assert_eq!(SystemFlag::by_name(b"\\sEEN"), Some(SystemFlag::Seen));
        assert_eq!(SystemFlag::by_name(b"\\Recent"), None);
        assert_eq!(SystemFlags::from_bits(0xff), SystemFlags::ALL);
    }
}
