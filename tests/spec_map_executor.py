"""The executor's part of the map (see `spec_map`): items 97-123 of §6.2."""

from __future__ import annotations

from tests.spec_map import Evidence, at, why

#: The runner that the original's executor started as a process of its own is a part of ours.
NO_RUNNER_PROCESS = why("There is no runner process")

LAUNCHING: dict[int, Evidence] = {
    97: at("executor/e2e/test_items", "test_hello_world_of_both_payload_kinds")
    + at("executor/test_executor", "test_hello_world")
    + at("executor/test_host", "test_both_kinds_of_payload_are_the_same_task"),
    98: why("A message goes on after the old words")
    + at("executor/test_executor", "test_what_cannot_be_read_fails_at_once")
    + at("executor/test_executor", "test_a_job_that_cannot_run_starts_and_fails")
    + at("executor/test_host", "test_an_assigned_task_with_garbage_in_it")
    + at("executor/e2e/test_faults", "test_payloads_that_nobody_can_read")
    + at("executor/e2e/test_items", "test_garbage_in_a_good_payload_starts_and_fails"),
    99: at("executor/test_executor", "test_a_second_launch_is_lost")
    + at("executor/e2e/test_faults", "test_a_second_task_on_the_same_executor"),
    100: at("executor/core/test_lifecycle", "test_a_kill_before_the_sandbox_is_ready_starts_nothing")
    + at("executor/test_executor", "test_a_kill_before_the_sandbox_is_ready_starts_nothing")
    + at("executor/e2e/test_faults", "test_a_kill_before_anything_runs"),
    101: at("executor/test_executor", "test_sandboxes_that_cannot_be_made")
    + at("executor/test_executor", "test_a_sandbox_that_takes_too_long")
    + at("executor/test_host", "test_a_user_who_is_not_here_is_named")
    + at("executor/e2e/test_faults", "test_a_user_that_is_not_here")
    + at("executor/e2e/test_image", "test_an_image_that_is_missing"),
    102: NO_RUNNER_PROCESS
    + at("executor/test_executor", "test_a_task_that_cannot_be_begun", "test_checks_that_cannot_begin_end_the_task"),
    103: at("executor/test_executor", "test_an_idle_executor_ends")
    + at("executor/core/test_lifecycle", "test_a_deadline_that_has_not_come_changes_nothing"),
}

STOPPING: dict[int, Evidence] = {
    104: at("executor/test_executor", "test_killing_twice_says_it_once_and_strangers_are_ignored")
    + at("executor/core/test_lifecycle", "test_killing_twice_is_killing_once"),
    105: at("executor/test_executor", "test_checks_stop_before_the_runner_does")
    + at("executor/test_executor", "test_a_shutdown_fits_into_the_agents_patience")
    + at("executor/e2e/test_items", "test_an_executor_that_is_told_to_end_ends_its_task_first"),
    106: at("executor/core/test_lifecycle", "test_the_stop_timeout_bounds_every_phase_before_the_last")
    + at("executor/test_host", "test_times_of_the_flags_and_of_the_task")
    + at("executor/test_executor", "test_a_task_that_does_not_go"),
    107: NO_RUNNER_PROCESS
    + at("executor/e2e/test_faults", "test_a_killed_executor_leaves_nothing_behind")
    + at("executor/e2e/test_items", "test_a_killed_coordinator_costs_its_run_only")
    + at("executor/e2e/test_image", "test_its_executor_is_killed"),
    108: NO_RUNNER_PROCESS
    + at("executor/test_last_words", "test_what_is_said")
    + at("executor/e2e/test_webserver", "test_a_failing_process_is_named_with_its_last_words")
    + at("executor/e2e/test_webserver", "test_a_short_task_finishes"),
    109: at("executor/test_host", "test_the_lifecycle_of_a_job_that_says_nothing", "test_the_lifecycle_as_configured")
    + at("executor/test_host", "test_without_config_or_port_nobody_is_asked")
    + at("executor/core/test_lifecycle", "test_without_an_http_port_nobody_is_asked")
    + at("executor/test_executor", "test_the_application_is_asked_first")
    + at("executor/test_executor", "test_an_application_that_goes_when_it_is_asked_ends_the_wait")
    + at("executor/test_executor", "test_an_application_that_says_404_is_not_waited_for")
    + at("executor/e2e/test_webserver", "test_health_announcement_and_a_polite_end"),
    110: why("The status chain is the lifecycle's table")
    + at("executor/core/test_lifecycle", "test_what_wants_its_end_wins_over_healthy_and_over_what_comes_later")
    + at("executor/core/test_lifecycle", "test_the_whole_square", "test_any_sequence_says_one_last_word")
    + at("executor/test_checks", "test_each_of_them_may_end_the_task"),
    111: at("executor/core/test_lifecycle", "test_running_is_said_once", "test_any_sequence_says_one_last_word"),
}

