//! Optional features: attributes, quota, look-up by object id, push-down of SEARCH.

use bytes::Bytes;
use futures_util::StreamExt as _;
use imapper_core::storage::{
    AccountId, Attribute, CopyMode, Event, Mbox, QuotaLimits, Reach, SearchKey, StorageError,
};
use imapper_core::types::{Flags, Keyword, ModSeq, SystemFlag, SystemFlags, Uid, UidSet};

use super::trial::{
    DATE, Outcome, Stop, Trial, array, ensure, john, missing, one, optional, refused, same, set,
};

fn attribute(mbox: Option<&Mbox>, key: &str, value: Option<&'static [u8]>) -> Attribute {
    let value = value.map(Bytes::from_static);
    Attribute { mbox: mbox.map(|mbox| mbox.id.clone()), key: key.to_owned(), value, modseq: ModSeq::ZERO }
}

pub(crate) async fn attributes_are_set_found_and_removed(t: &Trial) -> Outcome {
    t.rule(
        "Attributes: keys and values of mailboxes and accounts; get() by what the key begins with (RFC 5464)",
    );
    let storage = t.storage();
    let attributes = optional!(storage.as_attributes());
    let mbox = t.inbox().await?;
    let odd: &[u8] = b"8-bit \xff and NUL \0";
    let all = vec![
        attribute(Some(&mbox), "/private/comment", Some(odd)),
        attribute(Some(&mbox), "/private/com%", Some(b"wild")),
        attribute(Some(&mbox), "/shared/comment", Some(b"")),
        attribute(None, "/private/comment", Some(b"the account's")),
    ];
    let at = attributes.set(&john(), all).await?;
    let get = async |mbox: Option<&Mbox>, prefix: &str| -> Outcome<Vec<(String, Option<Bytes>)>> {
        let found = attributes.get(&john(), mbox.map(|mbox| &mbox.id), prefix).await?;
        let mut found: Vec<_> = found.into_iter().map(|found| (found.key, found.value)).collect();
        found.sort();
        Ok(found)
    };
    let value = |value: &'static [u8]| Some(Bytes::from_static(value));
    let comment = ("/private/comment".to_owned(), value(odd));
    let wild = ("/private/com%".to_owned(), value(b"wild"));
    same!(
        get(Some(&mbox), "/private/").await?,
        [wild.clone(), comment.clone()],
        "attributes under /private/"
    );
    same!(get(Some(&mbox), "/private/comm").await?, [comment], "attributes that begin with /private/comm");
    same!(
        get(Some(&mbox), "/private/com%").await?,
        [wild],
        "attributes that begin with a percent sign's key"
    );
    same!(get(Some(&mbox), "").await?.len(), 3, "all attributes of the mailbox");
    same!(get(None, "").await?, [("/private/comment".to_owned(), value(b"the account's"))], "the account's");
    let told = async |mbox: Option<&Mbox>, key: &str| -> Outcome<Vec<ModSeq>> {
        let found = attributes.get(&john(), mbox.map(|mbox| &mbox.id), key).await?;
        Ok(found.into_iter().map(|found| found.modseq).collect())
    };
    same!(told(Some(&mbox), "").await?, [at; 3], "the mod-sequences of attributes that were set at once");
    same!(told(None, "").await?, [at], "the mod-sequence of the account's attribute");
    let same_again = attribute(None, "/private/comment", Some(b"the account's"));
    same!(
        attributes.set(&john(), vec![same_again]).await?,
        at,
        "the mod-sequence of a change that changes nothing"
    );
    let later = attributes.set(&john(), vec![attribute(None, "/private/comment", None)]).await?;
    ensure!(later > at, "removing an attribute does not raise the mod-sequence {at}");
    ensure!(get(None, "").await?.is_empty(), "a removed attribute is still there");
    let last = attributes.set(&john(), vec![attribute(Some(&mbox), "/shared/comment", Some(b"new"))]).await?;
    ensure!(last > later, "changing an attribute does not raise the mod-sequence {later}");
    same!(told(Some(&mbox), "/shared/").await?, [last], "the mod-sequence of an attribute that was changed");
    same!(told(Some(&mbox), "/private/").await?, [at; 2], "the mod-sequences of those that were not");
    ensure!(attributes.get(&AccountId::from("jill"), None, "").await?.is_empty(), "another account has them");
    Ok(())
}

