"""The flags of `aurora_scheduler`: one table, from which the command line, its help and the documentation are made.

Names are the original's. Each may be written with one dash or two, with underscores or with dashes. Defaults that
differ from the original's: what listens does so on 127.0.0.1, the framework is aware of partitions, and no rate limits
placing.

Source: spec/scheduler.md §12.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from scheduler.core.host_offer import OfferOrder
from scheduler.flag_values import (
    COUNT,
    DURATION,
    LIST,
    MEGABYTES,
    NUMBER,
    PATH,
    PORT,
    TEXT,
    TRUTH,
    Value,
    one_of,
    parse_list,
)

_ORDER = one_of({order.value: order for order in OfferOrder})
OFFER_ORDER = Value("order", lambda text: tuple(_ORDER(word) for word in parse_list(text)))
AUTHENTICATION = Value("NONE|BASIC", one_of({"NONE": "NONE", "BASIC": "BASIC"}))


def _flag(group: str, kind: Value, default: Any, words: str, *, shown: str = "") -> Any:
    """`default` as it is written on a command line; `shown` where that says nothing."""
    value = kind.convert(default, None, None) if isinstance(default, str) else default
    if isinstance(default, str) and not shown:
        shown = default
    return dataclasses.field(default=value, metadata={"group": group, "kind": kind, "words": words, "shown": shown})


_NET, _MESOS, _STORE = "Identity and network", "Mesos", "Store and backups"
_ADMISSION, _EXECUTOR, _PLACING = "Admission", "Executor", "Placing"
_OFFERS, _LIFE, _RECONCILE = "Offers", "Life of tasks", "Reconciliation"
_SECURITY, _UPDATES = "Security", "Updates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """None: not given."""

    # fmt: off
    cluster_name: str = _flag(_NET, TEXT, "", "Name of the cluster, as clients say it; must be given.")
    hostname: str | None = _flag(_NET, TEXT, None, "Name of this machine in task events.", shown="its own")
    ip: str = _flag(_NET, TEXT, "127.0.0.1", "Address to listen on; 0.0.0.0 is everywhere.")
    http_port: int = _flag(_NET, PORT, "8081", "0: any free one.")
    allowed_host: tuple[str, ...] = _flag(_NET, LIST, "", "Further host names to answer to, on loopback without users.")
    observer_port: int = _flag(_NET, PORT, "1338", "Of the observers on the agents, for links.")
    tls_cert: str | None = _flag(_NET, PATH, None, "Serve HTTPS with this certificate (PEM).")
    tls_key: str | None = _flag(_NET, PATH, None, "Its key, if it is in another file.")

    mesos_master_address: str = _flag(
        _MESOS, TEXT, "", "host:port, a URL, a list of these, or zk://host:port/path; must be given.")
    mesos_role: str | None = _flag(_MESOS, TEXT, None, "Role in Mesos whose reservations are used, too.", shown="*")
    framework_name: str = _flag(_MESOS, TEXT, "Aurora", "Name of the framework.")
    framework_failover_timeout: float = _flag(
        _MESOS, DURATION, "21days", "Tasks live on for so long without a scheduler.")
    framework_authentication_file: str | None = _flag(
        _MESOS, PATH, None, "File with aurora_authentication_principal= and aurora_authentication_secret=.")
    framework_announce_principal: bool = _flag(
        _MESOS, TRUTH, "false", "Say the principal when subscribing; with HTTP the master knows it anyway.")
    mesos_tls_ca: str | None = _flag(_MESOS, PATH, None, "Authority (PEM) of masters that speak HTTPS.")
    partition_aware: bool = _flag(_MESOS, TRUTH, "true", "Tasks of agents out of sight are PARTITIONED, not LOST.")
    receive_revocable_resources: bool = _flag(_MESOS, TRUTH, "false", "Use resources that others left unused.")
    populate_discovery_info: bool = _flag(_MESOS, TRUTH, "false", "Tell Mesos each task's name and ports.")
    executor_user: str | None = _flag(
        _MESOS, TEXT, None, "User that executors run as.", shown="root, or whoever runs this")
    global_container_mounts: tuple[str, ...] = _flag(
        _MESOS, LIST, "", "host_path:container_path:mode, for containers that are not Mesos' own.")
    max_registration_delay: float = _flag(_MESOS, DURATION, "1mins", "How often it is said that there is no master.")

    store: str | None = _flag(
        _STORE, PATH, None, "Directory with all that must not be lost.", shown="by the cluster's name; see below")
    backup_dir: str | None = _flag(_STORE, PATH, None, "Directory of backups.", shown="backups, in the store")
    backup_interval: float = _flag(_STORE, DURATION, "1hrs", "Between two backups.")
    max_saved_backups: int = _flag(_STORE, COUNT, "48", "The newest so many are kept.")

    allowed_job_environments: str = _flag(
        _ADMISSION, TEXT, r"^(prod|devel|test|staging\d*)$", "Regular expression of environments.")
    max_tasks_per_job: int = _flag(_ADMISSION, COUNT, "4000", "Instances of a job.")
    allowed_container_types: tuple[str, ...] = _flag(_ADMISSION, LIST, "MESOS", "MESOS, DOCKER.")
    allow_container_volumes: bool = _flag(_ADMISSION, TRUTH, "false", "Jobs may mount directories of the host.")
    allow_docker_parameters: bool = _flag(_ADMISSION, TRUTH, "false", "Jobs may give parameters to Docker.")
    default_docker_parameters: tuple[str, ...] = _flag(_ADMISSION, LIST, "", "name=value, for jobs that give none.")
    require_docker_use_executor: bool = _flag(_ADMISSION, TRUTH, "true", "No Docker container without executor.")
    allow_gpu_resource: bool = _flag(_ADMISSION, TRUTH, "false", "Jobs may have GPUs.")
    enable_mesos_fetcher: bool = _flag(_ADMISSION, TRUTH, "false", "Jobs may have files fetched by Mesos.")
    tier_config: str | None = _flag(
        _ADMISSION, PATH, None, "JSON file of tiers.", shown="preferred, preemptible, revocable")

    min_required_instances_for_sla_check: int = _flag(
        _ADMISSION, COUNT, "20", "Smaller jobs can't have an SLA policy, but a coordinator's.")
    max_sla_duration_secs: float = _flag(_ADMISSION, DURATION, "2hrs", "The longest duration of an SLA policy.")
    sla_aware_kill_non_prod: bool = _flag(_ADMISSION, TRUTH, "false", "SLA policies for all tiers.")

    thermos_executor_path: str | None = _flag(
        _EXECUTOR, TEXT, None, "URI of thermos_executor, fetched by Mesos.", shown="this installation's own")
    thermos_executor_flags: str = _flag(_EXECUTOR, TEXT, "", "Its flags, in one word.")
    thermos_executor_resources: tuple[str, ...] = _flag(_EXECUTOR, LIST, "", "URIs that are fetched beside it.")
    thermos_executor_cpu: float = _flag(_EXECUTOR, NUMBER, "0.25", "Cores of an executor beside its task.")
    thermos_executor_ram: int = _flag(_EXECUTOR, MEGABYTES, "128MB", "Memory of an executor beside its task.")
    thermos_home_in_sandbox: bool = _flag(_EXECUTOR, TRUTH, "false", "The executor's HOME is its sandbox.")
    custom_executor_config: str | None = _flag(_EXECUTOR, PATH, None, "JSON file with further executors.")

    enable_revocable_cpus: bool = _flag(_PLACING, TRUTH, "true", "Tasks of revocable tiers use revocable cores.")
    enable_revocable_ram: bool = _flag(_PLACING, TRUTH, "false", "Tasks of revocable tiers use revocable memory.")
    first_schedule_delay: float = _flag(_PLACING, DURATION, "1ms", "Before the first attempt to place a task.")
    initial_schedule_penalty: float = _flag(_PLACING, DURATION, "1secs", "Pause after an attempt in vain.")
    max_schedule_penalty: float = _flag(_PLACING, DURATION, "1mins", "The longest pause.")
    max_schedule_attempts_per_sec: float = _flag(_PLACING, NUMBER, "0", "Limit of attempts; 0: none.")
    max_tasks_per_schedule_attempt: int = _flag(_PLACING, COUNT, "20", "Tasks of an attempt.")
    scheduling_max_batch_size: int = _flag(_PLACING, COUNT, "20", "Attempts between which nothing else is done.")
    offer_reservation_duration: float = _flag(_PLACING, DURATION, "3mins", "An agent is kept so long for a task.")

    min_offer_hold_time: float = _flag(_OFFERS, DURATION, "5mins", "An offer is held so long.")
    offer_hold_jitter_window: float = _flag(_OFFERS, DURATION, "1mins", "And by chance up to so much longer.")
    offer_filter_duration: float = _flag(_OFFERS, DURATION, "5secs", "Declined, it does not come again for so long.")
    hold_offers_forever: bool = _flag(_OFFERS, TRUTH, "false", "Nobody else wants them.")
    offer_order: tuple[OfferOrder, ...] = _flag(
        _OFFERS, OFFER_ORDER, "RANDOM", "Which is tried first: CPU, DISK, MEMORY, REVOCABLE_CPU, RANDOM.")
    offer_static_ban_cache_max_size: int = _flag(_OFFERS, COUNT, "1000000", "Refusals of offers kept in mind.")
    unavailability_threshold: float = _flag(
        _OFFERS, DURATION, "6mins", "So long before a host's announced absence nothing is started there.")

    flapping_task_threshold: float = _flag(_LIFE, DURATION, "5mins", "A task that ends sooner flaps.")
    initial_flapping_task_delay: float = _flag(_LIFE, DURATION, "30secs", "The first pause of a task that flaps.")
    max_flapping_task_delay: float = _flag(_LIFE, DURATION, "5mins", "The longest one.")
    max_reschedule_task_delay_on_startup: float = _flag(
        _LIFE, DURATION, "30secs", "After a start of the scheduler, pending tasks wait by chance up to so long.")
    transient_task_state_timeout: float = _flag(
        _LIFE, DURATION, "5mins", "A task that was asked for something and says nothing is LOST then.")
    initial_task_kill_retry_interval: float = _flag(_LIFE, DURATION, "15secs", "Until the first kill is said again.")
    max_status_update_batch_size: int = _flag(_LIFE, COUNT, "1000", "Statuses in one transaction.")
    history_prune_threshold: float = _flag(_LIFE, DURATION, "2days", "Ended tasks are kept so long.")
    history_max_per_job_threshold: int = _flag(_LIFE, COUNT, "100", "Ended tasks of a job, beyond which fewer are.")
    history_min_retention_threshold: float = _flag(_LIFE, DURATION, "1hrs", "Ended tasks are always kept so long.")

    reconciliation_initial_delay: float = _flag(_RECONCILE, DURATION, "1mins", "Before the first one.")
    reconciliation_explicit_interval: float = _flag(_RECONCILE, DURATION, "60mins", "Between two of our tasks.")
    reconciliation_explicit_batch_size: int = _flag(_RECONCILE, COUNT, "1000", "Tasks of one question.")
    reconciliation_explicit_batch_interval: float = _flag(_RECONCILE, DURATION, "5secs", "Between two questions.")
    reconciliation_implicit_interval: float = _flag(_RECONCILE, DURATION, "60mins", "Between two of all tasks.")
    reconciliation_schedule_spread: float = _flag(_RECONCILE, DURATION, "30mins", "From explicit to implicit.")

    max_update_instance_failures: int = _flag(
        _UPDATES, COUNT, "20000", "Failures that the instances of an update may be allowed in all.")
    enable_update_affinity: bool = _flag(
        _UPDATES, TRUTH, "false", "An instance that is replaced starts again on its agent, if it wants no more.")
    update_affinity_reservation_hold_time: float = _flag(
        _UPDATES, DURATION, "3mins", "The agent is kept for it so long.")
    sla_aware_kill_retry_min_delay: float = _flag(
        _UPDATES, DURATION, "1mins", "An SLA policy that said no is asked again then, if nothing happened before.")
    job_update_history_per_job_threshold: int = _flag(_UPDATES, COUNT, "10", "Ended updates of a job that are kept.")
    job_update_history_pruning_threshold: float = _flag(_UPDATES, DURATION, "30days", "They are kept so long.")
    job_update_history_pruning_interval: float = _flag(_UPDATES, DURATION, "15mins", "How often old ones are dropped.")

    http_authentication_mechanism: str = _flag(_SECURITY, AUTHENTICATION, "NONE", "Who changes something is asked.")
    shiro_ini_path: str | None = _flag(_SECURITY, PATH, None, "File of users and roles, with BASIC.")
    read_authentication: bool = _flag(_SECURITY, TRUTH, "false", "With BASIC: who only reads is asked, too.")
    # fmt: on


#: Flags that stand in old unit files and have nothing to say here any more; or not yet. Accepted, and told.
IGNORED: tuple[str, ...] = (
    "enable_cors_for", "viz_job_url_prefix",
    "zk_endpoints", "serverset_path", "serverset_endpoint_name", "zk_chroot_path", "zk_connection_timeout",
    "zk_session_timeout", "zk_digest_credentials", "zk_in_proc", "max_leading_duration", "mesos_driver",
    "native_log_file_path", "native_log_zk_group_path", "native_log_quorum_size", "native_log_election_timeout",
    "native_log_election_retries", "native_log_read_timeout", "native_log_write_timeout", "dlog_snapshot_interval",
    "dlog_max_entry_size", "task_assigner_modules", "offer_set_module", "http_offer_set_endpoint",
    "http_offer_set_timeout_ms", "http_offer_set_max_retries",
    "enable_preemptor", "preemption_delay", "preemption_slot_search_initial_delay", "preemption_slot_search_interval",
    "preemption_slot_hold_time", "preemption_reservation_max_batch_size", "preemption_slot_finder_modules",
    "sla_aware_action_max_batch_size",
    "sla_aware_kill_retry_max_delay", "sla_coordinator_timeout", "max_parallel_coordinated_maintenance",
    "host_maintenance_polling_interval", "sla_stat_refresh_interval", "sla_prod_metrics", "sla_non_prod_metrics",
    "cron_timezone", "cron_scheduler_num_threads", "cron_scheduling_max_batch_size", "cron_start_initial_backoff",
    "cron_start_max_backoff", "max_task_event_batch_size", "async_worker_threads", "shiro_realm_modules",
    "stat_sampling_interval", "stat_retention_period", "async_slot_stat_update_interval",
    "async_task_stat_update_interval", "webhook_config",
)  # fmt: skip
