"""The v1 operator API of the master (`POST /api/v1`): one function per call, reading a JSON object, answering one.

`CALLS` is the table of what there is: name -> (the payload it must have, the function). Refusals are raised as
`Refusal` with Mesos' words; the door makes answers of them. SUBSCRIBE is not here: it is a stream (`Master`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from mesos.core.messages import (
    DurationInfo,
    MachineID,
    Opaque,
    Operation,
    OperationType,
    Resource,
    ResourcesOf,
    Volumes,
)
from mesos.local.core import (
    draining,
    maintenance,
    membership,
    metrics,
    operating,
    operation_validation,
    role_settings,
    subscriptions,
    views,
)
from mesos.local.core.cluster import Answer, Cluster
from mesos.local.core.flags import flags_view
from mesos.local.core.known_agents import Agent
from mesos.local.core.offers import take_back
from mesos.local.core.operations import conversion_of
from mesos.local.core.role_settings import Refusal

Payload = Mapping[str, Any]
Function = Callable[[Cluster, Payload], object]
_NOTHING: Payload = {}


def answer(cluster: Cluster, call: object) -> Answer:
    """Effects are in the books, as always."""
    prefix = "Failed to validate master::Call: "
    if not isinstance(call, Mapping):
        return Answer(status=400, text="Failed to convert JSON into Call protobuf: Expecting a JSON object")
    kind = call.get("type")
    if not isinstance(kind, str) or kind not in CALLS:
        return Answer(status=400, text=prefix + "Expecting 'type' to be present")
    needed, function = CALLS[kind]
    payload = call.get(kind.lower()) if needed else _NOTHING
    if payload is None:
        return Answer(status=400, text=f"{prefix}Expecting '{kind.lower()}' to be present")
    try:
        found = function(cluster, payload)
    except Refusal as refusal:
        return Answer(status=refusal.status, text=str(refusal))
    except (ValueError, TypeError, AttributeError, OverflowError) as error:  # of the payload's shape
        return Answer(status=400, text=str(error))
    if found is None:
        return Answer(status=202 if kind in _ACCEPTED else 200)
    return Answer(status=200, body={"type": kind, kind.lower(): found})


def _agent_id(payload: Payload, call: str) -> str:
    given = payload.get("agent_id")
    name = given.get("value") if isinstance(given, Mapping) else None
    if not isinstance(name, str):
        raise Refusal(f"Failed to convert JSON into Call protobuf: Missing required fields: {call}.agent_id")
    return name


# --- reading ------------------------------------------------------------------------------------------------------


def _version(cluster: Cluster, _: Payload) -> Opaque:
    return {"version_info": {"version": cluster.config.version}}


def _flags(cluster: Cluster, _: Payload) -> Opaque:
    return {"flags": [{"name": name, "value": value} for name, value in flags_view(cluster.config).items()]}


def _master(cluster: Cluster, _: Payload) -> Opaque:
    started = cluster.started_at
    return {"master_info": views.plain(cluster.info), "start_time": started, "elected_time": started}


def _metrics(cluster: Cluster, _: Payload) -> Opaque:
    return {"metrics": [{"name": name, "value": value} for name, value in metrics.snapshot(cluster).items()]}


# --- agents -------------------------------------------------------------------------------------------------------


def _drain(cluster: Cluster, payload: Payload) -> None:
    grace = payload.get("max_grace_period")
    draining.drain(
        cluster,
        _agent_id(payload, "drain_agent"),
        read_duration(grace) if grace is not None else None,
        bool(payload.get("mark_gone")),
    )


def read_duration(given: Mapping[str, Any]) -> DurationInfo:
    """Mesos' own nanoseconds, or protobuf's seconds and nanos, which DRAIN_AGENT has."""
    nanoseconds = int(given.get("nanoseconds", 0)) + int(given.get("nanos", 0))
    total = int(given.get("seconds", 0)) * 1_000_000_000 + nanoseconds
    if not 0 <= total < 2**63:
        raise Refusal("Failed to validate master::Call: 'max_grace_period' must be non-negative")
    return DurationInfo(nanoseconds=total)


def _deactivate(cluster: Cluster, payload: Payload) -> None:
    draining.deactivate(cluster, _agent_id(payload, "deactivate_agent"))


def _reactivate(cluster: Cluster, payload: Payload) -> None:
    draining.reactivate(cluster, _agent_id(payload, "reactivate_agent"))


def _mark_gone(cluster: Cluster, payload: Payload) -> None:
    name = _agent_id(payload, "mark_agent_gone")
    if name not in cluster.gone and not membership.mark_gone_by_id(cluster, name):
        raise Refusal(f"Agent '{name}' not found", status=404)


def _teardown(cluster: Cluster, payload: Payload) -> None:
    given = payload.get("framework_id")
    teardown(cluster, given.get("value", "") if isinstance(given, Mapping) else "")


def teardown(cluster: Cluster, name: str) -> None:
    framework = cluster.frameworks.get(name)
    if framework is None:
        raise Refusal("No framework found with specified ID")
    subscriptions.teardown(cluster, framework)


# --- resources ----------------------------------------------------------------------------------------------------


def _resources_call(kind: OperationType, field: str) -> Function:
    def perform(cluster: Cluster, payload: Payload) -> None:
        name = _agent_id(payload, f"{kind.lower()}_{field}")
        items = msgspec.convert(payload.get(field) or [], tuple[Resource, ...], strict=False)
        source = msgspec.convert(payload.get("source") or [], tuple[Resource, ...], strict=False)
        operate(cluster, name, make_operation(kind, items, source))

    return perform


def make_operation(kind: OperationType, items: tuple[Resource, ...], source: tuple[Resource, ...] = ()) -> Operation:
    if kind is OperationType.RESERVE:
        return Operation(type=kind, reserve=ResourcesOf(resources=items, source=source))
    if kind is OperationType.UNRESERVE:
        return Operation(type=kind, unreserve=ResourcesOf(resources=items))
    if kind is OperationType.CREATE:
        return Operation(type=kind, create=Volumes(volumes=items))
    return Operation(type=kind, destroy=Volumes(volumes=items))


def operate(cluster: Cluster, name: str, operation: Operation) -> None:
    """Offers that hold what is wanted are taken back first, no more than needed."""
    agent = cluster.agents.get(name)
    if agent is None:
        raise Refusal("No agent found with specified ID")
    slot = cluster.allocator.agents[name]
    problem = operation_validation.problem_of(operation, None, agent, slot.total)
    if problem is not None:
        place = operation_validation.place_of(agent)
        raise Refusal(f"Invalid {operation.type} operation on agent {place}: {problem}")
    change = conversion_of(operation)
    _free_up(cluster, agent, operation, change.before)  # unallocated: an operator's resources have no role
    operating.from_operator(cluster, agent, operation, change)


def _free_up(cluster: Cluster, agent: Agent, operation: Operation, wanted: Any) -> None:
    slot = cluster.allocator.agents[agent.id]
    if not slot.total.without(agent.used.unallocated()).contains(wanted):
        raise Refusal(f"{slot.total} does not contain {wanted}", status=409)
    for offer in list(agent.offers):
        if slot.free.contains(wanted):
            return
        take_back(cluster, [offer], rescind=True)


# --- quotas, weights, maintenance ---------------------------------------------------------------------------------


def _update_quota(cluster: Cluster, payload: Payload) -> None:
    role_settings.update_quotas(cluster, payload.get("quota_configs") or [], bool(payload.get("force")))


def _set_quota(cluster: Cluster, payload: Payload) -> None:
    request = payload.get("quota_request") or {}
    guarantee = msgspec.convert(request.get("guarantee") or [], tuple[Resource, ...], strict=False)
    role_settings.set_quota(cluster, request.get("role", ""), guarantee, bool(request.get("force")))


def _remove_quota(cluster: Cluster, payload: Payload) -> None:
    role_settings.remove_quota(cluster, payload.get("role", ""))


def _update_weights(cluster: Cluster, payload: Payload) -> None:
    role_settings.update_weights(cluster, payload.get("weight_infos") or [])


def _update_schedule(cluster: Cluster, payload: Payload) -> None:
    maintenance.set_schedule(cluster, maintenance.read_windows(payload.get("schedule") or {}))


def _machines(payload: Payload) -> tuple[MachineID, ...]:
    return maintenance.read_machines(payload.get("machines"))


#: type -> (does it need a payload, what it does). Functions that return nothing change something.
CALLS: Mapping[str, tuple[bool, Function]] = {
    "GET_HEALTH": (False, lambda cluster, _: {"healthy": True}),
    "GET_FLAGS": (False, _flags),
    "GET_VERSION": (False, _version),
    "GET_METRICS": (True, _metrics),
    "GET_LOGGING_LEVEL": (False, lambda cluster, _: {"level": 0}),
    "GET_STATE": (False, lambda cluster, _: views.state_view(cluster)),
    "GET_AGENTS": (False, lambda cluster, _: views.agents_view(cluster)),
    "GET_FRAMEWORKS": (False, lambda cluster, _: views.frameworks_view(cluster)),
    "GET_EXECUTORS": (False, lambda cluster, _: views.executors_view(cluster)),
    "GET_OPERATIONS": (False, lambda cluster, _: views.operations_view(cluster)),
    "GET_TASKS": (False, lambda cluster, _: views.tasks_view(cluster)),
    "GET_ROLES": (False, lambda cluster, _: role_settings.v1_roles_view(cluster)),
    "GET_WEIGHTS": (False, lambda cluster, _: {"weight_infos": role_settings.weights_view(cluster)}),
    "GET_QUOTA": (False, lambda cluster, _: {"status": role_settings.quotas_view(cluster)}),
    "GET_MASTER": (False, _master),
    "GET_MAINTENANCE_STATUS": (False, lambda cluster, _: {"status": maintenance.status_view(cluster)}),
    "GET_MAINTENANCE_SCHEDULE": (False, lambda cluster, _: {"schedule": maintenance.schedule_view(cluster)}),
    "DRAIN_AGENT": (True, _drain),
    "DEACTIVATE_AGENT": (True, _deactivate),
    "REACTIVATE_AGENT": (True, _reactivate),
    "MARK_AGENT_GONE": (True, _mark_gone),
    "TEARDOWN": (True, _teardown),
    "RESERVE_RESOURCES": (True, _resources_call(OperationType.RESERVE, "resources")),
    "UNRESERVE_RESOURCES": (True, _resources_call(OperationType.UNRESERVE, "resources")),
    "CREATE_VOLUMES": (True, _resources_call(OperationType.CREATE, "volumes")),
    "DESTROY_VOLUMES": (True, _resources_call(OperationType.DESTROY, "volumes")),
    "UPDATE_QUOTA": (True, _update_quota),
    "SET_QUOTA": (True, _set_quota),
    "REMOVE_QUOTA": (True, _remove_quota),
    "UPDATE_WEIGHTS": (True, _update_weights),
    "UPDATE_MAINTENANCE_SCHEDULE": (True, _update_schedule),
    "START_MAINTENANCE": (True, lambda cluster, payload: maintenance.bring_down(cluster, _machines(payload))),
    "STOP_MAINTENANCE": (True, lambda cluster, payload: maintenance.bring_up(cluster, _machines(payload))),
}

#: Mesos answers these with 202: what they ask for is under way.
_ACCEPTED = frozenset({"RESERVE_RESOURCES", "UNRESERVE_RESOURCES", "CREATE_VOLUMES", "DESTROY_VOLUMES"})
