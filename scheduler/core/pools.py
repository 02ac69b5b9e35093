"""What an offer holds, taken apart: one pool for each resource that a task can be given, in the order of its use.

An offer names a resource several times: reserved for our role or for everybody, to be relied on or revocable. Reserved
pools come first, so that what is free for all stays for those who have nothing else. Volumes, shared resources and
names that we do not know are no pools: nobody asks for them.

Amounts are in thousandths, which is how exact Mesos is. An agent may say anything of itself, also that its memory is
infinite: no amount is more than what can be counted, or less than nothing.

Source: spec/scheduler.md §3.3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from msgspec import structs

from mesos.core.messages import AllocationInfo, Offer, Resource
from scheduler.core.resources import MILLI, Amount, ResourceType

#: Of anything.
MOST = 1e12

_TYPES = {kind.mesos_name: kind for kind in ResourceType}


class Pool(msgspec.Struct, frozen=True, gc=False):
    """`source` is the resource as it was offered; what is taken is a copy of it with another amount."""

    kind: ResourceType
    source: Resource
    is_reserved: bool
    is_revocable: bool
    thousandths: int = 0
    spans: tuple[tuple[int, int], ...] = ()  # of ports, both ends included

    @property
    def count(self) -> int:
        """How many ports there are."""
        return sum(end - begin + 1 for begin, end in self.spans)


@dataclass(frozen=True, slots=True)
class RevocableRules:
    """Which types a task of a revocable tier takes from what is revocable; all else it takes as others do."""

    cpus: bool = True
    ram: bool = False

    def wants_revocable(self, kind: ResourceType, is_revocable_tier: bool) -> bool:
        if not is_revocable_tier:
            return False
        return (kind is ResourceType.CPUS and self.cpus) or (kind is ResourceType.RAM_MB and self.ram)


def pools_of(offer: Offer) -> tuple[Pool, ...]:
    """Reserved ones first, otherwise in the order of the offer."""
    found = [pool for resource in offer.resources if (pool := _pool(resource, offer.allocation_info)) is not None]
    found.sort(key=lambda pool: not pool.is_reserved)
    return tuple(found)


def _pool(resource: Resource, allocation: AllocationInfo | None) -> Pool | None:
    kind = _TYPES.get(resource.name)
    if kind is None or resource.disk is not None or resource.shared is not None:
        return None
    if resource.allocation_info is None and allocation is not None:
        resource = structs.replace(resource, allocation_info=allocation)
    is_reserved = bool(resource.reservations) or resource.reservation is not None or resource.role not in ("", "*")
    is_revocable = resource.revocable is not None
    if kind is ResourceType.PORTS:
        spans = tuple((r.begin, r.end) for r in resource.ranges.range if r.begin <= r.end) if resource.ranges else ()
        return Pool(kind, resource, is_reserved, is_revocable, spans=spans)
    value = resource.scalar.value if resource.scalar is not None else 0.0
    return Pool(kind, resource, is_reserved, is_revocable, thousandths=_thousandths(value))


def _thousandths(value: float) -> int:
    return round(min(value, MOST) * MILLI) if value > 0 else 0  # NaN is not


def usable(pools: Iterable[Pool], is_revocable_tier: bool, rules: RevocableRules) -> list[Pool]:
    """The pools that a task of such a tier may be given from."""
    return [pool for pool in pools if pool.is_revocable is rules.wants_revocable(pool.kind, is_revocable_tier)]


def amount_in(pools: Iterable[Pool]) -> Amount:
    """All of them together; MB and gpus are rounded down, because nobody asks for parts of one."""
    cpus = ram = disk = ports = gpus = 0
    for pool in pools:
        kind = pool.kind
        if kind is ResourceType.CPUS:
            cpus += pool.thousandths
        elif kind is ResourceType.RAM_MB:
            ram += pool.thousandths
        elif kind is ResourceType.DISK_MB:
            disk += pool.thousandths
        elif kind is ResourceType.PORTS:
            ports += pool.count
        else:
            gpus += pool.thousandths
    return Amount(cpus, ram // MILLI, disk // MILLI, ports, gpus // MILLI)
