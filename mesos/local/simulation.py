"""A whole Mesos without a socket, a process or a second of waiting: a master and up to tens of thousands of agents.

Master and agents are the same machines that run behind HTTP; time is virtual and moves only in `advance`, tasks do what
their scripts say (`mesos.local.scripted`), and every identity and chance comes from the seed: the same seed and the
same calls give the same events. Faults are injected with `faults`, agents and the master can be killed and come back.

    simulation = Simulation(agents=30_000, seed=1)
    scheduler = simulation.connect(info)
    simulation.advance(2.0)
    scheduler.events    # what it heard
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import msgspec

from mesos.core.messages import AgentInfo, FrameworkID, FrameworkInfo, TaskInfo
from mesos.core.scheduler_api import Call, Event, subscribe
from mesos.core.wire import decode, encode
from mesos.local import scripted
from mesos.local.core.agent_config import AgentConfig, AgentOptions
from mesos.local.core.cluster import Answer, MasterConfig
from mesos.local.core.master import Master
from mesos.local.core.protocol import StartContainer
from mesos.local.core.registry import Registry
from mesos.local.core.resource_text import parse_attributes, parse_resources
from mesos.local.faults import Faults, Parcel, Way
from mesos.local.link import Post
from mesos.local.master_host import MasterHost
from mesos.local.options import make_options
from mesos.local.scripted import ExecutorScript, TaskScript
from mesos.local.simulated_agent import SimulatedAgent
from mesos.local.timeline import VirtualTimeline
from thermos.clock import Now

#: When a simulation begins: a moment that is easy to read in traces.
START = Now(wall=1_700_000_000.0, mono=1000.0)
RESOURCES = "cpus:4;mem:4096;disk:8192;ports:[31000-31999]"
AGENTS_PER_RACK = 40

Listen = Callable[[Event], None]


class Simulation:
    """`resources`: of every agent. `encoded`: what schedulers hear and say goes through JSON and back."""

    def __init__(
        self,
        agents: int = 2,
        seed: int = 0,
        *,
        resources: str = RESOURCES,
        master_options: Mapping[str, Any] | None = None,
        agent_options: Mapping[str, Any] | None = None,
        task_script: Callable[[TaskInfo], TaskScript] = scripted.task_script,
        executor_script: Callable[[StartContainer], ExecutorScript] = scripted.executor_script,
        encoded: bool = False,
    ) -> None:
        self.random = Random(seed)
        self.timeline = VirtualTimeline(START)
        self.faults = Faults(self.random.random)
        self.post = Post(self.timeline, self.faults)
        self.encoded = encoded
        self.task_script = task_script
        self.executor_script = executor_script
        self.schedulers: list[SimulatedScheduler] = []
        self.master: MasterHost | None = None
        self.seed = seed
        self._identities = 0
        self._registry = Registry()
        self._config = make_options(MasterConfig, master_options or {}, "master")
        few = {  # of tens of thousands of agents; the master remembers, too
            "max_completed_frameworks": 1,
            "max_completed_executors_per_framework": 2,
            "max_completed_tasks_per_executor": 2,
        }
        options = make_options(AgentOptions, agent_options or {}, "agent", **few)
        everything = parse_resources(resources)
        self.agents = [
            SimulatedAgent(self, number, AgentConfig(info=_agent_info(number, everything), options=options))
            for number in range(agents)
        ]
        self.start_master()
        for agent in self.agents:
            agent.start()

    # --- time

    @property
    def now(self) -> Now:
        return self.timeline.now()

    def advance(self, seconds: float) -> None:
        self.timeline.advance(seconds)

    def run_until(self, condition: Callable[[], bool], limit_s: float = 600.0, step_s: float = 0.1) -> bool:
        """Whether it came true within `limit_s` of virtual time."""
        end = self.now.mono + limit_s
        self.timeline.settle()
        while not condition():
            if self.now.mono >= end:
                return False
            self.timeline.advance(step_s)
        return True

    # --- schedulers

    def connect(self, info: FrameworkInfo, listen: Listen | None = None) -> SimulatedScheduler:
        """A framework that subscribes now. Without `listen` its events are kept in `events`."""
        scheduler = SimulatedScheduler(self, info, listen)
        self.schedulers.append(scheduler)
        scheduler.subscribe()
        return scheduler

    # --- kill and start

    def kill_master(self) -> None:
        master, self.master = self.master, None
        if master is not None:
            self._registry = master.master.registry
            master.kill()
            self._follow()

    def start_master(self) -> None:
        """With the registry of the last one, and nothing else of it."""
        if self.master is None:
            identity = self.new_identity()
            self.master = MasterHost(Master(self._config, identity, self.now, self._registry), identity, self.post)
            self._follow()

    def kill_agent(self, number: int) -> None:
        self.agents[number].kill()

    def start_agent(self, number: int) -> None:
        self.agents[number].start()

    def forget_agent(self, number: int) -> None:
        """What an ended agent knows of itself goes: it registers as a new one."""
        self.agents[number].forget()

    def shutdown_agent(self, number: int) -> None:
        """As SIGUSR1: it ends for good, and its tasks with it."""
        self.agents[number].shut_down()

    def kill_executor(self, number: int, executor_id: str) -> None:
        """As kill -9 of its process."""
        self.agents[number].kill_executor(executor_id)

    def _follow(self) -> None:
        for agent in self.agents:
            agent.follow()

    def new_identity(self) -> str:
        """Of a master or a stream."""
        return self.new_uuid().hex()

    def new_uuid(self) -> bytes:
        self._identities += 1
        return hashlib.blake2b(f"{self.seed} {self._identities}".encode(), digest_size=16).digest()


class SimulatedScheduler:
    """One framework, and its stream while it has one. Calls are handled at once, unless a fault holds them up."""

    def __init__(self, simulation: Simulation, info: FrameworkInfo, listen: Listen | None) -> None:
        self.info = info
        self.events: list[Event] = []
        self.stream_id: str | None = None
        self.is_subscribed = False  # SUBSCRIBED was heard on this stream
        self.framework_id: FrameworkID | None = info.id
        self._simulation = simulation
        self._listen = listen

    def subscribe(self) -> Answer | None:
        """Again with the same framework id, once it has one. None when nobody leads, or the call was lost."""
        self.disconnect()
        call = subscribe(msgspec.structs.replace(self.info, id=self.framework_id))
        stream_id = self._simulation.new_identity()
        self.stream_id = stream_id
        answer = self._bring(call, lambda host, call: host.subscribe(call, stream_id, _Stream(self, stream_id), None))
        if answer is not None and answer.status != 200:
            self.stream_ended(stream_id)
        return answer

    def call(self, call: Call) -> Answer | None:
        """With the framework's id. None when nobody leads, or the call was lost, or comes later."""
        call = msgspec.structs.replace(call, framework_id=self.framework_id)
        stream_id = self.stream_id
        return self._bring(call, lambda host, call: host.call(call, stream_id, None))

    def disconnect(self) -> None:
        """The stream ends; the framework lives on for its failover timeout."""
        stream_id, self.stream_id = self.stream_id, None
        self.is_subscribed = False
        master = self._simulation.master
        if stream_id is not None and master is not None:
            master.stream_closed(stream_id)

    def _bring(self, call: Call, handle: Callable[[MasterHost, Call], Answer]) -> Answer | None:
        simulation = self._simulation
        if simulation.encoded:
            call = decode(encode(call), Call)
        answers: list[Answer] = []

        def deliver() -> None:
            if simulation.master is not None:
                answers.append(handle(simulation.master, call))

        if simulation.faults:
            simulation.post.carry(Parcel(Way.FROM_SCHEDULER, call), self, deliver)
        else:
            deliver()
        return answers[0] if answers else None

    def hear(self, stream_id: str, event: Event) -> None:
        if stream_id != self.stream_id:  # of a subscription that came too late
            if self._simulation.master is not None:
                self._simulation.master.stream_closed(stream_id)
            return
        if event.subscribed is not None:
            self.is_subscribed = True
            self.framework_id = event.subscribed.framework_id
        if self._listen is not None:
            self._listen(event)
        else:
            self.events.append(event)

    def stream_ended(self, stream_id: str) -> None:
        if stream_id == self.stream_id:
            self.stream_id = None
            self.is_subscribed = False


class _Stream:
    """What the master writes into; the scheduler hears it after the call that led to it."""

    def __init__(self, scheduler: SimulatedScheduler, stream_id: str) -> None:
        self._scheduler = scheduler
        self._stream_id = stream_id

    def put(self, event: Event) -> None:
        simulation = self._scheduler._simulation
        heard = decode(encode(event), Event) if simulation.encoded else event
        simulation.timeline.call_soon(lambda: self._scheduler.hear(self._stream_id, heard))

    def finish(self) -> None:
        self._scheduler._simulation.timeline.call_soon(lambda: self._scheduler.stream_ended(self._stream_id))

    def break_off(self) -> None:
        self.finish()


def _agent_info(number: int, everything: Any) -> AgentInfo:
    """`everything` is shared by all agents."""
    host = f"host{number:05}"
    attributes = parse_attributes(f"host:{host};rack:r{number // AGENTS_PER_RACK:03}")
    return AgentInfo(hostname=host, resources=everything, attributes=attributes, checkpoint=True)
