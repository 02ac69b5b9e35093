"""When a wait is over, and how it ended."""

from __future__ import annotations

import pytest

from client.aurora.core.instances import Seen
from client.aurora.core.waiting import Goal, Restarted, Verdict, until, until_ended


def known(*seen: tuple[str, str]) -> dict[int, Seen]:
    """(task id, status) of instance 0, 1, …"""
    return {number: Seen(number, task_id, status, 1) for number, (task_id, status) in enumerate(seen)}


@pytest.mark.parametrize(
    ("goal", "status", "over", "bad"),
    [
        (Goal.PENDING, "PENDING", True, False),
        (Goal.RUNNING, "PENDING", False, False),
        (Goal.RUNNING, "STARTING", False, False),
        (Goal.RUNNING, "RUNNING", True, False),
        (Goal.RUNNING, "FINISHED", True, False),
        (Goal.RUNNING, "FAILED", True, True),
        (Goal.RUNNING, "THROTTLED", False, False),
        (Goal.FINISHED, "RUNNING", False, False),
        (Goal.FINISHED, "FINISHED", True, False),
        (Goal.FINISHED, "KILLED", True, True),
        (Goal.FINISHED, "LOST", True, True),
        (Goal.FINISHED, "DELETED", True, True),
        (Goal.FINISHED, "PARTITIONED", False, False),
    ],
)
def test_one_instance(goal: Goal, status: str, over: bool, bad: bool) -> None:
    verdict = until(goal, [0])(known(("a", status)), 0.0)
    assert (verdict.over, bool(verdict.bad)) == (over, bad)


def test_all_of_them_count() -> None:
    judge = until(Goal.RUNNING, [0, 1, 2])
    assert not judge(known(("a", "FAILED"), ("b", "PENDING"), ("c", "RUNNING")), 0.0).over, "one is still under way"
    verdict = judge(known(("a", "FAILED"), ("b", "RUNNING")), 0.0)
    assert verdict.over
    assert set(verdict.bad) == {0, 2}
    assert verdict.bad[2] == "is gone"


def test_a_kill_is_over_when_nothing_is_active() -> None:
    judge = until_ended([0, 1])
    assert not judge(known(("a", "KILLING"), ("b", "KILLED")), 0.0).over
    assert judge(known(("a", "KILLED"), ("b", "DELETED"), ("c", "RUNNING")), 0.0) == Verdict(True)


def test_a_restarted_instance_runs_for_a_while_without_a_break() -> None:
    restarted = Restarted({0: "old"}, 10.0)
    for status in ("RUNNING", "RESTARTING", "KILLED"):
        assert restarted.judge(known(("old", status)), 0.0) == Verdict(False), f"the old one is {status}"
    assert restarted.judge(known(("new", "PENDING")), 1.0) == Verdict(False)
    assert restarted.judge(known(("new", "RUNNING")), 5.0) == Verdict(False, {}, 15.0)
    assert restarted.judge(known(("new", "RUNNING")), 14.9) == Verdict(False, {}, 15.0)
    assert restarted.judge(known(("new", "RUNNING")), 15.0) == Verdict(True)


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (("new", "FAILED"), "ended after it ran for 3 s: FAILED"),
        (("new", "PARTITIONED"), "ran for 3 s, then PARTITIONED"),
        (("newer", "RUNNING"), "ended after it ran for 3 s: RUNNING"),
        (("new", "DELETED"), "is gone"),
    ],
)
def test_one_that_does_not_keep_running_has_failed(then: tuple[str, str], words: str) -> None:
    restarted = Restarted({0: "old"}, 10.0)
    restarted.judge(known(("new", "RUNNING")), 5.0)
    assert restarted.judge(known(then), 8.0) == Verdict(True, {0: words})
    assert restarted.judge(known(("newer", "RUNNING")), 99.0) == Verdict(True, {0: words}), "that stays so"


def test_one_that_never_runs_has_failed() -> None:
    restarted = Restarted({0: "old", 1: "b"}, 10.0)
    assert restarted.judge(known(("new", "STARTING"), ("b", "KILLED")), 1.0) == Verdict(False)
    verdict = restarted.judge(known(("newer", "THROTTLED"), ("c", "RUNNING")), 2.0)
    assert verdict == Verdict(False, {0: "ended: THROTTLED"}, 12.0)
    assert restarted.judge(known(("x", "RUNNING"), ("c", "RUNNING")), 12.0) == Verdict(True, {0: "ended: THROTTLED"})


def test_one_that_ran_and_ended_unseen_has_failed() -> None:
    restarted = Restarted({0: "old"}, 10.0)
    third = Seen(0, "third", "THROTTLED", 1, ancestor="second")
    assert restarted.judge({0: third}, 1.0) == Verdict(True, {0: "ended: THROTTLED"})
    assert not Restarted({0: "old"}, 10.0).judge({0: Seen(0, "second", "PENDING", 1, ancestor="old")}, 1.0).over


def test_no_watching_at_all() -> None:
    assert Restarted({0: "old"}, 0.0).judge(known(("new", "RUNNING")), 3.0) == Verdict(True)
