"""Operations on an agent's resources, as the master keeps them until their outcome was acknowledged.

The resources change at once (the master speculates, as Mesos does); the agent is told, and says that it is done. Who
gave the operation an id hears of its outcome, again and again until it acknowledges.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mesos.core.messages import (
    AgentID,
    AllocationInfo,
    Operation,
    OperationID,
    OperationState,
    OperationStatus,
    OperationType,
    Resource,
)
from mesos.local.core.resources import Key, Resources

#: States in which nothing more happens to an operation.
ENDED = frozenset({OperationState.FINISHED, OperationState.FAILED, OperationState.ERROR, OperationState.DROPPED,
                   OperationState.GONE_BY_OPERATOR})  # fmt: skip


class OperationRecord:
    __slots__ = ("agent", "framework", "operation", "state", "statuses", "uuid", "waits_for")

    def __init__(self, uuid: bytes, framework: str, agent: str, operation: Operation) -> None:
        self.uuid, self.framework, self.agent, self.operation = uuid, framework, agent, operation
        self.state: str = OperationState.PENDING
        self.statuses: tuple[OperationStatus, ...] = ()
        self.waits_for = b""  # uuid of the status that is to be acknowledged

    @property
    def id(self) -> OperationID | None:
        return self.operation.id

    @property
    def agent_id(self) -> AgentID:
        return AgentID(value=self.agent)


class Conversion:
    """`before` becomes `after`."""

    __slots__ = ("after", "before")

    def __init__(self, before: Resources, after: Resources) -> None:
        self.before, self.after = before, after


def operand(operation: Operation) -> tuple[Resource, ...]:
    """The resources that a RESERVE, UNRESERVE, CREATE or DESTROY names."""
    for payload in (operation.reserve, operation.unreserve):
        if payload is not None:
            return payload.resources
    for volumes in (operation.create, operation.destroy):
        if volumes is not None:
            return volumes.volumes
    return ()


def with_operand(operation: Operation, resources: tuple[Resource, ...]) -> Operation:
    """The same, of other resources."""
    changes: dict[str, object] = {}
    for name in ("reserve", "unreserve"):
        if getattr(operation, name) is not None:
            changes[name] = msgspec.structs.replace(getattr(operation, name), resources=resources)
    for name in ("create", "destroy"):
        if getattr(operation, name) is not None:
            changes[name] = msgspec.structs.replace(getattr(operation, name), volumes=resources)
    return msgspec.structs.replace(operation, **changes)


def allocate_all(items: Iterable[Resource], role: str) -> tuple[Resource, ...]:
    """Those that say no role of their own are allocated to this one."""
    info = AllocationInfo(role=role)
    return tuple(
        item if item.allocation_info is not None else msgspec.structs.replace(item, allocation_info=info)
        for item in items
    )


def conversion_of(operation: Operation) -> Conversion:
    """What a valid operation does to resources. RESERVE pushes a reservation, UNRESERVE pops it; CREATE makes a disk
    a volume, DESTROY a volume a disk again."""
    named = Resources.of(operand(operation))
    if operation.type == OperationType.RESERVE:
        source = operation.reserve.source if operation.reserve is not None else ()
        before = Resources.of(source) if source else named.map(_pop_reservation)
        if source and named.roles != ("",):
            before = before.map(lambda key: key if key.role else key._replace(role=named.roles[0]))
        return Conversion(before, named)
    if operation.type == OperationType.UNRESERVE:
        return Conversion(named, named.map(_pop_reservation))
    if operation.type == OperationType.CREATE:
        return Conversion(named.map(_without_volume), named)
    return Conversion(named, named.map(_without_volume))


def _pop_reservation(key: Key) -> Key:
    return key._replace(reservations=key.reservations[:-1])


def _without_volume(key: Key) -> Key:
    """Where the disk has a source (a mount), that stays."""
    disk = msgspec.json.decode(key.disk) if key.disk else {}
    source = disk.get("source")
    kept = msgspec.json.encode({"source": source}, order="deterministic").decode() if source else ""
    return key._replace(disk=kept, shared=False)
