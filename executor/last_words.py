"""The message of a task's last status: what the task says of itself, and what failed in it first.

    Task failed. Process 'web' failed: exit code 1: ImportError: no module named flask

Source: spec/thermos.md §2.14 (the beginnings of the messages are the original's).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mesos.core.messages import TaskState as MesosState
from thermos.core.failures import Failure, failures
from thermos.core.fold import Run, TaskRecord
from thermos.core.states import TaskState
from thermos.model import TaskSpec
from thermos.words import ending_of, printable

#: Characters of an error line, and of a whole message: the scheduler keeps them all.
MAX_LINE, MAX_MESSAGE = 200, 1000

ENDS: Mapping[TaskState | None, tuple[MesosState, str]] = {
    TaskState.SUCCESS: (MesosState.FINISHED, "Task finished."),
    TaskState.FAILED: (MesosState.FAILED, "Task failed."),
    TaskState.KILLED: (MesosState.KILLED, "Task killed."),
    TaskState.LOST: (MesosState.LOST, "Task lost."),
}

#: (run) -> the last lines of its stderr, newest last.
Tail = Callable[[Run], list[str]]


def last_words(spec: TaskSpec, task: TaskRecord, tail: Tail) -> tuple[MesosState, str]:
    """State and message for a task that is over by itself."""
    state, words = ENDS.get(task.state, (MesosState.LOST, "Task checkpoint could not be read."))
    if state is MesosState.FINISHED:
        return state, words
    failed = failures(spec, task)
    if failed:
        more = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
        words += f" {_of_process(failed[0], tail)}{more}"
    elif task.reason and task.reason.lower() not in words.lower():
        words += f" {printable(task.reason).rstrip('.')}."
    return state, words[:MAX_MESSAGE]


def _of_process(failure: Failure, tail: Tail) -> str:
    lines = tail(failure.run)
    said = f": {lines[-1][:MAX_LINE]}" if lines else ""
    return f"Process {failure.process!r} failed: {ending_of(failure.run)}{said}"
