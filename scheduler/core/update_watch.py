"""What an update waits for, of which instance, and since when: the answer to "why does it not go on".

Source: spec/scheduler.md §4.4, the specification's list of weak points (§13, 17).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from scheduler.core.model import ScheduledTask, Wire
from scheduler.core.states import ACTIVE, ENDING, ScheduleStatus

_S = ScheduleStatus


class WaitKind(StrEnum):
    """Of the update as a whole: RESUME, PULSE, MASTER. All others are of an instance."""

    RESUME = "RESUME"
    PULSE = "PULSE"
    MASTER = "MASTER"
    SLA = "SLA"
    STOP = "STOP"
    THROTTLE = "THROTTLE"
    PLACEMENT = "PLACEMENT"
    START = "START"
    WATCH = "WATCH"
    RETURN = "RETURN"
    TASK = "TASK"

    @property
    def text(self) -> str:
        return _TEXTS[self]


_TEXTS: dict[WaitKind, str] = {
    WaitKind.RESUME: "it is paused; resume it to go on",
    WaitKind.PULSE: "no pulse came from the service that watches it",
    WaitKind.MASTER: "the Mesos master can't be heard",
    WaitKind.SLA: "its SLA policy does not allow it to be stopped yet",
    WaitKind.STOP: "it is stopping",
    WaitKind.THROTTLE: "it failed and waits before it is tried again",
    WaitKind.PLACEMENT: "no host was found for it yet",
    WaitKind.START: "it is starting and is not healthy yet",
    WaitKind.WATCH: "it is running and being watched",
    WaitKind.RETURN: "its agent is out of sight",
    WaitKind.TASK: "its task is about to be made",
}

_OF_STATUS: dict[ScheduleStatus, WaitKind] = {
    **dict.fromkeys(ENDING, WaitKind.STOP),
    _S.THROTTLED: WaitKind.THROTTLE,
    _S.PENDING: WaitKind.PLACEMENT,
    _S.ASSIGNED: WaitKind.START,
    _S.STARTING: WaitKind.START,
    _S.RUNNING: WaitKind.WATCH,
    _S.PARTITIONED: WaitKind.RETURN,
}


@dataclass(frozen=True, slots=True)
class Wait:
    """`since_ms`, `until_ms`: wall time; until None: nobody knows."""

    kind: WaitKind
    since_ms: int
    until_ms: int | None = None


class Waiting(Wire, frozen=True):
    """As the API tells it; `instance` None: the whole update waits."""

    what: WaitKind
    text: str
    since_ms: int
    instance: int | None = None
    until_ms: int | None = None

    def __str__(self) -> str:
        return self.text if self.instance is None else f"instance {self.instance}: {self.text}"


def waiting(wait: Wait, instance: int | None = None) -> Waiting:
    return Waiting(
        what=wait.kind, text=wait.kind.text, since_ms=wait.since_ms, instance=instance, until_ms=wait.until_ms
    )


def wait_for(task: ScheduledTask, until_ms: int | None = None) -> Wait:
    """What an active task is in the middle of."""
    return Wait(_OF_STATUS[task.status], last_change_ms(task), until_ms)


def last_change_ms(task: ScheduledTask) -> int:
    """When something was last heard of it."""
    return task.task_events[-1].timestamp if task.task_events else 0


assert set(_TEXTS) == set(WaitKind), "every kind has a text"
assert set(_OF_STATUS) == ACTIVE, "every active status is waited for in some way"
