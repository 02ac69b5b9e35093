"""One simulated agent: its machine while it lives, its disk, and its scripted executors, which may outlive it.

Tens of thousands of these are in one process, so it holds nothing that it does not need yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesos.core.executor_api import Call, CallType, Event
from mesos.core.messages import ContainerID
from mesos.local.agent_host import AgentHost
from mesos.local.core.agent import Agent
from mesos.local.core.agent_config import AgentConfig
from mesos.local.core.agent_disk import AgentDisk
from mesos.local.core.protocol import StartContainer
from mesos.local.faults import Parcel, Way
from mesos.local.scripted import SIGKILL, ScriptedExecutor

if TYPE_CHECKING:
    from mesos.local.simulation import Simulation


class SimulatedAgent:
    __slots__ = ("_executors", "_simulation", "config", "disk", "ended", "host", "number")

    def __init__(self, simulation: Simulation, number: int, config: AgentConfig) -> None:
        self.number = number
        self.config = config
        self.disk = AgentDisk(f"{simulation.seed}/{number}")
        self.host: AgentHost | None = None
        self.ended = ""  # why, when it ended by itself
        self._simulation = simulation
        self._executors: dict[str, ScriptedExecutor] | None = None  # container -> executor, those that live

    # --- verbs

    def start(self) -> None:
        if self.host is not None:
            return
        self.ended = ""
        self.host = AgentHost(self.number, Agent(self.config, self.disk), self._simulation.post, self)
        self.host.start(alive=tuple(self._executors or ()))
        self.follow()
        for executor in tuple((self._executors or {}).values()):
            executor.subscribe()

    def follow(self) -> None:
        if self.host is not None:
            self.host.follow(self._simulation.master)

    def kill(self) -> None:
        host, self.host = self.host, None
        if host is not None:
            host.kill()
            for container, executor in tuple((self._executors or {}).items()):
                executor.disconnected()
                if executor.has_ended:
                    self._forget(container)

    def forget(self) -> None:
        self.disk.forget()

    def shut_down(self) -> None:
        if self.host is not None:
            self.host.shut_down()

    def kill_executor(self, executor_id: str) -> bool:
        """Whether there was one."""
        for executor in tuple((self._executors or {}).values()):
            if executor.start.executor.executor_id.value == executor_id:
                executor.kill()
                return True
        return False

    @property
    def executors(self) -> tuple[ScriptedExecutor, ...]:
        return tuple((self._executors or {}).values())

    # --- what the agent asks for

    def start_container(self, start: StartContainer) -> None:
        simulation = self._simulation
        script = simulation.executor_script(start)
        if script.fails is not None:
            text = script.fails
            simulation.timeline.call_soon(lambda: self._failed(start.container_id, text))
            return
        executor = ScriptedExecutor(
            start, script, simulation.timeline, _End(self, start.container_id), simulation.new_uuid,
            simulation.task_script,
        )  # fmt: skip
        if self._executors is None:
            self._executors = {}
        self._executors[start.container_id.value] = executor
        executor.begin()

    def kill_container(self, container_id: ContainerID) -> None:
        executor = (self._executors or {}).get(container_id.value)
        if executor is not None:
            executor.kill()
        else:
            self.exited(container_id, SIGKILL)

    def tell_executor(self, container_id: ContainerID, event: Event) -> None:
        simulation = self._simulation
        executor = (self._executors or {}).get(container_id.value)
        if executor is None:
            return

        connection = executor.connection

        def hear() -> None:
            if executor.connection == connection:  # what was under way when the agent died is lost
                executor.hear(event)

        def deliver() -> None:
            simulation.timeline.call_soon(hear)

        if simulation.faults:
            start = executor.start
            framework = start.framework.id.value if start.framework.id is not None else ""
            parcel = Parcel(Way.TO_EXECUTOR, event, self.number, framework, start.executor.executor_id.value)
            simulation.post.carry(parcel, executor, deliver)
        else:
            deliver()

    def close_executor(self, container_id: ContainerID) -> None:
        executor = (self._executors or {}).get(container_id.value)
        if executor is None:
            return

        def close() -> None:
            executor.disconnected()
            executor.subscribe()  # the agent is there

        self._simulation.timeline.call_soon(close)

    def agent_ends(self, reason: str) -> None:
        """By itself. What is left of its executors ends with it: it killed them, or never knew them."""
        self.ended = reason
        self._simulation.timeline.call_soon(self.kill)

    # --- what executors say

    def executor_says(self, executor: ScriptedExecutor, call: Call) -> None:
        simulation = self._simulation
        parcel = Parcel(Way.FROM_EXECUTOR, call, self.number)
        if not simulation.faults:
            self._bring(executor, call)
        elif call.type == CallType.SUBSCRIBE:  # it is a connection: there or not, but never an old one after a new one
            if simulation.faults.decide(parcel).copies:
                self._bring(executor, call)
        else:
            simulation.post.carry(parcel, executor, lambda: self._bring(executor, call))

    def _bring(self, executor: ScriptedExecutor, call: Call) -> None:
        """Its effects may speak to the executor again, in time."""
        host = self.host
        if host is None or executor.has_ended:
            return
        answer = host.agent.executor_call(call, None, self._simulation.now)
        host.did(answer.effects)
        if call.type == CallType.SUBSCRIBE and answer.status != 200:
            executor.refused(answer.status)

    def exited(self, container_id: ContainerID, wait_status: int) -> None:
        """Its own agent hears it, after what it said before."""
        self._forget(container_id.value)

        def tell() -> None:
            if self.host is not None:
                self.host.did(self.host.agent.container_exited(container_id, wait_status, self._simulation.now))

        self._simulation.timeline.call_soon(tell)

    def _failed(self, container_id: ContainerID, text: str) -> None:
        if self.host is not None:
            self.host.did(self.host.agent.container_failed(container_id, text, self._simulation.now))

    def _forget(self, container: str) -> None:
        if self._executors is not None:
            self._executors.pop(container, None)
            if not self._executors:
                self._executors = None


class _End:
    """The agent as one executor has it."""

    __slots__ = ("_agent", "_container_id")

    def __init__(self, agent: SimulatedAgent, container_id: ContainerID) -> None:
        self._agent = agent
        self._container_id = container_id

    def call(self, executor: ScriptedExecutor, call: Call) -> None:
        self._agent.executor_says(executor, call)

    def exited(self, wait_status: int) -> None:
        self._agent.exited(self._container_id, wait_status)
