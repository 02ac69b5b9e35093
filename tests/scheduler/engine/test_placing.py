"""Offers and pending tasks: how the engine drives what decides about them."""

from __future__ import annotations

import pytest
from msgspec import structs

from mesos.core.messages import InverseOffer, OfferID, TaskInfo, TaskState, TimeInfo, Unavailability
from scheduler.core.backoff import Backoff
from scheduler.core.cluster_model import HostAttributes
from scheduler.core.effects import AcceptInverseOffers, DeclineOffers, LaunchTasks, TaskChanged
from scheduler.core.explain import NO_EXECUTOR, NO_OFFERS
from scheduler.core.filters import MaintenanceMode
from scheduler.core.groups import GroupRules
from scheduler.core.model import AssignedTask, PartitionPolicy
from scheduler.core.states import ScheduleStatus
from scheduler.engine import EngineSettings
from scheduler.store.ops import SaveHostAttributes
from tests.scheduler.core.making import SETTINGS, config, limit, offer, value
from tests.scheduler.engine.harness import World
from tests.scheduler.engine.making import messages, service, world
from thermos.errors import Bug

S = ScheduleStatus


def test_a_task_is_stored_with_its_place_before_it_is_launched() -> None:
    made = world()
    (task,) = made.assigned(service(ports=("http", "admin")))
    place = made.task(task.id).assigned_task
    agent = made.agent_of(task)
    assert (place.slave_id, place.slave_host) == (agent.id, agent.host)
    assert set(place.assigned_ports) == {"http", "admin"}
    told = [effect for effect in made.performed if isinstance(effect, TaskChanged)]
    assert [str(each.task.status) for each in told] == ["PENDING", "ASSIGNED"]
    info: TaskInfo = made.agent_of(task).tasks[task.id].info
    assert place.task == task.config and info.agent_id.value == agent.id
    assert made.engine.stats.latency_s.count == made.engine.stats.tasks_assigned == 1


def test_one_offer_takes_one_task_of_a_round() -> None:
    made = world(agents=2)
    made.add(service(), 0, 1, 2)
    made.master.offer_all()
    made.deliver()
    made.advance(0.05)
    assert len(made.told(LaunchTasks)) == 2
    made.offer()
    assert made.tables.tasks.count(S.ASSIGNED) == 3


def test_new_offers_end_the_pauses_of_who_waits() -> None:
    made = world(groups=GroupRules(penalty=Backoff(1000, 10_000)))
    made.add(service(), 0)
    made.advance(10)
    made.master.offer_all()
    made.deliver()
    made.advance(0.01)
    assert made.tables.tasks.count(S.ASSIGNED) == 1


@pytest.mark.parametrize("rate", [3, 7.3, 40.7, 1000])
@pytest.mark.parametrize("uptime", [1000.1, 3e7 + 0.123456, 1e8 + 0.7])
def test_a_rate_of_attempts_is_kept_however_long_the_machine_is_up(rate: float, uptime: float) -> None:
    made = world(groups=GroupRules(penalty=Backoff(0.01, 0.02), attempts_per_s=rate))
    made.mono = uptime
    made.restart()
    made.subscribe()
    for number in range(20):
        made.add(service(job=structs.replace(service().job, name=f"j{number}")), 0)
    made.advance(2)  # the harness sees it if the engine spins
    assert made.engine.stats.attempts_fired <= 3 * rate + 1


def test_after_a_start_tasks_are_spread_over_some_time() -> None:
    made = World(EngineSettings(SETTINGS, startup_delay_s=30.0))
    jobs = [structs.replace(service().job, name=f"j{n}") for n in range(30)]
    for job in jobs:
        made.add(service(job=job), 0)
    made.restart()
    began = made.mono
    moments: list[float] = []
    while len(moments) < 30:
        wake = made.engine.next_wake()
        assert wake is not None
        made.advance(wake - made.mono)
        moments += [made.mono - began] * (len(made.engine.refusals) - len(moments))
    assert min(moments) < 5 and 20 < max(moments) <= 30


def test_a_configuration_that_cannot_be_launched_waits_with_its_reason() -> None:
    made = world()
    (task,) = made.add(service(executor="GoneExecutor"), 0)
    made.master.offer_all()
    made.deliver()
    made.advance(5)
    assert made.task(task.id).status is S.PENDING
    assert made.engine.explain(task, made.now).by_reason == {NO_EXECUTOR: 4}
    standing = made.engine.waiting(task.id)
    assert standing is not None
    assert (standing.reason, standing.hosts_by_reason, standing.tasks) == (NO_EXECUTOR, {NO_EXECUTOR: 4}, 1)
    assert standing.attempts > 2


