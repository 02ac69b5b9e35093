"""Operations applied to the tables before they are durable, and taken back when they don't become so.

What is decided in one turn of the scheduler's loop must see what was decided before it in the same turn, and a turn is
one commit. So the tables run ahead of the journal; nothing of it may be told to anybody before the commit, and when
that fails (a full disk), `take_back` leads to the tables as they were. The latest trial is taken back first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, assert_never

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
from scheduler.store.tables import Tables, apply
from scheduler.store.update_table import UpdateEntry, UpdateTable

K = TypeVar("K")
V = TypeVar("V")

Undo = Callable[[], None]


class Trial:
    """`ops` is what a commit has to append."""

    def __init__(self, tables: Tables) -> None:
        self.ops: list[Op] = []
        self._tables = tables
        self._applied = tables.applied
        self._undo: list[Undo] = []

    def apply(self, op: Op) -> None:
        """As `tables.apply`; after an error only `take_back` makes sense."""
        self._undo.append(undo_of(self._tables, op))
        apply(self._tables, op)
        self.ops.append(op)

    def take_back(self) -> None:
        while self._undo:
            self._undo.pop()()
        self._tables.applied = self._applied
        self.ops.clear()


def undo_of(tables: Tables, op: Op) -> Undo:
    """What leads back to the tables as they are now, from those that `op` leads to."""
    match op:
        case SaveTasks():
            return _restore_tasks(tables, tuple(task.id for task in op.tasks))
        case DeleteTasks():
            return _restore_tasks(tables, op.task_ids)
        case SaveHostAttributes():
            return _restore(tables.hosts, op.attributes.host)
        case DeleteHostAttributes():
            return _restore(tables.hosts, op.host)
        case SaveMaintenanceRequest():
            return _restore(tables.maintenance, op.request.host)
        case DeleteMaintenanceRequest():
            return _restore(tables.maintenance, op.host)
        case SaveCronJob():
            return _restore(tables.cron_jobs, op.job.key)
        case DeleteCronJob():
            return _restore(tables.cron_jobs, op.key)
        case SaveQuota() | DeleteQuota():
            return _restore(tables.quotas, op.role)
        case SaveAnswer():
            return _restore_answers(tables, (op.answer.key,))
        case DeleteAnswers():
            return _restore_answers(tables, op.keys)
        case SaveFrameworkId():
            return _restore_framework_id(tables)
        case SaveJobUpdate() | SaveJobUpdateEvents() | SaveInstanceUpdateEvents() | DeleteJobUpdates():
            return _restore_updates(tables, op)
        case _:
            assert_never(op)


def _restore(table: dict[K, V], key: K) -> Undo:
    if key not in table:
        return lambda: _discard(table, key)
    value = table[key]
    return lambda: table.__setitem__(key, value)


def _discard(table: dict[K, V], key: K) -> None:
    table.pop(key, None)


def _restore_framework_id(tables: Tables) -> Undo:
    before = tables.framework_id

    def undo() -> None:
        tables.framework_id = before

    return undo


def _restore_answers(tables: Tables, keys: tuple[str, ...]) -> Undo:
    before = {key: tables.answers.get(key) for key in keys}

    def undo() -> None:
        for key, answer in before.items():
            if answer is None:
                tables.answers.delete(key)
            else:
                tables.answers.save(answer)

    return undo


def _restore_tasks(tables: Tables, task_ids: tuple[str, ...]) -> Undo:
    """All go before any comes back: an instance may have changed its active task."""
    before = {task_id: tables.tasks.get(task_id) for task_id in task_ids}

    def undo() -> None:
        for task_id in before:
            tables.tasks.delete(task_id)
        for task in before.values():
            if task is not None:
                tables.tasks.save(task)

    return undo


def _restore_updates(
    tables: Tables, op: SaveJobUpdate | SaveJobUpdateEvents | SaveInstanceUpdateEvents | DeleteJobUpdates
) -> Undo:
    updates = tables.updates
    if isinstance(op, DeleteJobUpdates):
        entries = [entry for key in dict.fromkeys(op.keys) if (entry := updates.get(key)) is not None]
        return lambda: _put_back(updates, entries)
    key = op.update.summary.key if isinstance(op, SaveJobUpdate) else op.key
    entry = updates.get(key)
    if isinstance(op, SaveJobUpdate):
        if entry is None:
            return lambda: updates.delete(key)
        update = entry.update
        return lambda: updates.save(update)
    if entry is None:
        return lambda: None  # the operation itself can't be applied
    events, instance_events = len(entry.events), len(entry.instance_events)
    return lambda: updates.cut(key, events, instance_events)


def _put_back(updates: UpdateTable, entries: list[UpdateEntry]) -> None:
    for entry in entries:
        updates.put_back(entry)
