"""Whatever happens between an executor and its agent, every status update arrives once and in its task's order.

The agent of this test is what matters of a real one: it writes down what it accepts (and survives its own death with
that), drops what it has already, acknowledges. Hypothesis makes the accidents: calls and answers that get lost,
connections that break, agents that die, executors that die in the middle of a write, acknowledgements that never come.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mesos.core.acks import ACK_CAP_S, PAUSE_CAP_S, Fold, Ledger, Record, RecordType
from mesos.core.executor_api import Call
from mesos.core.executor_session import Phase
from mesos.core.messages import TaskStatus
from tests.mesos.executor.puppets import SUBSCRIBED, Stage, ack, launch

TASKS = ("a", "b", "c")


class Agent:
    """Its disk. `sent` are acknowledgements that were made."""

    def __init__(self) -> None:
        self.received: dict[str, list[TaskStatus]] = {name: [] for name in TASKS}
        self.launched: list[str] = []
        self.acknowledged: Counter[str] = Counter()  # by task: acknowledgements that arrived

    def take(self, status: TaskStatus) -> None:
        known = self.received[status.task_id.value]
        if status.uuid not in [each.uuid for each in known]:
            known.append(status)


class Fate(Enum):
    """Of a call."""

    FINE = "arrives, is answered and acknowledged"
    UNACKNOWLEDGED = "arrives and is answered"
    ANSWER_LOST = "arrives, and nobody knows"
    LOST = "does not arrive"


class Crash(Exception):
    """The executor is gone."""


class World(RuleBasedStateMachine):
    folder: Path
    fates: Counter[Fate] = Counter()
    crashes = 0

    def __init__(self) -> None:
        super().__init__()
        self.journal = self.folder / f"j{os.urandom(8).hex()}"
        self.random = random.Random(1)
        self.turns = 0
        self.agent = Agent()
        self.said: dict[str, list[TaskStatus]] = {name: [] for name in TASKS}
        self.settled: Counter[bytes] = Counter()
        self.dies_after: int | None = None  # bytes of the journal that are still written
        self.begin()

    @initialize()
    def first_subscription(self) -> None:
        self.accept()

    # --- the executor ---

    def begin(self) -> None:
        self.stage = Stage(journal=self.journal, write=self.write, random=self.random.randbytes)
        self.dies_after = None
        self.stage.start()
        self.told_launches = 0

    def write(self, fd: int, data: bytes) -> int:
        if self.dies_after is not None:
            if len(data) > self.dies_after:
                os.write(fd, data[: self.dies_after])
                raise Crash
            self.dies_after -= len(data)
        return os.write(fd, data)

    def crash(self) -> None:
        """What it had in memory is gone; what it had written is not."""
        World.crashes += 1
        self.begin()

    @rule(
        name=st.sampled_from(TASKS),
        count=st.integers(1, 3),
        dies_after=st.one_of(st.none(), st.none(), st.none(), st.integers(0, 900)),
    )
    def update(self, name: str, count: int, dies_after: int | None) -> None:
        self.dies_after = dies_after
        try:
            for _ in range(count):
                number = len(self.said[name])
                before = self.stage.driver.pending
                try:
                    self.said[name].append(self.stage.update(name, message=str(number)))
                except Crash:
                    self.crash()
                    new = [s for s in self.stage.driver.pending if s not in before]
                    self.said[name] += [s for s in new if s.message == str(number) and s.task_id.value == name]
                    return
        finally:
            self.dies_after = None

    @rule(dice=st.integers(1, 4))
    def executor_dies(self, dice: int) -> None:
        if dice == 4:
            self.crash()

    @rule(seconds=st.floats(0, 3))
    def time_passes(self, seconds: float) -> None:
        self.stage.loop.advance(seconds)

    # --- the agent and the way to it ---

    @property
    def link(self):  # type: ignore[no-untyped-def]
        return self.stage.link

    def is_connecting(self) -> bool:
        return self.stage.driver.phase is Phase.CONNECTING

    def is_subscribed(self) -> bool:
        return self.stage.driver.phase is Phase.SUBSCRIBED

    @precondition(is_connecting)
    @rule()
    def accept(self) -> None:
        self.check_tasks(self.link.subscribes[-1].call)
        self.stage.subscribe()
        for update in self.link.subscribes[-1].call.subscribe.unacknowledged_updates:
            self.agent.take(update.status)

    @precondition(is_connecting)
    @rule(arrives=st.booleans())
    def attempt_fails(self, arrives: bool) -> None:
        if arrives:
            for update in self.link.subscribes[-1].call.subscribe.unacknowledged_updates:
                self.agent.take(update.status)
        self.stage.lose("cannot connect")

    @precondition(is_subscribed)
    @rule(name=st.sampled_from(TASKS))
    def launch(self, name: str) -> None:
        if name not in self.agent.launched:
            self.agent.launched.append(name)
            self.stage.hear(launch(name))

    @rule(seed=st.integers(0, 1 << 30), count=st.integers(1, 6))
    def calls(self, seed: int, count: int) -> None:
        """What becomes of the next calls. (By a seed: hypothesis likes to draw the same fate again and again.)"""
        self.turns += 1
        if self.is_connecting():
            self.accept()
        for fate in random.Random(f"{seed} {self.turns}").choices(list(Fate), k=count):
            if self.is_subscribed() and self.link.waiting is None:
                self.stage.loop.advance(PAUSE_CAP_S)
            if self.is_subscribed() and self.link.waiting is not None:
                self.call(fate)

    def call(self, fate: Fate) -> None:
        call: Call = self.link.waiting
        assert call.update is not None
        self.fates[fate] += 1
        if fate is not Fate.LOST:
            self.agent.take(call.update.status)
        if fate in (Fate.LOST, Fate.ANSWER_LOST):
            self.link.break_call()
            self.stage.loop.settle()
            return
        self.stage.answer()
        if fate is Fate.FINE:
            self.acknowledge(call.update.status)

    @precondition(is_subscribed)
    @rule(name=st.sampled_from(TASKS), times=st.integers(1, 2))
    def acknowledge_something(self, name: str, times: int) -> None:
        """Of what it has: again, or for the first time after it was sent in a SUBSCRIBE."""
        for status in self.agent.received[name][-2:] * times:
            self.acknowledge(status)

    def acknowledge(self, status: TaskStatus) -> None:
        before = self.stage.driver.pending
        self.stage.hear(ack(status))
        settled = [s for s in before if s not in self.stage.driver.pending]
        assert settled in ([], [status])
        self.agent.acknowledged[status.task_id.value] += len(settled)

    @precondition(is_subscribed)
    @rule(dice=st.integers(1, 3))
    def connection_breaks(self, dice: int) -> None:
        if dice == 3:
            self.stage.lose()

    def check_tasks(self, call: Call) -> None:
        """A task of which no update was acknowledged is told: the agent may not know that we have it."""
        assert call.subscribe is not None
        told = {task.task_id.value for task in call.subscribe.unacknowledged_tasks}
        assert {name for name in self.agent.launched if not self.agent.acknowledged[name]} <= told

    # --- what must hold ---

    @invariant()
    def in_order(self) -> None:
        """The agent has, of each task, the beginning of what was said and nothing else."""
        for name in TASKS:
            got = self.agent.received[name]
            assert got == self.said[name][: len(got)]

    @invariant()
    def nothing_is_forgotten(self) -> None:
        pending = set(self.stage.driver.pending)
        for name in TASKS:
            for status in self.said[name]:
                assert status in pending or status in self.agent.received[name]

    def teardown(self) -> None:
        """Peace comes: everything arrives."""
        for _ in range(100 + 5 * sum(map(len, self.said.values()))):
            if self.is_connecting():
                self.accept()
            elif self.is_subscribed() and self.link.waiting is not None:
                self.call(Fate.FINE)
            elif self.is_subscribed() and self.stage.driver.pending:
                for name in TASKS:
                    self.acknowledge_something(name, 1)
                self.stage.loop.advance(ACK_CAP_S)
            elif self.is_subscribed():
                break
            else:
                self.stage.loop.advance(0.5)
        assert self.agent.received == self.said
        assert self.stage.driver.pending == ()
        assert self.stage.listener.of("shutdown") == []


def run(folder: Path, examples: int, steps: int) -> None:
    World.folder, World.fates, World.crashes = folder, Counter(), 0
    wanted = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
    )
    for _ in range(10):  # what hypothesis draws may lack one of the accidents altogether
        run_state_machine_as_test(World, settings=wanted)
        if World.crashes > 0 and all(World.fates[fate] > 0 for fate in Fate):
            return
    raise AssertionError(f"something never happened: {World.fates}, {World.crashes} crashes")


def test_no_update_is_lost_or_overtaken(tmp_path: Path) -> None:
    run(tmp_path, 60, 40)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_no_update_is_lost_or_overtaken_in_long_lives(tmp_path: Path, part: int) -> None:
    """In parts: a busy machine needs a minute for each."""
    run(tmp_path, 20, 100)


def test_an_acknowledgement_never_settles_twice() -> None:
    """In one life; after a crash that lost the record of it, the agent acknowledges what is said again, again."""
    stage = Stage().start().subscribe()
    said = stage.update("a")
    ledger: Ledger = stage.driver._ledger
    acknowledged = ack(said).acknowledged
    record = Record(type=RecordType.ACKNOWLEDGED, acknowledged=acknowledged)
    assert [ledger.fold(record) for _ in range(3)] == [Fold.SETTLED, Fold.UNKNOWN, Fold.UNKNOWN]
    stage.hear(SUBSCRIBED)