CHECKING: dict[int, Evidence] = {
    112: at("executor/core/test_health_policy", "test_worked_cases", "test_reasons", "test_nobody_starts_for_ever")
    + at("executor/core/test_health_policy", "test_failures_in_the_grace_period_are_forgotten")
    + at("executor/health/test_driver", "test_worked_cases", "test_the_deadline_is_looked_at_before_a_check")
    + at("executor/health/test_driver", "test_the_next_interval_begins_when_the_check_has_ended"),
    113: at("executor/health/test_driver", "test_while_it_is_snoozed_each_check_counts_as_a_success")
    + at("executor/health/test_snooze", "test_no_file_no_nap"),
    114: at("executor/health/test_http_probe", "test_body_and_status", "test_nobody_there")
    + at("executor/health/test_http_probe", "test_defect_13_a_bad_answer_is_never_healthy_unless_expected"),
    115: at("executor/health/test_shell_probe", "test_a_success_says_nothing", "test_reasons", "test_without_bash")
    + at("executor/health/test_shell_probe", "test_a_missing_program_in_the_command")
    + at("executor/health/test_shell_probe", "test_at_the_time_out_the_whole_tree_is_killed"),
    116: why("Nothing is wrapped by a containerizer")
    + at("executor/health/test_shell_probe", "test_as_the_tasks_user_in_its_sandbox")
    + at("executor/health/test_shell_probe", "test_without_demotion_it_runs_as_we_do")
    + at("executor/e2e/test_items", "test_a_health_check_of_an_executor_of_root_cannot_harm_the_host")
    + at("executor/e2e/test_image", "test_a_task_in_an_image"),
    117: at("executor/health/test_choice", "test_ports_and_instance_are_bound_in_shell_commands"),
    118: at("executor/health/test_choice", "test_no_health_port_no_check")
    + at("executor/health/test_driver", "test_without_a_check_it_is_running_at_once")
    + at("executor/e2e/test_webserver", "test_four_instances_of_the_example"),
}

ANNOUNCING: dict[int, Evidence] = {
    119: at(
        "executor/announcer/test_zookeeper", "test_join_and_leave", "test_killed_and_back_and_the_session_has_expired"
    )
    + at("executor/announcer/test_zookeeper", "test_acls_are_set_on_the_node_and_on_its_parents")
    + at("executor/announcer/test_table", "test_expiry_rejoins_with_a_new_node", "test_stop_cancels")
    + at("executor/announcer/test_table", "test_errors_are_retried_slower_and_slower", "test_disconnected_time")
    + at("executor/announcer/test_announcement", "test_data_byte_for_byte")
    + at("executor/announcer/test_announcement", "test_only_numbers_of_the_portmap_are_endpoints")
    + at("executor/announcer/test_announcement", "test_a_primary_port_that_is_missing_is_port_0")
    + at("executor/announcer/test_auth", "test_a_good_config", "test_a_permission_that_is_not_named_is_not_given")
    + at("executor/announcer/test_auth", "test_a_bad_config_is_one_line_without_secrets")
    + at("executor/test_host", "test_announced_only_where_it_can_be", "test_a_path_of_its_own_needs_the_flag"),
    120: at("executor/announcer/test_table", "test_connect_timeout_fails")
    + at("executor/announcer/test_announcement", "test_the_wait_for_the_first_connection")
    + at("executor/announcer/test_zookeeper", "test_absent_for_too_long_fails")
    + at("executor/e2e/test_faults", "test_no_zookeeper_to_announce_in"),
}

SURROUNDINGS: dict[int, Evidence] = {
    121: at("executor/disk/test_disk", "test_over_the_limit_fails", "test_below_the_limit_it_looks_each_minute")
    + at("executor/test_host", "test_too_much_on_disk_ends_the_task")
    + at("executor/test_executor", "test_an_unhealthy_task_fails_with_the_reason"),
    122: why("Nothing is wrapped by a containerizer")
    + at("executor/sandbox/test_directories", "test_both_directories_and_the_logs_are_the_users")
    + at("executor/sandbox/test_directories", "test_a_user_who_does_not_exist")
    + at("executor/sandbox/test_docker", "test_the_hosts_path_leads_to_the_mounted_sandbox")
    + at("executor/sandbox/test_images", "test_users_who_are_others_there", "test_the_same_user_is_there_already")
    + at("executor/sandbox/test_images", "test_volumes", "test_network_files_are_copies")
    + at("executor/sandbox/test_user_database", "test_either_it_is_ours_both_ways_or_it_is_refused"),
    123: at("executor/test_host", "test_the_agents_hostname_is_bound")
    + at("config/test_compile", "test_host_values_are_bound_instance_zero_included"),
}

EXECUTING: dict[int, Evidence] = LAUNCHING | STOPPING | CHECKING | ANNOUNCING | SURROUNDINGS
