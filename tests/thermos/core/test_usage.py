"""Sums over trees, rates between two looks, the bounded history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thermos.core.usage import MAX_SAMPLES, NO_USAGE, History, Look, Proc, Usage, add, make_look, measure, tree


def proc(pid: int, ppid: int = 1, *, start: int = 5, cpu: float = 0.0, rss: int = 10, threads: int = 1) -> Proc:
    return Proc(
        pid=pid, ppid=ppid, start=start, comm=f"c{pid}", status="S", user=cpu, system=0.0, nice=3, threads=threads,
        vms=100, rss=rss,
    )  # fmt: skip


def look(at: float, *procs: Proc) -> Look:
    return make_look(at, procs)


def pids(found: object) -> set[int]:
    return {p.pid for p in found}  # type: ignore[attr-defined]


def test_a_tree_is_a_process_and_everything_below_it() -> None:
    here = look(0, proc(10), proc(11, 10), proc(12, 11), proc(20))
    assert pids(tree(here, 10, 5)) == {10, 11, 12}
    assert pids(tree(here, 10, 5, itself=False)) == {11, 12}


def test_a_pid_that_is_another_process_by_now_has_no_tree() -> None:
    here = look(0, proc(10, start=6), proc(11, 10))
    assert pids(tree(here, 10, 5)) == set()
    assert pids(tree(here, 10, 0)) == {10, 11}, "0: not known"
    assert pids(tree(here, 99, 0)) == set()


def test_a_rate_is_what_was_burnt_between_two_looks() -> None:
    before = look(10.0, proc(10, cpu=1.0), proc(11, 10, cpu=2.0))
    now = look(12.0, proc(10, cpu=2.0), proc(11, 10, cpu=3.5))
    usage = measure(tree(now, 10, 5), now, before)
    assert usage.cpu == pytest.approx(1.25)
    assert (usage.user, usage.rss, usage.ram, usage.threads, usage.procs) == (5.5, 20, 20, 2, 2)


def test_who_was_born_between_counts_from_birth_and_who_left_is_forgotten() -> None:
    before = look(10.0, proc(10, cpu=1.0), proc(11, 10, cpu=50.0))
    now = look(11.0, proc(10, cpu=1.0), proc(12, 10, cpu=0.5))
    assert measure(tree(now, 10, 5), now, before).cpu == pytest.approx(0.5)


def test_a_pid_used_again_counts_from_birth() -> None:
    before = look(10.0, proc(10, start=5, cpu=9.0))
    now = look(11.0, proc(10, start=1050, cpu=0.25))
    assert measure(tree(now, 10, 0), now, before).cpu == pytest.approx(0.25)


def test_the_first_look_has_no_rate() -> None:
    now = look(11.0, proc(10, cpu=4.0))
    assert measure(tree(now, 10, 5), now, None).cpu == 0.0
    assert measure(tree(now, 10, 5), now, now).cpu == 0.0, "no time has passed"


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8), st.lists(st.floats(0, 1e6), max_size=8), st.floats(-5, 100))
def test_a_rate_is_never_negative(now_cpu: list[float], before_cpu: list[float], elapsed: float) -> None:
    before = look(10.0, *(proc(10 + i, cpu=cpu) for i, cpu in enumerate(before_cpu)))
    now = look(10.0 + elapsed, *(proc(10 + i, cpu=cpu) for i, cpu in enumerate(now_cpu)))
    assert measure(now.procs.values(), now, before).cpu >= 0


def test_the_shape_is_the_original_one() -> None:
    keys = {"cpu", "ram", "user", "system", "rss", "vms", "nice", "status", "threads", "procs"}
    assert set(Usage().to_dict()) == keys
    assert measure((), look(0), None) is NO_USAGE


def test_sums() -> None:
    total = add([Usage(cpu=0.5, ram=3, procs=1, status="R"), Usage(cpu=0.25, ram=4, procs=2, status="S")])
    assert (total.cpu, total.ram, total.procs, total.status) == (0.75, 7, 3, "R")
    assert add([]) is NO_USAGE


def test_a_history_holds_an_hour() -> None:
    history = History(20.0)
    for second in range(0, 8000, 20):
        history.add(float(second), Usage(ram=second))
    assert len(history) == 180
    assert next(iter(history))[0] == 7980 - 179 * 20
    assert [at for at, _ in history.last(2)] == [7960.0, 7980.0]
    assert len(history.last(1000)) == 180


@pytest.mark.parametrize(("interval", "span"), [(0.1, 3600.0), (0.0, 60.0), (-1.0, 60.0), (61.0, 60.0)])
def test_a_history_of_too_many_or_no_samples_is_refused(interval: float, span: float) -> None:
    with pytest.raises(ValueError, match=str(MAX_SAMPLES)):
        History(interval, span)


def test_the_longest_history() -> None:
    assert len(History(1.0, float(MAX_SAMPLES))) == 0
    with pytest.raises(ValueError, match="10001 samples"):
        History(1.0, float(MAX_SAMPLES + 1))


def test_no_sample_of_the_past() -> None:
    history = History(1.0)
    history.add(10.0, NO_USAGE)
    history.add(10.0, Usage(ram=1))
    with pytest.raises(ValueError, match="older than the newest"):
        history.add(9.9, NO_USAGE)


def test_the_sample_at_or_after_a_moment() -> None:
    history = History(1.0)
    assert history.at(5.0) is NO_USAGE
    for at in (10.0, 11.0, 12.0):
        history.add(at, Usage(ram=int(at)))
    assert [history.at(when).ram for when in (0.0, 10.0, 10.1, 11.9, 12.0, 99.0)] == [10, 10, 11, 12, 12, 12]
