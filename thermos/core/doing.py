"""What a process of a task is doing, and why it waits or how it ended. Pure.

The fold tells what happened, the planner why something waits. `thermos run`, `status` and the observer's pages all say
the same, because they all ask here.
"""

from __future__ import annotations

from enum import StrEnum

from thermos.clock import Now
from thermos.core.fold import Run, TaskRecord
from thermos.core.planner import Planner, Standing
from thermos.core.states import ProcessState, TaskState
from thermos.core.words import countdown, plural, some_of
from thermos.model import ProcessSpec, TaskSpec
from thermos.words import ending_of


class Doing(StrEnum):
    """In the order in which people want to know."""

    FAILED = "failed"
    RUNNING = "running"
    RETRY = "retry"  # it will be started again
    READY = "ready"
    BLOCKED = "blocked"  # it waits for others
    IDLE = "idle"  # it did not run and will not
    STOPPED = "stopped"  # it ran until the task ended
    DONE = "done"


def doing_of(process: ProcessSpec, planner: Planner, task: TaskRecord) -> Doing:
    """`planner`: of its part of the task, fed with the same records as `task`. Cheap: no graph is walked."""
    record = task.processes.get(process.name)
    has_begun = record is not None and record.total > 0
    match planner.standing(process.name):
        case Standing.FAILED:
            return Doing.FAILED
        case Standing.FINISHED:
            return Doing.DONE
        case Standing.RUNNING:
            return Doing.RUNNING
        case Standing.BLOCKED:
            return Doing.BLOCKED if _may_still_run(process, task) else Doing.IDLE
        case Standing.READY:
            if _may_still_run(process, task):
                return Doing.RETRY if has_begun else Doing.READY
            return Doing.STOPPED if has_begun else Doing.IDLE


def note_of(
    process: ProcessSpec, doing: Doing, run: Run | None, planner: Planner, spec: TaskSpec, task: TaskRecord, now: Now
) -> str:
    """Why it waits, or how it ended; "" when there is nothing to add. `run`: its last one."""
    match doing:
        case Doing.FAILED if run is not None:
            return ending_of(run)
        case Doing.DONE if run is not None:
            return "" if run.state is ProcessState.SUCCESS else f"{ending_of(run)}, not needed"
        case Doing.RUNNING if run is not None and run.state is not ProcessState.RUNNING:
            return "starting"
        case Doing.BLOCKED:
            waits_for = planner.waits_for(process.name)
            return f"waits for {some_of(waits_for)}" if waits_for else "runs at the end" if process.final else ""
        case Doing.READY:
            return "runs at the end" if process.final else _ready_note(planner, spec)
        case Doing.RETRY if run is not None:
            return _retry_note(process, run, planner, spec, task, now)
        case Doing.IDLE:
            return "not run"
        case Doing.STOPPED if run is not None:
            return _stopped_note(run)
        case _:
            return ""


def failures_note(process: ProcessSpec, task: TaskRecord) -> str:
    """` (failure 1 of 3)`, if failures are counted."""
    record = task.processes.get(process.name)
    if record is None or not record.failures or process.max_failures < 2:
        return ""
    return f" (failure {record.failures} of {process.max_failures})"


def _may_still_run(process: ProcessSpec, task: TaskRecord) -> bool:
    if process.final:
        return not task.terminal
    return task.state in (None, TaskState.ACTIVE)


def _ready_note(planner: Planner, spec: TaskSpec) -> str:
    limit = spec.max_concurrency
    full = limit and len(planner.running) >= limit
    return f"waits for one of {plural(limit, 'slot')}" if full else "about to start"


def _retry_note(process: ProcessSpec, run: Run, planner: Planner, spec: TaskSpec, task: TaskRecord, now: Now) -> str:
    left = 0.0 if run.restart else run.ended_mono + process.min_duration - now.mono
    when = f" in {countdown(left)}" if left > 0 else f": {_ready_note(planner, spec)}"
    if run.restart or run.state is ProcessState.SUCCESS:
        return f"again{when}"
    return f"{ending_of(run)}; retry{when}{failures_note(process, task)}"


def _stopped_note(run: Run) -> str:
    if run.receipt is None:
        return "" if run.state is ProcessState.SUCCESS else ending_of(run)
    if not run.receipt.killed_count:
        return "stopped"
    return "killed: it did not leave when asked to" if run.receipt.signalled else "killed at once"
