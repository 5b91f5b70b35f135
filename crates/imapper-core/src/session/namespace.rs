//! Namespaces (RFC 2342): which tree of mailboxes a name belongs to, and how it is called there.
//!
//! On the wire a name is a prefix and levels with the namespace's separator between; in a storage it belongs
//! to an account, and its separator is '/'.

use std::borrow::Cow;

use crate::limits::Limits;
use crate::session::Reject;
use crate::storage::AccountId;
use crate::types::Code;
use crate::users::Identity;

/// Whose mailboxes a namespace holds (RFC 2342 §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceKind {
    /// The user's own.
    Personal,
    /// Those of other users: the first level is the user.
    OtherUsers,
    /// Those that belong to nobody in particular.
    Shared,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Namespace {
    /// Whose mailboxes it holds.
    pub kind: NamespaceKind,
    /// What the names in it begin with.
    pub prefix: String,
    /// What stands between levels.
    pub separator: char,
    /// Of a shared one: who owns it. Of other users': whose mailboxes are open to all.
    pub accounts: Vec<AccountId>,
    /// Whether RFC 4505's anonymous user may see it.
    pub anonymous: bool,
}

impl Namespace {
    /// A namespace that is open to nobody in particular; a shared one belongs to an account of the prefix's
    /// name, or `public`.
    pub fn new(kind: NamespaceKind, prefix: impl Into<String>, separator: char) -> Self {
        let prefix = prefix.into();
        let name = prefix.strip_suffix(separator).unwrap_or(&prefix);
        let accounts = match kind {
            NamespaceKind::Shared if name.is_empty() => vec![AccountId::from("public")],
            NamespaceKind::Shared => vec![AccountId::from(name)],
            _ => Vec::new(),
        };
        Self { kind, prefix, separator, accounts, anonymous: false }
    }

    /// What the names in it begin with, up to the first level: the prefix, and a separator where it has none
    /// at its end.
    pub fn base(&self) -> Cow<'_, str> {
        if self.prefix.is_empty() || self.prefix.ends_with(self.separator) {
            Cow::Borrowed(&self.prefix)
        } else {
            Cow::Owned(format!("{}{}", self.prefix, self.separator))
        }
    }

    /// The prefix without a separator at its end.
    pub fn root(&self) -> &str {
        self.prefix.strip_suffix(self.separator).unwrap_or(&self.prefix)
    }
}

/// A name, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose mailbox it is.
    pub account: AccountId,
    /// The name in the storage. Empty for the root of a namespace.
    pub name: String,
    /// The kind of its namespace.
    pub kind: NamespaceKind,
    /// What stands between levels on the wire.
    pub separator: char,
    /// Of other users' mailboxes: whether the fixture or the configuration opens them to all.
    pub open: bool,
    /// Whether RFC 4505's anonymous user may see it.
    pub open_to_anonymous: bool,
    /// The namespace's place in the configuration.
    pub namespace: usize,
}

impl Place {
    /// The name under which a user subscribes to it: the same whatever separator is shown.
    pub fn qualified(&self, namespaces: &Namespaces) -> String {
        let Some(namespace) = namespaces.get(self.namespace) else { return self.name.clone() };
        match namespace.kind {
            NamespaceKind::Personal => self.name.clone(),
            NamespaceKind::Shared => format!("{}{}", namespace.base(), self.name),
            NamespaceKind::OtherUsers => format!("{}{}/{}", namespace.base(), self.account, self.name),
        }
    }

    /// The names of the levels above it, from the top.
    pub fn parents(&self) -> impl Iterator<Item = &str> {
        self.name.match_indices('/').map(|(at, _)| &self.name[..at])
    }
}

/// All namespaces of a server.
#[derive(Clone, Debug)]
pub struct Namespaces(Vec<Namespace>);

impl Default for Namespaces {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Namespaces {
    /// The namespaces, in the order in which NAMESPACE shows them. Without a personal one, "" with "/" is
    /// added.
    pub fn new(mut namespaces: Vec<Namespace>) -> Self {
        if !namespaces.iter().any(|namespace| namespace.kind == NamespaceKind::Personal) {
            namespaces.insert(0, Namespace::new(NamespaceKind::Personal, "", '/'));
        }
        Self(namespaces)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Namespace)> {
        self.0.iter().enumerate()
    }

