"""What there is: roles, jobs, and the configurations of a job's instances.

A job is the set of its tasks, ended ones too as long as they are remembered; a cron job is there without any. What a
summary tells of a job is counted when tasks change, so a list costs what it is long, and a walk over the jobs' names.

Source: spec/scheduler.md §1.1, §1.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase

from scheduler.core.model import JobKey, TaskConfig
from scheduler.core.problem import Problem
from scheduler.core.states import ACTIVE, ScheduleStatus
from scheduler.core.update_model import JobUpdateQuery
from scheduler.service.config_groups import ConfigGroup, config_groups
from scheduler.service.context import Context, Told
from scheduler.service.pages import Page, check_page
from scheduler.service.refusals import not_found, refuse_problems
from scheduler.store.task_query import TaskQuery

_S = ScheduleStatus

#: What a summary counts apart. DELETED is no state of a stored task.
PENDING: frozenset[ScheduleStatus] = frozenset({_S.INIT, _S.PENDING, _S.THROTTLED})
WORKING: frozenset[ScheduleStatus] = ACTIVE - PENDING
FINISHED: frozenset[ScheduleStatus] = frozenset({_S.KILLED, _S.FINISHED})
FAILED: frozenset[ScheduleStatus] = frozenset({_S.LOST, _S.FAILED})

#: Letters of a pattern.
LONGEST_PATTERN = 255


class JobKind(StrEnum):
    SERVICE = "service"
    ADHOC = "adhoc"
    CRON = "cron"


class RoleSummary(Told, frozen=True):
    role: str
    job_count: int
    cron_job_count: int


class Roles(Told, frozen=True):
    roles: tuple[RoleSummary, ...]


class JobStats(Told, frozen=True):
    """Every remembered task counts once."""

    active_task_count: int
    finished_task_count: int
    failed_task_count: int
    pending_task_count: int


class JobSummary(Told, frozen=True):
    """`instance_count`: of active tasks."""

    key: JobKey
    kind: JobKind
    instance_count: int
    stats: JobStats
    next_cron_run_ms: int | None
    updating: bool
    tier: str


class Jobs(Told, frozen=True):
    """A page of them."""

    jobs: tuple[JobSummary, ...]
    total: int


class JobDetails(JobSummary, frozen=True):
    """`configs`: of active instances. `statuses`: how many tasks are in each, ended ones too."""

    configs: tuple[ConfigGroup, ...]
    statuses: dict[str, int]


def roles(context: Context) -> Roles:
    """By name."""
    tables = context.tables
    cron: dict[str, int] = {}
    for key in tables.cron_jobs:
        cron[key.role] = cron.get(key.role, 0) + 1
    names = sorted({*tables.tasks.roles(), *cron})
    return Roles(
        roles=tuple(
            RoleSummary(role=name, job_count=_count(tables.tasks.jobs(name)), cron_job_count=cron.get(name, 0))
            for name in names
        )
    )


def jobs(context: Context, role: str = "", environment: str = "", name: str = "", page: Page = Page()) -> Jobs:  # noqa: B008
    """Each filter may be a pattern, with `*`, `?` and `[…]`; an empty one asks for nothing. Raises Refusal."""
    check_page(page)
    wanted = {"role": role, "environment": environment, "name": name}
    refuse_problems(
        [
            Problem(field, f"a pattern has {LONGEST_PATTERN} letters at most")
            for field, text in wanted.items()
            if len(text) > LONGEST_PATTERN
        ]
    )
    keys = sorted(
        (key for key in _keys(context, role) if fits(key, role, environment, name)),
        key=lambda key: (key.role, key.environment, key.name),
    )
    return Jobs(jobs=tuple(job_summary(context, key) for key in page.of(keys)), total=len(keys))


def job(context: Context, key: JobKey) -> JobDetails:
    """Raises Refusal when nothing is known of it."""
    counts = context.tables.tasks.statuses_of(key)
    if not counts and key not in context.tables.cron_jobs:
        raise not_found(f"There is no job {key}")
    summary = job_summary(context, key)
    configs = {task.assigned_task.instance_id: task.config for task in context.tables.tasks.active_of_job(key)}
    return JobDetails(
        **{field: getattr(summary, field) for field in JobSummary.__struct_fields__},
        configs=config_groups(configs),
        statuses={status.value: counts[status] for status in ScheduleStatus if status in counts},
    )


# --- parts of them -----------------------------------------------------------------------------------------------


def _keys(context: Context, role: str) -> Iterator[JobKey]:
    """Of one role, if it is no pattern."""
    tables = context.tables
    is_name = bool(role) and not any(letter in role for letter in "*?[")
    yield from tables.tasks.jobs(role if is_name else None)
    for key in tables.cron_jobs:
        if not tables.tasks.statuses_of(key):
            yield key


def fits(key: JobKey, role: str, environment: str, name: str) -> bool:
    """Each may be a pattern; an empty one asks for nothing."""
    wanted = ((role, key.role), (environment, key.environment), (name, key.name))
    return all(not pattern or fnmatchcase(value, pattern) for pattern, value in wanted)


def job_summary(context: Context, key: JobKey) -> JobSummary:
    """Of a job that has tasks, a schedule or updates."""
    tables = context.tables
    counts = tables.tasks.statuses_of(key)
    config = _config(context, key)
    return JobSummary(
        key=key,
        kind=_kind(context, config),
        instance_count=_sum(counts, ACTIVE),
        stats=JobStats(
            active_task_count=_sum(counts, WORKING),
            finished_task_count=_sum(counts, FINISHED),
            failed_task_count=_sum(counts, FAILED),
            pending_task_count=_sum(counts, PENDING),
        ),
        next_cron_run_ms=None,
        updating=tables.updates.active(key) is not None,
        tier=config.tier or context.rules.default_tier,
    )


def _config(context: Context, key: JobKey) -> TaskConfig:
    """Of its template, an active task, an ended one, or an update; one of them is there."""
    tables = context.tables
    template = tables.cron_jobs.get(key)
    if template is not None:
        return template.task_config
    task = next(tables.tasks.active_of_job(key), None)
    if task is None:
        task = next(tables.tasks.select(TaskQuery(job_keys=frozenset({key}))), None)
    if task is not None:
        return task.config
    instructions = tables.updates.page(JobUpdateQuery(job_key=key, limit=1))[0].update.instructions
    return (instructions.desired_state or instructions.initial_state[0]).task


def _kind(context: Context, config: TaskConfig) -> JobKind:
    if config.job in context.tables.cron_jobs:
        return JobKind.CRON
    return JobKind.SERVICE if config.is_service else JobKind.ADHOC


def _sum(counts: Mapping[ScheduleStatus, int], statuses: frozenset[ScheduleStatus]) -> int:
    return sum(count for status, count in counts.items() if status in statuses)


def _count(things: Iterable[JobKey]) -> int:
    return sum(1 for _ in things)
