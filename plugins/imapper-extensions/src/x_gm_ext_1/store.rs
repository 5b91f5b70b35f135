//! STORE X-GM-LABELS: messages come into mailboxes, and leave them.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use imapper_core::command::create;
use imapper_core::registry::Context;
use imapper_core::registry::slots::{StoreItem, Storing};
use imapper_core::session::namespace::check_new_name;
use imapper_core::session::{Login, NamespaceKind, Place, Reject, Rights, Selected};
use imapper_core::storage::{
    AccountId, CopyMode, FlagChange, FlagOp, MailboxId, Mbox, Row, Storage, StorageError, Want,
};
use imapper_core::types::{Code, Flags, SystemFlag, Uid, UidSet};
use imapper_core::wire::{Args, Line};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::label::{ALL, Label, Labels, Mailbox, System, cannot, place_of, put, read};
use super::{Places, objects, places};

/// Over so many locks the accounts are spread.
const TURNS: usize = 64;

/// X-GM-LABELS. Of two clients that take an email out of its last two mailboxes, the second one must see what the
/// first has done: an account's changes of labels come one after the other.
pub(super) struct Item {
    turns: Arc<[Arc<Mutex<()>>]>,
}

impl Default for Item {
    fn default() -> Self {
        Self { turns: (0..TURNS).map(|_| Arc::default()).collect() }
    }
}

impl StoreItem for Item {
    /// Labels in parentheses, or without them.
    fn parse(&self, args: &mut Args<'_>, sign: Option<u8>, silent: bool) -> Result<Box<dyn Storing>, Reject> {
        let has_end = args.eat(b'(');
        let mut labels = BTreeSet::new();
        if !(has_end && args.eat(b')')) {
            loop {
                labels.insert(read(args)?);
                if !args.eat(b' ') {
                    break;
                }
            }
            if has_end {
                args.expect(b')')?;
            }
        }
        let how = match sign {
            Some(b'+') => How::Add,
            Some(_) => How::Remove,
            None => How::Replace,
        };
        Ok(Box::new(Change { how, silent, labels, turns: Arc::clone(&self.turns) }))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Add,
    Remove,
    Replace,
}

struct Change {
    how: How,
    silent: bool,
    labels: BTreeSet<Label>,
    turns: Arc<[Arc<Mutex<()>>]>,
}

#[async_trait]
impl Storing for Change {
    async fn run(
        &self,
        cx: &mut Context<'_>,
        login: &Login,
        selected: &mut Selected,
        uids: &UidSet,
    ) -> Result<Option<Code>, Reject> {
        objects(cx)?;
        if self.labels.len() > cx.shared.limits.keywords {
            return Err(Reject::code(Code::LIMIT, "too many labels"));
        }
        let turn = self.turn(&selected.mbox.account).await;
        let rows: Vec<Row> = cx.storage().rows(&selected.mbox, uids, Want::FLAGS).await?.try_concat().await?;
        let is_gone = !cx.uid && (rows.len() as u64) < uids.len();
        if rows.is_empty() && is_gone {
            // RFC 2180 §4.2.2.
            return Err(Reject::code(Code::EXPUNGEISSUED, "the messages have been removed"));
        }
        if !rows.is_empty() {
            let plan = self.plan(cx, login, selected, &rows).await?;
            let (storage, mbox) = (Arc::clone(cx.storage()), selected.mbox.clone());
            // What was begun in this turn ends in it, whatever becomes of the client.
            cx.finish(async move {
                let _turn = turn;
                plan.run(&*storage, &mbox).await
            })
            .await?;
        }
        if !self.silent {
            self.tell(cx, login, selected, &rows).await?;
        }
        Ok(is_gone.then_some(Code::EXPUNGEISSUED))
    }
}

impl Change {
    async fn turn(&self, account: &AccountId) -> OwnedMutexGuard<()> {
        let mut hasher = DefaultHasher::new();
        account.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or_default();
        let turn = self.turns.get(at).map(Arc::clone).unwrap_or_default();
        turn.lock_owned().await
    }

    fn names(&self, system: System) -> bool {
        self.labels.contains(&Label::System(system))
    }

