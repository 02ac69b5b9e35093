"""What an agent shows of itself in the words of the old endpoints: /state, /containers, /monitor/statistics."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mesos.core.messages import Opaque, TaskInfo, TaskStatus
from mesos.local.core import agent_views
from mesos.local.core.agent_disk import Executor, Framework
from mesos.local.core.agent_state import AgentState
from mesos.local.core.old_views import amounts, attributes
from mesos.local.core.protocol import Task
from mesos.local.core.resources import ANY_ROLE, Resources
from mesos.local.core.views import AGENT_CAPABILITIES, plain

_VERSION_FIELDS = ("version", "git_sha", "git_tag", "build_date", "build_time", "build_user")


def state_view(agent: AgentState, master_hostname: str = "") -> Opaque:
    total, used = Resources.of(agent.total), agent_views.used(agent)
    view: Opaque = {name: agent_views.VERSION[name] for name in _VERSION_FIELDS}
    view |= {
        "start_time": agent.started_at,
        "id": agent.disk.agent_id.value if agent.disk.agent_id is not None else "",
        "pid": agent.config.pid,
        "hostname": agent.config.info.hostname,
        "capabilities": list(AGENT_CAPABILITIES),
        "resources": amounts(total),
        "reserved_resources": {role: amounts(part) for role, part in _reserved(total).items()},
        "unreserved_resources": amounts(_unreserved(total)),
        "reserved_resources_full": {role: _full(part) for role, part in _reserved(total).items()},
        "unreserved_resources_full": _full(_unreserved(total)),
        "reserved_resources_allocated": {role: amounts(part) for role, part in _reserved(used).items()},
        "unreserved_resources_allocated": amounts(_unreserved(used)),
        "resource_providers": [],
        "attributes": attributes(agent.config.info.attributes),
        "flags": agent_views.flags_view(agent),
        "frameworks": [_framework(agent, framework) for framework in agent_views.live(agent)],
        "completed_frameworks": [_framework(agent, framework) for framework in agent_views.completed(agent)],
    }
    if master_hostname:
        view["master_hostname"] = master_hostname
    if agent.disk.drain is not None:
        view["drain_config"] = agent_views.drain_view(agent)
        view["estimated_drain_start_time_seconds"] = int(agent.disk.drain.started_at)
    return view


def containers_view(agent: AgentState, statistics: Mapping[str, Opaque], brief: bool = False) -> list[Opaque]:
    """`brief`: as /monitor/statistics has it. `statistics` by container; those without any are not shown."""
    views = []
    for _, executor in agent.disk.executors():
        name = executor.container_id.value
        if name not in statistics:
            continue
        view: Opaque = {
            "executor_id": executor.id,
            "executor_name": executor.info.name,
            "framework_id": executor.framework_id,
            "source": executor.info.source,
            "statistics": statistics[name],
        }
        if not brief:
            view = {"container_id": name, **view, "status": agent_views.container_view(executor)["container_status"]}
        views.append(view)
    return views


# --- resources ----------------------------------------------------------------------------------------------------


def _unreserved(total: Resources) -> Resources:
    return total.filter(lambda key: not key.reservations)


def _reserved(total: Resources) -> dict[str, Resources]:
    roles = dict.fromkeys(key.reserved_for for key in total.amounts if key.reservations)
    return {role: _reserved_for(total, role) for role in roles}


def _reserved_for(total: Resources, role: str) -> Resources:
    return total.filter(lambda key: bool(key.reservations) and key.reserved_for == role)


def _full(resources: Resources) -> list[Opaque]:
    new, old = resources.as_messages(), resources.old_form()
    return [{**plain(after), **plain(before)} for before, after in zip(new, old, strict=True)]


# --- frameworks, executors, tasks ---------------------------------------------------------------------------------


def _framework(agent: AgentState, framework: Framework) -> Opaque:
    info = framework.info
    return {
        "id": framework.id,
        "name": info.name,
        "user": info.user,
        "failover_timeout": info.failover_timeout,
        "checkpoint": info.checkpoint,
        "hostname": info.hostname,
        "roles": list(info.roles) or [info.role or ANY_ROLE],
        "executors": [_executor(agent, framework, executor) for executor in framework.executors.values()],
        "completed_executors": [
            _executor(agent, framework, executor) for executor in framework.completed_executors or ()
        ],
    }


def _executor(agent: AgentState, framework: Framework, executor: Executor) -> Opaque:
    info, used = executor.info, agent_views.used_by(executor)
    ended = (*(executor.terminated or {}).values(), *(executor.completed or ()))
    view: Opaque = {
        "id": executor.id,
        "name": info.name,
        "source": info.source,
        "container": executor.container_id.value,
        "directory": executor.directory,
        "resources": amounts(used),
        "role": _role(used),
        "type": info.type or "UNKNOWN",
        "tasks": [_task(task) for task in executor.launched.values()],
        "queued_tasks": [_queued(executor, task) for task in executor.queued.values()],
        "completed_tasks": [_task(task) for task in ended],
    }
    if info.labels is not None:
        view["labels"] = [plain(label) for label in info.labels.labels]
    return view


def _role(resources: Resources) -> str:
    return resources.roles[0] if resources and resources.roles[0] else ANY_ROLE


def _queued(executor: Executor, task: TaskInfo) -> Opaque:
    resources = Resources.of(task.resources)
    return {
        "id": task.task_id.value,
        "name": task.name,
        "slave_id": task.agent_id.value,
        "resources": amounts(resources),
        "role": _role(resources),
        "executor_id": executor.id,
    }


def _task(task: Task) -> Opaque:
    resources = Resources.of(task.resources)
    view: Opaque = {
        "id": task.task_id.value,
        "name": task.name,
        "framework_id": task.framework_id.value,
        "executor_id": task.executor_id.value if task.executor_id is not None else "",
        "slave_id": task.agent_id.value,
        "state": task.state,
        "resources": amounts(resources),
        "role": _role(resources),
        "statuses": [_status(status) for status in task.statuses],
    }
    if task.labels is not None:
        view["labels"] = [plain(label) for label in task.labels.labels]
    if task.discovery is not None:
        view["discovery"] = plain(task.discovery)
    return view


def _status(status: TaskStatus) -> Opaque:
    view: Opaque = {"state": status.state, "timestamp": status.timestamp}
    if status.labels is not None:
        view["labels"] = [plain(label) for label in status.labels.labels]
    if status.container_status is not None:
        view["container_status"] = plain(msgspec.structs.replace(status.container_status, executor_pid=0))
    if status.healthy is not None:
        view["healthy"] = status.healthy
    return view
