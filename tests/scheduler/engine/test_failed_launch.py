"""A launch that did not reach the master: the task is lost and replaced, and nothing else is."""

from __future__ import annotations

from mesos.core.messages import TaskInfo, TaskState
from scheduler.core.effects import LaunchTasks
from scheduler.core.states import ScheduleStatus
from tests.scheduler.engine.harness import World
from tests.scheduler.engine.making import hear, messages, service, status, world

S = ScheduleStatus
WORDS = "Unknown exception attempting to schedule task."


def launched(made: World) -> TaskInfo:
    """One that is on its way."""
    made.faults.drop_calls = 1.0
    made.add(service(), 0)
    made.master.offer_all()
    made.deliver()
    made.advance(0.1)
    (told,) = made.told(LaunchTasks)
    return told.tasks[0]


def fail(made: World, info: TaskInfo) -> None:
    made.act(lambda turn: made.engine.launch_failed(turn, [info], WORDS))


def test_it_is_lost_and_replaced_at_once() -> None:
    made = world()
    info = launched(made)
    fail(made, info)
    lost = made.task(info.task_id.value)
    assert messages(lost)[-1] == ("LOST", WORDS)
    assert made.replacement_of(lost).status is S.PENDING
    assert made.engine.stats.launch_failures == 1


def test_but_not_when_it_was_heard_of() -> None:
    made = world()
    info = launched(made)
    hear(made, status(info.task_id.value, TaskState.RUNNING))
    fail(made, info)
    assert made.task(info.task_id.value).status is S.RUNNING
    assert len(made.tables.tasks) == 1


def test_nor_when_it_is_unknown() -> None:
    made = world()
    info = launched(made)
    hear(made, status(info.task_id.value, TaskState.FAILED))
    made.advance(0)
    made.act(lambda turn: made.engine.delete(turn, [info.task_id.value]))
    fail(made, info)
    assert made.tables.tasks.get(info.task_id.value) is None


def test_without_a_master_tasks_wait_and_do_not_multiply() -> None:
    """The connection breaks between the decision and the call."""
    made = world()
    made.add(service(), 0)
    made.master.offer_all()
    made.deliver()
    made.lag = True
    made.advance(0.1)
    made.disconnect()
    made.lag = False
    made.settle()
    assert made.faults.fired["launches without a master"] == 1
    made.advance(600)
    assert [task.status for task in made.tables.tasks.all()] == [S.LOST, S.PENDING]
    made.subscribe(again=True)
    made.offer()
    assert made.tables.tasks.count(S.ASSIGNED) == 1