    /// Looks what is to be done, and whether it may; makes the mailboxes that are missing.
    async fn plan(
        &self,
        cx: &Context<'_>,
        login: &Login,
        selected: &Selected,
        rows: &[Row],
    ) -> Result<Plan, Reject> {
        let labels = Labels::load(cx, login, selected).await?;
        let (mut named, mut missing) = (Vec::new(), Vec::new());
        for label in self.labels.iter().filter(|label| **label != Label::System(System::Starred)) {
            match labels.find(cx, login, label)? {
                Ok(mailbox) => named.push(mailbox),
                // `\Sent` and `Sent` are one mailbox, which is then for something.
                Err(place) => {
                    match missing.iter_mut().find(|(_, other): &&mut (_, Place)| other.name == place.name) {
                        Some(other) if matches!(label, Label::System(_)) => *other = (label, place),
                        Some(_) => {}
                        None => missing.push((label, place)),
                    }
                }
            }
        }
        let emails = rows.iter().filter_map(|row| row.email_id);
        let held = places(objects(cx)?, &selected.mbox.account, emails).await?;
        let mut plan = Plan::new(self.how, selected, rows, &held, &labels, &named);
        plan.flag = self.flag(rows);
        check(&plan, selected, &labels)?;
        if self.how != How::Remove {
            for (_, place) in &missing {
                check_new_name(&place.name, &cx.shared.limits)?;
            }
            for (label, place) in missing {
                let special_use = match label {
                    Label::System(system) => system.mailbox().0,
                    Label::Named(_) => "",
                };
                let id = make(cx, login, &place, special_use).await?;
                plan.add.insert(id, plan.firsts.clone());
            }
        }
        if plan.has_homeless() && plan.add.is_empty() {
            plan.all = Some(all_mail(cx, login, selected, &labels).await?);
        }
        Ok(plan)
    }

    /// `\Starred`, which is a flag: the change, and of which messages.
    fn flag(&self, rows: &[Row]) -> Option<(FlagOp, UidSet)> {
        let on = match (self.how, self.names(System::Starred)) {
            (How::Add | How::Remove, false) => return None,
            (How::Add | How::Replace, is_named) => is_named,
            (How::Remove, true) => false,
        };
        let other = rows.iter().filter(|row| row.flags.contains(SystemFlag::Flagged) != on);
        let uids: UidSet = other.map(|row| row.uid).collect();
        let flags = Flags::from(SystemFlag::Flagged);
        let op = if on { FlagOp::Add(flags) } else { FlagOp::Remove(flags) };
        (!uids.is_empty()).then_some((op, uids))
    }

    /// The labels as they are now.
    async fn tell(
        &self,
        cx: &mut Context<'_>,
        login: &Login,
        selected: &Selected,
        rows: &[Row],
    ) -> Result<(), Reject> {
        let emails = rows.iter().filter_map(|row| row.email_id);
        let held = places(objects(cx)?, &selected.mbox.account, emails).await?;
        let labels = Labels::load(cx, login, selected).await?;
        for row in rows {
            let Some(seq) = selected.view.seq_of(row.uid) else { continue };
            let places = row.email_id.and_then(|email| held.get(&email)).into_iter().flatten();
            let is_starred = match (self.how, self.names(System::Starred)) {
                (How::Replace, is_named) => is_named,
                (How::Add, true) => true,
                (How::Remove, true) => false,
                (_, false) => row.flags.contains(SystemFlag::Flagged),
            };
            let mut line = Line::numbered(seq.get(), "FETCH (");
            if cx.uid || cx.policy.tells_uid {
                line.word("UID ").number(row.uid.get()).sp();
            }
            line.word("X-GM-LABELS ");
            put(&labels.of(places.map(|(mailbox, _)| mailbox), is_starred), &mut line);
            line.raw(b")");
            cx.send(&mut line).await?;
        }
        Ok(())
    }
}

/// What COPY, STORE and MOVE (RFC 6851 §4.2) would need.
fn check(plan: &Plan, selected: &Selected, labels: &Labels) -> Result<(), Reject> {
    let rights = |id: &MailboxId| {
        if *id == selected.mbox.id {
            return selected.rights;
        }
        labels.get(id).map_or(Rights::NONE, |mailbox| mailbox.rights)
    };
    let adds = plan.add.keys().all(|id| rights(id).contains(Rights::INSERT));
    let removed = plan.emails.iter().flat_map(|email| &email.leaves);
    let removes = removed.map(|(id, _)| id).collect::<HashSet<_>>();
    let removes = removes.into_iter().all(|id| rights(id).contains(Rights::DELETE | Rights::EXPUNGE));
    let flags = plan.flag.is_none() || selected.rights.contains(Rights::WRITE);
    let all = labels.all().filter(|_| plan.has_homeless());
    if adds && removes && flags && all.is_none_or(|all| all.rights.contains(Rights::INSERT)) {
        return Ok(());
    }
    Err(Reject::code(Code::NOPERM, "you may not change these labels"))
}

/// The mailbox of all mail, made where there is none.
async fn all_mail(
    cx: &Context<'_>,
    login: &Login,
    selected: &Selected,
    labels: &Labels,
) -> Result<MailboxId, Reject> {
    if let Some(all) = labels.all() {
        return Ok(all.info.id.clone());
    }
    let place = place_of(cx, login, &selected.mbox.account, ALL.1);
    let (_, place) = place.ok_or_else(|| cannot("a message can't lose its last label here"))?;
    make(cx, login, &place, ALL.0).await
}

/// Makes the mailbox of a label. One that is not the user's own, or that the storage can't keep a use of, is for
/// nothing in particular.
async fn make(
    cx: &Context<'_>,
    login: &Login,
    place: &Place,
    special_use: &str,
) -> Result<MailboxId, Reject> {
    let is_own = place.kind == NamespaceKind::Personal && !special_use.is_empty();
    if is_own {
        match create::make(cx, login, place, vec![special_use.into()]).await {
            Err(Reject::Storage(StorageError::Unsupported)) => {}
            made => return Ok(made?.id),
        }
    }
    Ok(create::make(cx, login, place, Vec::new()).await?.id)
}

/// What is to be done.
struct Plan {
    /// Which messages of the open mailbox come into which others.
    add: BTreeMap<MailboxId, UidSet>,
    /// One message of each email.
    firsts: UidSet,
    emails: Vec<Email>,
    flag: Option<(FlagOp, UidSet)>,
    /// Where an email goes that would have no mailbox left.
    all: Option<MailboxId>,
}

/// An email that leaves mailboxes.
struct Email {
    /// A message of it in the open mailbox.
    uid: Uid,
    /// What goes.
    leaves: Vec<(MailboxId, Uid)>,
    /// Whether nothing of it stays but what comes into other mailboxes.
    is_homeless: bool,
}

impl Plan {
    fn new(
        how: How,
        selected: &Selected,
        rows: &[Row],
        held: &Places,
        labels: &Labels,
        named: &[&Mailbox],
    ) -> Self {
        let named: HashSet<&MailboxId> = named.iter().map(|mailbox| &mailbox.info.id).collect();
        let has_label = |id: &MailboxId| labels.get(id).is_some_and(|mailbox| mailbox.label.is_some());
        let leaves = |id: &MailboxId| match how {
            How::Add => false,
            How::Remove => named.contains(id),
            How::Replace => !named.contains(id) && has_label(id),
        };
        let mut plan =
            Self { add: BTreeMap::new(), firsts: UidSet::new(), emails: Vec::new(), flag: None, all: None };
        let mut seen = HashSet::new();
        for row in rows {
            let Some(email) = row.email_id.filter(|email| seen.insert(*email)) else { continue };
            plan.firsts.insert(row.uid);
            let mut places = held.get(&email).cloned().unwrap_or_default();
            let here = (selected.mbox.id.clone(), row.uid);
            if !places.contains(&here) {
                places.push(here);
            }
            if how != How::Remove {
                for id in named.iter().filter(|id| !places.iter().any(|(place, _)| place == **id)) {
                    plan.add.entry((*id).clone()).or_default().insert(row.uid);
                }
            }
            let count = places.len();
            places.retain(|(id, _)| leaves(id));
            let is_homeless = places.len() == count;
            plan.emails.push(Email { uid: row.uid, leaves: places, is_homeless });
        }
        plan
    }

