//! QUOTA (RFC 9208, RFC 2087): what an account uses, and what it may use. QUOTASET: its owner sets limits. The storage
//! enforces them, whether or not these are on.
//!
//! Each account is a quota root, by its name: that of all its mailboxes.

use std::sync::Arc;

use async_trait::async_trait;
use imapper_core::registry::slots::StatusItem;
use imapper_core::registry::{
    Context, Extension, Flow, InAuthenticated, Moment, Outcome, Registry, Row, Run,
};
use imapper_core::session::{Login, Reject, Rights};
use imapper_core::storage::{
    AccountId, MailboxInfo, Quota as Enforced, QuotaLimits, QuotaUse, Status, StorageError,
};
use imapper_core::types::Code;
use imapper_core::wire::{Args, Line};

/// The first two are QUOTASET's, the others those of QUOTA.
pub(crate) const WORDS: &[&str] = &[
    "QUOTASET",
    "SETQUOTA",
    "QUOTA",
    "QUOTA=RES-STORAGE",
    "QUOTA=RES-MESSAGE",
    "GETQUOTA",
    "GETQUOTAROOT",
    "QUOTAROOT",
    "DELETED-STORAGE",
];

/// RFC 9208 §5.1.
const UNIT: u64 = 1024;
/// The largest `number64` (RFC 9051 §9).
const MOST: u64 = i64::MAX.unsigned_abs();

/// QUOTA: the commands that ask, and two items of STATUS.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quota;

impl Extension for Quota {
    fn name(&self) -> &'static str {
        "QUOTA"
    }

    fn install(&self, registry: &mut Registry) {
        for word in ["QUOTA", "QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE"] {
            registry.capability_when(word, is_enforced);
        }
        registry.command(Row::new("GETQUOTA", Run::authenticated(GetQuota)));
        registry.command(Row::new("GETQUOTAROOT", Run::authenticated(GetQuotaRoot)));
        // RFC 9208 §4.1.4. Octets, as the sum of RFC822.SIZE that the RFC allows.
        registry.status_item("DELETED", Number(|status| status.deleted.into()));
        registry.status_item("DELETED-STORAGE", Number(|status| status.deleted_size));
    }
}

/// QUOTASET: the command that sets.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuotaSet;

impl Extension for QuotaSet {
    fn name(&self) -> &'static str {
        "QUOTASET"
    }

    fn requires(&self) -> &[&'static str] {
        &["QUOTA"]
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability_when("QUOTASET", is_enforced);
        registry.command(Row::new("SETQUOTA", Run::authenticated(SetQuota)));
    }
}

fn is_enforced(moment: &Moment<'_>) -> bool {
    moment.storage.as_quota().is_some()
}

struct Number(fn(&Status) -> u64);

impl StatusItem for Number {
    fn render(&self, _mailbox: &MailboxInfo, status: &Status, line: &mut Line) {
        line.number((self.0)(status));
    }
}

/// RFC 9208 §4.1.1.
struct GetQuota;

#[async_trait]
impl InAuthenticated for GetQuota {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let name = args.astring()?;
        args.end()?;
        let account = root(cx, login, &name).await?;
        tell(cx, &account).await?;
        Ok(Flow::done())
    }
}

/// RFC 9208 §4.1.2. The mailbox need not exist.
struct GetQuotaRoot;

#[async_trait]
impl InAuthenticated for GetQuotaRoot {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let name = args.mailbox()?;
        args.end()?;
        enforced(cx, login)?;
        let missing = || Reject::code(Code::NONEXISTENT, "there is no such mailbox");
        let place = cx.place(&name, &login.identity)?;
        if cx.rights(&place, login, None).await? == Rights::NONE {
            return Err(missing());
        }
        let mailboxes = cx.storage().list(&place.account).await?;
        let find = |name: &str| mailboxes.iter().find(|mailbox| mailbox.name == name);
        let nearest = find(&place.name).or_else(|| place.parents().filter_map(find).last());
        let rights = cx.rights(&place, login, nearest).await?;
        if !rights.contains(Rights::READ) {
            // RFC 9208 §6: it would tell how much is in there.
            return Err(if rights.contains(Rights::LOOKUP) {
                Reject::code(Code::NOPERM, "you may not read that mailbox")
            } else {
                missing()
            });
        }
        let mut line = Line::untagged("QUOTAROOT ");
        line.mailbox(&name).sp().astring(place.account.as_str());
        cx.send(&mut line).await?;
        tell(cx, &place.account).await?;
        Ok(Flow::done())
    }
}

