"""What the allocator keeps of each agent and each framework, and what it grants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mesos.core.messages import Capability, FrameworkInfo, Opaque
from mesos.local.core.amounts import thousandths
from mesos.local.core.constraints import OfferConstraints, Subject
from mesos.local.core.resources import NONE, Resources
from mesos.local.core.roles import may_use, roles_of

#: Alternatives of quantities in thousandths; an offer must have all of one of them.
MinAllocatable = tuple[Mapping[str, int], ...]


class Grant(NamedTuple):
    """To be offered; `resources` are allocated to `role` already."""

    framework: str
    role: str
    agent: str
    resources: Resources


class AgentSlot:
    """`allocated` is offered or used; `free` is what is left of `total`, nothing where more is used than there is."""

    __slots__ = ("active", "allocated", "domain", "free", "has_gpus", "id", "subject", "total")

    def __init__(self, agent: str, subject: Subject, total: Resources) -> None:
        self.id, self.subject, self.domain = agent, subject, subject[1]
        self.total, self.allocated, self.free = total, NONE, NONE
        self.active = True
        self.has_gpus = bool(total.named("gpus"))


class FrameworkSlot:
    __slots__ = ("active", "constraints", "gpus", "id", "min_allocatable", "refinement", "regions", "revocable",
                 "roles", "shared", "suppressed")  # fmt: skip

    def __init__(self, framework: str, info: FrameworkInfo, suppressed: frozenset[str], constraints: OfferConstraints):
        self.id = framework
        self.active = False
        self.suppressed: frozenset[str] = frozenset()
        self.roles: tuple[str, ...] = ()
        self.learn(info, suppressed, constraints)

    def learn(self, info: FrameworkInfo, suppressed: frozenset[str], constraints: OfferConstraints) -> None:
        self.roles = roles_of(info)
        self.suppressed = suppressed
        self.constraints = constraints
        self.gpus = info.can(Capability.GPU_RESOURCES)
        self.revocable = info.can(Capability.REVOCABLE_RESOURCES)
        self.shared = info.can(Capability.SHARED_RESOURCES)
        self.refinement = info.can(Capability.RESERVATION_REFINEMENT)
        self.regions = info.can(Capability.REGION_AWARE)
        self.min_allocatable = {role: _min_allocatable(wanted) for role, wanted in info.offer_filters.items()}


def _min_allocatable(wanted: Opaque) -> MinAllocatable | None:
    """Of a framework's own `offer_filters`; None, the master's default, where they say nothing that can be read."""
    outer = wanted.get("min_allocatable_resources")
    if outer is None:
        return None
    alternatives = []
    try:
        for entry in outer.get("quantities") or ():
            amounts = entry.get("quantities") or {}
            alternatives.append({name: thousandths(float(amount.get("value", 0))) for name, amount in amounts.items()})
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None
    return tuple(alternatives)


def meant_for(free: Resources, role: str, framework: FrameworkSlot) -> Resources:
    """Unreserved, or reserved for the role or one above it; without what the framework can't deal with."""
    if free.plain:
        return free
    return free.filter(
        lambda key: (
            may_use(role, key.reserved_for)
            and (framework.revocable or not key.revocable)
            and (framework.shared or not key.shared)
            and (framework.refinement or len(key.reservations) < 2)
        )
    )
