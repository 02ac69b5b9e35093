"""The rest of the map (see `spec_map`): scenarios of the original's end-to-end tests, its defects, and the pitfalls."""

from __future__ import annotations

from tests.spec_map import Evidence, at, bad, good, why
from tests.spec_map_executor import NO_RUNNER_PROCESS

SCHEDULER = why("belongs to the scheduler")

#: §6.1: the original's end-to-end scenarios; of the first, what happens on a host.
SCENARIOS: dict[int, Evidence] = {
    1: at("e2e/test_scenarios", "test_quotes_of_a_command_line_arrive_as_written")
    + at("e2e/test_scenarios", "test_a_profile_is_seen_by_later_processes_only")
    + at("config/test_compile", "test_ports_nest_and_aliases_of_the_announcer_name_them_too")
    + good("profile.aurora", "health.aurora", "docker.aurora")
    + at("executor/announcer/test_zookeeper", "test_deleted_by_a_stranger_it_joins_again_with_a_new_node")
    + at("executor/sandbox/test_images", "test_volumes")
    + SCHEDULER,
    2: at("executor/e2e/test_items", "test_a_health_check_of_an_executor_of_root_cannot_harm_the_host")
    + at("executor/health/test_shell_probe", "test_it_cannot_read_what_is_roots")
    + SCHEDULER,
    3: at("executor/e2e/test_items", "test_running_waits_for_so_many_successes") + SCHEDULER,
    4: at("e2e/test_scenarios", "test_an_ephemeral_daemon_ends_with_the_main_and_the_final_tidies_up"),
    5: at("e2e/test_scenarios", "test_a_process_that_daemonizes_gets_sigterm_on_kill"),
    6: at("e2e/test_ends", "test_a_killed_runner_is_replaced_without_a_duplicate_run")
    + at("executor/e2e/test_faults", "test_an_agent_that_dies_and_returns_changes_nothing")
    + SCHEDULER,
    7: SCHEDULER,
    8: SCHEDULER,
    9: at("executor/e2e/test_image", "test_a_task_in_an_image", "test_its_executor_is_killed"),
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
    6: at("client/test_status", "test_a_task_without_a_runner_is_unattended_since")
    + at("executor/e2e/test_items", "test_a_killed_coordinator_costs_its_run_only")
    + at("executor/e2e/test_faults", "test_a_killed_executor_leaves_nothing_behind")
    + NO_RUNNER_PROCESS,
    7: at("thermos/core/test_lifecycle", "test_kill_before_anything_started")
    + at("executor/core/test_lifecycle", "test_a_kill_before_the_sandbox_is_ready_starts_nothing")
    + at("executor/test_executor", "test_a_kill_before_the_sandbox_is_ready_starts_nothing"),
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
    13: why("The port of an HTTP check is still called `health`")
    + at("executor/health/test_http_probe", "test_defect_13_a_bad_answer_is_never_healthy_unless_expected")
    + at("executor/health/test_http_probe", "test_localhost_is_both_addresses")
    + at("executor/health/test_choice", "test_tcp_with_any_port")
    + at("executor/health/test_driver", "test_a_forgotten_snooze_file_is_ignored_after_its_time")
    + at("executor/test_checks", "test_gated_it_is_announced_with_the_first_success_defect_13")
    + at("executor/test_executor", "test_checks_stop_before_the_runner_does"),
    14: at("executor/health/test_http_lifecycle", "test_defect_14_only_a_good_answer_is_handled")
    + at("executor/test_executor", "test_an_application_that_says_404_is_not_waited_for"),
    15: why("A member has no weight")
    + at("executor/announcer/test_table", "test_noauth_is_never_joined_defect_15")
    + at("executor/announcer/test_table", "test_noauth_later_is_told_in_words_but_kills_no_running_task_defect_15")
    + at("executor/announcer/test_zookeeper", "test_noauth_is_a_failure_with_words_defect_15")
    + at("executor/test_host", "test_a_path_of_its_own_needs_the_flag")
    + at("executor/test_executor", "test_a_job_that_cannot_run_starts_and_fails")
    + at("executor/test_executor", "test_a_task_that_is_over_waits_until_it_is_announced_no_more")
    + at("executor/e2e/test_items", "test_a_task_that_is_over_is_announced_no_more"),
    16: at("observer/test_security", "test_no_path_leads_out")
    + at("observer/test_api", "test_reads_are_bounded", "test_unknown_things_are_404_and_not_500")
    + at("observer/test_api", "test_two_roots_with_the_same_id", "test_users_and_tokens")
    + at("observer/test_inventory", "test_a_corrupt_checkpoint_harms_nobody_else"),
    17: at("thermos/host/test_checkpoint", "test_every_torn_tail_costs_its_line_and_nothing_else")
    + at("thermos/host/test_facts", "test_after_a_restart_of_the_host_every_live_run_is_lost_and_begins_anew")
    + at("thermos/monitor/test_follow", "test_a_torn_last_line_of_a_dead_writer_is_damage"),
    18: at("executor/test_executor", "test_the_state_file_tells_it_all")
    + at("executor/test_executor", "test_the_last_word_waits_for_an_agent_that_is_away")
    + at("executor/test_checks", "test_the_state_has_all_of_them_defect_18")
    + at("observer/test_executor", "test_the_page_shows_it", "test_metrics"),
    19: at("e2e/test_surroundings", "test_supplementary_groups_are_the_user_s_not_root_s")
    + at("spec/test_log_items", "test_89_everything_below_the_log_directory_is_the_users")
    + at("executor/health/test_shell_probe", "test_defect_19_no_supplementary_group_of_root_is_left"),
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
    22: at("executor/e2e/test_image", "test_a_task_in_an_image")
    + at("executor/sandbox/test_docker", "test_a_task_of_an_executor_that_runs_inside_of_its_image")
    + at("executor/sandbox/test_docker", "test_an_image_without_python_gets_one_line")
    + at("executor/sandbox/test_oci", "test_a_container_runs_and_tells_how_it_ended"),
    23: at("e2e/test_ends", "test_a_second_request_does_not_move_the_deadline")
    + at("e2e/test_ends", "test_background_children_die_with_their_process")
    + at("executor/announcer/test_properties", "test_never_two_members_one_end_and_joined_when_all_is_well")
    + at("executor/core/test_lifecycle", "test_patience_alone_leads_to_the_end")
    + at("executor/health/test_driver", "test_the_driver_says_what_the_policy_says"),
}

