"""When the master is asked, and about what."""

from __future__ import annotations

import pytest

from mesos.core.messages import TaskState
from scheduler.core.effects import KillTask, ReconcileTasks
from scheduler.core.model import PartitionPolicy
from scheduler.core.reconcile import ReconciliationRules
from scheduler.core.states import ScheduleStatus
from tests.scheduler.engine.harness import World
from tests.scheduler.engine.making import service, world
from thermos.errors import ConfigError

S = ScheduleStatus
RULES = ReconciliationRules(batch=2)


def asked(made: World, seconds: float) -> list[tuple[float, int]]:
    """(seconds from now, number of tasks) of each question; 0 tasks: implicit."""
    began, found = made.mono, []
    until = began + seconds
    while (wake := made.engine.next_wake()) is not None and wake <= until:
        made.advance(wake - made.mono)
        found += [(round(made.mono - began, 3), len(each.tasks)) for each in made.told(ReconcileTasks)]
    made.advance(until - made.mono)
    return found


def test_explicitly_in_portions_again_and_again() -> None:
    made = world(reconciliation=RULES)
    made.running(service(), 5)
    began = made.mono - 1000
    found = [(at + began, tasks) for at, tasks in asked(made, 4000) if tasks]
    assert [tasks for _, tasks in found] == [2, 2, 1, 2, 2, 1]
    assert [at for at, _ in found] == pytest.approx([60, 65, 70, 3660, 3665, 3670])
    assert made.engine.stats.explicit_reconciliations == 2


def test_implicitly_later_by_chance() -> None:
    moments = []
    for seed in range(5):
        made = World(seed=seed)
        made.subscribe()
        found = asked(made, 3 * 3600)
        assert all(tasks == 0 for _, tasks in found)
        assert found[1][0] - found[0][0] == pytest.approx(3600)
        moments.append(found[0][0])
    assert all(60 <= at <= 60 + 1800 for at in moments)
    assert len(set(moments)) == 5


def test_nobody_is_asked_while_nobody_is_there_and_then_at_once() -> None:
    made = world(reconciliation=RULES)
    made.running(service(), 3)
    made.disconnect()
    assert asked(made, 5000) == []
    made.subscribe(again=True)
    assert asked(made, 6) == [(0, 2), (0, 0), (5, 1)]


def test_a_portion_that_a_broken_connection_stopped_begins_anew() -> None:
    made = world(reconciliation=RULES)
    made.running(service(), 5)
    made.subscribe(again=True)
    assert asked(made, 1) == [(0, 2)]
    made.disconnect()
    made.subscribe(again=True)
    assert asked(made, 20) == [(4, 2), (9, 2), (14, 1)]


def test_a_new_list_takes_the_place_of_what_was_left_of_the_old_one() -> None:
    made = world(reconciliation=ReconciliationRules(batch=2, explicit_interval_s=7))
    made.running(service(), 5)
    made.told(ReconcileTasks)
    found = asked(made, 90)
    assert [tasks for _, tasks in found[:6]] == [2, 2, 2, 2, 2, 2]
    assert made.engine._asking.schedule.waiting <= 5


def test_at_once_after_a_start_with_tasks() -> None:
    made = world()
    made.running(service(), 3)
    made.restart()
    made.subscribe()
    assert asked(made, 1) == [(0, 3)]


def test_what_was_lost_while_nobody_listened_is_found_out() -> None:
    made = world()
    one, two, three = made.running(service(), 3)
    made.disconnect()
    agent, there = made.master.where(one.id)
    assert agent is not None and there is not None
    made.master.progress(agent, there, TaskState.FINISHED)
    made.master.destroy(made.agent_of(two))
    made.subscribe(again=True)
    made.deliver()
    made.advance(1)
    made.advance(1)
    assert made.task(one.id).status is S.FINISHED
    assert made.task(two.id).status is S.LOST
    assert made.task(three.id).status is S.RUNNING


def test_the_implicit_one_finds_what_should_not_run() -> None:
    made = world()
    (task,) = made.running(service(policy=PartitionPolicy(delay_secs=1)))
    made.master.lose(made.agent_of(task))
    made.deliver()
    made.advance(2)
    made.agent_of(task).reachable = True  # and says nothing
    made.told(KillTask)
    made.act(lambda turn: made.engine.reconcile(turn, None))
    made.deliver()
    assert [each.task_id for each in made.told(KillTask)] == [task.id]
    assert task.id not in made.master.alive()


def test_somebody_may_ask() -> None:
    made = world(reconciliation=RULES)
    one, two, _ = made.running(service(), 3)
    made.act(lambda turn: made.engine.reconcile(turn, [two.id, "stranger", one.id]))
    made.step()
    (told,) = made.told(ReconcileTasks)
    assert told.tasks == ((two.id, two.assigned_task.slave_id), ("stranger", None))
    assert asked(made, 6) == [(5, 1)]
    made.act(lambda turn: made.engine.reconcile(turn, []))
    assert [tasks for _, tasks in asked(made, 11)] == [2, 1]


def test_explicitly_about_nothing_is_not_implicitly_about_all() -> None:
    made = world()
    made.act(lambda turn: made.engine.reconcile(turn, []))
    assert asked(made, 50) == []


def test_what_ended_meanwhile_is_left_out() -> None:
    made = world(reconciliation=ReconciliationRules(batch=1))
    one, two, three = made.running(service(), 3)
    made.act(lambda turn: made.engine.reconcile(turn, [one.id, two.id, three.id]))
    made.step()
    assert len(made.told(ReconcileTasks)) == 1
    made.say(two, TaskState.FINISHED)
    assert [tasks for _, tasks in asked(made, 11)] == [1]


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"explicit_interval_s": 0.0}, {"implicit_interval_s": -1.0}])
def test_rules_that_would_never_rest_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="cannot reconcile so"):
        ReconciliationRules(**wrong)  # type: ignore[arg-type]
