"""A framework for simulations: takes offers, launches scripted tasks, acknowledges, keeps the story of each task."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from mesos.core import scheduler_api
from mesos.core.messages import (
    TERMINAL_STATES,
    AgentID,
    CapabilityInfo,
    CommandInfo,
    ExecutorID,
    ExecutorInfo,
    FrameworkInfo,
    Launch,
    Offer,
    Operation,
    OperationType,
    TaskID,
    TaskInfo,
    TaskStatus,
    scalar,
)
from mesos.core.scheduler_api import Event
from mesos.local.simulation import SimulatedScheduler, Simulation

CAPABILITIES = ("PARTITION_AWARE", "MULTI_ROLE", "RESERVATION_REFINEMENT")


def framework_info(**fields: Any) -> FrameworkInfo:
    defaults: dict[str, Any] = {
        "user": "nobody",
        "name": "test",
        "roles": ("*",),
        "checkpoint": True,
        "failover_timeout": 3600.0,
        "capabilities": tuple(CapabilityInfo(type=name) for name in CAPABILITIES),
    }
    return FrameworkInfo(**{**defaults, **fields})


class Framework:
    """Does nothing by itself but acknowledge (unless told not to) and keep what it hears."""

    def __init__(self, simulation: Simulation, **fields: Any) -> None:
        self.simulation = simulation
        self.acknowledges = True
        self.offers: dict[str, Offer] = {}
        self.statuses: dict[str, list[TaskStatus]] = defaultdict(list)
        self.heard: list[str] = []
        self.events: list[Event] = []
        self.failures: list[scheduler_api.Failure] = []
        self.messages: list[bytes] = []
        self.errors: list[str] = []
        self.launched: dict[str, AgentID] = {}
        self._seen: set[bytes] = set()
        self.scheduler: SimulatedScheduler = simulation.connect(framework_info(**fields), self._hear)
        simulation.timeline.settle()

    # --- hearing

    def _hear(self, event: Event) -> None:
        self.heard.append(event.type)
        self.events.append(event)
        if event.offers is not None:
            self.offers |= {offer.id.value: offer for offer in event.offers.offers}
        elif event.rescind is not None:
            self.offers.pop(event.rescind.offer_id.value, None)
        elif event.failure is not None:
            self.failures.append(event.failure)
        elif event.message is not None:
            self.messages.append(event.message.data)
        elif event.error is not None:
            self.errors.append(event.error.message)
        elif event.update is not None:
            self._status(event.update.status)

    def _status(self, status: TaskStatus) -> None:
        if not status.uuid or status.uuid not in self._seen:
            self.statuses[status.task_id.value].append(status)
        if status.uuid:
            self._seen.add(status.uuid)
            if self.acknowledges:
                self.scheduler.call(scheduler_api.acknowledge(status))

    # --- looking

    def states(self, task: str) -> list[str]:
        """Without those of reconciliations."""
        return [s.state.removeprefix("TASK_") for s in self.statuses[task] if s.reason != "REASON_RECONCILIATION"]

    def terminal(self, task: str) -> list[str]:
        return [status.state for status in self.statuses[task] if status.state in TERMINAL_STATES]

    @property
    def open_tasks(self) -> list[str]:
        """Launched, and not heard to have ended."""
        return [name for name in self.launched if not self.terminal(name)]

    # --- doing

    def offer(self) -> Offer:
        """Any; waits for one."""
        assert self.simulation.run_until(lambda: bool(self.offers), 60), "no offer in a minute"
        return self.offers.pop(next(iter(self.offers)))

    def take(self, offer: Offer, *tasks: TaskInfo) -> None:
        self.offers.pop(offer.id.value, None)
        self.launched |= {task.task_id.value: task.agent_id for task in tasks}
        launch = Operation(type=OperationType.LAUNCH, launch=Launch(task_infos=tasks))
        self.scheduler.call(scheduler_api.accept([offer.id], [launch] if tasks else [], refuse_seconds=0.0))

    def task(self, offer: Offer, name: str, cpus: float = 0.5, executor: Any = None, **script: Any) -> TaskInfo:
        """`executor`: its script, too."""
        role = offer.allocation_info.role if offer.allocation_info is not None else ""
        return TaskInfo(
            name=name,
            task_id=TaskID(value=name),
            agent_id=offer.agent_id,
            resources=(scalar("cpus", cpus, role), scalar("mem", 64, role)),
            data=json.dumps(script).encode(),
            executor=ExecutorInfo(
                executor_id=ExecutorID(value=f"executor-of-{name}"),
                framework_id=self.scheduler.framework_id,
                command=CommandInfo(value="true"),
                resources=(scalar("cpus", 0.1, role), scalar("mem", 32, role)),
                data=json.dumps(executor or {}).encode(),
            ),
        )

    def launch(self, name: str, **script: Any) -> Offer:
        offer = self.offer()
        self.take(offer, self.task(offer, name, **script))
        return offer

    def kill(self, name: str) -> None:
        self.scheduler.call(scheduler_api.kill(TaskID(value=name)))

    def reconcile(self, *tasks: str) -> None:
        """Of these, with the agents that they were launched on; of none: of all that the master knows."""
        self.scheduler.call(scheduler_api.reconcile([(TaskID(value=name), self.launched[name]) for name in tasks]))

    def wait(self, task: str, state: str, limit_s: float = 120.0) -> TaskStatus:
        def came() -> bool:
            return any(status.state == f"TASK_{state}" for status in self.statuses[task])

        assert self.simulation.run_until(came, limit_s), f"{task} is {self.states(task)}, never {state}"
        return next(status for status in self.statuses[task] if status.state == f"TASK_{state}")


def amounts(simulation: Simulation) -> tuple[int, int]:
    """(total, used) thousandths of cpus in the master's books, which must balance: what is allocated is used or
    offered, what is not is free."""
    assert simulation.master is not None
    books = simulation.master.master.cluster
    used = 0
    for agent in books.agents.values():
        slot = books.allocator.agents[agent.id]
        here = agent.used.scalars().get("cpus", 0)
        offered = sum(books.offers[offer].resources.scalars().get("cpus", 0) for offer in agent.offers)
        assert slot.allocated.scalars().get("cpus", 0) == here + offered, agent.id
        assert slot.total.scalars()["cpus"] == slot.free.scalars().get("cpus", 0) + here + offered, agent.id
        used += here
    return books.allocator.total.get("cpus", 0), used
