"""Where every demand of the specification is tested: items of its checklist, scenarios, old defects, pitfalls.

The numbers are those of spec/thermos.md: §6.2 (CHECKLIST), §6.1 (SCENARIOS), §7.4 (DEFECTS) and §7.7 (PITFALLS). Each
leads to tests (`file::function`, with the file of a broken or good config in brackets), or to a reason: words that
stand in a section of docs/decisions.md. `test_spec_map.py` looks whether all that exists. When you remove or rename a
test, this is the place that tells what else would be lost.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The section of docs/decisions.md that holds the reasons.
SECTION = "The specification's checklist"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why there is no test (or not all of it): words of docs/decisions.md, section SECTION."""

    words: str


Evidence = tuple[str | Reason, ...]


def why(words: str) -> Evidence:
    return (Reason(words),)


def at(path: str, *names: str) -> Evidence:
    """Tests of one file."""
    return tuple(f"tests/{path}.py::{name}" for name in names)


def bad(*names: str) -> Evidence:
    """Configs with the lines that are said about them."""
    return at("config/test_bad", *(f"test_a_broken_config_is_told_what_is_wrong[{name}]" for name in names))


def good(*names: str) -> Evidence:
    """Configs with what is sent for them."""
    return at("config/test_good", *(f"test_a_good_config_has_no_problems_and_this_json[{name}]" for name in names))


