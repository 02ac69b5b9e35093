"""Operations as bytes: msgpack, each configuration of a list of operations once.

A task is stored with the number of its configuration instead of the configuration, and savings of tasks that stand side
by side are written as one: a batch of a thousand changes of one job is not a thousand copies of its command lines, and
reading it leads to the same tables. The reader remembers what it read lately, so that equal
configurations and the names of agents come out as the same objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from typing import Any

import msgspec
from msgspec import Raw, Struct

from scheduler.core.model import AssignedTask, ScheduledTask, TaskConfig, TaskEvent
from scheduler.core.states import ScheduleStatus
from scheduler.store import ops
from scheduler.store.ops import Op, SaveTasks

#: Of configurations and names that a reader remembers; a full memory begins anew.
REMEMBERED = 20_000


class _Task(Struct, frozen=True, array_like=True, gc=False):
    config: int
    task_id: str
    instance_id: int
    status: ScheduleStatus
    slave_id: str
    slave_host: str
    ports: dict[str, int] | None
    failure_count: int
    times_partitioned: int
    events: tuple[TaskEvent, ...]
    ancestor_id: str | None


class _Tasks(Struct, frozen=True, tag="SaveTasks", tag_field="op"):
    configs: tuple[Raw, ...]
    tasks: tuple[_Task, ...]


_Stored = (
    _Tasks
    | ops.SaveFrameworkId
    | ops.DeleteTasks
    | ops.SaveCronJob
    | ops.DeleteCronJob
    | ops.SaveQuota
    | ops.DeleteQuota
    | ops.SaveHostAttributes
    | ops.DeleteHostAttributes
    | ops.SaveMaintenanceRequest
    | ops.DeleteMaintenanceRequest
    | ops.SaveJobUpdate
    | ops.SaveJobUpdateEvents
    | ops.SaveInstanceUpdateEvents
    | ops.DeleteJobUpdates
    | ops.SaveAnswer
    | ops.DeleteAnswers
)

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(list[_Stored])
_config_decoder = msgspec.msgpack.Decoder(TaskConfig)


def encode_ops(operations: Sequence[Op]) -> bytes:
    stored: list[Any] = []
    for kind, group in groupby(operations, key=type):
        if kind is SaveTasks:
            stored.append(_stored(chain.from_iterable(op.tasks for op in group if isinstance(op, SaveTasks))))
        else:
            stored += group
    return _encoder.encode(stored)


def _stored(saved: Iterable[ScheduledTask]) -> _Tasks:
    numbers: dict[int, int] = {}
    configs: list[Raw] = []
    tasks = []
    for task in saved:
        number = numbers.get(id(task.config))
        if number is None:
            number = numbers[id(task.config)] = len(configs)
            configs.append(Raw(_encoder.encode(task.config)))
        assigned = task.assigned_task
        tasks.append(
            _Task(
                number,
                assigned.task_id,
                assigned.instance_id,
                task.status,
                assigned.slave_id,
                assigned.slave_host,
                assigned.assigned_ports or None,
                task.failure_count,
                task.times_partitioned,
                task.task_events,
                task.ancestor_id,
            )
        )
    return _Tasks(tuple(configs), tuple(tasks))


class OpReader:
    """One for a whole load: equal things in what it reads are shared."""

    def __init__(self) -> None:
        self._configs: dict[bytes, TaskConfig] = {}
        self._names: dict[str, str] = {}

    def read_ops(self, payload: bytes) -> list[Op]:
        """Raises msgspec.MsgspecError for what is no list of operations."""
        return [self._tasks(op) if isinstance(op, _Tasks) else op for op in _decoder.decode(payload)]

    def _tasks(self, stored: _Tasks) -> SaveTasks:
        configs = [self._config(bytes(raw)) for raw in stored.configs]
        return SaveTasks(tasks=tuple([self._task(task, configs) for task in stored.tasks]))

    def _config(self, encoded: bytes) -> TaskConfig:
        config = self._configs.get(encoded)
        if config is None:
            if len(self._configs) >= REMEMBERED:
                self._configs.clear()
            config = self._configs[encoded] = _config_decoder.decode(encoded)
        return config

    def _task(self, stored: _Task, configs: list[TaskConfig]) -> ScheduledTask:
        if len(self._names) >= REMEMBERED:
            self._names.clear()
        names = self._names
        assigned = AssignedTask(
            task_id=stored.task_id,
            task=configs[stored.config],
            instance_id=stored.instance_id,
            slave_id=names.setdefault(stored.slave_id, stored.slave_id),
            slave_host=names.setdefault(stored.slave_host, stored.slave_host),
            assigned_ports=stored.ports or {},
        )
        return ScheduledTask(
            assigned_task=assigned,
            status=stored.status,
            failure_count=stored.failure_count,
            times_partitioned=stored.times_partitioned,
            task_events=stored.events,
            ancestor_id=stored.ancestor_id,
        )
