use std::collections::BTreeMap;

use bytes::Bytes;
use imapper_core::storage::FlagChange;
use proptest::prelude::*;

use super::changes::CHANGE_LOG_SLACK;
use super::*;
use crate::body::Bodies;

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn mailbox() -> Mailbox {
    Mailbox::new(MailboxId::from("1"), "INBOX".to_owned(), UidValidity::MIN)
}

fn message(flags: Flags) -> Message {
    Message {
        flags,
        modseq: ModSeq::ZERO,
        internal_date: InternalDate { seconds: 0, offset_minutes: 0 },
        save_date: SystemTime::UNIX_EPOCH,
        email_id: 1,
        thread_id: 1,
        body: Arc::new(Bodies::new(0)).keep(Bytes::from_static(b"12345")),
    }
}

fn add(mailbox: &mut Mailbox, count: u32) {
    let first = mailbox.uid_next.get();
    mailbox.insert((first..first + count).map(|n| (uid(n), message(Flags::default()))).collect());
}

fn change(uids: UidSet, op: FlagOp) -> FlagChange {
    FlagChange { uids, op, unchanged_since: None }
}

/// A client that knows nothing but what `changes` tells.
#[derive(Default)]
struct Replica {
    rows: BTreeMap<Uid, (ModSeq, Flags)>,
    at: ModSeq,
}

impl Replica {
    fn pull(&mut self, mailbox: &Mailbox, limit: usize) {
        loop {
            let changes = mailbox.changes(self.at, limit);
            for row in changes.changed {
                assert!(row.modseq > self.at);
                self.rows.insert(row.uid, (row.modseq, row.flags));
            }
            self.rows.retain(|uid, _| !changes.removed.contains(*uid));
            assert!(changes.to >= self.at && (!changes.more || changes.to > self.at));
            self.at = changes.to;
            if !changes.more {
                return;
            }
        }
    }

    fn check(&self, mailbox: &Mailbox) {
        let held: BTreeMap<Uid, (ModSeq, Flags)> =
            mailbox.messages().map(|(uid, message)| (uid, (message.modseq, message.flags.clone()))).collect();
        assert_eq!(self.rows, held);
        assert_eq!(self.at, mailbox.modseq());
    }
}

fn recount(mailbox: &Mailbox) {
    let status = mailbox.status();
    let all: Vec<_> = mailbox.messages().collect();
    let count =
        |test: &dyn Fn(&Message) -> bool| u32::try_from(all.iter().filter(|(_, m)| test(m)).count()).unwrap();
    assert_eq!(status.messages, count(&|_| true));
    assert_eq!(status.unseen, count(&|m| !m.flags.contains(SystemFlag::Seen)));
    assert_eq!(status.deleted, count(&|m| m.flags.contains(SystemFlag::Deleted)));
    assert_eq!(status.size, all.len() as u64 * 5);
    assert_eq!(status.deleted_size, u64::from(status.deleted) * 5);
    let recent: Vec<Uid> =
        all.iter().map(|(uid, _)| *uid).filter(|uid| *uid >= mailbox.recent_from).collect();
    assert_eq!((status.first_recent, status.recent as usize), (recent.first().copied(), recent.len()));
    assert_eq!(mailbox.snapshot().uids, all.iter().map(|(uid, _)| *uid).collect());
    assert!(all.iter().all(|(uid, _)| *uid < status.uid_next));
}

#[derive(Clone, Debug)]
enum Step {
    Add(u32),
    Flag(u32, u32, u8, u8),
    Remove(u32, u32, bool),
    Claim,
    Trim(usize),
    Rewrite,
    Pull(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u32..6).prop_map(Step::Add),
        (1u32..30, 0u32..6, 0u8..3, 0u8..32).prop_map(|(a, b, op, bits)| Step::Flag(a, b, op, bits)),
        (1u32..30, 0u32..6, any::<bool>()).prop_map(|(a, b, deleted)| Step::Remove(a, b, deleted)),
        Just(Step::Claim),
        (0usize..4).prop_map(Step::Trim),
        Just(Step::Rewrite),
        (0usize..3, 1usize..5).prop_map(|(who, limit)| Step::Pull(who, limit)),
    ]
}

proptest! {
    #[test]
    fn who_applies_changes_from_any_point_ends_at_the_snapshot(steps in prop::collection::vec(step(), 1..60)) {
        let mut mailbox = mailbox();
        let mut replicas: Vec<Replica> = (0..3).map(|_| Replica::default()).collect();
        for step in steps {
            let before = mailbox.modseq();
            let changed = match step {
                Step::Add(count) => {
                    add(&mut mailbox, count);
                    count > 0
                }
                Step::Flag(first, more, op, bits) => {
                    let flags = Flags::new(SystemFlags::from_bits(bits), []);
                    let op = match op {
                        0 => FlagOp::Replace(flags),
                        1 => FlagOp::Add(flags),
                        _ => FlagOp::Remove(flags),
                    };
                    let range = UidSet::range(uid(first), uid(first + more));
                    !mailbox.set_flags(&change(range, op)).unwrap().changed.is_empty()
                }
                Step::Remove(first, more, deleted) => {
                    let (range, next) = (UidSet::range(uid(first), uid(first + more)), mailbox.next_modseq());
                    !mailbox.remove(&range, deleted, next).is_empty()
                }
                Step::Claim => {
                    mailbox.claim_recent();
                    false
                }
                Step::Trim(most) => {
                    mailbox.removed.trim(most);
                    false
                }
                Step::Rewrite => {
                    mailbox.rewrite_log();
                    false
                }
                Step::Pull(who, limit) => {
                    replicas[who].pull(&mailbox, limit);
                    replicas[who].check(&mailbox);
                    false
                }
            };
            prop_assert_eq!(mailbox.modseq(), if changed { before.next() } else { before });
            recount(&mailbox);
        }
        for replica in &mut replicas {
            replica.pull(&mailbox, 2);
            replica.check(&mailbox);
        }
    }
}

