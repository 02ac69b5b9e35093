"""What the scheduler speaks of: jobs, configurations of tasks, tasks with their histories. Frozen plain data.

On the wire (API, journal) the fields have the original's names (camelCase), enums are strings, sets are lists. The full
equality of a `TaskConfig` is what "the same configuration" means, and what makes tasks one group for scheduling.

Units: cpus in cores, ram and disk in MB, moments in milliseconds since the epoch, durations in seconds.

Source: spec/scheduler.md §1.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from scheduler.core.states import ACTIVE, ScheduleStatus

#: Roles, environments, names, users, tiers.
IDENTIFIER = re.compile(r"[A-Za-z0-9_\-.]+")


class Wire(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """Base of everything that is stored or sent."""


class JobKey(Wire, frozen=True):
    role: str
    environment: str
    name: str

    def __str__(self) -> str:
        return f"{self.role}/{self.environment}/{self.name}"


class InstanceKey(Wire, frozen=True):
    job_key: JobKey
    instance_id: int

    def __str__(self) -> str:
        return f"{self.job_key}/{self.instance_id}"


class Identity(Wire, frozen=True):
    user: str = ""


class Resource(Wire, frozen=True):
    """A union: exactly one field is set."""

    num_cpus: float | None = None
    ram_mb: int | None = None
    disk_mb: int | None = None
    num_gpus: int | None = None
    named_port: str | None = None


class ValueConstraint(Wire, frozen=True):
    """The host has one of these values; negated: it has none of them."""

    values: tuple[str, ...] = ()
    negated: bool = False


class LimitConstraint(Wire, frozen=True):
    """At most so many tasks of the job on hosts that share a value."""

    limit: int


class TaskConstraint(Wire, frozen=True):
    """A union."""

    value: ValueConstraint | None = None
    limit: LimitConstraint | None = None


class Constraint(Wire, frozen=True):
    """`name` is a host attribute."""

    name: str
    constraint: TaskConstraint


class ExecutorConfig(Wire, frozen=True):
    name: str
    data: str = ""


class Metadata(Wire, frozen=True):
    key: str
    value: str = ""


class FetcherUri(Wire, frozen=True):
    value: str
    extract: bool | None = None
    cache: bool | None = None
    output_file: str | None = None


class PartitionPolicy(Wire, frozen=True):
    """What becomes of a task whose agent is out of sight: lost and replaced after the delay, or waited for."""

    reschedule: bool = True
    delay_secs: int = 0


class PercentageSlaPolicy(Wire, frozen=True):
    percentage: float
    duration_secs: int


class CountSlaPolicy(Wire, frozen=True):
    count: int
    duration_secs: int


class CoordinatorSlaPolicy(Wire, frozen=True):
    coordinator_url: str
    status_key: str = "drain"


class SlaPolicy(Wire, frozen=True):
    """A union."""

    percentage_sla_policy: PercentageSlaPolicy | None = None
    count_sla_policy: CountSlaPolicy | None = None
    coordinator_sla_policy: CoordinatorSlaPolicy | None = None


class Volume(Wire, frozen=True):
    container_path: str
    host_path: str
    mode: str = "RO"


class DockerImage(Wire, frozen=True):
    name: str
    tag: str


class AppcImage(Wire, frozen=True):
    name: str
    image_id: str


class Image(Wire, frozen=True):
    """A union."""

    docker: DockerImage | None = None
    appc: AppcImage | None = None


class DockerParameter(Wire, frozen=True):
    name: str
    value: str


class DockerContainer(Wire, frozen=True):
    image: str = ""
    parameters: tuple[DockerParameter, ...] = ()


class MesosContainer(Wire, frozen=True):
    image: Image | None = None
    volumes: tuple[Volume, ...] = ()


class Container(Wire, frozen=True):
    """A union; without any it is a Mesos container without image."""

    mesos: MesosContainer | None = None
    docker: DockerContainer | None = None


class TaskConfig(Wire, frozen=True):
    """All that makes two instances the same."""

    job: JobKey
    owner: Identity = Identity()
    is_service: bool = False
    priority: int = 0
    max_task_failures: int = 1
    production: bool = False
    tier: str | None = None
    resources: tuple[Resource, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    mesos_fetcher_uris: tuple[FetcherUri, ...] = ()
    task_links: dict[str, str] = {}
    contact_email: str | None = None
    executor_config: ExecutorConfig | None = None
    metadata: tuple[Metadata, ...] = ()
    container: Container = Container()
    partition_policy: PartitionPolicy | None = None
    sla_policy: SlaPolicy | None = None

    @property
    def dedicated(self) -> Constraint | None:
        """The constraint that asks for dedicated hosts, if there is one."""
        return next((c for c in self.constraints if c.name == DEDICATED), None)


#: The host attribute of hosts that are kept for one role.
DEDICATED = "dedicated"


class TaskEvent(Wire, frozen=True):
    """`timestamp` in milliseconds."""

    timestamp: int
    status: ScheduleStatus
    message: str = ""
    scheduler: str = ""


class AssignedTask(Wire, frozen=True):
    """What an executor is launched with."""

    task_id: str
    task: TaskConfig
    instance_id: int
    slave_id: str = ""
    slave_host: str = ""
    assigned_ports: dict[str, int] = {}


class ScheduledTask(Wire, frozen=True):
    """One task of an instance, with all that happened to it; `ancestor_id` is the task that it replaces."""

    assigned_task: AssignedTask
    status: ScheduleStatus = ScheduleStatus.INIT
    failure_count: int = 0
    times_partitioned: int = 0
    task_events: tuple[TaskEvent, ...] = ()
    ancestor_id: str | None = None

    @property
    def id(self) -> str:
        return self.assigned_task.task_id

    @property
    def config(self) -> TaskConfig:
        return self.assigned_task.task

    @property
    def instance(self) -> InstanceKey:
        return InstanceKey(job_key=self.config.job, instance_id=self.assigned_task.instance_id)

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE


class JobConfiguration(Wire, frozen=True):
    key: JobKey
    task_config: TaskConfig
    owner: Identity = Identity()
    cron_schedule: str | None = None
    cron_collision_policy: str = "KILL_EXISTING"
    instance_count: int = 1


def task_id_of(job: JobKey, instance: int, unique: str) -> str:
    """`role-env-name-instance-uuid`, as a directory can be called; `unique` is a uuid as text."""
    return re.sub(r"[^\w-]", "-", f"{job.role}-{job.environment}-{job.name}-{instance}-{unique}")


def parse_task_config(value: Any) -> TaskConfig:
    """Of plain JSON data. Raises msgspec.ValidationError, with the field's path."""
    return msgspec.convert(value, TaskConfig)
