"""What an update would change, and in which order it walks: spec/scheduler.md §4.2, §4.3."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from scheduler.core.model import TaskConfig
from scheduler.core.update_diff import (
    InstanceDiff,
    configs_of,
    diff_instances,
    grouped,
    ids_of,
    instructions_of,
    ranges_of,
)
from scheduler.core.update_model import (
    BatchStrategy,
    InstanceRange,
    JobUpdateSettings,
    QueueStrategy,
    UpdateStrategy,
)
from scheduler.core.update_strategy import order_of, strategy_of, walk_of
from tests.scheduler.core.update_world import NEW, OLD, OTHER, settings_of

configs = st.sampled_from([OLD, NEW, OTHER])
jobs = st.dictionaries(st.integers(0, 12), configs)


def test_adds_replaces_removes_and_leaves_alone() -> None:
    current = {0: OLD, 1: NEW, 2: OTHER, 6: NEW, 7: OLD}
    found = diff_instances(current, NEW, 5)
    assert found == InstanceDiff(add=(3, 4), replace=(0, 2), remove=(6, 7), unchanged=(1,))
    assert not found.is_empty


def test_only_some_instances() -> None:
    current = {0: OLD, 1: OLD, 5: OLD, 6: OLD}
    assert diff_instances(current, NEW, 3, {1, 2, 5}) == InstanceDiff(add=(2,), replace=(1,), remove=(5,))


def test_nothing_to_do() -> None:
    assert diff_instances({0: NEW, 1: structs.replace(NEW)}, NEW, 2).is_empty
    assert diff_instances({0: OLD, 1: NEW}, NEW, 2, {1}).is_empty


@given(jobs, configs, st.integers(1, 12), st.none() | st.sets(st.integers(0, 12)))
def test_every_instance_that_is_asked_for_is_in_one_list(
    current: dict[int, TaskConfig], wanted: TaskConfig, count: int, only: set[int] | None
) -> None:
    found = diff_instances(current, wanted, count, only)
    lists = (found.add, found.replace, found.remove, found.unchanged)
    asked = current.keys() | set(range(count))
    assert sorted(i for each in lists for i in each) == sorted(asked if only is None else asked & only)
    assert all(list(each) == sorted(each) for each in lists)
    after = {**current, **dict.fromkeys((*found.add, *found.replace), wanted)}
    for gone in found.remove:
        del after[gone]
    if only is None:
        assert after == dict.fromkeys(range(count), wanted)


@given(jobs, configs, st.integers(1, 12))
def test_instructions_remember_what_was_and_name_what_comes(
    current: dict[int, TaskConfig], wanted: TaskConfig, count: int
) -> None:
    found = diff_instances(current, wanted, count)
    instructions = instructions_of(found, current, wanted, JobUpdateSettings())
    assert configs_of(instructions.initial_state) == {i: current[i] for i in (*found.replace, *found.remove)}
    placed = {*found.add, *found.replace}
    if instructions.desired_state is None:
        assert not placed
    else:
        assert set(ids_of(instructions.desired_state.instances)) == placed
    assert order_of(instructions) == (*found.add, *found.replace, *found.remove)


@given(jobs)
def test_groups_are_the_same_configs(current: dict[int, TaskConfig]) -> None:
    copies = {instance: structs.replace(each) for instance, each in current.items()}
    groups = grouped(copies)
    assert configs_of(groups) == current
    assert len(groups) == len({id(each) for each in current.values()})


@given(st.sets(st.integers(0, 50)))
def test_ranges_are_as_few_as_can_be(instances: set[int]) -> None:
    ranges = ranges_of(instances)
    assert list(ids_of(ranges)) == sorted(instances)
    assert all(one.last + 1 < other.first for one, other in itertools.pairwise(ranges))


def test_a_range_has_both_its_ends() -> None:
    assert ranges_of([5, 0, 1, 2, 2]) == (InstanceRange(first=0, last=2), InstanceRange(first=5, last=5))
    assert ranges_of([]) == ()


# -- strategies


def walk(settings: JobUpdateSettings, backward: bool = False) -> tuple[tuple[int, ...], ...]:
    """Instances 3 and 4 are new, 0 to 2 are replaced, 5 and 6 go."""
    current = dict.fromkeys((0, 1, 2, 5, 6), OLD)
    found = diff_instances(current, NEW, 5)
    return walk_of(instructions_of(found, current, NEW, settings), backward=backward).groups


def test_new_ones_first_then_replaced_ones_then_those_that_go() -> None:
    assert walk(settings_of(queue=2)) == ((3,), (4,), (0,), (1,), (2,), (5,), (6,))
    assert walk(settings_of(batch=3)) == ((3, 4, 0), (1, 2, 5), (6,))
    assert walk(settings_of(var=(1, 3, 2))) == ((3,), (4, 0, 1), (2, 5), (6,))
    assert walk(settings_of(var=(1, 2))) == ((3,), (4, 0), (1, 2), (5, 6))


def test_back_the_same_boundaries_and_the_small_batch_first() -> None:
    assert walk(settings_of(queue=2), backward=True) == ((6,), (5,), (2,), (1,), (0,), (4,), (3,))
    assert walk(settings_of(batch=3), backward=True) == ((6,), (5, 2, 1), (0, 4, 3))
    assert walk(settings_of(var=(1, 3, 2)), backward=True) == ((6,), (5, 2), (1, 0, 4), (3,))


def test_the_old_fields_say_a_strategy_too() -> None:
    old = JobUpdateSettings(update_group_size=3)
    assert strategy_of(old) == UpdateStrategy(queue_strategy=QueueStrategy(group_size=3))
    batch = structs.replace(old, wait_for_batch_completion=True)
    assert strategy_of(batch) == UpdateStrategy(batch_strategy=BatchStrategy(group_size=3))
    both = settings_of(var=(1, 2), base=batch)
    assert strategy_of(both) == both.update_strategy
    assert strategy_of(structs.replace(old, update_strategy=UpdateStrategy())) == strategy_of(old)
