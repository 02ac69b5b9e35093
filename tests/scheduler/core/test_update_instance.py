"""One instance of an update: spec/scheduler.md §4.4 row by row, for every status that its task may have."""

from __future__ import annotations

import pytest
from msgspec import structs

from scheduler.core.model import AssignedTask, Resource, ScheduledTask, TaskConfig, TaskEvent
from scheduler.core.states import ACTIVE, AGENT_ASSIGNED, TERMINAL, ScheduleStatus
from scheduler.core.timeouts import TIMED_OUT
from scheduler.core.update_instance import (
    MOST_ASTRAY,
    MOST_WORDS,
    InstanceRules,
    Next,
    agent_to_keep,
    failures,
    has_target,
    judge,
    last_words,
)
from scheduler.core.update_watch import WaitKind
from tests.scheduler.core.making import limit, value
from tests.scheduler.core.update_world import NEW, OLD

S = ScheduleStatus
RULES = InstanceRules(max_failures=0, watch_ms=1000)
BEGUN = 5000


def task(
    config: TaskConfig, *history: ScheduleStatus, at: int = 10_000, task_id: str = "t", agent: str = "a1"
) -> ScheduledTask:
    events = tuple(TaskEvent(timestamp=at, status=status) for status in history)
    assigned = AssignedTask(task_id=task_id, task=config, instance_id=3, slave_id=agent)
    return ScheduledTask(assigned_task=assigned, status=history[-1], task_events=events)


WAITS = {
    S.PENDING: WaitKind.PLACEMENT,
    S.THROTTLED: WaitKind.THROTTLE,
    S.ASSIGNED: WaitKind.START,
    S.STARTING: WaitKind.START,
    S.PARTITIONED: WaitKind.RETURN,
    S.KILLING: WaitKind.STOP,
    S.RESTARTING: WaitKind.STOP,
    S.PREEMPTING: WaitKind.STOP,
    S.DRAINING: WaitKind.STOP,
}


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_an_active_task_with_the_targets_configuration(status: ScheduleStatus) -> None:
    found = judge(NEW, [task(NEW, status)], BEGUN, RULES, 10_999)
    assert found.next is Next.WAIT
    assert found.wait is not None
    assert found.wait.since_ms == 10_000
    if status is S.RUNNING:
        assert (found.wait.kind, found.wait.until_ms) == (WaitKind.WATCH, 11_000)
        assert judge(NEW, [task(NEW, status)], BEGUN, RULES, 11_000).next is Next.DONE
    else:
        assert (found.wait.kind, found.wait.until_ms) == (WAITS[status], None)
        assert judge(NEW, [task(NEW, status)], BEGUN, RULES, 10**9).next is Next.WAIT


@pytest.mark.parametrize("target", [NEW, None], ids=["replaced", "removed"])
@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_an_active_task_that_has_to_go(status: ScheduleStatus, target: TaskConfig | None) -> None:
    found = judge(target, [task(OLD, status)], BEGUN, RULES, 10**9)
    assert found.next is (Next.WAIT if status is S.KILLING else Next.KILL)
    assert found.wait is not None
    assert found.wait.kind is WaitKind.STOP
    assert found.task is not None


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_no_active_task(status: ScheduleStatus) -> None:
    killed = [task(OLD, S.RUNNING, S.KILLING, status)]
    assert judge(NEW, killed, BEGUN, RULES, 10**9).next is Next.ADD
    assert judge(None, killed, BEGUN, RULES, 10**9).next is Next.DONE
    assert judge(NEW, [], BEGUN, RULES, 10**9).next is Next.ADD
    assert judge(None, [], BEGUN, RULES, 10**9).next is Next.DONE
    assert judge(NEW, [task(NEW, S.RUNNING, S.KILLING, status)], BEGUN, RULES, 10**9).next is Next.ADD


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_task_of_the_target_that_ended_is_a_failure(status: ScheduleStatus) -> None:
    tasks = [task(NEW, S.RUNNING, status, task_id="t1"), task(NEW, S.PENDING, task_id="t2")]
    assert failures(NEW, tasks, BEGUN) == 1
    assert judge(NEW, tasks, BEGUN, RULES, 10_000).next is Next.FAILED
    assert judge(NEW, tasks, BEGUN, InstanceRules(1, 1000), 10_000).next is Next.WAIT
    assert judge(NEW, tasks, None, RULES, 10_000).next is Next.WAIT, "its turn has not come yet"


def test_what_is_no_failure() -> None:
    no_service = structs.replace(NEW, is_service=False)
    assert failures(NEW, [task(NEW, S.RUNNING, S.FAILED, at=BEGUN - 1)], BEGUN) == 0, "before its turn"
    assert failures(NEW, [task(OLD, S.RUNNING, S.FAILED)], BEGUN) == 0, "another configuration"
    assert failures(NEW, [task(NEW, S.RUNNING)], BEGUN) == 0
    for ending in (S.KILLING, S.DRAINING, S.RESTARTING, S.PREEMPTING):
        assert failures(NEW, [task(NEW, S.RUNNING, ending, S.KILLED)], BEGUN) == 0, "somebody wanted its end"
    assert failures(no_service, [task(no_service, S.RUNNING, S.FINISHED)], BEGUN) == 0, "it did its work"
    assert failures(no_service, [task(no_service, S.RUNNING, S.FAILED)], BEGUN) == 1


