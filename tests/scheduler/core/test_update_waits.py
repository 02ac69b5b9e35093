"""What updates wait for: progress, pulses, a policy; and what ends that. Spec/scheduler.md §4.6, §4.7."""

from __future__ import annotations

from msgspec import structs

from scheduler.core.model import CountSlaPolicy, SlaPolicy, TaskConfig
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_model import JobUpdateSettings, JobUpdateStatus
from scheduler.core.update_pulse import JobUpdatePulseStatus, answer_pulse, pulse_after_restart
from scheduler.core.update_states import Wish
from scheduler.core.update_watch import WaitKind
from tests.scheduler.core.update_world import (
    NEW,
    OLD,
    POLICY,
    PULSED,
    WATCH,
    Driver,
    job_of,
    kinds,
    settings_of,
    world_of,
)

S, U = ScheduleStatus, JobUpdateStatus


# -- deadline


def test_an_instance_without_progress_fails_the_update() -> None:
    world = job_of(3)
    world.stuck = {1}
    base = structs.replace(WATCH, progress_deadline_ms=60_000, max_failed_instances=3)
    driver = Driver(world, NEW, 3, settings_of(queue=1, base=base))
    driver.run(until=lambda: kinds(driver.decision) == [(1, WaitKind.PLACEMENT)])
    since = driver.decision.waits_for[0].since_ms
    assert driver.decision.wake_at_ms == since + 60_000
    world.stuck = set()
    driver.run()
    text = "Latest failure: instance 1 made no progress for 60 s: no host was found for it yet."
    assert ("ROLLING_BACK", text) in driver.told()
    assert next(event.timestamp_ms for event in driver.events if event.message == text) == since + 60_000
    driver.check_end()


def test_being_watched_is_no_stall() -> None:
    base = structs.replace(WATCH, progress_deadline_ms=4000)
    driver = Driver(job_of(2), NEW, 2, settings_of(queue=1, base=base))
    driver.run()
    assert driver.status is U.ROLLED_FORWARD


def test_patience_begins_again_when_an_update_is_resumed() -> None:
    world = job_of(1)
    world.stuck = {0}
    driver = Driver(world, NEW, 1, settings_of(queue=1, base=structs.replace(WATCH, progress_deadline_ms=60_000)))
    driver.run(until=lambda: kinds(driver.decision) == [(0, WaitKind.PLACEMENT)])
    driver.wish(Wish.PAUSE)
    world.now_ms += 3_600_000
    driver.settle()
    driver.wish(Wish.RESUME)
    assert driver.status is U.ROLLING_FORWARD
    assert driver.decision.wake_at_ms == world.now_ms + 60_000


def test_a_policy_that_never_allows_it_is_no_progress_either() -> None:
    new = structs.replace(NEW, sla_policy=POLICY)
    base = JobUpdateSettings(sla_aware=True, progress_deadline_ms=60_000, rollback_on_failure=False)
    driver = Driver(job_of(1), new, 1, settings_of(queue=1, base=base), allows=lambda policy: False)
    begun = driver.world.now_ms
    driver.settle()
    assert driver.decision.wake_at_ms == begun + 60_000
    driver.run()
    text = "Latest failure: instance 0 made no progress for 60 s: its SLA policy does not allow it to be stopped yet."
    assert driver.told()[-1] == ("FAILED", text)
    assert driver.world.configs() == {0: OLD}


def test_without_a_deadline_it_waits_and_says_so() -> None:
    world = job_of(1)
    world.stuck = {0}
    driver = Driver(world, NEW, 1, settings_of(queue=1))
    driver.run()
    world.now_ms += 10**9
    driver.settle()
    assert driver.decision.wake_at_ms is None
    (waits,) = driver.decision.waits_for
    assert (waits.instance, waits.what) == (0, WaitKind.PLACEMENT)
    assert waits.since_ms == world.active()[0].task_events[-1].timestamp


# -- pulses


