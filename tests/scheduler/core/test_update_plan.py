"""The plan of an update against what then happens: its order, its batches, how few instances run, how long it takes."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from scheduler.core.model import AssignedTask, ScheduledTask, TaskConfig, TaskEvent
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_diff import diff_instances, ids_of, instructions_of, ranges_of
from scheduler.core.update_model import JobUpdateSettings, JobUpdateStatus
from scheduler.core.update_pace import SLOW, USUAL, Pace, PastTimes, past_times
from scheduler.core.update_plan import UpdatePlan, plan_update
from scheduler.core.update_states import PAUSED, Wish
from tests.scheduler.core.update_world import (
    BEGIN_MS,
    NEW,
    OLD,
    OTHER,
    Driver,
    Habits,
    JobWorld,
    settings_of,
    uneven,
    world_of,
)
from thermos.errors import Bug

S = ScheduleStatus

NO_PAST = PastTimes()
WATCH = JobUpdateSettings(min_wait_in_instance_running_ms=1500)


def plan_of(
    world: JobWorld,
    wanted: TaskConfig,
    count: int,
    updating: JobUpdateSettings,
    past: PastTimes = NO_PAST,
    only: frozenset[int] | None = None,
) -> UpdatePlan:
    current = world.configs()
    diff = diff_instances(current, wanted, count, only)
    return plan_update(diff, instructions_of(diff, current, wanted, updating), world.active(), past)


def carry_out(driver: Driver) -> None:
    while True:
        driver.run(until=lambda: driver.status in PAUSED)
        if driver.status not in PAUSED:
            break
        driver.wish(Wish.RESUME)
    assert driver.status is JobUpdateStatus.ROLLED_FORWARD


def random_job(chance: Random) -> dict[int, TaskConfig]:
    return {instance: chance.choice((OLD, OLD, OTHER, NEW)) for instance in range(10) if chance.random() < 0.8}


def random_settings(chance: Random, *, queue: bool) -> JobUpdateSettings:
    base = structs.replace(WATCH, min_wait_in_instance_running_ms=chance.choice((0, 700, 1500)))
    if queue:
        return settings_of(queue=chance.randint(1, 4), base=base)
    pause = chance.random() < 0.5
    if chance.random() < 0.5:
        return settings_of(batch=chance.randint(1, 4), pause=pause, base=base)
    return settings_of(var=tuple(chance.randint(1, 3) for _ in range(chance.randint(1, 3))), pause=pause, base=base)


def random_choice(chance: Random) -> frozenset[int] | None:
    """Instances that somebody names, where he does."""
    return None if chance.random() < 0.6 else frozenset(chance.sample(range(10), chance.randint(1, 6)))


seeds = st.integers(0, 2**32)


@settings(max_examples=40, deadline=None)
@given(seeds, st.booleans())
def test_the_plan_is_what_then_happens(seed: int, queue: bool) -> None:
    chance = Random(seed)
    start, stop = chance.randrange(2, 3000), chance.randrange(1, 3000)
    habits = Habits(place_ms=lambda: 1, start_ms=lambda: start - 1, stop_ms=lambda: stop)
    world, count = world_of(random_job(chance), habits), chance.randint(1, 10)
    updating, only = random_settings(chance, queue=queue), random_choice(chance)
    plan = plan_of(world, NEW, count, updating, PastTimes((start,), (stop,)), only)
    driver = Driver(world, NEW, count, updating, only, checked=False)
    if driver.diff.is_empty:
        assert plan.batches == () and plan.lowest_running == world.running()
        return
    assert plan.running_before == world.running()
    began = world.now_ms
    carry_out(driver)
    assert [list(batch.instances) for batch in plan.batches] == [begun.instances for begun in driver.begun]
    assert [batch.lowest_running for batch in plan.batches] == [begun.lowest for begun in driver.begun]
    assert plan.running_after == world.running()
    assert plan.usual_ms == plan.slow_ms == world.now_ms - began
    assert plan.at_least_ms <= plan.usual_ms
    assert plan.lowest_running >= plan.floor


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_batches_are_as_planned_whatever_the_pace(seed: int) -> None:
    chance = Random(seed)
    world, count = world_of(random_job(chance), uneven(chance)), chance.randint(1, 10)
    updating, only = random_settings(chance, queue=False), random_choice(chance)
    plan = plan_of(world, NEW, count, updating, only=only)
    driver = Driver(world, NEW, count, updating, only, checked=False)
    if driver.diff.is_empty:
        return
    carry_out(driver)
    assert [list(batch.instances) for batch in plan.batches] == [begun.instances for begun in driver.begun]
    assert [batch.lowest_running for batch in plan.batches] == [begun.lowest for begun in driver.begun]
    assert sum(batch.pauses_before for batch in plan.batches) == sum(event.status in PAUSED for event in driver.events)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_queue_keeps_its_order_and_never_goes_below_the_floor(seed: int) -> None:
    chance = Random(seed)
    world, count = world_of(random_job(chance), uneven(chance)), chance.randint(1, 10)
    updating = random_settings(chance, queue=True)
    plan = plan_of(world, NEW, count, updating)
    driver = Driver(world, NEW, count, updating, checked=False)
    carry_out(driver)
    planned = [instance for batch in plan.batches for instance in batch.instances]
    assert planned == [instance for begun in driver.begun for instance in begun.instances]
    assert min((begun.lowest for begun in driver.begun), default=plan.floor) >= plan.floor


def test_a_plan_to_read() -> None:
    world = world_of(dict.fromkeys((0, 1, 2, 3, 6), OLD))
    plan = plan_of(world, NEW, 5, settings_of(batch=2, pause=True, base=WATCH), PastTimes((1000, 4000), (500,)))
    assert [list(ids_of(part)) for part in (plan.add, plan.replace, plan.remove, plan.unchanged)] == [
        [4],
        [0, 1, 2, 3],
        [6],
        [],
    ]
    assert [(batch.instances, batch.lowest_running, batch.pauses_before) for batch in plan.batches] == [
        ((4, 0), 4, False),
        ((1, 2), 4, True),
        ((3, 6), 4, True),
    ]
    assert [batch.begins_ms for batch in plan.batches] == [0, 3000, 6000]
    assert (plan.running_before, plan.running_after, plan.lowest_running, plan.floor) == (5, 5, 4, 4)
    assert (plan.at_least_ms, plan.usual_ms, plan.slow_ms, plan.samples) == (4500, 9000, 18000, 2)


@pytest.mark.parametrize(
    ("size", "count", "window", "floor"),
    [
        (4, 4, 2, 2),
        (4, 6, 2, 4),  # two are added first
        (3, 1, 2, 0),  # instance 0 may be replaced slowly, while 1 and 2 go
        (3, 2, 2, 1),  # no two are replaced while one goes
        (2, 2, 5, 0),
    ],
)
def test_below_what_a_queue_never_goes(size: int, count: int, window: int, floor: int) -> None:
    world = world_of(dict.fromkeys(range(size), OLD))
    assert plan_of(world, NEW, count, settings_of(queue=window)).floor == floor


def test_a_task_without_an_agent_is_gone_at_once() -> None:
    world = world_of({})
    world.add(0, OLD)
    plan = plan_of(world, NEW, 1, settings_of(queue=1), PastTimes((1000,), (200,)))
    assert plan.usual_ms == 1000


def test_a_plan_of_nothing() -> None:
    plan = plan_of(world_of(dict.fromkeys(range(3), NEW)), NEW, 3, settings_of(queue=1))
    assert plan == UpdatePlan(
        unchanged=ranges_of(range(3)), running_before=3, running_after=3, lowest_running=3, floor=3
    )


def test_without_a_past_no_time_is_told() -> None:
    world = world_of(dict.fromkeys(range(3), OLD))
    plan = plan_of(world, NEW, 3, settings_of(queue=1, base=WATCH))
    assert (plan.at_least_ms, plan.usual_ms, plan.slow_ms, plan.samples) == (4500, None, None, 0)
    assert all(batch.begins_ms is None for batch in plan.batches)


def test_what_does_not_run_now_is_not_counted_as_running() -> None:
    world = world_of(dict.fromkeys(range(3), OLD))
    world.change(world.look(1)[0].id, S.RESTARTING)
    world.add(3, OLD)
    plan = plan_of(world, NEW, 4, settings_of(queue=1))
    assert (plan.running_before, plan.running_after) == (2, 4)
    assert [batch.lowest_running for batch in plan.batches] == [1, 2, 2, 3]


def test_what_is_stopping_already_is_waited_for() -> None:
    world = world_of(dict.fromkeys(range(2), OLD))
    world.change(world.look(0)[0].id, S.KILLING)
    plan = plan_of(world, NEW, 2, settings_of(queue=1), PastTimes((1000,), (200,)))
    assert (plan.running_before, plan.running_after, plan.usual_ms) == (1, 2, 2400)
    assert [batch.lowest_running for batch in plan.batches] == [1, 1]


def test_a_rehearsal_that_comes_to_no_end_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.core.update_rehearsal._STEPS", 1)
    with pytest.raises(Bug, match="its rehearsal comes to no end"):
        plan_of(world_of({0: OLD}), NEW, 1, settings_of(queue=1))


def test_pulses_deadlines_and_sla_do_not_disturb_a_plan() -> None:
    world = world_of(dict.fromkeys(range(2), OLD))
    odd = structs.replace(WATCH, block_if_no_pulses_after_ms=1, sla_aware=True, progress_deadline_ms=1)
    assert plan_of(world, NEW, 2, settings_of(queue=1, base=odd)) == plan_of(
        world, NEW, 2, settings_of(queue=1, base=WATCH)
    )


# -- the past


def task_with(*events: tuple[ScheduleStatus, int]) -> ScheduledTask:
    return ScheduledTask(
        assigned_task=AssignedTask(task_id="t", task=OLD, instance_id=0),
        status=events[-1][0],
        task_events=tuple(TaskEvent(timestamp=BEGIN_MS + at, status=status) for status, at in events),
    )


def test_starts_and_stops_are_found_in_histories() -> None:
    throttled = task_with((S.THROTTLED, 0), (S.PENDING, 500), (S.ASSIGNED, 600), (S.RUNNING, 900))
    stopped = task_with((S.PENDING, 0), (S.RUNNING, 100), (S.PARTITIONED, 200), (S.RUNNING, 300), (S.KILLING, 400),
                        (S.KILLED, 1400))  # fmt: skip
    never = task_with((S.PENDING, 0), (S.ASSIGNED, 5), (S.FAILED, 9))
    assert past_times([throttled, stopped, never]) == PastTimes((100, 400), (1000,))


def test_the_usual_and_the_slow() -> None:
    past = PastTimes(tuple(range(1, 11)), (7, 9))
    assert past.pace(USUAL) == Pace(5, 7)
    assert past.pace(SLOW) == Pace(9, 9)
    assert PastTimes((3,)).pace(SLOW) == Pace(3, 0)
    assert PastTimes((), (5,)).pace(USUAL) is None