    /// The one at that place of the configuration.
    pub fn get(&self, at: usize) -> Option<&Namespace> {
        self.0.get(at)
    }

    /// The first personal one, where INBOX lives.
    pub fn main(&self) -> Option<(usize, &Namespace)> {
        self.iter().find(|(_, namespace)| namespace.kind == NamespaceKind::Personal)
    }

    /// What a name means: the namespace with the longest prefix has it; INBOX is always the user's own.
    /// `None` for a name in no namespace.
    pub fn place(&self, name: &str, identity: &Identity) -> Option<Place> {
        if name.eq_ignore_ascii_case("INBOX") {
            let (at, namespace) = self.main()?;
            return Some(own(at, namespace, identity, "INBOX".to_owned()));
        }
        let matches = self.iter().filter_map(|(at, namespace)| {
            let rest = strip_prefix(name, namespace)?;
            Some((at, namespace, rest))
        });
        let (at, namespace, rest) = matches.max_by_key(|(_, namespace, _)| namespace.prefix.len())?;
        // A '/' in a name whose separator is another one can't be told from a level.
        if namespace.separator != '/' && rest.contains('/') {
            return None;
        }
        let rest = rest.replace(namespace.separator, "/");
        match namespace.kind {
            NamespaceKind::Personal => {
                // "INBOX.INBOX" would be another name for INBOX.
                if !namespace.prefix.is_empty() && rest.eq_ignore_ascii_case("INBOX") {
                    return None;
                }
                // RFC 3501 §5.1.2: "#" begins the name of a namespace, and there is none of this one.
                if namespace.prefix.is_empty() && rest.starts_with('#') {
                    return None;
                }
                // RFC 9051 §5.1: the case of INBOX does not matter in its children's names either, so that
                // there is one parent.
                let rest = match rest.split_once('/') {
                    Some((first, below))
                        if namespace.prefix.is_empty() && first.eq_ignore_ascii_case("INBOX") =>
                    {
                        format!("INBOX/{below}")
                    }
                    _ => rest,
                };
                let is_main = self.main().is_some_and(|(main, _)| main == at);
                let name = if is_main { rest } else { join(namespace.root(), &rest) };
                Some(own(at, namespace, identity, name))
            }
            NamespaceKind::Shared => Some(Place {
                account: namespace.accounts.first()?.clone(),
                name: rest,
                kind: namespace.kind,
                separator: namespace.separator,
                open: true,
                open_to_anonymous: namespace.anonymous,
                namespace: at,
            }),
            NamespaceKind::OtherUsers => {
                let (user, below) = rest.split_once('/').unwrap_or((&rest, "INBOX"));
                let account = AccountId::from(user);
                Some(Place {
                    open: namespace.accounts.contains(&account),
                    account,
                    name: below.to_owned(),
                    kind: namespace.kind,
                    separator: namespace.separator,
                    open_to_anonymous: namespace.anonymous,
                    namespace: at,
                })
            }
        }
    }

    /// The name on the wire, in Unicode, of a mailbox in the storage; `None` if it has none there (a tree
    /// of one namespace inside of another's account).
    pub fn shown(&self, at: usize, account: &AccountId, name: &str) -> Option<String> {
        let namespace = self.get(at)?;
        let separated = |name: &str| {
            // A level that holds the separator can't be written.
            if namespace.separator != '/' && name.contains(namespace.separator) {
                return None;
            }
            Some(name.replace('/', namespace.separator.encode_utf8(&mut [0; 4])))
        };
        match namespace.kind {
            NamespaceKind::Personal if self.main().is_some_and(|(main, _)| main == at) => {
                if name == "INBOX" {
                    return Some(name.to_owned());
                }
                let elsewhere = self.iter().any(|(other, namespace)| {
                    other != at
                        && namespace.kind == NamespaceKind::Personal
                        && below(name, namespace.root()).is_some()
                });
                if elsewhere { None } else { Some(format!("{}{}", namespace.base(), separated(name)?)) }
            }
            NamespaceKind::Personal => {
                Some(format!("{}{}", namespace.base(), separated(below(name, namespace.root())?)?))
            }
            NamespaceKind::Shared => Some(format!("{}{}", namespace.base(), separated(name)?)),
            NamespaceKind::OtherUsers if name == "INBOX" => Some(format!("{}{account}", namespace.base())),
            NamespaceKind::OtherUsers => {
                Some(format!("{}{account}{}{}", namespace.base(), namespace.separator, separated(name)?))
            }
        }
    }

