"""What operators see of the books in the words of the old endpoints: /state, /slaves, /frameworks, /tasks, …

Other names for the same things (slave, id without value), seconds for times, resources as one object of numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from mesos.core.messages import AgentInfo, Attribute, Opaque, TaskState, TaskStatus
from mesos.local.core import views
from mesos.local.core.amounts import Amount, describe_amount
from mesos.local.core.cluster import Cluster, OfferRecord
from mesos.local.core.flags import flags_view
from mesos.local.core.frameworks import Framework, Phase
from mesos.local.core.known_agents import Agent, ExecutorRecord
from mesos.local.core.resources import ANY_ROLE, Key, Resources, total_of
from mesos.local.core.tasks import TaskRecord

_ALWAYS = ("disk", "mem", "gpus", "cpus")
#: States that /state-summary counts.
_COUNTED = (
    TaskState.STAGING, TaskState.STARTING, TaskState.RUNNING, TaskState.KILLING, TaskState.FINISHED, TaskState.KILLED,
    TaskState.FAILED, TaskState.LOST, TaskState.ERROR, TaskState.UNREACHABLE,
)  # fmt: skip


def amounts(resources: Resources) -> Opaque:
    """`{"cpus": 4.0, "ports": "[31000-31099]"}`, whoever it is reserved for; revocable ones have their own names."""
    view: Opaque = dict.fromkeys(_ALWAYS, 0.0)
    merged = total_of([resources.map(lambda key: Key(key.name, revocable=key.revocable, type=key.type))])
    for key, amount in merged.amounts.items():
        name = f"{key.name}_revocable" if key.revocable else key.name
        view[name] = amount / 1000 if isinstance(amount, int) else describe_amount(amount)
    return view


def attributes(given: Iterable[Attribute]) -> Opaque:
    view: Opaque = {}
    for attribute in given:
        if attribute.scalar is not None:
            view[attribute.name] = attribute.scalar.value
        elif attribute.text is not None:
            view[attribute.name] = attribute.text.value
        elif attribute.ranges is not None:
            spans = tuple((span.begin, span.end) for span in attribute.ranges.range)
            view[attribute.name] = describe_amount(spans)
    return view


# --- agents -------------------------------------------------------------------------------------------------------


def _agent_info(info: AgentInfo) -> Opaque:
    return {
        "id": info.id.value if info.id is not None else "",
        "hostname": info.hostname,
        "port": info.port,
        "attributes": attributes(info.attributes),
    }


def _reserved(total: Resources) -> dict[str, Resources]:
    """By the role that it is reserved for."""
    parts: dict[str, dict[Key, Amount]] = {}
    for key, amount in total.amounts.items():
        if key.reservations:
            parts.setdefault(key.reserved_for, {})[key] = amount
    return {role: Resources(part) for role, part in parts.items()}


def agent_summary(cluster: Cluster, agent: Agent) -> Opaque:
    total = cluster.allocator.agents[agent.id].total
    view = _agent_info(agent.info)
    view |= {
        "pid": agent.pid,
        "registered_time": agent.registered_at,
        "resources": amounts(total),
        "used_resources": amounts(agent.used),
        "offered_resources": amounts(views.offered_of(cluster, agent.offers)),
        "reserved_resources": {role: amounts(part) for role, part in _reserved(total).items()},
        "unreserved_resources": amounts(total.filter(lambda key: not key.reservations)),
        "active": agent.offered,
        "deactivated": agent.deactivated,
        "version": cluster.config.version,
        "capabilities": list(views.AGENT_CAPABILITIES),
    }
    if agent.reregistered_at is not None:
        view["reregistered_time"] = agent.reregistered_at
    if agent.drain is not None:
        view["drain_info"] = views.drain_view(agent.drain)
        view["estimated_drain_start_time_seconds"] = agent.drain.since.nanoseconds // 1_000_000_000
    if agent.info.domain is not None:
        view["domain"] = msgspec.to_builtins(agent.info.domain)
    return view


def slaves_view(cluster: Cluster, only: str = "") -> Opaque:
    found = []
    for agent in cluster.agents.values():
        if only in ("", agent.id):
            total = cluster.allocator.agents[agent.id].total
            found.append(
                agent_summary(cluster, agent)
                | {
                    "reserved_resources_full": {role: views.shown(part) for role, part in _reserved(total).items()},
                    "unreserved_resources_full": views.shown(total.filter(lambda key: not key.reservations)),
                    "used_resources_full": views.shown(agent.used),
                    "offered_resources_full": views.shown(views.offered_of(cluster, agent.offers)),
                }
            )
    recovered = [known.info for known in cluster.recovered.values()]
    return {"slaves": found, "recovered_slaves": [_agent_info(info) for info in recovered]}


# --- tasks and executors ------------------------------------------------------------------------------------------


def task_view(task: TaskRecord) -> Opaque:
    view: Opaque = {
        "id": task.id,
        "name": task.name,
        "framework_id": task.framework,
        "executor_id": task.executor,
        "slave_id": task.agent,
        "state": task.state,
        "resources": amounts(task.resources),
        "role": task.resources.roles[0] if task.resources else ANY_ROLE,
        "statuses": [_status_view(status) for status in task.statuses],
    }
    if task.labels is not None:
        view["labels"] = [msgspec.to_builtins(label) for label in task.labels.labels]
    if task.discovery is not None:
        view["discovery"] = msgspec.to_builtins(task.discovery)
    if task.container is not None:
        view["container"] = task.container
    return view


def _status_view(status: TaskStatus) -> Opaque:
    view: Opaque = {"state": status.state, "timestamp": status.timestamp}
    if status.labels is not None:
        view["labels"] = [msgspec.to_builtins(label) for label in status.labels.labels]
    if status.container_status is not None:
        view["container_status"] = msgspec.to_builtins(msgspec.structs.replace(status.container_status, executor_pid=0))
    if status.healthy is not None:
        view["healthy"] = status.healthy
    return view


def _executor_view(agent: Agent, framework: str, record: ExecutorRecord) -> Opaque:
    info = record.info
    view: Opaque = {
        "executor_id": info.executor_id.value,
        "name": info.name,
        "framework_id": framework,
        "resources": amounts(record.resources),
        "role": record.resources.roles[0] if record.resources else ANY_ROLE,
        "type": info.type or "UNKNOWN",
        "slave_id": agent.id,
    }
    if info.command is not None:
        uris = [msgspec.to_builtins(uri) for uri in info.command.uris]
        view["command"] = {"value": info.command.value, "argv": list(info.command.arguments), "uris": uris}
    if info.source:
        view["source"] = info.source
    return view


def tasks_view(cluster: Cluster, limit: int, offset: int, newest_first: bool, framework: str, task: str) -> Opaque:
    found = [
        record
        for known in views.all_frameworks(cluster)
        if framework in ("", known.id)
        for record in (*known.tasks.values(), *known.unreachable.values(), *known.completed)
        if task in ("", record.id)
    ]
    found.sort(key=_first_heard, reverse=newest_first)
    return {"tasks": [task_view(record) for record in found[offset : offset + limit]]}


def _first_heard(task: TaskRecord) -> float:
    return (task.statuses[0].timestamp or 0.0) if task.statuses else 0.0


# --- frameworks ---------------------------------------------------------------------------------------------------


def _framework_summary(cluster: Cluster, framework: Framework) -> Opaque:
    offered = views.sum_over_agents(cluster.offers[offer].resources for offer in framework.offers)
    return {
        "id": framework.id,
        "name": framework.info.name,
        "used_resources": amounts(views.used_by(framework, cluster)),
        "offered_resources": amounts(offered),
        "capabilities": [capability.type for capability in framework.info.capabilities],
        "hostname": framework.info.hostname,
        "webui_url": framework.info.webui_url,
        "active": framework.active,
        "connected": framework.stream_id is not None,
        "recovered": framework.phase is Phase.RECOVERED,
    }


def framework_view(cluster: Cluster, framework: Framework) -> Opaque:
    info = framework.info
    offered = views.sum_over_agents(cluster.offers[offer].resources for offer in framework.offers)
    view = _framework_summary(cluster, framework) | {
        "user": info.user,
        "failover_timeout": info.failover_timeout,
        "checkpoint": info.checkpoint,
        "registered_time": framework.registered_at or 0.0,
        "unregistered_time": framework.unregistered_at or 0.0,
        "resources": amounts(total_of([views.used_by(framework, cluster), offered])),
        "tasks": [task_view(task) for task in framework.tasks.values()],
        "unreachable_tasks": [task_view(task) for task in framework.unreachable.values()],
        "completed_tasks": [task_view(task) for task in framework.completed],
        "offers": [_offer_view(cluster.offers[offer]) for offer in framework.offers],
        "executors": [
            _executor_view(cluster.agents[name], framework.id, record)
            for name in framework.executors_on
            if name in cluster.agents
            for record in cluster.agents[name].executors.get(framework.id, {}).values()
        ],
        "offer_constraints": framework.constraints.source or {},
    }
    if info.principal:
        view["principal"] = info.principal
    view |= {"roles": list(framework.roles)} if framework.multi_role else {"role": framework.roles[0]}
    if framework.reregistered_at is not None and framework.reregistered_at != framework.registered_at:
        view["reregistered_time"] = framework.reregistered_at
    if info.labels is not None:
        view["labels"] = [msgspec.to_builtins(label) for label in info.labels.labels]
    return view


def _offer_view(record: OfferRecord) -> Opaque:
    return {
        "id": record.id,
        "framework_id": record.framework,
        "allocation_info": {"role": record.role},
        "slave_id": record.agent,
        "resources": amounts(record.resources),
    }


def frameworks_view(cluster: Cluster, only: str = "") -> Opaque:
    return {
        "frameworks": [framework_view(cluster, f) for f in cluster.frameworks.values() if only in ("", f.id)],
        "completed_frameworks": [framework_view(cluster, f) for f in cluster.completed.values() if only in ("", f.id)],
        "unregistered_frameworks": [],
    }


# --- the whole ----------------------------------------------------------------------------------------------------


def state_view(cluster: Cluster) -> Opaque:
    config = cluster.config
    active = sum(agent.offered for agent in cluster.agents.values())
    pid = f"master@{config.ip}:{config.port}"
    view: Opaque = {
        "version": config.version,
        "start_time": cluster.started_at,
        "elected_time": cluster.started_at,
        "id": cluster.identity,
        "pid": pid,
        "hostname": config.hostname,
        "capabilities": ["AGENT_UPDATE", "AGENT_DRAINING", "QUOTA_V2"],
        "activated_slaves": float(active),
        "deactivated_slaves": float(len(cluster.agents) - active),
        "unreachable_slaves": float(len(cluster.unreachable)),
        "leader": pid,
        "leader_info": {"id": cluster.identity, "pid": pid, "port": config.port, "hostname": config.hostname},
        "flags": flags_view(config),
        "slaves": [agent_summary(cluster, agent) for agent in cluster.agents.values()],
        "recovered_slaves": [_agent_info(known.info) for known in cluster.recovered.values()],
        "orphan_tasks": [],
    }
    if config.cluster:
        view["cluster"] = config.cluster
    return view | frameworks_view(cluster)


def summary_view(cluster: Cluster) -> Opaque:
    by_agent: dict[str, Counter[str]] = {name: Counter() for name in cluster.agents}
    on_agent: dict[str, dict[str, None]] = {name: {} for name in cluster.agents}
    frameworks = []
    for framework in cluster.frameworks.values():
        states: Counter[str] = Counter()
        slaves: dict[str, None] = {}
        for task in (*framework.tasks.values(), *framework.unreachable.values(), *framework.completed):
            states[task.state] += 1
            slaves[task.agent] = None
            if task.agent in by_agent:
                by_agent[task.agent][task.state] += 1
                on_agent[task.agent][framework.id] = None
        view = _framework_summary(cluster, framework) | {state: states[state] for state in _COUNTED}
        frameworks.append(view | {"slave_ids": list(slaves)})
    slaves_found = [
        agent_summary(cluster, agent)
        | {state: by_agent[agent.id][state] for state in _COUNTED}
        | {"framework_ids": list(on_agent[agent.id])}
        for agent in cluster.agents.values()
    ]
    view = {"hostname": cluster.config.hostname, "slaves": slaves_found, "frameworks": frameworks}
    return view | ({"cluster": cluster.config.cluster} if cluster.config.cluster else {})
