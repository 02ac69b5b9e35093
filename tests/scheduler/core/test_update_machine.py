"""Updates as people know them, one story each: spec/scheduler.md §4.3 - §4.8."""

from __future__ import annotations

import pytest
from msgspec import structs

from scheduler.core.states import ScheduleStatus
from scheduler.core.update_decision import KillInstance, UpdateDecision
from scheduler.core.update_diff import ids_of
from scheduler.core.update_machine import broken, decide_wish, step
from scheduler.core.update_model import JobUpdateEvent, JobUpdateStatus
from scheduler.core.update_progress import progress_of
from scheduler.core.update_states import Wish
from scheduler.core.update_view import Stage, share_done, stages
from scheduler.core.update_watch import WaitKind
from tests.scheduler.core.making import limit
from tests.scheduler.core.update_world import (
    NEW,
    OLD,
    OTHER,
    PULSED,
    WATCH,
    Driver,
    Habits,
    job_of,
    kinds,
    settings_of,
    world_of,
)
from thermos.errors import Bug, UserError

S, U = ScheduleStatus, JobUpdateStatus


# -- forward


def test_one_after_the_other() -> None:
    driver = Driver(job_of(3), NEW, 3, settings_of(queue=1, base=WATCH))
    driver.settle()
    first = driver.world.look(0)[0]
    assert driver.decision.acts == ()
    assert first.status is S.KILLING
    assert driver.in_works == {0}
    driver.run()
    driver.check_end()
    assert driver.told() == [("ROLLING_FORWARD", None), ("ROLLED_FORWARD", None)]
    assert [begun.instances for begun in driver.begun] == [[0], [1], [2]]
    assert driver.actions(1) == ["INSTANCE_UPDATING", "INSTANCE_UPDATED"]
    assert driver.world.configs() == dict.fromkeys(range(3), NEW)
    assert driver.decision.acts == driver.decision.waits_for == ()


def test_what_is_asked_for_names_the_update_and_keeps_the_agent() -> None:
    driver = Driver(job_of(1), NEW, 1, settings_of(queue=1))
    decision = step(driver.progress, driver.world.look, 0, driver.world.now_ms)
    task = driver.world.look(0)[0]
    assert decision.acts == (
        KillInstance(0, task.id, "Killed for job update u1", keep_agent=task.assigned_task.slave_id),
    )


def test_an_agent_is_kept_only_for_a_task_that_fits_in() -> None:
    bigger = structs.replace(OLD, resources=(*NEW.resources[1:], structs.replace(NEW.resources[0], num_cpus=2.0)))
    for wanted in (bigger, structs.replace(NEW, constraints=(limit("host", 1),))):
        driver = Driver(job_of(1), wanted, 1, settings_of(queue=1))
        (kill,) = step(driver.progress, driver.world.look, 0, driver.world.now_ms).acts
        assert isinstance(kill, KillInstance)
        assert kill.keep_agent is None


def test_a_queue_is_filled_up_and_a_batch_is_not() -> None:
    queue = Driver(job_of(4), NEW, 4, settings_of(queue=2, base=WATCH))
    batch = Driver(job_of(4), NEW, 4, settings_of(batch=2, base=WATCH))
    for driver in (queue, batch):
        pauses = iter((500, 60_000, *[500] * 9))  # instance 1 is slow to stop
        driver.world.habits.stop_ms = pauses.__next__
        while "INSTANCE_UPDATED" not in driver.actions(0):
            driver.settle()
            driver.world.advance(driver.decision.wake_at_ms)
    assert queue.in_works == {1, 2}
    assert batch.in_works == {1}
    for driver in (queue, batch):
        driver.run()
        driver.check_end()


def test_a_task_is_watched_before_it_counts() -> None:
    driver = Driver(job_of(1), NEW, 1, settings_of(queue=1, base=WATCH))
    driver.run(until=lambda: kinds(driver.decision) == [(0, WaitKind.WATCH)])
    (waits,) = driver.decision.waits_for
    assert driver.decision.wake_at_ms == waits.until_ms == waits.since_ms + 5000
    assert str(waits) == "instance 0: it is running and being watched"
    driver.world.now_ms = waits.since_ms + 4999
    driver.settle()
    assert driver.status is U.ROLLING_FORWARD
    driver.world.now_ms += 1
    driver.settle()
    assert driver.status is U.ROLLED_FORWARD


