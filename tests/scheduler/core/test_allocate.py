"""What is taken of an offer: reserved first, revocable by tier, exact amounts, ports by chance and distinct."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from mesos.core.messages import AllocationInfo, DiskInfo, Nothing, Persistence, Resource, ranges, scalar
from scheduler.core.allocate import Allocation, Wanted, allocate, draw_ports
from scheduler.core.pools import RevocableRules, amount_in, pools_of, usable
from scheduler.core.resources import Amount, ResourceType
from tests.scheduler.core.making import chances, offer, reserved, revocable
from thermos.errors import Bug

BARE = {"cpus": 0.0, "mem": 0.0, "disk": 0.0}


def taken(resources: tuple[Resource, ...]) -> list[tuple[str, float, bool, bool]]:
    """(name, amount, reserved, revocable)"""
    return [
        (r.name, r.scalar.value if r.scalar else 0.0, bool(r.reservations), r.revocable is not None) for r in resources
    ]


def allocated(wanted: Wanted, *extra: Resource, **more: float) -> Allocation:
    return allocate(pools_of(offer(extra=extra, **{**BARE, **more})), wanted, chances())  # type: ignore[arg-type]


def test_what_is_reserved_goes_first_and_the_executor_before_the_task() -> None:
    wanted = Wanted(Amount(milli_cpus=1500, ram_mb=100), Amount(milli_cpus=250))
    got = allocated(wanted, reserved(scalar("cpus", 1.0)), cpus=4.0, mem=200.0)
    assert taken(got.executor) == [("cpus", 0.25, True, False)]
    assert taken(got.task) == [("cpus", 0.75, True, False), ("cpus", 0.75, False, False), ("mem", 100.0, False, False)]


def test_a_reservation_of_the_old_form_is_one() -> None:
    old = structs.replace(scalar("cpus", 1.0), role="www")
    assert [pool.is_reserved for pool in pools_of(offer(extra=(old,)))] == [True, False, False, False, False]


def test_resources_are_told_as_they_were_offered_with_their_allocation() -> None:
    got = allocated(Wanted(Amount(milli_cpus=100)), cpus=4.0)
    assert got.task == (structs.replace(scalar("cpus", 0.1), allocation_info=AllocationInfo(role="www")),)
    own = scalar("gpus", 2.0, role="other")
    assert allocated(Wanted(Amount(gpus=1)), own).task == (scalar("gpus", 1.0, role="other"),)


@pytest.mark.parametrize(
    ("rules", "is_revocable", "expected"),
    [
        (RevocableRules(), False, (4000, 4096)),
        (RevocableRules(), True, (2000, 4096)),
        (RevocableRules(ram=True), True, (2000, 512)),
        (RevocableRules(cpus=False), True, (4000, 4096)),
    ],
)
def test_a_revocable_tier_takes_what_is_revocable(
    rules: RevocableRules, is_revocable: bool, expected: tuple[int, int]
) -> None:
    pools = pools_of(offer(extra=(revocable(scalar("cpus", 2.0)), revocable(scalar("mem", 512.0)))))
    there = amount_in(usable(pools, is_revocable, rules))
    assert (there.milli_cpus, there.ram_mb) == expected
    assert there.disk_mb == 10_000 and there.ports == 1000
    got = allocate(pools, Wanted(Amount(milli_cpus=10, ram_mb=1), is_revocable=is_revocable), chances(), rules)
    assert [r.revocable is not None for r in got.task] == [
        rules.cpus and is_revocable, rules.ram and is_revocable,
    ]  # fmt: skip


def test_volumes_shared_and_unknown_resources_are_not_touched() -> None:
    volume = structs.replace(scalar("disk", 500.0), disk=DiskInfo(persistence=Persistence(id="v")))
    shared = structs.replace(scalar("disk", 500.0), shared=Nothing())
    pools = pools_of(offer(disk=1.0, extra=(volume, shared, scalar("bandwidth", 7.0))))
    assert amount_in(pools).disk_mb == 1


def test_parts_of_megabytes_add_up_but_are_not_given() -> None:
    pools = pools_of(offer(mem=0.6, extra=(reserved(scalar("mem", 0.6)),)))
    assert amount_in(pools).ram_mb == 1
    got = allocate(pools, Wanted(Amount(ram_mb=1)), chances())
    assert [amount for _, amount, *_ in taken(got.task)] == [0.6, 0.4]


def test_an_offer_that_lacks_something_is_a_bug() -> None:
    with pytest.raises(Bug, match="CPU"):
        allocated(Wanted(Amount(milli_cpus=100)))
    with pytest.raises(Bug, match="1 ports"):
        allocate(pools_of(offer(ports=())), Wanted(Amount(ports=1), port_names=("http",)), chances())


def test_ports_have_their_names_and_reserved_ones_go_first() -> None:
    pools = pools_of(offer(ports=((1, 3),), extra=(reserved(ranges("ports", (7, 7))),)))
    got = allocate(pools, Wanted(Amount(ports=3), port_names=("a", "b", "c")), chances(0.0, 0.99))
    assert got.ports == {"a": 7, "b": 3, "c": 2}
    assert [[(r.begin, r.end) for r in each.ranges.range] for each in got.task if each.ranges] == [
        [(7, 7)], [(2, 2), (3, 3)],
    ]  # fmt: skip


_SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)), max_size=4).map(
    lambda pairs: tuple((1000 * n + a, 1000 * n + a + b) for n, (a, b) in enumerate(pairs))
)
_CHANCE = st.floats(0, 1, exclude_max=True)


@given(_SPANS, st.lists(_CHANCE, min_size=1, max_size=9), st.data())
def test_ports_are_different_and_of_the_offer(
    spans: tuple[tuple[int, int], ...], given_chances: list[float], data: st.DataObject
) -> None:
    pools = [p for p in pools_of(offer(ports=spans)) if p.kind is ResourceType.PORTS]
    every = [port for begin, end in spans for port in range(begin, end + 1)]
    count = data.draw(st.integers(0, len(every)))
    numbers, resources = draw_ports(pools, count, chances(*given_chances))
    assert len(set(numbers)) == len(numbers) == count and set(numbers) <= set(every)
    told = [port for r in resources if r.ranges for s in r.ranges.range for port in range(s.begin, s.end + 1)]
    assert sorted(told) == sorted(numbers)


def test_every_port_may_come() -> None:
    pools = [p for p in pools_of(offer(ports=((5, 6), (8, 9)))) if p.kind is ResourceType.PORTS]
    assert {draw_ports(pools, 1, chances(n / 4))[0][0] for n in range(4)} == {5, 6, 8, 9}


_AMOUNTS = st.builds(
    Amount,
    milli_cpus=st.integers(0, 3000), ram_mb=st.integers(0, 300), disk_mb=st.integers(0, 9), gpus=st.integers(0, 2),
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["cpus", "mem", "disk", "gpus"]), st.integers(0, 3000), st.booleans())),
       _AMOUNTS, _AMOUNTS)  # fmt: skip
def test_whatever_is_said_to_be_there_can_be_given_and_not_more(
    parts: list[tuple[str, int, bool]], task: Amount, overhead: Amount
) -> None:
    extra = tuple(
        reserved(scalar(name, much / 1000)) if is_reserved else scalar(name, much / 1000)
        for name, much, is_reserved in parts
    )
    pools = pools_of(offer(extra=extra, **BARE))  # type: ignore[arg-type]
    wanted = Wanted(task, overhead)
    if not amount_in(pools).holds(wanted.total):
        with pytest.raises(Bug):
            allocate(pools, wanted, chances())
        return
    got = allocate(pools, wanted, chances())
    for resources, asked in ((got.task, task), (got.executor, overhead)):
        for kind, much in asked.items():
            given_ = sum(round(r.scalar.value * 1000) for r in resources if r.scalar and r.name == kind.mesos_name)
            assert given_ == much * (1 if kind is ResourceType.CPUS else 1000)