pub(crate) async fn attributes_are_set_all_or_none(t: &Trial) -> Outcome {
    t.rule("Attributes::set sets all or none (RFC 5464 §4.3)");
    let storage = t.storage();
    let attributes = optional!(storage.as_attributes());
    t.inbox().await?;
    let good = attribute(None, "/private/a", Some(b"x"));
    let bad = attribute(Some(&missing()), "/private/a", Some(b"x"));
    for set in [vec![good.clone(), bad.clone()], vec![bad, good]] {
        let refused = attributes.set(&john(), set).await;
        refused!(refused, StorageError::NoMailbox, "attributes of a missing mailbox");
        ensure!(attributes.get(&john(), None, "").await?.is_empty(), "half of the attributes are set");
    }
    Ok(())
}

pub(crate) async fn attributes_follow_their_mailbox(t: &Trial) -> Outcome {
    t.rule("Attributes belong to the mailbox: they stay when it is renamed and go with it; holders() finds them (RFC 4314)");
    let storage = t.storage();
    let attributes = optional!(storage.as_attributes());
    let (mbox, other) = (t.create("a").await?, t.inbox_of(&AccountId::from("jack")).await?);
    attributes.set(&john(), vec![attribute(Some(&mbox), "acl/jill", Some(b"lr"))]).await?;
    attributes.set(&other.account, vec![attribute(Some(&other), "acl/jill", Some(b"lr"))]).await?;
    attributes.set(&other.account, vec![attribute(Some(&other), "acl/jilly", Some(b"lr"))]).await?;
    t.rename(&mbox, "b").await?;
    let mut holders = attributes.holders("acl/jill").await?;
    holders.sort();
    let mut wanted = vec![(john(), mbox.id.clone()), (other.account.clone(), other.id.clone())];
    wanted.sort();
    same!(holders, wanted, "the mailboxes that carry acl/jill");
    t.delete(&mbox).await?;
    let holders = attributes.holders("acl/jill").await?;
    same!(holders, [(other.account, other.id)], "the mailboxes that carry acl/jill after one was deleted");
    let again = t.create("b").await?;
    let found = attributes.get(&john(), Some(&again.id), "").await?;
    ensure!(found.is_empty(), "a mailbox made anew has the attributes of the old one");
    Ok(())
}

pub(crate) async fn a_right_is_told_to_who_gets_it(t: &Trial) -> Outcome {
    t.rule("Attributes::set raises Event::Tree, also for the account that a right is given to");
    t.needs(t.caps().watch > Reach::Poll, "changes raise no events")?;
    let storage = t.storage();
    let attributes = optional!(storage.as_attributes());
    let (mbox, jill) = (t.inbox().await?, AccountId::from("jill"));
    t.inbox_of(&jill).await?;
    let (mut mine, mut hers) = (t.storage().watch(john(), Vec::new()), t.storage().watch(jill, Vec::new()));
    attributes.set(&john(), vec![attribute(Some(&mbox), "acl/jill", Some(b"lr"))]).await?;
    for (whose, events) in [("owner", &mut mine), ("one who gets the right", &mut hers)] {
        let told = t.within(events.next()).await.flatten();
        ensure!(matches!(told, Some(Event::Tree | Event::Lagged)), "the {whose} is told {told:?}, not Tree");
    }
    Ok(())
}