def test_who_waits_has_a_reason_until_he_does_not() -> None:
    made = world()
    (task,) = made.add(service(cpus=100.0), 0)
    assert made.engine.waiting(task.id) is None
    made.advance(1)
    standing = made.engine.waiting(task.id)
    assert standing is not None and standing.reason == NO_OFFERS
    made.master.offer_all()
    made.deliver()
    made.advance(90)
    standing = made.engine.waiting(task.id)
    assert standing is not None and standing.reason == "Insufficient: CPU"
    assert made.engine.refusals.tasks_by_reason() == {"Insufficient: CPU": 1}
    assert made.engine.stats.vetoes["insufficient_resources"] >= 4
    assert made.engine.stats.veto_groups["static"] >= 4
    made.wish(task.id, S.KILLING)
    assert len(made.engine.refusals) == 0 and made.engine.waiting(task.id) is None


def test_a_group_of_which_all_that_were_tried_have_a_host_is_refused_no_more() -> None:
    made = world(agents=1, groups=GroupRules(penalty=Backoff(0.5, 1.0), tasks_per_attempt=1))
    one, two = made.add(service(), 0, 1)
    made.advance(20)
    made.master.offer_all()
    made.deliver()
    placed_at = made.mono
    made.advance(2)
    assert [made.task(task.id).status for task in (one, two)] == [S.ASSIGNED, S.PENDING]
    standing = made.engine.waiting(two.id)
    assert standing is not None and standing.since >= placed_at


def test_a_second_offer_of_an_agent_gives_both_back() -> None:
    made = world(agents=0)
    made.act(lambda turn: made.engine.offers(turn, [offer(0), offer(1, agent="a00000"), offer(2)]))
    (told,) = made.told(DeclineOffers)
    assert [each.value for each in told.offer_ids] == ["o00000", "o00001"]
    assert [each.id for each in made.engine.book] == ["o00002"]


def test_offers_are_given_back_after_their_time() -> None:
    made = world()
    made.master.offer_all()
    made.deliver()
    made.advance(299)
    assert len(made.engine.book) == 4
    made.advance(61)
    assert len(made.engine.book) == 0
    assert sum(len(each.offer_ids) for each in made.told(DeclineOffers)) == made.engine.stats.offers_declined == 4


def test_hosts_are_remembered_when_something_is_new() -> None:
    made = world(agents=0)

    def saved(*offers: object) -> int:
        before = len(made.journal)
        made.act(lambda turn: made.engine.offers(turn, offers))  # type: ignore[arg-type]
        return len(made.journal) - before

    assert saved(offer(0, rack="r1"), offer(1, rack="r1")) == 2
    assert saved(structs.replace(offer(0, rack="r1"), id=OfferID(value="x"))) == 0
    record = made.tables.hosts["a00000.example"]
    assert {each.name: each.values for each in record.attributes} == {"host": ("a00000.example",), "rack": ("r1",)}
    drained = HostAttributes(
        host=record.host, attributes=record.attributes, mode=MaintenanceMode.DRAINED, slave_id=record.slave_id
    )
    made.act(lambda turn: turn.apply(SaveHostAttributes(attributes=drained)))
    assert saved(structs.replace(offer(0, rack="r2"), id=OfferID(value="y"))) == 1
    now = made.tables.hosts["a00000.example"]
    assert now.mode is MaintenanceMode.DRAINED and ("r2",) in [each.values for each in now.attributes]


def test_limits_follow_tasks_and_attributes() -> None:
    made = world()
    made.assigned(service(limit("rack", 1)), 4)  # two racks
    assert made.tables.tasks.count(S.ASSIGNED) == 2
    spread, job = made.engine.spread, service().job
    assert [spread(job, "rack", rack) for rack in ("r0", "r1")] == [1, 1]
    where = next(task for task in made.tables.tasks.all() if task.status is S.ASSIGNED).assigned_task.slave_host
    agent = next(agent for agent in made.master.agents.values() if agent.host == where)
    agent.rack = "r9"
    made.master.disconnect()
    made.subscribe(again=True)
    for task in list(made.tables.tasks.all()):
        if task.status is S.PENDING:
            made.wish(task.id, S.KILLING)
    made.offer()
    assert sorted(spread(job, "rack", rack) for rack in ("r0", "r1")) == [0, 1]
    assert spread(job, "rack", "r9") == 1