CONFIG_LANGUAGE: dict[int, Evidence] = {
    1: at("config/dsl/test_scopes", "test_the_first_process_names_task_and_job")
    + at("config/test_schema", "test_names_default_to_the_first_process"),
    2: at("config/dsl/test_structs", "test_missing_required_fields_have_pystachios_message")
    + at("config/dsl/test_differential", "test_same_verdict_and_message"),
    3: at("config/dsl/test_structs", "test_an_unknown_field_is_an_attribute_error_with_advice")
    + bad("unknown_field.aurora", "unknown_field_no_guess.aurora", "json_unknown_field.json"),
    4: at("config/dsl/test_scopes", "test_the_closest_value_wins", "test_a_later_bind_wins_and_in_scope_comes_last"),
    5: at("config/dsl/test_scopes", "test_the_closest_value_wins")
    + at("config/dsl/test_scopes", "test_a_binding_never_sets_a_field_and_does_not_travel_upward"),
    6: at("config/dsl/test_templates", "test_a_circle_is_an_error_not_a_hang")
    + at("config/dsl/test_templates", "test_a_circle_that_doubles_is_stopped_before_it_fills_the_memory")
    + bad("refers_to_itself.thermos", "refers_in_a_circle.thermos"),
    7: at("config/dsl/test_templates", "test_expansion", "test_the_old_parser_interface"),
    8: at("config/dsl/test_templates", "test_expansion")
    + at("config/dsl/test_differential", "test_same_pieces_of_a_template"),
    9: at("config/dsl/test_templates", "test_addresses", "test_expansion"),
    10: at("config/dsl/test_templates", "test_nested_refs_resolve_from_the_inside")
    + bad("nested_ref_unbound.thermos")
    + at("config/test_compile", "test_ports_nest_and_aliases_of_the_announcer_name_them_too"),
    11: at("config/dsl/test_values", "test_coercion"),
    12: at("config/dsl/test_values", "test_an_enum_refuses_a_wrong_literal_at_once_and_a_template_late"),
    13: at("config/dsl/test_values", "test_a_number_waits_for_its_template"),
    14: at("config/dsl/test_structs", "test_equality_and_hash_ignore_bindings_and_see_data")
    + at("config/dsl/test_differential", "test_equality_and_hash_ignore_bindings_in_both"),
    15: at("config/dsl/test_structs", "test_a_call_copies_with_overrides_and_empty_clears"),
    16: at("config/dsl/test_scopes", "test_lists_are_indexed_like_in_python")
    + at("config/dsl/test_scopes", "test_a_bound_dict_answers_dots_but_not_brackets")
    + at("config/dsl/test_scopes", "test_a_struct_bound_as_a_value_is_expanded_in_itself_first"),
    17: at("config/dsl/test_scopes", "test_the_closest_value_wins"),
    18: at("config/dsl/test_json", "test_a_round_trip_gives_an_equal_object")
    + at("config/dsl/test_json", "test_unknown_keys_are_ignored_wherever_they_stand"),
    19: at("config/dsl/test_json", "test_what_is_missing_gets_its_default")
    + at("config/test_compile", "test_an_executor_reads_single_instances_and_other_versions"),
    20: at("config/dsl/test_choice", "test_a_dict_becomes_any_alternative")
    + at("config/dsl/test_choice", "test_the_first_alternative_that_is_well_typed_wins"),
    21: at("config/test_builders", "test_order_takes_processes_and_names", "test_order_refuses_other_things"),
    22: at("config/test_builders", "test_orders_add_up"),
    23: at("config/test_builders", "test_sequential_task_refuses_constraints"),
    24: at("config/test_builders", "test_simple_task"),
    25: at("config/test_builders", "test_combine_adds_resources_and_keeps_the_last_identity"),
    26: at("config/test_builders", "test_concat_takes_the_largest_resources_and_orders_across")
    + at("config/test_builders", "test_concat_orders_only_neighbours_and_no_process_with_itself"),
    27: at("config/test_builders", "test_option_strings") + good("dicts.aurora"),
    28: at("config/test_loader", "test_includes_are_relative_to_the_includer_and_the_last_assignment_wins")
    + at("config/test_loader", "test_an_open_file_includes_nothing"),
    29: at("config/test_loader", "test_captured_texts_load_again_without_the_files")
    + at("spec/test_config_items", "test_29_captured_texts_are_enough_whatever_stands_on_disk_now"),
    30: bad("syntax_error.aurora", "indentation.aurora", "python2_print.aurora")
    + at("client/test_run", "test_a_bad_config_is_3_and_nothing_is_left"),
    31: at("config/test_selection", "test_by_parts", "test_errors_list_the_candidates"),
    32: at("config/test_selection", "test_no_jobs") + bad("no_jobs.aurora", "jobs_not_a_list.aurora"),
    33: at("config/test_loader", "test_a_bind_overrides_a_field_of_a_bound_struct") + good("profile.aurora"),
    34: at("config/test_compile", "test_required_ports_look_at_processes_only") + bad("port_shape.aurora"),
    35: at("config/core/test_ports", "test_requested_ports", "test_static_ports")
    + at("config/core/test_ports", "test_a_host_knows_all_names_of_a_port_and_drops_what_leads_nowhere"),
    36: at("config/core/test_ports", "test_cycles_are_named") + bad("portmap_cycle.aurora"),
    37: bad("portmap_static.aurora") + at("config/core/test_rules", "test_just_acceptable"),
    38: bad("primary_port_nowhere.aurora") + at("config/core/test_rules", "test_warnings_do_not_count_as_errors"),
    39: bad("job_bad_identifiers.aurora") + at("config/core/test_rules", "test_just_acceptable"),
    40: at("spec/test_config_items", "test_40_a_size_counts_in_whole_megabytes")
    + at("spec/test_config_items", "test_40_nothing_of_a_resource_is_refused")
    + bad("job_no_cpu.aurora", "job_too_little_ram.aurora", "job_without_ram.aurora"),
    41: at("config/core/test_rules", "test_what_a_host_binds_may_stay_open_in_a_job")
    + bad("unbound_ref.thermos", "constraint_unbound.aurora", "many_at_once.aurora"),
    42: at("config/core/test_constraints", "test_parse", "test_refuse") + bad("limit_not_number.aurora"),
    43: at("spec/test_config_items", "test_43_a_policy_of_collisions_is_sent_in_capitals")
    + at("spec/test_config_items", "test_43_other_policies_are_refused")
    + bad("cron_policy.aurora", "cron_policy_overlap.aurora"),
    44: at("spec/test_config_items", "test_44_equal_metadata_are_sent_once_and_other_values_of_a_key_are_kept")
    + bad("metadata_twice.aurora"),
    45: at("config/test_compile", "test_update_config_and_instances_are_not_in_the_payload") + good("webserver.aurora"),
    46: good("custom_executor.aurora"),
    47: good("docker.aurora"),
    48: good("update.aurora"),
    49: bad("update_failures.aurora", "update_dedicated.aurora", "health_negative.aurora")
    + at("config/core/test_rules", "test_just_acceptable"),
    50: bad("name_twice.thermos") + at("thermos/core/test_graph", "test_one_problem_one_message"),
}

