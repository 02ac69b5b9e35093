"""Updates in the engine: when they are stepped, what becomes of tasks, and what survives what. Time is virtual."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from mesos.core.messages import TaskState
from scheduler import update_desk
from scheduler.core.effects import InstancesUpdated, UpdateChanged
from scheduler.core.model import CountSlaPolicy, InstanceKey, SlaPolicy
from scheduler.core.prune import PruneRules
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_decision import UpdateDecision
from scheduler.core.update_machine import step
from scheduler.core.update_model import JobInstanceUpdateEvent, JobUpdateAction, JobUpdateQuery
from scheduler.core.update_prune import UpdatePruneRules
from scheduler.core.update_states import Wish
from scheduler.core.validation import Rules
from scheduler.service.update_queries import updates
from scheduler.store.ops import SaveInstanceUpdateEvents
from scheduler.update_acts import UpdateActs
from scheduler.update_desk import REST_PER_INSTANCE_S, SETTLE_S, SMALL
from scheduler.update_rules import UpdateRules
from tests.scheduler.core.making import JOB, value
from tests.scheduler.updates.jobs import OLD, Updated, batches, new

S = ScheduleStatus


def test_forward_instance_by_instance_with_a_watch() -> None:
    job = Updated(3)
    key = job.start(settings=batches(min_wait_in_instance_running_ms=10_000))
    job.work(60)
    assert job.told(key) == [("ROLLING_FORWARD", None), ("ROLLED_FORWARD", None)]
    assert job.actions(key) == [(n, action) for n in range(3) for action in ("UPDATING", "UPDATED")]
    assert job.priorities() == {0: 1, 1: 1, 2: 1}
    took_s = (job.entry(key).state.last_modified_timestamp_ms - job.entry(key).state.created_timestamp_ms) / 1000
    assert 30 <= took_s < 40


def test_a_watch_ends_at_its_moment() -> None:
    job = Updated(1)
    key = job.start(count=1, settings=batches(min_wait_in_instance_running_ms=10_000))
    job.work(5)
    since_ms = job.task(0).task_events[-1].timestamp
    assert job.task(0).status is S.RUNNING and job.status(key) == "ROLLING_FORWARD"
    assert job.waits(key) == ["instance 0: it is running and being watched"]
    job.world.advance(60)
    ended_ms = job.entry(key).events[-1].timestamp_ms
    assert since_ms + 10_000 <= ended_ms <= since_ms + 10_010


def test_what_a_task_is_killed_for() -> None:
    job = Updated(1)
    task = job.task(0)
    key = job.start(count=1)
    job.work(3)
    events = job.world.task(task.id).task_events
    assert [event.message for event in events if event.status is S.KILLING] == [f"Killed for job update {key.id}"]


def test_add_and_remove() -> None:
    job = Updated(3)
    key = job.start(OLD, 5, batches(5))
    job.work(10)
    assert job.status(key) == "ROLLED_FORWARD" and sorted(job.priorities()) == [0, 1, 2, 3, 4]
    assert job.actions(key) == [(3, "UPDATING"), (4, "UPDATING"), (3, "UPDATED"), (4, "UPDATED")]
    key = job.start(OLD, 1, batches(5))
    job.work(10)
    assert job.status(key) == "ROLLED_FORWARD" and sorted(job.priorities()) == [0]


def test_a_new_job() -> None:
    job = Updated(0)
    key = job.start(count=2)
    job.work(10)
    assert job.status(key) == "ROLLED_FORWARD" and job.priorities() == {0: 1, 1: 1}


def test_a_sick_configuration_is_rolled_back() -> None:
    job = Updated(3)
    key = job.start(settings=batches(2))
    job.sick = True
    job.work(60)
    assert job.told(key)[1:] == [("ROLLING_BACK", "Latest failure: instance 1 exited."), ("ROLLED_BACK", None)]
    failed = [event for event in job.entry(key).instance_events if event.action.value == "INSTANCE_UPDATE_FAILED"]
    assert failed and all(event.message is not None and event.message.startswith("FAILED") for event in failed)
    assert [job.task(n).config for n in range(3)] == [OLD] * 3
    assert job.task(2).task_events[0].timestamp < job.entry(key).events[0].timestamp_ms  # it was never touched


def test_pause_resume_abort() -> None:
    job = Updated(3)
    key = job.start(settings=batches(min_wait_in_instance_running_ms=5000))
    job.work(4)
    assert job.wish(Wish.PAUSE) == "ROLL_FORWARD_PAUSED"
    job.work(30)
    assert job.waits(key) == ["it is paused; resume it to go on"]
    assert sum(job.priorities().values()) == 1
    job.wish(Wish.RESUME)
    job.work(4)
    assert job.wish(Wish.ABORT) == "ABORTED"
    job.work(30)
    assert sorted(job.priorities().values()) == [0, 1, 1]
    assert len(job.world.engine.updates) == 0


def test_back_on_somebody_s_wish() -> None:
    job = Updated(3)
    key = job.start(settings=batches(min_wait_in_instance_running_ms=5000))
    job.work(10)
    assert sum(job.priorities().values()) == 2
    assert job.wish(Wish.ROLLBACK) == "ROLLING_BACK"
    job.work(30)
    assert job.status(key) == "ROLLED_BACK" and [job.task(n).config for n in range(3)] == [OLD] * 3
    back = [(n, action) for n, action in job.actions(key) if action.startswith("ROLL")]
    assert back == [(1, "ROLLING_BACK"), (1, "ROLLED_BACK"), (0, "ROLLING_BACK"), (0, "ROLLED_BACK")]


# --- what survives what ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", range(24))
def test_a_restart_at_any_moment(moment: int) -> None:
    """What was told before and after is what is told without it; only the watch of one instance may begin anew."""
    job = Updated(3)
    settings = batches(2, min_wait_in_instance_running_ms=3000)
    key = job.start(settings=settings)
    for _ in range(moment):
        job.world.master.offer_all()
        job.world.deliver(1)
        job.world.advance(0.4)
        if moment % 3:
            job.work(1)
    job.world.restart()
    job.world.subscribe()
    job.work(60)
    assert job.told(key) == [("ROLLING_FORWARD", None), ("ROLLED_FORWARD", None)]
    assert sorted(job.actions(key)) == [(n, word) for n in range(3) for word in ("UPDATED", "UPDATING")]
    assert job.priorities() == {0: 1, 1: 1, 2: 1}
    job.world.check()


def test_after_a_restart_nothing_is_judged_before_the_master_was_asked() -> None:
    """A task that died while the scheduler was away has not passed its watch."""
    job = Updated(2)
    key = job.start(count=2, settings=batches(min_wait_in_instance_running_ms=10_000, rollback_on_failure=False))
    job.work(5)
    task = job.task(0)
    assert (task.status, task.config.priority) == (S.RUNNING, 1)
    agent, there = job.world.master.where(task.id)
    assert agent is not None and there is not None
    job.world.restart()
    job.world.master.progress(agent, there, TaskState.FAILED)
    job.world.advance(600)
    assert job.actions(key) == [(0, "UPDATING")]
    job.world.subscribe()
    job.world.step()
    assert job.actions(key) == [(0, "UPDATING")]
    job.world.deliver()
    job.world.step()
    assert job.actions(key) == [(0, "UPDATING")], "others may have ended, too"
    job.world.advance(SETTLE_S + 1)
    assert job.actions(key) == [(0, "UPDATING"), (0, "UPDATE_FAILED")]
    assert job.told(key)[-1] == ("FAILED", "Latest failure: instance 0 exited.")


def test_nothing_is_stepped_while_nobody_can_be_heard() -> None:
    job = Updated(1)
    key = job.start(count=1, settings=batches(min_wait_in_instance_running_ms=10_000))
    job.work(5)
    job.world.disconnect()
    job.world.advance(60)
    assert job.status(key) == "ROLLING_FORWARD"
    job.world.subscribe(again=True)
    job.world.deliver()
    job.world.advance(SETTLE_S + 0.1)
    assert job.status(key) == "ROLLED_FORWARD"


def test_a_commit_that_fails_is_decided_anew() -> None:
    job = Updated(2)
    key = job.start(count=2)
    job.world.lag = True
    job.world.advance(0.01)
    assert job.actions(key) == [(0, "UPDATING")]
    job.world.fail()
    assert job.actions(key) == []
    job.world.lag = False
    job.world.advance(SETTLE_S - 0.1)
    assert job.actions(key) == [], "the master is asked first"
    job.work(20)
    assert job.actions(key) == [(0, "UPDATING"), (0, "UPDATED"), (1, "UPDATING"), (1, "UPDATED")]


def test_a_start_that_is_not_durable_leaves_nothing() -> None:
    job = Updated(1)
    job.world.lag = True
    key = job.start(count=1)
    job.world.fail()
    assert job.world.tables.updates.get(key) is None and len(job.world.engine.updates) == 0
    job.world.lag = False
    job.work(3)
    assert job.priorities() == {0: 0}
    job.start(count=1)


def test_pulses_outlive_a_commit_that_fails() -> None:
    job = Updated(1)
    key = job.start(count=1, settings=batches(block_if_no_pulses_after_ms=60_000))
    assert job.status(key) == "ROLL_FORWARD_AWAITING_PULSE"
    assert job.waits(key) == ["no pulse came from the service that watches it"]
    job.work(5)
    assert job.priorities() == {0: 0}
    assert job.pulse() == "OK"
    job.world.lag = True
    job.world.advance(0.01)
    job.world.fail()
    job.world.lag = False
    job.work(10)
    assert job.status(key) == "ROLLED_FORWARD"
    assert job.world.engine._update_memory.pulses == {}


def test_pulses_stop() -> None:
    job = Updated(1)
    settings = batches(block_if_no_pulses_after_ms=60_000, min_wait_in_instance_running_ms=100_000)
    key = job.start(count=1, settings=settings)
    job.pulse()
    job.work(5)
    job.world.advance(70)
    words = "Pulses from external service have timed out."
    assert job.told(key)[1:] == [("ROLLING_FORWARD", None), ("ROLL_FORWARD_AWAITING_PULSE", words)]
    assert job.entry(key).events[-1].timestamp_ms - job.entry(key).events[-2].timestamp_ms in range(60_000, 60_010)


def test_nobody_waits_for_pulses_for_ever() -> None:
    """Not for those of a time in which the scheduler was down, though."""
    job = Updated(1)
    key = job.start(count=1, settings=batches(block_if_no_pulses_after_ms=60_000, progress_deadline_ms=90_000))
    job.work(80)
    job.world.disconnect()
    job.world.restart()
    job.world.subscribe(again=True)
    back_ms = job.world.now.wall * 1000
    job.work(80)
    assert job.waits(key) == ["no pulse came from the service that watches it"]
    job.work(20)
    assert job.told(key)[-1] == ("ABORTED", "No pulse for 90 s.")
    assert 90_000 <= job.entry(key).events[-1].timestamp_ms - back_ms < 93_000


def test_a_progress_deadline() -> None:
    job = Updated(1, agents=1)
    wanted = structs.replace(new(), resources=tuple(r for r in new().resources if r.num_cpus is None))
    huge = structs.replace(OLD.resources[0], num_cpus=1000.0)
    key = job.start(
        structs.replace(wanted, resources=(huge, *wanted.resources)), 1,
        batches(progress_deadline_ms=60_000, rollback_on_failure=False),
    )  # fmt: skip
    job.work(30)
    assert job.waits(key) == ["instance 0: no host was found for it yet"]
    job.work(40)
    words = "Latest failure: instance 0 made no progress for 60 s: no host was found for it yet."
    assert job.told(key)[-1] == ("FAILED", words)


@pytest.mark.parametrize("killed", [False, True])
def test_a_deadline_does_not_run_while_nobody_can_be_heard(killed: bool) -> None:
    """Neither a master that is away nor a scheduler that is killed is a fault of the instance."""
    job = Updated(2)
    key = job.start(count=2, settings=batches(progress_deadline_ms=60_000))
    job.world.step()
    assert job.actions(key) == [(0, "UPDATING")]
    job.world.disconnect()
    job.world.advance(600)
    if killed:
        job.world.restart()
    job.world.subscribe(again=True)
    job.work(30)
    assert job.told(key)[1:] == [("ROLLED_FORWARD", None)]


def test_a_deadline_runs_again_when_the_master_is_back() -> None:
    job = Updated(1)
    wanted = structs.replace(new(), constraints=(value("host", "nowhere"),))
    key = job.start(wanted, 1, batches(progress_deadline_ms=60_000, rollback_on_failure=False))
    job.work(5)
    job.world.disconnect()
    job.world.advance(600)
    job.world.subscribe(again=True)
    back_ms = job.world.now.wall * 1000
    job.work(50)
    assert job.status(key) == "ROLLING_FORWARD"
    job.work(30)
    assert job.status(key) == "FAILED"
    assert 60_000 <= job.entry(key).events[-1].timestamp_ms - back_ms < 62_000


def test_without_a_master_that_is_what_it_waits_for() -> None:
    job = Updated(1)
    key = job.start(count=1, settings=batches(min_wait_in_instance_running_ms=10_000))
    job.work(5)
    job.world.disconnect()
    since_ms = int(job.world.now.wall * 1000)
    job.world.advance(60)
    (wait,) = job.world.engine.updates.waits_for(job.entry(key), job.world.now)
    assert (str(wait), wait.since_ms, wait.instance) == ("the Mesos master can't be heard", since_ms, None)
    job.world.lag = True
    job.wish(Wish.PAUSE)
    job.world.fail()
    job.world.lag = False
    (again,) = job.world.engine.updates.waits_for(job.entry(key), job.world.now)
    assert again == wait, "a commit that fails has nothing to do with it"
    job.world.restart()
    restarted_ms = int(job.world.now.wall * 1000)
    job.world.advance(5)
    (wait,) = job.world.engine.updates.waits_for(job.entry(key), job.world.now)
    assert (wait.what, wait.since_ms) == ("MASTER", restarted_ms)
    assert job.wish(Wish.PAUSE) == "ROLL_FORWARD_PAUSED"
    assert job.waits(key) == ["it is paused; resume it to go on"]
    job.wish(Wish.RESUME)
    job.world.subscribe(again=True)
    job.work(2)
    assert "master" not in str(job.waits(key))


def test_what_the_master_refuses_is_rolled_back() -> None:
    """It says LOST of each, and never that anything failed."""
    job = Updated(2)
    key = job.start(count=2)
    for _ in range(600):
        job.world.master.offer_all()
        job.world.deliver()
        for task in list(job.world.tables.tasks.active_of_job(JOB)):
            if task.status is S.ASSIGNED and task.config.priority:
                job.world.say(task, TaskState.ERROR)
        job.world.deliver()
        job.world.advance(1)
        if job.status(key) == "ROLLING_BACK":
            break
    assert job.told(key)[1:] == [("ROLLING_BACK", "Latest failure: instance 0 exited.")]
    job.work(10)
    assert job.status(key) == "ROLLED_BACK" and job.priorities() == {0: 0, 1: 0}


# --- errors of ours --------------------------------------------------------------------------------------------------


def test_a_step_that_raises_ends_its_update_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Updated(1)
    key = job.start(count=1)

    def fail(*given: object) -> None:
        raise RuntimeError("oops")

    monkeypatch.setattr(update_desk, "step", fail)
    job.work(2)
    assert job.told(key)[-1] == ("ERROR", "Internal scheduler error: oops")
    assert job.priorities() == {0: 0}
    assert job.world.engine.stats.update_errors == 1


def test_an_update_that_can_t_be_understood() -> None:
    """Its events speak of an instance that it does not have."""
    job = Updated(1)
    key = job.start(count=1)
    strange = JobInstanceUpdateEvent(instance_id=7, timestamp_ms=1, action=JobUpdateAction.INSTANCE_UPDATING)
    job.world.act(lambda turn: turn.apply(SaveInstanceUpdateEvents(key=key, events=(strange,))))
    job.work(2)
    assert job.told(key)[-1] == (
        "ERROR", "Internal scheduler error: cannot fold an event: instance 7 is not in the update"
    )  # fmt: skip
    found = updates(job.context)
    assert [each.status.value for each in found.updates] == ["ERROR"]
    assert job.world.engine.updates.done(job.entry(key)) == (0, 0)


def test_acts_that_raise_are_taken_back_and_end_their_update(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Updated(1)
    key = job.start(count=1)

    def fail(*given: object) -> None:
        raise RuntimeError("oops")

    monkeypatch.setattr(UpdateActs, "perform", fail)
    with pytest.raises(RuntimeError):
        job.world.advance(0.01)
    # as the loop does
    for effect in job.world.engine.rebuild(job.world.now):
        job.world._perform(effect)
    monkeypatch.undo()
    job.work(3)
    assert job.told(key)[-1] == ("ERROR", "Internal scheduler error: oops")
    assert job.priorities() == {0: 0} and len(job.world.engine.updates) == 0


# --- agents, SLA, old ones -------------------------------------------------------------------------------------------


def test_an_instance_stays_on_its_agent() -> None:
    job = Updated(4, updates=UpdateRules(affinity=True))
    before = {n: job.task(n).assigned_task.slave_id for n in range(4)}
    job.start(count=4, settings=batches(1))
    job.work(40)
    assert job.priorities() == dict.fromkeys(range(4), 1)
    assert {n: job.task(n).assigned_task.slave_id for n in range(4)} == before
    assert len(job.world.engine.reservations) == 0


def test_an_agent_is_kept_only_if_wished() -> None:
    job = Updated(1)
    job.start(count=1)
    job.world.step()
    assert job.task(0).status is S.KILLING and len(job.world.engine.reservations) == 0
    kept = Updated(1, updates=UpdateRules(affinity=True))
    kept.start(count=1)
    kept.world.step()
    instance = InstanceKey(job_key=JOB, instance_id=0)
    assert kept.world.engine.reservations.agent_of(instance) == kept.task(0).assigned_task.slave_id


POLICY = SlaPolicy(count_sla_policy=CountSlaPolicy(count=2, duration_secs=30))
SLA_RULES = Rules(sla_for_all_tiers=True, sla_min_instances=2)


def test_no_more_are_killed_than_the_policy_allows() -> None:
    job = Updated(4, SLA_RULES, updates=UpdateRules(sla_for_all_tiers=True, sla_min_instances=2))
    key = job.start(new(sla_policy=POLICY), 4, batches(4, sla_aware=True))
    job.world.advance(1)
    # of the four, two have to have been running for long
    assert sum(task.status is S.RUNNING for task in job.world.tables.tasks.active_of_job(JOB)) == 2
    assert "instance 3: its SLA policy does not allow it to be stopped yet" in job.waits(key)
    job.work(20)
    assert sorted(job.priorities().values()) == [0, 0, 1, 1]
    job.work(120)
    assert job.status(key) == "ROLLED_FORWARD"
    messages = [event.message for event in job.entry(key).instance_events if event.instance_id == 3]
    assert messages == ["Checking SLA before continuing.", "SLA check passed, continuing.", None]
    stats = job.world.engine.stats
    assert stats.sla_kill_successes == 4 and stats.sla_kill_attempts > 4


def test_small_jobs_have_no_sla() -> None:
    job = Updated(4, SLA_RULES, updates=UpdateRules(sla_for_all_tiers=True, sla_min_instances=20))
    job.start(new(sla_policy=POLICY), 4, batches(4, sla_aware=True))
    job.world.step()
    assert all(task.status is S.KILLING for task in job.world.tables.tasks.active_of_job(JOB))


@pytest.mark.parametrize(("tier", "killed"), [("preferred", 2), ("preemptible", 4)])
def test_only_production_has_an_sla(tier: str, killed: int) -> None:
    job = Updated(4, SLA_RULES, updates=UpdateRules(sla_min_instances=2))
    job.start(new(5, tier=tier, production=tier == "preferred"), 4, batches(4))
    job.work(60)
    job.world.advance(60)
    wanted = new(tier=tier, production=tier == "preferred", sla_policy=POLICY)
    job.start(wanted, 4, batches(4, sla_aware=True))
    job.world.step()
    tasks = job.world.tables.tasks.active_of_job(JOB)
    assert [task.status for task in tasks].count(S.KILLING) == killed


def test_old_updates_are_forgotten() -> None:
    job = Updated(1, updates=UpdateRules(pruning=UpdatePruneRules(keep_per_job=2, interval_s=900)))
    keys = []
    for priority in range(1, 5):
        keys.append(job.start(new(priority), 1))
        job.work(5)
        assert job.world.engine.updates.done(job.entry(keys[-1])) == (1, 1)
    active = job.start(new(9), 1)
    job.wish(Wish.PAUSE)
    job.world.advance(901)
    left = {entry.update.summary.key for entry in job.world.tables.updates.page(JobUpdateQuery())}
    assert left == {active, *keys[2:]}
    assert set(job.world.engine.updates._done) <= left
    assert job.world.engine.stats.updates_pruned == 2


# --- how it costs ----------------------------------------------------------------------------------------------------


def test_a_large_update_rests_between_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many steps as statuses would cost the square of the instances."""
    job, count = Updated(0, agents=20), 150
    key = job.start(count=count, settings=batches(count))
    job.world.step()
    job.world.offer()
    tasks = list(job.world.tables.tasks.active_of_job(JOB))
    assert {task.status for task in tasks} == {S.ASSIGNED}
    steps: list[float] = []

    def counted(*given: Any) -> UpdateDecision:
        steps.append(job.world.mono)
        return step(*given)

    monkeypatch.setattr(update_desk, "step", counted)
    for task in tasks:
        job.world.say(task, TaskState.RUNNING)
        job.world.advance(0.001)
    while_large = [at for at in steps if at < steps[0] + 0.001 * (count - SMALL)]
    assert len(while_large) <= (count - SMALL) * 0.001 / (SMALL * REST_PER_INSTANCE_S) + 1
    job.world.advance(1)
    assert job.status(key) == "ROLLED_FORWARD"