pub(crate) async fn quota_is_counted_and_enforced(t: &Trial) -> Outcome {
    t.rule("Quota: enforcement happens inside append and copy, and then nothing has changed (RFC 9208 §3.1)");
    let storage = t.storage();
    let quota = optional!(storage.as_quota());
    let (mbox, other) = (t.inbox().await?, t.create("a").await?);
    let used = async || -> Outcome<(u64, u64)> {
        let used = quota.usage(&john()).await?;
        Ok((used.octets, used.messages))
    };
    same!(used().await?, (0, 0), "what an empty account uses");
    let uid = t.append(&mbox, b"1234567890").await?;
    t.append(&other, b"12345").await?;
    same!(used().await?, (15, 2), "octets and messages in use");
    quota.set_limit(&john(), QuotaLimits::new(Some(20), Some(3))).await?;
    let limits = quota.usage(&john()).await?.limits;
    same!(limits, QuotaLimits::new(Some(20), Some(3)), "the limits that were set");
    let big = t.message(b"123456", Flags::default()).await?;
    let appended = storage.append(&mbox, vec![big]).await;
    refused!(appended, StorageError::OverQuota, "append() of more octets than are left");
    let copied = storage.copy(&mbox, &set([uid]), &other, CopyMode::Copy).await;
    refused!(copied, StorageError::OverQuota, "copy() of more octets than are left");
    same!(used().await?, (15, 2), "what is in use after calls were refused");
    let (a, b) = (t.message(b"a", Flags::default()).await?, t.message(b"b", Flags::default()).await?);
    let appended = storage.append(&mbox, vec![a, b]).await;
    refused!(appended, StorageError::OverQuota, "append() of more messages than are left");
    same!(t.snapshot(&mbox).await?.status.messages, 1, "messages after an append was refused");
    t.append(&mbox, b"a").await?;
    same!(used().await?, (16, 3), "what is in use at the limit");
    // A move does not need room.
    storage.copy(&mbox, &set([uid]), &other, CopyMode::Move).await?;
    t.expunge(&other, &UidSet::all()).await?;
    same!(used().await?, (1, 1), "what is in use after an expunge");
    quota.set_limit(&john(), QuotaLimits::NONE).await?;
    t.append(&mbox, &[b'x'; 100]).await?;
    let unlimited = quota.usage(&john()).await?.limits;
    same!(unlimited, QuotaLimits::NONE, "the limits after they were taken off");
    Ok(())
}

pub(crate) async fn what_the_operator_allows_holds_beside_own_limits(t: &Trial) -> Outcome {
    t.rule(
        "Quota::allow: what the operator lets an account keep is above what its owner sets; the lower holds",
    );
    let storage = t.storage();
    let quota = optional!(storage.as_quota());
    let (mbox, jill) = (t.inbox().await?, AccountId::from("jill"));
    let limits = async |account: &AccountId| quota.usage(account).await.map(|used| used.limits);
    quota.allow(None, QuotaLimits::new(Some(100), Some(2)));
    quota.allow(Some(&jill), QuotaLimits::new(Some(200), None));
    same!(limits(&john()).await?, QuotaLimits::new(Some(100), Some(2)), "the limits of everybody");
    same!(limits(&jill).await?, QuotaLimits::new(Some(200), Some(2)), "the limits of an account of its own");
    for above in [QuotaLimits::new(Some(101), None), QuotaLimits::new(Some(5), Some(3))] {
        let set = quota.set_limit(&john(), above).await;
        refused!(set, StorageError::Denied, "set_limit() above the operator's");
    }
    quota.set_limit(&john(), QuotaLimits::new(Some(50), None)).await?;
    same!(limits(&john()).await?, QuotaLimits::new(Some(50), Some(2)), "the limits where only one was set");
    t.append(&mbox, b"a").await?;
    t.append(&mbox, b"b").await?;
    let message = t.message(b"c", Flags::default()).await?;
    let appended = storage.append(&mbox, vec![message.clone()]).await;
    refused!(appended, StorageError::OverQuota, "append() of more messages than the operator allows");
    quota.allow(None, QuotaLimits::new(Some(1), None));
    same!(
        limits(&john()).await?,
        QuotaLimits::new(Some(1), None),
        "the limits after the operator's were lowered"
    );
    let appended = storage.append(&mbox, vec![message.clone()]).await;
    refused!(appended, StorageError::OverQuota, "append() to an account that lies above its limit");
    quota.allow(None, QuotaLimits::NONE);
    same!(
        limits(&john()).await?,
        QuotaLimits::new(Some(50), None),
        "the owner's limits without the operator's"
    );
    storage.append(&mbox, vec![message]).await?;
    Ok(())
}

