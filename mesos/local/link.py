"""Carries messages: between masters and agents over `Link`s, events into streams, calls to whom they are for.

A `Link` is one agent's connection to one master, like a socket: it has two directions, each in order, and once it is
broken nothing that was under way arrives any more. Everything passes the fault switchboard; without rules that costs
one look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mesos.core.messages import Message
from mesos.local.core.protocol import FromAgent, FromMaster
from mesos.local.faults import HOLD_S, Faults, Parcel, Way
from mesos.local.timeline import Call, Timeline

Pair = tuple[Way, object]


@dataclass(slots=True, eq=False)
class _Held:
    """A parcel that waits to be overtaken; let go once, by whatever comes first."""

    deliver: Call
    gone: bool = False

    def let_go(self) -> None:
        if not self.gone:
            self.gone = True
            self.deliver()


class Post:
    """Takes parcels through the switchboard to where they go."""

    def __init__(self, timeline: Timeline, faults: Faults) -> None:
        self.timeline = timeline
        self.faults = faults
        self._held: dict[Pair, list[_Held]] = {}

    def carry(self, parcel: Parcel, pair: object, deliver: Call) -> bool:
        """`deliver` is called never (then it is False), once or twice, now or later. `pair` names the two who speak:
        order is theirs."""
        verdict = self.faults.decide(parcel)
        key = (parcel.way, pair)
        if verdict.held:
            self._hold(key, deliver)
            return True
        if verdict.delay_s > 0:
            self.timeline.call_at(self.timeline.now().mono + verdict.delay_s, deliver)
        else:
            for _ in range(verdict.copies):
                deliver()
        if verdict.copies and verdict.delay_s <= 0:
            for held in self._held.pop(key, []):
                held.let_go()
        return verdict.copies > 0

    def _hold(self, key: Pair, deliver: Call) -> None:
        held = _Held(deliver)
        self._held.setdefault(key, []).append(held)
        self.timeline.call_at(self.timeline.now().mono + HOLD_S, lambda: self._release(key, held))

    def _release(self, key: Pair, held: _Held) -> None:
        waiting = self._held.get(key, [])
        if held in waiting:
            waiting.remove(held)
            if not waiting:
                del self._held[key]
        held.let_go()


class Link:
    """One agent's connection to one master. `name` is what the master knows it by."""

    __slots__ = ("_post", "_to_agent", "_to_master", "agent", "is_open", "name")

    def __init__(
        self,
        name: str,
        agent: int,
        post: Post,
        to_master: Callable[[str, FromAgent], None],
        to_agent: Callable[[FromMaster], None],
    ) -> None:
        self.name = name
        self.agent = agent
        self.is_open = True
        self._post = post
        self._to_master = to_master
        self._to_agent = to_agent

    def send_master(self, message: FromAgent) -> None:
        self._send(Way.TO_MASTER, message, lambda: self._arrive_at_master(message))

    def send_agent(self, message: FromMaster) -> None:
        self._send(Way.TO_AGENT, message, lambda: self._arrive_at_agent(message))

    def cut(self) -> None:
        """What is under way is lost. Telling both ends is the matter of who cuts it."""
        self.is_open = False

    def _send(self, way: Way, message: Message, deliver: Call) -> None:
        if not self.is_open:
            return
        soon = self._post.timeline.call_soon
        if self._post.faults:
            self._post.carry(Parcel(way, message, self.agent), self.name, lambda: soon(deliver))
        else:
            soon(deliver)

    def _arrive_at_master(self, message: FromAgent) -> None:
        if self.is_open:
            self._to_master(self.name, message)

    def _arrive_at_agent(self, message: FromMaster) -> None:
        if self.is_open:
            self._to_agent(message)
