//! Which mailbox is which label. A label has the name that LIST shows, in modified UTF-7; those of INBOX and of special
//! uses (RFC 6154) begin with a backslash. The mailbox of all mail is no label: what lies there alone has none.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use imapper_core::registry::Context;
use imapper_core::session::{Login, NamespaceKind, Place, Reject, Rights, Selected};
use imapper_core::storage::{AccountId, MailboxId, MailboxInfo};
use imapper_core::types::{Code, decode_modified_utf7};
use imapper_core::wire::{Args, Line};

/// What the mailbox of all mail is for, and its name where it has to be made.
pub(super) const ALL: (&str, &str) = ("\\All", "All Mail");

const ALL_IS_NONE: &str = "the mailbox of all mail is no label";

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    System(System),
    Named(String),
}

/// A label that begins with a backslash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum System {
    Inbox,
    Sent,
    Drafts,
    Important,
    /// A flag, `\Flagged`, and no mailbox.
    Starred,
    Trash,
    Spam,
}

/// As it is told, its other names, what its mailbox is for, and the name of that where it has to be made.
type Known = (System, &'static str, &'static [&'static str], &'static str, &'static str);

const SYSTEM: &[Known] = &[
    (System::Inbox, "\\Inbox", &[], "", "INBOX"),
    (System::Sent, "\\Sent", &[], "\\Sent", "Sent"),
    (System::Drafts, "\\Drafts", &["\\Draft"], "\\Drafts", "Drafts"),
    (System::Important, "\\Important", &[], "\\Important", "Important"),
    (System::Starred, "\\Starred", &["\\Flagged"], "", ""),
    (System::Trash, "\\Trash", &[], "\\Trash", "Trash"),
    (System::Spam, "\\Spam", &["\\Junk"], "\\Junk", "Spam"),
];

const STARRED: Label = Label::System(System::Starred);

impl System {
    fn known(self) -> Option<&'static Known> {
        SYSTEM.iter().find(|known| known.0 == self)
    }

    /// As it is told.
    pub(super) fn word(self) -> &'static str {
        self.known().map_or("", |known| known.1)
    }

    /// What its mailbox is for, and how it is called where it has to be made.
    pub(super) fn mailbox(self) -> (&'static str, &'static str) {
        self.known().map_or(("", ""), |known| (known.3, known.4))
    }
}

/// Takes a label; NO for one with a backslash that means nothing.
pub(super) fn read(args: &mut Args<'_>) -> Result<Label, Reject> {
    read_any(args)?.map_err(|word| cannot(format!("there is no label {word:.40}")))
}

/// Takes a label: an `astring`, or a backslash and an atom. `Err` has the word of one with a backslash that means nothing.
pub(super) fn read_any(args: &mut Args<'_>) -> Result<Result<Label, String>, Reject> {
    let start = *args;
    let octets = if args.eat(b'\\') { Cow::Owned([b"\\", args.atom()?].concat()) } else { args.astring()? };
    if octets.starts_with(b"\\") {
        let word = String::from_utf8_lossy(&octets);
        let is_called = |name: &str| name.eq_ignore_ascii_case(&word);
        let known =
            SYSTEM.iter().find(|known| is_called(known.1) || known.2.iter().any(|name| is_called(name)));
        return Ok(known.map(|known| Label::System(known.0)).ok_or_else(|| word.into_owned()));
    }
    let name = decode_modified_utf7(&octets).map_err(|error| start.malformed(error.to_string()))?;
    if name.is_empty() {
        return Err(start.malformed("a label has a name").into());
    }
    let is_inbox = name.eq_ignore_ascii_case("INBOX");
    Ok(Ok(if is_inbox { Label::System(System::Inbox) } else { Label::Named(name) }))
}

/// Adds labels in parentheses.
pub(super) fn put(labels: &BTreeSet<&Label>, line: &mut Line) {
    line.raw(b"(");
    for (at, label) in labels.iter().enumerate() {
        if at > 0 {
            line.sp();
        }
        match label {
            Label::System(system) => line.word(system.word()),
            Label::Named(name) => line.mailbox(name),
        };
    }
    line.raw(b")");
}

pub(super) fn cannot(text: impl Into<Cow<'static, str>>) -> Reject {
    Reject::code(Code::CANNOT, text)
}

/// The mailboxes of an account.
pub(super) struct Labels {
    account: AccountId,
    /// By name.
    pub(super) mailboxes: Vec<Mailbox>,
    by_id: HashMap<MailboxId, usize>,
}

/// A mailbox.
pub(super) struct Mailbox {
    pub(super) info: MailboxInfo,
    pub(super) place: Place,
    pub(super) rights: Rights,
    /// Of one that the user may open, and that is not that of all mail.
    pub(super) label: Option<Label>,
    is_all: bool,
}

impl Labels {
    /// Those of the account of the open mailbox, as far as the user can name them.
    pub(super) async fn load(cx: &Context<'_>, login: &Login, selected: &Selected) -> Result<Self, Reject> {
        let account = selected.mbox.account.clone();
        // A command may come here often: others have their turn, and its own time limit is seen.
        tokio::task::yield_now().await;
        let mut infos = cx.storage().list(&account).await?;
        infos.sort_by(|one, other| one.name.cmp(&other.name));
        let mut mailboxes: Vec<Mailbox> = Vec::with_capacity(infos.len());
        for info in infos {
            let Some((name, place)) = place_of(cx, login, &account, &info.name) else { continue };
            let rights = cx.rights(&place, login, Some(&info)).await?;
            // A backslash begins the labels that have a meaning.
            let is_label = !info.no_select && rights.contains(Rights::READ) && !name.starts_with('\\');
            let label = is_label.then(|| match &*info.name {
                "INBOX" => Label::System(System::Inbox),
                _ => Label::Named(name),
            });
            mailboxes.push(Mailbox { info, place, rights, label, is_all: false });
        }
        let mut labels = Self { account, mailboxes, by_id: HashMap::new() };
        labels.assign();
        Ok(labels)
    }

