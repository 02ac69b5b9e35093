"""Which processes of a task failed by themselves: what people want to know first when it is over."""

from __future__ import annotations

from msgspec import Struct

from thermos.core.fold import Run, TaskRecord
from thermos.core.states import ProcessState, TaskState
from thermos.model import TaskSpec


class Failure(Struct, frozen=True):
    """A process whose last run did not end well, by itself."""

    process: str
    run: Run
    runs: int


def failures(spec: TaskSpec, task: TaskRecord) -> list[Failure]:
    """In the order of the task. What was stopped because the task ended did not fail."""
    found = []
    for process in spec.processes:
        record = task.processes.get(process.name)
        last = record.last if record is not None else None
        if record is not None and last is not None and _went_wrong(last, task):
            found.append(Failure(process.name, last, record.total))
    return found


def _went_wrong(run: Run, task: TaskRecord) -> bool:
    if run.state is ProcessState.LOST:
        return True
    if run.state is ProcessState.KILLED or (run.state is ProcessState.FAILED and run.receipt is not None):
        return run.receipt is None and not _while_ending(run, task)
    return run.state is ProcessState.FAILED


def _while_ending(run: Run, task: TaskRecord) -> bool:
    """It ended after the task had begun to."""
    cleaning = next((s.at for s in task.history if s.state is TaskState.CLEANING), None)
    return cleaning is not None and run.ended_at >= cleaning
