"""A turn that could not be committed has not happened, for anybody."""

from __future__ import annotations

from mesos.core.messages import TaskState
from scheduler.core.effects import AcknowledgeStatus, DeclineOffers, LaunchTasks, ReconcileTasks, TaskChanged
from scheduler.core.filters import MaintenanceMode
from scheduler.core.model import PartitionPolicy
from scheduler.core.states import ScheduleStatus
from scheduler.store.ops import SaveHostAttributes
from tests.scheduler.engine.making import hear, service, status, world

S = ScheduleStatus


def test_offers_that_were_used_and_offers_at_hand_are_given_back() -> None:
    made = world()
    made.master.offer_all()
    out = set(made.master.outstanding)
    made.deliver()
    made.add(service(), 0)
    made.lag = True
    made.advance(0.1)
    assert len(made.engine.book) == 3
    made.fail()
    (told,) = made.told(DeclineOffers)
    assert {each.value for each in told.offer_ids} == out
    assert made.told(LaunchTasks) == []
    assert len(made.engine.book) == 0
    assert made.faults.fired["launches taken back"] == 1


def test_so_are_those_whose_return_got_lost() -> None:
    made = world()
    made.master.offer_all()
    made.deliver()
    out = set(made.master.outstanding)
    made.lag = True
    made.advance(400)
    assert len(made.engine.book) == 0
    made.fail()
    assert {each.value for told in made.told(DeclineOffers) for each in told.offer_ids} == out


def test_the_task_is_placed_again() -> None:
    made = world()
    (task,) = made.add(service(), 0)
    made.master.offer_all()
    made.deliver()
    made.lag = True
    made.advance(0.1)
    made.fail()
    assert made.task(task.id).status is S.PENDING
    made.lag = False
    made.offer()
    assert made.task(task.id).status is S.ASSIGNED
    assert made.master.alive() == [task.id]


def test_a_status_is_neither_acknowledged_nor_told() -> None:
    made = world()
    (task,) = made.running(service())
    made.performed.clear()
    made.lag = True
    hear(made, status(task.id, TaskState.FAILED))
    made.fail()
    assert not made.told(AcknowledgeStatus) and not made.told(TaskChanged)
    assert made.task(task.id).status is S.RUNNING
    made.lag = False
    hear(made, status(task.id, TaskState.FAILED))
    assert len(made.told(AcknowledgeStatus)) == 1


def test_later_turns_fall_with_the_first() -> None:
    made = world()
    made.lag = True
    (one,) = made.add(service(), 0)
    (two,) = made.add(service(), 1)
    made.wish(one.id, S.KILLING)
    made.fail()
    assert len(made.tables.tasks) == made.engine.groups.tasks == 0
    assert made.engine.stats.rebuilds == 1
    assert two.id not in made.tables.tasks


def test_timers_are_those_of_the_states_that_hold() -> None:
    made = world()
    (task,) = made.running(service())
    made.faults.drop_calls = 1.0
    made.lag = True
    made.wish(task.id, S.RESTARTING)
    made.fail()
    made.lag = False
    made.advance(400)
    assert made.task(task.id).status is S.RUNNING


def test_what_the_master_had_said_unasked_it_is_asked_for() -> None:
    made = world()
    task, _ = made.running(service(policy=PartitionPolicy(reschedule=False)), 2)
    made.lag = True
    made.master.lose(made.agent_of(task))
    made.deliver()
    assert made.task(task.id).status is S.PARTITIONED
    made.fail()
    assert made.task(task.id).status is S.RUNNING
    made.lag = False
    made.advance(4)
    assert made.told(ReconcileTasks) == []
    made.advance(2)
    assert [len(told.tasks) for told in made.told(ReconcileTasks)] == [2]
    assert made.task(task.id).status is S.PARTITIONED


def test_modes_of_hosts_are_those_in_the_tables() -> None:
    made = world()
    made.running(service())
    record = made.tables.hosts["h0"]
    changed = SaveHostAttributes(
        attributes=type(record)(
            host="h0", attributes=record.attributes, slave_id=record.slave_id, mode=MaintenanceMode.DRAINED
        )
    )
    made.act(lambda turn: turn.apply(changed))
    made.lag = True
    made.add(service(), 7)
    made.fail()
    made.lag = False
    made.master.offer_all()
    made.deliver()
    modes = {offer.host: offer.mode for offer in made.engine.book}
    assert modes["h0"] is MaintenanceMode.DRAINED
    assert set(modes.values()) == {MaintenanceMode.DRAINED, MaintenanceMode.NONE}
