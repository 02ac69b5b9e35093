"""The small parts against naive ones: deadlines, counts by attribute, tallies of reasons."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.deadlines import Deadlines
from scheduler.core.explain import Asked, Tally, explain
from scheduler.core.model import JobKey
from scheduler.core.offers import OfferBook
from scheduler.core.spread import Spread
from scheduler.core.timeouts import TimeoutRules, left_s
from scheduler.engine_stats import Histogram
from tests.scheduler.core.making import SETTINGS, chances, config, limit, offer, value
from thermos.errors import ConfigError

moves = st.lists(st.tuples(st.sampled_from(["set", "set", "cancel", "due"]), st.integers(0, 9), st.floats(0, 100)))


@given(moves)
def test_a_deadline_comes_once_and_in_order(script: list[tuple[str, int, float]]) -> None:
    deadlines: Deadlines[int] = Deadlines()
    model: dict[int, float] = {}
    for act, key, number in script:
        if act == "set":
            deadlines.set(key, number)
            model[key] = number
        elif act == "cancel":
            deadlines.cancel(key)
            model.pop(key, None)
        else:
            expected = sorted((at, each) for each, at in model.items() if at <= number)[: key + 1]
            found = deadlines.due(number, key + 1)
            assert sorted(found, key=lambda each: model[each]) == found
            assert [model[each] for each in found] == [at for at, _ in expected]
            for each in found:
                del model[each]
        assert deadlines.next_wake() == min(model.values(), default=None)
        assert len(deadlines) == len(model)
        assert all(deadlines.of(each) == at and each in deadlines for each, at in model.items())


def test_what_is_out_of_date_is_not_heaped_up() -> None:
    deadlines: Deadlines[int] = Deadlines()
    for moment in range(10_000):
        deadlines.set(moment % 3, float(moment))
    assert len(deadlines._heap) < 100


JOBS = [JobKey(role="r", environment="e", name=name) for name in "ab"]
steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "remove", "host"]), st.integers(0, 1), st.integers(0, 2), st.integers(0, 3)
    )
)


@given(steps)
def test_counts_by_attribute_are_those_of_a_walk(script: list[tuple[str, int, int, int]]) -> None:
    hosts: dict[str, dict[str, frozenset[str]]] = {f"h{n}": {} for n in range(3)}
    spread = Spread(lambda host: hosts[host])
    there: Counter[tuple[JobKey, str]] = Counter()
    for act, job, host, variant in script:
        key = (JOBS[job], f"h{host}")
        if act == "add":
            spread.add(*key)
            there[key] += 1
        elif act == "remove" and there[key]:
            spread.remove(*key)
            there[key] -= 1
        elif act == "host":
            hosts[key[1]] = {"rack": frozenset(f"r{n}" for n in range(variant))}
            spread.host_changed(key[1])
        for each in JOBS:
            for rack in ("r0", "r1", "r2"):
                walked = sum(n for (j, h), n in there.items() if j == each and rack in hosts[h].get("rack", ()))
                assert spread(each, "rack", rack) == walked
        assert spread.on_host(key[1]) == sum(n for (_, h), n in there.items() if h == key[1])


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 4000), st.integers(0, 2)), max_size=8),
    st.booleans(),
    st.sampled_from([None, "GoneExecutor"]),
)
def test_a_tally_says_what_an_explanation_says(
    hosts: list[tuple[int, int, int]], is_open: bool, executor: str | None
) -> None:
    book = OfferBook()
    for number, (cpus, mem, rack) in enumerate(hosts):
        book.add(offer(number, cpus=float(cpus), mem=float(mem), rack=f"r{rack}"), 0.0, chances())
    wanted = config(value("rack", "r0", "r1"), limit("rack", 1), cpus=4.0, ram=2000)
    if executor is not None:
        wanted = config(executor=executor)
    asked = Asked(wanted, SETTINGS.wanted_of(wanted), lambda agent: is_open or agent != "a00000")

    def counts(job: JobKey, attribute: str, value: str) -> int:
        return int(value == "r1")

    tally = Tally(asked)
    for each in book:
        tally.add(each, counts, 0.0)
    found = explain(asked, book, counts, 0.0, 0.0)
    assert tally.by_reason == found.by_reason
    assert tally.pending_reason == found.pending_reason
    assert sum(tally.vetoes.values()) == len(hosts)


@pytest.mark.parametrize(("since", "left"), [(0, 0.0), (95_000, 5.0), (100_000, 10.0), (200_000, 10.0), (10**15, 10.0)])
def test_what_is_left_is_never_more_than_all(since: int, left: float) -> None:
    assert left_s(since, 10.0, 100_000) == left


def test_rules_that_would_never_rest_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot time tasks out so"):
        TimeoutRules(recheck_s=0.0)


def test_a_histogram_has_a_place_for_everything() -> None:
    histogram = Histogram((1.0, 10.0))
    for observed in (0.0, 1.0, 1.1, 10.0, 10.1, 1e9):
        histogram.observe(observed)
    assert (histogram.counts, histogram.count) == ([2, 2, 2], 6)
    assert histogram.total == pytest.approx(1e9 + 22.2)