    /// Gives mailboxes with a use their labels: the first by name where several are for the same.
    fn assign(&mut self) {
        // A storage may keep no uses: then the name says it.
        let has_all = self.mailboxes.iter().any(|mailbox| has_use(mailbox, ALL.0));
        for mailbox in &mut self.mailboxes {
            mailbox.is_all = if has_all { has_use(mailbox, ALL.0) } else { mailbox.info.name == ALL.1 };
            mailbox.label.take_if(|_| mailbox.is_all);
        }
        for (system, _, _, special_use, _) in SYSTEM.iter().filter(|known| !known.3.is_empty()) {
            let is_free = |mailbox: &&mut Mailbox| matches!(mailbox.label, Some(Label::Named(_)));
            let mut free = self.mailboxes.iter_mut().filter(is_free);
            // What a mailbox is for, it is for its owner (RFC 6154 §4: a private entry).
            let is_meant = |mailbox: &Mailbox| {
                mailbox.place.kind != NamespaceKind::OtherUsers && has_use(mailbox, special_use)
            };
            if let Some(mailbox) = free.find(|mailbox| is_meant(mailbox)) {
                mailbox.label = Some(Label::System(*system));
            }
        }
        let ids = self.mailboxes.iter().enumerate();
        self.by_id = ids.map(|(at, mailbox)| (mailbox.info.id.clone(), at)).collect();
    }

    /// A mailbox of the account.
    pub(super) fn get(&self, id: &MailboxId) -> Option<&Mailbox> {
        self.by_id.get(id).and_then(|at| self.mailboxes.get(*at))
    }

    /// The mailbox of all mail.
    pub(super) fn all(&self) -> Option<&Mailbox> {
        self.mailboxes.iter().find(|mailbox| mailbox.is_all && !mailbox.info.no_select)
    }

    /// The mailbox of a label, whether or not the user may open it; or else how it is to be made. NO for a name that
    /// is none in this account.
    pub(super) fn find(
        &self,
        cx: &Context<'_>,
        login: &Login,
        label: &Label,
    ) -> Result<Result<&Mailbox, Place>, Reject> {
        let elsewhere = || cannot("a label is a mailbox of the message's own account");
        let (has_label, place) = match label {
            Label::System(system) => {
                let (special_use, name) = system.mailbox();
                let is_it = |mailbox: &&Mailbox| mailbox.label.as_ref() == Some(label);
                let found = self.mailboxes.iter().find(is_it);
                // One that is for several has the label of the first.
                let mut used = self.mailboxes.iter().filter(|mailbox| mailbox.label.is_some());
                let found = found.or_else(|| {
                    used.find(|mailbox| !special_use.is_empty() && has_use(mailbox, special_use))
                });
                (found, place_of(cx, login, &self.account, name).map(|(_, place)| place))
            }
            Label::Named(name) => (None, cx.shared.namespaces.place(name, &login.identity)),
        };
        if let Some(mailbox) = has_label {
            return Ok(Ok(mailbox));
        }
        let place = place.filter(|place| place.account == self.account).ok_or_else(elsewhere)?;
        let named = self.mailboxes.iter().find(|mailbox| mailbox.info.name == place.name);
        match named.filter(|mailbox| !mailbox.info.no_select) {
            Some(mailbox) if mailbox.is_all => Err(cannot(ALL_IS_NONE)),
            Some(mailbox) => Ok(Ok(mailbox)),
            // It would be that of all mail as soon as it is there.
            None if place.name == ALL.1 && self.all().is_none() => Err(cannot(ALL_IS_NONE)),
            None => Ok(Err(place)),
        }
    }

    /// The labels of a message that lies in these mailboxes.
    pub(super) fn of<'a>(
        &'a self,
        places: impl IntoIterator<Item = &'a MailboxId>,
        is_starred: bool,
    ) -> BTreeSet<&'a Label> {
        let labels = places.into_iter().filter_map(|id| self.get(id)?.label.as_ref());
        labels.chain(is_starred.then_some(&STARRED)).collect()
    }
}

fn has_use(mailbox: &Mailbox, special_use: &str) -> bool {
    let mut uses = mailbox.info.special_use.iter();
    mailbox.info.name != "INBOX" && uses.any(|one| one.eq_ignore_ascii_case(special_use))
}

/// How the user names a mailbox of that account, and what that name means: as LIST shows it.
pub(super) fn place_of(
    cx: &Context<'_>,
    login: &Login,
    account: &AccountId,
    name: &str,
) -> Option<(String, Place)> {
    let namespaces = &cx.shared.namespaces;
    let places = namespaces.iter().filter_map(|(at, _)| {
        let shown = namespaces.shown(at, account, name)?;
        let place = namespaces.place(&shown, &login.identity)?;
        (place.account == *account && place.name == name).then_some((shown, place))
    });
    // A tree that is shared is reached as another user's, too, where nobody may do anything.
    places.min_by_key(|(_, place)| place.kind == NamespaceKind::OtherUsers)
}
