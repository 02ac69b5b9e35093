"""What an event costs does not depend on how many tasks and hosts there are: counted in calls, not in seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest
from msgspec import structs

from mesos.core.messages import OfferID, TaskState
from scheduler.core.model import AssignedTask, ScheduledTask, TaskConfig, TaskEvent
from scheduler.core.refusals import RefusalRules
from scheduler.core.states import ScheduleStatus
from scheduler.store.ops import SaveTasks
from tests.scheduler.core.making import limit, offer
from tests.scheduler.engine.harness import World
from tests.scheduler.engine.making import hear, service, status, world

S = ScheduleStatus
CONFIG = service(limit("rack", 100_000))


def settled(size: int) -> World:
    """A job of that many running tasks, each on a host of its own with an offer; one more task waits in vain."""
    made = world(agents=0, refusals=RefusalRules(fresh_s=1e9, least_s=1e9))  # counting reasons is a walk, in slices
    made.faults.drop_calls = 1.0  # the model knows nothing of these
    hosts = [offer(number, rack=f"r{number % 10}") for number in range(size)]
    made.act(lambda turn: made.engine.offers(turn, hosts))
    made.act(lambda turn: turn.apply(SaveTasks(tasks=tuple(running(CONFIG, number) for number in range(size)))))
    made.restart()
    made.subscribe()
    made.act(lambda turn: made.engine.offers(turn, hosts))
    made.add(service(cpus=100.0, job=structs.replace(CONFIG.job, name="waits")), 0)
    made.advance(120)
    assert made.tables.tasks.count(S.RUNNING) == len(made.engine.book) == size
    assert made.engine.spread(CONFIG.job, "rack", "r0") == size // 10  # counted at the first question
    return made


def running(config: TaskConfig, number: int) -> ScheduledTask:
    place = AssignedTask(
        task_id=f"t{number}", task=config, instance_id=number, slave_id=f"a{number:05}",
        slave_host=f"a{number:05}.example",
    )  # fmt: skip
    events = tuple(TaskEvent(timestamp=1, status=status) for status in (S.PENDING, S.ASSIGNED, S.RUNNING))
    return ScheduledTask(assigned_task=place, status=S.RUNNING, task_events=events)


def calls(act: Callable[[], object]) -> int:
    count = 0

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    former = sys.getprofile()
    sys.setprofile(profile)
    try:
        act()
    finally:
        sys.setprofile(former)
    return count


def end_and_replace(made: World) -> None:
    """A status, a replacement, a round of placement, a launch."""
    hear(made, status("t5", TaskState.LOST, agent=""))
    made.advance(0.1)
    active = made.tables.tasks.active(running(CONFIG, 5).instance)
    assert active is not None and active.status is S.ASSIGNED


def new_offer(made: World) -> None:
    fresh = structs.replace(offer(7, rack="r7"), id=OfferID(value="new"))
    made.act(lambda turn: made.engine.rescinded(turn, "o00007"))
    made.act(lambda turn: made.engine.offers(turn, [fresh]))


def lose_agent(made: World) -> None:
    made.act(lambda turn: made.engine.agent_lost(turn, "a00003"))
    hear(made, status("t3", TaskState.UNREACHABLE, agent=""))
    made.step()


def wake(made: World) -> None:
    for _ in range(10):
        at = made.engine.next_wake()
        assert at is not None
        made.tick(max(made.mono, at))
        made.step()


@pytest.fixture(scope="module")
def worlds() -> tuple[World, World]:
    return settled(100), settled(1500)


@pytest.mark.parametrize("act", [end_and_replace, new_offer, lose_agent, wake])
def test_an_event_costs_the_same_in_a_large_cluster(worlds: tuple[World, World], act: Callable[[World], None]) -> None:
    small, large = (calls(partial(act, made)) for made in worlds)
    assert small > 50
    assert large < 1.5 * small + 100
