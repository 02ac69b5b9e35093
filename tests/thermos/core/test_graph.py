"""The graph of a task: every problem found and named, and nothing that grows faster than the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thermos.core.counting import Name
from thermos.core.graph import build_graph, check_graph, find_cycle
from thermos.model import ProcessSpec, TaskSpec


def process(name: str, *, daemon: bool = False, ephemeral: bool = False, final: bool = False) -> ProcessSpec:
    return ProcessSpec(name=name, cmdline="true", daemon=daemon, ephemeral=ephemeral, final=final)


def task(*processes: ProcessSpec | str, order: tuple[tuple[str, ...], ...] = ()) -> TaskSpec:
    specs = tuple(process(p) if isinstance(p, str) else p for p in processes)
    return TaskSpec(name="t", processes=specs, order=order)


def texts(spec: TaskSpec) -> list[str]:
    return [problem.text for problem in check_graph(spec)]


GOOD = {
    "no processes": task(),
    "no order": task("a", "b"),
    "a chain": task("a", "b", "c", order=(("a", "b", "c"),)),
    "the same edge twice": task("a", "b", order=(("a", "b"), ("a", "b"))),
    "a diamond": task(*"abcd", order=(("a", "b", "d"), ("a", "c", "d"))),
    "one name alone": task("a", order=(("a",),)),
    "a daemon may depend on a regular process": task("a", process("d", daemon=True), order=(("a", "d"),)),
    "an ephemeral may depend on either": task(
        "a", process("e", ephemeral=True), process("f", ephemeral=True), order=(("a", "e", "f"),)
    ),
    "final after final": task(process("x", final=True), process("y", final=True), order=(("x", "y"),)),
}


@pytest.mark.parametrize("spec", GOOD.values(), ids=GOOD.keys())
def test_a_good_task_has_no_problem(spec: TaskSpec) -> None:
    assert texts(spec) == []


DEPENDENCIES = "Invalid process dependencies! "
BAD = {
    "the same name twice": (task("a", "b", "a"), "Duplicate process name: a", "a"),
    "an unknown name": (
        task("a", order=(("a", "ghost"),)),
        DEPENDENCIES + "an order constraint names unknown process ghost",
        "ghost",
    ),
    "an empty constraint": (task("a", order=((),)), DEPENDENCIES + "an order constraint is empty", ""),
    "final and regular": (
        task("a", process("f", final=True), order=(("a", "f"),)),
        DEPENDENCIES + "a final and a regular process can't be ordered: a, f",
        "",
    ),
    "after a daemon": (
        task(process("d", daemon=True), "b", order=(("d", "b"),)),
        "Process b may not depend upon daemon process d",
        "b",
    ),
    "a daemon after a daemon": (
        task(process("d", daemon=True), process("e", daemon=True), order=(("d", "e"),)),
        "Process e may not depend upon daemon process d",
        "e",
    ),
    "after an ephemeral": (
        task(process("e", ephemeral=True), "b", order=(("e", "b"),)),
        "Non-ephemeral process b may not depend upon ephemeral process e",
        "b",
    ),
    "itself": (task("a", order=(("a", "a"),)), "Cycles detected in the task schedule! a -> a", "a"),
    "a cycle of two": (
        task("a", "b", order=(("a", "b"), ("b", "a"))),
        "Cycles detected in the task schedule! a -> b -> a",
        "a",
    ),
    "a cycle of three": (
        task(*"abc", order=(("a", "b", "c"), ("c", "a"))),
        "Cycles detected in the task schedule! a -> b -> c -> a",
        "a",
    ),
    "a cycle of final processes": (
        task("r", process("x", final=True), process("y", final=True), order=(("x", "y", "x"),)),
        "Cycles detected in the task schedule! x -> y -> x",
        "x",
    ),
}


@pytest.mark.parametrize(("spec", "text", "about"), BAD.values(), ids=BAD.keys())
def test_one_problem_one_message(spec: TaskSpec, text: str, about: str) -> None:
    assert [(p.text, p.process) for p in check_graph(spec)] == [(text, about)]


def test_a_constraint_of_unknown_names_only_is_not_ignored() -> None:
    assert texts(task("a", order=(("x", "y"),))) == [
        DEPENDENCIES + "an order constraint names unknown process x",
        DEPENDENCIES + "an order constraint names unknown process y",
    ]


def test_an_unknown_name_is_reported_once_a_constraint() -> None:
    assert len(texts(task("a", order=(("x", "a", "x"),)))) == 1


def test_duplicates_do_not_hide_the_other_problems() -> None:
    found = texts(task("a", "a", "b", "c", order=(("a", "b"), ("c", "b"), ("b", "ghost"))))
    assert found == [
        "Duplicate process name: a",
        DEPENDENCIES + "an order constraint names unknown process ghost",
    ]


def test_all_problems_are_found_at_once() -> None:
    spec = task(
        "a",
        "a",
        process("d", daemon=True),
        "b",
        process("f", final=True),
        order=((), ("d", "b"), ("b", "f"), ("b", "nobody"), ("a", "b"), ("b", "a")),
    )
    found = texts(spec)
    for part in ("Duplicate process name: a", "is empty", "daemon process d", "b, f", "nobody", "Cycles detected"):
        assert sum(part in text for text in found) == 1, (part, found)
    assert len(found) == 6


def test_what_only_waits_for_a_cycle_is_not_named_as_part_of_it() -> None:
    spec = task(*"abcxy", order=(("x", "a"), ("a", "b", "c", "b"), ("c", "y")))
    assert texts(spec) == ["Cycles detected in the task schedule! b -> c -> b"]


def test_the_cycle_that_is_named_depends_on_the_task_alone() -> None:
    """Many cycles meet in one process: hash order may not choose among them."""
    names = [f"p{i}" for i in range(40)]
    order = tuple(("hub", name, "hub") for name in names)
    assert find_cycle(build_graph([process(n) for n in ("hub", *names)], order)) == ["hub", "p39", "hub"]


def test_a_long_cycle_is_shown_short() -> None:
    names = [f"p{i}" for i in range(100)]
    (text,) = texts(task(*names, order=((*names, names[0]),)))
    assert text.count("->") == 11
    assert text.startswith("Cycles detected in the task schedule! p0 -> p1 -> ")
    assert text.endswith("… -> p98 -> p99 -> p0")


def test_edges_of_other_processes_are_left_out() -> None:
    graph = build_graph([process("a"), process("b")], [("a", "x", "b"), ("a", "b"), ("a", "b")])
    assert graph.after == {"a": ["b"], "b": []}
    assert graph.waits == {"a": 0, "b": 1}


# --- against an independent answer ---------------------------------------------------------------------------------


@st.composite
def random_tasks(draw: st.DrawFn) -> TaskSpec:
    names = [f"p{i}" for i in range(draw(st.integers(1, 8)))]
    pairs = draw(st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=14))
    return task(*names, order=tuple(pairs))


def reachable(start: str, after: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    todo = list(after[start])
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += after[name]
    return seen


@settings(deadline=None, max_examples=150)
@given(random_tasks())
def test_a_cycle_is_found_exactly_when_there_is_one_and_it_is_one(spec: TaskSpec) -> None:
    after: dict[str, set[str]] = {p.name: set() for p in spec.processes}
    for one, other in spec.order:
        after[one].add(other)
    cycle = find_cycle(build_graph(spec.processes, spec.order))
    assert bool(cycle) == any(name in reachable(name, after) for name in after)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        assert all(other in after[one] for one, other in pairwise(cycle))


# --- cost ----------------------------------------------------------------------------------------------------------


class Counted(list[str]):
    """An order constraint that counts how often one of its names is given out."""

    handed_out = 0

    def __iter__(self) -> Iterator[str]:
        for name in super().__iter__():
            Counted.handed_out += 1
            yield name


def chain(names: list[Name]) -> tuple[Counted, ...]:
    return (Counted(names),)


def chain_of_pairs(names: list[Name]) -> tuple[Counted, ...]:
    return tuple(Counted(pair) for pair in pairwise(names))


def fan_out(names: list[Name]) -> tuple[Counted, ...]:
    return tuple(Counted([names[0], name]) for name in names[1:])


def fan_in(names: list[Name]) -> tuple[Counted, ...]:
    return tuple(Counted([name, names[-1]]) for name in names[:-1])


def ring(names: list[Name]) -> tuple[Counted, ...]:
    return (Counted([*names, names[0]]),)


@pytest.mark.parametrize("shape", [chain, chain_of_pairs, fan_out, fan_in, ring])
def test_the_work_grows_with_the_graph_and_not_faster(shape: Callable[[list[Name]], tuple[Counted, ...]]) -> None:
    """Counted, not timed; 10,000 in a chain also shows that nothing recurses."""
    cost = {}
    for size in (1_000, 3_000, 10_000):
        names = [Name(f"p{i}") for i in range(size)]
        order = shape(names)
        Counted.handed_out = Name.hashed = 0
        spec = TaskSpec(
            name="t",
            processes=tuple(process(n) for n in names),
            order=order,  # type: ignore[arg-type]
        )
        problems = check_graph(spec)
        assert len(problems) == (shape is ring)
        assert Name.hashed >= size
        assert Counted.handed_out >= size - 1
        cost[size] = (Name.hashed + Counted.handed_out) / size
    assert cost[10_000] <= cost[1_000] * 1.1, cost
    assert cost[3_000] <= cost[1_000] * 1.1, cost
    assert cost[10_000] < 80, cost
