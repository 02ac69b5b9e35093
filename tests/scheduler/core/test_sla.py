"""SLA policies decided from a job's tasks: spec/scheduler.md §7.2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.model import (
    AssignedTask,
    CoordinatorSlaPolicy,
    CountSlaPolicy,
    PercentageSlaPolicy,
    ScheduledTask,
    SlaPolicy,
    TaskEvent,
)
from scheduler.core.sla import SlaView
from scheduler.core.states import ACTIVE, ScheduleStatus
from tests.scheduler.core.making import config
from thermos.errors import Bug

S = ScheduleStatus
CONFIG = config()
NOW_MS = 10_000_000


def task(instance: int, *history: tuple[ScheduleStatus, int]) -> ScheduledTask:
    """(status, seconds ago)."""
    events = tuple(TaskEvent(timestamp=NOW_MS - ago_s * 1000, status=status) for status, ago_s in history)
    assigned = AssignedTask(task_id=f"t{instance}", task=CONFIG, instance_id=instance)
    return ScheduledTask(assigned_task=assigned, status=history[-1][0], task_events=events)


def view(*ago_s: int | None) -> SlaView:
    """Instances that run since so many seconds; None: one that does not."""
    return SlaView([task(n, (S.PENDING, 999) if s is None else (S.RUNNING, s)) for n, s in enumerate(ago_s)], NOW_MS)


def count(most: int, duration_s: int = 60) -> SlaPolicy:
    return SlaPolicy(count_sla_policy=CountSlaPolicy(count=most, duration_secs=duration_s))


def percentage(share: float, duration_s: int = 60) -> SlaPolicy:
    return SlaPolicy(percentage_sla_policy=PercentageSlaPolicy(percentage=share, duration_secs=duration_s))


@pytest.mark.parametrize(
    ("ago_s", "instance", "policy", "allowed"),
    [
        ((100, 100, 100), 0, count(2), True),
        ((100, 100, 100, 100), 0, count(3), True),
        ((100, 100, 100, None), 0, count(3), False),
        ((100, 100, 100, None), 3, count(3), True),  # what does not run may go
        ((100, 100, 59, 100), 0, count(3), False),
        ((100, 100, 60, 100), 0, count(3), True),
        ((100, 100, 59, 100), 2, count(3), True),
        ((100, 100, 100), 0, count(3), True),  # it would never let any go, so one at a time may
        ((100, 100, None), 0, count(3), False),
        ((100, 100, None), 2, count(3), True),
        ((100,), 0, count(1), True),
        ((100, 100, 100, 100), 0, percentage(75), True),
        ((100, 100, 100, 100), 0, percentage(76), True),  # one at a time
        ((100, 100, 100, None), 0, percentage(75), False),
        ((100, 100, 100, None), 0, percentage(50), True),
        ((100, 100, 59, 100), 0, percentage(75), False),
        ((100, 100, 100, None), 3, percentage(100), True),
    ],
)
def test_policies(ago_s: tuple[int | None, ...], instance: int, policy: SlaPolicy, allowed: bool) -> None:
    assert view(*ago_s).allows(policy, instance) is allowed


@pytest.mark.parametrize("status", sorted(ACTIVE - {S.RUNNING}))
def test_only_what_runs_counts_but_all_that_is_active_is_the_whole(status: ScheduleStatus) -> None:
    tasks = [task(0, (S.RUNNING, 100)), task(1, (S.RUNNING, 100)), task(2, (S.RUNNING, 200), (status, 100))]
    found = SlaView(tasks, NOW_MS)
    assert found.total == 3
    assert not found.allows(count(2), 0) and found.allows(count(1), 0) and found.allows(count(2), 2)


def test_the_latest_time_that_it_began_to_run_counts() -> None:
    again = task(1, (S.RUNNING, 500), (S.PARTITIONED, 100), (S.RUNNING, 30))
    tasks = [task(0, (S.RUNNING, 500)), again, task(2, (S.RUNNING, 500))]
    assert not SlaView(tasks, NOW_MS).allows(count(2), 0)


def test_who_was_taken_away_does_not_count_any_more() -> None:
    found = view(100, 100, 100, 100)
    for instance, allowed in ((0, True), (1, True), (2, False)):
        assert found.allows(count(2), instance) is allowed
        if allowed:
            found.taken(instance)
    found.taken(0)  # twice is once
    assert found.allows(count(2), 0), "it is down already"


def test_a_coordinator_is_not_here() -> None:
    policy = SlaPolicy(coordinator_sla_policy=CoordinatorSlaPolicy(coordinator_url="http://c"))
    with pytest.raises(Bug, match="coordinator"):
        view(100).allows(policy, 0)


@given(st.lists(st.one_of(st.none(), st.integers(0, 100)), min_size=1, max_size=12), st.integers(1, 12), st.data())
def test_as_many_as_a_count_of_hand_would_allow(ago_s: list[int | None], most: int, data: st.DataObject) -> None:
    found, down = view(*ago_s), set[int]()
    for instance in data.draw(st.permutations(range(len(ago_s)))):
        others = [n for n, s in enumerate(ago_s) if n not in down and n != instance and s is not None and s >= 60]
        assert found.allows(count(most), instance) is (len(others) >= min(most, len(ago_s) - 1))
        if len(others) >= min(most, len(ago_s) - 1):
            found.taken(instance)
            down.add(instance)