def test_it_begins_with_the_first_pulse_and_stops_without_further_ones() -> None:
    driver = Driver(job_of(2), NEW, 2, settings_of(queue=1, base=PULSED))
    driver.run()
    assert driver.told() == [("ROLL_FORWARD_AWAITING_PULSE", None)]
    assert kinds(driver.decision) == [(None, WaitKind.PULSE)]
    driver.pulse()
    until = driver.last_pulse_ms + 60_000
    assert driver.status is U.ROLLING_FORWARD
    driver.world.agenda.clear()  # nothing else happens
    driver.run(until=lambda: driver.status is not U.ROLLING_FORWARD)
    assert driver.told()[-1] == ("ROLL_FORWARD_AWAITING_PULSE", "Pulses from external service have timed out.")
    assert driver.world.now_ms == until
    driver.wish(Wish.PAUSE)
    driver.pulse()
    assert driver.status is U.ROLL_FORWARD_PAUSED, "a paused update takes pulses, and stays"
    driver.wish(Wish.RESUME)
    assert driver.status is U.ROLLING_FORWARD
    driver.wish(Wish.PAUSE)
    driver.world.now_ms += 60_000
    driver.wish(Wish.RESUME)
    assert driver.status is U.ROLL_FORWARD_AWAITING_PULSE


def test_with_a_deadline_nobody_waits_for_a_pulse_for_ever() -> None:
    base = structs.replace(PULSED, progress_deadline_ms=90_000)
    driver = Driver(job_of(2), NEW, 2, settings_of(queue=1, base=base))
    driver.settle()
    begun = driver.world.now_ms
    assert (driver.status, driver.decision.wake_at_ms) == (U.ROLL_FORWARD_AWAITING_PULSE, begun + 90_000)
    driver.world.now_ms += 89_999
    driver.pulse()
    assert driver.status is U.ROLLING_FORWARD
    driver.world.agenda.clear()
    driver.run(until=lambda: driver.status is U.ROLL_FORWARD_AWAITING_PULSE)
    blocked = driver.world.now_ms
    driver.run()
    assert driver.told()[-1] == ("ABORTED", "No pulse for 90 s.")
    assert driver.world.now_ms == blocked + 90_000


def test_a_person_may_pause_what_waits_for_a_pulse() -> None:
    base = structs.replace(PULSED, progress_deadline_ms=90_000)
    driver = Driver(job_of(2), NEW, 2, settings_of(queue=1, base=base))
    driver.settle()
    driver.wish(Wish.PAUSE)
    driver.world.now_ms += 3_600_000
    driver.settle()
    assert (driver.status, driver.decision.wake_at_ms) == (U.ROLL_FORWARD_PAUSED, None)
    driver.wish(Wish.RESUME)
    assert driver.status is U.ROLL_FORWARD_AWAITING_PULSE
    assert driver.decision.wake_at_ms == driver.world.now_ms + 90_000


def test_pulses_that_come_too_rarely_renew_no_patience() -> None:
    """60 s of each 80 it rolls; of these 150 without progress are too many."""
    world = job_of(1)
    world.stuck = {0}
    base = structs.replace(PULSED, progress_deadline_ms=150_000, rollback_on_failure=False)
    driver = Driver(world, NEW, 1, settings_of(queue=1, base=base))
    driver.pulse()
    driver.run(until=lambda: kinds(driver.decision) == [(0, WaitKind.PLACEMENT)])
    since = driver.decision.waits_for[0].since_ms
    begun = driver.last_pulse_ms
    while driver.status is not U.FAILED:
        driver.run(until=lambda: driver.status is not U.ROLLING_FORWARD)
        if driver.status is U.ROLL_FORWARD_AWAITING_PULSE:
            world.now_ms = driver.last_pulse_ms + 80_000
            driver.pulse()
    assert world.now_ms == since + 150_000 + 2 * 20_000
    text = "Latest failure: instance 0 made no progress for 150 s: no host was found for it yet."
    assert driver.told()[-1][1] == text
    assert driver.last_pulse_ms == begun + 160_000


def test_after_a_restart_the_last_event_counts_as_a_pulse() -> None:
    driver = Driver(job_of(2), NEW, 2, settings_of(queue=1, base=PULSED))
    assert pulse_after_restart(driver.progress) == 0
    driver.pulse()
    driver.run(until=lambda: "INSTANCE_UPDATED" in driver.actions(0))
    driver.restart()
    assert driver.last_pulse_ms == driver.instance_events[-1].timestamp_ms
    driver.world.now_ms += 60_000
    driver.settle()
    assert driver.status is U.ROLL_FORWARD_AWAITING_PULSE
    driver.restart()
    driver.settle()
    assert driver.status is U.ROLL_FORWARD_AWAITING_PULSE, "nobody pulses by restarting"


