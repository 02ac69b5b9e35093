"""What an agent keeps: frameworks, their executors, the executors' tasks, updates that wait.

In Mesos all this is in memory, and what checkpoints is on disk, too. The embedded agent has one copy, and `AgentDisk`
holds it: after a kill -9 the next `Agent` gets the same disk, and `agent_recovery` forgets what a disk would not have.
Whatever an agent promises (an acknowledgement to an executor, a launch) is here before its effects are performed.

Identities are made from the disk's `seed` and a counter: two runs of a simulation are the same, and no restart makes
an identity twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from mesos.core.messages import (
    AgentID,
    AgentInfo,
    ContainerID,
    DurationInfo,
    ExecutorInfo,
    FrameworkInfo,
    KillPolicy,
    Resource,
    TaskGroupInfo,
    TaskInfo,
)
from mesos.local.core.agent_states import ExecutorState
from mesos.local.core.agent_updates import UpdateStream
from mesos.local.core.protocol import Task


@dataclass(slots=True, eq=False)
class Verdict:
    """Why an executor is ended, if the agent decided it: what its tasks will be said to have come to."""

    state: str
    reason: str
    message: str


@dataclass(slots=True, eq=False)
class Executor:
    """One run of an executor. A task is in one of `queued` (not sent yet), `launched`, `terminated` (updates wait)."""

    info: ExecutorInfo
    framework_id: str
    container_id: ContainerID
    directory: str
    state: ExecutorState = ExecutorState.REGISTERING
    pid: int = 0
    is_connected: bool = False  # it has a stream
    was_sent_task: bool = False
    is_recovered: bool = False  # it was here before the agent's restart
    verdict: Verdict | None = None
    queued: dict[str, TaskInfo] = field(default_factory=dict)
    groups: list[TaskGroupInfo] | None = None  # of the queued ones: launched together
    launched: dict[str, Task] = field(default_factory=dict)
    terminated: dict[str, Task] | None = None
    completed: list[Task] | None = None
    policies: dict[str, KillPolicy] | None = None

    @property
    def id(self) -> str:
        return self.info.executor_id.value

    @property
    def has_incomplete_tasks(self) -> bool:
        return bool(self.queued or self.launched or self.terminated)

    def has_task(self, task_id: str) -> bool:
        return task_id in self.queued or task_id in self.launched or task_id in (self.terminated or ())

    def group_of(self, task_id: str) -> TaskGroupInfo | None:
        """The queued group that this task waits in."""
        return next((g for g in self.groups or () if any(t.task_id.value == task_id for t in g.tasks)), None)


@dataclass(slots=True, eq=False)
class Framework:
    info: FrameworkInfo
    executors: dict[str, Executor] = field(default_factory=dict)
    completed_executors: list[Executor] | None = None
    is_terminating: bool = False

    @property
    def id(self) -> str:
        assert self.info.id is not None
        return self.info.id.value

    def executor_of(self, task_id: str) -> Executor | None:
        return next((e for e in self.executors.values() if e.has_task(task_id)), None)


@dataclass(slots=True, eq=False)
class Drain:
    """The operator wants the agent empty."""

    started_at: float  # epoch seconds
    max_grace_period: DurationInfo | None = None
    mark_gone: bool = False


class AgentDisk:
    """`seed` tells this agent's identities from all others'."""

    __slots__ = (
        "agent_id", "completed_frameworks", "counter", "drain", "frameworks", "info", "operated", "seed", "streams",
        "total",
    )  # fmt: skip

    def __init__(self, seed: str) -> None:
        self.seed = seed
        self.counter = 0
        self.forget()

    def forget(self) -> None:
        """As if `meta/slaves/latest` were removed: the agent registers as a new one."""
        self.agent_id: AgentID | None = None
        self.info: AgentInfo | None = None  # as of the last start, to see what changed
        self.total: tuple[Resource, ...] | None = None  # with reservations and volumes, once there were any
        self.operated: tuple[bytes, ...] = ()  # uuids of the last operations that were applied
        self.drain: Drain | None = None
        self.frameworks: dict[str, Framework] | None = None
        self.completed_frameworks: list[Framework] | None = None
        self.streams: dict[tuple[str, str], UpdateStream] | None = None

    def executors(self) -> Iterator[tuple[Framework, Executor]]:
        for framework in tuple((self.frameworks or {}).values()):
            for executor in tuple(framework.executors.values()):
                yield framework, executor

    def new_uuid(self) -> bytes:
        """16 bytes with the marks of a random UUID."""
        self.counter += 1
        digest = bytearray(hashlib.blake2b(f"{self.seed}/{self.counter}".encode(), digest_size=16).digest())
        digest[6] = digest[6] & 0x0F | 0x40
        digest[8] = digest[8] & 0x3F | 0x80
        return bytes(digest)

    def new_fraction(self) -> float:
        """At least 0, less than 1."""
        return int.from_bytes(self.new_uuid()[:6], "big") / 2**48


def uuid_text(uuid: bytes) -> str:
    text = uuid.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
