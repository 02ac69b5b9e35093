"""Anything in any order: what must hold between two events holds (the harness checks it after each), and more:
filters are honoured, an ACCEPT of k tasks yields k answers, and nobody is spoken to who is not there.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesos.core import scheduler_api as api
from mesos.core.messages import (
    AgentID,
    Launch,
    Offer,
    Operation,
    OperationID,
    Reservation,
    ResourcesOf,
    TaskID,
    scalar,
)
from mesos.local.core import protocol
from mesos.local.core.resources import Resources
from tests.mesos.local.master.harness import MODERN, FakeAgent, FakeFramework, World, task

ROLES = ("*", "a", "b", "a/x")


class Chaos:
    """A world that random things happen to, and what it must have promised."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.world = World(agent_ping_timeout_s=2.0, max_agent_ping_timeouts=2, agent_reregister_timeout_s=20.0)
        self.agents: list[FakeAgent] = []
        self.frameworks: list[FakeFramework] = []
        self.refused: dict[tuple[str, str, str], list[tuple[Resources, float]]] = {}
        self.offers: dict[str, dict[str, Offer]] = {}
        self.names = 0
        self.answers = 0

    # --- things that happen

    def new_agent(self) -> None:
        if len(self.agents) < 6:
            reserved = self.dice.choice(["", ";cpus(a):2;mem(a):64", ";gpus:1"])
            self.agents.append(self.world.agent(f"h{len(self.agents)}", f"cpus:4;mem:512;ports:[1-50]{reserved}"))

    def new_framework(self) -> None:
        if len(self.frameworks) < 4:
            roles = self.dice.sample(ROLES, self.dice.randint(1, 2))
            capabilities = self.dice.choice([MODERN, (*MODERN, "GPU_RESOURCES"), ("MULTI_ROLE",), ()])
            self.frameworks.append(self.world.framework(*roles, capabilities=capabilities, principal="me"))

    def subscribe_again(self) -> None:
        if self.frameworks:
            index = self.dice.randrange(len(self.frameworks))
            old = self.frameworks[index]
            capabilities = tuple(c.type for c in old.info.capabilities)
            roles = old.info.roles or (old.info.role,)
            new = self.world.framework(*roles, capabilities=capabilities, again=old, principal="me")
            self.forget(old.id)
            self.offers.pop(old.id, None)
            if new.closed:
                self.frameworks.pop(index)
            else:
                self.frameworks[index] = new

    def leave(self) -> None:
        framework = self.living()
        if framework is not None:
            framework.disconnect()
            self.forget(framework.id)

    def teardown(self) -> None:
        framework = self.living()
        if framework is not None and self.dice.random() < 0.3:
            framework.call(api.teardown())
            self.forget(framework.id)

    def launch(self) -> None:
        framework, offer = self.some_offer()
        if framework is None or offer is None:
            return
        size = self.dice.choice([0.5, 1.0, 3.0, 9.0])
        tasks = []
        for _ in range(self.dice.randint(0, 4)):
            self.names += 1
            name = f"t{self.names if self.dice.random() < 0.9 else 1}"
            tasks.append(task(offer, name, scalar("cpus", size), scalar("mem", 10), executor=f"e{self.names % 3}"))
        before = len(self.world.effects)
        operation = Operation(type="LAUNCH", launch=Launch(task_infos=tuple(tasks)))
        framework.call(api.accept([offer.id], [operation], self.refuse(framework, offer)))
        assert self.count_answers(before) == len(tasks)
        self.answers += len(tasks)
        if self.dice.random() < 0.1:  # the offer is gone now
            before = len(self.world.effects)
            framework.call(api.accept([offer.id], [operation], 0))
            assert self.count_answers(before) == len(tasks)

    def count_answers(self, before: int) -> int:
        """Tasks handed to an agent, and those refused by the master."""
        found = 0
        for effect in self.world.effects[before:]:
            if isinstance(effect, protocol.SendAgent):
                found += isinstance(effect.message, protocol.RunTask)
            elif isinstance(effect, protocol.SendEvent) and effect.event.update is not None:
                status = effect.event.update.status
                found += status.source == "SOURCE_MASTER" and status.reason in (
                    "REASON_TASK_INVALID",
                    "REASON_INVALID_OFFERS",
                )
        return found

    def reserve(self) -> None:
        framework, offer = self.some_offer()
        if framework is None or offer is None or "RESERVATION_REFINEMENT" not in str(framework.info.capabilities):
            return
        role = offer.allocation_info.role if offer.allocation_info is not None else "*"
        item = Reservation(type="DYNAMIC", role=role, principal="me")
        reserved = [r for r in offer.resources if r.reservations and r.reservations[-1].type == "DYNAMIC"]
        name = OperationID(value=f"o{len(self.world.effects)}") if self.dice.random() < 0.5 else None
        if reserved and self.dice.random() < 0.5:
            operation = Operation(type="UNRESERVE", id=name, unreserve=ResourcesOf(resources=tuple(reserved)))
        else:
            wanted = msgspec.structs.replace(scalar("cpus", 1), reservations=(item,))
            operation = Operation(type="RESERVE", id=name, reserve=ResourcesOf(resources=(wanted,)))
        framework.operate(offer, operation, refuse=0.0)

    def decline(self) -> None:
        framework, offer = self.some_offer()
        if framework is not None and offer is not None:
            framework.call(api.decline([offer.id], self.refuse(framework, offer, all_of_it=True)))

    def revive(self) -> None:
        framework = self.living()
        if framework is not None:
            self.forget(framework.id)
            framework.call(self.dice.choice([api.revive(), api.suppress(), api.revive(["a"])]))

    def kill(self) -> None:
        framework = self.living()
        if framework is not None:
            framework.kill(f"t{self.dice.randint(1, self.names + 1)}")

    def task_ends(self) -> None:
        agent = self.dice.choice(self.agents) if self.agents else None
        if agent is not None and agent.tasks and not agent.deaf and not agent.ended:
            key = self.dice.choice(sorted(agent.tasks))
            if agent.tasks[key].state == "TASK_RUNNING":
                agent.says(*key, self.dice.choice(["TASK_FINISHED", "TASK_FAILED"]))

    def executor_ends(self) -> None:
        agent = self.dice.choice(self.agents) if self.agents else None
        if agent is not None and agent.executors and not agent.deaf:
            key = self.dice.choice(sorted(agent.executors))
            for task_key, known in list(agent.tasks.items()):
                of_it = known.executor_id is not None and (task_key[0], known.executor_id.value) == key
                if of_it and known.state == "TASK_RUNNING":
                    agent.says(*task_key, "TASK_FAILED")
            agent.executor_exits(*key)

    def agent_trouble(self) -> None:
        if self.agents:
            agent = self.dice.choice(self.agents)
            if self.dice.random() < 0.5:
                agent.break_link()
            agent.deaf = self.dice.random() < 0.7

    def agent_returns(self) -> None:
        if self.agents:
            agent = self.dice.choice(self.agents)
            if agent.info.id is not None and not agent.ended:
                agent.break_link()
                if agent.id not in self.world.master.cluster.agents:  # refusals about it went with it
                    self.refused = {key: value for key, value in self.refused.items() if key[2] != agent.id}
                if self.dice.random() < 0.2 and agent.tasks:
                    agent.tasks.pop(self.dice.choice(sorted(agent.tasks)))
                agent.come_back(total=())

    def operator(self) -> None:
        agent = self.dice.choice(self.agents) if self.agents else None
        name = {"agent_id": {"value": agent.id if agent is not None and agent.info.id is not None else "x"}}
        limit = {"role": "a", "limits": {"cpus": {"value": self.dice.choice([3, 100])}}}
        kind, payload = self.dice.choice(
            [
                ("DRAIN_AGENT", name), ("DEACTIVATE_AGENT", name), *[("REACTIVATE_AGENT", name)] * 6,
                ("UPDATE_QUOTA", {"force": True, "quota_configs": [limit]}),
                ("UPDATE_QUOTA", {"force": True, "quota_configs": [{"role": "a"}]}),
                ("UPDATE_WEIGHTS", {"weight_infos": [{"role": "b", "weight": self.dice.choice([1.0, 5.0])}]}),
            ]
        )  # fmt: skip
        answer = self.world.master.operator({"type": kind, kind.lower(): payload}, None, self.world.now)
        self.world.perform(answer.effects)

    def schedule(self) -> None:
        windows = [
            {"machine_ids": [{"hostname": "h0", "ip": "127.0.0.1"}], "unavailability": {"start": {"nanoseconds": 5}}}
        ]
        payload = {"schedule": {"windows": self.dice.choice([windows, []])}}
        call = {"type": "UPDATE_MAINTENANCE_SCHEDULE", "update_maintenance_schedule": payload}
        self.world.perform(self.world.master.operator(call, None, self.world.now).effects)

    def master_dies(self) -> None:
        if self.dice.random() < 0.1:
            self.world.new_master(f"m{self.dice.random()}")
            self.refused.clear()
            self.offers.clear()

    def reconcile(self) -> None:
        framework = self.living()
        if framework is not None:
            framework.call(
                api.reconcile([(TaskID(value="t1"), AgentID(value="x"))] if self.dice.random() < 0.5 else [])
            )

    def time_passes(self) -> None:
        for _ in range(self.dice.randint(1, 4)):
            self.world.advance(self.dice.choice([0.3, 1.0, 3.0]))
            self.listen()

    # --- helpers

    def living(self) -> FakeFramework | None:
        there = [framework for framework in self.frameworks if not framework.closed]
        return self.dice.choice(there) if there else None

    def some_offer(self) -> tuple[FakeFramework | None, Offer | None]:
        self.listen()
        framework = self.living()
        if framework is None or not self.offers.get(framework.id):
            return None, None
        return framework, self.offers[framework.id].pop(self.dice.choice(sorted(self.offers[framework.id])))

    def refuse(self, framework: FakeFramework, offer: Offer, all_of_it: bool = False) -> float:
        seconds = self.dice.choice([0.0, 2.0, 30.0])
        still_there = offer.id.value in self.world.master.cluster.offers
        if all_of_it and seconds and still_there:
            record = self.world.master.cluster.offers[offer.id.value]
            until = self.world.now.mono + seconds
            key = (framework.id, record.role, record.agent)
            self.refused.setdefault(key, []).append((record.resources.unallocated(), until))
        return seconds

    def forget(self, framework: str) -> None:
        """Its refusals hold no longer; offers of before are void."""
        self.refused = {key: value for key, value in self.refused.items() if key[0] != framework}

    def listen(self) -> None:
        for framework in self.frameworks:
            known = self.offers.setdefault(framework.id, {})
            for offer in framework.offers():
                self.look_at(framework, offer)
                known[offer.id.value] = offer
            framework.events.clear()
            for name in [name for name in known if name not in self.world.master.cluster.offers]:
                del known[name]

    def look_at(self, framework: FakeFramework, offer: Offer) -> None:
        """No offer of what was refused. (Only those that are there now: others may be of before a REVIVE.)"""
        record = self.world.master.cluster.offers.get(offer.id.value)
        if record is None:
            return
        for resources, until in self.refused.get((framework.id, record.role, record.agent), []):
            if until > self.world.now.mono:
                assert not resources.contains(record.resources.unallocated()), "what was refused is offered again"


