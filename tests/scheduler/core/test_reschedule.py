"""What replaces a task, and the penalty of jobs that flap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.backoff import Backoff
from scheduler.core.model import AssignedTask, JobKey, ScheduledTask, TaskConfig, TaskEvent
from scheduler.core.reschedule import EXCUSES, FlappingRules, count_failure, has_flapped, penalty_ms, replacement
from scheduler.core.states import ScheduleStatus

S = ScheduleStatus
CONFIG = TaskConfig(job=JobKey(role="www", environment="prod", name="web"))
RULES = FlappingRules()
MINUTE = 60_000


def task(
    *events: tuple[int, ScheduleStatus], id_: str = "t", ancestor: str | None = None, failures: int = 0
) -> ScheduledTask:
    return ScheduledTask(
        assigned_task=AssignedTask(task_id=id_, task=CONFIG, instance_id=4, slave_host="h", assigned_ports={"http": 1}),
        status=events[-1][1],
        task_events=tuple(TaskEvent(timestamp=at, status=status) for at, status in events),
        ancestor_id=ancestor,
        failure_count=failures,
    )


QUICK = ((0, S.PENDING), (1, S.ASSIGNED), (2, S.RUNNING), (3, S.FAILED))


@pytest.mark.parametrize(
    ("events", "flapped"),
    [
        (QUICK, True),
        (((0, S.PENDING), (2, S.RUNNING), (5 * MINUTE + 1, S.FINISHED)), True),
        (((0, S.PENDING), (2, S.RUNNING), (5 * MINUTE + 2, S.FINISHED)), False),
        (((0, S.PENDING), (2, S.RUNNING)), False),
        *((((0, S.PENDING), (2, S.RUNNING), (3, excuse), (4, S.KILLED)), False) for excuse in sorted(EXCUSES)),
    ],
)
def test_who_flaps(events: tuple[tuple[int, ScheduleStatus], ...], flapped: bool) -> None:
    assert has_flapped(task(*events), RULES) is flapped


def penalty(*chain: ScheduledTask) -> int:
    known = {t.id: t for t in chain}
    return penalty_ms(chain[0], known.get, RULES, lambda: 0.5)


def test_the_penalty_grows_along_the_chain() -> None:
    chain = [task(*QUICK, id_=f"t{i}", ancestor=f"t{i + 1}") for i in range(10)]
    assert [penalty(*chain[:n]) for n in (1, 2, 3)] == [45_000, 67_500, 101_250]
    assert penalty(*chain) == 5 * MINUTE


def test_the_chain_ends_with_the_first_that_did_not_flap() -> None:
    healthy = task((0, S.RUNNING), (60 * MINUTE, S.FAILED), id_="t1", ancestor="t2")
    assert penalty(task(*QUICK, id_="t0", ancestor="t1"), healthy, task(*QUICK, id_="t2")) == 45_000
    assert penalty(healthy) == 0


REFUSED = ((0, S.PENDING), (1, S.ASSIGNED), (2, S.LOST))


def test_what_is_refused_again_and_again_waits_but_one_loss_is_nobodys_fault() -> None:
    first, second, third = (task(*REFUSED, id_=f"t{i}", ancestor=f"t{i + 1}") for i in (2, 1, 0))
    assert penalty(first) == 0
    assert penalty(second, first) == 45_000
    assert penalty(third, second, first) == 67_500


@pytest.mark.parametrize(
    "events",
    [
        ((0, S.PENDING), (1, S.ASSIGNED), (2, S.RUNNING), (3, S.LOST)),
        ((0, S.PENDING), (1, S.ASSIGNED), (2, S.DRAINING), (3, S.LOST)),
        ((0, S.PENDING), (1, S.ASSIGNED), (5 * MINUTE + 1, S.LOST)),
    ],
)
def test_a_loss_of_another_kind_is_no_refusal(events: tuple[tuple[int, ScheduleStatus], ...]) -> None:
    assert penalty(task(*events, id_="t0", ancestor="t1"), task(*REFUSED, id_="t1")) == 0


def test_the_replacement_is_the_same_instance_with_a_new_id() -> None:
    old = task(*QUICK, failures=2)
    new = replacement(old, "u", 0, 99, "me")
    assert new.id == "www-prod-web-4-u" and new.ancestor_id == "t" and new.instance == old.instance
    assert (new.status, new.failure_count, new.assigned_task.slave_host, new.assigned_task.assigned_ports) == (
        S.PENDING,
        2,
        "",
        {},
    )
    (event,) = new.task_events
    assert (event.timestamp, event.message, event.scheduler) == (99, "Rescheduled", "me")
    late = replacement(old, "u", 30_000, 99)
    assert late.status is S.THROTTLED
    assert late.task_events[0].message == "Rescheduled, penalized for 30000 ms for flapping"
    assert count_failure(old).failure_count == 3


@given(st.floats(0.001, 1e6), st.floats(1, 1e7), st.lists(st.floats(0, 0.999), max_size=50))
def test_a_back_off_never_shrinks_and_has_an_end(initial: float, maximum: float, chances: list[float]) -> None:
    backoff, last = Backoff(initial, maximum), 0.0
    for chance in chances:
        pause = backoff.next(last, chance)
        assert min(last, maximum) <= pause <= maximum
        last = pause