def test_gated_by_health_alone() -> None:
    driver = Driver(job_of(2), NEW, 2, settings_of(queue=1))
    driver.run(until=lambda: "INSTANCE_UPDATED" in driver.actions(0))
    assert driver.world.now_ms == driver.instance_events[-1].timestamp_ms
    assert [task.status for task in driver.world.look(0)][-1] is S.RUNNING


def test_what_is_waited_for_all_the_way() -> None:
    driver = Driver(job_of(1), NEW, 1, settings_of(queue=1, base=WATCH))
    seen: list[WaitKind] = []
    while driver.status is U.ROLLING_FORWARD:
        driver.settle()
        for _, kind in kinds(driver.decision):
            if seen[-1:] != [kind]:
                seen.append(kind)
        driver.world.advance(driver.decision.wake_at_ms)
    assert seen == [WaitKind.STOP, WaitKind.PLACEMENT, WaitKind.START, WaitKind.WATCH]


def test_an_instance_that_is_well_already_gets_no_events() -> None:
    driver = Driver(job_of(3), NEW, 3, settings_of(batch=1))
    other = driver.world.look(1)[0]
    driver.world.tasks[other.id] = structs.replace(other, assigned_task=structs.replace(other.assigned_task, task=NEW))
    driver.run()
    assert driver.status is U.ROLLED_FORWARD
    assert driver.actions(1) == []
    assert driver.world.look(1)[-1].id == other.id


def test_add_only_and_remove_only() -> None:
    driver = Driver(job_of(2), OLD, 4, settings_of(queue=1))
    driver.run()
    assert driver.world.configs() == dict.fromkeys(range(4), OLD)
    assert driver.actions(0) == []
    driver = Driver(driver.world, OLD, 1, settings_of(batch=3))
    assert driver.update.instructions.desired_state is None
    driver.run()
    assert driver.world.configs() == {0: OLD}
    assert driver.actions(3) == ["INSTANCE_UPDATING", "INSTANCE_UPDATED"]


def test_a_pending_task_that_is_killed_vanishes_and_is_looked_at_again() -> None:
    world = job_of(1)
    world.stuck = {1}
    world.add(1, OLD)
    driver = Driver(world, NEW, 2, settings_of(queue=2))
    driver.settle()
    (task,) = world.look(1)
    assert (task.status, task.config) == (S.PENDING, NEW)
    assert driver.decision.is_quiet


def test_only_some_instances() -> None:
    driver = Driver(job_of(4), NEW, 4, settings_of(queue=4), only={1, 2})
    driver.run()
    driver.check_end()
    assert driver.world.configs() == {0: OLD, 1: NEW, 2: NEW, 3: OLD}


# -- pauses


def test_a_batch_is_ended_before_the_pause_that_follows_it() -> None:
    driver = Driver(job_of(4), NEW, 4, settings_of(var=(1, 2), pause=True))
    driver.run()
    assert driver.told()[-1] == ("ROLL_FORWARD_PAUSED", "Update auto paused")
    assert driver.actions(0) == ["INSTANCE_UPDATING", "INSTANCE_UPDATED"]
    assert driver.actions(1) == []
    assert kinds(driver.decision) == [(None, WaitKind.RESUME)]
    driver.restart()
    driver.wish(Wish.RESUME)
    assert driver.in_works == {1, 2}
    driver.run()
    assert driver.status is U.ROLL_FORWARD_PAUSED
    driver.wish(Wish.RESUME)
    driver.run()
    assert driver.status is U.ROLLED_FORWARD, "no pause after the last batch"
    assert [status for status, _ in driver.told()].count("ROLL_FORWARD_PAUSED") == 2


def test_no_pause_before_batches_that_are_well_already() -> None:
    driver = Driver(job_of(2), NEW, 2, settings_of(batch=1, pause=True))
    driver.settle()
    for task in driver.world.look(1):
        driver.world.tasks[task.id] = structs.replace(task, assigned_task=structs.replace(task.assigned_task, task=NEW))
    driver.run()
    assert driver.status is U.ROLLED_FORWARD


def test_a_pause_that_somebody_wished_is_not_the_one_between_batches() -> None:
    driver = Driver(job_of(2), NEW, 2, settings_of(batch=1, pause=True))
    driver.settle()
    driver.wish(Wish.PAUSE, "Update auto paused")
    driver.wish(Wish.RESUME)
    driver.run()
    assert driver.status is U.ROLL_FORWARD_PAUSED
    assert driver.events[-1].user is None


