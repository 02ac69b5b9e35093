"""All that the scheduler remembers, in memory: a fold over the operations of the journal.

`apply` is the only way to change it, is deterministic, reads no clock, and costs what its operation is long. Two
tables are equal when the same is in them, whichever way they came to it. One owner; readers get frozen values.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from scheduler.core.cluster_model import HostAttributes, HostMaintenanceRequest, ResourceAggregate
from scheduler.core.model import JobConfiguration, JobKey
from scheduler.store.answer_table import AnswerTable
from scheduler.store.ops import (
    DeleteAnswers,
    DeleteCronJob,
    DeleteHostAttributes,
    DeleteJobUpdates,
    DeleteMaintenanceRequest,
    DeleteQuota,
    DeleteTasks,
    Op,
    SaveAnswer,
    SaveCronJob,
    SaveFrameworkId,
    SaveHostAttributes,
    SaveInstanceUpdateEvents,
    SaveJobUpdate,
    SaveJobUpdateEvents,
    SaveMaintenanceRequest,
    SaveQuota,
    SaveTasks,
)
from scheduler.store.task_table import TaskTable
from scheduler.store.update_table import UpdateTable


class Tables:
    """`applied` counts operations, so that a journal can tell whether it speaks of the same ones."""

    def __init__(self) -> None:
        self.applied = 0
        self.framework_id: str | None = None
        self.tasks = TaskTable()
        self.updates = UpdateTable()
        self.cron_jobs: dict[JobKey, JobConfiguration] = {}
        self.quotas: dict[str, ResourceAggregate] = {}
        self.hosts: dict[str, HostAttributes] = {}
        self.maintenance: dict[str, HostMaintenanceRequest] = {}
        self.answers = AnswerTable()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tables) and self._content() == other._content()

    __hash__ = None  # type: ignore[assignment]

    def _content(self) -> tuple[object, ...]:
        return (
            self.framework_id,
            self.tasks,
            self.updates,
            self.cron_jobs,
            self.quotas,
            self.hosts,
            self.maintenance,
            self.answers,
        )


def apply(tables: Tables, op: Op) -> None:
    """Raises Bug for what can't be: a second active task of an instance, an event of an update that is not there."""
    match op:
        case SaveTasks():
            for task in op.tasks:
                tables.tasks.save(task)
        case DeleteTasks():
            for task_id in op.task_ids:
                tables.tasks.delete(task_id)
        case SaveHostAttributes():
            tables.hosts[op.attributes.host] = op.attributes
        case DeleteHostAttributes():
            tables.hosts.pop(op.host, None)
        case SaveMaintenanceRequest():
            tables.maintenance[op.request.host] = op.request
        case DeleteMaintenanceRequest():
            tables.maintenance.pop(op.host, None)
        case SaveCronJob():
            tables.cron_jobs[op.job.key] = op.job
        case DeleteCronJob():
            tables.cron_jobs.pop(op.key, None)
        case SaveQuota():
            tables.quotas[op.role] = op.quota
        case DeleteQuota():
            tables.quotas.pop(op.role, None)
        case SaveFrameworkId():
            tables.framework_id = op.framework_id
        case SaveAnswer():
            tables.answers.save(op.answer)
        case DeleteAnswers():
            for key in op.keys:
                tables.answers.delete(key)
        case SaveJobUpdate() | SaveJobUpdateEvents() | SaveInstanceUpdateEvents() | DeleteJobUpdates():
            _apply_to_updates(tables.updates, op)
        case _:
            assert_never(op)
    tables.applied += 1


def _apply_to_updates(
    updates: UpdateTable, op: SaveJobUpdate | SaveJobUpdateEvents | SaveInstanceUpdateEvents | DeleteJobUpdates
) -> None:
    match op:
        case SaveJobUpdate():
            updates.save(op.update)
        case SaveJobUpdateEvents():
            updates.add_events(op.key, op.events)
        case SaveInstanceUpdateEvents():
            updates.add_instance_events(op.key, op.events)
        case DeleteJobUpdates():
            for key in op.keys:
                updates.delete(key)


def replay(ops: Iterable[Op]) -> Tables:
    """What a list of operations leads to."""
    tables = Tables()
    for op in ops:
        apply(tables, op)
    return tables
