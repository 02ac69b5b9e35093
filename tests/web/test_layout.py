"""The layout of graphs: boxes never overlap, wires go where they should, big graphs stay cheap."""

from __future__ import annotations

import time
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web.core.layout import BOX_HEIGHT, MAX_NODES, ROW_GAP, Layout, is_drawable, lay_out, settle


def overlaps(layout: Layout) -> list[tuple[str, str]]:
    return [
        (one.name, other.name)
        for one, other in combinations(layout.boxes, 2)
        if one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height - 0.01
        and other.y < one.y + one.height - 0.01
    ]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[list[str]], list[tuple[str, str]]]:
    sizes = draw(st.lists(st.integers(0, 6), min_size=1, max_size=6))
    levels = [[f"p{level}.{i}" for i in range(size)] for level, size in enumerate(sizes)]
    names = [name for level in levels for name in level]
    pairs = st.tuples(st.sampled_from(names), st.sampled_from(names)) if names else st.nothing()
    return levels, draw(st.lists(pairs, max_size=30)) if names else []


@given(graphs())
@settings(max_examples=150, deadline=None)
def test_every_box_has_its_own_place(graph: tuple[list[list[str]], list[tuple[str, str]]]) -> None:
    levels, edges = graph
    layout = lay_out(levels, edges)
    assert sorted(box.name for box in layout.boxes) == sorted(name for level in levels for name in level)
    assert overlaps(layout) == []
    for box in layout.boxes:
        assert box.y >= -0.01
        assert box.x + box.width <= layout.width + 0.01
        assert box.y + box.height <= layout.height + 0.01


@given(graphs())
@settings(max_examples=100, deadline=None)
def test_a_wire_goes_from_the_right_edge_to_the_left_edge(
    graph: tuple[list[list[str]], list[tuple[str, str]]],
) -> None:
    levels, edges = graph
    layout = lay_out(levels, edges)
    boxes = {box.name: box for box in layout.boxes}
    level = {name: index for index, names in enumerate(levels) for name in names}
    drawn = {(wire.before, wire.after) for wire in layout.wires}
    assert drawn == {(a, b) for a, b in edges if level[a] < level[b]}
    for wire in layout.wires:
        first, last = boxes[wire.before], boxes[wire.after]
        assert wire.points[0] == pytest.approx((first.x + first.width, first.y + first.height / 2))
        assert wire.points[-1] == pytest.approx((last.x, last.y + last.height / 2))
        assert [x for x, _ in wire.points] == sorted(x for x, _ in wire.points)


def test_a_wire_over_a_level_does_not_cross_the_box_there() -> None:
    layout = lay_out([["a"], ["b"], ["c"]], [("a", "b"), ("b", "c"), ("a", "c")])
    box = next(box for box in layout.boxes if box.name == "b")
    wire = next(wire for wire in layout.wires if wire.after == "c" and wire.before == "a")
    assert len(wire.points) == 4, "it bends at b's level"
    for _, y in wire.points[1:3]:
        assert not box.y < y < box.y + box.height


def test_crossings_that_can_be_avoided_are() -> None:
    layout = lay_out([["a", "b", "c"], ["x", "y", "z"]], [("a", "z"), ("b", "y"), ("c", "x")])
    tops = {box.name: box.y for box in layout.boxes}
    assert (tops["a"] < tops["b"] < tops["c"]) == (tops["z"] < tops["y"] < tops["x"])


def test_a_chain_is_a_straight_line() -> None:
    names = [f"p{i}" for i in range(8)]
    layout = lay_out([[name] for name in names], list(pairwise(names)))
    assert {box.y for box in layout.boxes} == {0.0}
    assert layout.height == BOX_HEIGHT


def test_unknown_names_and_edges_that_go_back_are_left_out() -> None:
    layout = lay_out([["a"], ["b"]], [("b", "a"), ("a", "ghost"), ("a", "a"), ("a", "b"), ("a", "b")])
    assert [(wire.before, wire.after) for wire in layout.wires] == [("a", "b")]


def test_nothing_gives_nothing() -> None:
    assert lay_out([], []) == Layout((), (), 0.0, 0.0)


@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=20))
@settings(deadline=None)
def test_settled_places_keep_order_and_distance(wishes: list[float]) -> None:
    heights = [10.0] * len(wishes)
    places = settle(wishes, heights)
    for one, other in pairwise(places):
        assert other - one >= 10 + ROW_GAP - 1e-6
    assert sum(places) == pytest.approx(sum(wishes), abs=1e-4), "least squares moves the mean nowhere"


def test_wishes_that_fit_are_granted() -> None:
    assert settle([0, 100, 200], [10, 10, 10]) == [0, 100, 200]


def test_a_thousand_nodes_are_no_picture() -> None:
    levels = [[f"p{level}.{i}" for i in range(100)] for level in range(10)]
    assert not is_drawable(levels, [])
    assert is_drawable([["a"] * MAX_NODES], [])
    assert not is_drawable([["a"], ["b"]], [("a", "b")] * 1001)


def test_the_biggest_picture_is_quick() -> None:
    levels = [[f"p{level}.{i}" for i in range(20)] for level in range(10)]
    edges = [(a, b) for one, other in pairwise(levels) for a in one[:10] for b in other[:10]]
    edges += [(levels[0][i], levels[9][j]) for i in range(10) for j in range(10)]
    assert is_drawable(levels, edges)
    begin = time.process_time()
    layout = lay_out(levels, edges)
    assert overlaps(layout) == []
    assert time.process_time() - begin < 2.0