def test_a_batch_that_is_not_quite_done_goes_on_without_a_pause() -> None:
    driver = Driver(job_of(4), NEW, 4, settings_of(batch=2, pause=True))
    driver.world.habits.start_ms = lambda: 5000
    other = driver.world.look(1)[0]
    driver.world.tasks[other.id] = structs.replace(other, assigned_task=structs.replace(other.assigned_task, task=NEW))
    driver.settle()
    assert driver.in_works == {0}
    driver.world.now_ms += 4000
    driver.world.change(other.id, S.RESTARTING)
    driver.run(until=lambda: bool(driver.actions(1)))
    assert driver.status is U.ROLLING_FORWARD
    driver.run()
    assert driver.told()[-1] == ("ROLL_FORWARD_PAUSED", "Update auto paused")
    assert driver.actions(1) == ["INSTANCE_UPDATING", "INSTANCE_UPDATED"]


def test_a_paused_update_touches_nothing_and_goes_on_where_it_was() -> None:
    driver = Driver(job_of(3), NEW, 3, settings_of(queue=1, base=WATCH))
    driver.settle()
    driver.wish(Wish.PAUSE, "lunch")
    assert driver.events[-1] == JobUpdateEvent(
        status=U.ROLL_FORWARD_PAUSED, timestamp_ms=driver.world.now_ms, user="bob", message="lunch"
    )
    while driver.world.advance(None):
        driver.settle()
    assert driver.world.configs() == {1: OLD, 2: OLD}
    before = len(driver.events)
    driver.wish(Wish.PAUSE)
    assert len(driver.events) == before, "it is paused already"
    driver.wish(Wish.RESUME)
    driver.run()
    driver.check_end()
    assert driver.status is U.ROLLED_FORWARD
    assert driver.actions(0) == ["INSTANCE_UPDATING", "INSTANCE_UPDATED"]


def test_an_abort_leaves_the_job_as_it_is() -> None:
    driver = Driver(job_of(3), NEW, 3, settings_of(queue=1))
    driver.run(until=lambda: "INSTANCE_UPDATED" in driver.actions(0))
    driver.wish(Wish.ABORT)
    assert driver.status is U.ABORTED
    with pytest.raises(UserError, match=r"cannot resume www/prod/web update u1: it is ABORTED"):
        driver.wish(Wish.RESUME)


# -- failures


def test_a_sick_instance_brings_everything_back() -> None:
    driver = Driver(job_of(4, {2: 100}), NEW, 4, settings_of(queue=1, base=WATCH))
    driver.run()
    driver.check_end()
    assert driver.told()[-2:] == [("ROLLING_BACK", "Latest failure: instance 2 exited."), ("ROLLED_BACK", None)]
    assert driver.world.configs() == driver.previous
    assert driver.actions(2) == [
        "INSTANCE_UPDATING",
        "INSTANCE_UPDATE_FAILED",
        "INSTANCE_ROLLING_BACK",
        "INSTANCE_ROLLED_BACK",
    ]
    assert driver.actions(3) == [], "never touched"
    back = [each.instance_id for each in driver.instance_events if each.action == "INSTANCE_ROLLING_BACK"]
    assert back == [2, 1, 0]


def test_back_exactly_what_was_with_added_and_removed_instances() -> None:
    world = world_of({0: OTHER, 1: OLD, 7: OTHER}, Habits(lives=lambda task: 10 if task.config == NEW else None))
    driver = Driver(world, NEW, 3, settings_of(batch=4, base=WATCH))
    driver.run()
    assert driver.status is U.ROLLED_BACK
    assert world.configs() == {0: OTHER, 1: OLD, 7: OTHER}


def test_without_rollback_it_fails_and_stays() -> None:
    base = structs.replace(WATCH, rollback_on_failure=False)
    driver = Driver(job_of(2, {0: 100}), NEW, 2, settings_of(queue=1, base=base))
    driver.run()
    assert driver.told()[-1] == ("FAILED", "Latest failure: instance 0 exited.")
    assert driver.world.configs() == {0: NEW, 1: OLD}


@pytest.mark.parametrize(("allowed", "end"), [(1, U.ROLLED_BACK), (2, U.ROLLED_FORWARD)])
def test_failures_of_an_instance_that_are_let_pass(allowed: int, end: JobUpdateStatus) -> None:
    world = job_of(2)
    deaths = iter((100, 100))
    world.habits.lives = lambda task: next(deaths, None) if task.config == NEW else None
    base = structs.replace(WATCH, max_per_instance_failures=allowed)
    driver = Driver(world, NEW, 2, settings_of(queue=1, base=base))
    driver.run()
    assert driver.status is end
    driver.check_end()


