"""The rest of the map (see `spec_map`): scenarios of the original's end-to-end tests, its defects, and the pitfalls."""

from __future__ import annotations

from tests.spec_map import Evidence, at, bad, good, why

EXECUTOR = why("belongs to the executor")
SCHEDULER = why("belongs to the scheduler")

#: §6.1: the original's end-to-end scenarios; of the first, what happens on a host.
SCENARIOS: dict[int, Evidence] = {
    1: at("e2e/test_scenarios", "test_quotes_of_a_command_line_arrive_as_written")
    + at("e2e/test_scenarios", "test_a_profile_is_seen_by_later_processes_only")
    + at("config/test_compile", "test_ports_nest_and_aliases_of_the_announcer_name_them_too")
    + good("profile.aurora", "health.aurora", "docker.aurora")
    + SCHEDULER,
    2: EXECUTOR,
    3: EXECUTOR,
    4: at("e2e/test_scenarios", "test_an_ephemeral_daemon_ends_with_the_main_and_the_final_tidies_up"),
    5: at("e2e/test_scenarios", "test_a_process_that_daemonizes_gets_sigterm_on_kill"),
    6: at("e2e/test_ends", "test_a_killed_runner_is_replaced_without_a_duplicate_run") + SCHEDULER,
    7: SCHEDULER,
    8: SCHEDULER,
    9: EXECUTOR,
}

#: §7.4: correctness and robustness defects of the original.
DEFECTS: dict[int, Evidence] = {
    1: at("e2e/test_graceful", "test_the_application_gets_sigterm_however_the_line_is_written")
    + at("e2e/test_graceful", "test_the_shell_may_die_first_the_application_still_has_its_time"),
    2: at("e2e/test_ends", "test_whoever_ignores_sigterm_is_killed_at_the_deadline")
    + at("e2e/test_ends", "test_finals_run_after_a_kill_too")
    + at("thermos/core/test_lifecycle", "test_budgets"),
    3: at("thermos/core/test_fold", "test_a_failed_run_keeps_its_exit_code_and_its_end")
    + at("thermos/core/test_records", "test_exit_code_0_is_not_no_exit_code")
    + at("client/test_status", "test_each_verbosity_tells_more")
    + at("observer/test_api", "test_the_originals_urls"),
    4: at("thermos/host/test_facts", "test_a_coordinator_that_cannot_be_spawned_is_a_failed_set_up")
    + at("thermos/host/test_facts", "test_a_user_that_vanished_between_two_runs_is_a_failed_set_up")
    + at("client/test_run", "test_a_set_up_that_fails_names_its_step"),
    5: at("client/test_main", "test_errors_are_lines")
    + at("client/test_run", "test_failure_is_1_with_code_last_words_and_where_to_read_more")
    + at("thermos/coordinator/test_start", "test_unusable_orders_are_one_line_and_exit_100"),
    6: at("client/test_status", "test_a_task_without_a_runner_is_unattended_since") + EXECUTOR,
    7: at("thermos/core/test_lifecycle", "test_kill_before_anything_started") + EXECUTOR,
    8: at("thermos/host/test_facts", "test_a_pid_that_became_a_strangers_is_never_signalled")
    + at("thermos/host/test_facts", "test_a_pid_reused_between_the_look_and_the_signal_is_left_alone")
    + at("thermos/host/test_recovery", "test_force_does_not_kill_a_stranger")
    + at("attacks/test_checkpoint", "test_strangers_are_not_signalled", "test_a_pid_that_was_reused_is_not_signalled"),
    9: at("thermos/host/test_keeper", "test_a_killed_runner_is_replaced_and_its_task_goes_on")
    + at("client/test_daemon", "test_a_killed_runner_is_replaced_and_nothing_runs_twice")
    + at("e2e/test_ends", "test_a_killed_runner_is_replaced_without_a_duplicate_run"),
    10: bad("name_twice.thermos") + at("thermos/core/test_graph", "test_one_problem_one_message"),
    11: bad("order_all_unknown.thermos")
    + at("thermos/core/test_graph", "test_a_constraint_of_unknown_names_only_is_not_ignored"),
    12: at("e2e/test_surroundings", "test_a_background_child_that_holds_the_output_does_not_hold_up_the_run")
    + at("thermos/coordinator/test_logs", "test_output_comes_through_at_once")
    + at("thermos/coordinator/test_logs", "test_the_size_of_an_existing_file_counts"),
    13: EXECUTOR,
    14: EXECUTOR,
    15: EXECUTOR,
    16: at("observer/test_security", "test_no_path_leads_out")
    + at("observer/test_api", "test_reads_are_bounded", "test_unknown_things_are_404_and_not_500")
    + at("observer/test_api", "test_two_roots_with_the_same_id", "test_users_and_tokens")
    + at("observer/test_inventory", "test_a_corrupt_checkpoint_harms_nobody_else"),
    17: at("thermos/host/test_checkpoint", "test_every_torn_tail_costs_its_line_and_nothing_else")
    + at("thermos/host/test_facts", "test_after_a_restart_of_the_host_every_live_run_is_lost_and_begins_anew")
    + at("thermos/monitor/test_follow", "test_a_torn_last_line_of_a_dead_writer_is_damage"),
    18: EXECUTOR,
    19: at("e2e/test_surroundings", "test_supplementary_groups_are_the_user_s_not_root_s")
    + at("spec/test_log_items", "test_89_everything_below_the_log_directory_is_the_users")
    + EXECUTOR,
    20: at("config/dsl/test_templates", "test_what_is_no_reference_stays_as_written_and_says_what_to_write")
    + at("config/dsl/test_choice", "test_a_dict_becomes_any_alternative")
    + at("config/dsl/test_structs", "test_a_subclass_has_the_fields_of_its_bases")
    + at("config/test_loader", "test_a_changed_include_is_seen")
    + at("config/test_builders", "test_option_strings", "test_many_tasks_come_out_in_the_order_they_went_in")
    + at("config/test_good", "test_the_same_file_gives_the_same_bytes"),
    21: at("client/test_run", "test_failure_is_1_with_code_last_words_and_where_to_read_more")
    + at("client/test_kill", "test_a_minded_task_is_ended_by_its_runner_politely")
    + at("spec/test_command_items", "test_132_simplerun_joins_its_words_and_binds_them")
    + at("spec/test_command_items", "test_21_two_runs_share_no_sandbox"),
    22: EXECUTOR,
    23: at("e2e/test_ends", "test_a_second_request_does_not_move_the_deadline")
    + at("e2e/test_ends", "test_background_children_die_with_their_process")
    + EXECUTOR,
}