def test_a_kept_agent_is_free_when_its_task_waits_no_more() -> None:
    made = world()
    task, other = (made.add(service(cpus=100.0), number)[0] for number in (0, 1))
    group = made.engine.groups.group_of(task.id)
    assert group is not None
    made.engine.reservations.reserve("a0", group, 1e9)
    made.engine.reservations.reserve("a1", other.instance, 1e9)
    made.wish(task.id, S.KILLING)
    assert len(made.engine.reservations) == 1
    made.wish(other.id, S.KILLING)
    assert len(made.engine.reservations) == 0


def test_a_kept_agent_is_used_as_soon_as_it_is_free() -> None:
    made = world(agents=1, groups=GroupRules(penalty=Backoff(1000, 10_000)))
    made.engine.reservations.reserve("a0", b"somebody else", made.mono + 30)
    (task,) = made.add(service(), 0)
    made.master.offer_all()
    made.deliver()
    made.advance(29)
    assert made.task(task.id).status is S.PENDING
    made.advance(1.01)
    assert made.task(task.id).status is S.ASSIGNED


def test_a_kept_agent_is_seen_in_the_reasons() -> None:
    made = world(agents=1)
    (task,) = made.add(service(), 0)
    made.engine.reservations.reserve("a0", b"somebody else", 1e9)
    made.master.offer_all()
    made.deliver()
    made.advance(1)
    standing = made.engine.waiting(task.id)
    assert standing is not None and standing.reason == "Reserved for another task"
    assert made.engine.explain(task, made.now).by_reason == {"Reserved for another task": 1}


def test_inverse_offers_are_accepted() -> None:
    made = world()
    away = Unavailability(start=TimeInfo(nanoseconds=1))
    asked = InverseOffer(id=OfferID(value="i"), framework_id=offer(0).framework_id, unavailability=away)
    made.act(lambda turn: made.engine.inverse_offers(turn, [asked]))
    made.act(lambda turn: made.engine.inverse_offers(turn, []))
    assert made.told(AcceptInverseOffers) == [AcceptInverseOffers((OfferID(value="i"),))]


def test_offers_go_with_their_agent_and_with_the_connection() -> None:
    made = world()
    made.master.offer_all()
    made.deliver()
    made.act(lambda turn: made.engine.agent_lost(turn, "a0"))
    made.act(lambda turn: made.engine.rescinded(turn, "o1"))
    made.act(lambda turn: made.engine.rescinded(turn, "never seen"))
    assert sorted(each.agent for each in made.engine.book) == ["a2", "a3"]
    stats = made.engine.stats
    assert (stats.lost_agents, stats.offers_rescinded, stats.rescinded_before_offered) == (1, 2, 1)
    made.engine.disconnected(made.now)
    assert len(made.engine.book) == 0
    made.act(lambda turn: made.engine.offers(turn, [offer(7)]))
    made.act(lambda turn: made.engine.registered(turn, "f", True))
    assert len(made.engine.book) == 0
    made.add(service(), 0)
    made.advance(5)
    assert not made.told(LaunchTasks) and not made.told(DeclineOffers)


def test_the_framework_is_remembered() -> None:
    made = world()
    assert made.tables.framework_id == "f"
    before = len(made.journal)
    made.act(lambda turn: made.engine.registered(turn, "f", True))
    assert len(made.journal) == before
    made.act(lambda turn: made.engine.registered(turn, "g", False))
    assert made.durable.framework_id == "g"


def test_tasks_of_a_framework_that_the_master_forgot_are_replaced() -> None:
    made = world()
    task, ended = made.running(service(policy=PartitionPolicy(reschedule=False)), 2)
    made.say(ended, TaskState.FINISHED)
    made.forget()
    made.advance(0)
    assert messages(made.task(task.id))[-1] == ("LOST", "The master has forgotten the framework, and ended its tasks.")
    assert made.replacement_of(task).is_active
    assert made.task(ended.id).status is S.FINISHED


def test_a_value_that_no_host_has_fits_nowhere() -> None:
    made = world()
    (task,) = made.assigned(service(value("rack", "r7")))
    assert task.status is S.PENDING
    assert made.engine.explain(task, made.now).pending_reason == "Constraint not satisfied: rack"


def test_an_assignment_of_something_else_is_a_bug() -> None:
    """Whatever is told to start must still be pending: the groups and the tables say the same."""
    made = world()
    (task,) = made.add(service(), 0)
    made.master.offer_all()
    made.deliver()
    made.wish(task.id, S.KILLING)
    made.add(service(), 0)
    stray = AssignedTask(task_id="stray", task=config(), instance_id=1)
    made.engine.groups.add(
        type(made.engine.groups.begin(made.mono + 1)[0].tasks[0])("stray", task.instance), stray.task, made.mono
    )
    with pytest.raises(Bug, match="stray was to be started"):
        made.advance(5)
