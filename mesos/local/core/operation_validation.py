"""What is wrong with an operation on resources, in Mesos' words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mesos.core.messages import Capability, Operation, OperationType, Resource
from mesos.local.core.frameworks import Framework
from mesos.local.core.known_agents import Agent
from mesos.local.core.operations import operand
from mesos.local.core.resource_validation import describe_item, problem_of_disk, problem_of_resources
from mesos.local.core.resources import DYNAMIC, Key, Resources, disk_of, key_of
from mesos.local.core.roles import may_use, shown


def problem_of(operation: Operation, framework: Framework | None, agent: Agent, total: Resources) -> str | None:
    """`framework` is None for an operator's; `total` is all that the agent has."""
    resources = operand(operation)
    if (problem := problem_of_resources(resources)) is not None:
        return f"Operation attempted with invalid resources: {problem}"
    if not resources:
        problem = "Invalid resources: The resources have multiple resource providers: "  # of nothing, says Mesos
    for item in resources:
        problem = problem or _CHECKS[operation.type](item, framework, agent, total)
    return problem


def where(problem: str, agent: Agent) -> str:
    """As Mesos says on which agent it was, in feedback to frameworks."""
    return problem if problem.startswith("Operation attempted") else f"{problem}; on agent {place_of(agent)}"


def place_of(agent: Agent) -> str:
    return f"{agent.id} at {agent.pid} ({agent.info.hostname})"


def _principal(framework: Framework | None) -> str:
    return framework.info.principal if framework is not None else ""


def volume_id(key: Key) -> str:
    disk = disk_of(key)
    return disk.persistence.id if disk is not None and disk.persistence is not None else ""


def _of_reserve(item: Resource, framework: Framework | None, agent: Agent, total: Resources) -> str | None:
    key = key_of(item)
    if not key.is_dynamic:
        return f"Resource {describe_item(item)} is not dynamically reserved"
    if key.revocable:
        return f"Dynamically reserved resource {describe_item(item)} cannot be created from revocable resources"
    if framework is None:
        return None
    principal = _principal(framework)
    inner = key.reservations[-1]
    if principal and not inner.principal:
        return (
            f"A reserve operation was attempted by principal '{principal}', "
            "but there is a reserved resource in the request with no principal set"
        )
    if principal and inner.principal != principal:
        return (
            f"A reserve operation was attempted by authenticated principal '{principal}', "
            f"which does not match a reserved resource in the request with principal '{inner.principal}'"
        )
    if not key.role:
        return (
            f"A reserve operation was attempted on unallocated resource {describe_item(item)}, "
            "but frameworks can only perform reservations on allocated resources"
        )
    if key.role not in framework.roles:
        return (
            f"A reserve operation was attempted for a resource allocated to role '{key.role}', "
            f"but the framework only has roles '{shown(framework.roles)}'"
        )
    if not may_use(key.role, inner.role):
        return (
            f"A reserve operation was attempted for a resource with role '{inner.role}', "
            f"but the resource was allocated to role '{key.role}'"
        )
    return None


def _of_unreserve(item: Resource, framework: Framework | None, agent: Agent, total: Resources) -> str | None:
    key = key_of(item)
    if not key.reservations or key.reservations[-1].type != DYNAMIC:
        return f"Resource {describe_item(item)} is not dynamically reserved"
    if key.persistent:
        return (
            f"A dynamically reserved persistent volume {describe_item(item)} cannot be unreserved directly. "
            "Please destroy the persistent volume first then unreserve the resource"
        )
    return None


def _of_create(item: Resource, framework: Framework | None, agent: Agent, total: Resources) -> str | None:
    if item.disk is None:
        return f"Not a persistent volume: Resource {describe_item(item)} does not have DiskInfo"
    if item.disk.persistence is None:
        return "Not a persistent volume: 'persistence' is not set in DiskInfo"
    if (problem := problem_of_disk(item)) is not None:
        return f"Invalid resources: Invalid DiskInfo: {problem}"
    key = key_of(item)._replace(role="")
    name = item.disk.persistence.id
    for other in total.amounts:
        if other.persistent and other.reserved_for == key.reserved_for and volume_id(other) == name:
            return f"Persistence ID '{name}' is not unique"
    if item.shared is not None and framework is not None and not framework.info.can(Capability.SHARED_RESOURCES):
        return (
            f"Create shared volume operation has been attempted by framework '{framework.id}' "
            "with no SHARED_RESOURCES capability"
        )
    principal, named = _principal(framework), item.disk.persistence.principal
    if principal and not named:
        return (
            f"Create volume operation attempted by principal '{principal}', "
            "but there is a volume in the operation with no principal set in 'disk.persistence'"
        )
    if principal and named != principal:
        return (
            f"Create volume operation attempted by authenticated principal '{principal}', "
            f"which does not match a volume in the operation with principal '{named}'"
        )
    return None


def _of_destroy(item: Resource, framework: Framework | None, agent: Agent, total: Resources) -> str | None:
    if item.disk is None or item.disk.persistence is None:
        return "Not a persistent volume: 'persistence' is not set in DiskInfo"
    wanted = Resources.of([item]).unallocated()
    if not total.contains(wanted):
        return "Persistent volumes not found"
    used = set(agent.used.unallocated().amounts)
    for of_framework in agent.tasks.values() if item.shared is not None else ():
        for task in of_framework.values():
            if not task.over:
                used.update(task.shared.unallocated().amounts)
    return "Persistent volumes in use" if used & set(wanted.amounts) else None


_CHECKS: Mapping[str, Callable[[Resource, Framework | None, Agent, Resources], str | None]] = {
    OperationType.RESERVE: _of_reserve,
    OperationType.UNRESERVE: _of_unreserve,
    OperationType.CREATE: _of_create,
    OperationType.DESTROY: _of_destroy,
}
