"""What runs and should not is killed, whoever reports it."""

from __future__ import annotations

import pytest

from mesos.core.messages import TaskState
from scheduler.core.effects import AcknowledgeStatus, KillTask
from scheduler.core.states import ScheduleStatus
from tests.scheduler.engine.making import hear, service, status, world

S = ScheduleStatus
ALIVE = [TaskState.STAGING, TaskState.STARTING, TaskState.RUNNING]


@pytest.mark.parametrize("state", ALIVE)
def test_a_task_that_nobody_knows(state: TaskState) -> None:
    made = world()
    hear(made, status("stranger", state, agent="a7"))
    assert made.told(KillTask) == [KillTask("stranger", "a7")]
    assert len(made.told(AcknowledgeStatus)) == 1
    assert made.engine.stats.zombie_kills == 1
    assert len(made.tables.tasks) == 0


@pytest.mark.parametrize("state", sorted(set(TaskState) - set(ALIVE)))
def test_the_end_of_one_is_none_of_our_business(state: TaskState) -> None:
    made = world()
    hear(made, status("stranger", state, agent=""))
    assert made.told(KillTask) == []
    assert len(made.told(AcknowledgeStatus)) == 1


@pytest.mark.parametrize("end", [TaskState.FINISHED, TaskState.FAILED, TaskState.KILLED, TaskState.LOST])
@pytest.mark.parametrize("state", ALIVE)
def test_a_task_that_has_ended(end: TaskState, state: TaskState) -> None:
    made = world()
    (task,) = made.running(service())
    hear(made, status(task.id, end))
    made.told(KillTask)
    hear(made, status(task.id, state, agent="elsewhere"))
    assert made.told(KillTask) == [KillTask(task.id, "elsewhere")]  # where it is said to run
    assert made.task(task.id).status is ScheduleStatus[end.value.removeprefix("TASK_")]


@pytest.mark.parametrize("wish", [S.KILLING, S.RESTARTING, S.DRAINING, S.PREEMPTING])
def test_a_task_whose_kill_got_lost(wish: ScheduleStatus) -> None:
    made = world()
    (task,) = made.running(service())
    made.faults.drop_calls = 1.0
    made.wish(task.id, wish)
    made.told(KillTask)
    hear(made, status(task.id, TaskState.RUNNING, agent=""))
    assert made.told(KillTask) == [KillTask(task.id, task.assigned_task.slave_id)]
    assert made.task(task.id).status is wish


@pytest.mark.parametrize("state", sorted(TaskState))
def test_who_is_on_another_agent_can_not_tell_how_a_task_is(state: TaskState) -> None:
    """An executor may say anything of any task; Mesos hands it on."""
    made = world()
    (task,) = made.running(service())
    made.told(AcknowledgeStatus)
    hear(made, status(task.id, state, agent="elsewhere"))
    assert made.task(task.id) == task
    assert made.told(KillTask) == []
    assert len(made.told(AcknowledgeStatus)) == 1
    assert made.engine.stats.status_updates["NONE", "OTHER_AGENT"] == 1