#[test]
fn the_cost_of_changes_is_that_of_what_changed() {
    let mut mailbox = mailbox();
    add(&mut mailbox, 10_000);
    let since = mailbox.modseq();
    let one = UidSet::range(uid(5000), uid(5000));
    mailbox.set_flags(&change(one.clone(), FlagOp::Add(SystemFlag::Seen.into()))).unwrap();
    assert_eq!(mailbox.changed.after(since).map(|(_, uids)| uids.len()).sum::<u64>(), 1);
    assert_eq!(mailbox.changes(since, 1000).changed.len(), 1);
    assert_eq!(mailbox.changes(mailbox.modseq(), 1000).changed.len(), 0);
}

#[test]
fn the_log_of_changes_does_not_grow_without_end() {
    let mut mailbox = mailbox();
    add(&mut mailbox, 3);
    for n in 0..10_000 {
        let flags = Flags::from(SystemFlag::Seen);
        let op = if n % 2 == 0 { FlagOp::Add(flags) } else { FlagOp::Remove(flags) };
        mailbox.set_flags(&change(UidSet::all(), op)).unwrap();
    }
    assert!(mailbox.changed.uids() <= CHANGE_LOG_SLACK + 6, "{}", mailbox.changed.uids());
}

#[test]
fn the_log_of_removals_does_not_grow_without_end() {
    let mut mailbox = mailbox();
    let count = u32::try_from(REMOVED_LOG).unwrap() + 10;
    add(&mut mailbox, count);
    for n in 1..=count {
        let next = mailbox.next_modseq();
        mailbox.remove(&UidSet::range(uid(n), uid(n)), false, next);
    }
    let old = mailbox.changes(ModSeq(2), 10);
    assert!(!old.exact && old.removed.len() == u64::from(count));
    let new = mailbox.changes(ModSeq(mailbox.modseq().0 - 5), 10);
    assert!(new.exact && new.removed.len() == 5);
}

#[test]
fn unchanged_since_holds_back_what_is_newer() {
    let mut mailbox = mailbox();
    add(&mut mailbox, 3);
    let since = mailbox.modseq();
    let two = UidSet::range(uid(2), uid(2));
    mailbox.set_flags(&change(two.clone(), FlagOp::Add(SystemFlag::Seen.into()))).unwrap();
    let mut all = change(UidSet::all(), FlagOp::Add(SystemFlag::Flagged.into()));
    all.unchanged_since = Some(since);
    let stored = mailbox.set_flags(&all).unwrap();
    assert_eq!(stored.conflict, two);
    assert_eq!(stored.changed.len(), 2);
    assert_eq!(stored.modseq, mailbox.modseq());
}

#[test]
fn keywords_are_spelt_one_way_and_bounded() {
    let mut mailbox = mailbox();
    add(&mut mailbox, 2);
    let set = |mailbox: &mut Mailbox, n: u32, word: &str| {
        let flags = Flags::new(SystemFlags::NONE, [Keyword::new(word)]);
        mailbox.set_flags(&change(UidSet::range(uid(n), uid(n)), FlagOp::Replace(flags)))
    };
    set(&mut mailbox, 1, "MyFlag").unwrap();
    let stored = set(&mut mailbox, 2, "MYFLAG").unwrap();
    assert_eq!(stored.changed[0].1.names().collect::<Vec<_>>(), ["MyFlag"]);
    // Those that no message has any more make room.
    for n in 0..3 * MAX_KEYWORDS {
        set(&mut mailbox, 1, &format!("word{n}")).unwrap();
    }
    assert!(mailbox.keywords.len() <= MAX_KEYWORDS);
    assert!(mailbox.keywords.contains(&Keyword::new("MyFlag")));
    let many = Flags::new(SystemFlags::NONE, (0..=MAX_KEYWORDS).map(|n| Keyword::new(&format!("other{n}"))));
    let before = mailbox.modseq();
    assert!(matches!(
        mailbox.set_flags(&change(UidSet::all(), FlagOp::Add(many))),
        Err(StorageError::Limit(_))
    ));
    assert_eq!(mailbox.modseq(), before);
}

#[test]
fn where_keywords_are_not_allowed_only_known_ones_stay() {
    let mut mailbox = mailbox();
    add(&mut mailbox, 1);
    mailbox.admit([Flags::new(SystemFlags::NONE, [Keyword::new("Known")])].iter()).unwrap();
    mailbox.new_keywords = false;
    let flags = Flags::new(SystemFlag::Seen.into(), [Keyword::new("known"), Keyword::new("New")]);
    let stored = mailbox.set_flags(&change(UidSet::all(), FlagOp::Add(flags))).unwrap();
    assert_eq!(stored.changed[0].1.names().collect::<Vec<_>>(), ["\\Seen", "Known"]);
}