@pytest.mark.parametrize(("allowed", "end"), [(1, U.ROLLED_BACK), (2, U.ROLLED_FORWARD)])
def test_failed_instances_that_are_let_pass(allowed: int, end: JobUpdateStatus) -> None:
    base = structs.replace(WATCH, max_failed_instances=allowed)
    driver = Driver(job_of(4, {0: 100, 3: 100}), NEW, 4, settings_of(queue=2, base=base))
    driver.run(until=lambda: driver.progress.forward.failures == 1)
    driver.wish(Wish.PAUSE)
    driver.restart()
    driver.wish(Wish.RESUME)
    assert driver.actions(0).count("INSTANCE_UPDATING") == 1, "what failed is not tried again"
    driver.run()
    driver.check_end()
    assert driver.status is end


@pytest.mark.parametrize("why", [S.DRAINING, S.PREEMPTING, S.RESTARTING])
def test_a_task_that_was_taken_away_did_not_fail(why: ScheduleStatus) -> None:
    driver = Driver(job_of(1), NEW, 1, settings_of(queue=1, base=WATCH))
    driver.run(until=lambda: kinds(driver.decision) == [(0, WaitKind.WATCH)])
    driver.world.change(driver.world.active()[0].id, why)
    driver.settle()
    assert kinds(driver.decision) == [(0, WaitKind.STOP)]
    driver.run()
    assert driver.status is U.ROLLED_FORWARD


def test_a_lost_task_failed() -> None:
    driver = Driver(job_of(1), NEW, 1, settings_of(queue=1, base=WATCH))
    driver.run(until=lambda: kinds(driver.decision) == [(0, WaitKind.WATCH)])
    driver.world.change(driver.world.active()[0].id, S.LOST)
    driver.run()
    assert driver.status is U.ROLLED_BACK


def test_a_rollback_that_fails_ends() -> None:
    world = world_of(dict.fromkeys(range(2), OLD), Habits(lives=lambda task: 10))
    driver = Driver(world, NEW, 2, settings_of(queue=1, base=WATCH))
    driver.run()
    assert [status for status, _ in driver.told()][-2:] == ["ROLLING_BACK", "FAILED"]
    assert driver.actions(0)[-1] == "INSTANCE_ROLLBACK_FAILED"


def test_a_wished_rollback_goes_back_and_does_not_wait_for_what_it_never_touched() -> None:
    world = job_of(3)
    world.stuck = {2}
    world.change(world.look(2)[0].id, S.RESTARTING)
    driver = Driver(world, NEW, 3, settings_of(queue=1))
    driver.run(until=lambda: "INSTANCE_UPDATED" in driver.actions(0))
    driver.wish(Wish.ROLLBACK)
    driver.run()
    assert driver.status is U.ROLLED_BACK
    assert driver.actions(2) == []
    assert world.active()[2].status is S.PENDING, "ill as it was before"


def test_at_the_turn_of_a_queue_no_more_are_in_the_works_than_before() -> None:
    world = job_of(6, {4: 10})
    pauses = iter([10**6] + [500] * 99)  # instance 0 does not want to stop
    world.habits.stop_ms = pauses.__next__
    driver = Driver(world, NEW, 6, settings_of(queue=2, base=WATCH))
    driver.run(until=lambda: driver.status is U.ROLLING_BACK)
    driver.settle()
    assert set(driver.progress.forward.begun) == {0}
    driver.run(until=lambda: driver.actions(1)[-1] == "INSTANCE_ROLLED_BACK")
    beside = 0
    for each in driver.instance_events:
        if each.instance_id != 0:
            beside += (each.action == "INSTANCE_ROLLING_BACK") - (each.action == "INSTANCE_ROLLED_BACK")
            assert beside <= 1, "one beside instance 0"
    driver.run()
    driver.check_end()
    assert driver.actions(0)[-2:] == ["INSTANCE_ROLLING_BACK", "INSTANCE_ROLLED_BACK"]


# -- looking at it


def seen(driver: Driver) -> list[tuple[Stage, list[int]]]:
    return [(each.stage, list(ids_of(each.instances))) for each in stages(driver.progress)]