    fn has_homeless(&self) -> bool {
        self.emails.iter().any(|email| email.is_homeless)
    }

    /// Adds first and removes then, so that a failure leaves an email in too many mailboxes rather than in none.
    async fn run(self, storage: &dyn Storage, mbox: &Mbox) -> Result<(), StorageError> {
        let in_account = |id: &MailboxId| Mbox { account: mbox.account.clone(), id: id.clone() };
        let mut copies: Vec<(Mbox, UidSet)> = Vec::new();
        let mut copied = UidSet::new();
        for (id, uids) in &self.add {
            let target = in_account(id);
            match storage.copy(mbox, uids, &target, CopyMode::Copy).await {
                Ok(done) => {
                    copied = copied.union(&done.pairs.iter().map(|(old, _)| *old).collect());
                    copies.push((target, done.pairs.iter().map(|(_, new)| *new).collect()));
                }
                Err(error) => {
                    take_back(storage, &copies).await;
                    return Err(error);
                }
            }
        }
        if let Some((op, uids)) = self.flag {
            storage.set_flags(mbox, FlagChange { uids, op, unchanged_since: None }).await?;
        }
        if let Some(all) = &self.all {
            let homeless: UidSet =
                self.emails.iter().filter(|email| email.is_homeless).map(|email| email.uid).collect();
            let done = storage.copy(mbox, &homeless, &in_account(all), CopyMode::Move).await?;
            copied = copied.union(&done.pairs.iter().map(|(old, _)| *old).collect());
        }
        let mut removed: BTreeMap<&MailboxId, UidSet> = BTreeMap::new();
        for email in &self.emails {
            // Another session has removed the message that was to be copied: what else there is of it stays.
            if email.is_homeless && !copied.contains(email.uid) {
                continue;
            }
            for (id, uid) in &email.leaves {
                removed.entry(id).or_default().insert(*uid);
            }
        }
        for (id, uids) in removed {
            match storage.expunge(&in_account(id), &uids, false).await {
                // A mailbox that has gone meanwhile holds nothing.
                Ok(_) | Err(StorageError::NoMailbox) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Removes what was copied before something failed.
async fn take_back(storage: &dyn Storage, copies: &[(Mbox, UidSet)]) {
    for (mbox, uids) in copies {
        if let Err(error) = storage.expunge(mbox, uids, false).await {
            tracing::warn!(account = %mbox.account, mailbox = %mbox.id, %error, "copies could not be taken back");
        }
    }
}