    /// The name on the wire, and its separator, of a name that somebody is subscribed to: the other way round
    /// from [`Place::qualified`].
    pub fn from_qualified(&self, name: &str, identity: &Identity) -> Option<(String, char)> {
        let others = self.iter().filter(|(_, namespace)| namespace.kind != NamespaceKind::Personal);
        for (at, namespace) in others {
            let Some(rest) = name.strip_prefix(&*namespace.base()).filter(|_| !namespace.prefix.is_empty())
            else {
                continue;
            };
            let (account, name) = match namespace.kind {
                NamespaceKind::OtherUsers => {
                    let (user, name) = rest.split_once('/')?;
                    (AccountId::from(user), name)
                }
                _ => (namespace.accounts.first()?.clone(), rest),
            };
            return Some((self.shown(at, &account, name)?, namespace.separator));
        }
        let personal = self.iter().filter(|(_, namespace)| namespace.kind == NamespaceKind::Personal);
        let mut shown = personal.filter_map(|(at, namespace)| {
            Some((self.shown(at, &identity.account, name)?, namespace.separator))
        });
        shown.next()
    }

    /// The accounts whose mailboxes a namespace shows to a user.
    pub fn accounts(&self, namespace: &Namespace, identity: &Identity) -> Vec<AccountId> {
        match namespace.kind {
            NamespaceKind::Personal => vec![identity.account.clone()],
            _ => namespace.accounts.clone(),
        }
    }
}

/// A place in the user's own tree.
fn own(at: usize, namespace: &Namespace, identity: &Identity, name: String) -> Place {
    Place {
        account: identity.account.clone(),
        name,
        kind: NamespaceKind::Personal,
        separator: namespace.separator,
        open: true,
        open_to_anonymous: namespace.anonymous,
        namespace: at,
    }
}

fn strip_prefix<'a>(name: &'a str, namespace: &Namespace) -> Option<&'a str> {
    if let Some(rest) = name.strip_prefix(&*namespace.base()) {
        return Some(rest);
    }
    let prefix = namespace.prefix.strip_prefix("INBOX").filter(|rest| rest.len() == 1)?;
    let (inbox, rest) = name.split_at_checked(5)?;
    if inbox.eq_ignore_ascii_case("INBOX") { rest.strip_prefix(prefix) } else { None }
}

fn below<'a>(name: &'a str, root: &str) -> Option<&'a str> {
    name.strip_prefix(root)?.strip_prefix('/')
}

fn join(root: &str, rest: &str) -> String {
    if rest.is_empty() { root.to_owned() } else { format!("{root}/{rest}") }
}