def test_how_far_it_is() -> None:
    base = structs.replace(WATCH, max_failed_instances=1)
    driver = Driver(job_of(4, {1: 10, 2: 10}), NEW, 4, settings_of(queue=1, base=base))
    assert (seen(driver), share_done(driver.progress)) == ([(Stage.UNTOUCHED, [0, 1, 2, 3])], 0.0)
    driver.run(until=lambda: driver.in_works == {2})
    assert seen(driver) == [
        (Stage.UNTOUCHED, [3]),
        (Stage.UPDATING, [2]),
        (Stage.UPDATED, [0]),
        (Stage.UPDATE_FAILED, [1]),
    ]
    assert share_done(driver.progress) == 0.5
    driver.run(until=lambda: "INSTANCE_ROLLED_BACK" in driver.actions(2))
    assert seen(driver) == [
        (Stage.UNTOUCHED, [3]),
        (Stage.UPDATED, [0]),
        (Stage.ROLLING_BACK, [1]),
        (Stage.ROLLED_BACK, [2]),
    ]
    assert share_done(driver.progress) == pytest.approx(1 / 3)
    driver.run()
    assert share_done(driver.progress) == 1.0


def test_an_update_that_goes_back_at_once_has_nothing_to_do() -> None:
    driver = Driver(job_of(1), NEW, 1, settings_of(queue=1, base=PULSED))
    driver.wish(Wish.ROLLBACK)
    assert driver.status is U.ROLL_BACK_AWAITING_PULSE
    assert share_done(driver.progress) == 1.0
    driver.pulse()
    assert driver.status is U.ROLLED_BACK


# -- the machine itself


def test_a_step_may_be_repeated() -> None:
    driver = Driver(job_of(2), NEW, 2, settings_of(queue=2))
    one = step(driver.progress, driver.world.look, 0, driver.world.now_ms)
    assert step(driver.progress, driver.world.look, 0, driver.world.now_ms) == one
    driver.settle()
    driver.settle()
    assert driver.actions(0) == ["INSTANCE_UPDATING"]


def test_an_ended_update_does_nothing() -> None:
    driver = Driver(job_of(1), NEW, 1, settings_of(queue=1))
    driver.run()
    assert step(driver.progress, driver.world.look, 0, driver.world.now_ms) == UpdateDecision()
    with pytest.raises(UserError, match="cannot pause www/prod/web update u1: it is ROLLED_FORWARD"):
        decide_wish(driver.progress, Wish.PAUSE, "bob", None, 0, driver.world.now_ms)


def test_what_breaks_is_told() -> None:
    event = broken(Bug("cannot be"), 7)
    assert (event.status, event.timestamp_ms, event.message) == (U.ERROR, 7, "Internal scheduler error: cannot be")


def test_a_fold_goes_on_where_it_stopped() -> None:
    driver = Driver(job_of(3, {1: 10}), NEW, 3, settings_of(batch=2, base=WATCH))
    driver.run()
    fresh = progress_of(driver.update, driver.events, driver.instance_events)
    for way, other in ((fresh.forward, driver.progress.forward), (fresh.backward, driver.progress.backward)):
        assert (way.begun, way.ended, way.front, way.failures) == (
            other.begun,
            other.ended,
            other.front,
            other.failures,
        )
    assert fresh.status is driver.progress.status is U.ROLLED_BACK
    twice = [each for each in driver.instance_events for _ in range(2)]
    told_twice = progress_of(driver.update, driver.events, twice)
    assert told_twice.forward.failures == fresh.forward.failures == 1
    assert told_twice.backward.ended == fresh.backward.ended


def test_events_of_other_instances_are_a_bug() -> None:
    driver = Driver(job_of(1), NEW, 1, settings_of(queue=1))
    driver.run()
    foreign = structs.replace(driver.instance_events[-1], instance_id=9)
    with pytest.raises(Bug, match="instance 9 is not in the update"):
        progress_of(driver.update, driver.events, [foreign])


@pytest.mark.parametrize(
    ("end", "allowed", "status"),
    [(S.FINISHED, 0, U.ROLLED_BACK), (S.FAILED, 0, U.FAILED), (S.FAILED, 1, U.ROLLED_BACK)],
)
def test_back_to_a_job_that_is_no_service(end: ScheduleStatus, allowed: int, status: JobUpdateStatus) -> None:
    batch = structs.replace(OLD, is_service=False)
    base = structs.replace(WATCH, max_per_instance_failures=allowed)
    driver = Driver(world_of({0: batch}), NEW, 1, settings_of(queue=1, base=base))
    driver.settle()
    driver.wish(Wish.ROLLBACK)
    driver.run(until=lambda: kinds(driver.decision) == [(0, WaitKind.WATCH)])
    driver.world.change(driver.world.active()[0].id, end)
    driver.run()
    assert driver.status is status