pub(crate) async fn quota_holds_against_many_at_once(t: &Trial) -> Outcome {
    t.rule("Quota: a limit is tested and room taken in one step");
    let storage = t.storage();
    let quota = optional!(storage.as_quota());
    let mbox = t.inbox().await?;
    quota.set_limit(&john(), QuotaLimits::new(Some(50), None)).await?;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (t, mbox) = (t.clone(), mbox.clone());
            tokio::spawn(async move {
                let mut done = 0;
                for _ in 0..3 {
                    let message = t.message(b"1234567890", Flags::default()).await?;
                    match t.storage().append(&mbox, vec![message]).await {
                        Ok(_) => done += 1,
                        Err(StorageError::OverQuota | StorageError::Busy) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(done)
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.map_err(|error| Stop::Broken(format!("append() panicked: {error}")))??;
    }
    same!(done, 5, "messages of 10 octets that were let into 50");
    same!(quota.usage(&john()).await?.octets, 50, "octets in use");
    Ok(())
}

pub(crate) async fn a_copy_that_half_fits_did_nothing(t: &Trial) -> Outcome {
    t.rule("Storage::copy: all or none, also where the quota leaves room for the first message only (RFC 9051 §6.4.7)");
    let storage = t.storage();
    let quota = optional!(storage.as_quota());
    let jill = AccountId::from("jill");
    let (from, to) = (t.inbox().await?, t.inbox_of(&jill).await?);
    for _ in 0..2 {
        t.append(&from, b"1234567890").await?;
    }
    let before = (t.snapshot(&from).await?, t.snapshot(&to).await?);
    for limits in [QuotaLimits::new(Some(15), None), QuotaLimits::new(None, Some(1))] {
        quota.set_limit(&jill, limits).await?;
        let used = (quota.usage(&john()).await?, quota.usage(&jill).await?);
        for mode in [CopyMode::Copy, CopyMode::Move] {
            let copied = storage.copy(&from, &UidSet::all(), &to, mode).await;
            refused!(copied, StorageError::OverQuota, "{mode:?} of two messages where one fits");
            let after = (t.snapshot(&from).await?, t.snapshot(&to).await?);
            same!(
                (after.0.uids, after.0.status),
                (before.0.uids.clone(), before.0.status.clone()),
                "the source after {mode:?} of what half fits"
            );
            same!(
                (after.1.uids, after.1.status),
                (before.1.uids.clone(), before.1.status.clone()),
                "the target after {mode:?} of what half fits"
            );
            let after = (quota.usage(&john()).await?, quota.usage(&jill).await?);
            same!(after, used, "what both use after {mode:?} of what half fits");
        }
    }
    Ok(())
}

pub(crate) async fn object_ids_are_stable_and_distinct(t: &Trial) -> Outcome {
    t.rule("Row::email_id is the same in all copies, Row::thread_id in a conversation (RFC 8474 §5.1, §5.2)");
    t.needs(t.caps().object_ids, "object ids are not kept")?;
    let (mbox, other) = (t.inbox().await?, t.create("a").await?);
    let put = async |mbox: &Mbox, keys: &[u64], email: Option<u64>| -> Outcome<Uid> {
        let mut message = t.message(b"x", Flags::default()).await?;
        (message.thread_keys, message.email_id) = (keys.to_vec(), email);
        one(&t.storage().append(mbox, vec![message]).await?)
    };
    let first = t.row(&mbox, put(&mbox, &[11], None).await?).await?;
    let reply = t.row(&other, put(&other, &[12, 11], None).await?).await?;
    let stranger = t.row(&mbox, put(&mbox, &[13], None).await?).await?;
    for row in [&first, &reply, &stranger] {
        ensure!(row.email_id.is_some() && row.thread_id.is_some(), "a message has no object ids: {row:?}");
    }
    ensure!(first.email_id != reply.email_id, "two messages have the same EMAILID");
    ensure!(first.email_id != stranger.email_id, "two messages have the same EMAILID");
    same!(reply.thread_id, first.thread_id, "the THREADID of a reply");
    ensure!(stranger.thread_id != first.thread_id, "a stranger has the THREADID of another conversation");
    t.flag(&mbox, set([first.uid]), super::flags::seen()).await?;
    let later = t.row(&mbox, first.uid).await?;
    same!((later.email_id, later.thread_id), (first.email_id, first.thread_id), "the object ids after STORE");
    let known = t.row(&other, put(&other, &[], first.email_id).await?).await?;
    same!(known.email_id, first.email_id, "the EMAILID of a message that brings one");
    same!(known.thread_id, first.thread_id, "the THREADID of another copy");
    Ok(())
}

pub(crate) async fn emails_are_found_where_they_lie(t: &Trial) -> Outcome {
    t.rule("Objects::places: where copies of these emails lie in the account (RFC 8474 §5.1)");
    let storage = t.storage();
    let objects = optional!(storage.as_objects());
    let (mbox, other) = (t.inbox().await?, t.create("a").await?);
    let [a, b] = array(t.fill(&mbox, 2).await?)?;
    let copied = storage.copy(&mbox, &set([a]), &other, CopyMode::Copy).await?;
    let [there] = array(copied.pairs.iter().map(|(_, new)| *new).collect())?;
    let email = async |uid| -> Outcome<u64> {
        t.row(&mbox, uid).await?.email_id.ok_or(Stop::Broken("a message has no EMAILID".to_owned()))
    };
    let (first, second) = (email(a).await?, email(b).await?);
    let places = async || -> Outcome<Vec<_>> {
        let mut places = objects.places(&john(), &[first, second, u64::MAX]).await?;
        places.sort();
        Ok(places)
    };
    let mut wanted =
        vec![(first, mbox.id.clone(), a), (first, other.id.clone(), there), (second, mbox.id.clone(), b)];
    wanted.sort();
    same!(places().await?, wanted, "the places of two emails");
    // In another account it is another's business.
    let jill = AccountId::from("jill");
    let hers = t.inbox_of(&jill).await?;
    let copied = storage.copy(&mbox, &set([a]), &hers, CopyMode::Copy).await?;
    let [copy] = array(copied.pairs.iter().map(|(_, new)| *new).collect())?;
    same!(places().await?, wanted, "john's places after a copy went to jill");
    let known = t.row(&hers, copy).await?.email_id.unwrap_or_default();
    let found = objects.places(&jill, &[known, second]).await?;
    same!(found, [(known, hers.id, copy)], "jill's places");
    t.expunge(&mbox, &set([a, b])).await?;
    same!(places().await?, [(first, other.id.clone(), there)], "the places after an expunge");
    t.delete(&other).await?;
    ensure!(places().await?.is_empty(), "an email lies in a deleted mailbox");
    Ok(())
}

pub(crate) async fn search_finds_what_is_true(t: &Trial) -> Outcome {
    t.rule("Search: yes is true of these, maybe perhaps of these; what is true is in one of both (RFC 9051 §6.4.4)");
    let storage = t.storage();
    let search = optional!(storage.as_search());
    let mbox = t.inbox().await?;
    let word = t.needs_keywords(1).is_ok().then(|| Keyword::new("Word"));
    let flags = Flags::new(SystemFlags::from(SystemFlag::Seen), word);
    let a = t.append_with(&mbox, b"Subject: apple\r\n\r\nred", flags).await?;
    let b = t.append(&mbox, b"Subject: pear\r\n\r\ngreen, and quite a bit longer").await?;
    let c = t.append(&mbox, b"Subject: plum\r\n\r\napple").await?;
    let not = |key| SearchKey::Not(Box::new(key));
    let (seen, apple) = (SearchKey::Flag(SystemFlag::Seen), "APPLE".into());
    let cases = [
        (SearchKey::All, vec![a, b, c]),
        (seen.clone(), vec![a]),
        (not(seen.clone()), vec![b, c]),
        (
            SearchKey::Keyword(Keyword::new("wORD")),
            if t.needs_keywords(1).is_ok() { vec![a] } else { vec![] },
        ),
        (SearchKey::Larger(30), vec![b]),
        (SearchKey::Smaller(30), vec![a, c]),
        (SearchKey::And(vec![not(seen.clone()), SearchKey::Smaller(30)]), vec![c]),
        (SearchKey::Or(vec![seen, SearchKey::Larger(30)]), vec![a, b]),
        (SearchKey::And(vec![]), vec![a, b, c]),
        (SearchKey::InternalSince(DATE.to_system_time()), vec![a, b, c]),
        (SearchKey::Header("subject".into(), "apple".into()), vec![a]),
        (SearchKey::Body("apple".into()), vec![c]),
        (SearchKey::Text(apple), vec![a, c]),
    ];
    for (key, wanted) in cases {
        let told = format!("{key:?}");
        for within in [UidSet::all(), set([b, c])] {
            let hit = search.search(&mbox, &key, &within).await?;
            let wanted = set(wanted.iter().copied()).intersection(&within);
            let wrong = hit.yes.difference(&wanted);
            ensure!(wrong.is_empty(), "{told} is told to be true of {wrong}");
            let lost = wanted.difference(&hit.yes.union(&hit.maybe));
            ensure!(lost.is_empty(), "{told} is true of {lost}, which is in neither yes nor maybe");
            ensure!(hit.maybe.difference(&within).is_empty(), "{told} gives more than was asked for");
        }
    }
    let nowhere = search.search(&missing(), &SearchKey::All, &UidSet::all()).await;
    refused!(nowhere, StorageError::NoMailbox, "search() in a missing mailbox");
    Ok(())
}