/// RFC 9208 §4.1.3. The owner may set what the operator allows, and nobody else may: who has rights on a mailbox
/// of another user could keep all mail from that user.
struct SetQuota;

#[async_trait]
impl InAuthenticated for SetQuota {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let name = args.astring()?;
        args.sp()?;
        let resources = resources(args)?;
        args.end()?;
        let account = root(cx, login, &name).await?;
        let inbox = cx.place("INBOX", &login.identity)?;
        // RFC 9208 §6.
        if account != inbox.account || !cx.rights(&inbox, login, None).await?.contains(Rights::ADMINISTER) {
            return Err(Reject::code(Code::NOPERM, "these limits are not yours to set"));
        }
        let mut limits = limits(resources)?;
        let (storage, owner) = (Arc::clone(cx.storage()), account.clone());
        if let Some(quota) = storage.as_quota() {
            // What was told rounded up may be set as it was told.
            let told = quota.usage(&account).await?.limits.octets;
            limits.octets = limits.octets.map(|octets| match told {
                Some(most) if octets == most.div_ceil(UNIT).saturating_mul(UNIT) => most,
                _ => octets,
            });
        }
        let set = cx
            .finish(async move {
                storage.as_quota().ok_or(StorageError::Unsupported)?.set_limit(&owner, limits).await
            })
            .await;
        let is_too_much = match set {
            Err(StorageError::Denied) => true,
            set => set.map(|()| false)?,
        };
        // What holds now, also where nothing was set.
        tell(cx, &account).await?;
        if is_too_much {
            return Err(Reject::code(Code::NOPERM, "the server allows less"));
        }
        Ok(Flow::done())
    }
}

/// What enforces limits, for a user that may be told of them.
fn enforced<'a>(cx: &'a Context<'_>, login: &Login) -> Result<&'a dyn Enforced, Reject> {
    let quota = cx.storage().as_quota().ok_or_else(|| Reject::bad("this storage has no limits"))?;
    if login.identity.anonymous {
        // RFC 9208 §8.
        return Err(Reject::code(Code::NOPERM, "limits are not told to anonymous users"));
    }
    Ok(quota)
}

/// The account of that name, if the user may be told what it uses: its owner, and who may read one of its mailboxes.
async fn root(cx: &Context<'_>, login: &Login, name: &[u8]) -> Result<AccountId, Reject> {
    enforced(cx, login)?;
    if let Ok(name) = std::str::from_utf8(name) {
        let account = AccountId::from(name);
        if account == login.identity.account || reads(cx, login, &account).await? {
            return Ok(account);
        }
    }
    Err(Reject::code(Code::NONEXISTENT, "there is no such quota root"))
}

