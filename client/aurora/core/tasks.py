"""Tasks as the API tells of them: what commands ask of a ScheduledTask, and the sets of its states.

A state is text here: a scheduler that is newer than we are may know others, and they are active ones then.

Source: spec/scheduler.md §1.3, §1.4, §1.8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from client.aurora.core.answers import Amount, Answer, Count, MomentMs, parse

TERMINAL = frozenset({"FINISHED", "FAILED", "KILLED", "LOST"})
#: The store does not have it any more.
DELETED = "DELETED"
#: It waits for a host, or for its turn.
WAITING = frozenset({"INIT", "PENDING", "THROTTLED"})
OVER = TERMINAL | {DELETED}


class TaskEvent(Answer, frozen=True):
    timestamp: MomentMs = 0
    status: str = "INIT"
    message: str = ""


class Resource(Answer, frozen=True):
    num_cpus: Amount | None = None
    ram_mb: Amount | None = None
    disk_mb: Amount | None = None
    num_gpus: Amount | None = None


class Metadata(Answer, frozen=True):
    key: str = ""
    value: str = ""


class JobName(Answer, frozen=True):
    role: str = ""
    environment: str = ""
    name: str = ""


class SlaPolicy(Answer, frozen=True):
    count_sla_policy: dict[str, Any] | None = None
    percentage_sla_policy: dict[str, Any] | None = None


class Config(Answer, frozen=True):
    """Of a TaskConfig what people are shown."""

    job: JobName = JobName()
    is_service: bool = False
    max_task_failures: Count = 1
    resources: list[Resource] = []
    metadata: list[Metadata] = []
    sla_policy: SlaPolicy | None = None

    @property
    def amounts(self) -> Resource:
        """All resources together, 0 for what is not there."""
        names = ("num_cpus", "ram_mb", "disk_mb", "num_gpus")
        return Resource(*(next((v for r in self.resources if (v := getattr(r, n)) is not None), 0.0) for n in names))


class AssignedTask(Answer, frozen=True):
    task_id: str
    instance_id: Count = 0
    slave_host: str = ""
    assigned_ports: dict[str, Count] = {}
    task: Config = Config()


class Task(Answer, frozen=True):
    assigned_task: AssignedTask
    status: str = "INIT"
    failure_count: Count = 0
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
    def config(self) -> Config:
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


class TaskNews(Answer, frozen=True):
    """An event of the stream."""

    task_id: str
    instance: Count
    status: str
    timestamp: MomentMs = 0
    host: str = ""
    message: str = ""


class DeletedNews(Answer, frozen=True):
    task_ids: list[str] = []


def parse_task(document: Mapping[str, Any]) -> Task:
    """Raises RemoteError: that is no task."""
    return parse(document, Task)
