"""Agents kept for somebody: for a group of tasks for which others were preempted there, or for the instance that ran
there and is being replaced by an update.

A kept agent is invisible to all others. An instance with an agent goes nowhere else while it is kept; a group may.
In memory only: after a restart nothing is kept.

Source: spec/scheduler.md §3.4, §3.5. Time is monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.core.deadlines import Deadlines
from scheduler.core.model import InstanceKey


@dataclass(frozen=True, slots=True)
class Reservation:
    """For a group or an instance."""

    agent: str
    holder: bytes | InstanceKey
    until: float


class Reservations:
    """One holder for an agent, one agent for an instance; a later reservation takes the place of an earlier one."""

    def __init__(self) -> None:
        self._by_agent: dict[str, Reservation] = {}
        self._by_instance: dict[InstanceKey, str] = {}
        self._by_group: dict[bytes, dict[str, None]] = {}
        self._until: Deadlines[str] = Deadlines()

    def __len__(self) -> int:
        return len(self._by_agent)

    def reserve(self, agent: str, holder: bytes | InstanceKey, until: float) -> None:
        self.release(agent)
        if isinstance(holder, InstanceKey):
            self.release_instance(holder)
            self._by_instance[holder] = agent
        else:
            self._by_group.setdefault(holder, {})[agent] = None
        self._by_agent[agent] = Reservation(agent, holder, until)
        self._until.set(agent, until)

    def release(self, agent: str) -> None:
        gone = self._by_agent.pop(agent, None)
        if gone is None:
            return
        self._until.cancel(agent)
        if isinstance(gone.holder, InstanceKey):
            del self._by_instance[gone.holder]
            return
        agents = self._by_group[gone.holder]
        del agents[agent]
        if not agents:
            del self._by_group[gone.holder]

    def release_group(self, group: bytes) -> None:
        """A task of it is PENDING no more."""
        for agent in list(self._by_group.get(group, ())):
            self.release(agent)

    def release_instance(self, instance: InstanceKey) -> None:
        agent = self._by_instance.get(instance)
        if agent is not None:
            self.release(agent)

    def expire(self, now: float) -> int:
        """How many agents are free now."""
        over = self._until.due(now, len(self._until))
        for agent in over:
            self.release(agent)
        return len(over)

    def next_wake(self) -> float | None:
        return self._until.next_wake()

    def agent_of(self, instance: InstanceKey) -> str | None:
        return self._by_instance.get(instance)

    def is_open_to(self, agent: str, group: bytes) -> bool:
        """To tasks of this group that have no agent of their own."""
        held = self._by_agent.get(agent)
        return held is None or held.holder == group

    def may_use(self, agent: str, group: bytes, instance: InstanceKey) -> bool:
        own = self._by_instance.get(instance)
        return own == agent if own is not None else self.is_open_to(agent, group)
