"""Wishes: tasks are added, changed and deleted, and everybody hears of it in order."""

from __future__ import annotations

import pytest

from mesos.core.messages import TaskState
from scheduler.core.effects import KillTask, TaskChanged, TasksDeleted
from scheduler.core.states import ScheduleStatus
from scheduler.core.transitions import Result
from scheduler.engine import EngineSettings, InstanceTaken
from tests.scheduler.core.making import SETTINGS, config
from tests.scheduler.engine.harness import World
from tests.scheduler.engine.making import hear, messages, service, status, world
from thermos.errors import Bug

S = ScheduleStatus


def told(made: World) -> list[tuple[str, str]]:
    """(instance and state) of changes, kills and deletions, in order."""
    found = []
    for effect in made.performed:
        if isinstance(effect, TaskChanged):
            found.append((str(effect.task.instance.instance_id), f"{effect.old} {effect.task.status}"))
        elif isinstance(effect, KillTask):
            found.append((effect.task_id.split("-")[3], "kill"))
        elif isinstance(effect, TasksDeleted):
            found += [(str(task.instance.instance_id), "deleted") for task in effect.tasks]
    made.performed.clear()
    return found


def test_new_tasks_wait_with_the_message_of_who_added_them() -> None:
    made = World(EngineSettings(SETTINGS, scheduler_name="here"))
    tasks = made.act(lambda turn: made.engine.insert(turn, service(), [3, 1], "by me"))
    assert [task.instance.instance_id for task in tasks] == [3, 1]
    assert len({task.id for task in tasks}) == 2
    for task in tasks:
        assert made.task(task.id) == task and task.status is S.PENDING
        (event,) = task.task_events
        assert (event.message, event.scheduler, event.timestamp) == ("by me", "here", int(made.wall * 1000))
    assert told(made) == [("3", "None PENDING"), ("1", "None PENDING")]
    assert made.add(service()) == []


def test_an_instance_that_is_taken_adds_nothing_at_all() -> None:
    made = world()
    (task,) = made.running(service())
    with pytest.raises(InstanceTaken, match=rf"^Instance ID collision detected: www/prod/web/0 has .* {task.id}$"):
        made.add(service(), 1, 0)
    with pytest.raises(Bug, match="twice"):
        made.add(service(), 1, 1)
    assert len(made.tables.tasks) == 1
    assert made.engine.groups.tasks == 0


@pytest.mark.parametrize("state", [S.PENDING, S.THROTTLED])
def test_what_does_not_run_yet_is_gone_at_once(state: ScheduleStatus) -> None:
    made = world()
    (task,) = made.add(service(), 0)
    if state is S.THROTTLED:
        made.offer()
        hear(made, status(task.id, TaskState.FAILED))
        task = made.replacement_of(task)
    made.performed.clear()
    made.wish(task.id, S.KILLING, "by me")
    assert told(made) == [("0", "deleted")]
    assert task.id not in made.tables.tasks and made.engine.groups.tasks == 0


def test_effects_come_in_the_order_of_the_table() -> None:
    made = world()
    (task,) = made.assigned(service())
    made.performed.clear()
    made.act(lambda turn: made.engine.change(turn, task.id, S.LOST, "gone"))
    assert told(made) == [("0", "ASSIGNED LOST"), ("0", "None PENDING"), ("0", "kill")]


def test_a_failure_is_counted_and_handed_on() -> None:
    made = world()
    (task,) = made.running(service())
    hear(made, status(task.id, TaskState.FAILED))
    assert made.task(task.id).failure_count == made.replacement_of(task).failure_count == 1


def test_every_wish_has_a_result() -> None:
    made = world()
    (task,) = made.running(service())

    def wish(to: ScheduleStatus, expected: ScheduleStatus | None = None, task_id: str = task.id) -> Result:
        return made.act(lambda turn: made.engine.change(turn, task_id, to, expected=expected))

    made.performed.clear()
    assert wish(S.KILLING, S.PENDING) is Result.INVALID_CAS_STATE
    assert wish(S.RUNNING) is Result.NOOP
    assert wish(S.THROTTLED) is Result.ILLEGAL
    assert wish(S.KILLING, task_id="stranger") is Result.ILLEGAL
    assert wish(S.KILLING, S.PENDING, "stranger") is Result.INVALID_CAS_STATE
    assert told(made) == []
    assert wish(S.KILLING, S.RUNNING) is Result.SUCCESS
    assert made.engine.stats.illegal_transitions == 2


def test_what_has_ended_can_be_deleted_and_nothing_else() -> None:
    made = world()
    done, other = made.running(config(), 2)
    made.say(done, TaskState.FINISHED)
    with pytest.raises(Bug, match=f"cannot delete {other.id}: it is RUNNING"):
        made.act(lambda turn: made.engine.delete(turn, [done.id, other.id]))
    assert done.id in made.tables.tasks
    made.performed.clear()
    made.act(lambda turn: made.engine.delete(turn, [done.id, "stranger", done.id]))
    assert told(made) == [("0", "deleted")]
    assert made.act(lambda turn: made.engine.delete(turn, [])) is None
    assert told(made) == []


def test_messages_stand_in_the_history() -> None:
    made = world()
    (task,) = made.running(service())
    made.wish(task.id, S.RESTARTING, "Restarted by me")
    assert messages(made.task(task.id))[-1] == ("RESTARTING", "Restarted by me")
    made.deliver()
    assert messages(made.replacement_of(task)) == [("PENDING", "Rescheduled")]
