"""What the flags mean: the settings of each part of the scheduler, and of where it is.

Defaults that depend on who runs it: root keeps its store below /var/lib and starts executors as root, which then become
the user of each job; anybody else keeps it in the home directory and runs everything as themselves.

Source: spec/scheduler.md §12.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from mesos.auth import Credentials, read_credentials
from mesos.core.leader import parse_masters
from mesos.core.messages import Capability, CapabilityInfo, FrameworkID, FrameworkInfo
from mesos.tls import TlsOptions
from scheduler.core.backoff import Backoff
from scheduler.core.executors import LaunchSettings
from scheduler.core.groups import GroupRules
from scheduler.core.model import IDENTIFIER, DockerParameter
from scheduler.core.offers import OfferRules
from scheduler.core.pools import RevocableRules
from scheduler.core.prune import PruneRules
from scheduler.core.reconcile import ReconciliationRules
from scheduler.core.reschedule import FlappingRules
from scheduler.core.tiers import BUILT_IN, Tiers, parse_tiers
from scheduler.core.timeouts import TimeoutRules
from scheduler.core.update_prune import UpdatePruneRules
from scheduler.core.validation import Rules
from scheduler.engine_settings import EngineSettings
from scheduler.executor_settings import executors_of, parse_mount
from scheduler.flags import Flags
from scheduler.setting_files import read_json
from scheduler.update_rules import UpdateRules
from thermos.errors import UserError

_CONTAINERS = {"MESOS": "mesos", "DOCKER": "docker"}


@dataclass(frozen=True, slots=True)
class Whoever:
    """Who runs the scheduler, and where."""

    user: str
    is_root: bool
    hostname: str
    state_home: Path  # of the user: ~/.local/state, usually


@dataclass(frozen=True, slots=True)
class MesosSettings:
    """`info` is without the id."""

    master: str
    info: FrameworkInfo
    credentials: Credentials | None
    tls: TlsOptions | None
    patience_s: float
    batch: int


@dataclass(frozen=True, slots=True)
class BackupSettings:
    directory: Path
    interval_s: float
    keep: int


@dataclass(frozen=True, slots=True)
class Settings:
    """`users`: the file of those who may change something; None: everybody may."""

    flags: Flags
    cluster: str
    hostname: str
    store: Path
    users: Path | None
    engine: EngineSettings
    rules: Rules
    mesos: MesosSettings
    backups: BackupSettings


def settings_of(flags: Flags, whoever: Whoever) -> Settings:
    """Raises UserError (also ConfigError), HostError."""
    _check(flags)
    hostname = flags.hostname or whoever.hostname
    tiers = parse_tiers(read_json(Path(flags.tier_config))) if flags.tier_config is not None else BUILT_IN
    # who can't become another user can't run tasks as their roles
    nosetuid = not whoever.is_root and flags.executor_user is None
    launch = LaunchSettings(
        cluster=flags.cluster_name,
        executors=executors_of(flags, nosetuid=nosetuid),
        tiers=tiers,
        populate_discovery_info=flags.populate_discovery_info,
        global_mounts=tuple(parse_mount(text) for text in flags.global_container_mounts),
    )
    root = Path("/var/lib") if whoever.is_root else whoever.state_home
    store = Path(flags.store).absolute() if flags.store else root / "aurora" / "scheduler" / flags.cluster_name
    backups = Path(flags.backup_dir).absolute() if flags.backup_dir else store / "backups"
    return Settings(
        flags=flags,
        cluster=flags.cluster_name,
        hostname=hostname,
        store=store,
        users=Path(flags.shiro_ini_path) if flags.shiro_ini_path is not None else None,
        engine=_engine(flags, launch, hostname),
        rules=_rules(flags, launch, tiers),
        mesos=_mesos(flags, whoever, hostname),
        backups=BackupSettings(backups, flags.backup_interval, max(1, flags.max_saved_backups)),
    )


def _check(flags: Flags) -> None:
    for name in ("cluster_name", "mesos_master_address"):
        if not getattr(flags, name):
            raise UserError(f"--{name} has to be given")
    parse_masters(flags.mesos_master_address)
    if not IDENTIFIER.fullmatch(flags.cluster_name):
        raise UserError(f"cannot use the cluster's name {flags.cluster_name!r}: letters, digits, `_`, `-` and `.` only")
    try:
        re.compile(flags.allowed_job_environments)
    except re.error as error:
        raise UserError(f"--allowed_job_environments is no regular expression: {error}") from None
    if flags.http_authentication_mechanism == "BASIC" and flags.shiro_ini_path is None:
        raise UserError("--http_authentication_mechanism BASIC needs --shiro_ini_path, a file of users")
    if flags.http_authentication_mechanism == "NONE" and flags.shiro_ini_path is not None:
        raise UserError("--shiro_ini_path needs --http_authentication_mechanism BASIC")
    if flags.backup_interval < 1 or flags.max_registration_delay < 1:
        raise UserError("--backup_interval and --max_registration_delay can't be less than a second")
    for name in ("max_tasks_per_schedule_attempt", "scheduling_max_batch_size", "max_status_update_batch_size",
                 "reconciliation_explicit_batch_size"):  # fmt: skip
        if getattr(flags, name) < 1:
            raise UserError(f"--{name} can't be 0")


def _engine(flags: Flags, launch: LaunchSettings, hostname: str) -> EngineSettings:
    return EngineSettings(
        launch=launch,
        offers=OfferRules(
            hold_s=flags.min_offer_hold_time,
            jitter_s=flags.offer_hold_jitter_window,
            hold_forever=flags.hold_offers_forever,
            filter_s=flags.offer_filter_duration,
            order=flags.offer_order,
            revocable=RevocableRules(cpus=flags.enable_revocable_cpus, ram=flags.enable_revocable_ram),
            most_bans=flags.offer_static_ban_cache_max_size,
            closed_s=flags.unavailability_threshold,
        ),
        groups=GroupRules(
            first_delay_s=flags.first_schedule_delay,
            penalty=Backoff(flags.initial_schedule_penalty, flags.max_schedule_penalty),
            tasks_per_attempt=flags.max_tasks_per_schedule_attempt,
            attempts_per_s=flags.max_schedule_attempts_per_sec or None,
            most_at_once=flags.scheduling_max_batch_size,
        ),
        flapping=FlappingRules(
            threshold_ms=int(flags.flapping_task_threshold * 1000),
            delay=Backoff(flags.initial_flapping_task_delay * 1000, flags.max_flapping_task_delay * 1000),
        ),
        timeouts=TimeoutRules(
            transient_s=flags.transient_task_state_timeout,
            kill_retry=Backoff(flags.initial_task_kill_retry_interval, flags.transient_task_state_timeout),
        ),
        reconciliation=ReconciliationRules(
            initial_delay_s=flags.reconciliation_initial_delay,
            explicit_interval_s=flags.reconciliation_explicit_interval,
            implicit_interval_s=flags.reconciliation_implicit_interval,
            spread_s=flags.reconciliation_schedule_spread,
            batch=flags.reconciliation_explicit_batch_size,
            batch_gap_s=flags.reconciliation_explicit_batch_interval,
        ),
        pruning=PruneRules(
            keep_s=flags.history_prune_threshold,
            most_per_job=flags.history_max_per_job_threshold,
            at_least_s=flags.history_min_retention_threshold,
        ),
        updates=_updates(flags),
        scheduler_name=hostname,
        startup_delay_s=flags.max_reschedule_task_delay_on_startup,
    )


def _updates(flags: Flags) -> UpdateRules:
    return UpdateRules(
        affinity=flags.enable_update_affinity,
        affinity_hold_s=flags.update_affinity_reservation_hold_time,
        sla_retry_s=max(1.0, flags.sla_aware_kill_retry_min_delay),
        sla_min_instances=flags.min_required_instances_for_sla_check,
        sla_for_all_tiers=flags.sla_aware_kill_non_prod,
        pruning=UpdatePruneRules(
            keep_per_job=flags.job_update_history_per_job_threshold,
            keep_ms=int(flags.job_update_history_pruning_threshold * 1000),
            interval_s=max(1.0, flags.job_update_history_pruning_interval),
        ),
    )


def _rules(flags: Flags, launch: LaunchSettings, tiers: Tiers) -> Rules:
    return Rules(
        environments=flags.allowed_job_environments,
        tiers=tuple(tiers.by_name),
        production_tiers=tuple(name for name, tier in tiers.by_name.items() if tier.is_production),
        default_tier=tiers.default,
        executors=tuple(launch.executors),
        container_types=tuple(_container_type(name) for name in flags.allowed_container_types),
        container_volumes=flags.allow_container_volumes,
        docker_parameters=flags.allow_docker_parameters,
        default_docker_parameters=tuple(_docker_parameter(text) for text in flags.default_docker_parameters),
        docker_without_executor=not flags.require_docker_use_executor,
        fetcher=flags.enable_mesos_fetcher,
        gpus=flags.allow_gpu_resource,
        max_tasks_per_job=flags.max_tasks_per_job,
        sla_for_all_tiers=flags.sla_aware_kill_non_prod,
        sla_min_instances=flags.min_required_instances_for_sla_check,
        sla_max_duration_s=int(flags.max_sla_duration_secs),
    )


def _container_type(name: str) -> str:
    if name.upper() not in _CONTAINERS:
        raise UserError(f"--allowed_container_types: {name!r} is none of {', '.join(_CONTAINERS)}")
    return _CONTAINERS[name.upper()]


def _docker_parameter(text: str) -> DockerParameter:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UserError(f"--default_docker_parameters: {text!r} is not name=value")
    return DockerParameter(name=name, value=value)


def _mesos(flags: Flags, whoever: Whoever, hostname: str) -> MesosSettings:
    path = flags.framework_authentication_file
    credentials = read_credentials(Path(path)) if path is not None else None
    can = [Capability.MULTI_ROLE, Capability.RESERVATION_REFINEMENT]
    can += [Capability.PARTITION_AWARE] if flags.partition_aware else []
    can += [Capability.REVOCABLE_RESOURCES] if flags.receive_revocable_resources else []
    can += [Capability.GPU_RESOURCES] if flags.allow_gpu_resource else []
    announced = credentials is not None and flags.framework_announce_principal
    info = FrameworkInfo(
        user=flags.executor_user or ("root" if whoever.is_root else whoever.user),
        name=flags.framework_name,
        failover_timeout=flags.framework_failover_timeout,
        checkpoint=True,
        roles=(flags.mesos_role or "*",),
        hostname=hostname,
        principal=credentials.principal if credentials is not None and announced else "",
        capabilities=tuple(CapabilityInfo(type=name) for name in can),
    )
    tls = TlsOptions(ca=Path(flags.mesos_tls_ca)) if flags.mesos_tls_ca is not None else None
    return MesosSettings(
        master=flags.mesos_master_address,
        info=info,
        credentials=credentials,
        tls=tls,
        patience_s=flags.max_registration_delay,
        batch=flags.max_status_update_batch_size,
    )


def framework_of(settings: MesosSettings, framework_id: FrameworkID | None, web_url: str) -> FrameworkInfo:
    """The framework that we are, or a new one."""
    return structs.replace(settings.info, id=framework_id, webui_url=web_url)