#: §7.7: behaviours easiest to get wrong.
PITFALLS: dict[int, Evidence] = {
    1: at("executor/core/test_health_policy", "test_worked_cases", "test_nobody_starts_for_ever")
    + at("executor/core/test_health_policy", "test_failures_in_the_grace_period_are_forgotten"),
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
    8: why("Only a good answer is waited for")
    + at("executor/health/test_http_lifecycle", "test_defect_14_only_a_good_answer_is_handled")
    + at("executor/core/test_lifecycle", "test_an_endpoint_that_is_handled_gets_its_time"),
    9: at("config/core/test_ports", "test_requested_ports")
    + at("config/test_compile", "test_required_ports_look_at_processes_only")
    + bad("portmap_static.aurora", "health_port.aurora")
    + at("executor/health/test_choice", "test_no_health_port_no_check"),
    10: at("config/dsl/test_scopes", "test_the_closest_value_wins", "test_a_later_bind_wins_and_in_scope_comes_last")
    + at("config/dsl/test_scopes", "test_a_later_binding_replaces_one_field_of_a_bound_struct")
    + at("config/dsl/test_values", "test_a_number_waits_for_its_template"),
    11: at("thermos/core/test_lifecycle", "test_a_request_after_the_end_is_too_late")
    + at("executor/test_executor", "test_a_task_that_was_over_before_says_its_own_word")
    + at("executor/test_executor", "test_a_task_that_ends_while_it_is_stopped_says_what_stopped_it"),
    12: at("executor/test_executor", "test_checks_stop_before_the_runner_does")
    + at("executor/test_checks", "test_stopped_is_said_when_it_is_announced_no_more")
    + at("executor/e2e/test_webserver", "test_health_announcement_and_a_polite_end"),
    13: at("config/test_builders", "test_combine_adds_resources_and_keeps_the_last_identity"),
    14: at("executor/core/test_lifecycle", "test_running_is_said_once", "test_any_sequence_says_one_last_word")
    + at("executor/e2e/test_items", "test_hello_world_of_both_payload_kinds"),
    15: at("spec/test_log_items", "test_92_the_logger_of_a_process_replaces_the_flags_as_a_whole"),
}
