"""What is wrong with resources, in Mesos' words."""

from __future__ import annotations

from collections.abc import Sequence

from mesos.core.messages import Resource, ValueType
from mesos.local.core.amounts import is_countable
from mesos.local.core.resources import ANY_ROLE, DYNAMIC, STATIC, describe, key_of
from mesos.local.core.roles import is_below, problem_of_role


def problem_of_resources(resources: Sequence[Resource]) -> str | None:
    """Of the messages themselves; after this `Resources.of` reads them."""
    return next((problem for item in resources if (problem := problem_of_resource(item)) is not None), None)


def problem_of_resource(item: Resource) -> str | None:
    problem = _of_value(item) or _of_reservations(item)
    return None if problem is None else f"Resource '{describe_item(item)}' is invalid: {problem}"


def describe_item(item: Resource) -> str:
    """Also of what makes no sense."""
    if item.ranges is not None:
        text = "[" + ", ".join(f"{r.begin}-{r.end}" for r in item.ranges.range) + "]"
        return describe(key_of(item), 0)[:-1] + text
    if item.set is not None:
        return describe(key_of(item), frozenset(item.set.item))
    value = item.scalar.value if item.scalar is not None else 0.0
    if not is_countable(value):
        return f"{describe(key_of(item), 0)[:-1]}{value:g}"
    return describe(key_of(item), round(value * 1000))


def _of_value(item: Resource) -> str | None:
    if not item.name:
        return "Empty resource name"
    if item.type == ValueType.SCALAR:
        return _of_scalar(item)
    if item.type == ValueType.RANGES:
        return _of_ranges(item)
    if item.type == ValueType.SET:
        return _of_set(item)
    return f"Unsupported resource type {item.type}"


def _of_scalar(item: Resource) -> str | None:
    if item.scalar is None or item.ranges is not None or item.set is not None:
        return "Invalid scalar resource"
    value = item.scalar.value
    if not is_countable(value):
        return "Invalid scalar resource: value is not finite"
    return "Invalid scalar resource: value <= 0" if value < 0 else None


def _of_ranges(item: Resource) -> str | None:
    if item.ranges is None or item.scalar is not None or item.set is not None:
        return "Invalid ranges resource"
    last: tuple[int, int] | None = None
    for span in sorted((r.begin, r.end) for r in item.ranges.range):
        if span[0] > span[1]:
            return "Invalid ranges resource: begin > end"
        if last is not None and span[0] <= last[1]:
            return "Invalid ranges resource: overlapping ranges"
        last = span
    return None


def _of_set(item: Resource) -> str | None:
    if item.set is None or item.scalar is not None or item.ranges is not None:
        return "Invalid set resource"
    return "Invalid set resource: duplicated elements" if len(set(item.set.item)) < len(item.set.item) else None


def _of_reservations(item: Resource) -> str | None:
    if item.reservations and item.reservation is not None:
        return "Invalid resource format: 'Resource.reservation' must not be set if 'Resource.reservations' is set"
    if item.role not in ("", ANY_ROLE) and (problem := problem_of_role(item.role)) is not None:
        return f"Invalid role: {problem}"
    if item.reservation is not None and item.role in ("", ANY_ROLE):
        return 'Invalid reservation: role "*" cannot be dynamically reserved'
    outer = ""
    for level, reservation in enumerate(item.reservations):
        if not reservation.role:
            return "Invalid reservation: 'Resource.ReservationInfo.role' field must be set."
        if reservation.role == ANY_ROLE:
            return 'Invalid reservation: role "*" cannot be reserved'
        if (problem := problem_of_role(reservation.role)) is not None:
            return f"Invalid reservation: {problem}"
        if reservation.type not in (STATIC, DYNAMIC):
            return "Invalid reservation: 'Resource.ReservationInfo.type' field must be set."
        if level and reservation.type == STATIC:
            return "Invalid refined reservation: A refined reservation cannot be STATIC"
        if level and not is_below(reservation.role, outer):
            return f"Invalid refined reservation: role '{reservation.role}' is not a refinement of '{outer}'"
        outer = reservation.role
    return None


def problem_of_usage(who: str, resources: Sequence[Resource], empty: bool = False) -> str | None:
    """Of what a task or an executor wants to use; `who` is "Task" or "Executor"."""
    if not resources and not empty:
        return f"{who} uses no resources"
    problem = _of_gpus(resources) or _of_disks(resources)
    if problem is not None:
        return f"{who} uses invalid resources: {problem}"
    return _of_volumes(who, resources) or _of_revocable(who, resources)


def _of_gpus(resources: Sequence[Resource]) -> str | None:
    for item in resources:
        if item.name == "gpus" and item.scalar is not None and item.scalar.value != int(item.scalar.value):
            return "Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer"
    return None


def _of_disks(resources: Sequence[Resource]) -> str | None:
    for item in resources:
        if (problem := problem_of_disk(item)) is not None:
            return f"Invalid DiskInfo: {problem}"
    return None


def problem_of_disk(item: Resource) -> str | None:
    disk = item.disk
    if disk is None:
        return None
    if disk.persistence is None:
        if disk.volume is not None:
            return "Non-persistent volume not supported"
        return "DiskInfo is set but empty" if disk.source is None else None
    if item.revocable is not None:
        return "Persistent volumes cannot be created from revocable resources"
    if not item.reservations and item.role in ("", ANY_ROLE):
        return "Persistent volumes cannot be created from unreserved resources"
    if disk.volume is None:
        return "Expecting 'volume' to be set for persistent volume"
    if disk.volume.mode == "RO":
        return "Read-only persistent volume not supported"
    if disk.volume.host_path:
        return "Expecting 'host_path' to be unset for persistent volume"
    if any(sign in "/\\" or ord(sign) < 32 for sign in disk.persistence.id) or not disk.persistence.id:
        return f"Invalid persistence ID for persistent volume: '{disk.persistence.id}' contains invalid characters"
    return None


def _of_volumes(who: str, resources: Sequence[Resource]) -> str | None:
    seen = set()
    for item in resources:
        if item.disk is not None and item.disk.persistence is not None:
            name = (key_of(item).reserved_for, item.disk.persistence.id)
            if name in seen:
                return f"{who} uses duplicate persistence ID: Persistence ID '{name[1]}' is not unique"
            seen.add(name)
    return None


def _of_revocable(who: str, resources: Sequence[Resource]) -> str | None:
    kinds: dict[str, set[bool]] = {}
    for item in resources:
        kinds.setdefault(item.name, set()).add(item.revocable is not None)
    for name, both in kinds.items():
        if len(both) > 1:
            return (
                f"{who} mixes revocable and non-revocable resources: "
                f"Cannot use both revocable and non-revocable '{name}' at the same time"
            )
    return None
