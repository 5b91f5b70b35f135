//! LIST (RFC 3501 §6.3.8), and what it has in common with LSUB. Selection and return options come from their
//! slots (RFC 5258).

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::turn::Turn;
use crate::registry::slots::{ListEntry, ListReturning, ListSelection};
use crate::registry::{Context, Flow, InAuthenticated, Outcome, Registry, Row, Run};
use crate::session::{Login, Namespace, NamespaceKind, Reject, Rights};
use crate::storage::Mbox;
use crate::types::Code;
use crate::wire::{Args, Line};

pub(super) fn row() -> Row {
    Row::new("LIST", Run::authenticated(List))
}

struct List;

#[async_trait]
impl InAuthenticated for List {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let selections = selections(cx, args)?;
        let reference = args.mailbox_or_empty()?;
        args.sp()?;
        let pattern = args.list_mailbox()?;
        let returns = returns(cx, args)?;
        args.end()?;
        // With options, if only empty lists of them, an empty pattern is a pattern (RFC 5258 §3).
        if pattern.is_empty() && selections.is_none() && returns.is_none() {
            root(cx, login, &reference).await?;
            return Ok(Flow::done());
        }
        let (selections, returns) = (selections.unwrap_or_default(), returns.unwrap_or_default());
        let pattern = Pattern::new(&reference, &pattern, cx)?;
        for mut entry in matching(cx, login, &pattern).await? {
            if !selections.iter().all(|option| option.selects(&entry)) {
                continue;
            }
            for option in &selections {
                option.decorate(&mut entry);
            }
            for option in &returns {
                option.decorate(&mut entry);
            }
            tell(cx, "LIST", &entry).await?;
            for option in &returns {
                option.after(cx, login, &entry).await?;
            }
        }
        Ok(Flow::done())
    }
}

/// Whether there are options at all: without any, LIST is what it was before them.
fn takes_options(registry: &Registry) -> bool {
    !registry.list_selections.is_empty() || !registry.list_returns.is_empty()
}

/// The list before the reference; `None` if there is none. An option that stands there twice counts once
/// (RFC 5258 §3).
fn selections(cx: &Context<'_>, args: &mut Args<'_>) -> Result<Option<Vec<Arc<dyn ListSelection>>>, Reject> {
    let registry = &cx.shared.registry;
    if !takes_options(registry) || !args.eat(b'(') {
        return Ok(None);
    }
    let (mut words, mut selections) = (Vec::new(), Vec::new());
    if !args.eat(b')') {
        loop {
            let start = *args;
            let word = args.word()?;
            let option = registry.list_selections.get(&word);
            let option = option.ok_or_else(|| start.malformed("no such selection option"))?;
            if !words.contains(&word) {
                words.push(word);
                selections.push(Arc::clone(option));
            }
            if !args.eat(b' ') {
                break;
            }
        }
        args.expect(b')')?;
    }
    args.sp()?;
    Ok(Some(selections))
}

/// The list after the pattern, in the same way.
fn returns(cx: &mut Context<'_>, args: &mut Args<'_>) -> Result<Option<Vec<Box<dyn ListReturning>>>, Reject> {
    let shared = Arc::clone(cx.shared);
    if !takes_options(&shared.registry) || !args.eat_prefix(" RETURN (") {
        return Ok(None);
    }
    let (mut words, mut returns) = (Vec::new(), Vec::new());
    if args.eat(b')') {
        return Ok(Some(returns));
    }
    loop {
        let start = *args;
        let word = args.word()?;
        let option = shared.registry.list_returns.get(&word);
        let option = option.ok_or_else(|| start.malformed("no such return option"))?;
        let returning = option.parse(cx, args)?;
        if !words.contains(&word) {
            words.push(word);
            returns.push(returning);
        }
        if !args.eat(b' ') {
            args.expect(b')')?;
            return Ok(Some(returns));
        }
    }
}

/// An empty pattern asks for the separator, and for the root of the reference (RFC 3501 §6.3.8).
async fn root(cx: &mut Context<'_>, login: &Login, reference: &str) -> Result<(), Reject> {
    let place = cx.shared.namespaces.place(reference, &login.identity);
    let namespace = place.and_then(|place| cx.shared.namespaces.get(place.namespace));
    let namespace = namespace.or_else(|| cx.shared.namespaces.main().map(|(_, namespace)| namespace));
    let (separator, root) = match namespace {
        Some(namespace) if namespace.prefix.starts_with('#') => {
            (namespace.separator, namespace.prefix.clone())
        }
        Some(namespace) => (namespace.separator, String::new()),
        None => ('/', String::new()),
    };
    let mut entry = ListEntry::new(root, separator);
    entry.attributes.push("\\Noselect".to_owned());
    tell(cx, "LIST", &entry).await
}