def test_answers_to_pulses() -> None:
    assert answer_pulse(None) is JobUpdatePulseStatus.FINISHED
    assert answer_pulse(U.ABORTED) is JobUpdatePulseStatus.FINISHED
    assert answer_pulse(U.ROLL_BACK_PAUSED) is JobUpdatePulseStatus.OK


# -- SLA


def sla_job(size: int, old: TaskConfig, new: TaskConfig) -> Driver:
    world = world_of(dict.fromkeys(range(size), old))
    return Driver(world, new, size, settings_of(queue=1, base=JobUpdateSettings(sla_aware=True)))


def test_a_policy_is_asked_before_each_kill() -> None:
    new = structs.replace(NEW, sla_policy=POLICY)
    driver = sla_job(2, OLD, new)
    asked: list[SlaPolicy] = []

    def refuse(policy: SlaPolicy) -> bool:
        asked.append(policy)
        return len(asked) > 2

    driver.allows = refuse
    driver.settle()
    assert kinds(driver.decision) == [(0, WaitKind.SLA)]
    driver.settle()
    assert driver.world.configs() == {0: OLD, 1: OLD}
    begun = driver.world.now_ms
    driver.world.now_ms += 60_000
    driver.settle()
    assert driver.world.look(0)[0].status is S.KILLING
    assert driver.progress.forward.begun == {0: begun}
    messages = [each.message for each in driver.instance_events]
    assert messages == ["Checking SLA before continuing.", "SLA check passed, continuing."]
    driver.run()
    driver.check_end()
    assert set(asked) == {POLICY}
    assert driver.actions(0) == ["INSTANCE_UPDATING", "INSTANCE_UPDATING", "INSTANCE_UPDATED"]


def test_way_back_the_old_policy_is_asked_and_of_added_ones_the_new() -> None:
    strict = SlaPolicy(count_sla_policy=CountSlaPolicy(count=9, duration_secs=1))
    world = world_of({0: structs.replace(OLD, sla_policy=strict)})
    new = structs.replace(NEW, sla_policy=POLICY)
    driver = Driver(world, new, 2, settings_of(queue=2, base=structs.replace(WATCH, sla_aware=True)))
    asked: list[SlaPolicy] = []
    driver.allows = lambda policy: asked.append(policy) is None
    driver.run(until=lambda: world.running() == 2)
    assert asked == [POLICY], "instance 0; instance 1 is new"
    driver.wish(Wish.ROLLBACK)
    assert asked[1:] == [strict, POLICY], "instance 0, and then instance 1, which was not there before"
    driver.run()
    driver.check_end()


def test_a_policy_is_asked_as_soon_as_there_is_an_agent() -> None:
    world = job_of(0)
    task = world.add(0, OLD)
    new = structs.replace(NEW, sla_policy=POLICY)
    driver = Driver(world, new, 1, settings_of(queue=1, base=JobUpdateSettings(sla_aware=True)))
    driver.allows = lambda policy: False
    driver.begin()  # and nobody hears that its task, which has no agent yet, is to be killed
    world.change(task.id, S.ASSIGNED)
    driver.settle()
    assert [each.message for each in driver.instance_events] == [None, "Checking SLA before continuing."]
    assert world.configs() == {0: OLD}
    assert kinds(driver.decision) == [(0, WaitKind.SLA)]


def test_a_task_without_an_agent_may_always_be_killed() -> None:
    world = job_of(0)
    world.stuck = {0}
    world.add(0, OLD)
    new = structs.replace(NEW, sla_policy=POLICY)
    driver = Driver(world, new, 1, settings_of(queue=1, base=JobUpdateSettings(sla_aware=True)))
    driver.allows = lambda policy: False
    driver.settle()
    assert world.configs() == {0: new}
    assert driver.actions(0) == ["INSTANCE_UPDATING"]