PLANS: dict[int, Evidence] = {
    51: at("thermos/core/test_planner", "test_51_an_empty_plan_is_complete")
    + at("e2e/test_plans", "test_an_empty_task_is_complete_at_once"),
    52: at("thermos/core/test_planner", "test_52_without_order_all_may_run_at_once_in_the_order_of_the_task")
    + at("e2e/test_plans", "test_unordered_processes_all_run_at_once")
    + at("e2e/test_plans", "test_ordered_processes_run_one_after_another"),
    53: at("thermos/core/test_graph", "test_a_cycle_is_found_exactly_when_there_is_one_and_it_is_one")
    + at("e2e/test_plans", "test_a_graph_that_can_not_run_is_refused")
    + bad("order_cycle.thermos", "order_cycle_itself.thermos", "order_two_cycles.thermos"),
    54: at("thermos/core/test_lifecycle", "test_54_a_task_of_ephemerals_succeeds_at_once_and_starts_none")
    + at("e2e/test_plans", "test_only_ephemeral_processes_are_a_complete_task")
    + at("e2e/test_plans", "test_an_ephemeral_that_fails_for_good_counts_as_finished"),
    55: at("e2e/test_plans", "test_a_daemon_is_restarted_when_it_succeeds_and_given_up_when_it_fails")
    + at("e2e/test_plans", "test_max_failures_of_zero_tries_for_ever")
    + at("thermos/core/test_planner", "test_55_max_failures_0_is_for_ever"),
    56: at("e2e/test_plans", "test_a_graph_that_can_not_run_is_refused")
    + bad("order_on_daemon.thermos", "order_on_ephemeral.thermos", "order_final_mixed.thermos"),
    57: at("thermos/core/test_planner", "test_57_a_failed_predecessor_blocks_for_good")
    + at("e2e/test_plans", "test_whoever_waits_for_a_failed_process_never_starts_and_the_task_fails"),
    58: at("thermos/core/test_planner", "test_58_min_duration_counts_from_the_end_of_the_run")
    + at("e2e/test_plans", "test_min_duration_counts_from_the_end_of_a_run"),
    59: at("e2e/test_plans", "test_the_run_limit_counts_successes_failures_and_kills")
    + at("thermos/core/test_planner", "test_59_every_run_counts_towards_the_limit"),
    60: at("e2e/test_plans", "test_max_failures_are_all_the_failures_there_may_be")
    + at("thermos/core/test_planner", "test_60_max_failures_n_fails_n_times"),
    61: at("e2e/test_plans", "test_a_task_counts_failed_processes_not_failed_runs")
    + at("e2e/test_plans", "test_with_max_failures_zero_a_task_never_fails_by_failures")
    + at("thermos/core/test_lifecycle", "test_61_max_failures_of_the_task_counts_failed_processes"),
    62: at("e2e/test_plans", "test_the_failure_limit_ends_the_rest_and_starts_no_more")
    + at("thermos/core/test_lifecycle", "test_62_the_failure_limit_keeps_later_processes_from_starting"),
    63: at("e2e/test_scenarios", "test_a_limit_of_one_separates_the_runs")
    + at("e2e/test_scenarios", "test_waiting_for_a_free_place_costs_nothing")
    + at("thermos/core/test_planner", "test_63_max_concurrency_is_kept_and_nobody_spins"),
    64: at("e2e/test_plans", "test_finals_run_in_their_order_after_success_and_failure")
    + at("thermos/core/test_lifecycle", "test_64_finalizers_are_skipped_when_the_budget_is_exhausted")
    + at("thermos/core/test_lifecycle", "test_64_failed_finalizers_change_nothing_and_are_tried_as_often_as_they_may"),
    65: at("e2e/test_ends", "test_a_final_that_overruns_is_killed_and_the_result_stays"),
    66: at("e2e/test_scenarios", "test_an_ephemeral_daemon_ends_with_the_main_and_the_final_tidies_up")
    + at("thermos/core/test_lifecycle", "test_66_ephemerals_are_stopped_when_the_rest_is_done"),
    67: at("e2e/test_plans", "test_a_process_killed_by_a_signal_is_repeated_and_has_not_failed")
    + at("e2e/test_plans", "test_a_process_killed_from_outside_is_repeated")
    + at("spec/test_plan_items", "test_67_kills_and_losses_use_up_none_of_the_failures"),
    68: at("e2e/test_ends", "test_a_coordinator_that_is_killed_makes_its_run_lost_and_repeated")
    + at("thermos/runner/test_coordinator_death", "test_a_coordinator_killed_in_any_record"),
    69: at("e2e/test_ends", "test_whoever_ignores_sigterm_is_killed_at_the_deadline")
    + at("thermos/core/test_lifecycle", "test_69_a_process_that_ignores_the_stop_is_killed_at_the_deadline")
    + at("thermos/coordinator/test_stop", "test_who_ignores_the_signal_is_killed_at_the_deadline"),
    70: at("e2e/test_ends", "test_background_children_die_with_their_process"),
}

