"""Which finished tasks may go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from thermos.core.gc import DAY, Finished, Policy, choose_removals

NOW = 1000 * DAY


def task(name: str, days: float, size: int = 10) -> Finished:
    return Finished(name, "/root", NOW - days * DAY, size)


OLD, MIDDLE, NEW = task("old", 30), task("middle", 10), task("new", 1)


def names(policy: Policy, *tasks: Finished) -> list[str]:
    return [removal.task.task_id for removal in choose_removals(tasks, policy, NOW)]


def test_no_rule_removes_nothing() -> None:
    assert names(Policy(), OLD, MIDDLE, NEW) == []


def test_by_age() -> None:
    assert names(Policy(keep_days=10), NEW, OLD, MIDDLE) == ["old"], "exactly so old stays"
    assert names(Policy(keep_days=0), NEW, OLD, MIDDLE) == ["old", "middle", "new"]


def test_by_number() -> None:
    assert names(Policy(keep_last=1), OLD, NEW, MIDDLE) == ["old", "middle"]
    assert names(Policy(keep_last=0), NEW) == ["new"]


def test_by_size_the_oldest_go_first() -> None:
    assert names(Policy(max_size=20), OLD, MIDDLE, NEW) == ["old"]
    big = task("big", 20, size=1000)
    assert names(Policy(max_size=100), OLD, MIDDLE, NEW, big) == ["old", "big"], "nothing older than what does not fit"


def test_any_rule_is_enough_and_the_reason_is_told() -> None:
    found = choose_removals([OLD, MIDDLE, NEW], Policy(keep_days=20, keep_last=1), NOW)
    assert [(r.task.task_id, r.reason) for r in found] == [
        ("old", "older than 20 days"), ("middle", "not among the last 1"),
    ]  # fmt: skip
    assert [r.reason for r in choose_removals([NEW], Policy(max_size=5), NOW)] == ["too much space is taken"]


def test_a_task_of_the_future_counts_as_new() -> None:
    assert names(Policy(keep_days=1), task("future", -5)) == []


def test_equal_moments_have_an_order() -> None:
    same = [task(name, 5) for name in "abc"]
    assert names(Policy(keep_last=1), *same) == names(Policy(keep_last=1), *reversed(same))


TASKS = st.lists(
    st.builds(Finished, st.text("abc", min_size=1), st.just("/r"), st.floats(0, NOW), st.integers(0, 1000)), max_size=12
)


@given(TASKS, st.integers(0, 3000), st.integers(0, 8))
def test_what_stays_obeys_all_rules_and_is_the_newest(tasks: list[Finished], max_size: int, keep_last: int) -> None:
    policy = Policy(keep_last=keep_last, max_size=max_size)
    gone = [removal.task for removal in choose_removals(tasks, policy, NOW)]
    kept = list(tasks)
    for each in gone:
        kept.remove(each)
    assert len(kept) <= keep_last
    assert sum(each.size for each in kept) <= max_size
    assert max([each.ended_at for each in gone], default=0.0) <= min([each.ended_at for each in kept], default=NOW)
