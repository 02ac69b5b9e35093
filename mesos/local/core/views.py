"""Events for operators' streams and small messages made in several places."""

from __future__ import annotations

import msgspec

from mesos.core.messages import FrameworkID, Opaque, TaskStatus
from mesos.core.scheduler_api import Event, EventType, Failure
from mesos.local.core import protocol
from mesos.local.core.cluster import Cluster
from mesos.local.core.frameworks import Framework
from mesos.local.core.known_agents import Agent
from mesos.local.core.tasks import TaskRecord


def failure_of_executor(exited: protocol.ExecutorExited) -> Event:
    failure = Failure(agent_id=exited.agent_id, executor_id=exited.executor_id, status=exited.status)
    return Event(type=EventType.FAILURE, failure=failure)


def task_added(task: TaskRecord) -> Opaque:
    return {"type": "TASK_ADDED", "task_added": {"task": msgspec.to_builtins(task.message())}}


def task_updated(task: TaskRecord, status: TaskStatus) -> Opaque:
    payload = {
        "framework_id": msgspec.to_builtins(FrameworkID(value=task.framework)),
        "status": msgspec.to_builtins(status),
        "state": task.state,
    }
    return {"type": "TASK_UPDATED", "task_updated": payload}


def agent_added(cluster: Cluster, agent: Agent) -> Opaque:
    return {"type": "AGENT_ADDED", "agent_added": {"agent": {}}}


def agent_removed(agent: Agent) -> Opaque:
    return {"type": "AGENT_REMOVED", "agent_removed": {"agent_id": {"value": agent.id}}}


def framework_event(cluster: Cluster, framework: Framework, kind: str) -> Opaque:
    return {"type": kind, kind.lower(): {"framework": {}}}


def framework_removed(framework: Framework) -> Opaque:
    payload = {"framework_info": msgspec.to_builtins(framework.info)}
    return {"type": "FRAMEWORK_REMOVED", "framework_removed": payload}
