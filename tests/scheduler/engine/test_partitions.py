"""Agents out of sight: what becomes of their tasks is the job's policy."""

from __future__ import annotations

import pytest

from mesos.core.messages import Reason, TaskState
from scheduler.core.effects import KillTask
from scheduler.core.model import PartitionPolicy, ScheduledTask
from scheduler.core.states import ScheduleStatus
from tests.scheduler.engine.harness import World
from tests.scheduler.engine.making import hear, messages, service, status, world

S = ScheduleStatus


def out_of_sight(made: World, policy: PartitionPolicy | None) -> ScheduledTask:
    (task,) = made.running(service(policy=policy))
    made.master.lose(made.agent_of(task))
    made.deliver()
    assert made.task(task.id).status is S.PARTITIONED
    return task


@pytest.mark.parametrize("policy", [None, PartitionPolicy(), PartitionPolicy(delay_secs=-5)])
def test_without_a_delay_it_is_replaced_at_once(policy: PartitionPolicy | None) -> None:
    made = world()
    task = out_of_sight(made, policy)
    made.step()
    assert messages(made.task(task.id))[-1] == ("LOST", "Task partitioned for too long.")
    assert made.replacement_of(task).status is S.PENDING
    assert KillTask(task.id, task.assigned_task.slave_id) in made.told(KillTask)
    assert made.engine.stats.partition_timeouts == 1


def test_with_a_delay_it_may_come_back() -> None:
    made = world()
    task = out_of_sight(made, PartitionPolicy(delay_secs=600))
    made.advance(599)
    made.master.find(made.agent_of(task))
    made.deliver()
    assert made.task(task.id).status is S.RUNNING
    made.advance(10_000)
    assert made.task(task.id).status is S.RUNNING
    assert made.engine.stats.partition_timeouts == 0


def test_but_not_later() -> None:
    made = world()
    task = out_of_sight(made, PartitionPolicy(delay_secs=600))
    made.advance(601)
    assert made.task(task.id).status is S.LOST
    new = made.replacement_of(task)
    made.told(KillTask)
    made.master.find(made.agent_of(task))
    made.deliver()
    assert made.told(KillTask)[0].task_id == task.id  # the old one comes back, and is not wanted
    assert made.task(new.id).is_active


def test_or_it_is_waited_for() -> None:
    made = world()
    task = out_of_sight(made, PartitionPolicy(reschedule=False))
    made.advance(30 * 24 * 3600)
    assert made.task(task.id).status is S.PARTITIONED
    made.master.find(made.agent_of(task))
    made.deliver()
    assert made.task(task.id).status is S.RUNNING


@pytest.mark.parametrize("policy", [PartitionPolicy(delay_secs=600), PartitionPolicy(reschedule=False)])
@pytest.mark.parametrize("wish", [S.KILLING, S.RESTARTING])
def test_a_wish_is_not_kept_waiting(policy: PartitionPolicy, wish: ScheduleStatus) -> None:
    made = world()
    task = out_of_sight(made, policy)
    made.wish(task.id, wish, "because")
    assert messages(made.task(task.id))[-2:] == [
        (wish.value, "because"),
        ("LOST", "Action performed on partitioned task, marking as LOST."),
    ]
    assert any(each.ancestor_id == task.id for each in made.tables.tasks.all()) is (wish is S.RESTARTING)
    made.master.find(made.agent_of(task))
    made.deliver()
    made.advance(1)
    assert task.id not in made.master.alive()


def test_after_a_start_the_delay_counts_from_when_it_went() -> None:
    made = world()
    task = out_of_sight(made, PartitionPolicy(delay_secs=600))
    made.advance(400)
    made.restart()
    made.subscribe()
    made.advance(199)
    assert made.task(task.id).status is S.PARTITIONED
    made.advance(2)
    assert made.task(task.id).status is S.LOST


def test_while_nobody_can_say_whether_it_is_back_it_is_waited_for() -> None:
    made = world()
    task = out_of_sight(made, PartitionPolicy(delay_secs=600))
    agent = made.agent_of(task)
    made.disconnect()
    agent.reachable = True  # meanwhile
    made.advance(5000)
    made.restart()
    made.advance(5000)
    made.subscribe()
    made.advance(30)
    assert made.task(task.id).status is S.RUNNING


def test_a_clock_that_jumps_delays_nothing_for_ever() -> None:
    made = world()
    task = out_of_sight(made, PartitionPolicy(delay_secs=600))
    made.wall -= 1e7
    made.restart()
    made.subscribe()
    made.advance(601)
    assert made.task(task.id).status is S.LOST


def test_a_history_does_not_grow_with_every_absence() -> None:
    made = world()
    (task,) = made.running(service(policy=PartitionPolicy(reschedule=False)))
    started = made.task(task.id).task_events
    for _ in range(50):
        for state in (TaskState.UNREACHABLE, TaskState.STARTING, TaskState.RUNNING):
            hear(made, status(task.id, state))
            made.advance(1)
    hear(made, status(task.id, TaskState.UNREACHABLE))
    found = made.task(task.id)
    assert found.times_partitioned == 51
    assert found.task_events[: len(started)] == started  # since when it runs is not forgotten
    assert [event.status for event in found.task_events] == [
        S.PENDING, S.ASSIGNED, S.RUNNING, S.STARTING, S.PARTITIONED,
    ]  # fmt: skip
    assert found.task_events[-1].timestamp == int(made.wall * 1000)


def test_a_launch_that_the_master_does_not_know_was_lost_on_its_way() -> None:
    made = world()
    (task,) = made.assigned(service(policy=PartitionPolicy(reschedule=False)))
    hear(made, status(task.id, TaskState.UNKNOWN, reason=Reason.RECONCILIATION))
    assert made.task(task.id).status is S.LOST
    assert made.replacement_of(task).is_active


def test_a_task_that_ran_is_out_of_sight_when_the_master_does_not_know_it() -> None:
    made = world()
    (task,) = made.running(service(policy=PartitionPolicy(reschedule=False)))
    hear(made, status(task.id, TaskState.UNKNOWN, reason=Reason.RECONCILIATION))
    assert made.task(task.id).status is S.PARTITIONED
