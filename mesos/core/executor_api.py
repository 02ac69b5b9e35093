"""Calls and events of an agent's `/api/v1/executor`: what an executor says, and what it hears.

Source: Mesos 1.11, `include/mesos/v1/executor/executor.proto`, docs/executor-http-api.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from mesos.core.messages import (
    AgentInfo,
    ContainerID,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
    KillPolicy,
    Message,
    TaskGroupInfo,
    TaskID,
    TaskInfo,
    TaskStatus,
)


class CallType(StrEnum):
    SUBSCRIBE = "SUBSCRIBE"
    UPDATE = "UPDATE"
    MESSAGE = "MESSAGE"
    HEARTBEAT = "HEARTBEAT"


class EventType(StrEnum):
    SUBSCRIBED = "SUBSCRIBED"
    LAUNCH = "LAUNCH"
    LAUNCH_GROUP = "LAUNCH_GROUP"
    KILL = "KILL"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    MESSAGE = "MESSAGE"
    SHUTDOWN = "SHUTDOWN"
    ERROR = "ERROR"
    HEARTBEAT = "HEARTBEAT"


class Update(Message, frozen=True):
    status: TaskStatus


class Subscribe(Message, frozen=True, omit_defaults=False):
    """Everything that the agent may not know: tasks and updates that were not acknowledged yet."""

    unacknowledged_tasks: tuple[TaskInfo, ...] = ()
    unacknowledged_updates: tuple[Update, ...] = ()


class Data(Message, frozen=True):
    """A message of the framework, or to it."""

    data: bytes = b""


class Call(Message, frozen=True):
    type: str
    executor_id: ExecutorID
    framework_id: FrameworkID
    subscribe: Subscribe | None = None
    update: Update | None = None
    message: Data | None = None


class Subscribed(Message, frozen=True):
    executor_info: ExecutorInfo
    framework_info: FrameworkInfo
    agent_info: AgentInfo
    container_id: ContainerID | None = None


class Launch(Message, frozen=True):
    task: TaskInfo


class LaunchGroup(Message, frozen=True):
    task_group: TaskGroupInfo


class Kill(Message, frozen=True):
    task_id: TaskID
    kill_policy: KillPolicy | None = None


class Acknowledged(Message, frozen=True):
    task_id: TaskID
    uuid: bytes


class Error(Message, frozen=True):
    message: str = ""


class Event(Message, frozen=True):
    type: str
    subscribed: Subscribed | None = None
    launch: Launch | None = None
    launch_group: LaunchGroup | None = None
    kill: Kill | None = None
    acknowledged: Acknowledged | None = None
    message: Data | None = None
    error: Error | None = None


class Speaker(Message, frozen=True):
    """Who makes the calls: an executor of a framework."""

    framework_id: FrameworkID
    executor_id: ExecutorID

    def subscribe(self, tasks: Sequence[TaskInfo], updates: Sequence[TaskStatus]) -> Call:
        payload = Subscribe(
            unacknowledged_tasks=tuple(tasks),
            unacknowledged_updates=tuple(Update(status=status) for status in updates),
        )
        return self._call(CallType.SUBSCRIBE, subscribe=payload)

    def update(self, status: TaskStatus) -> Call:
        return self._call(CallType.UPDATE, update=Update(status=status))

    def message(self, data: bytes) -> Call:
        return self._call(CallType.MESSAGE, message=Data(data=data))

    def _call(
        self,
        type_: CallType,
        subscribe: Subscribe | None = None,
        update: Update | None = None,
        message: Data | None = None,
    ) -> Call:
        return Call(
            type=type_,
            framework_id=self.framework_id,
            executor_id=self.executor_id,
            subscribe=subscribe,
            update=update,
            message=message,
        )
