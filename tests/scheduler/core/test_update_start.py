"""Starting an update: spec/scheduler.md §4.1, and which ones are forgotten: §4.8."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from scheduler.core.model import CountSlaPolicy, JobKey, Metadata, SlaPolicy, TaskConfig
from scheduler.core.update_model import (
    UPDATE_ENDED,
    BatchStrategy,
    InstanceRange,
    JobUpdateEvent,
    JobUpdateKey,
    JobUpdateRequest,
    JobUpdateSettings,
    JobUpdateState,
    JobUpdateStatus,
    JobUpdateSummary,
    QueueStrategy,
    UpdateStrategy,
    VarBatchStrategy,
)
from scheduler.core.update_prune import DAY_MS, UpdatePruneRules, prunable_updates
from scheduler.core.update_start import (
    InProgress,
    JobNow,
    Refused,
    Start,
    Started,
    Unchanged,
    check_start,
    decide_start,
)
from scheduler.core.validation import Rules
from tests.scheduler.core.making import JOB
from tests.scheduler.core.update_world import NEW, OLD

U = JobUpdateStatus
RULES = Rules()


def request(config: TaskConfig = NEW, count: int = 3, client_id: str = "", **settings: Any) -> JobUpdateRequest:
    metadata = (Metadata(key="org.apache.aurora.client.update_id", value=client_id),) if client_id else ()
    return JobUpdateRequest(
        task_config=config, instance_count=count, settings=JobUpdateSettings(**settings), metadata=metadata
    )


def job(size: int = 3, **more: Any) -> JobNow:
    return JobNow(dict.fromkeys(range(size), OLD), **more)


def start(asked: JobUpdateRequest, now: JobNow) -> Start:
    return decide_start(asked, now, RULES, update_id="u1", user="ann", message="go", now_ms=77)


def problems(asked: JobUpdateRequest, now: JobNow | None = None) -> list[tuple[str, str]]:
    return [(each.field, each.text) for each in check_start(asked, now or job(), RULES)]


def fields(asked: JobUpdateRequest, now: JobNow | None = None) -> list[str]:
    return [field for field, _ in problems(asked, now)]


def test_it_starts() -> None:
    found = start(request(count=4, client_id="c1", update_group_size=2), job())
    assert isinstance(found, Started)
    update = found.update
    assert update.summary.key == JobUpdateKey(job=JOB, id="u1")
    assert update.summary.user == "ann"
    assert update.summary.metadata[0].value == "c1"
    assert update.instructions.settings.update_strategy == UpdateStrategy(queue_strategy=QueueStrategy(group_size=2))
    assert update.instructions.desired_state is not None
    assert update.instructions.desired_state.instances == (InstanceRange(first=0, last=3),)
    assert found.event == JobUpdateEvent(status=U.ROLLING_FORWARD, timestamp_ms=77, user="ann", message="go")
    assert update.summary.state == JobUpdateState(
        status=U.ROLLING_FORWARD, created_timestamp_ms=77, last_modified_timestamp_ms=77
    )


def test_it_may_create_the_job() -> None:
    found = start(request(), job(0))
    assert isinstance(found, Started)
    assert found.update.instructions.initial_state == ()


def test_a_coordinated_one_waits_for_its_first_pulse() -> None:
    found = start(request(block_if_no_pulses_after_ms=60_000), job())
    assert isinstance(found, Started)
    assert found.event.status is found.update.summary.state.status is U.ROLL_FORWARD_AWAITING_PULSE


def test_what_changes_nothing_is_none() -> None:
    found = start(request(OLD), job())
    assert found == Unchanged("Job is unchanged by proposed update.")
    only = (InstanceRange(first=1, last=1),)
    mixed = JobNow({0: OLD, 1: NEW, 2: OLD})
    assert start(request(update_only_these_instances=only), mixed) == Unchanged()


def active(client_id: str = "") -> JobUpdateSummary:
    metadata = (Metadata(key="org.apache.aurora.client.update_id", value=client_id),) if client_id else ()
    return JobUpdateSummary(key=JobUpdateKey(job=JOB, id="u0"), user="bob", metadata=metadata)


def test_a_second_one_learns_of_the_first() -> None:
    assert start(request(), job(active_update=active())) == InProgress(active(), False)
    assert InProgress(active(), False).message == (
        "www/prod/web is being updated already: u0, by bob; wait for it or abort it"
    )
    assert start(request(client_id="c2"), job(active_update=active("c1"))) == InProgress(active("c1"), False)


def test_who_would_change_nothing_is_told_so_even_then() -> None:
    assert start(request(OLD), job(active_update=active())) == Unchanged()


def test_the_same_start_again_is_a_success() -> None:
    summary = active("c1")
    assert start(request(client_id="c1"), job(active_update=summary)) == InProgress(summary, True)
    nearly_done = JobNow(dict.fromkeys(range(3), NEW), active_update=summary)
    assert start(request(client_id="c1"), nearly_done) == InProgress(summary, True)


# -- checks


def test_a_good_request_has_no_problems() -> None:
    assert problems(request()) == []


def test_all_problems_in_their_order() -> None:
    bad = request(
        structs.replace(NEW, is_service=False, resources=()),
        update_strategy=UpdateStrategy(var_batch_strategy=VarBatchStrategy(group_sizes=(1, 0))),
        max_per_instance_failures=-1,
        max_failed_instances=-1,
        min_wait_in_instance_running_ms=-1,
        block_if_no_pulses_after_ms=-1,
        progress_deadline_ms=-1,
        sla_aware=True,
        update_only_these_instances=(InstanceRange(first=2, last=3),),
    )
    found = start(bad, job(is_cron=True))
    assert isinstance(found, Refused)
    assert [each.field for each in found.problems] == [
        "taskConfig.isService",
        "settings.updateStrategy",
        "settings.maxPerInstanceFailures",
        "settings.maxFailedInstances",
        "settings.minWaitInInstanceRunningMs",
        "settings.blockIfNoPulsesAfterMs",
        "settings.progressDeadlineMs",
        "settings.slaAware",
        "resources",
        "resources",
        "resources",
        "taskConfig.job",
        "settings.updateOnlyTheseInstances",
    ]
    assert found.problems[0].text == "Updates are not supported for non-service tasks."
    assert found.problems[1].text == "All update group sizes must be positive."


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        (UpdateStrategy(queue_strategy=QueueStrategy(group_size=0)), "All update group sizes must be positive."),
        (UpdateStrategy(batch_strategy=BatchStrategy(group_size=-1)), "All update group sizes must be positive."),
        (UpdateStrategy(var_batch_strategy=VarBatchStrategy()), "Update results in no instance being modified."),
        (
            UpdateStrategy(queue_strategy=QueueStrategy(), batch_strategy=BatchStrategy()),
            "it has to be one of queue, batch and varBatch",
        ),
    ],
)
def test_strategies_that_can_not_be(strategy: UpdateStrategy, text: str) -> None:
    assert problems(request(update_strategy=strategy)) == [("settings.updateStrategy", text)]


def test_the_old_size_counts_too() -> None:
    assert fields(request(update_group_size=0)) == ["settings.updateStrategy"]


def test_how_many_failures_may_be_let_pass() -> None:
    assert problems(request(count=4, max_per_instance_failures=5000), job(4)) == []
    assert problems(request(count=4, max_per_instance_failures=5001), job(4)) == [
        (
            "settings.maxPerInstanceFailures",
            "5001 failures of each of 4 instances are too many; 20000 in all is the most",
        )
    ]
    huge = request(count=1000, max_per_instance_failures=2**31 // 1000 + 1)
    assert "settings.maxPerInstanceFailures" in fields(huge), "no overflow"


def test_an_sla_aware_update_needs_a_policy() -> None:
    assert fields(request(sla_aware=True)) == ["settings.slaAware"]
    policy = SlaPolicy(count_sla_policy=CountSlaPolicy(count=20, duration_secs=60))
    config = structs.replace(NEW, sla_policy=policy, tier="preferred")
    assert fields(request(config, count=25, sla_aware=True), job(25)) == []


@pytest.mark.parametrize(
    ("first", "last", "good"),
    [(0, 2, True), (3, 4, True), (0, 4, True), (7, 8, True), (4, 5, False), (7, 9, False), (9, 9, False),
     (0, 2**40, False), (-1, 0, False), (2, 1, False)],
)  # fmt: skip
def test_only_instances_that_are_there_or_will_be(first: int, last: int, good: bool) -> None:
    now = JobNow(dict.fromkeys((0, 1, 2, 7, 8), OLD))
    asked = request(count=5, update_only_these_instances=(InstanceRange(first=first, last=last),))
    assert fields(asked, now) == ([] if good else ["settings.updateOnlyTheseInstances"])
    if not good and 0 <= first <= last:
        (problem,) = check_start(asked, now, RULES)
        which = f"no instance {first}" if first == last else f"not every instance of {first}-{last}"
        assert problem.text == f"there is {which}, neither now nor after the update"


# -- pruning


def summary(update_id: str, status: JobUpdateStatus, at: int, key: JobKey = JOB) -> JobUpdateSummary:
    state = JobUpdateState(status=status, created_timestamp_ms=0, last_modified_timestamp_ms=at)
    return JobUpdateSummary(key=JobUpdateKey(job=key, id=update_id), user="ann", state=state)


def test_the_latest_of_each_job_are_kept() -> None:
    other = structs.replace(JOB, name="other")
    all_of_them = [summary(f"u{at}", U.ROLLED_FORWARD, at) for at in range(5)]
    all_of_them += [summary("going", U.ROLL_FORWARD_PAUSED, 0), summary("lone", U.FAILED, 1, other)]
    gone = prunable_updates(all_of_them, lambda job: True, UpdatePruneRules(keep_per_job=3), 10)
    assert [key.id for key in gone] == ["u1", "u0"]


def test_what_is_old_goes_and_what_has_no_tasks() -> None:
    old, fresh = summary("old", U.ABORTED, 1), summary("fresh", U.ABORTED, 2)
    now = 1 + 30 * DAY_MS + 1
    assert [key.id for key in prunable_updates([old, fresh], lambda job: True, UpdatePruneRules(), now)] == ["old"]
    assert len(prunable_updates([old, fresh], lambda job: False, UpdatePruneRules(), 2)) == 2


@given(
    st.lists(st.tuples(st.sampled_from(list(U)), st.integers(0, 100)), max_size=30),
    st.integers(0, 5), st.integers(0, 100), st.integers(0, 200), st.booleans(),
)  # fmt: skip
def test_active_ones_stay_and_no_more_than_allowed_of_the_others(
    made: list[tuple[JobUpdateStatus, int]], most: int, age: int, now: int, has_tasks: bool
) -> None:
    all_of_them = [summary(f"{number:02}", status, at) for number, (status, at) in enumerate(made)]
    gone = set(prunable_updates(all_of_them, lambda job: has_tasks, UpdatePruneRules(most, age), now))
    kept = [each for each in all_of_them if each.key not in gone]
    ended = [each for each in kept if each.state.status in UPDATE_ENDED]
    assert sum(each.state.status not in UPDATE_ENDED for each in kept) == sum(
        status not in UPDATE_ENDED for status, _ in made
    )
    assert len(ended) <= (most if has_tasks else 0)
    assert all(now - each.state.last_modified_timestamp_ms <= age for each in ended)
    if has_tasks and len(ended) < most:
        young = [each for each in all_of_them if now - each.state.last_modified_timestamp_ms <= age]
        assert all(each in kept for each in young)
