"""The scheduler as it serves (loop, link, engine, store) on the embedded Mesos' own machines, in virtual time.

`simulate`: HOSTS agents, two tasks for each, 20,000 at most, wished at once, with constraints; until all run. Nothing
is a process or a socket, the journal is in memory, as bytes; everything else is what runs in production. Processor
time of the simulation (the master, agents, executors) and of the scheduler are told apart: it is the scheduler's
while no call of it and no step of the simulation is under way.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, cast

from bench.scheduler.making import JOB_SIZE, ROLE, SETTINGS, Figures, a_config, limit, settled_memory, value
from mesos.core import scheduler_api as api
from mesos.core.messages import Capability, CapabilityInfo, FrameworkID, FrameworkInfo
from mesos.local.simulation import AGENTS_PER_RACK, SimulatedScheduler, Simulation
from mesos.local.timeline import VirtualTimeline
from mesos.scheduler_driver import CallFailed, CallRefused, SchedulerDriver, SchedulerListener
from scheduler.core.model import Constraint
from scheduler.core.states import ScheduleStatus
from scheduler.engine import Engine, EngineSettings
from scheduler.event_log import EventLog
from scheduler.lifecycle import Lifecycle, LifecycleState
from scheduler.loop import Loop
from scheduler.mesos_link import MesosLink
from scheduler.store.codec import encode_ops
from scheduler.store.ops import Op
from scheduler.store.store import Store
from scheduler.store.tables import Tables

MOST_TASKS = 20_000
RESOURCES = "cpus:16;mem:65536;disk:1000000;ports:[31000-32000]"
STEP_S, PATIENCE_S = 0.1, 300.0
CAN = (Capability.MULTI_ROLE, Capability.RESERVATION_REFINEMENT, Capability.PARTITION_AWARE)
INFO = FrameworkInfo(
    user="nobody",
    name="bench",
    roles=(ROLE,),
    checkpoint=True,
    failover_timeout=1e6,
    capabilities=tuple(CapabilityInfo(type=each) for each in CAN),
)


def simulate(hosts: int) -> Figures:
    return asyncio.run(Simulated(hosts).run())


class Simulated:
    def __init__(self, hosts: int) -> None:
        self.hosts = hosts
        self.simulation_s = 0.0
        self.simulation = Simulation(hosts, resources=RESOURCES, agent_options={"registration_backoff_factor_s": 1.0})
        self.simulation.advance(5.0)
        self.drivers: list[Driver] = []

    async def run(self) -> Figures:
        timeline, ids = self.simulation.timeline, itertools.count()
        store = Store(MemoryJournal())
        settings = EngineSettings(SETTINGS, startup_delay_s=0.0)
        self.engine = Engine(store.tables, settings, random.Random(7).random, lambda: f"{next(ids):036}")
        lifecycle = Lifecycle(lambda: timeline.now().mono)
        lifecycle.move(LifecycleState.STORAGE_PREPARED)
        timers = SimulatedTimers(self)
        self.loop = Loop(self.engine, store, EventLog("bench"), lifecycle, now=timeline.now, timers=timers)
        self.loop.start()
        lifecycle.move(LifecycleState.LEADER_AWAITING_REGISTRATION)
        self.link = MesosLink(self.loop, self._make_driver, timers)
        linked = asyncio.create_task(self.link.run())
        await self._until(lambda: len(self.engine.book) == self.hosts)
        with settled_memory():
            figures = await self._measured()
        await self.link.stop()
        await linked
        await self.loop.close()
        return figures

    async def _measured(self) -> Figures:
        jobs = max(1, min(MOST_TASKS, 2 * self.hosts) // JOB_SIZE)
        wanted = jobs * JOB_SIZE
        began, mono, before = time.process_time(), self.simulation.now.mono, self.simulation_s
        for number in range(jobs):
            config = a_config(f"job{number}", *ways(number, max(1, self.hosts // AGENTS_PER_RACK)))
            await self.loop.act(lambda turn, c=config: self.engine.insert(turn, c, range(JOB_SIZE)))  # type: ignore[misc]
        running = self.loop.store.tables.tasks.count
        await self._until(lambda: running(ScheduleStatus.RUNNING) == wanted)
        simulation_s = self.simulation_s - before
        took = time.process_time() - began - simulation_s
        return {
            "hosts": self.hosts,
            "tasks": wanted,
            "us_per_task": round(1e6 * took / wanted, 1),
            "tasks_per_s": round(wanted / took),
            "virtual_s": round(self.simulation.now.mono - mono, 1),
            "simulation_s": round(simulation_s, 1),
            "turns": self.loop.stats.turns,
        }

    async def _until(self, came_true: Callable[[], bool]) -> None:
        end = self.simulation.now.mono + PATIENCE_S
        while not came_true():
            if self.simulation.now.mono > end:
                raise SystemExit(f"bench.scheduler: after {PATIENCE_S:g} s of virtual time there is no end")
            await self._settle()
            with self.simulating():
                self.simulation.advance(STEP_S)

    async def _settle(self) -> None:
        """What was heard is decided, what was decided is done."""
        was_busy = True
        while was_busy:
            was_busy = any(driver.is_busy for driver in self.drivers)
            await asyncio.sleep(0)  # who was woken goes on
            await asyncio.sleep(0)  # and statuses that came together become a turn
            await self.link.quiet()

    def _make_driver(self, framework_id: FrameworkID | None, listener: SchedulerListener) -> SchedulerDriver:
        self.drivers.append(Driver(self, listener))
        return cast(SchedulerDriver, self.drivers[-1])

    @contextmanager
    def simulating(self) -> Iterator[None]:
        """Whatever is used in it is not the scheduler's."""
        began = time.process_time()
        try:
            yield
        finally:
            self.simulation_s += time.process_time() - began

    def scheduling(self, work: Callable[[], object]) -> None:
        """Within a step of the simulation it is, though."""
        began = time.process_time()
        work()
        self.simulation_s -= time.process_time() - began