#: §7.7: behaviours easiest to get wrong.
PITFALLS: dict[int, Evidence] = {
    1: EXECUTOR,
    2: at("e2e/test_plans", "test_a_process_killed_by_a_signal_is_repeated_and_has_not_failed")
    + at("thermos/core/test_lifecycle", "test_67_68_a_killed_or_lost_run_is_repeated_and_no_failure"),
    3: at("e2e/test_plans", "test_an_ephemeral_that_fails_for_good_counts_as_finished")
    + at("thermos/core/test_planner", "test_54_nobody_waits_for_ephemerals"),
    4: at("e2e/test_plans", "test_whoever_waits_for_a_failed_process_never_starts_and_the_task_fails")
    + at("e2e/test_plans", "test_a_task_counts_failed_processes_not_failed_runs"),
    5: at("e2e/test_plans", "test_min_duration_counts_from_the_end_of_a_run")
    + at("thermos/core/test_planner", "test_58_min_duration_counts_from_the_end_of_the_run"),
    6: at("e2e/test_plans", "test_finals_run_in_their_order_after_success_and_failure")
    + at("e2e/test_plans", "test_a_failing_final_leaves_success_a_success")
    + at("e2e/test_ends", "test_finals_run_after_a_kill_too"),
    7: why("Sequence numbers count the records of one run")
    + at("spec/test_records_of_real_runs", "test_72_sequences_go_on_without_a_gap_under_the_next_runner")
    + at("thermos/core/test_fold", "test_what_comes_after_lost_is_a_note"),
    8: EXECUTOR,
    9: at("config/core/test_ports", "test_requested_ports")
    + at("config/test_compile", "test_required_ports_look_at_processes_only")
    + bad("portmap_static.aurora", "health_port.aurora")
    + EXECUTOR,
    10: at("config/dsl/test_scopes", "test_the_closest_value_wins", "test_a_later_bind_wins_and_in_scope_comes_last")
    + at("config/dsl/test_scopes", "test_a_later_binding_replaces_one_field_of_a_bound_struct")
    + at("config/dsl/test_values", "test_a_number_waits_for_its_template"),
    11: at("thermos/core/test_lifecycle", "test_a_request_after_the_end_is_too_late") + EXECUTOR,
    12: EXECUTOR,
    13: at("config/test_builders", "test_combine_adds_resources_and_keeps_the_last_identity"),
    14: EXECUTOR,
    15: at("spec/test_log_items", "test_92_the_logger_of_a_process_replaces_the_flags_as_a_whole"),
}