def test_what_is_told() -> None:
    job = Updated(1)
    job.world.told(UpdateChanged)
    key = job.start(count=1)
    job.work(10)
    assert [(e.key, e.event.status.value) for e in job.world.told(UpdateChanged)] == [
        (key, "ROLLING_FORWARD"), (key, "ROLLED_FORWARD")
    ]  # fmt: skip
    told = [event.action.value for e in job.world.told(InstancesUpdated) for event in e.events]
    assert told == ["INSTANCE_UPDATING", "INSTANCE_UPDATED"]


def test_failures_are_not_forgotten_while_they_count() -> None:
    """Of an update that lasts for longer than ended tasks are kept."""
    rules = PruneRules(keep_s=100, most_per_job=10, at_least_s=50)
    job = Updated(1, pruning=rules)
    key = job.start(count=1, settings=batches(max_per_instance_failures=3, min_wait_in_instance_running_ms=10_000))
    job.sick = True

    def failed() -> list[str]:
        tasks = job.world.tables.tasks.of_instance(InstanceKey(job_key=JOB, instance_id=0))
        return [task.id for task in tasks if task.status is S.FAILED]

    for _ in range(100):
        job.work(1)
        if len(failed()) == 2:
            break
    job.sick = False
    early = failed()
    assert len(early) == 2
    assert job.wish(Wish.PAUSE) == "ROLL_FORWARD_PAUSED"
    job.world.advance(2000)
    assert failed() == early
    job.wish(Wish.RESUME)
    job.work(30)
    assert job.status(key) == "ROLLED_FORWARD"
    job.world.advance(2000)
    assert failed() == []
