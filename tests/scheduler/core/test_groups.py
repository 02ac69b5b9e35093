"""Groups of pending tasks: who is due, who waits how long, in which order, and that no task is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from scheduler.core.backoff import Backoff
from scheduler.core.groups import GroupRules, TaskGroups, group_key
from scheduler.core.model import TaskConfig
from tests.scheduler.core.making import chances, config, pending

SLOW = GroupRules(first_delay_s=1.0, penalty=Backoff(2.0, 10.0), tasks_per_attempt=2)
A, B = config(), config(cpus=2.0)


def groups_of(*counts: tuple[TaskConfig, int], rules: GroupRules = SLOW) -> TaskGroups:
    groups = TaskGroups(rules)
    for number, (wanted, count) in enumerate(counts):
        for instance in range(count):
            groups.add(pending(100 * number + instance), wanted, 0.0)
    return groups


def names(groups: TaskGroups, now: float) -> list[list[str]]:
    return [[task.task_id for task in attempt.tasks] for attempt in groups.begin(now)]


def test_the_key_is_the_configuration() -> None:
    again = TaskConfig(**{name: getattr(A, name) for name in A.__struct_fields__})
    assert group_key(A) == group_key(again) != group_key(B)
    links = structs.replace(A, task_links={"a": "1", "b": "2"})
    assert group_key(links) == group_key(structs.replace(A, task_links={"b": "2", "a": "1"}))


def test_a_group_is_due_after_its_first_delay_and_tried_from_its_front() -> None:
    groups = groups_of((A, 3))
    assert groups.next_wake() == 1.0 and groups.begin(0.9) == []
    assert names(groups, 1.0) == [["web-0", "web-1"]]
    assert groups.begin(50.0) == [] and groups.next_wake() is None  # being tried


def test_a_group_after_a_start_waits_as_it_is_told() -> None:
    groups = TaskGroups(SLOW)
    groups.add(pending(0), A, 0.0, delay_s=20.0)
    groups.add(pending(1), A, 0.0)
    assert groups.next_wake() == 20.0


def test_success_is_followed_by_the_rest_failure_by_a_longer_and_longer_pause() -> None:
    groups = groups_of((A, 3))
    (attempt,) = groups.begin(1.0)
    assert groups.settle(attempt, [], 1.0, chances(0.5)) is None
    assert (groups.next_wake(), groups.pause_of(attempt.group)) == (4.0, 3.0)
    (attempt,) = groups.begin(4.0)
    groups.settle(attempt, [], 4.0, chances(1.0))
    assert groups.next_wake() == 10.0
    (attempt,) = groups.begin(10.0)
    groups.settle(attempt, [], 10.0, chances(1.0))
    assert groups.next_wake() == 20.0  # no longer than that
    (attempt,) = groups.begin(20.0)
    groups.settle(attempt, ["web-0"], 20.0, chances(1.0))
    assert (groups.next_wake(), groups.pause_of(attempt.group)) == (21.0, 0.0)
    (attempt,) = groups.begin(21.0)
    assert groups.settle(attempt, ["web-1", "web-2"], 21.0, chances()) == attempt.group
    assert len(groups) == groups.tasks == 0 and groups.next_wake() is None


def test_who_is_due_longest_comes_first_and_only_so_many_at_once() -> None:
    groups = TaskGroups(GroupRules(first_delay_s=1.0, most_at_once=2))
    for number in range(5):
        groups.add(pending(number), config(cpus=number + 1.0), 10.0 - number)
    assert names(groups, 100.0) == [["web-4"], ["web-3"]]
    assert names(groups, 100.0) == [["web-2"], ["web-1"]]


def test_tasks_that_are_no_longer_pending_are_dropped_and_empty_groups_with_them() -> None:
    groups = groups_of((A, 2), (B, 1))
    assert groups.remove("web-0") is None
    assert groups.remove("web-100") == group_key(B)
    assert groups.remove("unknown") is None and groups.group_of("web-100") is None
    assert names(groups, 1.0) == [["web-1"]]


def test_a_group_that_goes_and_comes_back_while_it_is_tried_is_queued_once() -> None:
    groups = groups_of((A, 1))
    (attempt,) = groups.begin(1.0)
    groups.remove("web-0")
    assert groups.settle(attempt, [], 1.0, chances()) == attempt.group
    groups.add(pending(5), A, 2.0)
    assert groups.settle(attempt, [], 2.0, chances()) is None
    assert names(groups, 3.0) == [["web-5"]]


def test_attempts_can_be_limited() -> None:
    groups = TaskGroups(GroupRules(first_delay_s=0.0, attempts_per_s=2.0, most_at_once=10))
    for number in range(5):
        groups.add(pending(number), config(cpus=number + 1.0), 0.0)
    assert len(groups.begin(10.0)) == 2
    assert groups.next_wake() == 10.5 and groups.begin(10.4) == []
    assert len(groups.begin(10.5)) == 1
    assert len(groups.begin(60.0)) == 2  # what was not used is not saved for long


def test_new_offers_end_pauses_but_no_other_delays() -> None:
    groups = groups_of((A, 1), (B, 1))
    for attempt in groups.begin(1.0):
        groups.settle(attempt, [], 1.0, chances(0.0))
    groups.add(pending(7), config(cpus=7.0), 1.5, delay_s=20.0)
    assert groups.next_wake() == 3.0
    assert groups.hasten(2.0, 1) == 1
    assert names(groups, 2.0) == [["web-0"]]
    assert groups.hasten(2.0, 9) == 1 and groups.hasten(2.0, 9) == 0
    (attempt,) = groups.begin(2.0)
    groups.settle(attempt, [], 2.0, chances(0.5))
    assert groups.pause_of(attempt.group) == 3.0  # from 2, as if it had waited
    assert groups.next_wake() == 5.0 and names(groups, 21.5) == [["web-100"], ["web-7"]]


def test_by_default_a_small_cluster_is_not_throttled() -> None:
    groups = groups_of((A, 100), rules=GroupRules())
    now, rounds = 0.0, 0
    while groups.tasks:
        now, rounds = groups.next_wake() or now, rounds + 1
        for attempt in groups.begin(now):
            groups.settle(attempt, [task.task_id for task in attempt.tasks], now, chances())
    assert now < 0.1 and rounds < 10


_MOVES = st.lists(st.tuples(st.sampled_from("arbs"), st.integers(0, 9), st.floats(0, 5)), max_size=60)


@given(_MOVES)
def test_no_task_is_forgotten_and_none_is_tried_twice_at_once(moves: list[tuple[str, int, float]]) -> None:
    groups = TaskGroups(SLOW)
    there: dict[str, TaskConfig] = {}
    now, tried = 0.0, []
    for what, number, later in moves:
        now += later
        name = f"web-{number}"
        if what == "a" and name not in there:
            there[name] = config(cpus=1.0 + number % 3)
            groups.add(pending(number), there[name], now)
        elif what == "r":
            groups.remove(name)
            there.pop(name, None)
        elif what == "b":
            tried += groups.begin(now)
        elif what == "s" and tried:
            attempt = tried.pop(0)
            done = [t.task_id for t in attempt.tasks if number % 2 and t.task_id in there]
            groups.settle(attempt, done, now, chances(0.3))
            for each in done:
                del there[each]
        assert groups.tasks == len(there)
    for attempt in tried:
        groups.settle(attempt, [], now, chances(0.3))
    seen: set[str] = set()
    for _ in range(100):
        wake = groups.next_wake()
        if wake is None:
            break
        now = max(now, wake)
        for attempt in groups.begin(now):
            ids = [t.task_id for t in attempt.tasks]
            assert all(there[each] == attempt.config for each in ids) and not seen.intersection(ids)
            seen.update(ids)
            groups.settle(attempt, ids, now, chances())
    assert seen == set(there)