/// Sends a LIST or LSUB response.
pub async fn tell(cx: &mut Context<'_>, word: &str, entry: &ListEntry) -> Result<(), Reject> {
    let mut line = Line::untagged(word);
    line.sp().list(&entry.attributes).sp().string(entry.separator.to_string()).sp().mailbox(&entry.name);
    Ok(cx.send(&mut line).await?)
}

/// The mailboxes that the pattern matches, with their attributes, in order.
pub async fn matching(cx: &Context<'_>, login: &Login, pattern: &Pattern) -> Result<Vec<ListEntry>, Reject> {
    let all = entries(cx, login, |namespace| pattern.reaches(namespace)).await?;
    let (mut matching, mut turn) = (Vec::new(), Turn::new());
    for mut entry in all {
        turn.pause().await;
        if pattern.matches(&entry.name, entry.separator) {
            decorate(cx, "LIST", &mut entry);
            matching.push(entry);
        }
    }
    Ok(matching)
}

/// Adds the attributes of the base protocol and of extensions, for LIST or LSUB.
pub fn decorate(cx: &Context<'_>, word: &str, entry: &mut ListEntry) {
    if entry.info.as_ref().is_none_or(|info| info.no_select) {
        entry.attributes.push("\\Noselect".to_owned());
    }
    for attribute in &cx.shared.registry.list_attributes {
        if word == "LIST" || attribute.in_lsub() {
            attribute.decorate(entry);
        }
    }
}

/// All mailboxes that the user may see in those namespaces, and the names above them, in order: INBOX first,
/// then by namespace and name.
pub async fn entries(
    cx: &Context<'_>,
    login: &Login,
    wanted: impl Fn(&Namespace) -> bool,
) -> Result<Vec<ListEntry>, Reject> {
    let namespaces = &cx.shared.namespaces;
    let subscribed = cx.storage().subscriptions(&login.identity.account).await?;
    let mut entries: BTreeMap<(bool, usize, String), ListEntry> = BTreeMap::new();
    for (at, namespace) in namespaces.iter().filter(|(_, namespace)| wanted(namespace)) {
        for account in namespaces.accounts(namespace, &login.identity) {
            for mut info in cx.storage().list(&account).await? {
                let Some(name) = namespaces.shown(at, &account, &info.name) else { continue };
                let Some(place) = namespaces.place(&name, &login.identity) else { continue };
                if place.account != account
                    || !cx.rights(&place, login, Some(&info)).await?.contains(Rights::LOOKUP)
                {
                    continue;
                }
                // What a mailbox is for, it is for its owner (RFC 6154 §4: a private entry).
                if namespace.kind == NamespaceKind::OtherUsers {
                    info.special_use.clear();
                }
                let mut entry = ListEntry::new(name.clone(), namespace.separator);
                entry.mailbox = Some(Mbox { account: account.clone(), id: info.id.clone() });
                entry.subscribed = subscribed.contains(&place.qualified(namespaces));
                entry.info = Some(info);
                entries.insert((name != "INBOX", at, name), entry);
            }
        }
    }
    let names: Vec<(usize, char, String)> =
        entries.iter().map(|((_, at, name), entry)| (*at, entry.separator, name.clone())).collect();
    for (at, separator, name) in names {
        for (end, _) in name.match_indices(separator) {
            let parent = &name[..end];
            if parent.is_empty() {
                continue;
            }
            // INBOX may be the parent of a namespace of its own ("INBOX.").
            let key =
                (parent != "INBOX", if parent == "INBOX" { inbox(cx, at) } else { at }, parent.to_owned());
            entries.entry(key).or_insert_with(|| ListEntry::new(parent.to_owned(), separator)).has_children =
                true;
        }
    }
    Ok(entries.into_values().collect())
}

fn inbox(cx: &Context<'_>, otherwise: usize) -> usize {
    cx.shared.namespaces.main().map_or(otherwise, |(at, _)| at)
}

/// A pattern with its reference before it. Matching takes time in proportion to pattern and name, whatever
/// the wildcards are.
pub struct Pattern {
    text: Vec<char>,
}