RUNS_AND_RECORDS: dict[int, Evidence] = {
    71: at("e2e/test_scenarios", "test_a_process_that_daemonizes_gets_sigterm_on_kill"),
    72: at("e2e/test_ends", "test_a_killed_runner_is_replaced_without_a_duplicate_run")
    + at("spec/test_records_of_real_runs", "test_72_sequences_go_on_without_a_gap_under_the_next_runner")
    + at("thermos/core/test_fold", "test_a_repeated_record_changes_nothing"),
    73: at("spec/test_records_of_real_runs", "test_73_a_task_of_which_nothing_lives_is_killed_on_record")
    + at("spec/test_records_of_real_runs", "test_73_politely_too"),
    74: at("thermos/runner/test_crash", "test_a_runner_killed_at_any_act_is_replaced_by_the_next")
    + at("thermos/runner/test_crash", "test_a_runner_and_its_coordinators_killed_at_any_act")
    + at("thermos/runner/test_coordinator_death", "test_a_coordinator_killed_in_any_record"),
    75: at("thermos/core/test_fold", "test_a_replay_of_the_bytes_is_the_state_of_who_was_there")
    + at("thermos/core/test_fold", "test_a_snapshot_anywhere_changes_nothing"),
    76: at("spec/test_records_of_real_runs", "test_76_a_run_is_forked_then_started_then_over"),
    77: at("spec/test_records_of_real_runs", "test_77_the_header_says_whose_task_it_is_and_where_it_lives"),
    78: why("Checkpoints of the original are not read")
    + at("spec/test_records_of_real_runs", "test_78_a_checkpoint_of_the_original_is_told_apart_and_left_alone")
    + at("client/test_run", "test_a_checkpoint_of_another_format_is_left_alone"),
    79: at("thermos/host/test_checkpoint", "test_every_torn_tail_costs_its_line_and_nothing_else")
    + at("thermos/host/test_checkpoint", "test_a_bad_line_in_the_middle_is_named_and_skipped")
    + at("thermos/core/test_fold", "test_a_gap_marks_the_run_as_damaged_and_the_later_fact_counts"),
    80: at("e2e/test_ends", "test_a_second_runner_is_refused_and_says_who_has_it")
    + at("spec/test_records_of_real_runs", "test_80_who_is_forced_out_leaves_its_runs_to_the_next"),
    81: at("thermos/host/test_recovery", "test_a_finished_id_is_refused")
    + at("thermos/runner/test_life", "test_force_kills_the_live_runner_and_its_processes_go_on")
    + at("thermos/core/test_fold", "test_nothing_follows_the_end_of_a_task"),
    82: at("e2e/test_ends", "test_a_changed_task_of_the_same_id_is_refused")
    + at("thermos/host/test_recovery", "test_another_task_under_the_same_id_is_refused_and_the_difference_named")
    + at("thermos/host/test_recovery", "test_the_same_id_with_other_settings_is_refused"),
    83: why("A process is recognised exactly")
    + at("thermos/host/test_facts", "test_a_pid_that_became_a_strangers_is_never_signalled")
    + at("attacks/test_checkpoint", "test_strangers_are_not_signalled", "test_a_pid_that_was_reused_is_not_signalled")
    + at("thermos/host/test_facts", "test_pids_of_another_namespace_or_boot_mean_nothing_here")
    + at("thermos/host/test_facts", "test_a_pid_reused_between_the_look_and_the_signal_is_left_alone")
    + at("thermos/runner/test_unprivileged", "test_root_runs_processes_as_the_user")
    + at("client/test_context", "test_a_uid_without_a_name_is_its_number"),
    84: at("e2e/test_surroundings", "test_who_is_not_root_can_not_run_as_somebody_else")
    + at("thermos/host/test_kernel", "test_only_root_may_become_another"),
    85: at("e2e/test_surroundings", "test_root_runs_as_another_user_with_its_groups")
    + at("thermos/coordinator/test_setup", "test_another_user_with_groups"),
    86: at("e2e/test_surroundings", "test_no_descriptor_leaks_and_nothing_is_blocked")
    + at("thermos/host/test_kernel", "test_everything_opened_is_closed_on_exec"),
    87: at("e2e/test_surroundings", "test_the_environment_is_exactly_this")
    + at("e2e/test_surroundings", "test_preserve_env_keeps_what_the_runner_had"),
    88: at("e2e/test_scenarios", "test_a_profile_is_seen_by_later_processes_only"),
    89: at("e2e/test_surroundings", "test_root_runs_as_another_user_with_its_groups")
    + at("spec/test_log_items", "test_89_everything_below_the_log_directory_is_the_users"),
    90: at("e2e/test_surroundings", "test_output_goes_where_the_logger_says")
    + at("spec/test_log_items", "test_90_a_standard_log_of_200_mb_is_one_file"),
    91: at("e2e/test_surroundings", "test_rotation_keeps_so_many_files_and_whole_lines")
    + at("spec/test_log_items", "test_91_rotation_by_flag_counts_in_mebibytes_and_keeps_so_many")
    + at("spec/test_config_items", "test_91_who_says_rotate_and_no_more_gets_five_backups_of_100_mib"),
    92: at("spec/test_log_items", "test_92_the_logger_of_a_process_replaces_the_flags_as_a_whole"),
    93: at("e2e/test_surroundings", "test_standard_logs_may_be_truncated_from_outside"),
    94: at("thermos/host/test_facts", "test_a_user_that_vanished_between_two_runs_is_a_failed_set_up")
    + at("e2e/test_surroundings", "test_an_unknown_user_is_one_clear_line"),
    95: at("e2e/test_ends", "test_a_second_request_does_not_move_the_deadline")
    + at("thermos/core/test_lifecycle", "test_95_killing_again_changes_nothing"),
    96: at("thermos/core/test_fold", "test_a_failed_run_keeps_its_exit_code_and_its_end")
    + at("e2e/test_plans", "test_max_failures_of_zero_tries_for_ever")
    + at("client/test_status", "test_each_verbosity_tells_more"),
}

