//! The suite finds what is broken: the case that is named plays on a storage with one fault, and must name it. Others
//! are planted in the kit's model.

mod faulty;

use std::sync::Arc;

use faulty::{Fault, Faulty};
use imapper_testkit::layer::Layered;
use imapper_testkit::storage::{Verdict, run_all, run_case};

fn faulty(fault: Fault) -> Arc<Layered<Faulty>> {
    Arc::new(Layered(Faulty::new(fault)))
}

/// Plays a case; it must fail, and say the word.
async fn found(fault: Fault, case: &str, word: &str) {
    let (area, name) = case.split_once("::").unwrap();
    let verdict = run_case(area, name, async || faulty(fault)).await;
    let Verdict::Failed(failure) = verdict else { panic!("{case} does not find {fault:?}: {verdict:?}") };
    assert!(failure.what.contains(word), "{failure}");
    assert!(!failure.rule.is_empty(), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_fault_none_is_found() {
    let failures = run_all(async || faulty(Fault::None)).await;
    assert!(failures.is_empty(), "{failures:?}");
}

macro_rules! faults {
    ($($name:ident: $fault:ident, $case:literal, $word:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                found(Fault::$fault, $case, $word).await;
            }
        )*
    };
}

faults! {
    a_uid_that_is_reused: UidReused, "appending::a_uid_is_never_used_again", "used again";
    a_mod_sequence_that_store_does_not_raise: ModSeqNotRaised, "changing::each_change_raises_the_modseq", "set_flags() does not raise";
    a_row_that_is_older_than_told: RowOlder, "changing::followers_from_any_point_end_at_the_snapshot", "older";
    a_copy_that_is_half_done: CopyHalfDone, "copying::a_copy_that_fails_half_way_did_nothing", "half was copied";
    an_append_that_is_half_done: AppendHalfDone, "appending::all_are_appended_or_none", "after an append that failed";
    removals_that_are_not_told: VanishedMissing, "changing::changes_tells_each_kind_of_change", "missing from removed";
    changes_that_are_cut_off: ChangesCutOff, "changing::followers_from_any_point_end_at_the_snapshot", "beside";
    a_snapshot_that_is_stale: SnapshotStale, "removing::only_what_is_asked_for_is_removed", "the UIDs after an expunge";
    a_token_with_two_uids: TokenTwice, "appending::the_same_token_gives_the_same_uid", "the same token";
    a_condition_that_is_ignored: UnchangedSinceIgnored, "flags::unchanged_since_holds_back", "UNCHANGEDSINCE";
    a_range_that_is_off_by_one: RangeOffByOne, "bodies::ranges_are_cut_at_the_end", "read(";
    a_body_that_ends_at_nul: BodyCutAtNul, "bodies::octets_are_kept_one_by_one", "comes back";
    flags_that_are_lost_on_copy: FlagsLostOnCopy, "copying::a_copy_keeps_everything", "the flags of a copy";
    a_move_that_only_copies: MoveOnlyCopies, "copying::a_move_leaves_nothing_behind", "the source after a move";
    a_date_without_its_zone: ZoneLost, "appending::flags_and_dates_are_kept", "internal date";
    a_rename_that_leaves_a_child: RenameLeavesChild, "tree::rename_takes_children_along", "after RENAME";
    a_delete_that_takes_children: DeleteTakesChildren, "tree::delete_removes_the_mailbox_alone", "after DELETE";
    a_subscription_that_goes_with_the_mailbox: SubscriptionDropped, "tree::subscriptions_survive_delete", "the subscriptions";
    a_mailbox_id_that_is_reused: MailboxIdReused, "tree::a_mailbox_made_anew_is_another_one", "MailboxId";
    events_that_do_not_come: NoEvent, "watching::each_change_of_a_mailbox_is_told", "no event";
    an_expunge_of_what_is_not_deleted: OnlyDeletedIgnored, "removing::only_deleted_spares_the_others", "the removed";
    a_message_that_is_recent_twice: RecentTwice, "recent::a_message_is_recent_once", "a second session";
    keywords_in_lower_case: KeywordsLowered, "flags::keywords_are_kept_in_their_case", "spelled";
    counts_that_are_wrong: CountsWrong, "appending::counts_follow_each_change", "unseen";
    rows_out_of_order: RowsUnordered, "removing::rows_come_in_the_order_of_uids", "order of UIDs";
    special_uses_that_are_lost: SpecialUseLost, "tree::special_uses_are_kept_in_order", "special uses";
    accounts_that_are_mixed: AccountsMixed, "naming::account_names_are_data", "John";
    a_copy_with_another_email_id: EmailIdLost, "copying::a_copy_keeps_everything", "object ids";
    a_store_that_loses_an_update: UpdateLost, "flags::changes_at_once_are_all_kept", "lost";
}