def test_what_the_last_failure_said() -> None:
    def ended(at: int, said: str) -> ScheduledTask:
        failed = task(NEW, S.RUNNING, S.FAILED, at=at, task_id=f"t{at}")
        last = structs.replace(failed.task_events[-1], message=said)
        return structs.replace(failed, task_events=(failed.task_events[0], last))

    assert last_words(NEW, [ended(7000, "late\n  one"), ended(6000, "early"), task(OLD, S.RUNNING, S.LOST)], BEGUN) == (
        "FAILED: late one"
    )
    assert last_words(NEW, [ended(7000, "")], BEGUN) == "FAILED"
    assert last_words(NEW, [ended(BEGUN - 1, "before"), task(NEW, S.RUNNING)], BEGUN) is None
    assert last_words(NEW, [ended(7000, "x" * 9000)], BEGUN) == "FAILED: " + "x" * MOST_WORDS


def test_a_launch_that_went_astray_is_no_failure() -> None:
    """As when the scheduler was killed between its decision and the call."""
    astray = task(NEW, S.PENDING, S.ASSIGNED, S.LOST)
    assert failures(NEW, [astray], BEGUN) == 0
    assert judge(NEW, [astray, task(NEW, S.PENDING, task_id="t2")], BEGUN, RULES, 10_000).next is Next.WAIT
    timed_out = structs.replace(astray.task_events[-1], message=TIMED_OUT)
    silent = structs.replace(astray, task_events=(*astray.task_events[:-1], timed_out))
    assert failures(NEW, [silent], BEGUN) == 1, "its executor had its time"
    assert failures(NEW, [task(NEW, S.PENDING, S.ASSIGNED, S.STARTING, S.LOST)], BEGUN) == 1
    assert failures(NEW, [task(NEW, S.PENDING, S.ASSIGNED, S.FAILED)], BEGUN) == 1


def test_launches_that_go_astray_again_and_again_are_failures() -> None:
    """What the master refuses it refuses for ever."""
    refused = [task(NEW, S.PENDING, S.ASSIGNED, S.LOST, at=7000 + n, task_id=f"t{n}") for n in range(MOST_ASTRAY + 2)]
    assert [failures(NEW, refused[:n], BEGUN) for n in range(MOST_ASTRAY + 3)] == [0] * (MOST_ASTRAY + 1) + [1, 2]
    failed = task(NEW, S.RUNNING, S.FAILED, task_id="f")
    assert failures(NEW, [*refused[:MOST_ASTRAY], failed], BEGUN) == 1, "those that did not go astray count at once"
    said = structs.replace(refused[-1].task_events[-1], message="no such image")
    last = structs.replace(refused[-1], task_events=(*refused[-1].task_events[:-1], said))
    assert last_words(NEW, [*refused[:-1], last], BEGUN) == "LOST: no such image"


def test_a_failure_counts_even_if_the_next_task_runs() -> None:
    tasks = [task(NEW, S.RUNNING, S.FAILED, task_id="t1"), task(NEW, S.RUNNING, task_id="t2")]
    assert judge(NEW, tasks, BEGUN, RULES, 10**9).next is Next.FAILED


def test_whether_it_is_as_it_should_be_well_or_not() -> None:
    assert has_target(NEW, [task(OLD, S.RUNNING, S.KILLED), task(NEW, S.PENDING)])
    assert not has_target(NEW, [task(NEW, S.RUNNING, S.KILLED)])
    assert not has_target(NEW, [task(OLD, S.RUNNING)])
    assert not has_target(NEW, [task(NEW, S.RUNNING, S.KILLING)]), "not for long"
    assert has_target(None, [task(NEW, S.FAILED)])
    assert not has_target(None, [task(NEW, S.PENDING)])


# -- affinity


@pytest.mark.parametrize("status", sorted(ACTIVE))
def test_only_a_task_on_an_agent_has_one_to_keep(status: ScheduleStatus) -> None:
    assert agent_to_keep(task(OLD, status), NEW) == ("a1" if status in AGENT_ASSIGNED else None)
    assert agent_to_keep(task(OLD, status), None) is None, "nothing follows it"


def test_more_of_anything_has_to_look_for_another_place() -> None:
    for more in (
        Resource(num_cpus=1.5), Resource(ram_mb=129), Resource(disk_mb=65), Resource(named_port="http"),
        Resource(num_gpus=1),
    ):  # fmt: skip
        bigger = structs.replace(OLD, resources=(*OLD.resources, more))
        assert agent_to_keep(task(OLD, S.RUNNING), bigger) is None
        assert agent_to_keep(task(bigger, S.RUNNING), OLD) == "a1"


def test_other_constraints_have_to_look_for_another_place() -> None:
    one, other = limit("host", 1), value("rack", "a", "b")
    both = structs.replace(OLD, constraints=(one, other))
    assert agent_to_keep(task(both, S.RUNNING), structs.replace(both, constraints=(other, one))) == "a1"
    assert agent_to_keep(task(both, S.RUNNING), structs.replace(both, constraints=(one,))) is None
    assert agent_to_keep(task(OLD, S.RUNNING), both) is None
