"""The operations that change what the scheduler remembers; the journal is a list of them.

Each is frozen data with a tag, says what holds afterwards (never a difference to what was), and can be applied to any
tables that the ones before it lead to. A new operation gets a new tag and a new version of the store's format; no tag
ever changes its meaning. SaveAnswer and DeleteAnswers came with format 2.

There are no locks of jobs among them: whether a job is being updated follows from its updates.

Source: spec/scheduler.md §8.1.
"""

from __future__ import annotations

from scheduler.core.answers import Answer
from scheduler.core.cluster_model import HostAttributes, HostMaintenanceRequest, ResourceAggregate
from scheduler.core.model import JobConfiguration, JobKey, ScheduledTask, Wire
from scheduler.core.update_model import JobInstanceUpdateEvent, JobUpdate, JobUpdateEvent, JobUpdateKey


class _Op(Wire, frozen=True, tag=True, tag_field="op"):
    """The tag is the name of the class."""


class SaveFrameworkId(_Op, frozen=True):
    """None: the master does not know us any more, the next registration is a new one."""

    framework_id: str | None


class SaveTasks(_Op, frozen=True):
    tasks: tuple[ScheduledTask, ...]


class DeleteTasks(_Op, frozen=True):
    task_ids: tuple[str, ...]


class SaveCronJob(_Op, frozen=True):
    job: JobConfiguration


class DeleteCronJob(_Op, frozen=True):
    key: JobKey


class SaveQuota(_Op, frozen=True):
    role: str
    quota: ResourceAggregate


class DeleteQuota(_Op, frozen=True):
    role: str


class SaveHostAttributes(_Op, frozen=True):
    """With the host's maintenance mode."""

    attributes: HostAttributes


class DeleteHostAttributes(_Op, frozen=True):
    host: str


class SaveMaintenanceRequest(_Op, frozen=True):
    request: HostMaintenanceRequest


class DeleteMaintenanceRequest(_Op, frozen=True):
    host: str


class SaveJobUpdate(_Op, frozen=True):
    """Events that are there already stay."""

    update: JobUpdate


class SaveJobUpdateEvents(_Op, frozen=True):
    """Further events of an update, behind those it has."""

    key: JobUpdateKey
    events: tuple[JobUpdateEvent, ...]


class SaveInstanceUpdateEvents(_Op, frozen=True):
    """Further events of an update's instances, behind those it has."""

    key: JobUpdateKey
    events: tuple[JobInstanceUpdateEvent, ...]


class DeleteJobUpdates(_Op, frozen=True):
    """With all their events."""

    keys: tuple[JobUpdateKey, ...]


class SaveAnswer(_Op, frozen=True):
    """What was answered to a wish that has a key."""

    answer: Answer


class DeleteAnswers(_Op, frozen=True):
    keys: tuple[str, ...]


Op = (
    SaveFrameworkId
    | SaveTasks
    | DeleteTasks
    | SaveCronJob
    | DeleteCronJob
    | SaveQuota
    | DeleteQuota
    | SaveHostAttributes
    | DeleteHostAttributes
    | SaveMaintenanceRequest
    | DeleteMaintenanceRequest
    | SaveJobUpdate
    | SaveJobUpdateEvents
    | SaveInstanceUpdateEvents
    | DeleteJobUpdates
    | SaveAnswer
    | DeleteAnswers
)
