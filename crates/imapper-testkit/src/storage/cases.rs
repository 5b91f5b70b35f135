//! The list of the cases, by area: the table and the `#[test]`s are both made of it.

/// Hands the cases on to `__storage_each!`, behind what it is given.
#[doc(hidden)]
#[macro_export]
macro_rules! __storage_cases {
    ($($given:tt)*) => {
        $crate::__storage_each! { $($given)*
            tree {
                an_unused_account_has_an_empty_inbox
                create_makes_a_mailbox
                create_of_a_taken_name_is_refused
                create_makes_no_level_above
                special_uses_are_kept_in_order
                rename_keeps_the_mailbox
                rename_takes_children_along
                rename_to_a_taken_name_changes_nothing
                delete_removes_the_mailbox_alone
                a_deleted_mailbox_is_gone_for_every_call
                inbox_is_always_there
                a_mailbox_made_anew_is_another_one
                a_name_that_another_mailbox_takes_has_another_uidvalidity
                subscriptions_are_names
                subscriptions_survive_delete
                status_answers_in_the_order_of_ids
            }
            naming {
                names_are_kept_as_they_are
                names_that_look_like_paths_lead_nowhere
                names_in_another_case_are_told_apart_or_refused
                accounts_share_nothing
                a_mailbox_is_reached_by_its_owner_only
                account_names_are_data
            }
            appending {
                uids_ascend_and_uidnext_lies_above
                a_uid_is_never_used_again
                several_messages_are_one_step
                all_are_appended_or_none
                flags_and_dates_are_kept
                the_same_token_gives_the_same_uid
                the_same_token_at_once_gives_one_message
                a_message_replaces_another_in_one_step
                a_digest_is_given_back
                save_dates_are_kept
                counts_follow_each_change
                a_body_is_carried_to_another_account
                appending_to_what_is_missing_takes_nothing
            }
            bodies {
                octets_are_kept_one_by_one
                bare_ends_of_lines_are_kept
                ranges_are_cut_at_the_end
                large_bodies_come_and_go_in_pieces
                a_body_that_breaks_off_leaves_nothing
                a_message_above_the_bound_is_refused
                a_body_ref_outlives_other_changes
                a_copy_outlives_its_original
                a_removed_body_is_gone_or_itself
            }
            flags {
                flags_are_added_removed_and_replaced
                only_what_changes_is_told_as_changed
                a_call_that_changes_nothing_takes_no_modseq
                keywords_are_kept_in_their_case
                keywords_belong_to_one_mailbox
                keywords_have_their_bound
                where_there_are_no_keywords_none_is_kept
                unchanged_since_holds_back
                huge_sets_cost_what_there_is
                changes_at_once_are_all_kept
            }
            removing {
                only_what_is_asked_for_is_removed
                only_deleted_spares_the_others
                only_deleted_looks_at_that_moment
                rows_come_in_the_order_of_uids
                who_reads_rows_is_not_stopped_by_an_expunge
            }
            copying {
                a_copy_keeps_everything
                keywords_are_copied_in_their_case
                a_move_leaves_nothing_behind
                within_one_mailbox_copies_are_messages
                nothing_to_copy_changes_nothing
                a_missing_target_leaves_the_source_alone
                a_copy_that_fails_half_way_did_nothing
                messages_go_to_another_account
                moves_in_both_directions_lose_nothing
            }
            changing {
                each_change_raises_the_modseq
                changes_tells_each_kind_of_change
                a_message_that_came_and_went_harms_nobody
                followers_from_any_point_end_at_the_snapshot
                without_mod_sequences_every_message_is_told
                a_limit_bounds_an_answer
                a_long_log_stays_right
            }
            recent {
                a_message_is_recent_once
                what_is_removed_is_not_recent
                sessions_at_once_share_none
            }
            at_once {
                uids_become_visible_in_ascending_order
                a_snapshot_is_one_moment
                followers_miss_nothing_of_many_writers
                a_name_is_given_once
                renames_at_once_lose_no_mailbox
                a_delete_leaves_no_late_message
                of_two_conditional_stores_one_is_done
            }
            watching {
                each_change_of_a_mailbox_is_told
                each_change_of_the_tree_is_told
                a_hint_comes_after_its_change
                a_slow_watcher_loses_nothing_for_good
                who_stops_watching_disturbs_nobody
                a_deleted_mailbox_may_be_watched
            }
            durability {
                messages_survive
                numbers_go_on
                the_tree_survives
                followers_go_on
                tokens_survive
                what_is_removed_stays_removed
            }
            facets {
                attributes_are_set_found_and_removed
                attributes_are_set_all_or_none
                attributes_follow_their_mailbox
                a_right_is_told_to_who_gets_it
                quota_is_counted_and_enforced
                quota_holds_against_many_at_once
                what_the_operator_allows_holds_beside_own_limits
                a_copy_that_half_fits_did_nothing
                object_ids_are_stable_and_distinct
                emails_are_found_where_they_lie
                search_finds_what_is_true
            }
            importing {
                imported_mod_sequences_go_on_above_the_old_ones
                imported_numbers_are_kept
                imported_messages_are_whole
                imported_uids_lie_below_uidnext_and_are_new
                imported_mailboxes_are_for_what_is_said
            }
            beside {
                what_one_writes_the_other_reads
                both_count_on_from_each_other
                the_same_token_at_both_gives_one_message
                followers_at_one_hear_of_writers_at_the_other
                changes_at_one_are_told_at_the_other
            }
            random {
                random_calls_have_the_answers_of_the_model
            }
        }
    };
}

/// Makes the table of the cases, or a `#[test]` of each.
#[doc(hidden)]
#[macro_export]
macro_rules! __storage_each {
    (table $($area:ident { $($case:ident)* })*) => {
        /// Every case of the suite.
        const CASES: &[Case<Trial>] = &[$($(
            Case {
                area: stringify!($area),
                name: stringify!($case),
                run: |trial| Box::pin(async move { $area::$case(&trial).await }),
            },
        )*)*];
    };
    (tests ($factory:expr) $($area:ident { $($case:ident)* })*) => {
        $(
            mod $area {
                #[allow(unused_imports)]
                use super::*;

                $(
                    #[test]
                    fn $case() {
                        $crate::storage::test_case(stringify!($area), stringify!($case), $factory);
                    }
                )*
            }
        )*
    };
}
