//! All that a task can ask for, and the test that shows that it gets it.
//!
//! What is named in the last column is a test, or an invariant that simulated clusters are held to under all faults
//! (`tests/src/invariants`). Each is there: a test of its own sees to that.
//!
//! | feature | in short | shown by |
//! |---|---|---|
//! | delay, at | it starts when it is time and not before, whatever the wall clock does | `a_delayed_task_starts_when_it_is_time_and_not_before`, `hours_pass_at_once_on_one_node_and_on_three`, `what_is_delayed_waits_as_long_as_it_was_to`, `starts_in_place` |
//! | delayed tasks on disk | those that wait for long take disk, not memory | `a_partition_that_puts_records_away_decides_the_same`, `both_stores_conform`, `memory_is_counted` |
//! | expires | it is given up though no node runs it | `what_waits_is_given_up_when_its_time_has_passed`, `what_fills_the_memory_keeps_nothing_from_being_given_up` |
//! | deadline | it has ended by then, with all its retries | `what_waits_at_its_deadline_is_dead`, `a_run_is_over_at_the_deadline_of_its_task_whatever_its_limit` |
//! | time limit | of one run | `what_takes_too_long_is_stopped_and_told` |
//! | soft limit | a run is told before | `a_handler_is_told_before_its_time_is_over`, `a_program_is_asked_to_end_at_its_soft_limit_and_says_itself_how_it_ended`, `a_soft_limit_is_shorter_than_the_time_limit_that_will_hold` |
//! | retries | pauses that double with jitter and a cap, or a list | `the_pause_doubles_up_to_its_limit`, `listed_pauses_are_kept_to_the_millisecond_and_the_last_holds_for_all_that_follow` |
//! | what handlers say | retry after, for good, drop, snooze | `handlers_say_what_is_to_become_of_their_task`, `errors_keep_whether_another_attempt_helps` |
//! | crashes | counted apart from failures | `every_task_ends` |
//! | history of runs | when, where, how long, why it failed | `why_a_command_failed_is_told_while_it_waits_for_its_next_attempt`, `what_takes_too_long_is_stopped_and_told`, `a_task_runs_on_the_node_that_is_chosen_or_waits_for_one` |
//! | dead tasks | listed, tried again or dropped, one or many | `a_dead_task_is_tried_again_as_another_once`, `a_record_is_dropped_from_among_others` |
//! | at least once | and exactly once if nothing fails | `exactly_one_run`, `second_run_after_loss` |
//! | at most once | never started twice | `at_most_once` |
//! | queues | begin with the first task, are listed, paused and resumed | `limited_by_rule`, `a_queue_begins_with_its_first_task_and_waits_while_it_is_paused`, `a_pause_outlives_all_nodes`, `queues_are_listed_with_what_is_in_them` |
//! | queues of a node | it runs tasks of those alone that it serves, changeable while it runs | `a_node_runs_nothing_of_a_queue_that_it_does_not_serve` |
//! | purge | of what waits in a queue, all or by selector; what runs goes on | `a_queue_is_purged_of_what_waits_and_has_certain_labels`, `what_waits_in_a_queue_can_be_purged`, `what_waits_is_withdrawn_and_what_runs_is_left_alone`, `what_is_to_be_stopped_as_long_as_it_waits_is_not_stopped_once_it_runs` |
//! | weights of queues | shares of the slots at each owner | `queues_with_weights_share_the_slots` |
//! | ranks of queues | strict order between them at each owner | `a_queue_of_higher_rank_goes_first_whatever_else_waits` |
//! | priority with aging | nothing waits for ever | `what_is_never_urgent_comes_to_its_turn`, `nobody_starves` |
//! | fairness between tenants | in turn, as they weigh, whatever the names and targets of their tasks | `tenants_take_turns_whatever_the_names_of_their_tasks`, `tenants_take_turns_wherever_their_tasks_may_run`, `weights_hold_across_names`, `of_any_tenants_each_is_served_as_it_weighs_to_within_a_round` |
//! | limits by key | rate and concurrency | `limited_by_key`, `as_many_run_at_once_as_their_key_allows` |
//! | limits by queue and name | how many run in the whole cluster, where nobody is lost or cut off; a rate, shared out over the nodes | `limited_by_rule`, `rules_say_where_tasks_go_and_how_many_run_in_the_whole_cluster`, `three_owners_share_a_rate_exactly` |
//! | exclusive | never two at once, even between nodes that are cut off | `exclusive` |
//! | who waits takes no slot | | `a_task_that_waits_for_its_limit_is_in_nobodys_way` |
//! | unique keys | scopes and policies, no lock to be left behind | `unique_keys`, `of_a_key_there_is_one_task_at_a_time` |
//! | rules by name | queue, priority, limits, nodes | `tasks_go_where_the_rule_for_their_name_says`, `a_task_runs_only_where_it_may` |
//! | choice of nodes | by labels, or one by its name | `a_task_runs_on_the_node_that_is_chosen_or_waits_for_one` |
//! | slots | by kind of work, queue and resource (of which a run takes one), by labels of nodes, changeable while a node runs | `slots_are_taken_over_while_the_node_runs`, `slots_may_become_more_and_fewer_while_runs_take_them`, `a_node_has_what_is_said_of_its_labels`, `a_resource_has_a_pool_that_counts_before_that_of_the_queue` |
//! | broadcast | one task for each node that is selected, each with its id, and a summary | `a_broadcast_runs_once_on_each_node`, `groups_broadcasts_and_what_is_tried_again_are_recorded` |
//! | why a task waits | a rule, a limit, no node for it, no slot, its owner; and how it is treated | `a_task_tells_that_those_who_knew_it_or_served_its_queue_are_gone`, `a_task_tells_that_all_who_could_run_it_are_about_to_leave`, `a_task_tells_that_its_owner_cannot_write`, `a_task_of_a_job_tells_that_no_node_is_one_that_the_job_selects`, `it_is_told_in_the_words_of_those_who_submit`, `a_task_that_waits_says_why`, `a_task_of_a_limit_key_says_that_this_keeps_it`, `a_task_that_nobody_can_run_waits_and_says_why` |
//! | cancel | one or many; a token, SIGTERM and SIGKILL to the group, a request that ends | `a_selection_is_gone_through_once_from_the_newest_back`, `a_list_reads_no_more_than_it_may`, `a_cancelled_task_is_stopped_or_never_starts`, `a_cancelled_handler_may_end_by_itself`, `a_cancelled_program_that_does_not_listen_is_gone_with_all_its_children_within_the_grace`, `a_program_that_does_not_listen_is_killed_with_its_children`, `a_cancelled_request_is_given_up` |
//! | waiting by push | from any node, over reconnects | `what_a_lost_node_owes_is_asked_of_another`, `a_watcher_goes_on_at_another_node_and_with_another_owner`, `a_group_is_waited_for_while_owners_of_its_tasks_go` |
//! | unknown is not waiting | | `a_task_that_nobody_knows_is_not_waited_for` |
//! | progress and log lines | live, over takeovers | `watched_in_order`, `a_watcher_hears_the_next_run_when_the_node_of_one_is_lost` |
//! | log lines have a limit | of a run that talks too much the last are kept, and the rest is counted | `who_talks_too_much_is_heard_in_part_and_the_rest_is_counted` |
//! | results have a limit | that the failure names | `a_result_that_is_too_large_is_a_failure_that_names_the_limit` |
//! | results of another type | an error of whoever expects another, not of the task | `a_result_of_another_type_fails_whoever_expects_it_and_not_the_task`, `a_result_that_is_no_json_is_permanent` |
//! | retention | by age, of one task for longer or shorter than of others; by number and bytes of all of a partition together | `forgotten_in_time`, `what_says_for_how_long_it_is_kept_goes_by_that_alone`, `a_task_is_kept_for_as_long_as_it_says`, `no_more_say_for_how_long_they_are_kept_than_there_is_room_for` |
//! | ignored results | are not kept | `of_a_result_that_is_ignored_nothing_is_kept`, `a_result_that_is_ignored_is_not_kept_and_a_task_goes_when_it_says` |
//! | metadata | labels, headers, parents, traces, a name | `said_as_it_was`, `what_is_submitted_from_within_a_task_is_its_child`, `what_a_program_submits_that_a_task_runs_is_a_child_of_it` |
//! | redacted arguments | shown nowhere | `what_is_hidden_reaches_the_handler_and_nobody_else` |
//! | batches | thousands in one call; one request of one partition is durable as a whole, and there is room for all of it or none, single tasks may be refused | `there_is_room_for_a_whole_batch_or_for_none_of_it`, `a_batch_is_taken_in_as_a_whole_or_not_at_all`, `many_tasks_are_cut_into_legal_batches_of_one_partition` |
//! | groups | an id over many tasks, with counts and one wait for all, listed and cancelled by it | `groups_are_counted`, `the_tasks_of_a_group_are_listed_without_a_look_at_others`, `a_group_is_counted_and_waited_for_from_any_node`, `a_group_is_waited_for_while_owners_of_its_tasks_go`, `a_group_that_grows_is_cancelled_as_a_whole`, `a_group_is_counted_as_its_tasks_go_along` |
//! | async and blocking handlers | panics are theirs alone | `panics_are_failures_of_their_run` |
//! | blocking handlers that hang | are told to have ended, and keep their slots while their threads go on: there are never more threads than slots | `handlers_that_hang_take_no_more_threads_than_there_are_slots`, `a_thread_that_does_not_listen_is_left_to_end_and_counts_until_then`, `the_slot_of_a_run_whose_code_goes_on_stays_taken_though_its_end_is_told` |
//! | commands | output to a limit, whatever it is | `output_is_kept_to_its_limit_and_never_holds_the_program_up`, `binary_output_does_not_fail_the_run` |
//! | programs that misbehave | talk for ever, close their outputs, leave children, do not listen: over at their limit, nothing left | `a_program_that_never_stops_talking_is_ended_at_its_time_limit`, `a_program_that_closes_its_outputs_goes_on_to_its_end`, `a_program_that_has_closed_its_outputs_and_hangs_is_ended_at_its_time_limit`, `a_child_that_outlives_its_program_and_does_not_listen_is_killed`, `what_a_program_leaves_in_its_group_ends_with_it` |
//! | grace of programs | between SIGTERM and SIGKILL, as the task says; a run is over when none of its processes is left, and one that must not overlap with others is killed in time | `a_program_has_the_grace_that_its_task_says`, `a_program_may_take_longer_to_end_if_its_task_says_so`, `the_grace_of_a_run_that_must_not_overlap_ends_with_its_guard`, `a_group_that_cannot_be_killed_is_told_and_not_waited_for_for_ever`, `runs_that_are_to_end_have_the_longest_grace_of_any`, `what_must_not_overlap_is_killed_in_time_when_its_node_ends_whatever_its_grace` |
//! | memory of programs | ended before their node if it runs out, limited for each process; handlers share that of their node | `programs_are_ended_before_their_node_if_memory_runs_out`, `a_program_that_wants_more_memory_than_it_may_have_fails_alone`, `a_limit_of_memory_holds_for_all_that_a_program_starts_and_changes_nothing_else` |
//! | webhooks | signed, `Retry-After`, no private addresses | `posts_the_task_signed`, `a_server_that_is_busy_is_left_alone_for_as_long_as_it_says`, `what_is_no_address_of_the_internet_is_not_connected_to` |
//! | middleware | before, after, on error | `the_first_is_the_outermost`, `it_may_take_another_outcome_for_the_right_one` |
//! | state of the node | `State<T>` | `declared_tasks_run` |
//! | orderly end | with a deadline | `orderly_end`, `a_stop_may_have_a_patience_of_its_own` |
//! | test kit | record, run inline, a cluster with faults and a clock | `what_is_submitted_is_recorded`, `a_task_is_run_at_once_with_its_retries`, `a_node_that_is_cut_off_does_nothing_until_that_is_healed` |
//! | what makes no sense | is refused by its name, and pointed at | `limits_that_make_no_sense_are_refused`, `what_cannot_be_said_of_a_task_is_refused_by_its_name`, `what_is_wrong_is_pointed_at` |
//! | `#[umbel::task]` | typed submit and result, errors that explain | `a_task_is_submitted_in_one_sentence`, `what_a_declaration_asks_for_reaches_every_submission`, `says_what_cannot_be_a_task` |
//! | examples | | `a_post_reaches_every_follower_by_a_task_or_within_the_request`, `an_album_gets_its_thumbnails`, `the_receiver_takes_what_a_node_signs` |
