"""The rim of one agent: performs its effects, has its link to the master that leads, wakes it when it wants to be.

What an executor is, it does not know: a `Side` starts and kills containers and brings events to executors. That is real
child processes and HTTP streams, or scripts of a simulation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol, assert_never

from mesos.core.executor_api import Event
from mesos.core.messages import ContainerID
from mesos.local.core.agent import Agent
from mesos.local.core.protocol import (
    AgentEffect,
    CloseExecutor,
    EndAgent,
    FromMaster,
    KillContainer,
    SendExecutor,
    SendMaster,
    StartContainer,
)
from mesos.local.link import Link, Post
from mesos.local.master_host import MasterHost
from mesos.local.timeline import Alarm


class Side(Protocol):
    """What an agent has done to containers and executors. Nothing comes back in the same call."""

    def start_container(self, start: StartContainer) -> None: ...

    def kill_container(self, container_id: ContainerID) -> None: ...

    def tell_executor(self, container_id: ContainerID, event: Event) -> None: ...

    def close_executor(self, container_id: ContainerID) -> None: ...

    def agent_ends(self, reason: str) -> None: ...


class AgentHost:
    __slots__ = ("_alarm", "_link", "_master", "_post", "_side", "agent", "is_alive", "number")

    def __init__(self, number: int, agent: Agent, post: Post, side: Side) -> None:
        self.number = number
        self.agent = agent
        self.is_alive = True
        self._post = post
        self._side = side
        self._link: Link | None = None
        self._master: MasterHost | None = None
        self._alarm = Alarm(post.timeline, self._ring)

    def start(self, alive: Collection[str] = ()) -> None:
        """`alive`: the containers of a former life that still run."""
        self.did(self.agent.start(self._post.timeline.now(), alive))

    def shut_down(self) -> None:
        """For good, as SIGUSR1 would."""
        self.did(self.agent.shutdown("shut down by the operator", self._post.timeline.now()))

    def follow(self, master: MasterHost | None) -> None:
        """Another master leads, or none does. The same as before is no news."""
        if not self.is_alive or (master is self._master and self._link is not None):
            return
        self._break_link()
        self._master = master
        if master is not None:
            self._link = master.open_link(self.number, self._from_master)
            self.did(self.agent.connected(self._post.timeline.now()))

    def kill(self) -> None:
        """Between two events, as kill -9 would. The master notices that the link broke."""
        self.is_alive = False
        self._alarm.stop()
        link, self._link = self._link, None
        if link is not None and self._master is not None:
            self._master.close_link(link)

    def did(self, effects: Iterable[AgentEffect]) -> None:
        """Perform what the agent asks for, also by other doors than this one's."""
        for effect in effects:
            if self.is_alive:
                self._perform(effect)
        if self.is_alive:
            self._alarm.set(self.agent.next_wake)

    def _break_link(self) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        if self._master is not None:
            self._master.close_link(link)
        self.did(self.agent.link_broken(self._post.timeline.now()))

    def _from_master(self, message: FromMaster) -> None:
        if self.is_alive:
            self.did(self.agent.from_master(message, self._post.timeline.now()))

    def _ring(self) -> None:
        if self.is_alive:
            self.did(self.agent.on_timer(self._post.timeline.now()))

    def _perform(self, effect: AgentEffect) -> None:
        match effect:
            case SendMaster(message=message):
                if self._link is not None:
                    self._link.send_master(message)
            case SendExecutor(container_id=container_id, event=event):
                self._side.tell_executor(container_id, event)
            case CloseExecutor(container_id=container_id):
                self._side.close_executor(container_id)
            case StartContainer():
                self._side.start_container(effect)
            case KillContainer(container_id=container_id):
                self._side.kill_container(container_id)
            case EndAgent(reason=reason):
                self._side.agent_ends(reason)
            case _:
                assert_never(effect)