/// Whether the user may read a mailbox of another account.
async fn reads(cx: &Context<'_>, login: &Login, account: &AccountId) -> Result<bool, Reject> {
    let namespaces = &cx.shared.namespaces;
    for (at, _) in namespaces.iter() {
        let place = |name: &str| {
            let place = namespaces.place(&namespaces.shown(at, account, name)?, &login.identity)?;
            (place.account == *account).then_some(place)
        };
        // An account that nobody has is not to come into being by a question.
        let Some(inbox) = place("INBOX") else { continue };
        if cx.rights(&inbox, login, None).await? == Rights::NONE {
            continue;
        }
        for mailbox in cx.storage().list(account).await? {
            let Some(place) = place(&mailbox.name) else { continue };
            if cx.rights(&place, login, Some(&mailbox)).await?.contains(Rights::READ) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Sends the QUOTA response of an account.
async fn tell(cx: &mut Context<'_>, account: &AccountId) -> Result<(), Reject> {
    let quota = cx.storage().as_quota().ok_or(StorageError::Unsupported)?;
    let used = quota.usage(account).await?;
    Ok(cx.send(&mut response(account, &used)).await?)
}

/// RFC 9208 §4.2.1: what is not limited is not named. Units are rounded up, so that what is within its limit is told
/// to be.
fn response(account: &AccountId, used: &QuotaUse) -> Line {
    let mut line = Line::untagged("QUOTA ");
    line.astring(account.as_str()).word(" (");
    let units = |octets: u64| octets.div_ceil(UNIT);
    let storage = used.limits.octets.map(|most| ("STORAGE", units(used.octets), units(most)));
    let messages = used.limits.messages.map(|most| ("MESSAGE", used.messages, most));
    for (at, (resource, used, most)) in storage.into_iter().chain(messages).enumerate() {
        if at > 0 {
            line.sp();
        }
        line.word(resource).sp().number(used.min(MOST)).sp().number(most.min(MOST));
    }
    line.word(")");
    line
}

/// `(STORAGE 512 MESSAGE 100)`, which may be empty.
fn resources(args: &mut Args<'_>) -> Result<Vec<(String, u64)>, Reject> {
    if args.eat_prefix("()") {
        return Ok(Vec::new());
    }
    Ok(args.list(|args| {
        let resource = args.word()?;
        args.sp()?;
        Ok((resource, args.number64()?))
    })?)
}

/// What they come to. Any atom may stand for a resource (RFC 9208 §7); one that is not known here can't be set.
fn limits(resources: Vec<(String, u64)>) -> Result<QuotaLimits, Reject> {
    let mut limits = QuotaLimits::NONE;
    for (resource, most) in resources {
        let (limit, most) = match resource.as_str() {
            "STORAGE" => (&mut limits.octets, most.saturating_mul(UNIT)),
            "MESSAGE" => (&mut limits.messages, most),
            _ => return Err(Reject::code(Code::CANNOT, "only STORAGE and MESSAGE can be limited")),
        };
        if limit.replace(most).is_some() {
            return Err(Reject::code(Code::CANNOT, "a resource has one limit"));
        }
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(account: &str, octets: (u64, Option<u64>), messages: (u64, Option<u64>)) -> String {
        let limits = QuotaLimits::new(octets.1, messages.1);
        let used = QuotaUse { octets: octets.0, messages: messages.0, limits };
        String::from_utf8(response(&AccountId::from(account), &used).text().to_vec()).unwrap()
    }

    #[test]
    fn what_is_limited_is_told_in_units_of_1024() {
        assert_eq!(told("john", (1, None), (2, None)), "* QUOTA john ()");
        assert_eq!(told("j d", (1025, Some(2048)), (2, None)), "* QUOTA \"j d\" (STORAGE 2 2)");
        assert_eq!(told("john", (0, Some(1)), (2, Some(1))), "* QUOTA john (STORAGE 0 1 MESSAGE 2 1)");
    }

    #[test]
    fn no_number_is_larger_than_the_grammar_allows() {
        let most = "9223372036854775807";
        assert_eq!(
            told("john", (u64::MAX, Some(u64::MAX)), (u64::MAX, Some(u64::MAX))),
            format!("* QUOTA john (STORAGE 18014398509481984 18014398509481984 MESSAGE {most} {most})")
        );
        let read = limits(vec![("STORAGE".to_owned(), MOST), ("MESSAGE".to_owned(), MOST)]).unwrap();
        assert_eq!(read, QuotaLimits::new(Some(u64::MAX), Some(MOST)));
    }

    #[test]
    fn lists_of_limits() {
        let read = |text: &str| resources(&mut Args::new(text.as_bytes(), 0)).ok().map(limits);
        for (text, limits) in [
            ("()", QuotaLimits::NONE),
            ("(storage 0)", QuotaLimits::new(Some(0), None)),
            ("(MESSAGE 7 STORAGE 2)", QuotaLimits::new(Some(2048), Some(7))),
        ] {
            assert_eq!(read(text).and_then(Result::ok), Some(limits), "{text}");
        }
        for text in ["(MAILBOX 7)", "(X-Y 1)", "(STORAGE 1 STORAGE 2)"] {
            assert!(
                matches!(read(text), Some(Err(Reject::No(Some(code), _))) if code == Code::CANNOT),
                "{text}"
            );
        }
        for text in
            ["", "(", "( )", "(STORAGE)", "(STORAGE 1 )", "(STORAGE -1)", "(MESSAGE 9223372036854775808)"]
        {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
