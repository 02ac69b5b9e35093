"""What frameworks said no to, and for how long.

A refusal holds for one framework, one role and one agent: no offer of what lies within the refused resources, until
it expires. More than was refused is offered again at once. Refusals are few per agent; one that says less than
another of the same three is dropped.
"""

from __future__ import annotations

from mesos.local.core.resources import Resources
from mesos.local.core.timers import Timers

#: (framework, role) -> agent -> refusals.
Book = dict[tuple[str, str], dict[str, list["Refusal"]]]


class Refusal:
    """Whole until it expires or is cleared; its timer may outlive it."""

    __slots__ = ("agent", "expires_at", "framework", "resources", "role")

    def __init__(self, framework: str, role: str, agent: str, resources: Resources, expires_at: float) -> None:
        self.framework, self.role, self.agent = framework, role, agent
        self.resources, self.expires_at = resources, expires_at


class Filters:
    """Of offers. `expired` tells which agents to look at again."""

    def __init__(self) -> None:
        self._book: Book = {}
        self._timers: Timers[Refusal] = Timers()
        self._alive = 0

    def __len__(self) -> int:
        return self._alive

    @property
    def next_at(self) -> float | None:
        return self._timers.next_at

    def refuse(self, framework: str, role: str, agent: str, resources: Resources, expires_at: float) -> None:
        """`resources` without an allocation."""
        refusals = self._book.setdefault((framework, role), {}).setdefault(agent, [])
        if any(r.expires_at >= expires_at and r.resources.contains(resources) for r in refusals):
            return
        kept = [r for r in refusals if r.expires_at > expires_at or not resources.contains(r.resources)]
        new = Refusal(framework, role, agent, resources, expires_at)
        self._alive += len(kept) + 1 - len(refusals)
        refusals[:] = [*kept, new]
        self._timers.add(expires_at, new)
        if len(self._timers) > 2 * self._alive + 1000:
            self._sweep()

    def forbids(self, framework: str, role: str, agent: str, resources: Resources) -> bool:
        refusals = self._book.get((framework, role), {}).get(agent, ())
        return any(refusal.resources.contains(resources) for refusal in refusals)

    def clear(self, framework: str, role: str) -> tuple[str, ...]:
        """All of a framework's refusals in a role; says for which agents there were any."""
        agents = self._book.pop((framework, role), {})
        self._alive -= sum(len(refusals) for refusals in agents.values())
        return tuple(agents)

    def forget_agent(self, agent: str) -> None:
        for agents in self._book.values():
            self._alive -= len(agents.pop(agent, ()))

    def expired(self, now: float) -> set[str]:
        """Takes out what has expired; the agents whose refusals they were."""
        agents = set()
        for refusal in self._timers.due(now):
            refusals = self._book.get((refusal.framework, refusal.role), {}).get(refusal.agent, [])
            if any(r is refusal for r in refusals):
                refusals[:] = [r for r in refusals if r is not refusal]
                self._alive -= 1
                agents.add(refusal.agent)
                if not refusals:
                    del self._book[refusal.framework, refusal.role][refusal.agent]
        return agents

    def of(self, framework: str) -> dict[str, list[str]]:
        """role -> agents refused now; for views."""
        return {role: list(agents) for (owner, role), agents in self._book.items() if owner == framework and agents}

    def _sweep(self) -> None:
        """Timers of refusals that died early, out."""
        alive = {id(r) for agents in self._book.values() for refusals in agents.values() for r in refusals}
        self._timers.keep(alive)
