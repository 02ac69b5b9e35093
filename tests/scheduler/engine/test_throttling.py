"""A job that flaps is kept waiting, ever longer."""

from __future__ import annotations

import re

from mesos.core.messages import Reason, TaskState
from scheduler.core.model import ScheduledTask
from scheduler.core.states import ScheduleStatus
from tests.scheduler.engine.harness import World
from tests.scheduler.engine.making import hear, messages, service, status, world

S = ScheduleStatus


def penalty_s(task: ScheduledTask) -> float:
    assert task.status is S.THROTTLED
    found = re.fullmatch(r"Rescheduled, penalized for (\d+) ms for flapping", task.task_events[0].message)
    assert found is not None
    return int(found[1]) / 1000


def flap(made: World, task: ScheduledTask) -> ScheduledTask:
    hear(made, status(task.id, TaskState.RUNNING, agent=""), status(task.id, TaskState.FAILED, "exit 1", agent=""))
    return made.replacement_of(task)


def test_exactly_as_long_as_its_event_says() -> None:
    made = world()
    (task,) = made.running(service())
    new = flap(made, task)
    wait = penalty_s(new)
    assert 30 <= wait <= 60
    made.advance(wait - 0.01)
    assert made.task(new.id).status is S.THROTTLED
    made.advance(0.02)
    assert made.task(new.id).task_events[1].status is S.PENDING
    assert (made.engine.stats.tasks_throttled, made.engine.stats.throttled_ms) == (1, int(wait * 1000))


def test_longer_each_time_up_to_a_limit() -> None:
    made = world()
    (task,) = made.running(service())
    waits = []
    for _ in range(8):
        task = flap(made, task)
        waits.append(penalty_s(task))
        made.advance(waits[-1] + 1)
        made.offer()
    assert waits[-1] == max(waits) == 300
    assert made.task(task.id).failure_count == 8


def test_a_task_that_lived_long_enough_is_replaced_at_once() -> None:
    made = world()
    (task,) = made.running(service())
    made.advance(301)
    assert messages(flap(made, task)) == [("PENDING", "Rescheduled")]


def test_what_somebody_wanted_is_no_flapping() -> None:
    made = world()
    (task,) = made.running(service())
    made.wish(task.id, S.RESTARTING)
    made.deliver()
    assert made.replacement_of(task).status is S.PENDING


def test_a_throttled_task_can_be_killed() -> None:
    made = world()
    (task,) = made.running(service())
    new = flap(made, task)
    made.wish(new.id, S.KILLING)
    assert made.tables.tasks.get(new.id) is None
    made.advance(1000)
    assert made.tables.tasks.active(task.instance) is None


def test_after_a_start_what_is_left_of_it() -> None:
    made = world()
    (task,) = made.running(service())
    new = flap(made, task)
    made.advance(29)
    made.restart()
    made.subscribe()
    assert made.task(new.id).status is S.THROTTLED
    made.advance(31.1)  # of 30 to 60 s, drawn again
    assert made.task(new.id).status is S.PENDING


def test_a_start_long_after_it_waits_no_more() -> None:
    made = world()
    (task,) = made.running(service())
    new = flap(made, task)
    made.tick(made.mono + 5000)
    made.restart()
    made.advance(0)
    assert made.task(new.id).status is S.PENDING


def test_what_the_master_refuses_again_and_again_is_throttled() -> None:
    made = world()
    (task,) = made.assigned(service())
    states = []
    for _ in range(4):
        hear(made, status(task.id, TaskState.ERROR, "no such image", Reason.TASK_INVALID, agent=""))
        assert messages(made.task(task.id))[-1] == ("LOST", "no such image")
        task = made.replacement_of(task)
        states.append(task.status)
        while made.task(task.id).status is not S.ASSIGNED:
            made.advance(1)
            made.offer()
    assert states == [S.PENDING, S.THROTTLED, S.THROTTLED, S.THROTTLED]
