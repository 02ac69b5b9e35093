"""Tasks as the API tells of them: what commands ask of a ScheduledTask, and the sets of its states.

A state is text here: a scheduler that is newer than we are may know others, and they are active ones then.

Source: spec/scheduler.md §1.4, §1.8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from thermos.errors import RemoteError
from thermos.words import printable

TERMINAL = frozenset({"FINISHED", "FAILED", "KILLED", "LOST"})
#: The store does not have it any more.
DELETED = "DELETED"
#: It waits for a host, or for its turn.
WAITING = frozenset({"INIT", "PENDING", "THROTTLED"})
OVER = TERMINAL | {DELETED}


class _Seen(msgspec.Struct, frozen=True, rename="camel"):
    """Unknown fields are left alone, missing ones have the scheduler's defaults."""


class TaskEvent(_Seen, frozen=True):
    timestamp: int = 0
    status: str = "INIT"
    message: str = ""


class AssignedTask(_Seen, frozen=True):
    task_id: str
    instance_id: int = 0
    slave_id: str = ""
    slave_host: str = ""
    assigned_ports: dict[str, int] = {}
    task: dict[str, Any] = {}


class Task(_Seen, frozen=True):
    assigned_task: AssignedTask
    status: str = "INIT"
    failure_count: int = 0
    times_partitioned: int = 0
    task_events: list[TaskEvent] = []
    ancestor_id: str | None = None

    @property
    def id(self) -> str:
        return self.assigned_task.task_id

    @property
    def instance(self) -> int:
        return self.assigned_task.instance_id

    @property
    def host(self) -> str:
        return self.assigned_task.slave_host

    @property
    def config(self) -> dict[str, Any]:
        return self.assigned_task.task

    @property
    def is_active(self) -> bool:
        return self.status not in OVER

    @property
    def since_ms(self) -> int:
        return self.task_events[-1].timestamp if self.task_events else 0

    @property
    def message(self) -> str:
        return self.task_events[-1].message if self.task_events else ""


def parse_task(document: Mapping[str, Any]) -> Task:
    """Raises RemoteError: that is no task."""
    try:
        return msgspec.convert(document, Task)
    except msgspec.ValidationError as error:
        raise RemoteError(f"the scheduler's answer is not understood: {error}") from error


def one_line(text: str) -> str:
    """What others wrote, as one line that is harmless for a terminal."""
    return printable(" ".join(text.split()))


def resources_of(config: Mapping[str, Any]) -> dict[str, float]:
    """`cpus`, `ram`, `disk` (MB) and `gpus` of a TaskConfig; 0 for what is not there."""
    names = {"numCpus": "cpus", "ramMb": "ram", "diskMb": "disk", "numGpus": "gpus"}
    found = dict.fromkeys(names.values(), 0.0)
    for resource in config.get("resources") or ():
        for wire, name in names.items():
            if resource.get(wire) is not None:
                found[name] = float(resource[wire])
    return found