OBSERVING: dict[int, Evidence] = {
    124: at("spec/test_observed", "test_124_every_way_a_task_can_go_between_two_looks")
    + at("observer/test_inventory", "test_the_life_of_a_task", "test_a_task_that_comes_back_is_no_accident"),
    125: at("thermos/monitor/test_detect", "test_mesos_roots_are_found_once_without_the_latest_link"),
    126: at("spec/test_looks", "test_126_fixed_and_found_roots_are_one_chain")
    + at("spec/test_looks", "test_126_the_command_searches_the_chain_that_it_is_told")
    + at("client/test_context", "test_a_named_root_is_absolute_and_the_only_one")
    + at("client/test_context", "test_without_a_name_all_usual_roots_are_searched"),
    127: at("observer/test_api", "test_log_and_file_data_as_the_original"),
    128: at("observer/test_api", "test_log_and_file_data_as_the_original", "test_reads_are_bounded")
    + at("observer/test_logs", "test_chunks_at_the_edges")
    + at("web/test_ansi", "test_no_line_becomes_markup"),
    129: at("observer/test_security", "test_no_path_leads_out", "test_links_inside_are_followed")
    + at("observer/core/test_paths_and_lists", "test_refused", "test_siblings_are_outside"),
    130: at("thermos/core/test_usage", "test_a_history_holds_an_hour", "test_no_sample_of_the_past")
    + at("thermos/core/test_usage", "test_a_history_of_too_many_or_no_samples_is_refused")
    + at("thermos/core/test_usage", "test_the_sample_at_or_after_a_moment", "test_the_shape_is_the_original_one")
    + at("thermos/monitor/test_sample", "test_no_proc_is_an_empty_look"),
    131: at("thermos/monitor/test_sample", "test_disk_usage_grows_and_shrinks", "test_links_are_never_followed")
    + at("observer/test_metrics", "test_disk_by_walking", "test_disk_by_the_agent")
    + at("observer/test_metrics", "test_an_agent_that_is_not_there")
    + at("spec/test_observed", "test_131_the_agent_tells_the_disk_of_each_executor")
    + at("spec/test_observed", "test_131_without_a_good_answer_nothing_is_known"),
    132: at("spec/test_command_items", "test_132_a_config_needs_a_task", "test_132_there_is_one_config")
    + at("spec/test_command_items", "test_132_of_several_tasks_one_is_named")
    + at("spec/test_command_items", "test_132_json_is_read_when_asked_or_by_its_name")
    + at("spec/test_command_items", "test_132_simplerun_joins_its_words_and_binds_them")
    + at("spec/test_command_items", "test_132_status_matches_at_the_beginning_of_ids")
    + at("client/test_run", "test_wrong_words_are_2_and_one_line", "test_a_finished_task_is_6_and_says_what_to_do"),
    133: at("observer/test_api", "test_unknown_things_are_404_and_not_500", "test_the_originals_urls"),
}

#: §6.2, but for the executor's items (97-123, `spec_map_executor`).
CHECKLIST: dict[int, Evidence] = CONFIG_LANGUAGE | PLANS | RUNS_AND_RECORDS | OBSERVING
