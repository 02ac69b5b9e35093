"""Updates of any size and strategy, through failures, restarts, pauses, pulses, lost tasks and lost acts.

What holds at every single step is checked by the driver of the world: never more than the batch in the works, unchanged
instances never touched, events recorded once, and the same decision from what is stored as from what was remembered.
Here it is what holds in the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from scheduler.core.model import CountSlaPolicy, ScheduledTask, SlaPolicy
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_model import UPDATE_ACTIVE, JobUpdateSettings, JobUpdateStatus
from scheduler.core.update_states import AWAITING_PULSE, PAUSED, Wish
from scheduler.core.update_watch import WaitKind
from tests.scheduler.core.update_world import NEW as PLAIN_NEW
from tests.scheduler.core.update_world import OLD, OTHER, Driver, JobWorld, settings_of, uneven, world_of

S, U = ScheduleStatus, JobUpdateStatus

PULSE_MS = 20_000
POLICY = SlaPolicy(count_sla_policy=CountSlaPolicy(count=1, duration_secs=60))
NEW = structs.replace(PLAIN_NEW, sla_policy=POLICY)


@dataclass(frozen=True)
class Case:
    """`sickness`: how likely a new task fails; `trouble`: how likely something happens between two steps."""

    seed: int
    size: int
    wanted: int
    updating: JobUpdateSettings
    sickness: float
    trouble: float
    coordinated: bool
    sla: bool


@st.composite
def strategies(draw: st.DrawFn, base: JobUpdateSettings) -> JobUpdateSettings:
    kind = draw(st.sampled_from(["queue", "batch", "var"]))
    if kind == "queue":
        return settings_of(queue=draw(st.integers(1, 4)), base=base)
    pause = draw(st.booleans())
    if kind == "batch":
        return settings_of(batch=draw(st.integers(1, 4)), pause=pause, base=base)
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    return settings_of(var=tuple(sizes), pause=pause, base=base)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    coordinated, sla = draw(st.booleans()), draw(st.booleans())
    base = JobUpdateSettings(
        max_per_instance_failures=draw(st.integers(0, 2)),
        max_failed_instances=draw(st.integers(0, 2)),
        min_wait_in_instance_running_ms=draw(st.sampled_from([0, 500, 3000])),
        rollback_on_failure=draw(st.booleans()),
        block_if_no_pulses_after_ms=PULSE_MS if coordinated else 0,
        sla_aware=sla,
    )
    return Case(
        seed=draw(st.integers(0, 2**32)),
        size=draw(st.integers(0, 8)),
        wanted=draw(st.integers(1, 8)),
        updating=draw(strategies(base)),
        sickness=draw(st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0])),
        trouble=draw(st.sampled_from([0.0, 0.05, 0.3])),
        coordinated=coordinated,
        sla=sla,
    )


def driver_of(case: Case, chance: Random) -> Driver | None:
    """None: there would be nothing to do."""
    current = {instance: chance.choice((OLD, OLD, OTHER, NEW)) for instance in range(case.size)}
    habits = uneven(chance)

    def lives(task: ScheduledTask) -> int | None:
        """What is new may be sick."""
        sick = task.config == NEW and chance.random() < case.sickness
        return chance.randrange(4000) if sick else None

    habits.lives = lives
    only = {i for i in range(10) if chance.random() < 0.8} if chance.random() < 0.3 else None
    driver = Driver(world_of(current, habits), NEW, case.wanted, case.updating, only, forgetful=chance.random() < 0.2)
    driver.allows = lambda policy: chance.random() < 0.5
    driver.loses = lambda: chance.random() < case.trouble
    return None if driver.diff.is_empty else driver


def was_well(driver: Driver) -> bool:
    """No instance has to go back to the configuration that may be sick."""
    return NEW not in driver.progress.before.values()


def live(driver: Driver, case: Case, chance: Random, wishes: tuple[Wish, ...] = ()) -> None:
    """Until it has ended; what waits for people or pulses gets them."""
    for _ in range(5000):
        driver.settle()
        if driver.status not in UPDATE_ACTIVE:
            return
        if chance.random() < case.trouble:
            disturb(driver, chance, wishes)
            continue
        if driver.status in PAUSED:
            driver.wish(Wish.RESUME)
        elif driver.status in AWAITING_PULSE or (case.coordinated and chance.random() < 0.5):
            driver.pulse()
        elif not driver.world.advance(driver.decision.wake_at_ms):
            kinds = {each.what for each in driver.decision.waits_for}
            assert kinds == {WaitKind.SLA}, f"it waits for ever: {driver.decision.waits_for}"
            driver.world.now_ms += 60_000  # the policy is asked again
    raise AssertionError("it never ends")


def disturb(driver: Driver, chance: Random, wishes: tuple[Wish, ...]) -> None:
    what = chance.choice(("restart", "pause", "resume", "pulse", "time", "drain", "wish"))
    match what:
        case "restart":
            driver.restart()
        case "pause" | "resume":
            driver.wish(Wish(what))
        case "pulse":
            driver.pulse()
        case "time":
            driver.world.now_ms += chance.randrange(30_000)
        case "drain":
            drain(driver.world, chance)
        case "wish" if wishes and driver.status not in PAUSED | AWAITING_PULSE:
            wish = chance.choice(wishes)
            if wish is not Wish.ROLLBACK or driver.status is U.ROLLING_FORWARD:
                driver.wish(wish)


def drain(world: JobWorld, chance: Random) -> None:
    """Somebody else takes a task away, or its agent is out of sight for good; it is replaced."""
    running = [task.id for task in world.active().values() if task.status is S.RUNNING]
    if running:
        task_id = chance.choice(running)
        if chance.random() < 0.7:
            world.change(task_id, chance.choice((S.DRAINING, S.RESTARTING, S.PREEMPTING)))
        else:
            world.change(task_id, S.PARTITIONED)
            world.change(task_id, S.LOST)


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(cases())
def test_it_always_ends_in_the_promised_state(case: Case) -> None:
    chance = Random(case.seed)
    driver = driver_of(case, chance)
    if driver is None:
        return
    live(driver, case, chance)
    driver.check_end()
    assert driver.status in {U.ROLLED_FORWARD, U.ROLLED_BACK, U.FAILED}
    if driver.status is U.FAILED and not case.trouble and was_well(driver):
        assert not case.updating.rollback_on_failure, "only what is sick fails, and the old tasks are well"
    if not case.sickness and not case.trouble:
        assert driver.status is U.ROLLED_FORWARD


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(cases(), st.sets(st.integers(0, 9), min_size=1), st.booleans())
def test_with_a_deadline_it_ends_whatever_never_happens(case: Case, stuck: set[int], allowed: bool) -> None:
    """Instances for which there is never a host, and a policy that never allows anything; pulses that are missing
    again and again renew no patience."""
    chance = Random(case.seed)
    updating = structs.replace(case.updating, progress_deadline_ms=3 * PULSE_MS)
    driver = driver_of(replace(case, updating=updating), chance)
    if driver is None:
        return
    driver.world.stuck = stuck
    driver.allows = lambda policy: allowed
    live(driver, case, chance)
    driver.check_end()


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(cases(), st.sampled_from([Wish.ROLLBACK, Wish.ABORT]))
def test_who_wishes_it_back_gets_exactly_what_was(case: Case, wish: Wish) -> None:
    chance = Random(case.seed)
    driver = driver_of(case, chance)
    if driver is None:
        return
    for _ in range(chance.randrange(12)):
        driver.settle()
        if driver.status in PAUSED:
            driver.wish(Wish.RESUME)
        elif driver.status in AWAITING_PULSE:
            driver.pulse()
        if driver.status not in UPDATE_ACTIVE or not driver.world.advance(driver.decision.wake_at_ms):
            break
    if driver.status not in {U.ROLLING_FORWARD, U.ROLL_FORWARD_PAUSED, U.ROLL_FORWARD_AWAITING_PULSE}:
        return
    before = driver.world.configs()
    driver.wish(wish, "no good")
    assert (driver.events[-1].user, driver.events[-1].message) == ("bob", "no good") or wish is Wish.ROLLBACK
    if wish is Wish.ABORT:
        assert driver.status is U.ABORTED
        assert driver.world.configs() == before, "the job is left as it is"
        assert driver.decision.is_quiet
        return
    live(driver, case, chance)
    driver.check_end()
    if not case.trouble and was_well(driver):
        assert driver.status is U.ROLLED_BACK
        assert driver.world.configs() == driver.previous
