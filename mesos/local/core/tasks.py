"""A task as the master keeps it, and the table of what a status does to it.

What matters to the master is not the state but the standing: does the task hold resources, is it out of sight, has it
ended. `TABLE` is total over (standing, what the status says):

    LIVE --live--> MOVED          LIVE --ended--> ENDED (resources come free)     LIVE --unreachable--> LOST_SIGHT
    AWAY --live--> BACK           AWAY --ended--> ENDED_AWAY                      AWAY --unreachable--> NOOP
    OVER --anything--> LATE: a task that ended stays as it ended

A task that ended stays known until its last status is acknowledged, or at once where nothing waits for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from mesos.core.messages import (
    TERMINAL_STATES,
    AgentID,
    DiscoveryInfo,
    ExecutorID,
    FrameworkID,
    Labels,
    Opaque,
    TaskID,
    TaskInfo,
    TaskState,
    TaskStatus,
)
from mesos.local.core import protocol
from mesos.local.core.resources import Resources


class Standing(StrEnum):
    LIVE = "live"  # on its agent, holding resources
    AWAY = "away"  # its agent is unreachable
    OVER = "over"  # ended


class Says(StrEnum):
    """What a status says, as far as standings go."""

    LIVE = "live"
    ENDED = "ended"
    UNREACHABLE = "unreachable"


class Outcome(StrEnum):
    MOVED = "moved"
    ENDED = "ended"
    LOST_SIGHT = "lost sight"
    BACK = "back"
    ENDED_AWAY = "ended while away"
    NOOP = "noop"
    LATE = "late"


TABLE: Mapping[tuple[Standing, Says], tuple[Standing, Outcome]] = {
    (Standing.LIVE, Says.LIVE): (Standing.LIVE, Outcome.MOVED),
    (Standing.LIVE, Says.ENDED): (Standing.OVER, Outcome.ENDED),
    (Standing.LIVE, Says.UNREACHABLE): (Standing.AWAY, Outcome.LOST_SIGHT),
    (Standing.AWAY, Says.LIVE): (Standing.LIVE, Outcome.BACK),
    (Standing.AWAY, Says.ENDED): (Standing.OVER, Outcome.ENDED_AWAY),
    (Standing.AWAY, Says.UNREACHABLE): (Standing.AWAY, Outcome.NOOP),
    **{(Standing.OVER, says): (Standing.OVER, Outcome.LATE) for says in Says},
}


def says_of(state: str) -> Says:
    if state in TERMINAL_STATES:
        return Says.ENDED
    return Says.UNREACHABLE if state == TaskState.UNREACHABLE else Says.LIVE


class TaskRecord:
    """Mutable, one per task; few words, because there are hundreds of thousands. `resources` are its own alone;
    `shared` ones (volumes) others may use at the same time, and they are never allocated."""

    __slots__ = ("agent", "container", "discovery", "executor", "framework", "id", "labels", "name", "resources",
                 "shared", "standing", "state", "status_state", "status_uuid", "statuses")  # fmt: skip

    def __init__(self, framework: str, agent: str, task: str, name: str, executor: str, resources: Resources) -> None:
        self.framework, self.agent, self.id, self.name, self.executor = framework, agent, task, name, executor
        self.resources = resources.filter(lambda key: not key.shared)
        self.shared = resources.filter(lambda key: key.shared)
        self.state: str = TaskState.STAGING
        self.standing = Standing.LIVE
        self.status_state = ""
        self.status_uuid = b""
        self.statuses: tuple[TaskStatus, ...] = ()
        self.labels: Labels | None = None
        self.discovery: DiscoveryInfo | None = None
        self.container: Opaque | None = None

    @classmethod
    def launched(cls, framework: str, agent: str, task: TaskInfo, executor: str, resources: Resources) -> TaskRecord:
        """`executor` only where it is one of the framework's own."""
        record = cls(framework, agent, task.task_id.value, task.name, executor, resources)
        record.labels, record.discovery, record.container = task.labels, task.discovery, task.container
        return record

    @classmethod
    def told(cls, task: protocol.Task, agent: str) -> TaskRecord:
        """As an agent says that it is."""
        executor = task.executor_id.value if task.executor_id is not None else ""
        resources = Resources.of(task.resources)
        record = cls(task.framework_id.value, agent, task.task_id.value, task.name, executor, resources)
        record.labels, record.discovery = task.labels, task.discovery
        record.state, record.statuses = task.state, task.statuses
        record.status_state, record.status_uuid = task.status_update_state, task.status_update_uuid
        record.standing = TABLE[Standing.LIVE, says_of(task.state)][0]
        return record

    @property
    def over(self) -> bool:
        return self.standing is Standing.OVER

    def update(self, status: TaskStatus, latest: str) -> Outcome:
        """`latest` is where the sender knows the task to be, perhaps ahead of `status`."""
        after, outcome = TABLE[self.standing, says_of(latest)]
        if outcome is not Outcome.LATE:
            self.standing, self.state = after, latest
        if status.uuid:
            self.status_state, self.status_uuid = status.state, status.uuid
        kept = self.statuses[:-1] if self.statuses and self.statuses[-1].state == status.state else self.statuses
        self.statuses = (*kept[-9:], msgspec.structs.replace(status, data=b"") if status.data else status)
        return outcome

    @property
    def reported_state(self) -> str:
        """What reconciliation says: what was told last, not what the agent knows by now."""
        return self.status_state or self.state

    def message(self) -> protocol.Task:
        return protocol.Task(
            name=self.name,
            task_id=TaskID(value=self.id),
            framework_id=FrameworkID(value=self.framework),
            agent_id=AgentID(value=self.agent),
            state=self.state,
            resources=(self.resources + self.shared).as_messages(),
            executor_id=ExecutorID(value=self.executor) if self.executor else None,
            statuses=self.statuses,
            status_update_state=self.status_state,
            status_update_uuid=self.status_uuid,
            labels=self.labels,
            discovery=self.discovery,
        )