THINGS: list[tuple[int, Callable[[Chaos], None]]] = [
    (3, Chaos.new_agent),
    (3, Chaos.new_framework),
    (4, Chaos.subscribe_again),
    (1, Chaos.leave),
    (1, Chaos.teardown),
    (12, Chaos.launch),
    (3, Chaos.reserve),
    (6, Chaos.decline),
    (2, Chaos.revive),
    (5, Chaos.kill),
    (6, Chaos.task_ends),
    (2, Chaos.executor_ends),
    (2, Chaos.agent_trouble),
    (3, Chaos.agent_returns),
    (2, Chaos.operator),
    (1, Chaos.schedule),
    (1, Chaos.master_dies),
    (2, Chaos.reconcile),
    (8, Chaos.time_passes),
]


def run(seed: int, steps: int) -> Chaos:
    chaos = Chaos(seed)
    for _ in range(steps):
        (thing,) = chaos.dice.choices([t for _, t in THINGS], [weight for weight, _ in THINGS])
        thing(chaos)
    return chaos


@given(st.integers(0, 10**9))
@settings(max_examples=40, deadline=None)
def test_anything_in_any_order(seed: int) -> None:
    run(seed, 60)


@pytest.mark.parametrize("seed", range(5))
def test_a_long_life(seed: int) -> None:
    chaos = run(seed, 500)
    assert chaos.answers > 20
    cluster = chaos.world.master.cluster
    assert len(cluster.timers) < 500
