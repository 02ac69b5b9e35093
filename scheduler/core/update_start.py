"""Whether an update may start, and what is stored when it does.

Problems are told in the order of the original's checks, but all of them at once. An update that would change nothing
is none. A job has one active update; whoever starts a second one learns of the first, and whether it is his own: a
client that sends its start again, because it heard no answer, has put the same `update_id` into the metadata.

Source: spec/scheduler.md §4.1. Quota is checked by the caller (§6).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from msgspec import structs

from scheduler.core.model import Metadata, TaskConfig
from scheduler.core.update_diff import diff_instances, ids_of, instructions_of
from scheduler.core.update_model import (
    InstanceRange,
    JobUpdate,
    JobUpdateEvent,
    JobUpdateKey,
    JobUpdateRequest,
    JobUpdateSettings,
    JobUpdateState,
    JobUpdateStatus,
    JobUpdateSummary,
    UpdateStrategy,
)
from scheduler.core.update_strategy import sizes_of, strategy_of
from scheduler.core.validation import Problem, Rules, check_update

UNCHANGED = "Job is unchanged by proposed update."
UPDATE_ID = "org.apache.aurora.client.update_id"
MAX_INSTANCE_FAILURES = 20_000


@dataclass(frozen=True, slots=True)
class Started:
    """Both are to be stored, and the first step follows."""

    update: JobUpdate
    event: JobUpdateEvent


@dataclass(frozen=True, slots=True)
class Unchanged:
    message: str = UNCHANGED


@dataclass(frozen=True, slots=True)
class InProgress:
    """`is_same`: it is the one that was asked for."""

    summary: JobUpdateSummary
    is_same: bool

    @property
    def message(self) -> str:
        key = self.summary.key
        return f"{key.job} is being updated already: {key.id}, by {self.summary.user}; wait for it or abort it"


@dataclass(frozen=True, slots=True)
class Refused:
    problems: tuple[Problem, ...]


Start = Started | Unchanged | InProgress | Refused


@dataclass(frozen=True, slots=True)
class JobNow:
    """The job as it is: the configuration of each active instance, and what else is known under its key."""

    current: Mapping[int, TaskConfig]
    is_cron: bool = False
    active_update: JobUpdateSummary | None = None


def decide_start(
    request: JobUpdateRequest,
    job: JobNow,
    rules: Rules,
    *,
    update_id: str,
    user: str,
    message: str | None,
    now_ms: int,
    max_instance_failures: int = MAX_INSTANCE_FAILURES,
) -> Start:
    """`request.task_config` with its defaults filled in; `update_id`: a new uuid as text."""
    problems = tuple(check_start(request, job, rules, max_instance_failures))
    if problems:
        return Refused(problems)
    active = job.active_update
    if active is not None and is_same_start(active, request):
        return InProgress(active, True)
    diff = diff_instances(job.current, request.task_config, request.instance_count, only_instances(request.settings))
    if diff.is_empty:
        return Unchanged()
    if active is not None:
        return InProgress(active, False)
    settings = structs.replace(request.settings, update_strategy=strategy_of(request.settings))
    coordinated = settings.block_if_no_pulses_after_ms > 0
    status = JobUpdateStatus.ROLL_FORWARD_AWAITING_PULSE if coordinated else JobUpdateStatus.ROLLING_FORWARD
    summary = JobUpdateSummary(
        key=JobUpdateKey(job=request.task_config.job, id=update_id),
        user=user,
        state=JobUpdateState(status=status, created_timestamp_ms=now_ms, last_modified_timestamp_ms=now_ms),
        metadata=request.metadata,
    )
    update = JobUpdate(summary=summary, instructions=instructions_of(diff, job.current, request.task_config, settings))
    return Started(update, JobUpdateEvent(status=status, timestamp_ms=now_ms, user=user, message=message))


def is_same_start(active: JobUpdateSummary, request: JobUpdateRequest) -> bool:
    """The client made up the same id for both."""
    asked = _update_id(request.metadata)
    return asked is not None and asked == _update_id(active.metadata)


def _update_id(metadata: Collection[Metadata]) -> str | None:
    return next((each.value for each in metadata if each.key == UPDATE_ID), None)


def only_instances(settings: JobUpdateSettings) -> frozenset[int] | None:
    """None: all. To be asked after the check only: a range may be as wide as it likes before."""
    ranges = settings.update_only_these_instances
    return frozenset(ids_of(ranges)) if ranges else None


# -- checks


def check_start(
    request: JobUpdateRequest, job: JobNow, rules: Rules, max_instance_failures: int = MAX_INSTANCE_FAILURES
) -> Iterator[Problem]:
    """Nothing: it may start."""
    config, settings = request.task_config, request.settings
    if not config.is_service:
        yield Problem("taskConfig.isService", "Updates are not supported for non-service tasks.")
    yield from _strategy(settings)
    yield from _numbers(request, max_instance_failures)
    if settings.sla_aware and config.sla_policy is None:
        yield Problem("settings.slaAware", "an update that is aware of the SLA needs a task with an SLA policy")
    yield from check_update(config, request.instance_count, rules)
    if job.is_cron:
        yield Problem("taskConfig.job", f"{config.job} is a cron job; schedule it again instead of updating it")
    yield from _relevance(settings.update_only_these_instances, job.current, request.instance_count)


def _strategy(settings: JobUpdateSettings) -> Iterator[Problem]:
    given = settings.update_strategy
    if given is not None and given != UpdateStrategy():
        chosen = (given.queue_strategy, given.batch_strategy, given.var_batch_strategy)
        if sum(one is not None for one in chosen) > 1:
            yield Problem("settings.updateStrategy", "it has to be one of queue, batch and varBatch")
            return
    sizes = sizes_of(strategy_of(settings))
    if any(size <= 0 for size in sizes):
        yield Problem("settings.updateStrategy", "All update group sizes must be positive.")
    elif not sizes:
        yield Problem("settings.updateStrategy", "Update results in no instance being modified.")


def _numbers(request: JobUpdateRequest, max_instance_failures: int) -> Iterator[Problem]:
    settings = request.settings
    for field, value in (
        ("maxPerInstanceFailures", settings.max_per_instance_failures),
        ("maxFailedInstances", settings.max_failed_instances),
        ("minWaitInInstanceRunningMs", settings.min_wait_in_instance_running_ms),
        ("blockIfNoPulsesAfterMs", settings.block_if_no_pulses_after_ms),
        ("progressDeadlineMs", settings.progress_deadline_ms),
    ):
        if value < 0:
            yield Problem(f"settings.{field}", f"{value}; it must not be negative")
        elif field == "maxPerInstanceFailures" and value * request.instance_count > max_instance_failures:
            yield Problem(
                f"settings.{field}",
                f"{value} failures of each of {request.instance_count} instances are too many; "
                f"{max_instance_failures} in all is the most",
            )


def _relevance(ranges: Collection[InstanceRange], current: Collection[int], instance_count: int) -> Iterator[Problem]:
    """All that are named are there, or would be."""
    for each in ranges:
        text = f"{each.first}" if each.first == each.last else f"{each.first}-{each.last}"
        if each.first < 0 or each.last < each.first:
            yield Problem("settings.updateOnlyTheseInstances", f"{text} is no range of instances")
            continue
        asked = max(0, min(each.last + 1, instance_count) - each.first)
        more = sum(each.first <= instance <= each.last and instance >= instance_count for instance in current)
        if asked + more < each.last - each.first + 1:
            missing = f"no instance {text}" if each.first == each.last else f"not every instance of {text}"
            yield Problem("settings.updateOnlyTheseInstances", f"there is {missing}, neither now nor after the update")
