"""The planner: what may run when, at what cost, and that a restarted one goes on where the other was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thermos.core.counting import Name
from tests.thermos.core.samples import exited, lost, starting
from thermos.core import planner as planner_module
from thermos.core.fold import TaskRecord, fold
from thermos.core.planner import Planner, Standing
from thermos.core.records import AnyRecord
from thermos.model import ProcessSpec

Order = Sequence[Sequence[str]]


def process(
    name: str,
    *,
    max_failures: int = 1,
    daemon: bool = False,
    ephemeral: bool = False,
    min_duration: float = 5,
) -> ProcessSpec:
    return ProcessSpec(
        name=name, cmdline="true", max_failures=max_failures, daemon=daemon, ephemeral=ephemeral,
        min_duration=min_duration,
    )  # fmt: skip


class Plan:
    """A planner that is fed by the fold, as a runner feeds it. `how` a run ends: exit code, "signal" or "lost"."""

    def __init__(
        self, *processes: ProcessSpec | str, order: Order = (), max_concurrency: int = 0, run_limit: int = 0
    ) -> None:
        self.specs = [process(p) if isinstance(p, str) else p for p in processes]
        self.order = order
        self.limits = {"max_concurrency": max_concurrency, "run_limit": run_limit}
        self.planner = Planner(self.specs, order, **self.limits)
        self.task = TaskRecord()

    def feed(self, record: AnyRecord) -> None:
        _, applied = fold(self.task, record)
        assert applied.run is not None
        self.planner.update(self.task.processes[applied.run.process])

    def take(self, at: float = 0.0) -> list[str]:
        """Start what may start."""
        names = self.planner.take_runnable(at)
        for name in names:
            known = self.task.processes.get(name)
            self.feed(starting(name, known.total if known else 0, at))
        return names

    def end(self, name: str, at: float = 0.0, how: int | str = 0) -> None:
        run = self.task.active[name]
        if how == "lost":
            self.feed(lost(name, run, at))
        else:
            code = how if isinstance(how, int) else None
            self.feed(exited(name, run, at, seq=-1, code=code, signal=9 if code is None else None))

    def run(self, name: str, at: float, how: int | str = 0) -> None:
        assert self.take(at) == [name]
        self.end(name, at, how)

    def again(self) -> Planner:
        """A planner that knows the records only."""
        planner = Planner(self.specs, self.order, **self.limits)
        for record in self.task.processes.values():
            planner.update(record)
        return planner

    def standings(self) -> list[str]:
        return [self.planner.standing(p.name).value for p in self.specs]


# --- one rule at a time (the numbers are those of the checklist in spec/thermos.md §6.2) ------------------------------


def test_51_an_empty_plan_is_complete() -> None:
    plan = Plan()
    assert plan.planner.is_complete
    assert not plan.planner.is_deadlocked
    assert plan.planner.is_healthy(1)
    assert (plan.take(), plan.planner.next_wake) == ([], None)


def test_52_without_order_all_may_run_at_once_in_the_order_of_the_task() -> None:
    plan = Plan(*"zebra")
    assert plan.take() == list("zebra")
    assert plan.take() == []
    assert plan.planner.running == set("zebra")


def test_52_ordered_ones_run_one_after_another() -> None:
    plan = Plan(*"cba", order=[("a", "b", "c")])
    for at, name in enumerate("abc"):
        assert not plan.planner.is_complete
        assert plan.take(at) == [name]
        assert plan.take(at) == []
        plan.end(name, at)
    assert plan.planner.is_complete


def test_a_diamond_joins() -> None:
    plan = Plan(*"abcd", order=[("a", "b", "d"), ("a", "c", "d"), ("a", "d")])
    plan.run("a", 0)
    assert plan.take() == ["b", "c"]
    plan.end("c")
    assert plan.planner.waits_for("d") == ["b"]
    assert plan.take() == []
    plan.end("b")
    assert plan.take() == ["d"]


def test_54_nobody_waits_for_ephemerals() -> None:
    plan = Plan(process("e", ephemeral=True), process("d", ephemeral=True, daemon=True))
    assert plan.planner.is_complete
    assert plan.take() == ["e", "d"]
    assert plan.planner.is_complete


def test_54_an_ephemeral_that_fails_for_good_has_finished() -> None:
    plan = Plan(process("e", ephemeral=True), process("f", ephemeral=True), order=[("e", "f")])
    plan.run("e", 0, 1)
    assert (plan.planner.failed, plan.planner.finished) == (set(), {"e"})
    assert plan.planner.is_healthy(1)
    assert plan.take() == ["f"]


def test_55_a_daemon_begins_again_after_success_until_it_failed_often_enough() -> None:
    plan = Plan(process("d", daemon=True, max_failures=2, min_duration=0))
    for at, how in enumerate([0, 0, 1, 0, 1]):
        assert plan.planner.standing("d") is Standing.READY
        plan.run("d", at, how)
    assert plan.planner.failed == {"d"}
    assert plan.planner.is_complete


def test_55_max_failures_0_is_for_ever() -> None:
    plan = Plan(process("p", max_failures=0, min_duration=0))
    for at in range(200):
        plan.run("p", at, 1)
    assert plan.planner.standing("p") is Standing.READY
    plan.run("p", 200, 0)
    assert plan.planner.finished == {"p"}


def test_57_a_failed_predecessor_blocks_for_good() -> None:
    plan = Plan(*"abc", order=[("a", "b", "c")])
    plan.run("a", 0, 1)
    assert plan.standings() == ["failed", "blocked", "blocked"]
    assert plan.take(1e9) == []
    assert plan.planner.next_wake is None
    assert plan.planner.is_deadlocked
    assert not plan.planner.is_healthy(0)
    assert not plan.planner.is_complete
    assert plan.planner.waits_for("c") == ["b"]


def test_57_it_is_no_deadlock_while_something_else_can_go_on() -> None:
    plan = Plan("a", "b", "x", order=[("a", "b")])
    assert plan.take() == ["a", "x"]
    plan.end("a", how=1)
    assert not plan.planner.is_deadlocked
    plan.end("x", how="signal")
    assert not plan.planner.is_deadlocked  # it waits for its min_duration
    assert plan.take(5) == ["x"]
    plan.end("x", 5)
    assert plan.planner.is_deadlocked


def test_57_an_ephemeral_that_runs_on_does_not_hide_a_deadlock() -> None:
    plan = Plan("a", "b", process("log", ephemeral=True, daemon=True), order=[("a", "b")])
    assert plan.take() == ["a", "log"]
    assert not plan.planner.is_deadlocked
    plan.end("a", how=1)
    assert plan.planner.is_deadlocked
    assert plan.again().is_deadlocked


@pytest.mark.parametrize("how", [1, "signal", "lost"])
def test_58_min_duration_counts_from_the_end_of_the_run(how: int | str) -> None:
    plan = Plan(process("p", max_failures=0, min_duration=5))
    assert plan.planner.next_wake is None
    assert plan.take(100) == ["p"], "the first run does not wait"
    assert plan.planner.next_wake is None
    plan.end("p", 130, how)
    assert plan.planner.next_wake == 135
    assert plan.take(134.999) == []
    assert plan.planner.next_wake == 135
    assert plan.take(135) == ["p"]


def test_58_min_duration_holds_after_the_success_of_a_daemon() -> None:
    plan = Plan(process("p", daemon=True, min_duration=2))
    plan.run("p", 10)
    assert (plan.planner.next_wake, plan.take(11), plan.take(12)) == (12, [], ["p"])


def test_58_the_first_of_several_waits_decides() -> None:
    plan = Plan(process("slow", max_failures=0, min_duration=50), process("quick", max_failures=0, min_duration=1))
    plan.take()
    plan.end("slow", 0, 1)
    plan.end("quick", 0, 1)
    assert plan.planner.next_wake == 1
    assert plan.take(1) == ["quick"]
    assert plan.planner.next_wake == 50


def test_59_every_run_counts_towards_the_limit() -> None:
    plan = Plan(process("p", max_failures=0, daemon=True, min_duration=0), run_limit=4)
    hows: list[int | str] = [0, "signal", "lost"]
    for at, how in enumerate(hows):
        plan.run("p", at, how)
        assert plan.planner.standing("p") is Standing.READY
    plan.run("p", 3, 0)
    assert plan.planner.failed == {"p"}, "a daemon at its limit has failed, though every run succeeded"


def test_59_success_in_the_last_run_is_success() -> None:
    plan = Plan(process("p", max_failures=0, min_duration=0), run_limit=2)
    plan.run("p", 0, 1)
    plan.run("p", 1, 0)
    assert plan.planner.finished == {"p"}


def test_60_max_failures_n_fails_n_times() -> None:
    plan = Plan(process("p", max_failures=3, min_duration=0))
    hows: list[int | str] = [1, "signal", 1, "lost"]
    for at, how in enumerate(hows):
        plan.run("p", at, how)
        assert plan.planner.standing("p") is Standing.READY
    plan.run("p", 4, 1)
    assert plan.planner.failed == {"p"}


@pytest.mark.parametrize(("allowed", "healthy"), [(0, True), (1, False), (2, False), (3, True)])
def test_61_failed_processes_are_counted_not_failed_runs(allowed: int, healthy: bool) -> None:
    plan = Plan(process("a", max_failures=3, min_duration=0), "b", "c")
    plan.take()
    plan.end("c")
    for at in (1, 2):
        plan.end("a", at, 1)
        plan.take(at)
    plan.end("a", 3, 1)
    plan.end("b", 3, 1)
    assert plan.planner.is_complete
    assert plan.planner.failed == {"a", "b"}
    assert plan.planner.is_healthy(allowed) is healthy


def test_63_max_concurrency_is_kept_and_nobody_spins() -> None:
    plan = Plan(*"abcde", max_concurrency=2)
    assert plan.take() == ["a", "b"]
    assert plan.planner.next_wake is None, "all slots are taken: time alone changes nothing"
    assert plan.take(1e9) == []
    plan.end("b")
    assert plan.take() == ["c"]
    plan.end("a")
    plan.end("c")
    assert plan.take() == ["d", "e"]


def test_63_a_wait_is_not_announced_while_the_slots_are_full() -> None:
    plan = Plan(process("a", max_failures=0, min_duration=1), "b", max_concurrency=1)
    plan.run("a", 0, 1)
    assert plan.take(0) == ["b"]
    assert plan.planner.next_wake is None
    assert plan.take(100) == []
    plan.end("b", 100)
    assert plan.take(100) == ["a"]


def test_who_may_start_first_starts_first_among_those_that_may() -> None:
    """Spec order decides, not the order in which they became ready."""
    plan = Plan("d", "c", "b", "a", "x", order=[("x", "c"), ("x", "d"), ("x", "b")], max_concurrency=2)
    assert plan.take() == ["a", "x"]
    plan.end("x")
    assert plan.take() == ["d"]
    plan.end("a")
    assert plan.take() == ["c"]
    plan.end("d")
    assert plan.take() == ["b"]


def test_taken_is_taken_until_it_ended() -> None:
    planner = Planner([process("p")], [])
    assert planner.take_runnable(0) == ["p"]
    assert planner.take_runnable(100) == []
    assert planner.standing("p") is Standing.RUNNING


def test_processes_of_another_plan_are_ignored() -> None:
    plan = Plan("a", "b", order=[("a", "other", "b"), ("other", "a")])
    assert plan.take() == ["a", "b"]
    assert "a" in plan.planner
    assert "other" not in plan.planner


# --- random plans ----------------------------------------------------------------------------------------------------


@dataclass
class Case:
    specs: list[ProcessSpec]
    order: list[tuple[str, str]]
    max_concurrency: int
    run_limit: int
    hows: list[int | str] = field(default_factory=list)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    size = draw(st.integers(0, 7))
    specs = [
        process(
            f"p{i}",
            max_failures=draw(st.integers(0, 2)),
            daemon=draw(st.sampled_from([False, False, True])),
            ephemeral=draw(st.sampled_from([False, False, True])),
            min_duration=draw(st.integers(0, 3)),
        )
        for i in range(size)
    ]
    shuffled = draw(st.permutations([s.name for s in specs]))
    pairs = [(a, b) for i, a in enumerate(shuffled) for b in shuffled[i + 1 :]]
    order = draw(st.lists(st.sampled_from(pairs), max_size=8)) if pairs else []
    hows: st.SearchStrategy[int | str] = st.sampled_from([0, 0, 0, 1, "signal", "lost"])
    return Case(specs, order, draw(st.integers(0, 3)), draw(st.integers(0, 4)), draw(st.lists(hows, max_size=30)))


def planner_image(planner: Planner, now: float) -> tuple[object, ...]:
    """What can be seen of a planner, and what it will offer now and later if nothing ends."""
    future = deepcopy(planner)
    offers = [(future.take_runnable(at), future.next_wake) for at in (now, now + 1, now + 2, now + 1000)]
    return (
        planner.ready, planner.running, planner.failed, planner.finished, planner.is_complete, planner.is_deadlocked,
        offers,
    )  # fmt: skip


@settings(deadline=None, max_examples=120)
@given(case=cases(), data=st.data())
def test_random_plans_keep_every_rule_and_survive_restarts(case: Case, data: st.DataObject) -> None:
    plan = Plan(*case.specs, order=case.order, max_concurrency=case.max_concurrency, run_limit=case.run_limit)
    spec = {s.name: s for s in case.specs}
    place = {s.name: i for i, s in enumerate(case.specs)}
    now, ended = 0.0, dict.fromkeys(spec, float("-inf"))
    for how in case.hows:
        taken = plan.take(now)
        assert taken == sorted(taken, key=place.__getitem__)
        for name in taken:
            assert all(before in plan.planner.finished for before, after in case.order if after == name)
            assert now >= ended[name] + spec[name].min_duration
        assert plan.planner.running == set(plan.task.active)
        assert not case.max_concurrency or len(plan.planner.running) <= case.max_concurrency
        counting = {n for n in plan.planner.ready | plan.planner.running if not spec[n].ephemeral}
        assert plan.planner.is_deadlocked == (not counting and not plan.planner.is_complete)
        wake = plan.planner.next_wake
        assert wake is None or wake > now
        assert planner_image(plan.again(), now) == planner_image(plan.planner, now)
        if plan.planner.running and (wake is None or data.draw(st.booleans())):
            name = data.draw(st.sampled_from(sorted(plan.planner.running)))
            plan.end(name, now, how)
            ended[name] = now
            assert planner_image(plan.again(), now) == planner_image(plan.planner, now)
            now += data.draw(st.sampled_from([0.0, 0.5]))
        elif wake is not None:
            now = wake
        else:
            needed = {n for n, s in spec.items() if not s.ephemeral}
            assert plan.planner.is_complete == (needed <= plan.planner.finished | plan.planner.failed)
            assert plan.planner.is_complete or plan.planner.is_deadlocked
            break


# --- cost ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def heap_steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """How often the planner pushed and popped."""
    steps = 0

    def counted_push(heap: list[Any], item: Any) -> None:
        nonlocal steps
        steps += 1
        heappush(heap, item)

    def counted_pop(heap: list[Any]) -> Any:
        nonlocal steps
        steps += 1
        return heappop(heap)

    monkeypatch.setattr(planner_module, "heappush", counted_push)
    monkeypatch.setattr(planner_module, "heappop", counted_pop)
    yield lambda: steps
    assert steps, "the counters were not in the way of the planner"


def chain(names: list[Name]) -> Order:
    return [names]


def fan_out_and_in(names: list[Name]) -> Order:
    return [*([names[0], n] for n in names[1:-1]), *([n, names[-1]] for n in names[1:-1])]


def loose(names: list[Name]) -> Order:
    return [pair for pair in pairwise(names) if pair[0].endswith("0")]


@pytest.mark.parametrize("shape", [chain, fan_out_and_in, loose])
@pytest.mark.parametrize("max_concurrency", [0, 7])
def test_the_work_grows_with_the_runs_and_not_faster(
    shape: Callable[[list[Name]], Order], max_concurrency: int, heap_steps: Callable[[], int]
) -> None:
    cost, steps = {}, {}
    for size in (500, 2000):
        names = [Name(f"p{i}") for i in range(size)]
        Name.hashed, before = 0, heap_steps()
        plan = Plan(
            *(process(n, max_failures=2, min_duration=1) for n in names),
            order=shape(names),
            max_concurrency=max_concurrency,
        )
        now, runs = 0.0, 0
        while not plan.planner.is_complete:
            taken = plan.take(now)
            for name in taken:
                runs += 1
                plan.end(name, now, int(name.endswith("5") and plan.task.processes[name].total == 1))
            now = now if taken else plan.planner.next_wake or now
        assert runs == size * 1.1
        cost[size], steps[size] = Name.hashed / runs, (heap_steps() - before) / runs
    assert cost[2000] <= cost[500] * 1.1, cost
    assert steps[2000] <= 4, steps
