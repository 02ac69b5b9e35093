"""What there is of updates: pages of them, one with all that happened and what it waits for, and what one would do.

Source: spec/scheduler.md §4.2, §4.5, §9.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from scheduler.core.model import Metadata
from scheduler.core.problem import Problem
from scheduler.core.update_diff import InstanceDiff, diff_instances, instructions_of
from scheduler.core.update_model import (
    UPDATE_ACTIVE,
    UPDATE_ENDED,
    InstanceRange,
    JobInstanceUpdateEvent,
    JobUpdateEvent,
    JobUpdateInstructions,
    JobUpdateKey,
    JobUpdateQuery,
    JobUpdateRequest,
    JobUpdateStatus,
)
from scheduler.core.update_pace import SLOW, USUAL, PastTimes, past_times
from scheduler.core.update_plan import PlannedBatch, UpdatePlan, plan_update
from scheduler.core.update_start import JobNow, only_instances
from scheduler.core.update_view import Stage, stages
from scheduler.core.update_watch import Waiting, WaitKind
from scheduler.service.config_groups import config_groups
from scheduler.service.context import Context, Told
from scheduler.service.job_queries import LONGEST_PATTERN, fits
from scheduler.service.jobs import JobDiff
from scheduler.service.pages import Page, check_page
from scheduler.service.refusals import refuse_problems
from scheduler.store.task_query import TaskQuery
from scheduler.store.update_table import UpdateEntry
from thermos.clock import Now

#: Stands for the id of the one that the job is in.
ACTIVE = "active"

Ranges = tuple[tuple[int, int], ...]


class UpdateProgress(Told, frozen=True):
    """Instances that are over, of how many; on the way back, of those that were touched."""

    done: int
    total: int


class UpdateSummary(Told, frozen=True):
    key: JobUpdateKey
    user: str
    status: JobUpdateStatus
    created_ms: int
    modified_ms: int
    metadata: tuple[Metadata, ...]
    progress: UpdateProgress


class Updates(Told, frozen=True):
    """A page of them."""

    updates: tuple[UpdateSummary, ...]
    total: int


class UpdateWait(Told, frozen=True):
    """`instance` null: the update as a whole. `until_ms` null: nobody knows."""

    instance: int | None
    kind: WaitKind
    what: str
    since_ms: int
    until_ms: int | None


class UpdateStage(Told, frozen=True):
    stage: Stage
    instances: Ranges


class UpdateDetails(UpdateSummary, frozen=True):
    """`stages`: how far each instance is."""

    instructions: JobUpdateInstructions
    update_events: tuple[JobUpdateEvent, ...]
    instance_events: tuple[JobInstanceUpdateEvent, ...]
    waits_for: tuple[UpdateWait, ...]
    stages: tuple[UpdateStage, ...]


class BatchKinds(Told, frozen=True):
    add: int
    replace: int
    remove: int


class UpdateBatch(Told, frozen=True):
    """Instances that begin together; `lowest_running`: of the whole job, until the next ones begin. `begins_seconds`
    after the start of the update, at the usual pace; null: nobody knows."""

    instances: Ranges
    kinds: BatchKinds
    lowest_running: int
    begins_seconds: float | None
    pauses_before: bool


class StartSeconds(Told, frozen=True):
    """Of tasks of this job in the past, from PENDING to RUNNING; nine of ten took no longer than `slow`."""

    median: float
    slow: float
    samples: int


class UpdatePlanned(Told, frozen=True):
    """`seconds_at_least`: what watching alone takes; `usual_seconds`, `slow_seconds`: with the starts and stops of the
    past; `stop_samples`: stops that are known, without any of them stopping is taken to cost nothing. `floor`: no order
    of events leads to fewer running instances."""

    diff: JobDiff
    batches: tuple[UpdateBatch, ...]
    running_before: int
    running_after: int
    lowest_running: int
    floor: int
    seconds_at_least: float
    usual_seconds: float | None
    slow_seconds: float | None
    start_seconds: StartSeconds | None
    stop_samples: int


# --- what there is -----------------------------------------------------------------------------------------------


def updates(
    context: Context,
    role: str = "",
    environment: str = "",
    name: str = "",
    user: str = "",
    statuses: Iterable[JobUpdateStatus] = (),
    active: bool | None = None,
    page: Page = Page(),  # noqa: B008
) -> Updates:
    """The last changed first. Role, environment and name may be patterns; what is empty asks for nothing. Raises
    Refusal."""
    check_page(page)
    patterns = {"role": role, "environment": environment, "name": name}
    refuse_problems(
        [
            Problem(field, f"a pattern has {LONGEST_PATTERN} letters at most")
            for field, text in patterns.items()
            if len(text) > LONGEST_PATTERN
        ]
    )
    wanted = frozenset(statuses)
    if active is not None:
        of_kind = UPDATE_ACTIVE if active else UPDATE_ENDED
        wanted = wanted & of_kind if wanted else of_kind
        if not wanted:
            return Updates(updates=(), total=0)
    found = [
        entry
        for entry in context.tables.updates.page(JobUpdateQuery(user=user or None, update_statuses=wanted))
        if fits(entry.update.summary.key.job, role, environment, name)
    ]
    return Updates(updates=tuple(summary_of(context, entry) for entry in page.of(found)), total=len(found))


def summary_of(context: Context, entry: UpdateEntry) -> UpdateSummary:
    summary, state = entry.update.summary, entry.state
    done, total = context.engine.updates.done(entry)
    return UpdateSummary(
        key=summary.key,
        user=summary.user,
        status=state.status,
        created_ms=state.created_timestamp_ms,
        modified_ms=state.last_modified_timestamp_ms,
        metadata=summary.metadata,
        progress=UpdateProgress(done=done, total=total),
    )


def details_of(context: Context, entry: UpdateEntry, now: Now) -> UpdateDetails:
    desk = context.engine.updates
    summary = summary_of(context, entry)
    return UpdateDetails(
        **{field: getattr(summary, field) for field in UpdateSummary.__struct_fields__},
        instructions=entry.update.instructions,
        update_events=tuple(entry.events),
        instance_events=tuple(entry.instance_events),
        waits_for=tuple(_wait(each) for each in desk.waits_for(entry, now)),
        stages=tuple(
            UpdateStage(stage=each.stage, instances=_ranges(each.instances)) for each in stages(desk.progress(entry))
        ),
    )


def _wait(waiting: Waiting) -> UpdateWait:
    return UpdateWait(
        instance=waiting.instance,
        kind=waiting.what,
        what=waiting.text,
        since_ms=waiting.since_ms,
        until_ms=waiting.until_ms,
    )


def _ranges(ranges: Iterable[InstanceRange]) -> Ranges:
    return tuple((each.first, each.last) for each in ranges)


# --- what one would do -------------------------------------------------------------------------------------------


def plan(context: Context, request: JobUpdateRequest, job: JobNow) -> Callable[[], UpdatePlanned]:
    """Of a request that was accepted. Changes nothing. What comes back makes the plan from what it has, which may take
    a second for thousands of instances; it may be called anywhere."""
    config, count = request.task_config, request.instance_count
    found = diff_instances(job.current, config, count, only_instances(request.settings))
    instructions = instructions_of(found, job.current, config, request.settings)
    tasks = context.tables.tasks
    past = past_times(tasks.select(TaskQuery(job_keys=frozenset({config.job}))))
    active = {task.assigned_task.instance_id: task for task in tasks.active_of_job(config.job)}
    return lambda: _plan(request, job, found, past, plan_update(found, instructions, active, past))


def _plan(
    request: JobUpdateRequest, job: JobNow, found: InstanceDiff, past: PastTimes, planned: UpdatePlan
) -> UpdatePlanned:
    return UpdatePlanned(
        diff=_diff(found, job, request),
        batches=tuple(_batch(batch) for batch in planned.batches),
        running_before=planned.running_before,
        running_after=planned.running_after,
        lowest_running=planned.lowest_running,
        floor=planned.floor,
        seconds_at_least=planned.at_least_ms / 1000,
        usual_seconds=_seconds(planned.usual_ms),
        slow_seconds=_seconds(planned.slow_ms),
        start_seconds=_starts(planned, past),
        stop_samples=len(past.stops_ms),
    )


def _diff(found: InstanceDiff, job: JobNow, request: JobUpdateRequest) -> JobDiff:
    return JobDiff(
        add=config_groups(dict.fromkeys(found.add, request.task_config)),
        remove=config_groups({instance: job.current[instance] for instance in found.remove}),
        update=config_groups({instance: job.current[instance] for instance in found.replace}),
        unchanged=config_groups({instance: job.current[instance] for instance in found.unchanged}),
    )


def _batch(batch: PlannedBatch) -> UpdateBatch:
    return UpdateBatch(
        instances=tuple(sorted(_ranges((*batch.add, *batch.replace, *batch.remove)))),
        kinds=BatchKinds(add=_size(batch.add), replace=_size(batch.replace), remove=_size(batch.remove)),
        lowest_running=batch.lowest_running,
        begins_seconds=_seconds(batch.begins_ms),
        pauses_before=batch.pauses_before,
    )


def _size(ranges: Iterable[InstanceRange]) -> int:
    return sum(each.last - each.first + 1 for each in ranges)


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _starts(planned: UpdatePlan, past: PastTimes) -> StartSeconds | None:
    usual, slow = past.pace(USUAL), past.pace(SLOW)
    if usual is None or slow is None:
        return None
    return StartSeconds(median=usual.start_ms / 1000, slow=slow.start_ms / 1000, samples=planned.samples)
