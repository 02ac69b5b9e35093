"""What a LAUNCH carries: the assigned task as JSON, and in it the job. Read in two steps that fail differently.

Bytes that are no assigned task can't even be said to start. A job in it that can't run is a task that failed to start.

Source: spec/thermos.md §1.9, §4.2; spec/scheduler.md §1.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from config.core.assigned import compile_assigned
from thermos.errors import UserError
from thermos.model import TaskSpec
from thermos.paths import check_task_id

#: What people have always read when a payload is no assigned task.
NOT_READABLE = "Could not deserialize task."


class Assignment(msgspec.Struct, frozen=True):
    """One instance of a job, fully bound. `job` is everything else of its config as plain data."""

    task_id: str
    instance: int
    role: str
    environment: str
    name: str
    hostname: str  # of the agent
    spec: TaskSpec
    job: Mapping[str, Any]
    ports: Mapping[str, int]  # aliases resolved
    container: Mapping[str, Any]  # the container union of the TaskConfig


class _JobKey(msgspec.Struct):
    role: str
    environment: str
    name: str


class _TaskConfig(msgspec.Struct):
    job: _JobKey
    executorConfig: dict[str, Any] | None = None
    container: dict[str, Any] = {}


class AssignedTask(msgspec.Struct):
    """As the scheduler writes it; what we don't need of it is not looked at."""

    taskId: str
    task: _TaskConfig
    instanceId: int = 0
    slaveHost: str = ""
    slaveId: str = ""
    assignedPorts: dict[str, int] = {}


def read_assigned(data: bytes) -> AssignedTask:
    """Raises UserError, whose text becomes the message of the task's only status."""
    try:
        assigned = msgspec.json.decode(data, type=AssignedTask)
        check_task_id(assigned.taskId)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, UserError) as error:
        raise UserError(f"{NOT_READABLE} {error}") from error
    return assigned


def compile_assignment(assigned: AssignedTask, user: str) -> Assignment:
    """`user` is who the processes run as. Raises ConfigError."""
    bound = compile_assigned(msgspec.to_builtins(assigned), user=user)
    assert bound.spec is not None
    key = assigned.task.job
    return Assignment(
        task_id=assigned.taskId,
        instance=assigned.instanceId,
        role=key.role,
        environment=key.environment,
        name=key.name,
        hostname=assigned.slaveHost,
        spec=bound.spec,
        job=bound.data,
        ports=bound.ports,
        container=assigned.task.container,
    )