/// Refuses a name that no mailbox can have: too long, too deep, empty levels, control characters, and
/// wildcards, with which LIST could not ask for it.
pub fn check_new_name(name: &str, limits: &Limits) -> Result<(), Reject> {
    let cannot = |text: &'static str| Err(Reject::code(Code::CANNOT, text));
    if name.is_empty() || name.split('/').any(str::is_empty) {
        return cannot("a mailbox name has no empty levels");
    }
    if name.split('/').any(|level| level == "." || level == "..") {
        return cannot("\".\" and \"..\" are no names of mailboxes");
    }
    if name.chars().any(|character| character.is_control() || matches!(character, '*' | '%')) {
        return cannot("a mailbox name has no wildcards or control characters");
    }
    if name.len() > limits.mailbox_name {
        return Err(Reject::code(Code::LIMIT, "the mailbox name is too long"));
    }
    if name.split('/').count() > limits.mailbox_levels {
        return Err(Reject::code(Code::LIMIT, "the mailbox name has too many levels"));
    }
    if name.split('/').any(|level| level.len() > limits.mailbox_level) {
        return Err(Reject::code(Code::LIMIT, "a level of the mailbox name is too long"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cyrus() -> Namespaces {
        let mut others = Namespace::new(NamespaceKind::OtherUsers, "user.", '.');
        others.accounts.push(AccountId::from("bob"));
        Namespaces::new(vec![
            Namespace::new(NamespaceKind::Personal, "INBOX.", '.'),
            others,
            Namespace::new(NamespaceKind::Shared, "", '.'),
        ])
    }

    #[track_caller]
    fn both_ways(namespaces: &Namespaces, name: &str, account: &str, stored: &str) {
        let place = namespaces.place(name, &Identity::new("john")).unwrap();
        assert_eq!((place.account.as_str(), place.name.as_str()), (account, stored), "{name}");
        assert_eq!(namespaces.shown(place.namespace, &place.account, stored).as_deref(), Some(name));
    }

    #[test]
    fn names_go_both_ways() {
        let plain = Namespaces::default();
        both_ways(&plain, "INBOX", "john", "INBOX");
        both_ways(&plain, "INBOX/a", "john", "INBOX/a");
        both_ways(&plain, "Sent/2024", "john", "Sent/2024");
        let cyrus = cyrus();
        both_ways(&cyrus, "INBOX", "john", "INBOX");
        both_ways(&cyrus, "INBOX.Sent.2024", "john", "Sent/2024");
        both_ways(&cyrus, "user.bob", "bob", "INBOX");
        both_ways(&cyrus, "user.bob.Sent", "bob", "Sent");
        both_ways(&cyrus, "news.world", "public", "news/world");
        let several = Namespaces::new(vec![
            Namespace::new(NamespaceKind::Personal, "", '/'),
            Namespace::new(NamespaceKind::Personal, "#mh.", '.'),
            Namespace::new(NamespaceKind::Shared, "#news.", '.'),
        ]);
        both_ways(&several, "#mh.a.b", "john", "#mh/a/b");
        both_ways(&several, "#news.world", "#news", "world");
        assert_eq!(several.shown(0, &AccountId::from("john"), "#mh/a"), None);
        // A prefix without a separator at its end.
        let bare = Namespaces::new(vec![Namespace::new(NamespaceKind::Shared, "#news", '/')]);
        both_ways(&bare, "#news/world", "#news", "world");
        assert_eq!(bare.place("#news.world", &Identity::new("john")), None);
    }

    #[test]
    fn names_without_a_meaning() {
        let cyrus = cyrus();
        let john = Identity::new("john");
        assert_eq!(cyrus.place("INBOX.INBOX", &john), None);
        assert_eq!(cyrus.place("INBOX.a/b", &john), None);
        assert_eq!(cyrus.place("inbox.a", &john).unwrap().name, "a");
        assert_eq!(Namespaces::default().place("inbox/a", &john).unwrap().name, "INBOX/a");
        assert_eq!(cyrus.shown(0, &AccountId::from("john"), "a.b"), None);
    }

    #[test]
    fn new_names_have_bounds() {
        let limits = Limits::default();
        for name in ["", "a//b", "/a", "a/", "a*", "a%b", "a\u{7}", "..", "a/../b"] {
            assert!(
                matches!(check_new_name(name, &limits), Err(Reject::No(Some(code), _)) if code == Code::CANNOT),
                "{name}"
            );
        }
        let deep = ["a"; 33].join("/");
        for name in [&"x".repeat(256), &deep, &["x".repeat(255).as_str(); 4].join("/")] {
            assert!(
                matches!(check_new_name(name, &limits), Err(Reject::No(Some(code), _)) if code == Code::LIMIT),
                "{name}"
            );
        }
        check_new_name(&deep[2..], &limits).unwrap();
        check_new_name(&"x".repeat(255), &limits).unwrap();
    }
}
