"""What a placement costs does not depend on how many offers there are: counted, not timed.

Counted are offers that are looked at, and calls of functions, which is all that a placement does: the group's turn, the
search, ports and resources, the TaskInfo, the offer that goes and the one that comes.
"""

from __future__ import annotations

import sys
from types import FrameType

import pytest

from bench.scheduler.making import RACKS, a_config, kinds, limit, value
from bench.scheduler.placement import Cluster
from scheduler.core.model import Constraint, TaskConfig

SIZES = (100, 10_000)


def cost(hosts: int, jobs: list[tuple[TaskConfig, int]]) -> tuple[float, float]:
    """(looks, calls) for each placement."""
    cluster = Cluster(hosts)
    for config, count in jobs:
        cluster.submit(config, count)
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    looks, before = cluster.book.looks, sys.getprofile()
    sys.setprofile(count)
    try:
        cluster.settle()
    finally:
        sys.setprofile(before)
    assert cluster.placed == sum(count for _, count in jobs)
    return (cluster.book.looks - looks) / cluster.placed, calls / cluster.placed


def test_a_mix_of_jobs_with_constraints() -> None:
    jobs = [(a_config(f"job{n}", *kinds(n)), 10) for n in range(20)]
    small, big = (cost(hosts, jobs) for hosts in SIZES)
    assert big[0] < 1.5 * small[0] and big[1] < 1.5 * small[1], (small, big)
    assert big[0] < 5


@pytest.mark.parametrize(
    "constraints",
    [(), (limit("host", 1),), (limit("rack", 1),), (value("rack", *(f"r{n}" for n in range(4))),)],
    ids=["none", "host", "rack", "racks"],
)
def test_each_kind(constraints: tuple[Constraint, ...]) -> None:
    small, big = (cost(hosts, [(a_config("job", *constraints), 8)]) for hosts in SIZES)
    assert big[1] < 1.5 * small[1], (small, big)
    assert big[0] < 10, (small, big)


def test_groups_that_fit_nowhere_look_at_blocks_not_at_offers() -> None:
    cluster = Cluster(10_000)
    reached = a_config("reached", limit("rack", 1))
    for rack in range(RACKS):
        cluster.running[reached.job, "rack", f"r{rack}"] = 1
    for config in (reached, a_config("big", cpus=32.0), a_config("nowhere", value("rack", "none"))):
        cluster.submit(config, 5)
    before = cluster.book.looks
    assert cluster.turn(1.0) == 0
    assert cluster.book.looks - before < 200