class Driver:
    """In the place of a SchedulerDriver: what the link asks of one."""

    def __init__(self, simulated: Simulated, listener: SchedulerListener) -> None:
        self.heard: asyncio.Queue[api.Event | None] = asyncio.Queue()
        self.is_telling = False
        self.subscribed = False
        self.master_url = "simulated"
        self._simulated = simulated
        self._listener = listener
        self._scheduler: SimulatedScheduler | None = None

    @property
    def is_busy(self) -> bool:
        return self.is_telling or not self.heard.empty()

    async def run(self) -> None:
        with self._simulated.simulating():
            self._scheduler = self._simulated.simulation.connect(INFO, self.heard.put_nowait)
        while (event := await self.heard.get()) is not None:
            self.is_telling = True
            if event.subscribed is not None:
                self.subscribed = True
                await self._listener.subscribed(event.subscribed.framework_id, None, False)
            else:
                await self._listener.event(event)
            self.is_telling = False

    async def call(self, call: api.Call) -> None:
        assert self._scheduler is not None
        with self._simulated.simulating():
            answer = self._scheduler.call(call)
        if answer is None:
            raise CallFailed(f"cannot {call.type}: there is no answer")
        if answer.status >= 300:
            raise CallRefused(call.type, answer.status, answer.text)

    async def stop(self) -> None:
        self.heard.put_nowait(None)

    def state(self) -> dict[str, Any]:
        return {"last_problem": ""}


class Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class SimulatedTimers:
    """The simulation's time for the loop and the link."""

    def __init__(self, simulated: Simulated) -> None:
        self._simulated = simulated
        self._timeline: VirtualTimeline = simulated.simulation.timeline

    def now(self) -> float:
        return self._timeline.now().mono

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)

        def ring() -> None:
            if timer.call is not None:
                self._simulated.scheduling(timer.call)

        self._timeline.call_at(self.now() + seconds, ring)
        return timer


class MemoryJournal:
    """Durable at once."""

    is_long = False

    def load(self) -> Iterator[Op]:
        return iter(())

    def append(self, ops: Sequence[Op]) -> Future[None]:
        encode_ops(ops)
        return _done()

    def snapshot(self, tables: Tables) -> Future[None]:
        return _done()

    def resume(self) -> None:
        """Nothing fails."""

    def close(self) -> None:
        """Nothing is left to do."""


def _done() -> Future[None]:
    future: Future[None] = Future()
    future.set_result(None)
    return future


def ways(number: int, racks: int) -> tuple[Constraint, ...]:
    """What jobs ask for, in turn."""
    two = (f"r{number % racks:03}", f"r{(number + 1) % racks:03}")
    return ((), (limit("host", 1),), (limit("rack", 10),), (value("rack", *two),))[number % 4]
