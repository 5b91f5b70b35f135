//! The suites find what is broken: the case that is named plays on a plugin with one fault, and must name it.

mod facets;
mod storage;
mod users;

use imapper_testkit::storage::{Verdict, run_case};

use storage::{Fault, Subject};

/// Plays a case; it must fail, and say the word.
async fn found(fault: Fault, case: &str, word: &str) {
    let (area, name) = case.split_once("::").unwrap();
    let verdict = run_case(area, name, async || Subject::new(fault)).await;
    let Verdict::Failed(failure) = verdict else { panic!("{case} does not find {fault:?}: {verdict:?}") };
    assert!(failure.what.contains(word), "{failure}");
    assert!(!failure.rule.is_empty(), "{failure}");
}

macro_rules! faults {
    ($($name:ident: $fault:ident, $case:literal, $word:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                found(Fault::$fault, $case, $word).await;
            }
        )*

        /// What finds a fault passes where there is none: the case was not always so.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn without_a_fault_none_is_found() {
            for case in [$($case),*] {
                let (area, name) = case.split_once("::").unwrap();
                let verdict = run_case(area, name, async || Subject::new(Fault::None)).await;
                assert!(!matches!(verdict, Verdict::Failed(_)), "{verdict:?}");
            }
        }
    };
}

faults! {
    uids_out_of_order: UidLate, "at_once::uids_become_visible_in_ascending_order", "became visible after";
    a_change_that_is_passed_by: ChangeLate, "at_once::uids_become_visible_in_ascending_order", "left out";
    a_torn_snapshot: SnapshotTorn, "at_once::a_snapshot_is_one_moment", "beside its messages";
    a_name_that_is_given_twice: NameTwice, "at_once::a_name_is_given_once", "have made the same mailbox";
    mail_that_is_gone_after_a_crash: MailForgotten, "durability::messages_survive", "opened again";
    tokens_that_are_gone_after_a_crash: TokensForgotten, "durability::tokens_survive", "the message has gone";
    events_that_are_dropped: EventsDropped, "watching::a_slow_watcher_loses_nothing_for_good", "no event";
    events_that_tell_what_was_before: EventsOld, "watching::each_change_of_a_mailbox_is_told", "no event";
    changes_since_what_means_nothing: NoneHeedsSince, "changing::without_mod_sequences_every_message_is_told", "what changes(";
    followers_of_what_means_nothing: NoneHeedsSince, "changing::followers_from_any_point_end_at_the_snapshot", "beside the snapshot";
    keywords_of_another_mailbox: KeywordsShared, "flags::keywords_belong_to_one_mailbox", "another mailbox";
    keywords_that_do_not_show: KeywordsHidden, "flags::keywords_belong_to_one_mailbox", "lacks a word";
    keywords_where_there_are_none: KeywordsAnyway, "flags::where_there_are_no_keywords_none_is_kept", "new_keywords";
    a_node_that_holds_something_else: NodesApart, "beside::what_one_writes_the_other_reads", "does not list";
    a_node_that_is_told_nothing: NodesDeaf, "beside::changes_at_one_are_told_at_the_other", "is told of";
    a_limit_that_is_not_kept: LimitIgnored, "facets::quota_is_counted_and_enforced", "the limits";
    a_limit_above_the_operators: LimitAboveTaken, "facets::what_the_operator_allows_holds_beside_own_limits", "above the operator's";
    a_limit_of_one_for_all: OneAllowedForAll, "facets::what_the_operator_allows_holds_beside_own_limits", "the limits of";
    a_copy_of_what_fits: CopyHalfFits, "facets::a_copy_that_half_fits_did_nothing", "half fits";
    attributes_without_mod_sequences: AttributeModSeqLost, "facets::attributes_are_set_found_and_removed", "mod-sequences of attributes";
    attributes_that_are_half_set: AttributesHalfSet, "facets::attributes_are_set_all_or_none", "half";
    places_in_other_accounts: PlacesOfOthers, "facets::emails_are_found_where_they_lie", "john's places";
    an_import_that_leaves_uidnext: UidNextStays, "importing::imported_uids_lie_below_uidnext_and_are_new", "UIDNEXT is";
    an_import_that_begins_its_mod_sequences_anew: ModSeqBegunAnew, "importing::imported_mod_sequences_go_on_above_the_old_ones", "clients have seen";
    an_import_of_a_uid_that_was_used: GoneUidImported, "importing::imported_uids_lie_below_uidnext_and_are_new", "is gone: done";
    special_uses_that_stay: SpecialUseAdded, "importing::imported_mailboxes_are_for_what_is_said", "what the mailbox is for";
    a_search_that_finds_too_much: SearchLies, "facets::search_finds_what_is_true", "told to be true";
    a_search_that_finds_too_little: SearchLoses, "facets::search_finds_what_is_true", "in neither";
}
