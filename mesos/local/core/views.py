"""What operators see of the books, in the words of the v1 API: agents, frameworks, tasks, and events about them.

Plain JSON objects, made when somebody asks. Resources are shown in both forms at once, as Mesos does there.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mesos.core.messages import FrameworkID, Message, Opaque, TaskStatus
from mesos.core.scheduler_api import Event, EventType, Failure
from mesos.local.core import protocol
from mesos.local.core.cluster import Cluster
from mesos.local.core.frameworks import Framework, Phase
from mesos.local.core.known_agents import Agent
from mesos.local.core.offers import offer_message
from mesos.local.core.operations import OperationRecord
from mesos.local.core.registry import Drain
from mesos.local.core.resources import Resources, total_of
from mesos.local.core.tasks import TaskRecord

#: What our agents can do, as Mesos names it.
AGENT_CAPABILITIES = (
    "MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT", "RESIZE_VOLUME", "AGENT_OPERATION_FEEDBACK",
    "AGENT_DRAINING", "TASK_RESOURCE_LIMITS",
)  # fmt: skip


def plain(message: Message) -> Opaque:
    made: Opaque = msgspec.to_builtins(message)
    return made


def shown(resources: Resources) -> list[Opaque]:
    """Both forms: `reservations`, and `role` with `reservation` where that can say it."""
    found = []
    for new, old in zip(resources.as_messages(), resources.old_form(allocation=True), strict=True):
        found.append({**plain(old), **plain(new)})
    return found


def nanoseconds(wall: float | None) -> Opaque:
    return {"nanoseconds": round((wall or 0.0) * 1e9)}


# --- agents -------------------------------------------------------------------------------------------------------


def agent_view(cluster: Cluster, agent: Agent) -> Opaque:
    slot = cluster.allocator.agents[agent.id]
    view: Opaque = {
        "agent_info": plain(agent.info),
        "active": agent.offered,
        "deactivated": agent.deactivated,
        "version": cluster.config.version,
        "pid": agent.pid,
        "registered_time": nanoseconds(agent.registered_at),
        "total_resources": shown(slot.total),
        "capabilities": [{"type": name} for name in AGENT_CAPABILITIES],
    }
    if agent.reregistered_at is not None:
        view["reregistered_time"] = nanoseconds(agent.reregistered_at)
    if agent.used:
        view["allocated_resources"] = shown(agent.used)
    if agent.offers:
        view["offered_resources"] = shown(offered_of(cluster, agent.offers))
    if agent.drain is not None:
        view["drain_info"] = drain_view(agent.drain)
        view["estimated_drain_start_time"] = {"nanoseconds": agent.drain.since.nanoseconds}
    return view


def drain_view(drain: Drain) -> Opaque:
    config: Opaque = {"mark_gone": drain.mark_gone}
    if drain.max_grace_period is not None:
        config["max_grace_period"] = plain(drain.max_grace_period)
    return {"state": drain.state, "config": config}


def offered_of(cluster: Cluster, offers: Iterable[str]) -> Resources:
    """Of one agent."""
    return total_of(cluster.offers[offer].resources for offer in offers)


def agents_view(cluster: Cluster) -> Opaque:
    return {
        "agents": [agent_view(cluster, agent) for agent in cluster.agents.values()],
        "recovered_agents": [plain(known.info) for known in cluster.recovered.values()],
    }


# --- frameworks ---------------------------------------------------------------------------------------------------


def framework_view(cluster: Cluster, framework: Framework, brief: bool = False) -> Opaque:
    """`brief`: as in events."""
    view: Opaque = {
        "framework_info": plain(framework.info),
        "active": framework.active,
        "connected": framework.stream_id is not None,
        "recovered": framework.phase is Phase.RECOVERED,
    }
    if framework.registered_at is not None:
        view["registered_time"] = nanoseconds(framework.registered_at)
        view["reregistered_time"] = nanoseconds(framework.reregistered_at)
    if framework.unregistered_at is not None or brief:
        view["unregistered_time"] = nanoseconds(framework.unregistered_at)
    if brief:
        return view
    if framework.offers:
        records = [cluster.offers[offer] for offer in framework.offers]
        view["offers"] = [plain(offer_message(cluster, record, framework, full=True)) for record in records]
        view["offered_resources"] = shown(sum_over_agents(record.resources for record in records))
    used = used_by(framework, cluster)
    if used:
        view["allocated_resources"] = shown(used)
    view["offer_constraints"] = framework.constraints.source or {}
    if framework.suppressed:
        view["suppressed_roles"] = sorted(framework.suppressed)
    return view


def used_by(framework: Framework, cluster: Cluster) -> Resources:
    """By its tasks and executors, on all agents."""
    names = dict.fromkeys([*(task.agent for task in framework.tasks.values()), *framework.executors_on])
    agents = (cluster.agents[name] for name in names if name in cluster.agents)
    return sum_over_agents(part for agent in agents for part in agent.holds(framework.id))


def sum_over_agents(parts: Iterable[Resources]) -> Resources:
    """Scalars add up; ranges and sets of several agents become one, as in Mesos' views."""
    return total_of(parts)


