"""Order constraints: what is refused and how, and that a check costs no more than the constraints are long."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.core.graph import Edge, find_cycles, order_findings


def processes(*names: str, **flags: str) -> list[dict[str, Any]]:
    return [{"name": name, **{flag: True for flag, of in flags.items() if name in of}} for name in names]


def texts(procs: list[dict[str, Any]], *orders: list[str]) -> list[str]:
    return [
        finding.text.removeprefix("Task has invalid plan: ")
        for finding in order_findings(procs, list(enumerate(orders)))
    ]


def test_a_chain_is_fine() -> None:
    assert texts(processes("a", "b", "c"), ["a", "b", "c"], ["a", "c"]) == []


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([["a", "b"], ["b", "a"]], ["Cycles detected in the task schedule! b -> a -> b"]),
        ([["a", "a"]], ["Cycles detected in the task schedule! a -> a"]),
        ([["a", "b", "c", "a"]], ["Cycles detected in the task schedule! b -> c -> a -> b"]),
    ],
)
def test_a_cycle_is_named(orders: list[list[str]], expected: list[str]) -> None:
    found = texts(processes("a", "b", "c"), *orders)
    assert len(found) == 1
    assert set(found[0].split("! ")[1].split(" -> ")) == set(expected[0].split("! ")[1].split(" -> "))
    assert found[0].startswith("Cycles detected in the task schedule! ")


def test_two_cycles_are_two_findings() -> None:
    found = texts(processes("a", "b", "c", "d", "e"), ["a", "b", "a"], ["c", "d", "c"], ["b", "e"])
    assert [sorted(set(text.split("! ")[1].split(" -> "))) for text in found] == [["a", "b"], ["c", "d"]]


def test_unknown_empty_and_mixed_constraints_are_refused() -> None:
    procs = processes("a", "b", "f", final="f")
    assert "No process of this task is called `x`; it has `a`, `b`, `f`" in texts(procs, ["a", "x"])[0]
    assert "No process of this task is called `x`, `y`" in texts(procs, ["x", "y"])[0]
    assert "names no process" in texts(procs, [])[0]
    assert "`f` is final and `a` is not" in texts(procs, ["a", "f"])[0]
    assert all("Invalid process dependencies!" in text for text in texts(procs, ["a", "x"], ["x"], [], ["f", "a"]))


def test_final_processes_are_ordered_among_themselves() -> None:
    assert texts(processes("a", "f", "g", final="fg"), ["f", "g"]) == []


def test_nobody_depends_on_a_daemon() -> None:
    procs = processes("a", "b", daemon="a")
    assert texts(procs, ["a", "b"], ["a", "b"]) == ["Process b may not depend upon daemon process a"]
    assert texts(procs, ["b", "a"]) == []


def test_only_ephemerals_depend_on_ephemerals() -> None:
    expected = ["Non-ephemeral process b may not depend upon ephemeral process a"]
    assert texts(processes("a", "b", ephemeral="a"), ["a", "b"]) == expected
    assert texts(processes("a", "b", ephemeral="ab"), ["a", "b"]) == []
    assert texts(processes("a", "b", ephemeral="b"), ["a", "b"]) == []


def test_findings_lead_to_the_constraint() -> None:
    findings = list(order_findings(processes("a", "b"), [(0, ["a", "b"]), (3, ["nobody"])]))
    assert [finding.path for finding in findings] == [("constraints", 3, "order")]


class Counting(list[Edge]):
    """Counts how often an edge is handed out."""

    visits = 0

    def __iter__(self) -> Iterator[Edge]:
        for edge in super().__iter__():
            Counting.visits += 1
            yield edge


@pytest.mark.parametrize("size", [100, 1000, 10_000])
def test_a_long_chain_is_walked_once(size: int) -> None:
    names = [f"p{number}" for number in range(size)]
    assert texts(processes(*names), names) == []
    edges = Counting(Edge(a, b, 0) for a, b in pairwise(names))
    Counting.visits = 0
    assert find_cycles(edges) == []
    assert Counting.visits == size - 1


def test_a_cycle_of_ten_thousand_is_found_and_its_text_is_short() -> None:
    names = [f"p{number}" for number in range(10_000)]
    (text,) = texts(processes(*names), [*names, names[0]])
    assert "(9991 more)" in text
    assert len(text) < 300


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
def test_cycles_are_found_exactly_if_there_are_some(pairs: list[tuple[int, int]]) -> None:
    edges = [Edge(str(a), str(b), 0) for a, b in pairs]
    reach = {(a, b) for a, b in pairs}
    for middle in range(8):
        reach |= {(a, b) for a in range(8) for b in range(8) if (a, middle) in reach and (middle, b) in reach}
    cycles = find_cycles(edges)
    assert bool(cycles) == any((n, n) in reach for n in range(8))
    for cycle in cycles:
        assert set(cycle) <= set(edges)
        assert all(a.after == b.before for a, b in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