impl Pattern {
    /// The pattern of a command, unless it is too long.
    pub fn new(reference: &str, pattern: &str, cx: &Context<'_>) -> Result<Self, Reject> {
        if reference.len() + pattern.len() > cx.shared.limits.list_pattern {
            return Err(Reject::code(Code::LIMIT, "the pattern is too long"));
        }
        let mut text: Vec<char> = Vec::new();
        for character in reference.chars().chain(pattern.chars()) {
            // Wildcards side by side mean no more than one of them.
            match (text.last(), character) {
                (Some('*'), '*' | '%') | (Some('%'), '%') => {}
                (Some('%'), '*') => {
                    text.pop();
                    text.push('*');
                }
                _ => text.push(character),
            }
        }
        Ok(Self { text })
    }

    /// Whether it could match a name of the namespace. Those whose prefix begins with "#" are apart: a
    /// wildcard does not reach them (RFC 3501 §5.1.2).
    pub fn reaches(&self, namespace: &Namespace) -> bool {
        !namespace.prefix.starts_with('#') || self.text.first() == Some(&'#')
    }

    /// Whether it matches the name.
    pub fn matches(&self, name: &str, separator: char) -> bool {
        matches(&self.text, name, separator)
    }
}

/// Walks over the name once, with the set of places in the pattern that the name so far may have led to.
fn matches(pattern: &[char], name: &str, separator: char) -> bool {
    // RFC 3501 §5.1: INBOX is INBOX in any case, also above other names.
    let is_inbox = |rest: &str| rest.is_empty() || rest.starts_with(separator);
    let folded = if name.strip_prefix("INBOX").is_some_and(is_inbox) { "INBOX".len() } else { 0 };
    let mut here = vec![false; pattern.len() + 1];
    here[0] = true;
    skip_wildcards(pattern, &mut here);
    for (nth, character) in name.chars().enumerate() {
        let mut next = vec![false; here.len()];
        for (at, wanted) in pattern.iter().enumerate().filter(|(at, _)| here[*at]) {
            match wanted {
                '*' => next[at] = true,
                '%' => next[at] = next[at] || character != separator,
                wanted => {
                    let is_same =
                        *wanted == character || nth < folded && wanted.eq_ignore_ascii_case(&character);
                    next[at + 1] = next[at + 1] || is_same;
                }
            }
        }
        here = next;
        skip_wildcards(pattern, &mut here);
    }
    here[pattern.len()]
}

/// A wildcard matches nothing, too.
fn skip_wildcards(pattern: &[char], here: &mut [bool]) {
    for (at, wanted) in pattern.iter().enumerate() {
        if here[at] && matches!(wanted, '*' | '%') {
            here[at + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Pattern {
        Pattern { text: text.chars().collect() }
    }

    #[test]
    fn wildcards() {
        for (wanted, name, expected) in [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a/%/c", "a/b/c", true),
            ("A*yz", "Axyz", true),
            ("A*yz", "Axx", false),
            ("*%*", "a/b", true),
            ("inbox", "INBOX", true),
            ("In*", "INBOX", true),
            ("inbox/%", "INBOX/a", true),
            ("inbox*", "INBOX/a", true),
            ("i%x/a", "INBOX/a", true),
            ("INBOX/a", "INBOX/A", false),
            ("inboxes", "INBOXES", false),
            ("sent", "Sent", false),
            ("", "a", false),
            ("ü%", "üb", true),
        ] {
            assert_eq!(pattern(wanted).matches(name, '/'), expected, "{wanted} {name}");
        }
    }

    /// The definition, by recursion: right, and slow.
    fn slowly(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', rest @ ..], _) if slowly(rest, name) => true,
            (['%', rest @ ..], _) if slowly(rest, name) => true,
            (['*', ..], [_, tail @ ..]) => slowly(pattern, tail),
            (['%', ..], [first, tail @ ..]) => *first != '/' && slowly(pattern, tail),
            ([wanted, rest @ ..], [first, tail @ ..]) => wanted == first && slowly(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_is_what_it_says(pattern in "[ab/*%]{0,7}", name in "[ab/]{0,9}") {
            let wanted: Vec<char> = pattern.chars().collect();
            let letters: Vec<char> = name.chars().collect();
            prop_assert_eq!(matches(&wanted, &name, '/'), slowly(&wanted, &letters));
        }
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        let wanted: Vec<char> = "*a".repeat(400).chars().chain(['b']).collect();
        assert!(!matches(&wanted, &"a".repeat(1000), '/'));
    }
}