def frameworks_view(cluster: Cluster) -> Opaque:
    return {
        "frameworks": [framework_view(cluster, framework) for framework in cluster.frameworks.values()],
        "completed_frameworks": [framework_view(cluster, framework) for framework in cluster.completed.values()],
    }


# --- tasks, executors, operations ---------------------------------------------------------------------------------


def all_frameworks(cluster: Cluster) -> list[Framework]:
    return [*cluster.frameworks.values(), *cluster.completed.values()]


def tasks_view(cluster: Cluster) -> Opaque:
    frameworks = all_frameworks(cluster)
    return {
        "tasks": [task_view(task) for f in frameworks for task in f.tasks.values()],
        "unreachable_tasks": [task_view(task) for f in frameworks for task in f.unreachable.values()],
        "completed_tasks": [task_view(task) for f in frameworks for task in f.completed],
    }


def task_view(task: TaskRecord) -> Opaque:
    view = plain(task.message())
    if task.container is not None:
        view["container"] = task.container
    return view


def executors_view(cluster: Cluster) -> Opaque:
    executors = [
        {"executor_info": plain(record.info), "agent_id": {"value": agent.id}}
        for agent in cluster.agents.values()
        for of_framework in agent.executors.values()
        for record in of_framework.values()
    ]
    return {"executors": executors}


def operations_view(cluster: Cluster) -> Opaque:
    found = [operation_view(record) for agent in cluster.agents.values() for record in agent.operations.values()]
    return {"operations": found} if found else {}


def operation_view(record: OperationRecord) -> Opaque:
    latest: Opaque = plain(record.statuses[-1]) if record.statuses else {"state": record.state}
    view: Opaque = {
        "agent_id": {"value": record.agent},
        "info": plain(record.operation),
        "latest_status": latest,
        "statuses": [plain(status) for status in record.statuses],
        "uuid": {"value": msgspec.to_builtins(record.uuid)},
    }
    if record.framework:
        view["framework_id"] = {"value": record.framework}
    return view


def state_view(cluster: Cluster) -> Opaque:
    return {
        "get_tasks": tasks_view(cluster),
        "get_executors": executors_view(cluster),
        "get_frameworks": frameworks_view(cluster),
        "get_agents": agents_view(cluster),
    }


# --- events -------------------------------------------------------------------------------------------------------


def failure_of_executor(exited: protocol.ExecutorExited) -> Event:
    failure = Failure(agent_id=exited.agent_id, executor_id=exited.executor_id, status=exited.status)
    return Event(type=EventType.FAILURE, failure=failure)


def task_added(task: TaskRecord) -> Opaque:
    return {"type": "TASK_ADDED", "task_added": {"task": task_view(task)}}


def task_updated(task: TaskRecord, status: TaskStatus) -> Opaque:
    payload = {
        "framework_id": plain(FrameworkID(value=task.framework)),
        "status": plain(status),
        "state": task.state,
    }
    return {"type": "TASK_UPDATED", "task_updated": payload}


def agent_added(cluster: Cluster, agent: Agent) -> Opaque:
    return {"type": "AGENT_ADDED", "agent_added": {"agent": agent_view(cluster, agent)}}


def agent_removed(agent: Agent) -> Opaque:
    return {"type": "AGENT_REMOVED", "agent_removed": {"agent_id": {"value": agent.id}}}


def framework_event(cluster: Cluster, framework: Framework, kind: str) -> Opaque:
    return {"type": kind, kind.lower(): {"framework": framework_view(cluster, framework, brief=True)}}


def framework_removed(framework: Framework) -> Opaque:
    payload = {"framework_info": plain(framework.info)}
    return {"type": "FRAMEWORK_REMOVED", "framework_removed": payload}
