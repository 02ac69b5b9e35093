"""Every rule of the switchboard does what it says, and counts that it did."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.core import executor_api, scheduler_api
from mesos.core.messages import AgentID, ExecutorID, FrameworkID, FrameworkInfo, Message, TaskID, TaskStatus
from mesos.local.core.protocol import KillTask, Ping, Pong, ShutdownExecutor, StatusUpdate
from mesos.local.faults import HOLD_S, Act, Faults, Parcel, Rule, Way
from mesos.local.link import Link, Post
from mesos.local.timeline import VirtualTimeline
from thermos.clock import Now

F, A, E = FrameworkID(value="f"), AgentID(value="a"), ExecutorID(value="e")


class Pair:
    """A link between ends that write down what reaches them."""

    def __init__(self) -> None:
        self.timeline = VirtualTimeline(Now(1000.0, 0.0))
        self.faults = Faults(Random(1).random)
        self.post = Post(self.timeline, self.faults)
        self.at_master: list[tuple[str, Any]] = []
        self.at_agent: list[Any] = []
        self.link = Link("l7", 7, self.post, lambda link, m: self.at_master.append((link, m)), self.at_agent.append)

    def pongs(self, *names: str) -> None:
        for name in names:
            self.link.send_master(Pong(agent_id=AgentID(value=name)))

    def arrived(self) -> list[str]:
        self.timeline.settle()
        return [m.agent_id.value for _, m in self.at_master]


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_without_rules_everything_arrives_in_order(pair: Pair) -> None:
    pair.pongs("1", "2", "3")
    assert pair.at_master == []  # never inside the call
    assert pair.arrived() == ["1", "2", "3"]
    pair.link.send_agent(Ping())
    pair.timeline.settle()
    assert pair.at_agent == [Ping()]
    assert {name for name, _ in pair.at_master} == {"l7"}


def test_drop(pair: Pair) -> None:
    rule = pair.faults.drop(Way.TO_MASTER, kind="Pong", times=2)
    pair.pongs("1", "2", "3")
    assert pair.arrived() == ["3"]
    assert rule.fired == 2


def test_delay_lets_what_follows_overtake(pair: Pair) -> None:
    rule = pair.faults.delay(Way.TO_MASTER, 2.0, times=1)
    pair.pongs("1", "2")
    assert pair.arrived() == ["2"]
    pair.timeline.advance(1.9)
    assert pair.arrived() == ["2"]
    pair.timeline.advance(0.2)
    assert pair.arrived() == ["2", "1"]
    assert rule.fired == 1


def test_duplicate(pair: Pair) -> None:
    rule = pair.faults.duplicate(Way.TO_MASTER, times=1)
    pair.pongs("1", "2")
    assert pair.arrived() == ["1", "1", "2"]
    assert rule.fired == 1


def test_reorder_swaps_with_the_next_of_the_same_pair(pair: Pair) -> None:
    rule = pair.faults.reorder(Way.TO_MASTER, times=1)
    pair.pongs("1")
    pair.link.send_agent(Ping())  # another way: not what it waits for
    assert pair.arrived() == []
    pair.pongs("2", "3")
    assert pair.arrived() == ["2", "1", "3"]
    pair.timeline.advance(2 * HOLD_S)
    assert pair.arrived() == ["2", "1", "3"]  # once
    assert rule.fired == 1


def test_reorder_does_not_hold_for_ever(pair: Pair) -> None:
    pair.faults.reorder(Way.TO_MASTER, times=1)
    pair.pongs("1")
    pair.timeline.advance(HOLD_S - 0.1)
    assert pair.arrived() == []
    pair.timeline.advance(0.2)
    assert pair.arrived() == ["1"]


def test_a_partition_cuts_both_ways_of_one_agent_until_it_is_removed(pair: Pair) -> None:
    rules = pair.faults.partition(7)
    others = pair.faults.partition(8)
    pair.pongs("1")
    pair.link.send_agent(Ping())
    assert (pair.arrived(), pair.at_agent) == ([], [])
    assert [rule.fired for rule in (*rules, *others)] == [1, 1, 0, 0]
    pair.faults.remove(*rules)
    pair.pongs("2")
    assert pair.arrived() == ["2"]
    pair.faults.remove(*rules)  # again: no error
    assert pair.faults.rules == others


def test_what_is_under_way_when_the_link_is_cut_is_lost(pair: Pair) -> None:
    pair.faults.delay(Way.TO_MASTER, 1.0, times=1)
    pair.pongs("1", "2")
    pair.link.cut()
    pair.pongs("3")
    pair.timeline.advance(5)
    assert pair.arrived() == []


def test_the_first_rule_that_fits_acts_alone(pair: Pair) -> None:
    first = pair.faults.duplicate(Way.TO_MASTER, times=1)
    second = pair.faults.drop(Way.TO_MASTER, times=1)
    pair.pongs("1", "2", "3")
    assert pair.arrived() == ["1", "1", "3"]
    assert (first.fired, second.fired) == (1, 1)


def test_rules_of_chance_follow_their_random_numbers(pair: Pair) -> None:
    rule = pair.faults.drop(Way.TO_MASTER, chance=0.25)
    pair.pongs(*(str(number) for number in range(400)))
    assert len(pair.arrived()) == 400 - rule.fired
    assert 60 < rule.fired < 140


STATUS = TaskStatus(task_id=TaskID(value="t"), state="TASK_RUNNING", executor_id=E)
UPDATE = StatusUpdate(framework_id=F, agent_id=A, status=STATUS, latest_state="TASK_RUNNING")


@pytest.mark.parametrize(
    ("way", "message", "which"),
    [
        (Way.TO_MASTER, UPDATE, {"kind": "StatusUpdate", "framework": "f", "executor": "e", "agent": 3}),
        (Way.TO_MASTER, UPDATE, {"match": lambda m: m.status.state == "TASK_RUNNING"}),
        (Way.TO_AGENT, KillTask(framework_id=F, task_id=TaskID(value="t")), {"kind": "KillTask", "framework": "f"}),
        (Way.TO_AGENT, ShutdownExecutor(framework_id=F, executor_id=E), {"executor": "e"}),
        (Way.TO_SCHEDULER, scheduler_api.Event(type="HEARTBEAT"), {"kind": "HEARTBEAT"}),
        (
            Way.FROM_SCHEDULER,
            scheduler_api.subscribe(FrameworkInfo(user="u", name="n", id=F)),
            {"kind": "SUBSCRIBE", "framework": "f"},
        ),
        (Way.FROM_SCHEDULER, scheduler_api.shutdown(E, A), {"kind": "SHUTDOWN", "executor": "e"}),
        (
            Way.FROM_EXECUTOR,
            executor_api.Speaker(framework_id=F, executor_id=E).update(STATUS),
            {"kind": "UPDATE", "framework": "f", "executor": "e"},
        ),
    ],
)
def test_a_rule_finds_its_parcels_and_no_others(way: Way, message: Message, which: dict[str, Any]) -> None:
    faults = Faults(lambda: 0.0)
    parcel = Parcel(way, message, agent=3)
    assert faults.drop(way, **which).fits(parcel)
    for key, other in (("kind", "Other"), ("framework", "x"), ("executor", "x"), ("agent", 4)):
        assert not faults.drop(way, **{**which, key: other}).fits(parcel)
    assert not faults.drop(way, **{**which, "match": lambda _: False}).fits(parcel)
    assert not any(faults.drop(other, **which).fits(parcel) for other in Way if other is not way)


def test_a_stream_knows_its_framework_and_executor_better_than_its_events() -> None:
    parcel = Parcel(Way.TO_EXECUTOR, executor_api.Event(type="SHUTDOWN"), 1, "f", "e")
    assert Rule(Way.TO_EXECUTOR, Act.DROP, framework="f", executor="e").fits(parcel)


@given(st.lists(st.tuples(st.sampled_from(Act), st.integers(0, 3)), max_size=5), st.integers(0, 30), st.integers(0, 99))
def test_nothing_is_lost_but_by_drop_and_nothing_doubled_but_by_duplicate(
    rules: list[tuple[Act, int]], count: int, seed: int
) -> None:
    pair = Pair()
    random = Random(seed)
    for act, times in rules:
        pair.faults.add(Rule(Way.TO_MASTER, act, times=times, delay_s=random.random(), chance=0.5))
    for number in range(count):
        pair.pongs(str(number))
        pair.timeline.advance(random.random() / 4)
    pair.timeline.advance(10 * HOLD_S)
    fired: Callable[[Act], int] = lambda act: sum(r.fired for r in pair.faults.rules if r.act is act)  # noqa: E731
    arrived = pair.arrived()
    assert len(arrived) == count - fired(Act.DROP) + fired(Act.DUPLICATE)
    assert len(set(arrived)) == count - fired(Act.DROP)
