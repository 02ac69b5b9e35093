"""What people and services want of updates: start, pause, resume, abort, roll back, say that all is well.

A start that would change nothing is none, and no refusal. A job has one update at a time: whoever starts a second one
is refused with the first one's key, unless it is his own start that he sends again.

Source: spec/scheduler.md §4.1, §4.5, §4.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import structs

from scheduler.core.bounds import BOUNDS, check_message
from scheduler.core.canonical import populated_config
from scheduler.core.model import JobKey, Metadata, TaskConfig
from scheduler.core.problem import Problem, quoted
from scheduler.core.update_model import JobUpdateKey, JobUpdateRequest, JobUpdateStatus
from scheduler.core.update_pulse import JobUpdatePulseStatus
from scheduler.core.update_start import InProgress, JobNow, Refused, Started, Unchanged, check_start, decide_start
from scheduler.core.update_states import Wish
from scheduler.service.context import Context, Told
from scheduler.service.refusals import Refusal, RefusalCode, invalid, not_found, refuse_problems
from scheduler.service.update_queries import ACTIVE, UpdateSummary, summary_of
from scheduler.store.update_table import UpdateEntry
from scheduler.turn import Turn
from thermos.errors import Bug, UserError

#: Ranges of instances and sizes of batches that one update may name.
MOST_RANGES = 1000


class UpdateStarted(Told, frozen=True):
    """`started` false: there is nothing to do, `message` says so."""

    started: bool
    key: JobUpdateKey | None = None
    update: UpdateSummary | None = None
    message: str = ""


class UpdateMoved(Told, frozen=True):
    """The status that it has now."""

    key: JobUpdateKey
    status: JobUpdateStatus


class UpdatePulsed(Told, frozen=True):
    key: JobUpdateKey
    status: JobUpdatePulseStatus


class UpdateInProgress(Refusal):
    """The job is in another one."""

    def __init__(self, text: str, summary: UpdateSummary) -> None:
        super().__init__(RefusalCode.JOB_UPDATING, text)
        self.summary = summary

    @property
    def more(self) -> dict[str, Any]:
        return {"update": msgspec.to_builtins(self.summary)}


# --- starting ----------------------------------------------------------------------------------------------------


def start_update(context: Context, turn: Turn, request: JobUpdateRequest, who: str, message: str = "") -> UpdateStarted:
    """Raises Refusal with all problems, UpdateInProgress."""
    refuse_problems(list(check_message(message)))
    job = job_now(context, request.task_config.job)
    request = accepted(context, request, job)
    found = decide_start(
        request,
        job,
        context.rules,
        update_id=context.engine.updates.new_id(),
        user=who,
        message=message or None,
        now_ms=turn.now_ms,
        max_instance_failures=context.settings.max_update_failures,
    )
    match found:
        case Refused():
            refuse_problems(found.problems)
            raise Bug("an update was refused without a reason")
        case Unchanged():
            return UpdateStarted(started=False, message=found.message)
        case InProgress():
            active = summary_of(context, _active(context, request.task_config.job))
            if not found.is_same:
                raise UpdateInProgress(found.message, active)
            return UpdateStarted(started=True, key=active.key, update=active)
        case Started():
            context.engine.updates.start(turn, found.update, found.event)
            new = summary_of(context, _active(context, request.task_config.job))
            return UpdateStarted(started=True, key=new.key, update=new)


def job_now(context: Context, key: JobKey) -> JobNow:
    tables = context.tables
    active = tables.updates.active(key)
    return JobNow(
        current={task.assigned_task.instance_id: task.config for task in tables.tasks.active_of_job(key)},
        is_cron=key in tables.cron_jobs,
        active_update=active.summary if active is not None else None,
    )


def accepted(context: Context, request: JobUpdateRequest, job: JobNow) -> JobUpdateRequest:
    """With its defaults filled in. Raises Refusal with all problems."""
    problems = list(_bounds(request))
    if not problems:
        problems += check_start(request, job, context.rules, context.settings.max_update_failures)
        problems += _coordinators(request, job)
    refuse_problems(problems)
    return structs.replace(request, task_config=populated_config(request.task_config, context.rules))


def _bounds(request: JobUpdateRequest) -> Iterator[Problem]:
    settings = request.settings
    var = settings.update_strategy.var_batch_strategy if settings.update_strategy is not None else None
    for field, size in (
        ("settings.updateOnlyTheseInstances", len(settings.update_only_these_instances)),
        ("settings.updateStrategy.varBatchStrategy.groupSizes", len(var.group_sizes) if var is not None else 0),
    ):
        if size > MOST_RANGES:
            yield Problem(field, f"there are {size} entries; {MOST_RANGES} is the most")
    if len(request.metadata) > BOUNDS.entries:
        yield Problem("metadata", f"there are {len(request.metadata)} entries; {BOUNDS.entries} is the most")
    for pair in request.metadata[: BOUNDS.entries]:
        yield from _pair(pair)


def _pair(pair: Metadata) -> Iterator[Problem]:
    for field, text, most in (("key", pair.key, BOUNDS.name), ("value", pair.value, BOUNDS.text)):
        if len(text) > most:
            yield Problem(f"metadata.{field}", f"{quoted(text)} has {len(text)} letters; {most} is the most")


def _coordinators(request: JobUpdateRequest, job: JobNow) -> Iterator[Problem]:
    """On the way forward the new policy is asked, on the way back the old one."""
    if not request.settings.sla_aware:
        return
    if _asks_coordinator(request.task_config):
        yield Problem("taskConfig.slaPolicy", "updates don't ask coordinators; use a count or a percentage")
    old = [instance for instance, config in sorted(job.current.items()) if _asks_coordinator(config)]
    if old:
        text = f"updates don't ask coordinators, and instance {old[0]} has one now; update it without slaAware first"
        yield Problem("settings.slaAware", text)


def _asks_coordinator(config: TaskConfig) -> bool:
    return config.sla_policy is not None and config.sla_policy.coordinator_sla_policy is not None


# --- while it goes on --------------------------------------------------------------------------------------------


def wish(
    context: Context, turn: Turn, job: JobKey, update_id: str, asked: Wish, who: str, message: str = ""
) -> UpdateMoved:
    """Of the update with that id, or of the `active` one. What is so already is no refusal. Raises Refusal."""
    refuse_problems(list(check_message(message)))
    key = find_update(context, job, update_id).update.summary.key
    try:
        status = context.engine.updates.wish(turn, key, asked, who, message)
    except Bug:
        raise
    except UserError as error:
        raise invalid(str(error)) from None
    return UpdateMoved(key=key, status=status)


def pulse(context: Context, turn: Turn, job: JobKey, update_id: str) -> UpdatePulsed:
    """An update that is not known has ended some time. Raises Refusal when there is no active one."""
    key = JobUpdateKey(job=job, id=update_id)
    if update_id == ACTIVE:
        key = find_update(context, job, update_id).update.summary.key
    return UpdatePulsed(key=key, status=context.engine.updates.pulse(turn, key))


def find_update(context: Context, job: JobKey, update_id: str) -> UpdateEntry:
    """Raises Refusal."""
    updates = context.tables.updates
    if update_id == ACTIVE:
        found = updates.active(job)
        if found is None:
            raise not_found(f"Job {job} is not being updated")
        return found
    found = updates.get(JobUpdateKey(job=job, id=update_id))
    if found is None:
        raise not_found(f"There is no update {update_id[:100]} of {job}; it may have been forgotten")
    return found


def _active(context: Context, job: JobKey) -> UpdateEntry:
    found = context.tables.updates.active(job)
    if found is None:
        raise Bug(f"{job} was to be in an update, and is not")
    return found
