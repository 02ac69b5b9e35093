"""What the executor needs of this machine, as one seam: sandboxes, runners, checks, endpoints. Tests replace it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct

from executor.core.lifecycle import Waits
from executor.payload import AssignedTask, Assignment
from mesos.core.messages import Opaque
from thermos.clock import Now
from thermos.core.fold import Run, TaskRecord
from thermos.model import TaskSpec


class OwnedTask(Protocol):
    """A task that we own; `thermos.runner.Runner` is one, and the loop drives it."""

    spec: TaskSpec
    task: TaskRecord
    done: bool
    next_wake: float | None
    trouble: str

    def fileno(self) -> int: ...
    def on_ready(self, now: Now) -> None: ...
    def on_timer(self, now: Now) -> None: ...
    def kill(self, now: Now, grace: float | None = None, *, finalize: bool = True, reason: str = "") -> None: ...
    def lose(self, now: Now, *, reason: str = "") -> None: ...
    def close(self) -> None: ...


class Said(StrEnum):
    """What checks say of a task."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    STOPPED = "stopped"


Report = Callable[[Said, str, Now], None]


class Checks(Protocol):
    """Health, disk and announcement of one task. `stop` is answered by one STOPPED."""

    def start(self, now: Now) -> None: ...
    def stop(self, now: Now) -> None: ...
    def state(self) -> dict[str, Any]: ...


class Prepared(Struct, frozen=True):
    """An assignment with a sandbox. `place` is the machinery's own."""

    assignment: Assignment
    waits: Waits
    port: int | None  # of the HTTP lifecycle
    graceful_endpoint: str = ""
    shutdown_endpoint: str = ""
    place: Any = None


class Machinery(Protocol):
    def prepare(self, assigned: AssignedTask, container: Opaque | None) -> Prepared:
        """`container`: the executor's own. Blocking, in a worker. Raises ThermosError with one line."""

    def own(self, prepared: Prepared, now: Now) -> OwnedTask:
        """Begin the task. Raises ThermosError."""

    def checks(self, prepared: Prepared, report: Report) -> Checks: ...

    def post(self, port: int, endpoint: str, timeout_s: float) -> bool:
        """Blocking, in a worker: whether the application handled it."""

    def tail(self, task: TaskRecord, run: Run) -> list[str]:
        """The last line of a run's stderr, if it has one."""
