"""What a status of Mesos means here: a state, and the words that people read.

Nothing that a status says can be wrong enough to raise: a state that is not known means nothing (and is acknowledged),
words are cut where they are too long, reasons that are not Mesos' own are counted together.

Source: spec/scheduler.md §2.5.
"""

from __future__ import annotations

from dataclasses import dataclass

from mesos.core.messages import Reason, TaskState, TaskStatus
from scheduler.core.states import OF_MESOS, ScheduleStatus

MEMORY_LIMIT = "Task used more memory than requested."
DISK_LIMIT = "Task used more disk than requested."

#: Characters; what an executor says is kept with the task for as long as that is.
MOST_WORDS = 4096

_STATES = {state.value: state for state in TaskState}
_REASONS = frozenset(reason.value for reason in Reason)
_PREFIX = "REASON_"


@dataclass(frozen=True, slots=True)
class Report:
    """`to` None: a state that we don't know. `reason` is one of a bounded set of words, for counting. `is_unknown`: it
    is the master that does not know the task."""

    task_id: str
    to: ScheduleStatus | None
    message: str
    reason: str
    agent_id: str | None
    is_unknown: bool = False

    def means(self, current: ScheduleStatus | None) -> ScheduleStatus | None:
        """For a task in that state. What was never heard of is not out of sight: its launch got lost."""
        if self.is_unknown and current is ScheduleStatus.ASSIGNED:
            return ScheduleStatus.LOST
        return self.to


def read_status(status: TaskStatus) -> Report:
    state = _STATES.get(status.state)
    return Report(
        task_id=status.task_id.value,
        to=OF_MESOS[state] if state is not None else None,
        message=cut(_words(status)),
        reason=_reason(status.reason),
        agent_id=status.agent_id.value if status.agent_id is not None else None,
        is_unknown=state is TaskState.UNKNOWN,
    )


def cut(words: str) -> str:
    if len(words) <= MOST_WORDS:
        return words
    return words[: MOST_WORDS - 1] + "…"


def _words(status: TaskStatus) -> str:
    match status.reason:
        case Reason.EXECUTOR_UNREGISTERED:
            return ""  # Mesos' words about how it ended the executor tell nobody anything
        case Reason.CONTAINER_LIMITATION_MEMORY:
            return status.message or MEMORY_LIMIT
        case Reason.CONTAINER_LIMITATION_DISK:
            return status.message or DISK_LIMIT
        case _:
            return status.message


def _reason(reason: str) -> str:
    if not reason:
        return "NONE"
    return reason.removeprefix(_PREFIX) if reason in _REASONS else "OTHER"
