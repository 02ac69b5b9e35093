"""What a turn of the scheduler wants done outside of its memory, after its commit, in the order in which it was told.

Inside of a turn everything is an operation of the store; an effect is what somebody else gets to see: the master, or
who listens to the stream of events. A turn that can't be committed has no effects.

Source: spec/scheduler.md §2.1, §2.4, §3.1, §8.4.
"""

from __future__ import annotations

from msgspec import Struct

from mesos.core.messages import OfferID, TaskInfo, TaskStatus
from scheduler.core.model import ScheduledTask
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_model import JobInstanceUpdateEvent, JobUpdateEvent, JobUpdateKey


class KillTask(Struct, frozen=True):
    """`agent_id` None: not known; the master finds it."""

    task_id: str
    agent_id: str | None = None


class AcknowledgeStatus(Struct, frozen=True):
    """Of a status that waits for it; what it changed is durable."""

    status: TaskStatus


class LaunchTasks(Struct, frozen=True):
    """On one offer; what is left of it is not offered again for `refuse_s` seconds."""

    offer_id: OfferID
    tasks: tuple[TaskInfo, ...]
    refuse_s: float


class DeclineOffers(Struct, frozen=True):
    offer_ids: tuple[OfferID, ...]
    refuse_s: float


class AcceptInverseOffers(Struct, frozen=True):
    inverse_offer_ids: tuple[OfferID, ...]


class ReconcileTasks(Struct, frozen=True):
    """(task id, agent id or None) of each; none at all: whatever the master knows."""

    tasks: tuple[tuple[str, str | None], ...] = ()


class TaskChanged(Struct, frozen=True):
    """`old` None: it is new."""

    task: ScheduledTask
    old: ScheduleStatus | None


class TasksDeleted(Struct, frozen=True):
    tasks: tuple[ScheduledTask, ...]


class UpdateChanged(Struct, frozen=True):
    """It has another status, or is new."""

    key: JobUpdateKey
    event: JobUpdateEvent


class InstancesUpdated(Struct, frozen=True):
    """What became of instances of an update."""

    key: JobUpdateKey
    events: tuple[JobInstanceUpdateEvent, ...]


#: For those who follow what happens, and nobody else.
News = TaskChanged | TasksDeleted | UpdateChanged | InstancesUpdated

Effect = (
    KillTask
    | AcknowledgeStatus
    | LaunchTasks
    | DeclineOffers
    | AcceptInverseOffers
    | ReconcileTasks
    | TaskChanged
    | TasksDeleted
    | UpdateChanged
    | InstancesUpdated
)
