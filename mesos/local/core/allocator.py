"""Who is offered what: the hierarchical allocator, looking only where something changed.

An agent is looked at when resources came free on it, a refusal about it expired, it is new or back, or somebody's
interest changed (subscribed, revived, other constraints, quota). What frameworks or agents do by themselves is
answered at once; what merely came free waits for the next tick of the allocation interval, as in Mesos, so that the
pieces of one moment are offered together.

For each such agent: roles below their guarantee first, then all, by dominant share and weight; in a role its
frameworks by their share. The first that wants it and may have it gets all that is free and meant for its role. The
book keeps `free` per agent, so that at any time total == free + allocated; only the agent's slot and a few sums are
touched by any event.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import floor

from mesos.core.messages import DomainInfo, FrameworkInfo
from mesos.local.core.allocator_slots import AgentSlot, FrameworkSlot, Grant, MinAllocatable, meant_for
from mesos.local.core.constraints import NO_CONSTRAINTS, OfferConstraints, Subject
from mesos.local.core.filters import Filters
from mesos.local.core.quota import Quota, Quotas, is_unreserved, shrink, unreserved
from mesos.local.core.resources import NONE, Resources
from mesos.local.core.roles import roles_of
from mesos.local.core.shares import FrameworkShares, RoleShares


class Allocator:
    def __init__(self, min_allocatable: MinAllocatable, interval_s: float, start: float,
                 domain: DomainInfo | None = None) -> None:  # fmt: skip
        self.min_allocatable, self.interval_s, self._start, self._domain = min_allocatable, interval_s, start, domain
        self.agents: dict[str, AgentSlot] = {}
        self.frameworks: dict[str, FrameworkSlot] = {}
        self.filters = Filters()
        self.quotas = Quotas()
        self.total: dict[str, int] = {}  # of the cluster, thousandths by name
        self.role_shares = RoleShares(self.total)
        self.framework_shares: dict[str, FrameworkShares] = {}
        self.headroom: dict[str, int] = {}  # free and unreserved on active agents
        self.overdrawn = False  # something was allocated past the limits of quotas
        self.looked_at = 0  # agents, ever: what tests count
        self._spare: dict[str, None] = {}  # active agents with something to offer
        self._now: dict[str, None] = {}  # to be looked at with this event
        self._later: dict[str, None] = {}  # ... with the next tick
        self._held_back: dict[str, None] = {}  # not offered because of a quota
        self._tick_at: float | None = None

    # --- agents

    def add_agent(self, agent: str, subject: Subject, total: Resources) -> None:
        """What runs there already is told by `allocate_to`."""
        self.agents[agent] = slot = AgentSlot(agent, subject, total)
        self._totals(total, 1)
        self._set_free(slot, total)
        self._now[agent] = None

    def remove_agent(self, agent: str) -> None:
        """What is allocated there must have been recovered before."""
        slot = self.agents.pop(agent)
        self._set_free(slot, NONE)
        self._totals(slot.total, -1)
        self.filters.forget_agent(agent)
        for waiting in (self._now, self._later, self._held_back, self._spare):
            waiting.pop(agent, None)

    def set_active(self, agent: str, active: bool) -> None:
        """An agent that is away, draining or deactivated is not offered."""
        slot = self.agents[agent]
        if slot.active is active:
            return
        free = slot.free
        self._set_free(slot, NONE)
        slot.active = active
        self._set_free(slot, free)
        if active:
            self._now[agent] = None

    def touch(self, agent: str) -> None:
        """Look at it again with this event."""
        if agent in self.agents:
            self._now[agent] = None

    def convert(self, agent: str, before: Resources, after: Resources, free: bool) -> None:
        """Reserved, unreserved, a volume made or destroyed: `before` of the agent is `after` now (both unallocated),
        out of what is free or out of what is allocated."""
        slot = self.agents[agent]
        if not free:
            slot.allocated = slot.allocated - before + after
        self.set_total(agent, slot.total - before + after)

    def set_total(self, agent: str, total: Resources) -> None:
        """What is allocated stays so, also where there is less now."""
        slot = self.agents[agent]
        self._totals(slot.total, -1)
        self._totals(total, 1)
        slot.total, slot.has_gpus = total, bool(total.named("gpus"))
        self._set_free(slot, total.without(slot.allocated))
        self._later[agent] = None

    def _totals(self, total: Resources, sign: int) -> None:
        for name, amount in total.scalars().items():
            self.total[name] = self.total.get(name, 0) + sign * amount
        self.quotas.reserved(total, sign)
        self.overdrawn = self.overdrawn or (sign > 0 and bool(self.quotas.by_role))
        for shares in self.framework_shares.values():
            shares.totals_changed()
        if self._held_back:
            self._quota_moved()

    def _set_free(self, slot: AgentSlot, free: Resources) -> None:
        if slot.active:
            self._headroom(slot.free, -1)
            self._headroom(free, 1)
        slot.free = free
        if slot.active and free:
            self._spare[slot.id] = None
        else:
            self._spare.pop(slot.id, None)

    def _headroom(self, free: Resources, sign: int) -> None:
        for key, amount in free.amounts.items():
            if isinstance(amount, int) and is_unreserved(key):
                self.headroom[key.name] = self.headroom.get(key.name, 0) + sign * amount

    # --- frameworks

    def add_framework(self, framework: str, info: FrameworkInfo, suppressed: frozenset[str] = frozenset(),
                      constraints: OfferConstraints = NO_CONSTRAINTS) -> None:  # fmt: skip
        """Not active yet."""
        slot = self.frameworks[framework] = FrameworkSlot(framework, info, suppressed, constraints)
        for role in slot.roles:
            self._shares(role).join(framework)

    def update_framework(self, framework: str, info: FrameworkInfo, suppressed: frozenset[str],
                         constraints: OfferConstraints) -> None:  # fmt: skip
        slot = self.frameworks[framework]
        for role in set(slot.roles) - set(roles_of(info)):
            self._leave_role(framework, role)
        slot.learn(info, suppressed, constraints)
        for role in slot.roles:
            self._shares(role).join(framework)
        self._interest(slot)

    def remove_framework(self, framework: str) -> None:
        """What it held must have been recovered before."""
        slot = self.frameworks.pop(framework, None)
        if slot is None:
            return
        for role, shares in list(self.framework_shares.items()):
            shares.forgive(framework)
            if framework in shares or not len(shares):
                self._leave_role(framework, role)

    def _leave_role(self, framework: str, role: str) -> None:
        """What it still holds there stays on its account."""
        shares = self._shares(role)
        shares.leave(framework)
        self.filters.clear(framework, role)
        if not len(shares):
            del self.framework_shares[role]

    def activate(self, framework: str) -> None:
        slot = self.frameworks[framework]
        slot.active = True
        self._interest(slot)

    def deactivate(self, framework: str) -> None:
        """Its filters go, too."""
        slot = self.frameworks[framework]
        slot.active = False
        self._interest(slot)
        for role in slot.roles:
            self.filters.clear(framework, role)

    def suppress(self, framework: str, roles: Iterable[str]) -> None:
        slot = self.frameworks[framework]
        slot.suppressed = slot.suppressed | set(roles)
        self._interest(slot)

    def revive(self, framework: str, roles: Iterable[str]) -> None:
        slot = self.frameworks[framework]
        roles = tuple(roles)
        slot.suppressed = slot.suppressed - set(roles)
        for role in roles:
            self.filters.clear(framework, role)
        self._interest(slot)

    def _interest(self, slot: FrameworkSlot) -> None:
        for role in slot.roles:
            shares = self._shares(role)
            if slot.active and role not in slot.suppressed:
                shares.activate(slot.id)
            else:
                shares.deactivate(slot.id)
        if slot.active and any(role not in slot.suppressed for role in slot.roles):
            self._now.update(self._spare)

    def _shares(self, role: str) -> FrameworkShares:
        shares = self.framework_shares.get(role)
        if shares is None:
            shares = self.framework_shares[role] = FrameworkShares(self.total)
        return shares

    # --- quotas and weights

    def set_quota(self, role: str, quota: Quota) -> None:
        if quota == Quota():
            self.quotas.by_role.pop(role, None)
        else:
            self.quotas.by_role[role] = quota
        self._now.update(self._spare)

    def set_weight(self, role: str, weight: float) -> None:
        self.role_shares.weights[role] = weight

    def _quota_moved(self) -> None:
        self._later.update(self._held_back)
        self._held_back.clear()

    # --- resources come and go

    def _charge(self, framework: str, resources: Resources) -> None:
        for role, part in resources.by_role():
            scalars = part.scalars()
            shares = self._shares(role)
            shares.join(framework)
            shares.give(framework, scalars)
            self.role_shares.give(role, scalars)
            self.quotas.allocated(role, unreserved(part, scalars), 1)

    def allocate_to(self, framework: str, agent: str, resources: Resources) -> None:
        """Out of what is free, past all filters: a task that came back with its agent."""
        slot = self.agents[agent]
        self._charge(framework, resources)
        self.overdrawn = self.overdrawn or bool(self.quotas.by_role)
        slot.allocated = slot.allocated + resources.unallocated()
        self._set_free(slot, slot.total.without(slot.allocated))

    def recover(self, framework: str, agent: str, resources: Resources, refuse_s: float | None = None,
                now: float = 0.0) -> None:  # fmt: skip
        """No longer offered or used. With `refuse_s` the framework does not want it for so long."""
        if not resources:
            return
        for role, part in resources.by_role():
            scalars = part.scalars()
            self.role_shares.take(role, scalars)
            self.quotas.allocated(role, unreserved(part, scalars), -1)
            shares = self.framework_shares.get(role)
            if shares is not None:
                shares.take(framework, scalars)
                if framework in self.frameworks and role not in self.frameworks[framework].roles:
                    self._leave_role(framework, role)
            if refuse_s and framework in self.frameworks and agent in self.agents:
                until = now + max(refuse_s, self.interval_s)
                self.filters.refuse(framework, role, agent, part.unallocated(), until)
        slot = self.agents.get(agent)
        if slot is not None:
            slot.allocated = slot.allocated.without(resources.unallocated())
            self._set_free(slot, slot.total.without(slot.allocated))
            self._later[agent] = None
        if self._held_back:
            self._quota_moved()

    # --- when

    @property
    def urgent(self) -> bool:
        return bool(self._now)

    @property
    def next_at(self) -> float | None:
        """When to call `allocate` again, without an event."""
        wanted = [at for at in (self._tick_at, self.filters.next_at) if at is not None]
        return min(wanted, default=None)

    def settle(self, now: float) -> None:
        """After an event: plan the tick for what waits for one."""
        if self._later and self._tick_at is None:
            ticks = floor((now - self._start) / self.interval_s) + 1
            self._tick_at = self._start + ticks * self.interval_s

    def expire(self, now: float) -> None:
        for agent in self.filters.expired(now):
            if agent in self._spare:
                self._later[agent] = None
        if self._tick_at is not None and now >= self._tick_at:
            self._tick_at = None
            self._now.update(self._later)
            self._later.clear()

    # --- the decision

    def allocate(self) -> list[Grant]:
        """What to offer now."""
        candidates = [self.agents[agent] for agent in self._now if agent in self._spare]
        for agent in self._now:
            self._later.pop(agent, None)
        self._now.clear()
        self.looked_at += len(candidates)
        roles = [role for role, shares in self.framework_shares.items() if shares.any_active]
        if not candidates or not roles:
            return []
        grants: list[Grant] = []
        lacking = [role for role in roles if self.quotas.missing(role)]
        if lacking:
            for slot in candidates:
                self._serve(slot, self.role_shares.order(lacking), grants, guaranteed=True)
        for slot in candidates:
            self._serve(slot, self.role_shares.order(roles), grants, guaranteed=False)
        return grants

    def _serve(self, slot: AgentSlot, roles: list[str], grants: list[Grant], guaranteed: bool) -> None:
        for role in roles:
            if not slot.free:
                return
            for framework in self.framework_shares[role].order():
                resources = self._portion(slot, role, self.frameworks[framework], guaranteed)
                if resources:
                    grants.append(self._grant(slot, role, framework, resources))

    def _grant(self, slot: AgentSlot, role: str, framework: str, resources: Resources) -> Grant:
        allocated = resources.allocated(role)
        self._charge(framework, allocated)
        slot.allocated = slot.allocated + resources
        self._set_free(slot, slot.free - resources)
        return Grant(framework, role, slot.id, allocated)

    def _portion(self, slot: AgentSlot, role: str, framework: FrameworkSlot, guaranteed: bool) -> Resources:
        """What this framework would be offered of what is free; nothing if it may not or will not have it."""
        if slot.has_gpus and not framework.gpus:
            return NONE
        if self._is_remote(slot) and not framework.regions:
            return NONE
        if framework.constraints and framework.constraints.excludes(role, slot.subject):
            return NONE
        resources = meant_for(slot.free, role, framework)
        if self.quotas.by_role:
            allowed = self._within_quota(resources, role, guaranteed)
            if allowed != resources:
                self._held_back[slot.id] = None
            resources = allowed
        if not resources or not self._is_allocatable(resources, framework.min_allocatable.get(role)):
            return NONE
        if self.filters.forbids(framework.id, role, slot.id, resources):
            return NONE
        return resources

    def _within_quota(self, resources: Resources, role: str, guaranteed: bool) -> Resources:
        room = self.quotas.room(role)
        if room is not None:
            resources = shrink(resources, {name: max(0, left) for name, left in room.items()})
        if guaranteed:
            missing = self.quotas.missing(role)
            if not any(name in missing for name in resources.scalars()):
                return NONE
            return shrink(resources, missing)
        required = self.quotas.required()
        surplus = {name: max(0, self.headroom.get(name, 0) - amount) for name, amount in required.items()}
        return shrink(resources, surplus) if surplus else resources

    def _is_allocatable(self, resources: Resources, own: MinAllocatable | None) -> bool:
        alternatives = self.min_allocatable if own is None else own
        if not alternatives:
            return True
        scalars = resources.scalars()
        return any(all(scalars.get(name, 0) >= least for name, least in each.items()) for each in alternatives)

    def _is_remote(self, slot: AgentSlot) -> bool:
        mine, theirs = self._domain, slot.domain
        if mine is None or mine.fault_domain is None or theirs is None or theirs.fault_domain is None:
            return False
        return mine.fault_domain.region != theirs.fault_domain.region
