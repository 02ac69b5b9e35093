"""Every veto of the specification in its order, and what holds for any host and task."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.filters import HostView, MaintenanceMode, filter_host
from scheduler.core.model import (
    DEDICATED,
    Constraint,
    JobKey,
    LimitConstraint,
    Resource,
    TaskConfig,
    TaskConstraint,
    ValueConstraint,
)
from scheduler.core.resources import Amount, ResourceType, amount_of, shortfalls
from scheduler.core.vetoes import VetoGroup, group_of, insufficient, total_score

JOB = JobKey(role="www", environment="prod", name="web")
BIG = Amount(milli_cpus=64_000, ram_mb=1 << 20, disk_mb=1 << 20, ports=1000, gpus=8)
SMALL = Amount(milli_cpus=1000, ram_mb=100, disk_mb=100, ports=1)
NOW = 1_000_000.0


def value(name: str, *values: str, negated: bool = False) -> Constraint:
    return Constraint(name=name, constraint=TaskConstraint(value=ValueConstraint(values=values, negated=negated)))


def limit(name: str, most: int) -> Constraint:
    return Constraint(name=name, constraint=TaskConstraint(limit=LimitConstraint(limit=most)))


def host(
    there: Amount = BIG, mode: MaintenanceMode = MaintenanceMode.NONE, closed: float | None = None, **has: str
) -> HostView:
    return HostView({name: frozenset(text.split(",")) for name, text in has.items()}, there, mode, closed)


def texts(where: HostView, *constraints: Constraint, wanted: Amount = SMALL, running: int = 0) -> list[str]:
    config = TaskConfig(job=JOB, constraints=constraints)
    return [veto.text for veto in filter_host(config, wanted, where, lambda job, name, found: running, NOW)]


@pytest.mark.parametrize(
    ("where", "constraints", "running", "expected"),
    [
        (host(), (), 0, []),
        (host(dedicated="www/x"), (), 0, ["Host is dedicated"]),
        (host(dedicated="www/x"), (value(DEDICATED, "www/x"),), 0, []),
        (host(dedicated="www/y"), (value(DEDICATED, "www/x"),), 0, ["Constraint not satisfied: dedicated"]),
        (host(), (value(DEDICATED, "www/x"),), 0, ["Constraint not satisfied: dedicated"]),
        (host(mode=MaintenanceMode.SCHEDULED), (), 0, []),
        (host(mode=MaintenanceMode.DRAINING), (), 0, ["Host draining for maintenance"]),
        (host(mode=MaintenanceMode.DRAINED), (), 0, ["Host drained for maintenance"]),
        (host(closed=NOW), (), 0, []),
        (host(closed=NOW - 1), (), 0, ["Host draining for maintenance"]),
        (host(closed=NOW - 1, mode=MaintenanceMode.DRAINED), (), 0, ["Host drained for maintenance"]),
        (host(os="a"), (value("os", "a", "b"),), 0, []),
        (host(os="c"), (value("os", "a", "b"),), 0, ["Constraint not satisfied: os"]),
        (host(), (value("os", "a"),), 0, ["Constraint not satisfied: os"]),
        (host(os="c"), (value("os", "a", negated=True),), 0, []),
        (host(), (value("os", "a", negated=True),), 0, []),
        (host(os="c,a"), (value("os", "a", negated=True),), 0, ["Constraint not satisfied: os"]),
        (host(rack="r1"), (limit("rack", 2),), 1, []),
        (host(rack="r1"), (limit("rack", 2),), 2, ["Limit not satisfied: rack"]),
        (host(), (limit("rack", 2),), 0, ["Constraint not satisfied: rack"]),
        (host(rack="r1", os="c"), (limit("rack", 1), value("os", "a")), 5, ["Constraint not satisfied: os"]),
    ],
)
def test_vetoes(where: HostView, constraints: tuple[Constraint, ...], running: int, expected: list[str]) -> None:
    assert texts(where, *constraints, running=running) == expected


def test_everything_that_is_missing_is_told() -> None:
    wanted = Amount(milli_cpus=2000, ram_mb=200, disk_mb=200, ports=2, gpus=1)
    assert texts(host(Amount()), wanted=wanted) == [
        "Insufficient: CPU", "Insufficient: RAM", "Insufficient: disk", "Insufficient: ports", "Insufficient: GPU",
    ]  # fmt: skip


def test_scores_grow_with_what_is_missing() -> None:
    assert insufficient(ResourceType.CPUS, 8000).score == 500
    assert insufficient(ResourceType.CPUS, 800_000).score == 1000
    assert insufficient(ResourceType.RAM_MB, 24 * 1024 // 2).score == 500


def test_groups_of_vetoes() -> None:
    config = TaskConfig(job=JOB, constraints=(limit("rack", 1),))
    dynamic = filter_host(config, SMALL, host(rack="r1"), lambda *_: 1, NOW)
    static = filter_host(config, SMALL, host(Amount(), rack="r1"), lambda *_: 0, NOW)
    assert (group_of([]), group_of(dynamic), group_of(static)) == (None, VetoGroup.DYNAMIC, VetoGroup.STATIC)
    assert group_of(dynamic + static) is VetoGroup.MIXED
    assert total_score(dynamic) == 10_000


_amounts = st.builds(
    Amount,
    milli_cpus=st.integers(0, 10_000),
    ram_mb=st.integers(0, 10_000),
    disk_mb=st.integers(0, 10_000),
    ports=st.integers(0, 10),
    gpus=st.integers(0, 4),
)


@given(_amounts, _amounts)
def test_a_host_that_holds_it_is_not_short_of_anything(there: Amount, wanted: Amount) -> None:
    missing = dict(shortfalls(wanted, there))
    assert (not missing) is there.holds(wanted)
    assert (texts(host(there), wanted=wanted) == []) is there.holds(wanted)
    for kind, much in missing.items():
        assert 0 <= insufficient(kind, much).score <= 1000


@given(_amounts, _amounts)
def test_what_was_taken_and_given_back_is_there_again(a: Amount, b: Amount) -> None:
    assert a.plus(b).minus(b) == a
    assert a.times(3) == a.plus(a).plus(a)


@given(st.lists(st.sampled_from([0.1, 0.2, 0.25, 1.5]), max_size=30))
def test_cores_are_exact(cores: list[float]) -> None:
    total = amount_of([Resource(num_cpus=c) for c in cores])
    assert total.milli_cpus == round(sum(cores) * 1000)
