"""Nothing stays in a passing state for ever: what was not heard of for too long is lost, and replaced."""

from __future__ import annotations

import pytest

from mesos.core.messages import TaskState
from scheduler.core.effects import KillTask
from scheduler.core.states import ScheduleStatus
from tests.scheduler.engine.harness import World
from tests.scheduler.engine.making import messages, service, world

S = ScheduleStatus


def silent(made: World) -> None:
    """No call arrives any more, and no status."""
    made.faults.drop_calls = 1.0


def test_a_launch_that_is_not_heard_of_is_lost_and_replaced() -> None:
    made = world()
    (task,) = made.assigned(service())
    silent(made)
    made.advance(299)
    assert made.task(task.id).status is S.ASSIGNED
    made.advance(1.1)
    lost = made.task(task.id)
    assert messages(lost)[-1] == ("LOST", "Task timed out")
    assert made.replacement_of(task).status in (S.PENDING, S.ASSIGNED)
    assert KillTask(task.id, task.assigned_task.slave_id) in made.told(KillTask)
    assert made.engine.stats.timed_out_tasks == 1


@pytest.mark.parametrize("wish", [S.RESTARTING, S.DRAINING, S.PREEMPTING, S.KILLING])
def test_so_is_an_end_that_is_not_heard_of(wish: ScheduleStatus) -> None:
    made = world()
    (task,) = made.running(service())
    silent(made)
    made.wish(task.id, wish)
    made.advance(299.9)
    assert made.task(task.id).status is wish
    made.advance(0.2)
    assert made.task(task.id).status is S.LOST
    replaced = any(each.ancestor_id == task.id for each in made.tables.tasks.all())
    assert replaced is (wish is not S.KILLING)


@pytest.mark.parametrize("state", [TaskState.STARTING, TaskState.RUNNING])
def test_what_has_started_may_take_its_time(state: TaskState) -> None:
    made = world()
    (task,) = made.assigned(service())
    made.say(task, state)
    made.advance(10_000)
    assert made.task(task.id).status in (S.STARTING, S.RUNNING)
    assert made.engine.stats.timed_out_tasks == 0


def test_every_state_has_its_own_time() -> None:
    made = world()
    (task,) = made.assigned(service())
    made.advance(200)
    silent(made)
    made.wish(task.id, S.RESTARTING)
    made.advance(200)
    assert made.task(task.id).status is S.RESTARTING
    made.advance(101)
    assert made.task(task.id).status is S.LOST


def test_without_a_master_nothing_is_lost_but_soon_after() -> None:
    made = world()
    (task,) = made.assigned(service())
    made.disconnect()
    made.advance(2000)
    assert made.task(task.id).status is S.ASSIGNED
    silent(made)
    made.subscribe(again=True)
    made.advance(5)
    assert made.task(task.id).status is S.LOST


def test_after_a_start_the_time_begins_anew() -> None:
    made = world()
    (task,) = made.assigned(service())
    silent(made)
    made.advance(250)
    made.restart()
    made.subscribe()
    made.advance(299)
    assert made.task(task.id).status is S.ASSIGNED
    made.advance(2)
    assert made.task(task.id).status is S.LOST


@pytest.mark.parametrize("jump", [-1e8, 1e8])
def test_the_wall_clock_may_jump(jump: float) -> None:
    made = world()
    (task,) = made.assigned(service())
    silent(made)
    made.wall += jump
    made.advance(250)
    assert made.task(task.id).status is S.ASSIGNED
    made.advance(51)
    assert made.task(task.id).status is S.LOST
