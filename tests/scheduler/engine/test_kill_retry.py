"""A kill is said again until something is heard of it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mesos.core.messages import TaskState
from scheduler.core.backoff import Backoff
from scheduler.core.effects import KillTask
from scheduler.core.states import ScheduleStatus
from scheduler.core.timeouts import TimeoutRules
from tests.scheduler.engine.harness import World
from tests.scheduler.engine.making import hear, service, status, world

S = ScheduleStatus


def kills(made: World, seconds: float) -> list[float]:
    """When each was said."""
    found, until = [], made.mono + seconds
    while (wake := made.engine.next_wake()) is not None and wake <= until:
        made.advance(wake - made.mono)
        found += [made.mono] * len(made.told(KillTask))
    made.advance(until - made.mono)
    return found


def test_ever_more_seldom_until_it_is_given_up() -> None:
    made = world(timeouts=TimeoutRules(transient_s=2000, kill_retry=Backoff(15, 300)))
    (task,) = made.running(service())
    made.faults.drop_calls = 1.0
    began = made.mono
    made.wish(task.id, S.KILLING)
    assert made.told(KillTask) == [KillTask(task.id, task.assigned_task.slave_id)]
    said = kills(made, 1999)
    pauses = [after - before for before, after in pairwise([began, *said])]
    assert 15 <= pauses[0] <= 30
    assert all(before <= after <= 2 * before + 1e-6 for before, after in pairwise(pauses))
    assert max(pauses) == pytest.approx(300)
    assert made.engine.stats.kill_retries == len(said) >= 8
    assert kills(made, 5000) == []
    assert made.task(task.id).status is S.LOST


def test_until_it_has_ended() -> None:
    made = world()
    (task,) = made.running(service())
    made.faults.drop_calls = 1.0
    made.wish(task.id, S.KILLING)
    hear(made, status(task.id, TaskState.KILLED))
    made.told(KillTask)
    assert kills(made, 1000) == []


@pytest.mark.parametrize("wish", [S.RESTARTING, S.DRAINING, S.PREEMPTING])
def test_whatever_its_end_is_wished_for(wish: ScheduleStatus) -> None:
    made = world(timeouts=TimeoutRules(transient_s=300, kill_retry=Backoff(15, 300)))
    (task,) = made.running(service())
    made.faults.drop_calls = 1.0
    made.wish(task.id, wish)
    assert made.told(KillTask) == [KillTask(task.id, task.assigned_task.slave_id)]
    assert len(kills(made, 299)) >= 3
    made.faults.drop_calls = 0.0
    made.advance(1)
    assert made.task(task.id).status is S.LOST


def test_a_wish_that_replaces_another_begins_anew() -> None:
    made = world()
    (task,) = made.running(service())
    made.faults.drop_calls = 1.0
    made.wish(task.id, S.RESTARTING)
    kills(made, 200)
    made.wish(task.id, S.KILLING)
    made.told(KillTask)
    assert kills(made, 31)


def test_what_times_out_at_the_same_moment_is_not_killed_twice() -> None:
    made = world(timeouts=TimeoutRules(transient_s=300, kill_retry=Backoff(300, 300)))
    (task,) = made.running(service())
    made.faults.drop_calls = 1.0
    made.wish(task.id, S.KILLING)
    made.told(KillTask)
    assert kills(made, 2000) == []
    assert made.task(task.id).status is S.LOST
    made.check()


def test_not_while_there_is_no_master() -> None:
    made = world()
    (task,) = made.running(service())
    made.wish(task.id, S.KILLING)
    made.disconnect()
    made.told(KillTask)
    assert kills(made, 1000) == []


def test_it_goes_on_after_a_start() -> None:
    made = world()
    (task,) = made.running(service())
    made.faults.drop_calls = 1.0
    made.wish(task.id, S.KILLING)
    made.restart()
    made.subscribe()
    made.told(KillTask)
    assert kills(made, 30)
